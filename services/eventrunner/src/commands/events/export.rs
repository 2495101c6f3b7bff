//! `eventrunner events export`: a walk over a tenant's events into a file that a later run can go on with.
//!
//! Beside the file stands `<file>.export`: where the walk is, how long the file was then, and what was asked for. It is
//! written after each page is on the disk, so what comes after that length is thrown away and read again.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use model::{Clock as _, SystemClock, format_rfc3339};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    client::{Api, PAGE_ITEMS_MAX},
    context::{ConnectArgs, Context},
    exit::{Failure, Result},
    output::{Output, compact, item, note},
    when,
};

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Each line is a CloudEvent in the JSON format: `eventrunner publish` reads such files.
A run that was interrupted goes on with --resume."
)]
pub(super) struct ExportArgs {
    /// Where to; - is stdout
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Only of this type; repeatable
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only of this source; repeatable
    #[arg(long = "source", short, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Only of this subject; repeatable
    #[arg(long = "subject", value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// Received at or after: RFC 3339, or how long ago as 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    since: Option<String>,
    /// Received before [default: now]
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    until: Option<String>,
    /// Go on where an earlier run was interrupted; what it asked for is asked for again
    #[arg(long, conflicts_with_all = ["types", "sources", "subjects", "since", "until"])]
    resume: bool,
    /// No progress
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// How far an export is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// What was asked for.
    query: Vec<(String, String)>,
    /// Where the next page begins; none at the beginning.
    cursor: Option<String>,
    events: u64,
    bytes: u64,
}

/// A page, as far as it is exported.
#[derive(Debug, Deserialize)]
struct Page {
    events: Vec<Stored>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Stored {
    event: Box<RawValue>,
}

/// What is shown at the end.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    file: &'a Path,
    events: u64,
    bytes: u64,
}

pub(super) async fn run(args: ExportArgs, output: Output) -> Result<()> {
    let api = Api::new(Context::load(&args.connect)?)?;
    let mut progress = Progress { query: query(&args), ..Progress::default() };
    if args.file == Path::new("-") {
        return to_stdout(&api, args.resume, progress).await;
    }
    let beside = beside(&args.file);
    let mut file = if args.resume {
        progress = Progress::read(&beside)?;
        reopen(&args.file, progress.bytes)?
    } else {
        create(&args.file)?
    };
    let bar = bar(args.quiet);
    loop {
        let page = page(&api, &progress).await?;
        progress.bytes += write(&page, &mut file).map_err(|e| failed(&args.file, &e))?;
        progress.events += u64::try_from(page.events.len()).unwrap_or_default();
        file.flush().and_then(|()| file.get_ref().sync_data()).map_err(|e| failed(&args.file, &e))?;
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} events", progress.events));
        progress.cursor = page.next_cursor;
        if progress.cursor.is_none() {
            break;
        }
        progress.write(&beside)?;
    }
    bar.finish_and_clear();
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&beside, &e)),
        _ => {}
    }
    let Progress { events, bytes, .. } = progress;
    note(&format!("{events} events in {}", args.file.display()));
    match output.format {
        crate::output::Format::Table => Ok(()),
        _ => output.one(&item(&Summary { file: &args.file, events, bytes })?),
    }
}

async fn to_stdout(api: &Api, resume: bool, mut progress: Progress) -> Result<()> {
    if resume {
        return Err(Failure::usage("only what is written to a file can be resumed"));
    }
    loop {
        let page = page(api, &progress).await?;
        for stored in &page.events {
            crate::output::print(&compact(&stored.event)?)?;
        }
        progress.cursor = page.next_cursor;
        if progress.cursor.is_none() {
            return Ok(());
        }
    }
}

/// What is asked for. With an end, so that an export of a tenant that goes on sending ends.
fn query(args: &ExportArgs) -> Vec<(String, String)> {
    let each = |name: &str, values: &[String]| -> Vec<_> {
        values.iter().map(|value| (name.to_owned(), value.clone())).collect()
    };
    let mut query = each("type", &args.types);
    query.extend(each("source", &args.sources));
    query.extend(each("subject", &args.subjects));
    query.extend(args.since.iter().map(|since| ("since".to_owned(), since.clone())));
    let until = args.until.clone().unwrap_or_else(|| format_rfc3339(SystemClock.now()));
    query.push(("until".to_owned(), until));
    query
}

