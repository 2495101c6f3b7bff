//! The gRPC door: takes CloudEvents in their protobuf format, one, several, or as a stream, and appends
//! them to `RAW`.
//!
//! Invariant: an event's result says `accepted` only after the broker has acknowledged it. A good event
//! beside a bad one is kept, and each has a result that says so. Events of one call or one stream are handed on in
//! the order they came.
//!
//! ```no_run
//! use ingest_grpc::{Dependencies, Options, Service};
//!
//! # async fn example(dependencies: Dependencies, shutdown: runtime::lifecycle::Shutdown) -> std::io::Result<()> {
//! let service = Service::build(Options::default(), dependencies).await?;
//! println!("grpcurl -plaintext {} list", service.local_addr());
//! service.run(shutdown).await
//! # }
//! ```
//!
//! In the order a call goes: [`Service`] listens, `gate` is what every call passes (protocol, deadline, who calls),
//! `unary` and `stream` are the methods, `door` is what they share (quota, the broker), `decode` makes items
//! of messages.

mod deadline;
mod decode;
mod door;
mod endless;
mod gate;
mod metrics;
mod options;
mod probes;
mod refuse;
mod service;
mod stream;
mod unary;

pub use self::{
    options::Options,
    service::{Dependencies, SERVICE_NAME, Service, Snapshots},
};
