//! What a million events cost each service and each server: processor time, memory, network, disk. The figures that
//! `docs/sizing.md` reckons with.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::ensure;
use clap::Args;
use oracle::{Pace, Run};
use serde::Serialize;

use super::{Setup, hundredths};
use crate::{
    cpu,
    fleet::Own,
    memory,
    network::{self, Traffic},
};

/// After which the stores have written down what they hold.
const SETTLE: Duration = Duration::from_secs(5);

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events to send
    #[arg(long, default_value_t = 300_000)]
    events: u64,
}

/// What one service or server took, all its processes together.
#[derive(Debug, Clone, Default, Serialize)]
struct Part {
    part: String,
    processes: usize,
    /// Seconds of one core, for a million events.
    cpu_s: f64,
    /// The largest process at the end.
    memory_mb: u64,
    /// Payload over TCP, bytes for each event.
    sent_bytes: u64,
    received_bytes: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    tenant_stream: &'static str,
    form: &'static str,
    batch: u64,
    data_bytes: usize,
    events: u64,
    parts: Vec<Part>,
    /// For each event, where it was kept at the end.
    disk_bytes: BTreeMap<&'static str, u64>,
    lost: u64,
    doubled: u64,
    altered: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    cpu: Duration,
    traffic: Traffic,
}

/// Runs it. Whether every event got there.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    ensure!(
        options.setup.fleet.context.is_none(),
        "a fleet of this scenario's own is measured: leave --context out"
    );
    let (mut own, access) = options.setup.own().await?;
    let load = &options.setup.load;
    let (events, requests) = load.load(options.events);
    let pace = match load.requests_per_second() {
        Some(rate) => Pace::open(requests, Some(rate), None),
        None => Pace::closed(requests),
    };
    let disk_before = disk(&mut own).await?;
    let processes = processes(&mut own);
    let before = used(&processes)?;
    let mut run = Run::begin(&access, events, requests, pace, load.manner(0)).await?;
    let events = run.events();
    run.complete().await?;
    tokio::time::sleep(SETTLE).await;
    let (after, held) = (used(&processes)?, memory::held(&processes));
    let disk_after = disk(&mut own).await?;
    let verdicts = run.read_back(&[]).await?;
    let parts = parts(events, &processes, &before, &after, &held);
    let grown = |(place, after): (&'static str, u64)| {
        (place, after.saturating_sub(disk_before.get(place).copied().unwrap_or_default()) / events)
    };
    let report = Report {
        scenario: "sizing",
        durability: options.setup.durability.as_str(),
        tenant_stream: options.setup.fleet.tenant_stream.as_str(),
        form: options.setup.fleet.form(),
        batch: load.batch(),
        data_bytes: load.data_bytes,
        events,
        parts,
        disk_bytes: disk_after.into_iter().map(grown).collect(),
        lost: verdicts.sum(|v| v.lost),
        doubled: verdicts.sum(|v| v.doubled),
        altered: verdicts.sum(|v| v.altered),
    };
    report.print();
    own.stop().await?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(verdicts.is_good())
}

/// Every process of the fleet and of its servers, by what it is: replicas have one name.
fn processes(own: &mut Own) -> Vec<(String, u32)> {
    let mut all = own.processes();
    for (name, _) in &mut all {
        let replica = name.rsplit_once('-').filter(|(_, number)| number.bytes().all(|b| b.is_ascii_digit()));
        if let Some((service, _)) = replica {
            *name = service.to_owned();
        }
    }
    all.extend(own.servers().map(|servers| servers.processes()).unwrap_or_default());
    all
}

fn used(processes: &[(String, u32)]) -> anyhow::Result<Vec<Used>> {
    let traffic = network::traffic()?;
    let of = |pid: &u32| Used {
        cpu: cpu::used(*pid).unwrap_or_default(),
        traffic: traffic.get(pid).copied().unwrap_or_default(),
    };
    Ok(processes.iter().map(|(_, pid)| of(pid)).collect())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn parts(
    events: u64,
    processes: &[(String, u32)],
    before: &[Used],
    after: &[Used],
    held: &[(String, u64)],
) -> Vec<Part> {
    let mut parts = BTreeMap::<&str, Part>::new();
    for (((name, _), (before, after)), (_, megabytes)) in
        processes.iter().zip(before.iter().zip(after)).zip(held)
    {
        let part = parts.entry(name).or_insert_with(|| Part { part: name.clone(), ..Part::default() });
        part.processes += 1;
        part.cpu_s += after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / events as f64;
        part.memory_mb = part.memory_mb.max(*megabytes);
        part.sent_bytes += after.traffic.sent.saturating_sub(before.traffic.sent) / events;
        part.received_bytes += after.traffic.received.saturating_sub(before.traffic.received) / events;
    }
    parts.into_values().map(|part| Part { cpu_s: hundredths(part.cpu_s), ..part }).collect()
}

/// Bytes on disk now, by what keeps them.
async fn disk(own: &mut Own) -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let data = own.folder().join("data");
    let mut kept = BTreeMap::new();
    let broker = ["nats", "nats-2", "nats-3"].map(|node| size(&data.join(node)));
    kept.insert("broker", broker.iter().sum());
    kept.insert("embedded store", size(&data.join("store")));
    if let Some(servers) = own.servers() {
        let (events, usage) = servers.disk(size).await?;
        kept.insert("CQL", events);
        kept.insert("ClickHouse", usage);
    }
    kept.retain(|_, bytes| *bytes > 0);
    Ok(kept)
}

/// Bytes of all files in a folder; nothing if there is none. Files may go while they are looked at.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(of).sum()
}

impl Report {
    fn print(&self) {
        println!(
            "{:<16} {:>9} {:>11} {:>10} {:>11} {:>11}",
            "", "processes", "core s / M", "MB, at end", "sent B/ev", "recv B/ev"
        );
        for part in &self.parts {
            let Part { part, processes, cpu_s, memory_mb, sent_bytes, received_bytes } = part;
            println!(
                "{part:<16} {processes:>9} {cpu_s:>11.1} {memory_mb:>10} {sent_bytes:>11} {received_bytes:>11}"
            );
        }
        for (place, bytes) in &self.disk_bytes {
            println!("{place:<16} {bytes:>9} bytes on disk an event");
        }
    }
}
