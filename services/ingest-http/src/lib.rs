//! The HTTP door: takes CloudEvents in every mode of the binding, webhooks as they are, and anything else as
//! raw events, and appends them to `RAW`.
//!
//! Invariant: 202 is answered only after the broker has acknowledged every event of the request. A request is
//! checked whole before anything is appended, so that a refused batch leaves nothing behind.
//!
//! ```no_run
//! use ingest_http::{Dependencies, Options, Service};
//!
//! # async fn example(dependencies: Dependencies, shutdown: runtime::lifecycle::Shutdown) -> std::io::Result<()> {
//! let service = Service::build(Options::default(), dependencies).await?;
//! println!("curl http://{}/v1/events", service.local_addr());
//! service.run(shutdown).await
//! # }
//! ```
//!
//! In the order a request goes: [`Service`] listens, `events`, `sources` and `handshake` are the endpoints, `seed` one that speaks the
//! words of another system's clients, `call` is what they share (who calls, quota, answer), `body` undoes the content encoding, `decode` makes
//! items of bytes, `accept` hands them to the broker.

mod body;
mod call;
mod decode;
mod events;
mod handshake;
mod items;
mod metrics;
mod options;
mod quota;
mod refuse;
mod seed;
mod service;
mod source_cache;
mod sources;

pub use self::{
    options::Options,
    service::{Dependencies, Routes, Service, Snapshots, openapi, routes},
};
