//! SIGKILL of everything, in turn and at random, under steady load through each door. Every event that was promised must be
//! in the event store, the usage store and the tenant's stream afterwards, and in the two stores once.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use clap::Args;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use super::Setup;
use crate::{
    faults::Victim,
    trial::{self, Judged, Stage, Trial},
};

/// Of requests in doubt, one in so many is not sent again: a producer may die too.
const GIVE_UP_ONE_IN: u64 = 8;

/// What is under way when a broker dies may come to a tenant stream twice, and only that. More than so many events for each
/// kill are no accident: nothing recognizes what comes again.
const DOUBLES_PER_KILL_MAX: u64 = 100;

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events to send
    #[arg(long, default_value_t = 500_000)]
    events: u64,
    /// How often something is killed, at equal parts of the way: each victim once, then any of them at random
    #[arg(long, default_value_t = 60)]
    kills: u64,
    /// What is killed: fleet, cql, clickhouse, clock (which is stepped, see --faketime), or how names of processes begin, such as engine or nats-server-2 [default: each
    /// service and each node of the broker]
    #[arg(long, value_delimiter = ',')]
    victims: Vec<String>,
    /// How long cql and clickhouse stay away, in seconds
    #[arg(long, default_value_t = 0)]
    away_seconds: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    seed: u64,
    kills: u64,
    /// Requests whose outcome a kill left unknown.
    sent_again: u64,
    /// Attempts that found no connection.
    unsent: u64,
    #[serde(flatten)]
    judged: Judged,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    let seed = options.setup.load.seed();
    let steady = options.setup.steady(options.events);
    let trial = Trial {
        manner: options.setup.load.manner(GIVE_UP_ONE_IN),
        limit: Some(Stage::first_limit(steady.requests, options.kills)),
        patience: Duration::from_secs(options.away_seconds),
        ..steady
    };
    let (outcome, ()) = trial::run(trial, async |stage| kill(&options, seed, stage).await).await?;
    outcome.print();
    let report = Report {
        scenario: "chaos",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        seed,
        kills: options.kills,
        sent_again: outcome.answers.unanswered(),
        unsent: outcome.answers.unsent.load(Relaxed),
        judged: outcome.judged(),
    };
    println!("{}", serde_json::to_string(&report)?);
    let few = report.judged.stream_doubled <= options.kills * DOUBLES_PER_KILL_MAX;
    Ok(outcome.verdicts.is_explained() && few)
}

async fn kill(options: &Options, seed: u64, stage: &mut Stage) -> anyhow::Result<()> {
    let victims = Victim::named(&options.victims, &mut stage.own, options.setup.fleet.processes)?;
    let mut rng = StdRng::seed_from_u64(seed);
    for kill in 1..=options.kills {
        let in_turn = usize::try_from(kill - 1)?;
        let victim = victims.get(in_turn).unwrap_or_else(|| &victims[rng.random_range(0..victims.len())]);
        stage.moment(kill, options.kills).await;
        eprintln!("kill {kill} of {}: {}", options.kills, victim.name());
        let fault = victim.kill(&mut stage.own, Duration::from_secs(options.away_seconds)).await?;
        stage.did(fault);
        stage.go_on(kill, options.kills);
    }
    Ok(())
}
