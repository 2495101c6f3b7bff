//! Every statement of this adapter. Values go as server-side parameters (`{name:Type}`), never into the text.
//!
//! `FINAL` reads as if all merges were done: of the rows of one key the void one, else the one written last. The
//! condition on `void` must come after that: moved before it (`optimize_move_to_prewhere_if_final`), it would hide
//! the void row and let the other count. Rows of one key lie in one partition, so partitions are finished apart.

mod rollup;

pub(super) use self::rollup::{
    ADD_CUSTOMERS_DONE, ADD_WHOSE, BEGIN_CUSTOMERS, COUNT_CUSTOMER_HOURLY, COUNT_HOURLY,
    CREATE_CUSTOMER_HOURLY, CREATE_HORIZON, CREATE_HOURLY, CREATE_MARKS, DAYS_TO_ROLL_UP,
    ERASE_CUSTOMER_HOURLY, ERASE_HOURLY, ERASE_MARKS, HORIZON, INSERT_MARKS, MARK_ERASED, MARKS,
    MOVE_HORIZON, OUTDATED_HOURS, REMOVE_CUSTOMER_HOURLY_RETENTION, REMOVE_HOURLY_RETENTION, ROLL_UP,
    ROLL_UP_CUSTOMERS, ROLL_UP_CUSTOMERS_HOUR, ROLL_UP_HOUR, ROLLED_UP_CUSTOMER_HOURS, ROLLED_UP_HOURS,
    SET_CUSTOMER_HOURLY_RETENTION, SET_HOURLY_RETENTION,
};
use super::aggregate::{COUNT_RECORDS, LATEST_VALUE, MAX_VALUE, SUM_RECORDS, UNIQUE_VALUES};

/// A statement and the name it goes by in the server's query log (`log_comment`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// Its name.
    pub name: &'static str,
    /// What is sent.
    pub text: &'static str,
}

/// All of them.
pub const ALL: &[Statement] = &[
    INSERT_RECORDS,
    INSERT_MARKS,
    SCHEMA_VERSION,
    MAY_WRITE,
    RETENTION,
    SET_RETENTION,
    REMOVE_RETENTION,
    CREATE_DATABASE,
    CREATE_SCHEMA_VERSIONS,
    RECORD_VERSION,
    CREATE_RECORDS,
    CREATE_TENANT_USAGE,
    SUM_EVENTS,
    SUM_BYTES,
    SUM_METER,
    SUM_RECORDS,
    COUNT_RECORDS,
    UNIQUE_VALUES,
    MAX_VALUE,
    LATEST_VALUE,
    LIST,
    ERASE_TENANT,
    COUNT_ROWS,
    CREATE_HOURLY,
    CREATE_MARKS,
    CREATE_HORIZON,
    ADD_WHOSE,
    CREATE_CUSTOMER_HOURLY,
    ADD_CUSTOMERS_DONE,
    BEGIN_CUSTOMERS,
    SET_HOURLY_RETENTION,
    REMOVE_HOURLY_RETENTION,
    SET_CUSTOMER_HOURLY_RETENTION,
    REMOVE_CUSTOMER_HOURLY_RETENTION,
    HORIZON,
    MOVE_HORIZON,
    DAYS_TO_ROLL_UP,
    ROLL_UP,
    ROLL_UP_CUSTOMERS,
    OUTDATED_HOURS,
    ROLL_UP_HOUR,
    ROLL_UP_CUSTOMERS_HOUR,
    ROLLED_UP_HOURS,
    ROLLED_UP_CUSTOMER_HOURS,
    MARK_ERASED,
    ERASE_HOURLY,
    ERASE_CUSTOMER_HOURLY,
    ERASE_MARKS,
    COUNT_CUSTOMER_HOURLY,
    COUNT_HOURLY,
];

/// The records, one row a record; more until rows of one key are merged.
pub(super) const RECORDS: &str = "usage_records";

