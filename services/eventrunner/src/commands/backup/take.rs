//! Making a backup: the streams in the order in which events flow, then the catalog and what hangs on it, then the stores.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ::backup::{
    Api, Cut, FORMAT, Folder, Last, Manifest, Still, StoredPart, StreamInfo, StreamPart, content,
};
use bus::{Bus, topology};
use catalog::Catalog;
use model::{Clock as _, SystemClock, TenantId, format_rfc3339, parse_rfc3339, resource::Tenant};

use super::{
    Part, Summary, TakeArgs,
    stored::{Late, Reader},
};
use crate::{
    context::Context,
    exit::{Failure, Result},
    output::note,
};

/// Gone with whoever they were for: after a restore people log in again, and links are sent again. A link that was used would
/// be good once more. Nor is it said in a backup that one was made before.
const LEFT_OUT: [&str; 3] = [topology::SESSIONS, topology::ONE_TIME, topology::BACKUPS];
/// How long the broker may take to tell what the catalog holds.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(30);

/// The streams of a fleet, sorted by when they are copied.
#[derive(Debug, Default)]
struct Order {
    /// Work queues, as events flow. What is acked has left them, so their consumers need not be kept.
    queues: Vec<String>,
    /// Written by who works the queues.
    written: Vec<String>,
    /// Everything else, the catalog first: the audit is written before a change, so it is copied after.
    others: Vec<String>,
}

impl Order {
    fn of(streams: &[StreamInfo], only: &[Part]) -> Self {
        let mut order = Self::default();
        for stream in streams.iter().filter(|stream| !stream.is_in_memory()) {
            let name = stream.name();
            if LEFT_OUT.iter().any(|bucket| name.strip_prefix("KV_") == Some(bucket))
                || !part_of(name).is_in(only)
            {
                continue;
            }
            let list = if stream.is_queue() {
                &mut order.queues
            } else if name == topology::DEAD || name.starts_with(&topology::tenant_stream("")) {
                &mut order.written
            } else {
                &mut order.others
            };
            list.push(name.to_owned());
        }
        let flow = [topology::RAW, topology::EVENTS];
        order.queues.sort_by_key(|name| flow.iter().position(|first| first == name).unwrap_or(flow.len()));
        order.others.sort_by_key(|name| *name != catalog_stream());
        order
    }
}

/// Which part a stream belongs to.
pub(super) fn part_of(stream: &str) -> Part {
    let buckets = [topology::ERASURES, topology::IDEMPOTENCY];
    let is_of_catalog = stream == topology::AUDIT
        || stream == catalog_stream()
        || stream.strip_prefix("KV_").is_some_and(|bucket| buckets.contains(&bucket));
    if is_of_catalog { Part::Catalog } else { Part::Streams }
}

fn catalog_stream() -> String {
    format!("KV_{}", catalog::Options::default().bucket)
}

