//! The service: look at the clock, do what is due.

use std::{sync::Arc, time::Duration};

use billing::{Biller, Ledger};
use bus::{Accept, Bus};
use catalog::Catalog;
use model::{Clock, Micros, SystemClock};
use runtime::{
    lifecycle::{Context, Shutdown},
    metrics::{self, IntCounter, Metric},
};
use store::{EventStore, Stores, UsageStore};

use crate::{Options, close::Done, storage::Hours, thresholds::Crossed};

const NAME: &str = "billing";
pub(crate) const HOUR_US: Micros = 3_600_000_000;
/// How often readiness looks at the broker.
const LOOK: Duration = Duration::from_secs(1);

/// Billing, put together and not yet running.
pub struct Service(Worker);

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// What the work needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) options: Options,
    pub(crate) bus: Bus,
    pub(crate) catalog: Catalog,
    pub(crate) events: Arc<dyn EventStore>,
    pub(crate) usage: Arc<dyn UsageStore>,
    pub(crate) accept: Arc<dyn Accept>,
    pub(crate) biller: Biller,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Service {
    /// Puts it together.
    ///
    /// # Errors
    /// If an option is impossible.
    pub fn new(
        options: Options,
        bus: Bus,
        catalog: Catalog,
        stores: &Stores,
        accept: Arc<dyn Accept>,
    ) -> Result<Self, String> {
        options.check()?;
        let biller = Biller::new(Ledger::new(&bus), stores.usage.clone());
        let (events, usage) = (stores.events.clone(), stores.usage.clone());
        let worker =
            Worker { options, bus, catalog, events, usage, accept, biller, clock: Arc::new(SystemClock) };
        for what in ["invoices", "storage", "events", "thresholds"] {
            drop((worker.done(what), worker.failed(what)));
        }
        Ok(Self(worker))
    }

    /// By another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.0.clock = clock;
        self
    }

    /// Starts to work in tasks of `context`, until it drains.
    pub fn start(self, context: &Context) {
        let Self(worker) = self;
        let component = context.health().component(NAME);
        component.started();
        let (bus, draining) = (worker.bus.clone(), context.shutdown().draining.clone());
        context.spawn(async move {
            let mut ticks = tokio::time::interval(LOOK);
            loop {
                tokio::select! {
                    () = draining.cancelled() => return,
                    _ = ticks.tick() => component.ready(bus.is_connected(), "the broker is away"),
                }
            }
        });
        let (invoices, credit_notes) = (worker.clone(), worker.clone());
        context.spawn(until(context.shutdown().clone(), invoices.tell_invoices()));
        context.spawn(until(context.shutdown().clone(), credit_notes.tell_credit_notes()));
        context.spawn(until(context.shutdown().clone(), worker.run()));
    }
}

/// All of it may be stopped anywhere.
async fn until(shutdown: Shutdown, work: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown.draining.cancelled() => {}
        () = work => {}
    }
}

impl Worker {
    async fn run(self) {
        let mut looks = tokio::time::interval(Duration::from_secs(self.options.look_interval_seconds));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut done, mut crossed) = (Done::default(), Crossed::default());
        let mut hours = Hours::until(self.clock.now());
        let looked = metrics::gauge(Metric::BillingLookTime, &[]);
        loop {
            looks.tick().await;
            self.meter_storage(&mut hours, self.clock.now()).await;
            self.close(&mut done, self.clock.now()).await;
            self.watch_accounts(&mut crossed, self.clock.now()).await;
            #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970")]
            looked.set(self.clock.now() as f64 / 1e6);
        }
    }

    pub(crate) fn done(&self, what: &str) -> IntCounter {
        metrics::counter(Metric::BillingTasks, &[what, "done"])
    }

    pub(crate) fn failed(&self, what: &str) -> IntCounter {
        metrics::counter(Metric::BillingTasks, &[what, "failed"])
    }
}
