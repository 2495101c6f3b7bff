//! The service: pull, work, ack.

use std::sync::Arc;

use bus::{Bus, Stage, pipe::Pipe, topology};
use catalog::Catalog;
use runtime::{
    lifecycle::Context,
    metrics::{self, Metric},
};
use store::{Sink, Stores};

use crate::{
    Options,
    effects::Effects,
    housekeeping::Housekeeper,
    mend::Mender,
    metering::{self, MeterWorker, UsageQueue},
    read_back::ReadBack,
    worker::EngineWorker,
};

pub(crate) const NAME: &str = "engine";

/// The engine, put together and not yet running.
#[derive(Debug)]
pub struct Service {
    options: Options,
    bus: Bus,
    catalog: Catalog,
    stores: Stores,
    partitions: u32,
    queues_usage: bool,
}

impl Service {
    /// Puts an engine together; `partitions` is the topology's.
    #[must_use]
    pub fn new(options: Options, bus: Bus, catalog: Catalog, stores: Stores, partitions: u32) -> Self {
        Self { options, bus, catalog, stores, partitions, queues_usage: false }
    }

    /// Lets usage wait in the stream `USAGE` for a store of its own, so that an outage of that store stops no event.
    #[must_use]
    pub fn queueing_usage(mut self) -> Self {
        self.queues_usage = true;
        self
    }

    /// Starts to work in tasks of `context`, until it drains.
    ///
    /// # Errors
    /// If the other engines cannot be met.
    pub async fn start(self, context: &Context) -> Result<(), bus::Error> {
        let health = context.health().component(NAME);
        let housekeeper = Housekeeper::new(
            self.options.housekeeping.clone(),
            self.bus.clone(),
            self.catalog.clone(),
            self.stores.clone(),
        );
        context.spawn(housekeeper.run(context.shutdown().clone()));
        let sink = if self.queues_usage { self.start_metering(context).await? } else { self.stores.sink };
        let streams = ReadBack::new(self.bus.clone(), self.catalog.clone());
        let effects =
            Effects::new(Pipe::open(&self.bus), streams.clone(), self.catalog, sink, health.clone());
        let mender = Mender {
            bus: self.bus.clone(),
            streams,
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

    /// Starts to move usage from the stream into its store. Gives the sink that fills the stream.
    async fn start_metering(&self, context: &Context) -> Result<Arc<dyn Sink>, bus::Error> {
        let Stores { events, usage, erasure, .. } = self.stores.clone();
        let health = context.health().component(metering::NAME);
        let stage = Stage {
            name: metering::NAME,
            stream: topology::USAGE,
            partitions: self.partitions,
            reader: self.options.metering.clone(),
            members: self.options.members.clone(),
        };
        let worker = MeterWorker::new(self.bus.clone(), Arc::clone(&usage), health.clone());
        stage.start(&self.bus, context, &health, |_| worker.clone()).await?;
        let queue = UsageQueue::new(self.bus.clone(), self.partitions, usage);
        Ok(Stores::separate(events, Arc::new(queue), erasure).sink)
    }
}
