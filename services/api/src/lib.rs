//! Reading back, and the control plane. Stored events and their receipts, events as they come (server-sent events and gRPC), dead letters,
//! usage, the catalog's resources with the audit of their changes, and the health of what these depend on. HTTP and gRPC on
//! one listener; what HTTP does, language models do by tools (MCP).
//!
//! Invariant: a caller reads and changes what belongs to the tenant of its key and nothing else, and what belongs to
//! another tenant looks to it as if it did not exist. Following a stream, it gets each event once and none is
//! missing, across any interruption, as long as it says where it left off and the stream still holds what followed.
//!
//! ```no_run
//! # async fn example(deps: api::Deps, shutdown: runtime::lifecycle::Shutdown) -> Result<(), api::Error> {
//! let service = api::Service::build(api::Options::default(), deps).await?;
//! println!("http://{}/.well-known/health", service.local_addr()?);
//! service.run(shutdown).await?;
//! # Ok(()) }
//! ```

mod accounts;
mod app;
mod calendar;
mod control;
mod egress;
mod endpoints;
mod error;
mod follow;
mod grpc;
mod handing;
mod history;
mod keeper;
mod kinds;
mod letter_view;
mod letters;
mod mcp;
mod metrics;
mod openapi;
mod options;
mod params;
mod people;
mod probe;
mod reader;
mod receipt;
mod rules;
mod search;
mod seed;
mod service;
mod sse;
mod subscription;
mod tenant_stream;
mod usage;
mod views;

pub use self::{
    error::Error,
    mcp::McpOptions,
    openapi::{complete_parameters, openapi},
    options::{Options, PORT},
    people::{BootstrapError, FIRST_SUPERUSER, PeopleOptions, Superuser, first_superuser, superuser},
    rules::Rules,
    service::{Deps, Service},
};
