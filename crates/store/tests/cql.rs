//! What holds of the CQL adapter beyond what holds of each: on a real Cassandra.

#![cfg(feature = "cql")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "ports/cassandra.rs"]
mod cassandra;
mod cql {
    pub(crate) mod erasing;
    pub(crate) mod layout;
    pub(crate) mod opening;
    pub(crate) mod outages;
    pub(crate) mod races;
    pub(crate) mod secured;
    pub(crate) mod statements;
}
#[path = "ports/world.rs"]
#[expect(dead_code, reason = "the port suite uses all of it")]
mod world;

use std::{sync::Arc, time::Duration};

use model::TenantId;
use store::{
    Retention,
    cql::{Cql, Options},
};

/// An adapter of its own: what another process would have.
async fn open() -> Cql {
    open_with(cassandra::options()).await
}

async fn open_with(options: Options) -> Cql {
    Cql::open(options, Arc::new(|_| None)).await.unwrap()
}

/// Partitions of a few events, so that few events need many.
fn narrow() -> Options {
    Options { partition_rows_max: 20, partition_bytes_max: 20_000, ..cassandra::options() }
}

fn kept_for(time: Duration) -> Retention {
    Arc::new(move |_: &TenantId| Some(time))
}
