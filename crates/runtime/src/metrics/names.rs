//! The one list of metric names.

use model::ErrorCode;

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution over these bucket bounds.
    Histogram(&'static [f64]),
}

/// One label of a metric, with the values it may have: labels are bounded, never ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// The values a label may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// These; anything else is counted as `other`.
    OneOf(&'static [&'static str]),
    /// The strings of [`ErrorCode`].
    ErrorCode,
    /// As many as the text says.
    Bounded(&'static str),
}

impl Values {
    /// `value` if it is one of these, else `other`.
    #[must_use]
    pub fn admit<'a>(&self, value: &'a str) -> &'a str {
        let known = match self {
            Self::OneOf(values) => values.contains(&value),
            Self::ErrorCode => ErrorCode::from_code(value).is_some(),
            Self::Bounded(_) => true,
        };
        if known { value } else { "other" }
    }
}

const PROTOCOL: Label = one_of("protocol", &["http", "grpc"]);
const MODE: Label =
    one_of("mode", &["binary", "structured", "batch", "ndjson", "raw", "webhook", "protobuf"]);
const CODE: Label = Label { name: "code", values: Values::ErrorCode };
const STREAM: Label = one_of("stream", &["raw", "events", "usage", "tenant", "dead"]);
const STAGE: Label = one_of("stage", &["normalizer", "engine", "meter"]);
const SERVICE: Label = one_of(
    "service",
    &["ingest-http", "ingest-grpc", "normalizer", "engine", "api", "billing", "nats-server"],
);
const STORE: Label = one_of("kind", &["events", "usage"]);
const SIGNAL: Label = one_of("signal", &["traces", "metrics", "logs"]);
const TRANSPORT: Label = one_of("transport", &["sse", "grpc"]);
const PARTITION: Label = Label { name: "partition", values: Values::Bounded("one for each partition") };
const BROKER_STREAM: Label =
    Label { name: "stream", values: Values::Bounded("one for each stream of the broker") };
/// Nodes are told by `broker.monitor_url`, a node or a few.
const STORAGE: Label =
    Label { name: "of", values: Values::Bounded("`account`, or the name of a node of the broker") };
const AUTHORIZER: Label = one_of("kind", &["embedded", "keto"]);
const ROUTE: Label = Label { name: "route", values: Values::Bounded("one for each route template") };

const fn one_of(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::OneOf(values) }
}

/// Seconds: 0.5 ms to 10 s, about two buckets an octave where requests are.
const SECONDS: Kind = Kind::Histogram(&[
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
]);
/// Events in a batch.
const SIZES: Kind = Kind::Histogram(&[
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
]);
use Kind::{Counter, Gauge};

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $name:ident = $kind:expr, $text:literal, [$($label:expr),*];)*) => {
        /// Each metric there is. After a change here remake `docs/metrics.md`:
        /// `cargo test -p eventrunner-runtime --test docs -- --ignored`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric {
            $($(#[doc = $help])+ $name,)*
        }

        impl Metric {
            /// Each of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The full name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// What it says, one sentence.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$name => concat!($($help),+).trim(),)* }
            }

            /// Counter, gauge or histogram.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => $kind),* }
            }

            /// Its labels, in the order in which values are given.
            #[must_use]
            pub const fn labels(self) -> &'static [Label] {
                match self { $(Self::$name => const { &[$($label),*] }),* }
            }
        }
    };
}

