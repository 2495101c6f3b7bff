//! The streams and their durable consumers: created in one place, before any door opens.

mod buckets;

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    consumer::{AckPolicy, PriorityPolicy, pull},
    context::CreateStreamErrorKind,
    kv,
    stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
};
use model::{Durability, TenantId, resource::DEFAULT_PLACEMENT};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::buckets::members;
pub use self::buckets::mended;
use self::buckets::{
    bucket, ensure_backups, ensure_bucket, ensure_egress, ensure_erasures, ensure_members, ensure_one_time,
    ensure_sessions,
};
use crate::{Bus, Error};

/// The stream of packed raw events, one subject a partition.
pub const RAW: &str = "RAW";
/// The stream of packed CloudEvents, one subject a partition.
pub const EVENTS: &str = "EVENTS";
/// The stream of packed usage records that wait for a usage store of its own; only where there is one.
pub const USAGE: &str = "USAGE";
/// The stream of events that could not go on.
pub const DEAD: &str = "DEAD";
/// The stream of what was done to the catalog, and what was refused.
pub const AUDIT: &str = "AUDIT";
/// The stream of invoices: an invoice's number is its sequence, and nothing leaves it.
pub const INVOICES: &str = "INVOICES";
/// The stream of credit notes, numbered alike.
pub const CREDIT_NOTES: &str = "CREDIT_NOTES";
/// The KV bucket of answers that are given again to who sends the same `Idempotency-Key`.
pub const IDEMPOTENCY: &str = "idempotency";
/// The KV bucket of people's sessions. What nobody refreshes leaves it.
pub const SESSIONS: &str = "sessions";
/// The KV bucket of invitations and of links to set a password, each good once.
pub const ONE_TIME: &str = "one-time";
/// The KV bucket of orders to erase a tenant, and of what came of them.
pub const ERASURES: &str = "erasures";
/// The KV bucket of what is known of the last backup.
pub const BACKUPS: &str = "backups";
/// The KV bucket of how much is metered of what each node of the broker sent to each tenant's clients.
pub const EGRESS: &str = "egress";
/// The KV bucket of live replicas.
pub const MEMBERS: &str = "members";
/// The KV bucket of partitions whose tenant streams hold all they were given.
pub const MENDED: &str = "mended";
/// The priority group of every partition consumer.
pub(crate) const GROUP: &str = "owner";

/// The most that `RAW` remembers of the messages it was sent.
const RAW_DEDUP_SECONDS_MAX: u64 = 30;

const PARTITIONS: &str = "eventrunner.partitions";
/// In a stream's metadata: which backup it was restored from.
pub const RESTORED: &str = "eventrunner.restored";

/// How the streams are laid out. Read when they are created; limits may be changed later, the number of
/// partitions only as `docs/operations.md` says.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TopologyOptions {
    /// What "accepted" promises.
    pub durability: Durability,
    /// Partitions of `RAW` and `EVENTS`: the most replicas of a service that can share the work.
    pub partitions: u32,
    /// Copies of each stream in the broker's cluster: 1 or 3. `replicated` needs 3.
    pub replicas: usize,
    /// Bytes `RAW` and `EVENTS` may each hold before the doors answer 503.
    pub hop_bytes_max: i64,
    /// Bytes of usage records that may wait for a usage store that is away, before events wait too: about 90 an event. Only
    /// where usage has a store of its own.
    pub usage_bytes_max: i64,
    /// Bytes a tenant stream may hold before the oldest events leave it.
    pub tenant_bytes_max: i64,
    /// Age at which events leave a tenant stream, in hours.
    pub tenant_age_hours: u64,
    /// Bytes of dead letters kept before the oldest leave.
    pub dead_bytes_max: i64,
    /// Age at which dead letters leave, in hours.
    pub dead_age_hours: u64,
    /// Bytes of audit records kept before the oldest leave.
    pub audit_bytes_max: i64,
    /// Age at which audit records leave, in hours.
    pub audit_age_hours: u64,
    /// Audit records kept of one tenant before its oldest leave, so that none pushes out another's.
    pub audit_records_per_tenant_max: i64,
    /// Bytes of invoices, and of credit notes, that there may be; over it none can be made (503).
    pub invoices_bytes_max: i64,
    /// Bytes of remembered answers to requests with an `Idempotency-Key`; over it, such requests are answered 503.
    pub idempotency_bytes_max: i64,
    /// How long such an answer is remembered, in hours.
    pub idempotency_age_hours: u64,
    /// How long a person's session lives without being refreshed, in hours.
    pub session_idle_hours: u64,
    /// Bytes of sessions; over it, nobody can log in (503).
    pub sessions_bytes_max: i64,
    /// How long a partition's owner may be silent before another replica may be pinned, in milliseconds.
    pub pin_timeout_ms: u64,
    /// How long an unacknowledged message of a silent owner waits before it is delivered again, in seconds. An
    /// owner that is only slow says so, and a new owner does not wait for it.
    pub ack_wait_seconds: u64,
    /// Span in which the broker recognizes a message it has already stored, in seconds.
    pub dedup_window_seconds: u64,
}

