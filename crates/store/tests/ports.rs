//! One suite for every adapter of the ports. A case takes the stores and a world of tenants of its own, so it
//! runs as well against a shared cluster as against an empty folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ports {
    pub(crate) mod aggregations;
    #[cfg(feature = "cql")]
    pub(crate) mod cassandra;
    pub(crate) mod cursors;
    pub(crate) mod erasure;
    pub(crate) mod events;
    pub(crate) mod tail;
    pub(crate) mod usage;
    pub(crate) mod world;
    pub(crate) mod writes;
}

use std::sync::Arc;

use model::Durability;
use ports::{aggregations, cursors, erasure, events, tail, usage, world::World, writes};
use store::{
    EraseAll, Stores,
    embedded::{Embedded, Options},
};

/// A test for each case, on stores opened by `$open`, an async function that gives stores and what keeps them alive.
macro_rules! suite {
    ($adapter:ident, $open:expr, [$($module:ident: $($case:ident),+;)+]) => {
        mod $adapter {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (stores, _alive) = $open.await;
                    $module::$case(&stores, &World::new()).await;
                }
            )+)+
        }
    };
}

/// The cases that every adapter must pass, for the stores that `$open` opens.
macro_rules! every_case {
    ($adapter:ident, $open:expr) => {
        suite!($adapter, $open, [
            writes: writing_again_changes_nothing, overlapping_batches_keep_the_first,
                a_duplicate_inside_a_batch_is_kept_once, concurrent_writers_keep_each_event_once,
                many_tenants_in_one_batch, an_empty_batch_is_fine, stored_and_metered_apart_is_exact_too;
            events: every_attribute_type_comes_back, the_receipt_comes_back, no_data_differs_from_empty_data,
                a_megabyte_comes_back, tenants_are_apart, an_unknown_event_is_none, names_that_look_alike_are_apart,
                times_before_1970_and_after_2100, filters, time_ranges;
            cursors: both_orders_walk_all_in_order, a_walk_under_writes_neither_skips_nor_repeats, walks_with_filters,
                a_page_holds_at_most_its_limit, foreign_cursors_are_refused;
            tail: the_last_batches_come_back_newest_first, what_is_in_no_stream_has_no_tail;
            erasure: an_erased_tenant_is_gone_and_nobody_else, a_tenant_erased_may_write_again,
                erasing_and_expiring_again_is_fine, erased_data_leaves_the_envelope_and_the_receipt,
                erased_data_is_not_in_the_tail, what_is_not_there_cannot_be_erased,
                expiring_keeps_what_is_younger_and_all_usage, writes_go_on_while_a_tenant_is_erased;
            usage: sums_equal_the_events, records_are_kept_once, buckets, ranges_are_exact_to_the_microsecond,
                lists_walk_all, tenants_are_billed_apart, origins_come_back, bad_widths_and_names_are_refused;
            aggregations: each_is_that_of_the_records, the_latest_is_by_time_then_id, groups_are_told_apart,
        a_customers_use_is_a_part, events_are_their_customers, what_the_fleet_tells_is_stored_and_not_metered,
                the_two_meters_of_every_event_too, own_meters_are_kept_with_their_events, too_many_sources_are_refused;
        ]);
    };
}

async fn open_embedded() -> (Stores, (Embedded, tempfile::TempDir)) {
    let folder = tempfile::tempdir().unwrap();
    let embedded = Embedded::open(folder.path(), Durability::Process, Options::default()).await.unwrap();
    (embedded.stores(), (embedded, folder))
}

/// The same adapter, its events and its usage in two folders: what [`store::Separate`] makes of two stores.
async fn open_separate() -> (Stores, [(Stores, (Embedded, tempfile::TempDir)); 2]) {
    let (a, b) = (open_embedded().await, open_embedded().await);
    let erasure = EraseAll::new([Arc::clone(&a.0.erasure), Arc::clone(&b.0.erasure)]);
    let stores = Stores::separate(Arc::clone(&a.0.events), Arc::clone(&b.0.usage), Arc::new(erasure));
    (stores, [a, b])
}

/// Pages of one block and a kilobyte, transactions of one batch: every limit is met at once.
async fn open_narrow() -> (Stores, (Embedded, tempfile::TempDir)) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        page_blocks_max: 1,
        page_bytes_max: 1_000,
        commit_events_max: 1,
        queue_batches_max: 1,
        reads_max: 1,
        ..Options::default()
    };
    let embedded = Embedded::open(folder.path(), Durability::Disk, options).await.unwrap();
    (embedded.stores(), (embedded, folder))
}

