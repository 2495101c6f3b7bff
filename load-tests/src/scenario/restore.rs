//! Backed up under load, destroyed, and restored: every event that was accepted before the backup began is there, none twice.
//!
//! The fleet goes on taking events while it is backed up and after. Then everything is killed and its data deleted, but for the
//! files that are no part of a backup: the sealing key and the operator's seed. A fleet of processes is restored onto other servers, which hold
//! nothing.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bus::topology::{EVENTS, RAW, USAGE};
use clap::Args;
use oracle::{Access, Ledger, Pace, Run, Verdict, Verdicts, now_ms};
use serde::{Deserialize, Serialize};

use super::{Setup, hundredths};
use crate::{faults, fleet::Own};

/// What is kept elsewhere.
const KEPT: [&str; 2] = ["secret.key", "operator.seed"];
/// How long the restored queues may take to be worked off.
const DRAIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events to send; in the middle of them the backup begins
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// Do not hold the queues while they are copied, to see what that is for: events are doubled in the tenant stream if the restore
    /// comes later than the dedup window (--set topology.dedup_window_seconds=1)
    #[arg(long)]
    no_pause: bool,
}

/// What `backup` says, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Backup {
    bytes: u64,
    #[serde(default)]
    paused_ms: u64,
    seconds: f64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    /// Events accepted before the backup began.
    before: u64,
    /// Accepted while it was made and after: the price of a disaster.
    after: u64,
    /// Those of them that are there all the same.
    after_kept: u64,
    backup_s: f64,
    backup_mb: u64,
    /// For how long the queues stood still.
    paused_ms: u64,
    restore_s: f64,
    /// From the beginning of the restore until the fleet is ready.
    ready_s: f64,
    lost: u64,
    /// In the event store, the usage store or the tenant stream.
    doubled: u64,
    altered: u64,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    let setup = &mut options.setup;
    ensure!(
        setup.fleet.context.is_none() && setup.fleet.nats_nodes == 1,
        "a fleet of this scenario's own, with a broker of one node, which the restore can start"
    );
    let (load, requests) = setup.load.steady(options.events);
    let (mut own, access) = Box::pin(Own::start(&setup.fleet, setup.durability)).await?;
    let pace = Pace::open(requests, setup.load.requests_per_second(), None);
    let mut run = Box::pin(Run::begin(&access, load, requests, pace, setup.load.manner(0))).await?;
    faults::settled(&run.ledger, requests / 2).await;

    let folder = own.folder().join("backup");
    let began_ms = now_ms();
    let target = folder.to_str().context("the folder's name is no text")?;
    let pause: &[&str] = if options.no_pause { &["--no-pause"] } else { &[] };
    let asked = [&["backup", "--to", target], pause].concat();
    let backup: Backup = serde_json::from_slice(&own.ask(&asked, true).await?)?;
    faults::settled(&run.ledger, requests * 3 / 4).await;
    run.stop();
    destroy(&mut own).await?;

    let began = Instant::now();
    let mut asked: Vec<OsString> = ["restore", target, "--data-dir"].map(Into::into).into();
    asked.push(own.folder().join("data").into());
    asked.extend(own.stores());
    own.ask(&asked, false).await?;
    let restored = began.elapsed();
    own.restart().await.context("after the restore")?;
    let ready = began.elapsed();
    drain(&access).await?;

    let all = Arc::clone(&run.ledger);
    run.ledger = Arc::new(promised_before(&all, began_ms));
    let verdicts = Box::pin(run.read_back(&[])).await?;
    let per_request = run.load.per_request();
    let (promised, before) = (all.promised() * per_request, run.ledger.promised() * per_request);
    print(&verdicts);
    own.stop().await?;
    let report = Report {
        scenario: "restore",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        before,
        after: promised - before,
        after_kept: verdicts.events.unpromised,
        backup_s: backup.seconds,
        backup_mb: backup.bytes >> 20,
        paused_ms: backup.paused_ms,
        restore_s: hundredths(restored.as_secs_f64()),
        ready_s: hundredths(ready.as_secs_f64()),
        lost: verdicts.sum(|v| v.lost),
        doubled: verdicts.sum(|v| v.doubled),
        altered: verdicts.sum(|v| v.altered),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(verdicts.is_good() && report.before > 0 && report.after > 0)
}

/// Kills every process of the fleet, its broker and its servers, and deletes everything of theirs.
async fn destroy(own: &mut Own) -> anyhow::Result<()> {
    let members = own.members();
    own.kill()?;
    for pid in members.iter().filter_map(|member| member.pid) {
        // A service has seen that whoever started it is gone, and may have ended by itself.
        while faults::is_running(pid) {
            let _ = faults::signal(pid, "KILL");
            tokio::time::sleep(LOOK).await;
        }
    }
    own.replace_servers().await?;
    let data = own.folder().join("data");
    for entry in fs::read_dir(&data)? {
        remove(&entry?.path())?;
    }
    Ok(())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    if path.file_name().is_some_and(|name| KEPT.iter().any(|kept| name == *kept)) {
        return Ok(());
    }
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// Waits until the queues that were restored are worked off.
pub(crate) async fn drain(access: &Access) -> anyhow::Result<()> {
    let client = access.broker(async_nats::ConnectOptions::new()).await?;
    let jetstream = async_nats::jetstream::new(client);
    let began = Instant::now();
    for name in [RAW, EVENTS, USAGE] {
        // Usage waits only where it has a store of its own.
        while let Ok(queue) = jetstream.get_stream(name).await
            && queue.cached_info().state.messages > 0
        {
            ensure!(began.elapsed() < DRAIN, "{name} is not worked off");
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// What was promised before a moment.
fn promised_before(all: &Ledger, at_ms: i64) -> Ledger {
    let before = Ledger::new(all.requests());
    let promised = (0..all.requests()).filter(|request| all.is_promised(*request));
    promised.filter(|request| all.promised_ms(*request) < at_ms).for_each(|request| before.promise(request));
    before
}

pub(crate) fn print(verdicts: &Verdicts) {
    let Verdicts { events, usage, stream, .. } = verdicts;
    for (place, verdict) in [("event store", events), ("usage store", usage), ("tenant stream", stream)] {
        let Verdict { found, lost, doubled, altered, unpromised } = verdict;
        println!(
            "{place:<14} {found:>9} found, {lost} lost, {doubled} doubled, {altered} altered; {unpromised} of after"
        );
    }
}
