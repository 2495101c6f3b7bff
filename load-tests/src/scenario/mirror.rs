//! Two regions: one is lost under load, the other takes over. What it lacks is the recovery point, what it takes the recovery time.
//!
//! Two brokers, joined by a leaf node with a JetStream domain each. The streams of the first are mirrored by the second, where
//! `eventrunner mirror run` fills stores of its own. Then the first fleet and its broker are killed at once, the mirrors are promoted, and a
//! fleet is started on them.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use oracle::{Access, Ledger, Pace, Run, Where, now_ms};
use serde::Serialize;
use serde_json::Value;
use testkit::{NatsOptions, NatsServer};
use tokio::task::spawn_blocking;

use super::{
    Setup, hundredths,
    restore::{drain, print},
};
use crate::{
    faults,
    fleet::{Durability, FleetArgs, Own},
    proxy::{Link, Proxy},
    servers::Servers,
};

/// Subjects that must stay in their region: each has a fleet's own streams on them, or its own processes.
const AT_HOME: [&str; 11] = [
    "raw.>",
    "events.>",
    "usage.>",
    "tenant.>",
    "dead.>",
    "audit.>",
    "invoices.>",
    "credit-notes.>",
    "$KV.>",
    "$O.>",
    "eventrunner.>",
];
/// How long mirrors may take to get what there is.
const CATCH_UP: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events to send; in the middle of them the first region is lost
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// How late each byte between the regions is, in milliseconds, in either direction
    #[arg(long, default_value_t = 20)]
    line_ms: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    line_ms: u64,
    /// Events accepted in the first region.
    accepted: u64,
    /// Of those, what is not in each place of the second: the recovery point in events …
    lost_events: u64,
    /// Of those, what is in one place and not in another: mirrors are copied each by itself.
    torn: u64,
    /// … and in time: how long before the end the oldest of them was accepted.
    recovery_point_ms: i64,
    /// Messages each mirror was behind a moment before, at most.
    lag_max: u64,
    promote_s: f64,
    /// From the loss of the first region until the second takes events.
    recovery_s: f64,
    /// In the event store or the usage store more than once.
    doubled: u64,
    /// In the tenant stream more than once.
    stream_doubled: u64,
    altered: u64,
}

/// What stands by in the second region; ended with whoever started it.
struct Standby(Child);

