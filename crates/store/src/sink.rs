//! Storing and metering a batch in one call.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use model::Batch;

use crate::{Erasure, Error, EventStore, UsageStore, records_of};

/// Stores a batch and meters it. The engine's one call.
#[async_trait]
pub trait Sink: Send + Sync + fmt::Debug + 'static {
    /// Returns when every event of the batch is stored once and metered once, durably.
    ///
    /// # Errors
    /// If that is not known; write the same batch again.
    async fn write(&self, batch: Arc<Batch>) -> Result<(), Error>;
}

/// The stores of a fleet.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Reading events back.
    pub events: Arc<dyn EventStore>,
    /// Reading usage back, and metering what is not an event.
    pub usage: Arc<dyn UsageStore>,
    /// Storing and metering batches.
    pub sink: Arc<dyn Sink>,
    /// Taking away, from events and usage alike.
    pub erasure: Arc<dyn Erasure>,
}

impl Stores {
    /// Stores in which events and usage are kept apart. `erasure` takes away from both: see
    /// [`EraseAll`](crate::EraseAll).
    #[must_use]
    pub fn separate(
        events: Arc<dyn EventStore>,
        usage: Arc<dyn UsageStore>,
        erasure: Arc<dyn Erasure>,
    ) -> Self {
        let sink = Arc::new(Separate { events: Arc::clone(&events), usage: Arc::clone(&usage) });
        Self { events, usage, sink, erasure }
    }
}

/// A sink over two stores: usage is written after the events, when it is known which of them were kept.
#[derive(Debug)]
pub struct Separate {
    events: Arc<dyn EventStore>,
    usage: Arc<dyn UsageStore>,
}

#[async_trait]
impl Sink for Separate {
    async fn write(&self, batch: Arc<Batch>) -> Result<(), Error> {
        let written = self.events.write(Arc::clone(&batch)).await?;
        self.usage.write(records_of(&batch, &written).collect()).await
    }
}
