//! The events that are written: numbered, so that any of them can be asked for.

use std::sync::Arc;

use model::{Batch, CloudEvent, Group, Micros, Stamp, TenantId, Text};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Events of a batch, all of one tenant.
pub(super) const PER_BATCH: u64 = 100;
/// Different bodies; more than a store packs together, so that repetition does not help it.
const BODIES: u64 = 256;
/// 2026-11-21T10:00:00Z.
const BEGIN: Micros = 1_795_255_200_000_000;
/// Between two batches: ten thousand events a second, as a busy tenant sends them.
const STEP_US: Micros = 10_000;

const SOURCE: &str = "/eventrunner-load";
const TYPES: [&str; 6] =
    ["order.placed", "order.paid", "order.packed", "order.sent", "order.kept", "order.returned"];

/// A numbered stream of batches, another in each run.
#[derive(Debug)]
pub(super) struct Rows {
    seed: u64,
    tenants: Vec<TenantId>,
    bodies: Vec<Text>,
}

impl Rows {
    pub(super) fn new(tenants: u64, data_bytes: usize) -> Self {
        let seed: u64 = rand::random();
        let mut rng = StdRng::seed_from_u64(seed);
        let body = |_| {
            let noise: String = (0..data_bytes.saturating_sub(11))
                .map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz012345"[rng.random_range(0..32)]))
                .collect();
            Text::from(format!(r#"{{"note":"{noise}"}}"#))
        };
        let bodies = (0..BODIES).map(body).collect();
        let tenant = |n| format!("load-{seed:016x}-{n}").parse();
        Self { seed, tenants: (0..tenants.max(1)).filter_map(|n| tenant(n).ok()).collect(), bodies }
    }

    /// How many tenants.
    pub(super) fn tenants(&self) -> u64 {
        self.tenants.len() as u64
    }

    /// The tenant of a batch.
    pub(super) fn tenant(&self, batch: u64) -> &TenantId {
        &self.tenants[usize::try_from(batch).unwrap_or_default() % self.tenants.len()]
    }

    /// The identity of an event of a batch.
    pub(super) fn identity(&self, batch: u64, index: u64) -> (&'static str, Text) {
        // As random as a producer's ids are to a store.
        let number = batch * PER_BATCH + index;
        let mixed = (number ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (SOURCE, format!("{mixed:016x}{:016x}", mixed.rotate_left(23) ^ number).into())
    }

    /// When a batch was received.
    pub(super) fn received_at(batch: u64) -> Micros {
        BEGIN + Micros::try_from(batch).unwrap_or_default() * STEP_US
    }

    /// A batch.
    pub(super) fn batch(&self, number: u64) -> Arc<Batch> {
        let at = Self::received_at(number);
        let stamp = Stamp {
            tenant: self.tenant(number).clone(),
            system: "load".parse().unwrap_or_else(|_| unreachable!("a system's id")),
            source: None,
            customer: None,
            received_at_us: at,
            traceparent: format!("00-{:032x}-{number:016x}-01", u128::from(self.seed) + 1).into(),
            protocol: "http".into(),
        };
        let event = |index: u64| {
            let (source, id) = self.identity(number, index);
            let n = usize::try_from(number * PER_BATCH + index).unwrap_or_default();
            let data = self.bodies[n % self.bodies.len()].clone();
            CloudEvent::builder(id, source, TYPES[n % TYPES.len()]).text("application/json", data).build()
        };
        Arc::new(Batch {
            partition: u32::try_from(number % 4).unwrap_or_default(),
            sequence: number + 1,
            stored_at_us: at + 400,
            raw_sequence: number + 1,
            raw_stored_at_us: at + 200,
            normalized_at_us: at + 300,
            groups: vec![Group {
                stamp: stamp.into(),
                events: (0..PER_BATCH).filter_map(|n| event(n).ok()).collect(),
            }],
            streamed: (number * PER_BATCH + 1..=(number + 1) * PER_BATCH).collect(),
            metered: Vec::new(),
        })
    }
}
