//! A rolling restart: SIGTERM of each process in turn, under load; or a rolling upgrade, where each comes back as another build. No
//! request fails, nothing is lost, and each process ends within its grace period.

use std::{
    path::PathBuf,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use oracle::{Fault, What, now_ms};
use serde::Serialize;

use super::Setup;
use crate::{
    build::Upgrade,
    faults::{self, Victim},
    fleet::Own,
    trial::{self, Judged, Outcome, Stage, Trial},
};

/// How long a service may take to end: it drains for 25 s and aborts for 3 s (`runtime::lifecycle::StopOptions`).
const SERVICE_GRACE: Duration = Duration::from_secs(30);
/// The same of the whole fleet, one part after the other.
const FLEET_GRACE: Duration = Duration::from_secs(55);
/// How long a process may take to be ready again.
const READY: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(5);

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events to send
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// How often each process is restarted
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// What is restarted, as names begin [default: the fleet in one process; else each service, and each of three nodes of
    /// the broker]
    #[arg(long, value_delimiter = ',')]
    victims: Vec<String>,
    /// Another build of the fleet, as which each process comes back: a rolling upgrade, or downgrade
    #[arg(long, value_name = "FILE", requires = "processes")]
    upgrade_to: Option<PathBuf>,
}

/// What one restart took.
#[derive(Debug, Serialize)]
struct Restarted {
    name: String,
    /// From SIGTERM to the end of the process.
    end_ms: u64,
    /// Until its successor was ready.
    ready_ms: u64,
    in_time: bool,
    /// Requests that failed meanwhile.
    failed: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    restarts: usize,
    /// Whether another build came back.
    upgraded: bool,
    /// Requests that got an error, or no answer after they were sent.
    failed: u64,
    /// Requests that found no connection, and were sent again.
    unsent: u64,
    /// The longest that a process took to end.
    end_ms_max: u64,
    late: usize,
    #[serde(flatten)]
    judged: Judged,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    let to = options.upgrade_to.take();
    let upgrade = to.map(|to| Upgrade::prepare(&mut options.setup.fleet, &to)).transpose()?;
    let steady = options.setup.steady(options.events);
    let trial = Trial {
        // How many things are done is known only when the fleet runs; this one does not hurry them.
        limit: None,
        patience: FLEET_GRACE,
        ..steady
    };
    let (outcome, restarted) =
        trial::run(trial, async |stage| restart(&options, upgrade.as_ref(), stage).await).await?;
    for Restarted { name, end_ms, ready_ms, failed, .. } in &restarted {
        println!("{name:<14} {end_ms:>6} ms to end, {ready_ms:>6} ms until ready, {failed} requests failed");
    }
    outcome.print();
    let report = Report {
        scenario: "restart",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        restarts: restarted.len(),
        upgraded: upgrade.is_some(),
        failed: failures(&outcome),
        unsent: outcome.answers.unsent.load(Relaxed),
        end_ms_max: restarted.iter().map(|one| one.end_ms).max().unwrap_or_default(),
        late: restarted.iter().filter(|one| !one.in_time).count(),
        judged: outcome.judged(),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(outcome.verdicts.is_explained() && report.failed == 0 && report.late == 0)
}

fn failures(outcome: &Outcome) -> u64 {
    outcome.answers.refused() + outcome.answers.unanswered()
}

async fn restart(
    options: &Options,
    upgrade: Option<&Upgrade>,
    stage: &mut Stage,
) -> anyhow::Result<Vec<Restarted>> {
    upgrade.map_or(Ok(()), |upgrade| upgrade.replace(&stage.own))?;
    let processes = options.setup.fleet.processes;
    let mut victims = Victim::named(&options.victims, &mut stage.own, processes)?;
    if options.victims.is_empty() {
        // A broker that is alone cannot be restarted without an outage: that is another scenario.
        let alone = options.setup.fleet.nats_nodes < 3;
        victims.retain(|victim| !(alone && matches!(victim, Victim::Member { is_broker: true, .. })));
    }
    let count = u64::try_from(victims.len())? * options.rounds;
    let mut all = Vec::new();
    for (number, victim) in (1..=count).zip(victims.iter().cycle()) {
        stage.moment(number, count).await;
        eprintln!("restart {number} of {count}: {}", victim.name());
        let before = stage.answers.refused() + stage.answers.unanswered();
        let mut restarted = match victim {
            Victim::Fleet => whole_fleet(&mut stage.own).await?,
            Victim::Member { name, is_broker } => {
                let upgrade = upgrade.filter(|_| !is_broker);
                member(&stage.own, name, *is_broker, upgrade).await?
            }
            Victim::Cql | Victim::Clickhouse | Victim::Clock => {
                anyhow::bail!("{} is not restarted here", victim.name())
            }
        };
        restarted.failed = stage.answers.refused() + stage.answers.unanswered() - before;
        all.push(restarted);
        let broker = matches!(victim, Victim::Fleet | Victim::Member { is_broker: true, .. });
        let what = if broker { What::Broker } else { What::Service };
        stage.did(Fault { at_ms: now_ms(), what });
    }
    Ok(all)
}

async fn whole_fleet(own: &mut Own) -> anyhow::Result<Restarted> {
    let began = Instant::now();
    let (took, finished) = own.terminate().await?;
    own.restart().await?;
    Ok(Restarted {
        name: "fleet".to_owned(),
        end_ms: millis(took),
        ready_ms: millis(began.elapsed()),
        in_time: finished && took < FLEET_GRACE,
        failed: 0,
    })
}

async fn member(
    own: &Own,
    name: &str,
    is_broker: bool,
    upgrade: Option<&Upgrade>,
) -> anyhow::Result<Restarted> {
    let pid = faults::running(own, name).await?;
    let began = Instant::now();
    faults::signal(pid, "TERM")?;
    while faults::is_running(pid) {
        ensure!(began.elapsed() < READY, "{name} does not end");
        tokio::time::sleep(LOOK).await;
    }
    let took = began.elapsed();
    let successor = faults::running(own, name).await?;
    upgrade.map_or(Ok(()), |upgrade| upgrade.ensure_replaced(name, successor))?;
    let members = own.members();
    let admin = members.iter().find(|member| member.name == name).map(|member| member.admin_url.as_str());
    let path = if is_broker { "healthz" } else { "healthz/ready" };
    let url = format!("{}/{path}", admin.unwrap_or_default());
    let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
    while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        ensure!(began.elapsed() < READY, "{name} does not get ready");
        tokio::time::sleep(LOOK).await;
    }
    Ok(Restarted {
        name: name.to_owned(),
        end_ms: millis(took),
        ready_ms: millis(began.elapsed()),
        in_time: took < SERVICE_GRACE,
        failed: 0,
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