impl Drop for Standby {
    fn drop(&mut self) {
        // It has ended already when this fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A region's broker and where it keeps things.
struct Region {
    broker: NatsServer,
    leaf_port: u16,
}

/// Runs it. Whether nothing was wrong but what was lost with the region, within a second.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    let setup = &mut options.setup;
    ensure!(
        setup.fleet.context.is_none() && setup.fleet.nats_nodes == 1,
        "fleets of this scenario's own, on brokers of one node"
    );
    let (load, requests) = setup.load.steady(options.events);
    let base = tempfile::tempdir_in(folder(&setup.fleet)?)?;
    let mut east = Region::start("EAST", base.path(), setup.durability, None).await?;
    let line = Proxy::start(SocketAddr::from(([127, 0, 0, 1], east.leaf_port))).await?;
    line.set(Link { delay: Duration::from_millis(options.line_ms), ..Link::default() });
    let west = Region::start("WEST", base.path(), setup.durability, Some(line.address().port())).await?;
    let (mut own, access) = Box::pin(started(setup, &east, None)).await?;
    let stores = Stores::start(&setup.fleet, base.path()).await?;
    let mut standby = stand_by(&own, &west, &stores).await?;

    let pace = Pace::open(requests, setup.load.requests_per_second(), None);
    let mut run = Box::pin(Run::begin(&access, load, requests, pace, setup.load.manner(0))).await?;
    faults::settled(&run.ledger, requests / 2).await;
    let lag_max = lag(&own, &west).await?;
    let killed = Instant::now();
    line.set(Link { cut: true, ..Link::default() });
    east.broker.kill();
    kill(&mut own)?;
    // Nobody promises anything any more.
    let killed_ms = now_ms();
    run.stop();

    let promoting = Instant::now();
    own.ask(&["mirror", "promote", "--nats-url", &west.broker.url()], false).await?;
    let promote = promoting.elapsed();
    spawn_blocking(move || standby.0.wait()).await??;
    let key = own.folder().join("data/secret.key");
    // The types of events came along.
    setup.fleet.checked = None;
    let (other, there) = Box::pin(started(setup, &west, Some((key, stores)))).await?;
    let recovery = killed.elapsed();
    // The catalog came along, and the key with it.
    let access = Access { key: access.key.clone(), ..there };
    drain(&access).await?;
    run.look_in(&access).await?;

    let all = Arc::clone(&run.ledger);
    let (lost, torn) = lost(&run).await?;
    run.ledger = Arc::new(without(&all, &lost, run.load.per_request()));
    let verdicts = Box::pin(run.read_back(&[])).await?;
    print(&verdicts);
    other.stop().await?;
    let oldest = lost.iter().map(|number| all.promised_ms(number / run.load.per_request())).min();
    let report = Report {
        scenario: "mirror",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        line_ms: options.line_ms,
        accepted: all.promised() * run.load.per_request(),
        lost_events: u64::try_from(lost.len())?,
        torn,
        recovery_point_ms: oldest.map_or(0, |at_ms| killed_ms - at_ms),
        lag_max,
        promote_s: hundredths(promote.as_secs_f64()),
        recovery_s: hundredths(recovery.as_secs_f64()),
        doubled: verdicts.events.doubled + verdicts.usage.doubled,
        stream_doubled: verdicts.stream.doubled,
        altered: verdicts.sum(|v| v.altered),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(verdicts.sum(|v| v.lost) + report.doubled + report.stream_doubled + report.altered == 0
        && report.recovery_point_ms < 1_000)
}

fn folder(fleet: &FleetArgs) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(&fleet.dir)?;
    Ok(fs::canonicalize(&fleet.dir)?)
}

impl Region {
    async fn start(
        domain: &str,
        folder: &Path,
        durability: Durability,
        hub: Option<u16>,
    ) -> anyhow::Result<Self> {
        let leaf_port = testkit::free_port();
        let extra = match hub {
            None => format!("leafnodes {{ listen: \"127.0.0.1:{leaf_port}\" }}"),
            Some(hub) => {
                let at_home = AT_HOME.map(|subject| format!("{subject:?}")).join(", ");
                format!(
                    "leafnodes {{ remotes: [{{ url: \"nats://127.0.0.1:{hub}\", deny_imports: [{at_home}], deny_exports: [{at_home}] }}] }}"
                )
            }
        };
        let options = NatsOptions {
            sync_always: durability == Durability::Disk,
            store_dir: Some(folder.join(domain)),
            max_payload: Some(8 << 20),
            domain: Some(domain.to_owned()),
            extra,
        };
        let broker = spawn_blocking(|| NatsServer::start_with(options)).await?;
        Ok(Self { broker, leaf_port })
    }
}

/// The stores of the second region.
enum Stores {
    /// In a folder.
    Embedded(PathBuf),
    /// On servers.
    External(Box<Servers>),
}

impl Stores {
    async fn start(fleet: &FleetArgs, folder: &Path) -> anyhow::Result<Self> {
        Ok(match fleet.processes {
            true => Self::External(Servers::start(fleet.cql_nodes).await?.into()),
            false => Self::Embedded(folder.join("west-store")),
        })
    }

