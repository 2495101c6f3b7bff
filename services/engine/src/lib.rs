//! Works each event: stores it, meters it, and publishes it to its tenant's stream, then acks.
//!
//! Invariant: a message of `EVENTS` is acked after each of its events is stored once, metered once, and
//! acknowledged by the broker in its tenant's stream. Every effect carries the event's own key, so that a message
//! that is worked twice changes nothing.
//!
//! The order of an event's life here: decode → *(rules, later)* → published to the tenant stream, in order → stored
//! and metered, with the sequence it has there → ack (`bus::reader`). Whoever takes a partition over first makes
//! the tenant streams whole (`mend`).

mod effects;
mod housekeeping;
mod mend;
mod metering;
mod options;
mod own_meters;
mod read_back;
mod service;
mod tenant_stream;
mod traced;
mod worker;

/// Adds to a batch what its tenants' own meters count, as the engine does before it stores one: for who stores in its place.
pub fn measure(snapshot: &catalog::Snapshot, batch: &mut model::Batch) {
    own_meters::measure(snapshot, batch, &own_meters::Counters::new());
}

pub use self::{
    housekeeping::{HousekeepingOptions, order},
    options::Options,
    service::Service,
};
