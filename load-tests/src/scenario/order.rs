//! The order of partition keys while several normalizers and engines take over from each other: killed, or hanging for longer
//! than the broker waits before it gives a partition to another, and waking up when that one works.

use std::{ops::RangeInclusive, time::Duration};

use clap::Args;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use super::Setup;
use crate::{
    faults::Victim,
    trial::{self, Judged, Stage, Trial},
};

/// How many processes of each there are, where nobody says.
const REPLICAS: &str = "normalizer=3,engine=3";
/// What is struck in a fleet of processes.
const OWNERS: [&str; 2] = ["normalizer", "engine"];

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events to send
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// How often a process is killed or hangs, by turns and at equal parts of the way
    #[arg(long, default_value_t = 20)]
    faults: u64,
    /// The least and the most that a process hangs, in milliseconds; a partition goes to another after 2000
    /// (topology.pin_timeout_ms)
    #[arg(long, value_name = "LEAST,MOST", default_value = "2500,6000", value_parser = span)]
    pause_ms: RangeInclusive<u64>,
    /// What is struck, as names begin [default: normalizer, engine; the fleet where it is one process]
    #[arg(long, value_delimiter = ',')]
    victims: Vec<String>,
}

/// Two numbers, the lesser first, with a comma between them.
fn span(text: &str) -> Result<RangeInclusive<u64>, String> {
    let ends = text.split_once(',').and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?)));
    match ends {
        Some((least, most)) if least <= most => Ok(least..=most),
        _ => Err("it takes two numbers, the lesser first, such as 2500,6000".into()),
    }
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    seed: u64,
    kills: u64,
    pauses: u64,
    #[serde(flatten)]
    judged: Judged,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    let seed = options.setup.load.seed();
    if options.setup.fleet.processes {
        options.setup.fleet.replicas.get_or_insert_with(|| REPLICAS.to_owned());
    }
    if options.victims.is_empty() {
        let owners = if options.setup.fleet.processes { OWNERS.as_slice() } else { &["fleet"] };
        options.victims = owners.iter().map(|&name| name.to_owned()).collect();
    }
    let steady = options.setup.steady(options.events);
    let trial = Trial {
        limit: Some(Stage::first_limit(steady.requests, options.faults)),
        patience: Duration::from_millis(*options.pause_ms.end()),
        ..steady
    };
    let (outcome, kills) = trial::run(trial, async |stage| strike(&options, seed, stage).await).await?;
    outcome.print();
    let report = Report {
        scenario: "order",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        seed,
        kills,
        pauses: options.faults - kills,
        judged: outcome.judged(),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(outcome.verdicts.is_explained())
}

/// How many were killed; the others hung.
async fn strike(options: &Options, seed: u64, stage: &mut Stage) -> anyhow::Result<u64> {
    let victims = Victim::named(&options.victims, &mut stage.own, options.setup.fleet.processes)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut kills = 0;
    for number in 1..=options.faults {
        let victim = &victims[rng.random_range(0..victims.len())];
        stage.moment(number, options.faults).await;
        let fault = if number.is_multiple_of(2) {
            eprintln!("{number} of {}: killing {}", options.faults, victim.name());
            kills += 1;
            victim.kill(&mut stage.own, Duration::ZERO).await?
        } else {
            let span = Duration::from_millis(rng.random_range(options.pause_ms.clone()));
            eprintln!("{number} of {}: {} hangs for {} ms", options.faults, victim.name(), span.as_millis());
            victim.pause(&mut stage.own, span).await?
        };
        stage.did(fault);
        stage.go_on(number, options.faults);
    }
    Ok(kills)
}