impl Default for TopologyOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Disk,
            partitions: 4,
            replicas: 1,
            hop_bytes_max: 1 << 30,
            usage_bytes_max: 4 << 30,
            tenant_bytes_max: 4 << 30,
            tenant_age_hours: 7 * 24,
            dead_bytes_max: 256 << 20,
            dead_age_hours: 30 * 24,
            audit_bytes_max: 256 << 20,
            audit_age_hours: 365 * 24,
            audit_records_per_tenant_max: 100_000,
            invoices_bytes_max: 128 << 20,
            idempotency_bytes_max: 64 << 20,
            idempotency_age_hours: 24,
            session_idle_hours: 24,
            sessions_bytes_max: 128 << 20,
            pin_timeout_ms: 2_000,
            ack_wait_seconds: 60,
            dedup_window_seconds: 120,
        }
    }
}

/// The layout as it is in the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Partitions of `RAW` and `EVENTS`.
    pub partitions: u32,
}

/// Creates what is missing and applies changed limits. Safe to run by several processes at once.
///
/// # Errors
/// If the broker refuses, or holds a layout the options contradict (other partitions).
pub async fn ensure(bus: &Bus, options: &TopologyOptions) -> Result<Topology, Error> {
    if is_mirrored(bus).await? {
        return Err(Error::Mismatch(
            "the broker's streams are mirrors of another region's; to take over from there: eventrunner mirror promote".into(),
        ));
    }
    if options.durability == Durability::Replicated && options.replicas < 3 {
        return Err(Error::Mismatch(
            "durability \"replicated\" needs replicas = 3 and a broker of three nodes".into(),
        ));
    }
    let there = existing_partitions(bus).await?;
    if there.is_none() && is_half_restored(bus).await? {
        return Err(Error::Mismatch(
            "a restore onto this broker was interrupted: run it again, with the same backup".into(),
        ));
    }
    let partitions = there.unwrap_or_else(|| options.partitions.max(1));
    if partitions != options.partitions.max(1) {
        return Err(Error::Mismatch(format!(
            "the broker's streams have {partitions} partitions and the configuration says {}; set partitions = {partitions}, \
             or raise it as docs/operations.md says",
            options.partitions
        )));
    }
    // A door sends a message again within seconds or not at all, and it sends very many.
    let doors = TopologyOptions {
        dedup_window_seconds: options.dedup_window_seconds.min(RAW_DEDUP_SECONDS_MAX),
        ..options.clone()
    };
    ensure_queue(bus, &doors, (RAW, "raw"), partitions, options.hop_bytes_max).await?;
    ensure_queue(bus, options, (EVENTS, "events"), partitions, options.hop_bytes_max).await?;
    ensure_placement(bus, options, DEFAULT_PLACEMENT).await?;
    let dead = stream::Config {
        max_bytes: options.dead_bytes_max,
        max_age: Duration::from_secs(options.dead_age_hours * 3_600),
        allow_direct: true,
        ..base(options, DEAD, "dead.>".into())
    };
    ensure_stream(bus, dead).await?;
    ensure_audit(bus, options).await?;
    ensure_documents(bus, options, INVOICES, "invoices.*.*").await?;
    ensure_documents(bus, options, CREDIT_NOTES, "credit-notes.*.*").await?;
    ensure_sessions(bus, options).await?;
    ensure_one_time(bus, options.replicas).await?;
    ensure_erasures(bus, options.replicas).await?;
    ensure_backups(bus, options.replicas).await?;
    ensure_egress(bus, options.replicas).await?;
    ensure_members(bus, options.replicas).await?;
    Ok(Topology { partitions })
}

