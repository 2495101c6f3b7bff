//! JetStream, as the fleet uses it: the streams, the packing publisher of the doors, and the loop that reads a
//! partition in order and acks last.
//!
//! Invariants:
//! - [`Door::accept`] returns `Ok` only after the broker has acknowledged every event it was given.
//! - A message is acked only after the work begun for it has ended well ([`reader`]).
//! - A partition is worked by one replica at a time, in stream order, also across a take-over.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = bus::Bus::connect(&bus::Options::default()).await?;
//! let topology = bus::topology::ensure(&bus, &bus::TopologyOptions::default()).await?;
//! println!("{} partitions", topology.partitions);
//! # Ok(()) }
//! ```

pub mod accounts;
mod backoff;
mod connection;
pub mod dead;
mod door;
mod error;
mod idle;
mod login;
pub mod members;
pub mod pipe;
mod publish;
pub mod purge;
pub mod reader;
mod stage;
mod tls;
pub mod topology;
pub mod traced;
pub mod watch;

pub use self::{
    backoff::Backoff,
    connection::{Bus, Options},
    door::{Accept, AcceptError, Appended, Door, DoorOptions, Item, Placed},
    error::Error,
    publish::{Outgoing, Turn},
    stage::Stage,
    topology::TopologyOptions,
};

/// An error with everything it was caused by: clients wrap the telling part.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