metrics! {
    /// Requests received by the doors.
    IngestRequests = Counter, "eventrunner_ingest_requests_total", [PROTOCOL];
    /// Requests the doors refused, by error code.
    IngestRejectedRequests = Counter, "eventrunner_ingest_rejected_requests_total", [PROTOCOL, CODE];
    /// Requests refused because a limit of the tenant was reached.
    IngestRateLimitedRequests = Counter, "eventrunner_ingest_rate_limited_requests_total", [PROTOCOL, one_of("limit", &["requests", "events", "bytes"])];
    /// Requests being worked on.
    IngestInFlightRequests = Gauge, "eventrunner_ingest_in_flight_requests", [PROTOCOL];
    /// Events received by the doors; accepted means kept by the broker.
    IngestEvents = Counter, "eventrunner_ingest_events_total", [PROTOCOL, MODE, one_of("result", &["accepted", "rejected"])];
    /// Bytes of event bodies received, as they arrived.
    IngestReceivedBytes = Counter, "eventrunner_ingest_received_bytes_total", [PROTOCOL];
    /// Time from the request's head to the answer.
    IngestRequestDuration = SECONDS, "eventrunner_ingest_request_duration_seconds", [PROTOCOL];

    /// Packed messages acknowledged by the broker.
    BusPublishedBatches = Counter, "eventrunner_bus_published_batches_total", [STREAM];
    /// Events in acknowledged messages.
    BusPublishedEvents = Counter, "eventrunner_bus_published_events_total", [STREAM];
    /// Events in one message.
    BusBatchSize = SIZES, "eventrunner_bus_batch_size_events", [STREAM];
    /// Time from publishing a message to its acknowledgement.
    BusAckDuration = SECONDS, "eventrunner_bus_ack_duration_seconds", [STREAM];
    /// Events waiting to be packed or acknowledged.
    BusQueuedEvents = Gauge, "eventrunner_bus_queued_events", [STREAM];
    /// Events refused because the queue or the stream was full.
    BusFullEvents = Counter, "eventrunner_bus_full_events_total", [STREAM];
    /// Messages the broker did not acknowledge.
    BusFailedBatches = Counter, "eventrunner_bus_failed_batches_total", [STREAM];

    /// Messages received by a stage.
    ConsumerReceivedMessages = Counter, "eventrunner_consumer_received_messages_total", [STAGE];
    /// Events in the messages received by a stage.
    ConsumerReceivedEvents = Counter, "eventrunner_consumer_received_events_total", [STAGE];
    /// Messages received more than once.
    ConsumerRedeliveredMessages = Counter, "eventrunner_consumer_redelivered_messages_total", [STAGE];
    /// Age of the oldest message that this process has begun and not finished, looked at when one begins or ends, and every
    /// `progress_seconds`.
    ConsumerLagAge = Gauge, "eventrunner_consumer_lag_age_seconds", [STAGE, PARTITION];
    /// Partitions this process has taken over from another.
    ConsumerTakeovers = Counter, "eventrunner_consumer_taken_over_partitions_total", [STAGE];
    /// Partitions this process owns.
    ConsumerOwnedPartitions = Gauge, "eventrunner_consumer_owned_partitions", [STAGE];
    /// 1 for each partition this process owns, 0 for one it has given up.
    ConsumerOwnedPartition = Gauge, "eventrunner_consumer_held_partitions", [STAGE, PARTITION];

    /// Events normalized: passed unchanged, mapped from raw, or dead-lettered.
    NormalizerEvents = Counter, "eventrunner_normalizer_events_total", [one_of("result", &["passed", "mapped", "dead"])];
    /// Events that could not be normalized, by error code.
    NormalizerDeadEvents = Counter, "eventrunner_normalizer_dead_events_total", [CODE];
    /// Time to normalize one batch, without I/O.
    NormalizerBatchDuration = SECONDS, "eventrunner_normalizer_batch_duration_seconds", [];

    /// Events the engine has finished: every effect is durable.
    EngineEvents = Counter, "eventrunner_engine_finished_events_total", [];
    /// Events in one batch of the engine.
    EngineBatchSize = SIZES, "eventrunner_engine_batch_size_events", [];
    /// Time of one stage of a batch.
    EngineStageDuration = SECONDS, "eventrunner_engine_duration_seconds", [one_of("stage", &["store", "stream", "batch"])];
    /// Events written to the event store, those that were there already among them.
    EngineStoredEvents = Counter, "eventrunner_engine_stored_events_total", [];
    /// Events published to tenant streams.
    EngineStreamedEvents = Counter, "eventrunner_engine_streamed_events_total", [];
    /// Events published again to a tenant stream whose tail the broker had lost.
    EngineMendedEvents = Counter, "eventrunner_engine_mended_events_total", [];

    /// Values of tenants' own meters that were not counted: the event was, without them.
    EngineUnmeteredValues = Counter, "eventrunner_engine_unmetered_values_total", [one_of("reason", &["not_json", "missing", "wrong_kind", "negative", "too_large"])];

    /// Times a tenant's retention was applied.
    HousekeepingExpirations = Counter, "eventrunner_housekeeping_expirations_total", [one_of("result", &["done", "failed"])];
    /// When retention was last applied to every tenant that has one, in seconds since the Unix epoch.
    HousekeepingRetentionTime = Gauge, "eventrunner_housekeeping_retention_time_seconds", [];
    /// Tenants erased.
    HousekeepingErasures = Counter, "eventrunner_housekeeping_erasures_total", [one_of("result", &["done", "failed"])];

    /// What billing did: invoices made, hours of storage metered, events told, thresholds looked at.
    BillingTasks = Counter, "eventrunner_billing_tasks_total", [one_of("what", &["invoices", "storage", "events", "thresholds"]), one_of("result", &["done", "failed"])];

    /// When billing last went through all it has to do, in seconds since the Unix epoch.
    BillingLookTime = Gauge, "eventrunner_billing_look_time_seconds", [];

    /// Bytes that a stream of the broker holds.
    BrokerKeptBytes = Gauge, "eventrunner_broker_kept_bytes", [BROKER_STREAM];
    /// Messages that a stream of the broker holds.
    BrokerKeptMessages = Gauge, "eventrunner_broker_kept_messages", [BROKER_STREAM];
    /// Bytes that a stream of the broker may hold, and what it does then: refuse messages, or forget the oldest.
    BrokerLimitBytes = Gauge, "eventrunner_broker_limit_bytes", [BROKER_STREAM, one_of("when_full", &["refuses", "forgets"])];
    /// Age of the oldest message that nobody has finished, of streams that are queues of work.
    BrokerOldestWork = Gauge, "eventrunner_broker_oldest_work_seconds", [BROKER_STREAM];
    /// Messages of a partition that nobody was handed yet.
    BrokerPendingMessages = Gauge, "eventrunner_broker_pending_messages", [BROKER_STREAM, PARTITION];
    /// Messages of a partition that somebody was handed and has not acknowledged.
    BrokerUnacknowledgedMessages = Gauge, "eventrunner_broker_unacknowledged_messages", [BROKER_STREAM, PARTITION];

    /// Bytes of file storage that are used: of a node of the broker, or, where the fleet's account has a limit, of that account.
    BrokerStorageUsed = Gauge, "eventrunner_broker_storage_used_bytes", [STORAGE];
    /// Bytes of file storage that a node of the broker, or the fleet's account, may use; beyond them no message is taken.
    BrokerStorageLimit = Gauge, "eventrunner_broker_storage_limit_bytes", [STORAGE];

    /// Time of one commit.
    StoreCommitDuration = SECONDS, "eventrunner_store_commit_duration_seconds", [STORE];
    /// Records committed.
    StoreWrittenRecords = Counter, "eventrunner_store_written_records_total", [STORE];
    /// Disk space used by the embedded store.
    StoreDiskBytes = Gauge, "eventrunner_store_disk_bytes", [];
    /// Batches that wait for the embedded store's writer.
    StoreQueuedBatches = Gauge, "eventrunner_store_queued_batches", [];

    /// Free room on the disk with the data folder.
    DiskFreeBytes = Gauge, "eventrunner_disk_free_bytes", [];
    /// Size of the disk with the data folder.
    DiskSizeBytes = Gauge, "eventrunner_disk_size_bytes", [];
    /// When what a configured file vouches for ends, in seconds since the Unix epoch; of several the first.
    CertificateExpiryTime = Gauge, "eventrunner_certificate_expiry_time_seconds", [one_of("file", &["nats_ca", "nats_certificate", "nats_credentials", "cql_ca", "otlp_ca"])];

    /// When the last whole backup began, in seconds since the Unix epoch. Before the first, when the streams were made, if one is
    /// expected; nothing if none is.
    BackupTime = Gauge, "eventrunner_backup_time_seconds", [];
    /// How old the last backup may be, if one is expected.
    BackupAgeLimit = Gauge, "eventrunner_backup_age_limit_seconds", [];

    /// Requests answered by the API.
    ApiRequests = Counter, "eventrunner_api_requests_total", [ROUTE, Label { name: "status", values: Values::Bounded("the HTTP status") }];
    /// Time from the request's head to the head of the answer.
    ApiRequestDuration = SECONDS, "eventrunner_api_request_duration_seconds", [ROUTE];
    /// Subscribers connected now.
    ApiSubscribers = Gauge, "eventrunner_api_connected_subscribers", [TRANSPORT];
    /// Events sent to subscribers.
    ApiStreamedEvents = Counter, "eventrunner_api_streamed_events_total", [TRANSPORT];
    /// Calls of tools over MCP; each is a request of its operation's route too.
    ApiToolCalls = Counter, "eventrunner_api_mcp_requests_total", [Label { name: "tool", values: Values::Bounded("one for each tool, and `none`") }, one_of("outcome", &["answered", "refused", "failed"])];

    /// Whether this replica keeps the authorizer's tuples in step with the catalog, and they are: 1 on one replica where there is Keto.
    AuthorizerInStep = Gauge, "eventrunner_authorizer_in_step_replicas", [];
    /// Tuples the authorizer was told of.
    AuthorizerTuples = Counter, "eventrunner_authorizer_told_tuples_total", [one_of("change", &["insert", "delete"])];
    /// Times that the authorizer could not be told.
    AuthorizerFailures = Counter, "eventrunner_authorizer_failed_requests_total", [];

    /// Questions that the authorizer was asked, because what a caller brought did not suffice, and what it said.
    AuthorizerQuestions = Counter, "eventrunner_authorizer_asked_questions_total", [AUTHORIZER, one_of("answer", &["allowed", "denied", "none"])];
    /// Time until the authorizer has answered the questions of one request, or has not.
    AuthorizerDuration = SECONDS, "eventrunner_authorizer_check_duration_seconds", [AUTHORIZER];

    /// Accounts of tenants that the broker was told of.
    AccountsSet = Counter, "eventrunner_accounts_told_requests_total", [];
    /// Times that the broker could not be told of its accounts.
    AccountFailures = Counter, "eventrunner_accounts_failed_requests_total", [];

    /// Dead letters written, by stage and error code.
    DeadLettersWritten = Counter, "eventrunner_dead_written_letters_total", [STAGE, CODE];
    /// Dead letters sent back to their stage.
    DeadLettersRedriven = Counter, "eventrunner_dead_redriven_letters_total", [STAGE];
    /// Dead letters deleted on request.
    DeadLettersPurged = Counter, "eventrunner_dead_purged_letters_total", [];

    /// Connections open now, over all listeners.
    HttpOpenConnections = Gauge, "eventrunner_http_open_connections", [];
    /// Connections accepted.
    HttpAcceptedConnections = Counter, "eventrunner_http_accepted_connections_total", [];
    /// Times a listener had to wait because it had as many connections as it may.
    HttpFullWaits = Counter, "eventrunner_http_full_waits_total", [];
    /// Connections closed by the server against the client's will.
    HttpClosedConnections = Counter, "eventrunner_http_closed_connections_total", [one_of("reason", &["header_timeout", "idle", "write_stalled", "aborted"])];
    /// Handlers that panicked.
    HttpPanics = Counter, "eventrunner_http_handler_panics_total", [];

    /// Processes of `up --processes` that ended unasked and were started again.
    FleetRestartedProcesses = Counter, "eventrunner_fleet_restarted_processes_total", [SERVICE];

    /// Requests that were to be traced; beyond the limit of a second they were not.
    TelemetrySampled = Counter, "eventrunner_telemetry_traced_requests_total", [one_of("result", &["sampled", "over_limit"])];
    /// Spans, log records and points of metrics that the collector has taken.
    TelemetrySent = Counter, "eventrunner_telemetry_sent_records_total", [SIGNAL];
    /// Spans, log records and points of metrics that were dropped.
    TelemetryDropped = Counter, "eventrunner_telemetry_dropped_records_total", [SIGNAL, one_of("reason", &["queue_full", "export_failed", "rejected", "over_limit"])];

    /// Processor time used by the process.
    ProcessCpu = Counter, "eventrunner_process_cpu_seconds_total", [];
    /// Resident memory of the process.
    ProcessResidentBytes = Gauge, "eventrunner_process_resident_bytes", [];
    /// Files and sockets the process has open.
    ProcessOpenFiles = Gauge, "eventrunner_process_open_files", [];
    /// 1 for each component of the process that is ready, 0 for one that is not.
    ProcessReadyComponents = Gauge, "eventrunner_process_ready_components", [Label { name: "component", values: Values::Bounded("one for each component of the services") }];
    /// When the process started, in seconds since the Unix epoch.
    ProcessStartTime = Gauge, "eventrunner_process_start_time_seconds", [];
    /// Always 1; its labels say what is running.
    BuildInfo = Gauge, "eventrunner_build_info", [Label { name: "version", values: Values::Bounded("the version of the build") }];
}
