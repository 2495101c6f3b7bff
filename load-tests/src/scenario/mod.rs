//! What can be run.

pub(crate) mod accept;
pub(crate) mod backlog;
pub(crate) mod catalog;
pub(crate) mod changes;
pub(crate) mod chaos;
pub(crate) mod idle;
pub(crate) mod invoices;
pub(crate) mod latency;
pub(crate) mod mirror;
pub(crate) mod order;
pub(crate) mod outage;
pub(crate) mod path;
pub(crate) mod restart;
pub(crate) mod restore;
pub(crate) mod sizing;
pub(crate) mod soak;
pub(crate) mod stores;
pub(crate) mod stream;
pub(crate) mod tenants;
pub(crate) mod traced;

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use oracle::{Access, Door, Load, Manner, Shape};

use crate::{
    fleet::{Durability, FleetArgs, Own},
    trial::Trial,
};

/// Partition keys of each connection, where the order is judged.
const KEYS: u64 = 4;
/// Events a second, where a fleet is to be struck while it works and not while it is behind.
pub(crate) const STEADY: f64 = 5_000.0;

/// Bytes of an event's data unless something else is asked for.
const DATA_BYTES: usize = 512;
/// How long an answer may take unless something else is asked for.
const DEADLINE_SECONDS: u64 = 15;

/// What every scenario sends.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Events in one request [default: 100; 1 where single events are measured]
    #[arg(long)]
    pub(crate) batch: Option<u64>,
    /// Bytes of each event's data
    #[arg(long, default_value_t = DATA_BYTES)]
    pub(crate) data_bytes: usize,
    /// Connections, each with one request under way [default: 16; 64 where single events are measured]
    #[arg(long)]
    pub(crate) connections: Option<usize>,
    /// Ways in, dealt to the connections in turn [default: http; every one where something is done to the fleet]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) doors: Vec<Door>,
    /// Events a second, whether answers come or not [default: as fast as they come; 5000 where something is done to the fleet]
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Partition keys of each connection [default: none; 4 where something is done to the fleet]
    #[arg(long)]
    pub(crate) keys: Option<u64>,
    /// How long an answer may take, in seconds
    #[arg(long, default_value_t = DEADLINE_SECONDS)]
    pub(crate) deadline_seconds: u64,
    /// Makes the events, and whatever is random about a scenario, the same again
    #[arg(long)]
    seed: Option<u64>,
}

/// What every scenario that measures or strikes a fleet is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct Setup {
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// What "accepted" promises
    #[arg(long, value_enum, default_value_t = Durability::Disk)]
    pub(crate) durability: Durability,
}

impl Setup {
    /// A fleet of the scenario's own, which can be given tenants.
    pub(crate) async fn own(&self) -> anyhow::Result<(Own, Access)> {
        ensure!(
            self.fleet.context.is_none(),
            "several tenants are needed: only a fleet of this scenario's own will do"
        );
        Box::pin(Own::start(&self.fleet, self.durability)).await
    }

    /// A steady load through every door, unless something else is asked for, on a fleet that is to be struck.
    pub(crate) fn steady(&mut self, events: u64) -> Trial {
        self.fleet.checked.get_or_insert_with(|| self.fleet.context.is_none());
        let (load, requests) = self.load.steady(events);
        Trial {
            fleet: self.fleet.clone(),
            durability: self.durability,
            load,
            requests,
            manner: self.load.manner(0),
            rate: self.load.requests_per_second(),
            limit: None,
            patience: Duration::ZERO,
            prepare: None,
        }
    }
}

impl LoadArgs {
    /// So many events with keys, at a rate that a fleet keeps up with, unless something else is asked for; and how many requests they take.
    pub(crate) fn steady(&mut self, events: u64) -> (Load, u64) {
        self.keys.get_or_insert(KEYS);
        self.rate.get_or_insert(STEADY);
        self.load(events)
    }

    /// Batches through the HTTP door, as fast as they come.
    pub(crate) fn batches() -> Self {
        Self {
            batch: None,
            data_bytes: DATA_BYTES,
            connections: None,
            doors: vec![Door::Http],
            rate: None,
            keys: None,
            deadline_seconds: DEADLINE_SECONDS,
            seed: None,
        }
    }

    /// The seed, from here on the same.
    pub(crate) fn seed(&mut self) -> u64 {
        *self.seed.get_or_insert_with(|| u64::from(rand::random::<u32>()))
    }

    /// Single events through the HTTP door, unless something else is asked for.
    pub(crate) fn prefer_single(&mut self) {
        self.batch.get_or_insert(1);
        self.connections.get_or_insert(64);
        self.prefer_http();
    }

    /// The HTTP door, unless another is asked for.
    pub(crate) fn prefer_http(&mut self) {
        if self.doors.is_empty() {
            self.doors = vec![Door::Http];
        }
    }

    /// Events in one request.
    pub(crate) fn batch(&self) -> u64 {
        self.batch.unwrap_or(100).max(1)
    }

    /// Requests under way.
    pub(crate) fn connections(&self) -> usize {
        self.connections.unwrap_or(16)
    }

    /// The load, different in each run without a seed, and the requests that carry `events` of it.
    pub(crate) fn load(&self, events: u64) -> (Load, u64) {
        let per_request = self.batch();
        let shape = Shape { per_request, data_bytes: self.data_bytes, keys: self.keys.unwrap_or_default() };
        (Load::new(self.seed.unwrap_or_else(rand::random), shape), events.div_ceil(per_request))
    }

    /// How it is sent, through every door where none is chosen.
    pub(crate) fn manner(&self, give_up_one_in: u64) -> Manner {
        let all = [Door::Http, Door::Grpc, Door::Stream];
        Manner {
            doors: if self.doors.is_empty() { all.to_vec() } else { self.doors.clone() },
            lanes: self.connections(),
            deadline: Duration::from_secs(self.deadline_seconds.max(1)),
            give_up_one_in,
            tries: None,
            key_settles: Duration::ZERO,
        }
    }

    /// The rate in requests.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub(crate) fn requests_per_second(&self) -> Option<f64> {
        self.rate.map(|events| events / self.batch() as f64)
    }
}

/// Events a second.
pub(crate) fn rate(events: u64, span: Duration) -> u64 {
    u64::try_from(u128::from(events) * 1_000_000 / span.as_micros().max(1)).unwrap_or(u64::MAX)
}

/// A part, to two digits.
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub(crate) fn ratio(one: u64, other: u64) -> f64 {
    hundredths(one as f64 / other.max(1) as f64)
}

/// To two digits, for people.
pub(crate) fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
