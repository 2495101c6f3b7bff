//! `eventrunner apply` and `export`: resources as files.
//!
//! Invariant: nothing is remembered between runs but what the API holds, so that whoever stopped halfway, however, goes on by doing it
//! again. Two who apply the same set take turns by a lease; who loses it stops and says so.

mod document;
mod export;
mod facts;
mod keys;
mod lease;
mod prune;
mod report;
mod secrets;
mod state;
mod work;

use std::{path::PathBuf, time::Duration};

use clap::Args;

pub(crate) use self::export::{Export, run as export};
use self::{lease::Held, report::Report, state::State, work::Worker};
use super::resources::Client;
use crate::{
    context::ConnectArgs,
    exit::{Failure, Result},
    output::Output,
};

/// The label of what was applied as a part of a set.
const SET_LABEL: &str = "eventrunner.dev/set";
/// Longest name of a set: the lease's has more before it.
const SET_BYTES_MAX: usize = 50;

/// Make resources what files say
///
/// Documents are YAML or JSON: `kind: source`, `tenant: acme`, then the API's own members. What is there as it should be is left alone, what
/// differs is changed, what was deleted is brought back. Whatever stops it, even a kill: do it again, and it goes on. Secrets are
/// written ${NAME} (a variable of the environment) or ${file:PATH}.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner apply -f globex/ --dry-run
  eventrunner apply -f globex/ --set globex --prune
  eventrunner export -A --context old | eventrunner apply -f - --context new
See docs/apply.md.")]
pub(crate) struct Apply {
    /// File or folder, looked into with all its folders, or - for stdin; repeatable
    #[arg(long = "file", short = 'f', value_name = "FILE|FOLDER", required = true)]
    files: Vec<PathBuf>,
    /// Show what would be done as a diff, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Remember all of it as a set of this name, in the label eventrunner.dev/set
    #[arg(long, value_name = "NAME", value_parser = set_name)]
    set: Option<String>,
    /// Delete what was applied as a part of the set before and is in no file any more
    #[arg(long, requires = "set")]
    prune: bool,
    /// Take what belongs to another set
    #[arg(long, requires = "set")]
    take_over: bool,
    /// Send secrets of what is there already, too. Otherwise they stay, if there are as many, or of the same names
    #[arg(long)]
    secrets: bool,
    /// How long to wait for somebody else who applies the same set
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    wait: u64,
    #[command(flatten)]
    connect: ConnectArgs,
}

fn set_name(text: &str) -> std::result::Result<String, String> {
    let slug = text.parse::<model::SystemId>().map_err(|e| e.to_string())?;
    if text.len() > SET_BYTES_MAX {
        return Err(format!("at most {SET_BYTES_MAX} characters"));
    }
    Ok(slug.to_string())
}

pub(crate) async fn run(args: Apply, output: Output) -> Result<()> {
    let client = Client::open(&args.connect)?;
    let home = client.context().tenant::<String>().ok();
    let documents = document::read(&args.files, home.as_deref())?;
    if documents.is_empty() && !args.prune {
        return Err(Failure::data("there is nothing to apply: no file holds a document"));
    }
    let mut held = Held::new(&client, args.set.as_deref(), Duration::from_secs(args.wait));
    let mut report = Report::new(output, args.dry_run);
    let outcome = work(&args, &client, documents, &mut held, &mut report).await;
    held.end().await;
    let told = report.end();
    outcome.and(told)
}

async fn work(
    args: &Apply,
    client: &Client,
    mut documents: Vec<document::Document>,
    held: &mut Held,
    report: &mut Report,
) -> Result<()> {
    if !args.dry_run {
        held.take_all(documents.iter().map(|d| d.name.tenant.as_deref())).await?;
    }
    let state = State::read(client, &documents).await?;
    work::prepare(&mut documents, &state, args.secrets)?;
    let worker = Worker::new(client, args, &state, &documents);
    let ranks: std::collections::BTreeSet<usize> = documents.iter().map(|d| d.name.rank).collect();
    for rank in ranks {
        let of_rank = documents.iter().filter(|d| d.name.rank == rank);
        worker.apply(of_rank, held, report).await?;
        if !args.dry_run {
            // Of tenants that were made just now, too.
            held.take_all(documents.iter().map(|d| d.name.tenant.as_deref())).await?;
        }
    }
    work::settle(report)?;
    match (&args.set, args.prune) {
        (Some(set), true) => prune::run(client, set, &documents, held, report).await,
        _ => Ok(()),
    }
}
