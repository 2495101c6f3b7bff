//! The control plane, over a catalog in the broker.

mod audit;
mod coverage;
mod gateway;
mod idempotency;
mod issuer;
mod refusals;
mod resources;
mod secrets;
mod tokens;
mod world;
