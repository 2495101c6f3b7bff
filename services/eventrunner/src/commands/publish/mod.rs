//! `eventrunner publish`: events from files, stdin or flags to ingest-http.

mod input;
mod sender;

use std::{path::PathBuf, time::Instant};

use indicatif::ProgressBar;
use serde::Serialize;
use tokio::sync::mpsc;

use self::{
    input::{Event, Input},
    sender::{Sender, Verdict},
};
use crate::{
    client::Api,
    commands::progress,
    context::{ConnectArgs, Context},
    exit::{Failure, Result},
    output::{Format, Output, item, note},
};

/// Bytes of events in one request: far below what the door takes.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Publish events
///
/// Reads JSON: CloudEvents one a line (NDJSON), in an array, or one after the other. Objects that are no CloudEvents
/// become the data of one, with --type and --source. Each event has its id before it is sent, so that what
/// is sent twice, because an answer was lost, is kept once.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  eventrunner publish events.ndjson
  eventrunner publish --type demo.hello --source /demo --data '{\"hello\": \"world\"}'
  zcat big.ndjson.gz | eventrunner publish --rate 5000
  eventrunner publish --type till.sale --source /till/3 --batch 500 sales.json")]
pub(crate) struct Args {
    /// Files of JSON; - or none: stdin
    #[arg(value_name = "FILE", conflicts_with = "data")]
    pub(crate) files: Vec<PathBuf>,
    /// One event's data: JSON, text, or @FILE
    #[arg(long, short)]
    pub(crate) data: Option<String>,
    /// Type of events made from data
    #[arg(long = "type")]
    pub(crate) r#type: Option<String>,
    /// Source of events made from data, a URI reference
    #[arg(long, short)]
    pub(crate) source: Option<String>,
    /// Subject of events made from data
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Id of the event made from --data [default: a new one]
    #[arg(long, conflicts_with = "files")]
    pub(crate) id: Option<String>,
    /// Media type of the data [default: application/json, or text/plain for what is not JSON]
    #[arg(long)]
    pub(crate) content_type: Option<String>,
    /// Extension attribute of events made from data, such as partitionkey=till-3; repeatable
    #[arg(long = "extension", short = 'e', value_name = "NAME=VALUE", value_parser = input::extension)]
    pub(crate) extensions: Vec<(String, String)>,
    /// Most events in one request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) batch: u32,
    /// Most events a second [default: as fast as they are accepted]
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Requests at a time; with more than 1 the order of events is not kept
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) concurrency: u32,
    /// How long to try again when the fleet is away or says that it is busy, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) retry_for: u64,
    /// Go on after a request that was refused
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// No progress bar
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

#[cfg(test)]
impl Default for Args {
    fn default() -> Self {
        use clap::{Args as _, FromArgMatches as _};
        let matches = Self::augment_args(clap::Command::new("publish")).get_matches_from(["publish"]);
        Self::from_arg_matches(&matches).unwrap()
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Summary {
    accepted: u64,
    refused: u64,
    requests: u64,
    retries: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<()> {
    let api = Api::new(Context::load(&args.connect)?)?;
    api.context().key()?;
    let input = Input::of(&args)?;
    let bar = bar(&args, input.bytes);
    let began = Instant::now();
    let sender = Sender::new(api, &args);
    let mut batches = batches(input, args.batch_events());
    let mut summary = Summary::default();
    let mut first_failure = None;
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        let room = under_way.len() < usize::try_from(args.concurrency).unwrap_or(1);
        tokio::select! {
            Some(ended) = under_way.join_next() => {
                let verdict = ended.map_err(|e| Failure::failed(format!("a request came to grief: {e}")))?;
                count(&mut summary, &bar, verdict, &mut first_failure);
            }
            Some(batch) = batches.recv(), if room && (first_failure.is_none() || args.keep_going) => match batch {
                Ok(batch) => {
                    sender.pace(batch.len()).await;
                    under_way.spawn(sender.clone().send(batch));
                }
                Err(failure) => { first_failure.get_or_insert(failure); }
            },
            else => break,
        }
    }
    bar.finish_and_clear();
    summary.seconds = began.elapsed().as_secs_f64();
    report(&summary, output)?;
    first_failure.map_or(Ok(()), Err)
}

impl Args {
    /// With a rate, ten requests a second at least, so that events flow instead of coming in heaps.
    fn batch_events(&self) -> usize {
        let batch = self.rate.map_or(self.batch, |rate| self.batch.min(rate.div_ceil(10)));
        usize::try_from(batch).unwrap_or(usize::MAX).max(1)
    }
}

fn count(summary: &mut Summary, bar: &ProgressBar, verdict: Verdict, first: &mut Option<Failure>) {
    summary.requests += 1;
    summary.retries += verdict.retries;
    match verdict.result {
        Ok(trace_id) => {
            summary.accepted += verdict.events;
            summary.trace_id = trace_id;
        }
        Err(failure) => {
            summary.refused += verdict.events;
            if first.is_some() {
                note(&failure.to_string());
            }
            first.get_or_insert(failure);
        }
    }
    bar.inc(verdict.bytes);
    bar.set_message(format!("{} events", summary.accepted));
}

/// Reads in a thread of its own: stdin may be slow, and requests go on meanwhile. What could not be read comes
/// after the events before it.
fn batches(mut input: Input, events_max: usize) -> mpsc::Receiver<Result<Vec<Event>>> {
    let (sender, receiver) = mpsc::channel(2);
    std::thread::spawn(move || {
        let mut batch = Vec::new();
        let mut bytes = 0;
        loop {
            let next = input.next();
            let size = next.as_ref().and_then(|n| n.as_ref().ok()).map_or(0, |event| event.json.get().len());
            let full = batch.len() >= events_max || bytes + size > BATCH_BYTES_MAX;
            if !batch.is_empty() && (full || !matches!(next, Some(Ok(_)))) {
                bytes = 0;
                if sender.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                    return;
                }
            }
            match next {
                None => return,
                Some(Ok(event)) => {
                    bytes += size;
                    batch.push(event);
                }
                Some(Err(failure)) => {
                    if sender.blocking_send(Err(failure)).is_err() {
                        return;
                    }
                }
            }
        }
    });
    receiver
}

fn bar(args: &Args, bytes: Option<u64>) -> ProgressBar {
    if args.quiet || args.data.is_some() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => {
            (ProgressBar::new(bytes), "{bar:30} {percent:>3}% {msg}, {bytes_per_sec}, {eta} to go")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {bytes_per_sec}"),
    };
    progress::drawn(bar, template)
}

fn report(summary: &Summary, output: Output) -> Result<()> {
    if output.format != Format::Table {
        return output.one(&item(summary)?);
    }
    let Summary { accepted, refused, retries, seconds, .. } = summary;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = *accepted as f64 / seconds.max(0.001);
    let noun = if *accepted == 1 { "event" } else { "events" };
    let mut line = format!("{accepted} {noun} accepted in {seconds:.2} s");
    if *accepted > 1 {
        line.push_str(&format!(" ({rate:.0}/s)"));
    }
    if *refused > 0 {
        line.push_str(&format!(", {refused} not"));
    }
    if *retries > 0 {
        line.push_str(&format!(", {retries} requests sent again"));
    }
    note(&line);
    Ok(())
}