/// The subject of a tenant's audit records, or the fleet's; of those that are nobody's, without one.
#[must_use]
pub fn audit_subject(tenant: Option<&TenantId>) -> String {
    // No tenant's id is a dash.
    match tenant {
        // Nor has any tenant's an underscore.
        Some(tenant) if tenant.is_fleet() => "audit._fleet".to_owned(),
        Some(tenant) => format!("audit.{tenant}"),
        None => "audit.-".to_owned(),
    }
}

/// The stream of the audit, and what requests to the control plane are known by.
async fn ensure_audit(bus: &Bus, options: &TopologyOptions) -> Result<(), Error> {
    let audit = stream::Config {
        max_bytes: options.audit_bytes_max,
        max_age: Duration::from_secs(options.audit_age_hours * 3_600),
        max_messages_per_subject: options.audit_records_per_tenant_max,
        ..base(options, AUDIT, "audit.*".into())
    };
    ensure_stream(bus, audit).await?;
    let answers = kv::Config {
        max_bytes: options.idempotency_bytes_max,
        max_age: Duration::from_secs(options.idempotency_age_hours * 3_600),
        num_replicas: options.replicas,
        ..bucket(IDEMPOTENCY, "answers that are given again, sealed")
    };
    ensure_bucket(bus, answers).await
}

/// A stream of what has numbers: nobody can take anything out of it again.
async fn ensure_documents(
    bus: &Bus,
    options: &TopologyOptions,
    name: &str,
    subjects: &str,
) -> Result<(), Error> {
    let config = stream::Config {
        discard: DiscardPolicy::New,
        max_bytes: options.invoices_bytes_max,
        deny_delete: true,
        deny_purge: true,
        ..base(options, name, subjects.to_owned())
    };
    ensure_stream(bus, config).await
}

/// Creates the stream in which usage waits for a store of its own.
///
/// # Errors
/// If the broker refuses.
pub async fn ensure_usage(bus: &Bus, options: &TopologyOptions, topology: Topology) -> Result<(), Error> {
    ensure_queue(bus, options, (USAGE, "usage"), topology.partitions, options.usage_bytes_max).await
}

/// A work queue with a subject and a consumer a partition. Full, it refuses.
async fn ensure_queue(
    bus: &Bus,
    options: &TopologyOptions,
    (name, subject): (&str, &str),
    partitions: u32,
    bytes_max: i64,
) -> Result<(), Error> {
    let config = stream::Config {
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_bytes: bytes_max,
        metadata: HashMap::from([(PARTITIONS.to_owned(), partitions.to_string())]),
        ..base(options, name, format!("{subject}.>"))
    };
    ensure_stream(bus, config).await?;
    for partition in 0..partitions {
        ensure_consumer(bus, options, name, subject, partition).await?;
    }
    Ok(())
}

/// Waits for the layout that another process makes (`eventrunner migrate`, or `up`).
///
/// # Errors
/// If the broker refuses to say.
pub async fn existing(bus: &Bus) -> Result<Option<Topology>, Error> {
    if is_mirrored(bus).await? {
        return Ok(None);
    }
    Ok(existing_partitions(bus).await?.map(|partitions| Topology { partitions }))
}

/// The name of the stream of a placement.
#[must_use]
pub fn tenant_stream(placement: &str) -> String {
    format!("TENANT-{placement}")
}

/// The durable consumer of a partition.
#[must_use]
pub fn consumer_name(partition: u32) -> String {
    format!("p{partition}")
}

/// The partition of a durable consumer; `None` for any other.
pub(crate) fn partition_of(consumer: &str) -> Option<u32> {
    consumer.strip_prefix('p')?.parse().ok()
}

