//! The service: pull, work, ack.

use std::sync::Arc;

use bus::{Bus, Stage, topology};
use catalog::Catalog;
use runtime::{
    lifecycle::Context,
    metrics::{self, Metric},
};
use store::Sink;

use crate::{Options, effects::Effects, worker::EngineWorker};

pub(crate) const NAME: &str = "engine";

/// The engine, put together and not yet running.
#[derive(Debug)]
pub struct Service {
    options: Options,
    bus: Bus,
    catalog: Catalog,
    sink: Arc<dyn Sink>,
    partitions: u32,
}

impl Service {
    /// Puts an engine together. `sink` stores and meters; `partitions` is the topology's.
    #[must_use]
    pub fn new(options: Options, bus: Bus, catalog: Catalog, sink: Arc<dyn Sink>, partitions: u32) -> Self {
        Self { options, bus, catalog, sink, partitions }
    }

    /// Starts to work in tasks of `context`, until it drains.
    ///
    /// # Errors
    /// If the other engines cannot be met.
    pub async fn start(self, context: &Context) -> Result<(), bus::Error> {
        let health = context.health().component(NAME);
        let effects = Effects::new(self.bus.clone(), self.catalog, self.sink, health.clone());
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
                received: received.clone(),
            })
            .await
    }
}
