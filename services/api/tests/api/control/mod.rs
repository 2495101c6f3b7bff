//! The control plane, over a catalog in the broker.

mod audit;
mod coverage;
mod idempotency;
mod refusals;
mod resources;
mod secrets;
mod world;
