//! What the engine works on: one packed message of the `EVENTS` stream, decoded.

use std::sync::Arc;

use crate::{CloudEvent, CustomerId, Micros, SourceId, SystemId, TenantId, Text};

/// What only the door knows, the same for each event of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Whose events.
    pub tenant: TenantId,
    /// The system the producer's key belongs to.
    pub system: SystemId,
    /// The source the events came through; none for the plain events door.
    pub source: Option<SourceId>,
    /// The tenant's customer on whose behalf the key is used that sent them, if it is used on one's.
    pub customer: Option<CustomerId>,
    /// When the door had the whole request.
    pub received_at_us: Micros,
    /// W3C `traceparent` of the request.
    pub traceparent: Text,
    /// `http` or `grpc`, or [`PROTOCOL_FLEET`].
    pub protocol: Text,
}

/// The protocol of what the fleet itself tells a tenant: it came through no door.
pub const PROTOCOL_FLEET: &str = "fleet";

impl Stamp {
    /// Whether the tenant is charged for it: not for what the fleet tells it.
    #[must_use]
    pub fn is_metered(&self) -> bool {
        &*self.protocol != PROTOCOL_FLEET
    }
}

/// The events of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What the door knew of all of them.
    pub stamp: Arc<Stamp>,
    /// In order.
    pub events: Vec<CloudEvent>,
}

/// One message of `EVENTS`, with its place in the streams: what a receipt tells of the hops so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The partition it travelled in.
    pub partition: u32,
    /// Its sequence in `EVENTS`.
    pub sequence: u64,
    /// When the broker stored it in `EVENTS`.
    pub stored_at_us: Micros,
    /// The sequence in `RAW` of the message it was made from.
    pub raw_sequence: u64,
    /// When the broker stored that one.
    pub raw_stored_at_us: Micros,
    /// When the normalizer made it.
    pub normalized_at_us: Micros,
    /// In order.
    pub groups: Vec<Group>,
    /// The sequence each event has in its tenant's stream, by index; empty as long as they are in none.
    pub streamed: Vec<u64>,
    /// What its tenants' own meters count of it: the index of an event with names and values, in order of the index. Most events
    /// have none.
    pub metered: Vec<(u32, Vec<(Text, u64)>)>,
}

impl Batch {
    /// How many events it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.iter().map(|g| g.events.len()).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What its tenant's own meters count of the event of that index.
    #[must_use]
    pub fn metered(&self, index: u32) -> &[(Text, u64)] {
        let found = self.metered.binary_search_by_key(&index, |(index, _)| *index);
        found.ok().and_then(|at| self.metered.get(at)).map_or(&[], |(_, values)| values)
    }

    /// Each event with its stamp and its index in the batch.
    pub fn events(&self) -> impl Iterator<Item = (u32, &Arc<Stamp>, &CloudEvent)> {
        let pairs = self.groups.iter().flat_map(|g| g.events.iter().map(move |e| (&g.stamp, e)));
        (0u32..).zip(pairs).map(|(index, (stamp, event))| (index, stamp, event))
    }
}
