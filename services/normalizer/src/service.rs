//! The service: pull, normalize, publish, ack.

use bus::{Bus, Stage, topology};
use catalog::Catalog;
use runtime::lifecycle::Context;

use crate::{Options, worker::NormalizerWorker};

pub(crate) const NAME: &str = "normalizer";

/// The normalizer, put together and not yet running.
#[derive(Debug)]
pub struct Service {
    options: Options,
    bus: Bus,
    catalog: Catalog,
    partitions: u32,
}

impl Service {
    /// Puts a normalizer together; `partitions` is the topology's.
    #[must_use]
    pub fn new(options: Options, bus: Bus, catalog: Catalog, partitions: u32) -> Self {
        Self { options, bus, catalog, partitions }
    }

    /// Starts to work in tasks of `context`, until it drains.
    ///
    /// # Errors
    /// If the other normalizers cannot be met.
    pub async fn start(self, context: &Context) -> Result<(), bus::Error> {
        let health = context.health().component(NAME);
        let stage = Stage {
            name: NAME,
            stream: topology::RAW,
            partitions: self.partitions,
            reader: self.options.reader,
            members: self.options.members,
        };
        let (bus, catalog) = (self.bus, self.catalog);
        stage.start(&bus, context, &health, |_| NormalizerWorker::new(bus.clone(), catalog.clone())).await
    }
}
