//! The KV buckets beside the catalog's.

use std::time::Duration;

use async_nats::jetstream::{
    kv,
    stream::{self, StorageType},
};

use super::{BACKUPS, EGRESS, ERASURES, MEMBERS, MENDED, ONE_TIME, RAW, SESSIONS, TopologyOptions};
use crate::{Bus, Error};

/// The bucket of sessions, made or given other limits.
pub(super) async fn ensure_sessions(bus: &Bus, options: &TopologyOptions) -> Result<(), Error> {
    let config = kv::Config {
        max_bytes: options.sessions_bytes_max,
        max_age: Duration::from_secs(options.session_idle_hours * 3_600),
        num_replicas: options.replicas,
        ..bucket(SESSIONS, "sessions of people, without what would let anybody go on with one")
    };
    let made = bus.jetstream().create_or_update_key_value(config).await;
    made.map(drop).map_err(|e| Error::broker(format!("bucket {SESSIONS}"), &e))
}

/// The bucket of what is good once. A week is as long as any of it lives.
pub(super) async fn ensure_one_time(bus: &Bus, replicas: usize) -> Result<(), Error> {
    let max_age = Duration::from_secs(7 * 24 * 3_600);
    let what = "invitations and links to set a password, without what would let anybody use one";
    let bucket = bucket(ONE_TIME, what);
    ensure_bucket(bus, kv::Config { max_age, max_bytes: 16 << 20, num_replicas: replicas, ..bucket }).await
}

pub(super) async fn ensure_erasures(bus: &Bus, replicas: usize) -> Result<(), Error> {
    let what = "tenants to erase, and the proof that they were";
    ensure_bucket(bus, kv::Config { num_replicas: replicas, ..bucket(ERASURES, what) }).await
}

pub(super) async fn ensure_backups(bus: &Bus, replicas: usize) -> Result<(), Error> {
    let what = "which backup was the last that is whole";
    ensure_bucket(bus, kv::Config { num_replicas: replicas, ..bucket(BACKUPS, what) }).await
}

/// A month after a node of the broker has ended, its entries are gone: who writes them does so every day.
pub(super) async fn ensure_egress(bus: &Bus, replicas: usize) -> Result<(), Error> {
    let what = "how much is metered of what tenants' clients were sent";
    let max_age = Duration::from_secs(30 * 24 * 3_600);
    ensure_bucket(bus, kv::Config { max_age, num_replicas: replicas, ..bucket(EGRESS, what) }).await
}

/// The bucket of live replicas; made again if a broker that was restarted has lost it.
///
/// # Errors
/// If the broker refuses, or the streams are not made yet.
pub(crate) async fn members(bus: &Bus) -> Result<kv::Store, Error> {
    if let Ok(store) = bus.jetstream().get_key_value(MEMBERS).await {
        return Ok(store);
    }
    let raw = raw(bus).await?;
    ensure_members(bus, raw.cached_info().config.num_replicas).await?;
    bus.jetstream().get_key_value(MEMBERS).await.map_err(|e| Error::broker(format!("bucket {MEMBERS}"), &e))
}

/// The bucket of partitions whose tenant streams are known to be whole; made when it is missing. In memory: what makes the
/// broker lose the tail of a stream makes it lose this bucket. That does not hold, and there is none, in a cluster
/// whose nodes each hold streams alone.
///
/// # Errors
/// If the broker refuses, or the streams are not made yet.
pub async fn mended(bus: &Bus) -> Result<Option<kv::Store>, Error> {
    if let Ok(store) = bus.jetstream().get_key_value(MENDED).await {
        return Ok(Some(store));
    }
    let raw = raw(bus).await?;
    let stream::Info { config: stream::Config { num_replicas: replicas, .. }, cluster, .. } =
        raw.cached_info();
    // A broker that stands alone speaks of a cluster too, one without a name.
    let is_cluster = cluster.as_ref().is_some_and(|cluster| cluster.name.is_some());
    if is_cluster && *replicas == 1 {
        return Ok(None);
    }
    let what = "partitions whose tenant streams are whole since the broker began";
    let storage = StorageType::Memory;
    ensure_bucket(bus, kv::Config { storage, num_replicas: *replicas, ..bucket(MENDED, what) }).await?;
    let store = bus.jetstream().get_key_value(MENDED).await;
    store.map(Some).map_err(|e| Error::broker(format!("bucket {MENDED}"), &e))
}

async fn raw(bus: &Bus) -> Result<stream::Stream, Error> {
    bus.jetstream().get_stream(RAW).await.map_err(|e| Error::broker(format!("stream {RAW}"), &e))
}

pub(super) async fn ensure_members(bus: &Bus, replicas: usize) -> Result<(), Error> {
    let what = "replicas that are alive";
    // Worth nothing after a restart of the broker: whoever misses it makes it again.
    let (storage, max_age) = (StorageType::Memory, Duration::from_secs(30));
    ensure_bucket(bus, kv::Config { storage, max_age, num_replicas: replicas, ..bucket(MEMBERS, what) }).await
}

pub(super) fn bucket(name: &str, what: &str) -> kv::Config {
    kv::Config { bucket: name.to_owned(), description: what.to_owned(), history: 1, ..Default::default() }
}

pub(super) async fn ensure_bucket(bus: &Bus, config: kv::Config) -> Result<(), Error> {
    let name = config.bucket.clone();
    match bus.jetstream().create_key_value(config).await {
        Ok(_) => Ok(()),
        // It exists, made by an older version with other settings, which serve as well.
        Err(_) if bus.jetstream().get_key_value(&name).await.is_ok() => Ok(()),
        Err(error) => Err(Error::broker(format!("bucket {name}"), &error)),
    }
}
