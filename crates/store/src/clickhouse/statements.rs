//! Every statement of this adapter. Values go as server-side parameters (`{name:Type}`), never into the text.
//!
//! `FINAL` reads as if all merges were done: of the rows of one key the void one, else the one written last. The
//! condition on `void` must come after that: moved before it (`optimize_move_to_prewhere_if_final`), it would hide
//! the void row and let the other count. Rows of one key lie in one partition, so partitions are finished apart.

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
    SET_HOURLY_RETENTION,
    REMOVE_HOURLY_RETENTION,
    HORIZON,
    MOVE_HORIZON,
    DAYS_TO_ROLL_UP,
    ROLL_UP,
    OUTDATED_HOURS,
    ROLL_UP_HOUR,
    ROLLED_UP_HOURS,
    MARK_ERASED,
    ERASE_HOURLY,
    ERASE_MARKS,
    COUNT_HOURLY,
];

/// The records, one row a record; more until rows of one key are merged.
pub(super) const RECORDS: &str = "usage_records";

/// As the client makes it of [`InsertRow`](super::row::InsertRow)'s columns.
pub(super) const INSERT_RECORDS: Statement = Statement {
    name: "insert_records",
    text: "INSERT INTO `usage_records`(`tenant`,`at_us`,`id`,`void`,`origin`,`kind`,`source`,`reference`,`events`,`bytes`,`meters`) FORMAT RowBinaryWithNamesAndTypes",
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

/// Sums of `events` by bucket: its number, the first time in it, the sum. `width` is not 0.
pub(super) const SUM_EVENTS: Statement = Statement {
    name: "sum_events",
    text: "SELECT
    intDiv(at_us, {width:Int64}) - (at_us % {width:Int64} < 0) AS bucket,
    min(at_us) AS first_us,
    sum(toUInt128(events)) AS value
FROM usage_records FINAL
WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64}
    AND void = 0 AND (empty(meters) OR mapContains(meters, 'events'))
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
GROUP BY bucket ORDER BY bucket
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1",
};

/// Records from a place on. Read in the order of the sorting key, so that a page stops after its rows; one thread does
/// so sooner than several, which would share out the whole range first.
pub(super) const LIST: Statement = Statement {
    name: "list",
    text: "SELECT
    at_us, key, id, origin, kind, source, reference, events, bytes, meters
FROM usage_records FINAL
WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64}
    AND (at_us > {since:Int64} OR key >= {key:UInt128}) AND void = 0
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

// Roll-ups: `rollup.rs` says how they stay exact.

/// The table that says which hours got records after they may have been rolled up.
pub(super) const MARKS: &str = "usage_marks";

/// As the client makes it.
pub(super) const INSERT_MARKS: Statement = Statement {
    name: "insert_marks",
    text: "INSERT INTO `usage_marks`(`tenant`,`hour`,`n`) FORMAT RowBinaryWithNamesAndTypes",
};