    /// What tells the fleet's own command line where they are.
    fn settings(&self) -> Vec<OsString> {
        match self {
            Self::Embedded(folder) => {
                vec!["--set".into(), format!("store.folder={}", folder.display()).into()]
            }
            Self::External(servers) => servers.settings(),
        }
    }
}

/// A fleet on a region's broker; in the second region with the key of the first and what was stored meanwhile.
async fn started(
    setup: &Setup,
    region: &Region,
    of_first: Option<(PathBuf, Stores)>,
) -> anyhow::Result<(Own, Access)> {
    let mut flags: Vec<OsString> = vec!["--nats-url".into(), region.broker.url().into()];
    let (mut key, mut servers) = (None, None);
    if let Some((file, stores)) = of_first {
        key = Some(file);
        match stores {
            Stores::External(external) => servers = Some(*external),
            Stores::Embedded(_) => flags.extend(stores.settings()),
        }
    }
    let prepare = move |folder: &Path| {
        if let Some(key) = key {
            let data = folder.join("data");
            fs::create_dir_all(&data)?;
            fs::copy(key, data.join("secret.key"))?;
        }
        Ok(flags)
    };
    Own::start_on(&setup.fleet, setup.durability, servers, prepare).await
}

/// Kills every process of a fleet at once. Services without whoever started them would end in order.
fn kill(own: &mut Own) -> anyhow::Result<()> {
    let members = own.members();
    own.kill()?;
    for pid in members.iter().filter_map(|member| member.pid) {
        // It may have ended.
        let _ = faults::signal(pid, "KILL");
    }
    Ok(())
}

/// Makes the mirrors and starts what stands by; waits until they are in step.
async fn stand_by(own: &Own, west: &Region, stores: &Stores) -> anyhow::Result<Standby> {
    let url = west.broker.url();
    let began = Instant::now();
    // The leaf node connects when it can.
    while let Err(error) = own.ask(&["mirror", "setup", "--from", "EAST", "--nats-url", &url], false).await {
        ensure!(began.elapsed() < CATCH_UP, "the mirrors cannot be made: {error:#}");
        tokio::time::sleep(LOOK).await;
    }
    while lag(own, west).await? > 0 {
        ensure!(began.elapsed() < CATCH_UP, "the mirrors do not catch up");
        tokio::time::sleep(LOOK).await;
    }
    let data = own.folder().join("standby");
    let log = fs::File::create(own.folder().join("standby.log"))?;
    let mut command = std::process::Command::new(own.program()?);
    command
        .args(["mirror", "run", "--data-dir"])
        .arg(&data)
        .args(["--set", &format!("nats.url={url}")])
        .args(stores.settings())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().map(Standby).context("cannot start what stands by")
}

/// How many messages the mirrors are behind, at most; something where they have not heard the origin yet.
async fn lag(own: &Own, west: &Region) -> anyhow::Result<u64> {
    let url = west.broker.url();
    // It fails while a mirror has not heard its origin.
    let Ok(status) = own.ask(&["mirror", "status", "--nats-url", &url], false).await else {
        return Ok(u64::MAX);
    };
    let mirrors: Vec<Value> = serde_json::from_slice(&status)?;
    Ok(mirrors.iter().filter_map(|mirror| mirror["lag"].as_u64()).max().unwrap_or_default())
}

/// Promised events that are not in every place, by their numbers, and how many of them are in one.
async fn lost(run: &Run) -> anyhow::Result<(Vec<u64>, u64)> {
    let mut missing: BTreeMap<u64, usize> = BTreeMap::new();
    for place in Where::ALL {
        let read = run.read(place).await?;
        read.missing(&run.ledger).for_each(|number| *missing.entry(number).or_default() += 1);
    }
    let torn = missing.values().filter(|places| **places < Where::ALL.len()).count();
    Ok((missing.into_keys().collect(), u64::try_from(torn)?))
}

/// What was promised, but for requests with an event among these.
fn without(all: &Ledger, lost: &[u64], per_request: u64) -> Ledger {
    let lost: HashSet<u64> = lost.iter().map(|number| number / per_request).collect();
    let rest = Ledger::new(all.requests());
    let kept = (0..all.requests()).filter(|request| all.is_promised(*request) && !lost.contains(request));
    kept.for_each(|request| rest.promise(request));
    rest
}
