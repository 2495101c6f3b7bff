//! Roll-ups: `rollup.rs` beside the statements says how they stay exact.

use super::Statement;

/// The table that says which hours got records after they may have been rolled up.
pub(in crate::clickhouse) const MARKS: &str = "usage_marks";

/// As the client makes it.
pub(in crate::clickhouse) const INSERT_MARKS: Statement = Statement {
    name: "insert_marks",
    text: "INSERT INTO `usage_marks`(`tenant`,`hour`,`n`) FORMAT RowBinaryWithNamesAndTypes",
};

/// Sums of a tenant's hour (counted from 1970) by meter, made when the hour had `marks` marks.
pub(in crate::clickhouse) const CREATE_HOURLY: Statement = Statement {
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
pub(in crate::clickhouse) const CREATE_MARKS: Statement = Statement {
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
pub(in crate::clickhouse) const CREATE_HORIZON: Statement = Statement {
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

/// Whose a record is. Rows of before have none.
pub(in crate::clickhouse) const ADD_WHOSE: Statement = Statement {
    name: "add_whose",
    text: "ALTER TABLE usage_records
    ADD COLUMN IF NOT EXISTS customer LowCardinality(String),
    ADD COLUMN IF NOT EXISTS event_type LowCardinality(String)",
};

/// A customer's part of `usage_hourly`. A customer that used nothing in an hour has no row of it.
pub(in crate::clickhouse) const CREATE_CUSTOMER_HOURLY: Statement = Statement {
    name: "create_customer_hourly",
    text: "CREATE TABLE IF NOT EXISTS usage_customer_hourly
(
    tenant LowCardinality(String),
    customer LowCardinality(String),
    hour Int64 CODEC(DoubleDelta, ZSTD(1)),
    marks UInt64 CODEC(ZSTD(1)),
    meters Map(String, UInt128) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(marks)
ORDER BY (tenant, customer, hour)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
};

/// Before it, hours of customers are rolled up too. An older program moves `done` without it.
pub(in crate::clickhouse) const ADD_CUSTOMERS_DONE: Statement = Statement {
    name: "add_customers_done",
    text: "ALTER TABLE usage_horizon ADD COLUMN IF NOT EXISTS
    customers_done SimpleAggregateFunction(max, Int64) DEFAULT -9223372036854775808",
};

/// Hours that were rolled up before records had customers have none to be rolled up. Once: later ones may have.
pub(in crate::clickhouse) const BEGIN_CUSTOMERS: Statement = Statement {
    name: "begin_customers",
    text: "INSERT INTO usage_horizon (open, done, customers_done)
SELECT max(open), max(done), max(done) FROM usage_horizon
HAVING count() > 0 AND max(customers_done) = -9223372036854775808",
};

/// What is forgotten of the records is forgotten of their sums.
pub(in crate::clickhouse) const SET_HOURLY_RETENTION: Statement = Statement {
    name: "set_hourly_retention",
    text: "ALTER TABLE usage_hourly MODIFY TTL
toDateTime(greatest(0, least(hour * 3600, 3900000000)), 'UTC') + toIntervalDay({days:UInt32})",
};

/// The same for a table without.
pub(in crate::clickhouse) const REMOVE_HOURLY_RETENTION: Statement =
    Statement { name: "remove_hourly_retention", text: "ALTER TABLE usage_hourly REMOVE TTL" };

/// The same for customers.
pub(in crate::clickhouse) const SET_CUSTOMER_HOURLY_RETENTION: Statement = Statement {
    name: "set_customer_hourly_retention",
    text: "ALTER TABLE usage_customer_hourly MODIFY TTL
toDateTime(greatest(0, least(hour * 3600, 3900000000)), 'UTC') + toIntervalDay({days:UInt32})",
};

/// The same for a table without.
pub(in crate::clickhouse) const REMOVE_CUSTOMER_HOURLY_RETENTION: Statement = Statement {
    name: "remove_customer_hourly_retention",
    text: "ALTER TABLE usage_customer_hourly REMOVE TTL",
};

/// `open`, `done` and `customers_done`.
pub(in crate::clickhouse) const HORIZON: Statement = Statement {
    name: "horizon",
    text: "SELECT
    if(count() = 0, -9223372036854775808, max(open)) AS opened,
    if(count() = 0, -9223372036854775808, max(done)) AS finished,
    if(count() = 0, -9223372036854775808, max(customers_done)) AS customers_finished
FROM usage_horizon",
};

/// Moves each on.
pub(in crate::clickhouse) const MOVE_HORIZON: Statement = Statement {
    name: "move_horizon",
    text: "INSERT INTO usage_horizon (open, done, customers_done)
SELECT {open:Int64}, {done:Int64}, {customers_done:Int64}",
};

/// The days (counted from 1970) that hold records between two times.
pub(in crate::clickhouse) const DAYS_TO_ROLL_UP: Statement = Statement {
    name: "days_to_roll_up",
    text: "SELECT DISTINCT intDiv(at_us, 86400000000) - (at_us % 86400000000 < 0) AS day
FROM usage_records WHERE at_us >= {since:Int64} AND at_us <= {last:Int64} ORDER BY day",
};

/// Sums into `$table` of every hour between two times, as of hours that have no marks: of each tenant, and of what else
/// `$whose` names (each with a comma behind), of the records that `$only` leaves.
macro_rules! roll_up {
    ($name:literal, $table:literal, $whose:literal, $only:literal) => {
        Statement {
            name: $name,
            text: concat!(
                "INSERT INTO ",
                $table,
                " (tenant, ",
                $whose,
                "hour, marks, meters)
SELECT tenant, ",
                $whose,
                "hour, 0, mapFromArrays(groupArray(meter), groupArray(total))
FROM (
    SELECT tenant, ",
                $whose,
                "hour, meter, sum(toUInt128(amount)) AS total
    FROM
    (
        SELECT
            tenant, ",
                $whose,
                "intDiv(at_us, 3600000000) - (at_us % 3600000000 < 0) AS hour,
            if(empty(meters), ['events', 'bytes'], mapKeys(meters)) AS names,
            if(empty(meters), [events, bytes], mapValues(meters)) AS amounts
        FROM usage_records FINAL
        WHERE at_us >= {since:Int64} AND at_us <= {last:Int64} AND void = 0",
                $only,
                "
    )
    ARRAY JOIN names AS meter, amounts AS amount
    GROUP BY tenant, ",
                $whose,
                "hour, meter
)
GROUP BY tenant, ",
                $whose,
                "hour
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1",
            ),
        }
    };
}

/// Of tenants.
pub(in crate::clickhouse) const ROLL_UP: Statement = roll_up!("roll_up", "usage_hourly", "", "");

/// Of their customers.
pub(in crate::clickhouse) const ROLL_UP_CUSTOMERS: Statement =
    roll_up!("roll_up_customers", "usage_customer_hourly", "customer, ", " AND customer != ''");

/// Hours whose marks are not those they were rolled up with, and their marks now.
pub(in crate::clickhouse) const OUTDATED_HOURS: Statement = Statement {
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

/// Sums into `$table` of one hour of a tenant, as of one that has these marks, by `$whose` (with a comma behind) of the records
/// that `$only` leaves.
macro_rules! roll_up_hour {
    ($name:literal, $table:literal, $whose:literal, $only:literal, $groups:literal) => {
        Statement {
            name: $name,
            text: concat!(
                "INSERT INTO ",
                $table,
                " (tenant, ",
                $whose,
                "hour, marks, meters)
SELECT {tenant:String}, ",
                $whose,
                "{hour:Int64}, {marks:UInt64},
    mapFromArrays(groupArray(meter), groupArray(total))
FROM (
    SELECT ",
                $whose,
                "meter, sum(toUInt128(amount)) AS total
    FROM
    (
        SELECT ",
                $whose,
                "
            if(empty(meters), ['events', 'bytes'], mapKeys(meters)) AS names,
            if(empty(meters), [events, bytes], mapValues(meters)) AS amounts
        FROM usage_records FINAL
        WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64} AND void = 0",
                $only,
                "
    )
    ARRAY JOIN names AS meter, amounts AS amount
    GROUP BY ",
                $whose,
                "meter
)",
                $groups,
                "
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1",
            ),
        }
    };
}

/// Of the tenant; also when it has no records left.
pub(in crate::clickhouse) const ROLL_UP_HOUR: Statement =
    roll_up_hour!("roll_up_hour", "usage_hourly", "", "", "");

/// Of every customer that has records left in it.
pub(in crate::clickhouse) const ROLL_UP_CUSTOMERS_HOUR: Statement = roll_up_hour!(
    "roll_up_customers_hour",
    "usage_customer_hourly",
    "customer, ",
    " AND customer != ''",
    " GROUP BY customer"
);

/// Hours that have a row in `$table` or marks: whether the row holds, whether it has the meter, its sum. `$whose` says which rows of
/// the tenant's.
macro_rules! rolled_up_hours {
    ($name:literal, $table:literal, $whose:literal) => {
        Statement {
            name: $name,
            text: concat!(
                "SELECT
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
    FROM ",
                $table,
                " FINAL
    WHERE tenant = {tenant:String}",
                $whose,
                " AND hour >= {first:Int64} AND hour < {end:Int64}
    UNION ALL
    SELECT hour, 0, 0, n, 0, toUInt128(0) FROM usage_marks
    WHERE tenant = {tenant:String} AND hour >= {first:Int64} AND hour < {end:Int64}
)
GROUP BY hour ORDER BY hour",
            ),
        }
    };
}

/// Of a tenant.
pub(in crate::clickhouse) const ROLLED_UP_HOURS: Statement =
    rolled_up_hours!("rolled_up_hours", "usage_hourly", "");

/// Of a customer.
pub(in crate::clickhouse) const ROLLED_UP_CUSTOMER_HOURS: Statement = rolled_up_hours!(
    "rolled_up_customer_hours",
    "usage_customer_hourly",
    " AND customer = {customer:String}"
);

/// Makes every roll-up of a tenant outdated, those under way too: more than an hour will ever have of its own.
pub(in crate::clickhouse) const MARK_ERASED: Statement = Statement {
    name: "mark_erased",
    text: "INSERT INTO usage_marks (tenant, hour, n)
SELECT {tenant:String}, -9223372036854775808, 4294967296",
};

/// Its roll-ups.
pub(in crate::clickhouse) const ERASE_HOURLY: Statement = Statement {
    name: "erase_hourly",
    text: "ALTER TABLE usage_hourly DELETE WHERE tenant = {tenant:String} SETTINGS mutations_sync = 2",
};

/// Those of its customers.
pub(in crate::clickhouse) const ERASE_CUSTOMER_HOURLY: Statement = Statement {
    name: "erase_customer_hourly",
    text: "ALTER TABLE usage_customer_hourly DELETE WHERE tenant = {tenant:String} SETTINGS mutations_sync = 2",
};

/// Its marks but the one that it was erased.
pub(in crate::clickhouse) const ERASE_MARKS: Statement = Statement {
    name: "erase_marks",
    text: "ALTER TABLE usage_marks DELETE WHERE tenant = {tenant:String} AND hour > -9223372036854775808
SETTINGS mutations_sync = 2",
};

/// Roll-ups of a tenant's customers.
pub(in crate::clickhouse) const COUNT_CUSTOMER_HOURLY: Statement = Statement {
    name: "count_customer_hourly",
    text: "SELECT count() FROM usage_customer_hourly WHERE tenant = {tenant:String}",
};

/// Roll-ups of a tenant.
pub(in crate::clickhouse) const COUNT_HOURLY: Statement = Statement {
    name: "count_hourly",
    text: "SELECT count() FROM usage_hourly WHERE tenant = {tenant:String}",
};
