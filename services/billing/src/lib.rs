//! What time does to bills: hours of storage are metered, months that are over are invoiced, and what was made is told as events.
//! Whatever is asked for meanwhile, `api` answers.
//!
//! Invariant: all of it is done once, however many replicas do it and whenever one dies: a record has the key of its hour, a
//! month of an account has one invoice ([`billing`]), an event has the id of what it tells.

mod close;
mod error;
mod options;
mod service;
mod storage;
mod tell;
mod thresholds;

pub use self::{options::Options, service::Service};