pub(super) async fn run(args: &TakeArgs, to: &Path) -> Result<Summary> {
    let began = Instant::now();
    let context = Context::load(&args.connect)?;
    let options = context.nats();
    let bus = Bus::connect(&options).await.map_err(|e| Failure::from(e).hint(context.start_hint()))?;
    let layout = topology::existing(&bus).await?.ok_or_else(|| {
        Failure::unavailable(format!(
            "the broker at {} holds no fleet: there are no streams",
            options.shown_url()
        ))
    })?;
    let folder = Folder::make(to).await?;
    let began_at = format_rfc3339(SystemClock.now());
    let order = Order::of(&Api::new(&bus).streams().await?, &args.only);
    let (mut streams, paused) = flow(&bus, &order, args, &folder).await?;
    let cut = streams.iter().find(|part| part.name == topology::EVENTS).map(cut_of).transpose()?;
    for name in &order.others {
        // A bucket is watched and not consumed.
        streams.push(copy(&bus, name, !name.starts_with("KV_"), &folder).await?);
    }
    let content = content(&bus, &catalog::Options::default().bucket).await?;
    let stored = stores(&Reader { bus: &bus, folder: &folder, cut }, &args.only).await?;
    let manifest = Manifest {
        format: FORMAT,
        id: uuid::Uuid::now_v7().to_string(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        began_at,
        ended_at: format_rfc3339(SystemClock.now()),
        partitions: layout.partitions,
        still: paused.is_some(),
        cut,
        sealing_keys: content.sealing_keys.into_iter().collect(),
        resources: content.resources,
        streams,
        stored,
    };
    manifest.write(&folder).await?;
    if [Part::Catalog, Part::Streams].iter().all(|part| part.is_in(&args.only))
        && let Err(error) = Last::of(&manifest).write(&bus).await
    {
        note(&format!("the backup is whole, but the fleet could not be told of it: {error}"));
    }
    bus.close().await;
    let paused_ms = paused.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    Ok(Summary { paused_ms, ..Summary::of(&manifest).took(began.elapsed()) })
}

/// Copies what moves, held still meanwhile. For how long it was.
async fn flow(
    bus: &Bus,
    order: &Order,
    args: &TakeArgs,
    folder: &Folder,
) -> Result<(Vec<StreamPart>, Option<Duration>)> {
    let still = if args.no_pause || order.queues.is_empty() {
        None
    } else {
        let patience = Duration::from_secs(args.patience_seconds);
        let still = Still::begin(bus, &order.queues, patience).await.map_err(|error| {
            Failure::from(error).hint(
                "does everything they wait for run? eventrunner doctor; with --no-pause they are copied as they move",
            )
        })?;
        Some(still)
    };
    let copied = async {
        let mut parts = Vec::new();
        for name in &order.queues {
            parts.push(copy(bus, name, false, folder).await?);
        }
        for name in &order.written {
            parts.push(copy(bus, name, true, folder).await?);
        }
        Ok::<_, Failure>(parts)
    };
    let parts = copied.await;
    let paused = match still {
        Some(still) => Some(still.end().await),
        None => None,
    };
    // What went wrong first is told first.
    Ok((parts?, paused.transpose()?))
}

async fn copy(bus: &Bus, name: &str, consumers: bool, folder: &Folder) -> Result<StreamPart> {
    let part = Api::new(bus).snapshot(name, consumers, folder).await?;
    note(&format!("{name}: {} messages, {} KB", part.state.messages, part.file.bytes >> 10));
    Ok(part)
}

fn cut_of(part: &StreamPart) -> Result<Cut> {
    let at = parse_rfc3339(&part.state.last_ts);
    let events_stored_at_us = at.map_err(|e| {
        Failure::failed(format!("the broker says that {} ends at {}: {e}", part.name, part.state.last_ts))
    })?;
    Ok(Cut { events_sequence: part.state.last_seq, events_stored_at_us })
}

/// Copies what is stored: a tenant's events, then the usage of those that are in the backup.
async fn stores(reader: &Reader<'_>, only: &[Part]) -> Result<Vec<StoredPart>> {
    let (events, usage) = (Part::Events.is_in(only), Part::Usage.is_in(only));
    let mut parts = Vec::new();
    if !events && !usage {
        return Ok(parts);
    }
    for tenant in tenants(reader.bus).await? {
        let mut late = Late::default();
        if events {
            parts.push(reader.events(&tenant, &mut late).await?);
        }
        if usage {
            // Without the events there is nothing to hold it against.
            let cut = reader.cut.filter(|_| events);
            parts.push(Reader { cut, ..*reader }.usage(&tenant, &late).await?);
        }
        let records: u64 = parts.iter().filter(|part| part.tenant == tenant).map(|part| part.records).sum();
        note(&format!("{tenant}: {records} events and usage records"));
    }
    Ok(parts)
}

/// Everybody who may have something stored, those included who are deleted and not purged yet.
async fn tenants(bus: &Bus) -> Result<Vec<TenantId>> {
    let open = Catalog::open(bus.jetstream().clone(), catalog::Options::default());
    let late = |_| Failure::unavailable("the catalog cannot be read in time");
    let snapshot = tokio::time::timeout(CATALOG_TIMEOUT, open).await.map_err(late)?.snapshot();
    let mut tenants: Vec<TenantId> = snapshot.tenants().map(|tenant| tenant.id.clone()).collect();
    tenants.extend(snapshot.each_deleted::<Tenant>(None).map(|entry| entry.value.resource.id.clone()));
    tenants.sort();
    tenants.dedup();
    Ok(tenants)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn streams_are_copied_as_events_flow() {
        let stream = |name: &str, retention: &str, storage: &str| -> StreamInfo {
            let state = json!({"messages": 0, "bytes": 0, "first_seq": 0, "last_seq": 0});
            let config = json!({"name": name, "retention": retention, "storage": storage});
            serde_json::from_value(json!({"config": config, "state": state})).unwrap()
        };
        let streams = [
            stream("AUDIT", "limits", "file"),
            stream("DEAD", "limits", "file"),
            stream("DELIVERIES", "workqueue", "file"),
            stream("EVENTS", "workqueue", "file"),
            stream("INVOICES", "limits", "file"),
            stream("KV_backups", "limits", "file"),
            stream("KV_catalog", "limits", "file"),
            stream("KV_mended", "limits", "memory"),
            stream("KV_one-time", "limits", "file"),
            stream("KV_sessions", "limits", "file"),
            stream("RAW", "workqueue", "file"),
            stream("TENANT-default", "limits", "file"),
        ];
        let order = Order::of(&streams, &[]);
        assert_eq!(order.queues, ["RAW", "EVENTS", "DELIVERIES"]);
        assert_eq!(order.written, ["DEAD", "TENANT-default"]);
        assert_eq!(order.others, ["KV_catalog", "AUDIT", "INVOICES"]);
        let catalog = Order::of(&streams, &[Part::Catalog]);
        assert!(catalog.queues.is_empty() && catalog.others == ["KV_catalog", "AUDIT"]);
    }
}
