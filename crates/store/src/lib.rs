//! Where events and usage are kept: two ports, and their adapters.
//!
//! Invariants of every adapter, held by one test-suite (`tests/ports.rs`):
//! - What a write returned `Ok` for survives the death of the process at any moment, and a power cut where
//!   the store was opened with [`Durability::Disk`](model::Durability).
//! - Writes are idempotent by key: an event by (tenant, source, id), a usage record by (tenant, record id, time).
//!   The first wins; writing again changes nothing.
//! - No query can be built without its tenant, and none returns another tenant's rows.
//! - A walk by cursor neither skips nor repeats what was stored before the walk began.

mod erasure;
mod error;
mod event;
mod meter;
mod sink;
mod usage;

#[cfg(feature = "clickhouse")]
pub mod clickhouse;
#[cfg(feature = "cql")]
pub mod cql;
pub mod embedded;
pub mod migration;

use std::{sync::Arc, time::Duration};

use model::TenantId;

pub use self::{
    erasure::{EraseAll, Erasure},
    error::Error,
    event::{Cursor, EventPage, EventQuery, EventStore, Order, Place, StoredEvent, TailBatch, Written},
    meter::{
        METER_BYTES, METER_CPU_US, METER_DELIVERIES, METER_EGRESS_BYTES, METER_EVENTS,
        METER_MEMORY_BYTE_SECONDS, METER_STORED_BYTE_HOURS, METERS, Meter, meter,
    },
    sink::{Separate, Sink, Stores},
    usage::{
        GROUPED_BUCKETS_MAX, GroupUsage, Grouping, METER_NAME_MAX, Meters, Origin, UNIQUE_MAX, UsageBucket,
        UsagePage, UsageQuery, UsageRecord, UsageStore, record_id, records_of,
    },
};

pub use model::resource::Aggregation;

/// How long a tenant's events are kept from when they were stored; `None`: until they are erased.
pub type Retention = Arc<dyn Fn(&TenantId) -> Option<Duration> + Send + Sync>;