/// As the client makes it of [`InsertRow`](super::row::InsertRow)'s columns.
pub(super) const INSERT_RECORDS: Statement = Statement {
    name: "insert_records",
    text: "INSERT INTO `usage_records`(`tenant`,`at_us`,`id`,`void`,`origin`,`kind`,`source`,`reference`,`events`,`bytes`,`meters`,`customer`,`event_type`) FORMAT RowBinaryWithNamesAndTypes",
};

/// Shows that the server answers, knows the user and has the database.
pub(super) const SCHEMA_VERSION: Statement =
    Statement { name: "schema_version", text: "SELECT max(version) FROM schema_versions" };

/// Fails for who may not write. Writes nothing.
pub(super) const MAY_WRITE: Statement = Statement {
    name: "may_write",
    text: "INSERT INTO usage_records (tenant, at_us, id)
SELECT tenant, at_us, id FROM usage_records WHERE 0",
};

/// Days of the table's TTL; 0 when it has none.
pub(super) const RETENTION: Statement = Statement {
    name: "retention",
    text: "SELECT toUInt32OrZero(extract(create_table_query, 'toIntervalDay[(][^0-9]*([0-9]+)'))
FROM system.tables WHERE database = currentDatabase() AND name = 'usage_records'",
};

pub(super) const SET_RETENTION: Statement = Statement {
    name: "set_retention",
    text: "ALTER TABLE usage_records MODIFY TTL
toDateTime(greatest(0, least(intDiv(at_us, 1000000), 3900000000)), 'UTC') + toIntervalDay({days:UInt32})",
};

pub(super) const REMOVE_RETENTION: Statement =
    Statement { name: "remove_retention", text: "ALTER TABLE usage_records REMOVE TTL" };

pub(super) const CREATE_DATABASE: Statement =
    Statement { name: "create_database", text: "CREATE DATABASE IF NOT EXISTS {database:Identifier}" };

pub(super) const CREATE_SCHEMA_VERSIONS: Statement = Statement {
    name: "create_schema_versions",
    text: "CREATE TABLE IF NOT EXISTS schema_versions
(
    version UInt32,
    name String,
    at DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY version",
};

pub(super) const RECORD_VERSION: Statement = Statement {
    name: "record_version",
    text: "INSERT INTO schema_versions (version, name) SELECT {version:UInt32}, {name:String}",
};

/// `key` stands for the id in the sorting key: sixteen bytes that every read needs, instead of an id that only lists need.
/// `at` is for people; the engine's times end in 1900 and 2299. The keys of `meters` are plain strings: in a map with
/// `LowCardinality` keys the engine (26.7) does not find the empty name.
pub(super) const CREATE_RECORDS: Statement = Statement {
    name: "create_records",
    text: "CREATE TABLE IF NOT EXISTS usage_records
(
    tenant LowCardinality(String),
    at_us Int64 CODEC(DoubleDelta, ZSTD(1)),
    id String CODEC(ZSTD(1)),
    key UInt128 MATERIALIZED reinterpretAsUInt128(sipHash128Reference(id)) CODEC(NONE),
    void UInt8 CODEC(ZSTD(1)),
    origin Enum8('event' = 1, 'named event' = 2, 'other' = 3) CODEC(ZSTD(1)),
    kind LowCardinality(String),
    source String CODEC(ZSTD(1)),
    reference String CODEC(ZSTD(1)),
    events UInt64 CODEC(T64, ZSTD(1)),
    bytes UInt64 CODEC(T64, ZSTD(1)),
    meters Map(String, UInt64) CODEC(ZSTD(1)),
    at DateTime64(6, 'UTC') ALIAS
        fromUnixTimestamp64Micro(greatest(-2208988800000000, least(at_us, 10413791999000000)), 'UTC')
)
ENGINE = ReplacingMergeTree(void)
PARTITION BY
    toYYYYMM(fromUnixTimestamp64Micro(greatest(-2208988800000000, least(at_us, 10413791999000000)), 'UTC'))
PRIMARY KEY (tenant, at_us)
ORDER BY (tenant, at_us, key)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
};

/// For dashboards, a row a tenant and minute. `cpu_usage` in seconds, `memory_usage` in bytes, averaged over the minute,
/// the others in bytes. The index serves conditions on both columns.
pub(super) const CREATE_TENANT_USAGE: Statement = Statement {
    name: "create_tenant_usage",
    text: "CREATE VIEW IF NOT EXISTS tenant_usage AS
SELECT
    tenant AS tenant_id,
    toDateTime(intDiv(at_us, 60000000) * 60, 'UTC') AS timestamp,
    sum(meters['cpu_us']) / 1000000 AS cpu_usage,
    sum(meters['memory_byte_seconds']) / 60 AS memory_usage,
    sum(bytes) AS network_ingress,
    sum(meters['egress_bytes']) AS network_egress
FROM usage_records FINAL
WHERE void = 0
GROUP BY tenant_id, timestamp",
};

/// Sums of `events` by bucket: its number, the first time in it, the sum. `width` is not 0. An empty `customer` is all of them.
pub(super) const SUM_EVENTS: Statement = Statement {
    name: "sum_events",
    text: "SELECT
    intDiv(at_us, {width:Int64}) - (at_us % {width:Int64} < 0) AS bucket,
    min(at_us) AS first_us,
    sum(toUInt128(events)) AS value
FROM usage_records FINAL
WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64}
    AND void = 0 AND (empty(meters) OR mapContains(meters, 'events'))
    AND ({customer:String} = '' OR customer = {customer:String})
GROUP BY bucket ORDER BY bucket
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1",
};

