//! The service: pull, work, ack.

use bus::{Bus, Stage, topology};
use catalog::Catalog;
use runtime::{
    lifecycle::Context,
    metrics::{self, Metric},
};
use store::Stores;

use crate::{Options, effects::Effects, mend::Mender, worker::EngineWorker};

pub(crate) const NAME: &str = "engine";

/// The engine, put together and not yet running.
#[derive(Debug)]
pub struct Service {
    options: Options,
    bus: Bus,
    catalog: Catalog,
    stores: Stores,
    partitions: u32,
}

impl Service {
    /// Puts an engine together; `partitions` is the topology's.
    #[must_use]
    pub fn new(options: Options, bus: Bus, catalog: Catalog, stores: Stores, partitions: u32) -> Self {
        Self { options, bus, catalog, stores, partitions }
    }

    /// Starts to work in tasks of `context`, until it drains.
    ///
    /// # Errors
    /// If the other engines cannot be met.
    pub async fn start(self, context: &Context) -> Result<(), bus::Error> {
        let health = context.health().component(NAME);
        let effects = Effects::new(self.bus.clone(), self.catalog.clone(), self.stores.sink, health.clone());
        let mender = Mender {
            bus: self.bus.clone(),
            catalog: self.catalog,
            events: self.stores.events,
            effects: effects.clone(),
            mended: metrics::counter(Metric::EngineMendedEvents, &[]),
            under_way_max: self.options.reader.in_flight_max.max(1),
        };
        let received = metrics::counter(Metric::ConsumerReceivedEvents, &[NAME]);
        let stage = Stage {
            name: NAME,
            stream: topology::EVENTS,
            partitions: self.partitions,
            reader: self.options.reader,
            members: self.options.members,
        };
        stage
            .start(&self.bus, context, &health, |_| EngineWorker {
                bus: self.bus.clone(),
                effects: effects.clone(),
                mender: mender.clone(),
                received: received.clone(),
            })
            .await
    }
}