/// Sums of a tenant's hour (counted from 1970) by meter, made when the hour had `marks` marks.
pub(super) const CREATE_HOURLY: Statement = Statement {
    name: "create_hourly",
    text: "CREATE TABLE IF NOT EXISTS usage_hourly
(
    tenant LowCardinality(String),
    hour Int64 CODEC(DoubleDelta, ZSTD(1)),
    marks UInt64 CODEC(ZSTD(1)),
    meters Map(String, UInt128) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(marks)
ORDER BY (tenant, hour)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
};

/// Counts what came to an hour late. The hour of the smallest number stands for all of a tenant's.
pub(super) const CREATE_MARKS: Statement = Statement {
    name: "create_marks",
    text: "CREATE TABLE IF NOT EXISTS usage_marks
(
    tenant LowCardinality(String),
    hour Int64 CODEC(ZSTD(1)),
    n UInt64 CODEC(ZSTD(1))
)
ENGINE = SummingMergeTree(n)
ORDER BY (tenant, hour)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
};

/// Two hours that only grow: before `open` an hour may be rolled up, before `done` it is.
pub(super) const CREATE_HORIZON: Statement = Statement {
    name: "create_horizon",
    text: "CREATE TABLE IF NOT EXISTS usage_horizon
(
    open SimpleAggregateFunction(max, Int64),
    done SimpleAggregateFunction(max, Int64)
)
ENGINE = AggregatingMergeTree
ORDER BY tuple()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
};

/// What is forgotten of the records is forgotten of their sums.
pub(super) const SET_HOURLY_RETENTION: Statement = Statement {
    name: "set_hourly_retention",
    text: "ALTER TABLE usage_hourly MODIFY TTL
toDateTime(greatest(0, least(hour * 3600, 3900000000)), 'UTC') + toIntervalDay({days:UInt32})",
};

/// The same for a table without.
pub(super) const REMOVE_HOURLY_RETENTION: Statement =
    Statement { name: "remove_hourly_retention", text: "ALTER TABLE usage_hourly REMOVE TTL" };

/// `open` and `done`.
pub(super) const HORIZON: Statement = Statement {
    name: "horizon",
    text: "SELECT
    if(count() = 0, -9223372036854775808, max(open)) AS opened,
    if(count() = 0, -9223372036854775808, max(done)) AS finished
FROM usage_horizon",
};

/// Moves either on.
pub(super) const MOVE_HORIZON: Statement = Statement {
    name: "move_horizon",
    text: "INSERT INTO usage_horizon (open, done) SELECT {open:Int64}, {done:Int64}",
};

/// The days (counted from 1970) that hold records between two times.
pub(super) const DAYS_TO_ROLL_UP: Statement = Statement {
    name: "days_to_roll_up",
    text: "SELECT DISTINCT intDiv(at_us, 86400000000) - (at_us % 86400000000 < 0) AS day
FROM usage_records WHERE at_us >= {since:Int64} AND at_us <= {last:Int64} ORDER BY day",
};

/// Sums of every hour between two times, as of hours that have no marks.
pub(super) const ROLL_UP: Statement = Statement {
    name: "roll_up",
    text: "INSERT INTO usage_hourly (tenant, hour, marks, meters)
SELECT tenant, hour, 0, mapFromArrays(groupArray(meter), groupArray(total))
FROM (
    SELECT tenant, hour, meter, sum(toUInt128(amount)) AS total
    FROM
    (
        SELECT
            tenant,
            intDiv(at_us, 3600000000) - (at_us % 3600000000 < 0) AS hour,
            if(empty(meters), ['events', 'bytes'], mapKeys(meters)) AS names,
            if(empty(meters), [events, bytes], mapValues(meters)) AS amounts
        FROM usage_records FINAL
        WHERE at_us >= {since:Int64} AND at_us <= {last:Int64} AND void = 0
    )
    ARRAY JOIN names AS meter, amounts AS amount
    GROUP BY tenant, hour, meter
)
GROUP BY tenant, hour
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1",
};

/// Hours whose marks are not those they were rolled up with, and their marks now.
pub(super) const OUTDATED_HOURS: Statement = Statement {
    name: "outdated_hours",
    text: "SELECT tenant, hour, of_hour + epoch AS marks
FROM
(
    SELECT tenant, hour, max(made) AS last_made, max(rolled) AS is_rolled, sum(n) AS of_hour
    FROM
    (
        SELECT tenant, hour, marks AS made, 1 AS rolled, 0 AS n FROM usage_hourly FINAL
        WHERE tenant IN (SELECT tenant FROM usage_marks)
        UNION ALL
        SELECT tenant, hour, 0, 0, n FROM usage_marks WHERE hour > -9223372036854775808
    )
    GROUP BY tenant, hour
) AS hours
LEFT JOIN
(
    SELECT tenant, sum(n) AS epoch FROM usage_marks WHERE hour = -9223372036854775808 GROUP BY tenant
) AS erased USING (tenant)
WHERE if(is_rolled = 1, last_made != of_hour + epoch, of_hour > 0)
ORDER BY tenant, hour
LIMIT {limit:UInt32}
SETTINGS join_use_nulls = 0",
};

/// Sums of one hour, as of one that has these marks; also when it has no records left.
pub(super) const ROLL_UP_HOUR: Statement = Statement {
    name: "roll_up_hour",
    text: "INSERT INTO usage_hourly (tenant, hour, marks, meters)
SELECT {tenant:String}, {hour:Int64}, {marks:UInt64}, mapFromArrays(groupArray(meter), groupArray(total))
FROM (
    SELECT meter, sum(toUInt128(amount)) AS total
    FROM
    (
        SELECT
            if(empty(meters), ['events', 'bytes'], mapKeys(meters)) AS names,
            if(empty(meters), [events, bytes], mapValues(meters)) AS amounts
        FROM usage_records FINAL
        WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64} AND void = 0
    )
    ARRAY JOIN names AS meter, amounts AS amount
    GROUP BY meter
)
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1",
};

/// Hours of a tenant that have a roll-up or marks: whether the roll-up holds, whether it has the meter, its sum.
pub(super) const ROLLED_UP_HOURS: Statement = Statement {
    name: "rolled_up_hours",
    text: "SELECT
    hour,
    toUInt8(max(rolled) = 1 AND max(made) = sum(n) + ifNull((
        SELECT sum(n) FROM usage_marks WHERE tenant = {tenant:String} AND hour = -9223372036854775808
    ), 0)) AS holds,
    toUInt8(max(found)) AS has,
    max(amount) AS value
FROM
(
    SELECT
        hour, 1 AS rolled, marks AS made, 0 AS n,
        mapContains(meters, {meter:String}) AS found, meters[{meter:String}] AS amount
    FROM usage_hourly FINAL
    WHERE tenant = {tenant:String} AND hour >= {first:Int64} AND hour < {end:Int64}
    UNION ALL
    SELECT hour, 0, 0, n, 0, toUInt128(0) FROM usage_marks
    WHERE tenant = {tenant:String} AND hour >= {first:Int64} AND hour < {end:Int64}
)
GROUP BY hour ORDER BY hour",
};

/// Makes every roll-up of a tenant outdated, those under way too: more than an hour will ever have of its own.
pub(super) const MARK_ERASED: Statement = Statement {
    name: "mark_erased",
    text: "INSERT INTO usage_marks (tenant, hour, n)
SELECT {tenant:String}, -9223372036854775808, 4294967296",
};

/// Its roll-ups.
pub(super) const ERASE_HOURLY: Statement = Statement {
    name: "erase_hourly",
    text: "ALTER TABLE usage_hourly DELETE WHERE tenant = {tenant:String} SETTINGS mutations_sync = 2",
};

/// Its marks but the one that it was erased.
pub(super) const ERASE_MARKS: Statement = Statement {
    name: "erase_marks",
    text: "ALTER TABLE usage_marks DELETE WHERE tenant = {tenant:String} AND hour > -9223372036854775808
SETTINGS mutations_sync = 2",
};

/// Roll-ups of a tenant.
pub(super) const COUNT_HOURLY: Statement = Statement {
    name: "count_hourly",
    text: "SELECT count() FROM usage_hourly WHERE tenant = {tenant:String}",
};
