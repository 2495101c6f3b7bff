//! The control plane, over a catalog in the broker.

mod audit;
mod billing;
mod browser;
mod coverage;
mod gateway;
mod idempotency;
mod issuer;
mod leases;
mod limits;
mod mcp;
mod nats_clients;
mod oauth;
mod people;
mod people_coverage;
mod reacting;
mod refusals;
mod registration;
mod resources;
mod roles;
mod secrets;
mod seed;
mod tokens;
mod versions;
mod world;