/// The same of `bytes`.
pub(super) const SUM_BYTES: Statement = Statement {
    name: "sum_bytes",
    text: "SELECT
    intDiv(at_us, {width:Int64}) - (at_us % {width:Int64} < 0) AS bucket,
    min(at_us) AS first_us,
    sum(toUInt128(bytes)) AS value
FROM usage_records FINAL
WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64}
    AND void = 0 AND (empty(meters) OR mapContains(meters, 'bytes'))
    AND ({customer:String} = '' OR customer = {customer:String})
GROUP BY bucket ORDER BY bucket
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1",
};

/// The same of any other meter.
pub(super) const SUM_METER: Statement = Statement {
    name: "sum_meter",
    text: "SELECT
    intDiv(at_us, {width:Int64}) - (at_us % {width:Int64} < 0) AS bucket,
    min(at_us) AS first_us,
    sum(arraySum((name, value) -> if(name = {meter:String}, toUInt128(value), toUInt128(0)),
        mapKeys(meters), mapValues(meters))) AS value
FROM usage_records FINAL
WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64}
    AND void = 0 AND mapContains(meters, {meter:String})
    AND ({customer:String} = '' OR customer = {customer:String})
GROUP BY bucket ORDER BY bucket
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1",
};

/// Records from a place on, of all customers and meters where those are empty. Read in the order of the sorting key, so that a
/// page stops after its rows; one thread does so sooner than several, which would share out the whole range first.
pub(super) const LIST: Statement = Statement {
    name: "list",
    text: "SELECT
    at_us, key, id, origin, kind, source, reference, events, bytes, meters, customer, event_type
FROM usage_records FINAL
WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64}
    AND (at_us > {since:Int64} OR key >= {key:UInt128}) AND void = 0
    AND ({customer:String} = '' OR customer = {customer:String})
    AND ({meter:String} = ''
        OR if(empty(meters), {meter:String} IN ('events', 'bytes'), mapContains(meters, {meter:String})))
ORDER BY tenant, at_us, key
LIMIT {limit:UInt32}
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1,
    max_threads = 1",
};

/// Rewrites the parts that hold rows of the tenant, and returns when that is done on every replica.
pub(super) const ERASE_TENANT: Statement = Statement {
    name: "erase_tenant",
    text: "ALTER TABLE usage_records DELETE WHERE tenant = {tenant:String} SETTINGS mutations_sync = 2",
};

/// Rows of a tenant, void ones and those not merged yet among them.
pub(super) const COUNT_ROWS: Statement = Statement {
    name: "count_rows",
    text: "SELECT count() FROM usage_records WHERE tenant = {tenant:String}",
};
