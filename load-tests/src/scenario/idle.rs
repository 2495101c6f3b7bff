//! What a fleet without anything to do takes: processor time and memory.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use crate::{
    cpu,
    fleet::{Durability, FleetArgs, Member, Own},
    memory,
};

/// After which the start is over and done with.
const SETTLE: Duration = Duration::from_secs(10);

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    fleet: FleetArgs,
    /// What "accepted" promises
    #[arg(long, value_enum, default_value_t = Durability::Disk)]
    durability: Durability,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The most that the fleet and its broker may take of one core, in percent
    #[arg(long, default_value_t = 1.0)]
    cpu_percent_max: f64,
    /// The most memory that the fleet may hold without its broker, in megabytes
    #[arg(long, default_value_t = 100)]
    memory_mb_max: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    seconds: u64,
    /// Of one core.
    cpu_percent: f64,
    /// Of that, the broker's.
    broker_cpu_percent: f64,
    memory_mb: u64,
    broker_memory_mb: u64,
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    ensure!(
        options.fleet.context.is_none(),
        "only a fleet of this scenario's own has nothing to do: leave --context out"
    );
    let (own, _) = Box::pin(Own::start(&options.fleet, options.durability)).await?;
    tokio::time::sleep(SETTLE).await;
    let processes = own.processes();
    let brokers: Vec<_> =
        own.members().into_iter().filter(Member::is_broker).map(|broker| broker.name).collect();
    let used = || processes.iter().map(|(_, pid)| cpu::used(*pid).unwrap_or_default()).collect::<Vec<_>>();
    let span = Duration::from_secs(options.seconds.max(1));
    let before = used();
    tokio::time::sleep(span).await;
    let (after, held) = (used(), memory::held(&processes));
    own.stop().await?;
    let (mut cpu, mut memory) = ([0.0; 2], [0; 2]);
    for ((name, megabytes), (before, after)) in held.iter().zip(before.iter().zip(&after)) {
        let percent = after.saturating_sub(*before).as_secs_f64() * 100.0 / span.as_secs_f64();
        println!("{name:<20} {percent:>5.2} % of a core, {megabytes:>5} MB");
        let of = usize::from(brokers.contains(name));
        cpu[of] += percent;
        memory[of] += megabytes;
    }
    let [fleet_cpu, broker_cpu] = cpu;
    let rounded = |percent: f64| (percent * 100.0).round() / 100.0;
    let report = Report {
        scenario: "idle",
        durability: options.durability.as_str(),
        form: options.fleet.form(),
        seconds: options.seconds,
        cpu_percent: rounded(fleet_cpu + broker_cpu),
        broker_cpu_percent: rounded(broker_cpu),
        memory_mb: memory[0],
        broker_memory_mb: memory[1],
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(report.cpu_percent < options.cpu_percent_max && report.memory_mb < options.memory_mb_max)
}
