//! Metering where usage has a store of its own: records wait in the stream `USAGE`, so that an outage of that store
//! never stops events.
//!
//! Invariant: a batch of events is acked after the broker has acknowledged its usage records; a message of `USAGE` is
//! acked after the usage store has kept its records. Both may happen twice: a record's key makes it one.

mod queue;
mod wire;
mod worker;

pub(crate) use self::{queue::UsageQueue, worker::MeterWorker};

pub(crate) const NAME: &str = "meter";
