//! One partition's worker: decode, begin the effects in order, finish them beside those of later messages.

use async_trait::async_trait;
use bus::{
    Bus, Turn, dead,
    reader::{Incoming, Work, Worker},
};
use model::Batch;
use prost::Message as _;
use proto::hops;
use runtime::metrics::IntCounter;

use crate::{effects::Effects, mend::Mender, service::NAME};

#[derive(Debug)]
pub(crate) struct EngineWorker {
    pub(crate) bus: Bus,
    pub(crate) effects: Effects,
    pub(crate) mender: Mender,
    pub(crate) received: IntCounter,
}

#[async_trait]
impl Worker for EngineWorker {
    async fn prepare(&mut self, partition: u32) {
        self.mender.mend(partition).await;
    }

    async fn begin(&mut self, message: Incoming, turn: Turn) -> Work {
        match decode(&message) {
            // A door tries out whether the broker takes messages.
            Ok(batch) if batch.is_empty() => Box::pin(async {}),
            Ok(batch) => {
                self.received.inc_by(u64::try_from(batch.len()).unwrap_or_default());
                let begun = self.effects.begin(turn, batch, Some(message.payload)).await;
                Box::pin(self.effects.clone().finish(begun))
            }
            Err(reason) => {
                let outgoing = dead::bury(&self.bus, NAME, message, reason).await;
                Box::pin(async move {
                    outgoing.settled().await;
                })
            }
        }
    }
}

fn decode(message: &Incoming) -> Result<Batch, String> {
    let wire = hops::EventBatch::decode(message.payload.clone()).map_err(|e| e.to_string())?;
    proto::batch_from_wire(wire, message.partition, message.sequence, message.stored_at_us)
        .map_err(|e| e.to_string())
}
