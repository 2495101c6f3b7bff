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
use indicatif::ProgressBar;
use model::{Clock as _, SystemClock, format_rfc3339};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Filter;
use crate::{
    client::{Api, PAGE_ITEMS_MAX},
    commands::progress,
    context::{ConnectArgs, Context},
    exit::{Code, Failure, Result},
    output::{Output, compact, item, note},
};

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Each line is a CloudEvent in the JSON format: `eventrunner publish` reads such files.
A run that was interrupted goes on with --resume. Without --until it ends with what is there when it begins."
)]
pub(super) struct ExportArgs {
    /// Where to; - is stdout
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    filter: Filter,
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
    let mut progress = Progress { query: query(&args.filter), ..Progress::default() };
    if args.file == Path::new("-") {
        return to_stdout(&api, args.resume, progress).await;
    }
    let beside = progress::beside(&args.file, ".export");
    let mut file = if args.resume {
        progress = read(&beside)?;
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
        progress::write(&beside, &progress)?;
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
fn query(filter: &Filter) -> Vec<(String, String)> {
    let until = filter.until.clone().unwrap_or_else(|| format_rfc3339(SystemClock.now()));
    let filter = Filter { until: Some(until), ..filter.clone() };
    filter.query().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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

/// How far the export to this file was.
fn read(path: &Path) -> Result<Progress> {
    progress::read(path)?.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("there is no {}", path.display()))
            .hint("there is no interrupted export of this name")
    })
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::file("cannot write", path, error)
}

fn bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    progress::drawn(ProgressBar::new_spinner(), "{spinner} {msg}, {bytes}, {bytes_per_sec}")
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
        let path = progress::beside(&folder.path().join("events.ndjson"), ".export");
        assert!(path.ends_with("events.ndjson.export"));
        let query = vec![("type".to_owned(), "a".to_owned()), ("type".to_owned(), "b".to_owned())];
        let progress = Progress { query, cursor: Some("c".to_owned()), events: 7, bytes: 70 };
        assert_eq!(read(&path).unwrap_err().code, Code::NotFound);
        progress::write(&path, &progress).unwrap();
        assert_eq!(read(&path).unwrap(), progress);
        fs::write(&path, "{").unwrap();
        assert_eq!(read(&path).unwrap_err().code, Code::Data);
    }
}
