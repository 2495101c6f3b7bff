//! Turns what the doors took into CloudEvents 1.0.
//!
//! Invariant: each item of a `RAW` message ends either in the `EVENTS` message made from it or as a dead letter with
//! its untouched bytes and the reason; the `RAW` message is acked after both are kept. CloudEvents pass
//! unchanged.
//!
//! *Pull, normalize, publish, ack*: the pure step is [`normalize`](crate::Normalizer), the loop around it
//! `bus::reader`.

mod normalize;
mod options;
mod schema;
mod service;
mod sources;
mod traced;
mod worker;

pub use self::{
    normalize::{Normalized, Normalizer},
    options::Options,
    service::Service,
};
