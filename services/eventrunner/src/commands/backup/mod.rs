//! `eventrunner backup`: a running fleet as a folder. What is in it, and in which order it is copied: ADR 20.

mod restore;
mod shelf;
mod stored;
mod take;

use std::{path::PathBuf, time::Duration};

use ::backup::{Folder, Manifest, Stored};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

pub(crate) use self::restore::{FleetArgs, is_backup, run as restore};
use self::shelf::Shelf;
use crate::{
    context::ConnectArgs,
    exit::{Code, Failure, Result},
    output::{Output, item, note},
};

/// Back a running fleet up into a folder
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  eventrunner backup --to /backup/2026-11-29
  eventrunner backup --into /backup --keep 7      # in a folder named by the time; a job that comes each night
  eventrunner backup --to /backup/catalog --only catalog
  eventrunner backup verify /backup/2026-11-29

The fleet goes on: its doors take events, which wait while the queues are copied. The sealing key and the operator's seed are not
in the backup: keep secret.key and operator.seed elsewhere. Restore with: eventrunner restore FOLDER"
)]
pub(crate) struct Backup {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    take: TakeArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Compare a backup with its manifest: every file, by its digest
    Verify {
        /// The backup
        folder: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
struct TakeArgs {
    /// Where to: a folder that is empty or not there yet
    #[arg(long, value_name = "FOLDER", required_unless_present = "into", conflicts_with = "into")]
    to: Option<PathBuf>,
    /// Where to: a folder of backups, in which this one gets a folder named by its time; what is not whole there is removed
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Then remove all whole backups there but the newest N
    #[arg(long, value_name = "N", requires = "into", value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
    /// Only these parts
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Do not hold the queues while they are copied: events that move meanwhile are in a tenant stream twice after a restore
    #[arg(long)]
    no_pause: bool,
    /// How long the queues may take to come to rest, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience_seconds: u64,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// A part of a fleet's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Tenants and all that is theirs, the audit, orders to erase
    Catalog,
    /// Queues, tenant streams, dead letters, invoices
    Streams,
    /// Stored events
    Events,
    /// Usage records
    Usage,
}

impl Part {
    /// Whether it is among those that were chosen: all, if none was.
    pub(crate) fn is_in(self, chosen: &[Self]) -> bool {
        chosen.is_empty() || chosen.contains(&self)
    }
}

/// What a backup holds, or a restore has done.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    backup: String,
    began_at: String,
    streams: usize,
    messages: u64,
    events: u64,
    usage_records: u64,
    bytes: u64,
    sealing_keys: Vec<String>,
    /// Where it is, if that is not what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
    /// Older ones that were removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    /// For how long the queues stood still.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_ms: Option<u64>,
    /// What it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

impl Summary {
    fn of(manifest: &Manifest) -> Self {
        Self {
            backup: manifest.id.clone(),
            began_at: manifest.began_at.clone(),
            streams: manifest.streams.len(),
            messages: manifest.streams.iter().map(|part| part.state.messages).sum(),
            events: manifest.records(Stored::Events),
            usage_records: manifest.records(Stored::Usage),
            bytes: manifest.files().map(|file| file.bytes).sum(),
            sealing_keys: manifest.sealing_keys.clone(),
            folder: None,
            removed: Vec::new(),
            paused_ms: None,
            seconds: None,
        }
    }

    fn took(mut self, span: Duration) -> Self {
        self.seconds = Some((span.as_secs_f64() * 10.0).round() / 10.0);
        self
    }
}

pub(crate) async fn run(args: Backup, output: Output) -> Result<()> {
    match args.verb {
        Some(Verb::Verify { folder }) => {
            let folder = Folder::at(&folder);
            let manifest = Manifest::read(&folder).await?;
            manifest.check(&folder).await?;
            note("the backup is whole");
            output.one(&item(&Summary::of(&manifest))?)
        }
        None => output.one(&item(&take(&args.take).await?)?),
    }
}

async fn take(args: &TakeArgs) -> Result<Summary> {
    let shelf = args.into.as_deref().map(Shelf::take).transpose()?;
    let to = match (&shelf, &args.to) {
        (Some(shelf), _) => shelf.next(),
        (None, Some(to)) => to.clone(),
        (None, None) => return Err(Failure::usage("say where to, with --to or --into")),
    };
    let mut summary = take::run(args, &to).await?;
    note(&format!("the backup is whole: {}", to.display()));
    if let Some(shelf) = shelf {
        if let Some(newest) = args.keep {
            summary.removed = shelf.keep(usize::from(newest))?;
        }
        summary.folder = Some(to);
    }
    Ok(summary)
}

impl From<::backup::Error> for Failure {
    fn from(error: ::backup::Error) -> Self {
        use ::backup::Error;
        match error {
            Error::Bus(error) => error.into(),
            Error::File { what, path, source } => Self::file(&format!("cannot {what}"), &path, &source),
            Error::Damaged(_) => Self::data(error.to_string()),
            Error::InUse(_) => Self::new(Code::CannotTake, error.to_string()),
            Error::Restless(_) => Self::unavailable(error.to_string()),
            Error::Mismatch(_) => Self::config(error.to_string()),
        }
    }
}
