//! Reads tenant streams back: is an event where the broker said it is?

use async_nats::jetstream::stream::DirectGetErrorKind;
use bus::{Bus, topology};
use catalog::Catalog;
use model::{CloudEvent, Stamp};
use proto::packed;

use crate::tenant_stream::placement;

/// The broker did not answer; trying again is right.
#[derive(Debug, thiserror::Error)]
#[error("the broker does not answer: {0}")]
pub(crate) struct NoAnswer(String);

/// The streams, to be read. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ReadBack {
    bus: Bus,
    catalog: Catalog,
}

/// The packed message looked at last: the events of a batch share one.
#[derive(Debug, Default)]
pub(crate) struct LastPack(Option<Pack>);

#[derive(Debug)]
struct Pack {
    stream: String,
    sequence: u64,
    events: Vec<CloudEvent>,
}

impl Pack {
    fn holds(&self, event: &CloudEvent) -> bool {
        self.events.iter().any(|held| held.id() == event.id() && held.source() == event.source())
    }
}

impl ReadBack {
    pub(crate) fn new(bus: Bus, catalog: Catalog) -> Self {
        Self { bus, catalog }
    }

    /// The stream that a tenant's events go to.
    pub(crate) fn stream_of(&self, stamp: &Stamp) -> String {
        topology::tenant_stream(placement(&self.catalog.snapshot(), stamp))
    }

    /// Whether the stream holds this event at this sequence, or has let go of it by its own limits.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub(crate) async fn is_there(
        &self,
        stamp: &Stamp,
        event: &CloudEvent,
        sequence: u64,
        last: &mut LastPack,
    ) -> Result<bool, NoAnswer> {
        let name = self.stream_of(stamp);
        if let Some(pack) = last.0.as_ref().filter(|pack| pack.stream == name && pack.sequence == sequence) {
            return Ok(pack.holds(event));
        }
        // Without asking the broker about the stream: an event a message, that would double the requests.
        let stream = self.bus.jetstream().get_stream_no_info(&name).await;
        let stream = stream.map_err(|e| NoAnswer(e.to_string()))?;
        match stream.direct_get(sequence).await {
            Ok(message) if message.headers.get("ce-id").is_none() => {
                // What cannot be read is not the event.
                let events = packed::unpack(message.payload).unwrap_or_default();
                Ok(last.0.insert(Pack { stream: name, sequence, events }).holds(event))
            }
            Ok(message) => {
                let is = |name: &str, value: &str| {
                    let value = model::nats::encode_value(value);
                    message.headers.get(name).is_some_and(|v| v.as_str() == value)
                };
                Ok(is("ce-id", event.id()) && is("ce-source", event.source()))
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                let info = stream.get_info().await.map_err(|e| NoAnswer(e.to_string()))?;
                // Below the end and not there: aged out, or erased.
                Ok(sequence <= info.state.last_sequence)
            }
            Err(error) => Err(NoAnswer(error.to_string())),
        }
    }
}
