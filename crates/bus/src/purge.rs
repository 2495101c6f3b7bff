//! What the broker holds of one tenant, and taking it away.
//!
//! Tenant streams, dead letters, the audit and remembered answers have the tenant in their subjects and are purged by it. `RAW`, `EVENTS` and `USAGE` hold
//! packed messages of many tenants, which go when they are worked: for those one waits ([`Mark`]).

use std::collections::BTreeMap;

use async_nats::jetstream::stream::Stream;
use futures::TryStreamExt as _;
use model::TenantId;

use crate::{
    Bus, Error, dead,
    topology::{AUDIT, DEAD, IDEMPOTENCY, audit_subject, is_missing, tenant_stream},
};

/// Each stream that has a tenant's messages under subjects of the tenant's own, with these subjects. Tenant streams of
/// all placements: the tenant may have had another one before.
async fn own_subjects(bus: &Bus, tenant: &TenantId) -> Result<Vec<(Stream, String)>, Error> {
    let failed = |e: &dyn std::error::Error| Error::broker("a look at its streams", e);
    let names: Vec<String> = bus.jetstream().stream_names().try_collect().await.map_err(|e| failed(&e))?;
    let of_tenants = tenant_stream("");
    let mut streams = Vec::new();
    for name in names {
        let subjects = match &*name {
            AUDIT => audit_subject(Some(tenant)),
            DEAD => dead::subject("*", tenant),
            other if other.strip_prefix("KV_") == Some(IDEMPOTENCY) => {
                format!("$KV.{IDEMPOTENCY}.{tenant}.>")
            }
            other if other.starts_with(&of_tenants) => model::tenant_wildcard("*", tenant),
            _ => continue,
        };
        let stream = bus.jetstream().get_stream(&name).await.map_err(|e| failed(&e))?;
        streams.push((stream, subjects));
    }
    Ok(streams)
}

/// How many messages each stream holds under subjects of the tenant's own.
///
/// # Errors
/// If the broker does not answer.
pub async fn held(bus: &Bus, tenant: &TenantId) -> Result<BTreeMap<String, u64>, Error> {
    let mut held = BTreeMap::new();
    for (stream, subjects) in own_subjects(bus, tenant).await? {
        let name = stream.cached_info().config.name.clone();
        let failed = |e: &dyn std::error::Error| Error::broker(format!("stream {name}"), e);
        let counted = stream.info_with_subjects(&subjects).await.map_err(|e| failed(&e))?;
        let counted: Vec<(String, usize)> = counted.try_collect().await.map_err(|e| failed(&e))?;
        let messages: usize = counted.iter().map(|(_, messages)| messages).sum();
        held.insert(name, u64::try_from(messages).unwrap_or(u64::MAX));
    }
    Ok(held)
}

/// Takes the tenant's messages out of every stream that has subjects of the tenant's own. May be repeated.
///
/// # Errors
/// If the broker does not answer; purge again.
pub async fn purge(bus: &Bus, tenant: &TenantId) -> Result<(), Error> {
    for (stream, subjects) in own_subjects(bus, tenant).await? {
        let name = stream.cached_info().config.name.clone();
        stream.purge().filter(subjects).await.map_err(|e| Error::broker(format!("stream {name}"), &e))?;
    }
    Ok(())
}

/// The end of a work queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    stream: &'static str,
    last: u64,
}

impl Mark {
    /// The end of a work queue now; none if there is no such stream.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn of(bus: &Bus, stream: &'static str) -> Result<Option<Self>, Error> {
        match bus.jetstream().get_stream(stream).await {
            Ok(found) => Ok(Some(Self { stream, last: found.cached_info().state.last_sequence })),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(Error::broker(format!("stream {stream}"), &error)),
        }
    }

    /// How many messages up to the mark may not be worked yet: at most so many.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn left(&self, bus: &Bus) -> Result<u64, Error> {
        let failed = |e: &dyn std::error::Error| Error::broker(format!("stream {}", self.stream), e);
        let stream = bus.jetstream().get_stream(self.stream).await.map_err(|e| failed(&e))?;
        let state = &stream.cached_info().state;
        if state.messages == 0 || state.first_sequence > self.last {
            return Ok(0);
        }
        Ok(state.messages.min(self.last - state.first_sequence + 1))
    }
}
