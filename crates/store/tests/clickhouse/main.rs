//! The ClickHouse adapter on the real engine: what the port's suite cannot ask of every adapter.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod buffer;
mod crash;
mod exact;
mod migrate;
mod refusals;
mod rollup;
mod statements;
mod world;