/// A real ClickHouse server for all tests of this binary; each has tenants of its own.
#[cfg(feature = "clickhouse")]
async fn open_clickhouse() -> Arc<store::clickhouse::ClickHouse> {
    use store::clickhouse::{ClickHouse, Options, migrations::migrate};

    static MIGRATED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let url = testkit::ClickHouse::shared().url();
    let options = Options { url, database: "ports".into(), linger_ms_max: 2, ..Options::default() };
    let make = async || drop(migrate(&options, store::migration::Mode::Apply).await.unwrap());
    MIGRATED.get_or_init(make).await;
    Arc::new(ClickHouse::open(options).await.unwrap())
}

/// Events in a folder, usage in ClickHouse. Only with the cases in which no event comes again with another time of receipt:
/// the embedded store does not say so, being exact by itself.
#[cfg(feature = "clickhouse")]
async fn open_embedded_and_clickhouse() -> (Stores, (Embedded, tempfile::TempDir)) {
    let (usage, (events, alive)) = (open_clickhouse().await, open_embedded().await);
    let erasure = EraseAll::new([Arc::clone(&usage) as Arc<_>, events.erasure]);
    (Stores::separate(events.events, usage, Arc::new(erasure)), alive)
}

#[cfg(feature = "clickhouse")]
suite!(embedded_and_clickhouse, open_embedded_and_clickhouse(), [
    writes: writing_again_changes_nothing, many_tenants_in_one_batch, an_empty_batch_is_fine,
        stored_and_metered_apart_is_exact_too;
    erasure: an_erased_tenant_is_gone_and_nobody_else, a_tenant_erased_may_write_again,
        erasing_and_expiring_again_is_fine, expiring_keeps_what_is_younger_and_all_usage,
        writes_go_on_while_a_tenant_is_erased;
    usage: records_are_kept_once, buckets, ranges_are_exact_to_the_microsecond, lists_walk_all,
        tenants_are_billed_apart, origins_come_back, bad_widths_and_names_are_refused;
    aggregations: each_is_that_of_the_records, the_latest_is_by_time_then_id, groups_are_told_apart,
        a_customers_use_is_a_part, events_are_their_customers, what_the_fleet_tells_is_stored_and_not_metered,
        the_two_meters_of_every_event_too, own_meters_are_kept_with_their_events, too_many_sources_are_refused;
]);

/// Events in a real Cassandra, usage in a real ClickHouse: the stores of a fleet of many processes.
#[cfg(all(feature = "cql", feature = "clickhouse"))]
async fn open_external() -> (Stores, ()) {
    let events = store::cql::Cql::open(ports::cassandra::options(), Arc::new(|_| None)).await.unwrap();
    let usage = open_clickhouse().await;
    let erasure = EraseAll::new([Arc::new(events.clone()) as Arc<_>, Arc::clone(&usage) as Arc<_>]);
    (Stores::separate(Arc::new(events), usage, Arc::new(erasure)), ())
}

#[cfg(all(feature = "cql", feature = "clickhouse"))]
every_case!(cql_and_clickhouse, open_external());

every_case!(embedded, open_embedded());
every_case!(embedded_with_narrow_limits, open_narrow());
every_case!(separate, open_separate());

/// Events in a real Cassandra, usage in the embedded store.
#[cfg(feature = "cql")]
async fn open_cql(options: store::cql::Options) -> (Stores, (Embedded, tempfile::TempDir)) {
    let events = store::cql::Cql::open(options, Arc::new(|_| None)).await.unwrap();
    let (usage, alive) = open_embedded().await;
    let erasure = EraseAll::new([Arc::new(events.clone()) as Arc<_>, usage.erasure]);
    (Stores::separate(Arc::new(events), usage.usage, Arc::new(erasure)), alive)
}

/// Partitions of a few events, pages of a row, requests one by one: every limit is met at once.
#[cfg(feature = "cql")]
fn narrow_cql() -> store::cql::Options {
    store::cql::Options {
        requests_max: 2,
        write_requests_max: 2,
        batch_bytes_max: 1_000,
        batch_rows_max: 3,
        partition_rows_max: 20,
        partition_bytes_max: 20_000,
        page_rows_max: 25,
        page_requests_max: 8,
        page_bytes_max: 80_000,
        ..ports::cassandra::options()
    }
}

#[cfg(feature = "cql")]
every_case!(cql, open_cql(ports::cassandra::options()));
#[cfg(feature = "cql")]
every_case!(cql_with_narrow_limits, open_cql(narrow_cql()));
