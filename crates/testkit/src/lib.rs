//! What tests stand on: real servers of their own, a clock that stands still, waiting for conditions.
//!
//! Invariant: a test owns its world. Every server is on a loopback port nobody else has, keeps its data in a folder
//! of its own, and is gone when the test is, however the test ended. Nothing here waits a fixed time.
//!
//! ```
//! use std::time::Duration;
//! use testkit::{NatsServer, wait_until};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let mut server = NatsServer::start();
//! let client = server.client().await;
//! server.kill();
//! wait_until("the client has noticed", Duration::from_secs(10), async || {
//!     client.connection_state() != async_nats::connection::State::Connected
//! })
//! .await;
//! server.restart(); // same port, same data
//! # });
//! ```

mod cassandra;
mod certificates;
mod clickhouse;
mod clock;
mod http;
mod keto;
mod line;
mod nats;
mod oathkeeper;
mod port;
mod process;
mod wait;

pub use self::{
    cassandra::{Cassandra, CassandraOptions},
    certificates::Certificates,
    clickhouse::{ClickHouse, ClickHouseOptions},
    clock::ManualClock,
    keto::Keto,
    line::Line,
    nats::{NatsOptions, NatsServer, nats_server_binary},
    oathkeeper::Oathkeeper,
    port::free_port,
    wait::{wait_for, wait_until},
};

/// Gives this process the provider of cryptography that HTTP clients ask for when they are made. As often as one likes.
pub fn install_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}