async fn page(api: &Api, progress: &Progress) -> Result<Page> {
    let mut request = api.request(Method::GET, "/api/v1/events")?.query(&progress.query);
    request = request.query(&[("order", "oldest"), ("limit", &PAGE_ITEMS_MAX.to_string())]);
    if let Some(cursor) = &progress.cursor {
        request = request.query(&[("cursor", cursor)]);
    }
    api.json(request).await
}

/// Says how many bytes.
fn write(page: &Page, file: &mut impl Write) -> io::Result<u64> {
    let mut bytes = 0;
    for stored in &page.events {
        let line = compact(&stored.event).map_err(|failure| io::Error::other(failure.message))?;
        writeln!(file, "{line}")?;
        bytes += u64::try_from(line.len() + 1).unwrap_or_default();
    }
    Ok(bytes)
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| {
        let failure = failed(path, &e);
        match e.kind() {
            io::ErrorKind::AlreadyExists => failure.hint("go on with --resume, or choose another file"),
            _ => failure,
        }
    })?;
    Ok(BufWriter::new(file))
}

/// The file as it was when the progress was written down.
fn reopen(path: &Path, bytes: u64) -> Result<BufWriter<File>> {
    let opened = OpenOptions::new().write(true).open(path).and_then(|mut file| {
        if file.metadata()?.len() < bytes {
            return Err(io::Error::other("it is shorter than when the export was interrupted"));
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    });
    opened.map(BufWriter::new).map_err(|e| failed(path, &e))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".export");
    name.into()
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::file("cannot write", path, error)
}

impl Progress {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(|e| {
            let failure = Failure::file("cannot read", path, &e);
            match e.kind() {
                io::ErrorKind::NotFound => failure.hint("there is no interrupted export of this name"),
                _ => failure,
            }
        })?;
        serde_json::from_slice(&text)
            .map_err(|e| Failure::data(format!("{} is not ours: {e}", path.display())))
    }

    /// Whole or not at all.
    fn write(&self, path: &Path) -> Result<()> {
        let aside = path.with_extension("export.new");
        let json = serde_json::to_vec(self).map_err(|e| Failure::failed(e.to_string()))?;
        let written = File::create(&aside)
            .and_then(|mut file| file.write_all(&json).and_then(|()| file.sync_data()))
            .and_then(|()| fs::rename(&aside, path));
        written.map_err(|e| failed(path, &e))
    }
}

fn bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    // Drawn on stderr, and only on a terminal.
    let bar = ProgressBar::new_spinner();
    match ProgressStyle::with_template("{spinner} {msg}, {bytes}, {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_file_is_cut_to_what_is_known_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.ndjson");
        fs::write(&path, "{\"id\": 1}\n{\"id\": 2}\n{\"id").unwrap();
        let mut file = reopen(&path, 20).unwrap();
        writeln!(file, "next").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"id\": 1}\n{\"id\": 2}\nnext\n");
        assert!(reopen(&path, 1_000).unwrap_err().message.contains("shorter"));
        assert!(create(&path).unwrap_err().hint.unwrap().contains("--resume"));
    }

    #[test]
    fn progress_is_written_beside_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = beside(&folder.path().join("events.ndjson"));
        assert!(path.ends_with("events.ndjson.export"));
        let query = vec![("type".to_owned(), "a".to_owned()), ("type".to_owned(), "b".to_owned())];
        let progress = Progress { query, cursor: Some("c".to_owned()), events: 7, bytes: 70 };
        assert_eq!(Progress::read(&path).unwrap_err().code, crate::exit::Code::NotFound);
        progress.write(&path).unwrap();
        assert_eq!(Progress::read(&path).unwrap(), progress);
        fs::write(&path, "{").unwrap();
        assert_eq!(Progress::read(&path).unwrap_err().code, crate::exit::Code::Data);
    }
}