/// The stream of one placement, `TENANT-<placement>`: a retention class and a shard.
///
/// # Errors
/// If the broker refuses.
pub async fn ensure_placement(bus: &Bus, options: &TopologyOptions, placement: &str) -> Result<(), Error> {
    let config = stream::Config {
        max_bytes: options.tenant_bytes_max,
        max_age: Duration::from_secs(options.tenant_age_hours * 3_600),
        allow_direct: true,
        // A write for each single message, or under `sync_interval: always` an fsync, would be most of what the stream costs; what a
        // broker that dies takes from its tail is in the event store (docs/adr/0004-tenant-streams-made-whole.md).
        persist_mode: (options.replicas == 1).then_some(stream::PersistenceMode::Async),
        ..base(options, &tenant_stream(placement), format!("tenant.{placement}.>"))
    };
    ensure_stream(bus, config).await
}

fn base(options: &TopologyOptions, name: &str, subjects: String) -> stream::Config {
    stream::Config {
        name: name.to_owned(),
        subjects: vec![subjects],
        storage: StorageType::File,
        num_replicas: options.replicas,
        duplicate_window: Duration::from_secs(options.dedup_window_seconds),
        ..Default::default()
    }
}

/// Whether the streams are another region's, whose fleet writes them.
async fn is_mirrored(bus: &Bus) -> Result<bool, Error> {
    match bus.jetstream().get_stream(RAW).await {
        Ok(stream) => Ok(stream.cached_info().config.mirror.is_some()),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(Error::broker("a look at its streams", &error)),
    }
}

/// Whether a restore is under way, or was: `RAW` comes last there, and first here.
async fn is_half_restored(bus: &Bus) -> Result<bool, Error> {
    match bus.jetstream().get_stream(EVENTS).await {
        Ok(stream) => Ok(stream.cached_info().config.metadata.contains_key(RESTORED)),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(Error::broker("a look at its streams", &error)),
    }
}

async fn existing_partitions(bus: &Bus) -> Result<Option<u32>, Error> {
    match bus.jetstream().get_stream(RAW).await {
        Ok(stream) => {
            let text = stream.cached_info().config.metadata.get(PARTITIONS).cloned().unwrap_or_default();
            text.parse().map(Some).map_err(|_| {
                Error::Mismatch(format!(
                    "a stream {RAW} exists and is not EventRunner's; use another broker account"
                ))
            })
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Error::broker("a look at its streams", &error)),
    }
}

pub(crate) fn is_missing(error: &async_nats::jetstream::context::GetStreamError) -> bool {
    use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
    matches!(error.kind(), GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

async fn ensure_stream(bus: &Bus, config: stream::Config) -> Result<(), Error> {
    let what = format!("stream {}", config.name);
    match bus.jetstream().create_stream(config.clone()).await {
        Ok(_) => Ok(()),
        Err(error) if is_in_use(&error) => {
            let found = bus.jetstream().get_stream(&config.name).await;
            // Which way a stream is written is decided when it is made: the broker changes it no more.
            let persist_mode =
                found.map_err(|e| Error::broker(what.clone(), &e))?.cached_info().config.persist_mode;
            let config = stream::Config { persist_mode, ..config };
            bus.jetstream().update_stream(config).await.map(drop).map_err(|e| Error::broker(what, &e))
        }
        Err(error) => Err(Error::broker(what, &error)),
    }
}

fn is_in_use(error: &async_nats::jetstream::context::CreateStreamError) -> bool {
    use async_nats::jetstream::ErrorCode;
    matches!(error.kind(), CreateStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

async fn ensure_consumer(
    bus: &Bus,
    options: &TopologyOptions,
    stream: &str,
    subject: &str,
    partition: u32,
) -> Result<(), Error> {
    let config = pull::Config {
        durable_name: Some(consumer_name(partition)),
        filter_subject: format!("{subject}.{partition}"),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(options.ack_wait_seconds),
        max_ack_pending: 1_000,
        max_deliver: -1,
        priority_groups: vec![GROUP.to_owned()],
        priority_policy: PriorityPolicy::PinnedClient,
        priority_timeout: Duration::from_millis(options.pin_timeout_ms),
        ..Default::default()
    };
    let what = format!("consumer {} of {stream}", consumer_name(partition));
    let handle =
        bus.jetstream().get_stream_no_info(stream).await.map_err(|e| Error::broker(what.clone(), &e))?;
    handle.create_consumer(config).await.map(drop).map_err(|e| Error::broker(what, &e))
}
