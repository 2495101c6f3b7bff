//! A sum is never wrong: not while merges are pending, not after them, in whatever order records came.

use model::Micros;
use store::{
    Erasure as _, METER_BYTES, METER_CPU_US, METER_EGRESS_BYTES, METER_EVENTS, METER_MEMORY_BYTE_SECONDS,
    UsageBucket, UsageQuery, UsageRecord, UsageStore as _, clickhouse::ClickHouse,
};
use testkit::ClickHouse as Server;

use crate::world::{HOUR, MINUTE, NOON, listed, open, record, records, tenant, total};

/// Asks once as the table is, and once when everything is merged.
async fn before_and_after_merges(
    usage: &ClickHouse,
    database: &str,
    check: impl AsyncFn(&ClickHouse, &'static str),
) {
    check(usage, "merges pending").await;
    Server::shared().run(database, "SYSTEM START MERGES usage_records");
    Server::shared().run(database, "OPTIMIZE TABLE usage_records FINAL");
    check(usage, "merged").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_written_again_count_once_while_merges_are_pending() {
    let (usage, options) = open(Server::shared()).await;
    let server = Server::shared();
    server.run(&options.database, "SYSTEM STOP MERGES usage_records");
    let t = tenant("t");
    for _ in 0..5 {
        usage.write(records(&t, 0..500)).await.unwrap();
        usage.write(records(&t, 250..1_000)).await.unwrap();
    }
    let rows = || server.query(&options.database, "SELECT count() FROM usage_records").trim().to_owned();
    assert_eq!(rows(), "6250", "nothing is merged yet");
    before_and_after_merges(&usage, &options.database, async |usage, when| {
        assert_eq!(total(usage, &t, METER_EVENTS).await, 1_000, "{when}");
        assert_eq!(total(usage, &t, METER_BYTES).await, 100_000, "{when}");
        assert_eq!(listed(usage, &t).await.len(), 1_000, "{when}");
    })
    .await;
    assert_eq!(rows(), "1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_record_wins_whichever_is_written_first() {
    let (usage, options) = open(Server::shared()).await;
    let t = tenant("t");
    let [first, last, only, kept] = ["first", "last", "only", "kept"].map(|id| record(&t, id, NOON + MINUTE));
    let void = |r: &UsageRecord| UsageRecord::void(r.tenant.clone(), r.id.clone(), r.at_us);
    Server::shared().run(&options.database, "SYSTEM STOP MERGES usage_records");
    usage.write(vec![void(&first), void(&only)]).await.unwrap();
    usage.write(vec![last.clone(), first.clone(), kept.clone()]).await.unwrap();
    usage.write(vec![void(&last)]).await.unwrap();
    usage.write(vec![last.clone(), first.clone(), kept.clone()]).await.unwrap();
    let check = async |usage: &ClickHouse, when: &'static str| {
        assert!(listed(usage, &t).await == std::slice::from_ref(&kept), "{when}");
        assert_eq!(total(usage, &t, METER_EVENTS).await, 1, "{when}");
    };
    before_and_after_merges(&usage, &options.database, check).await;
    // The void rows stay: what is delivered again after the merge must not count either.
    usage.write(vec![last.clone(), first.clone()]).await.unwrap();
    before_and_after_merges(&usage, &options.database, check).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_at_two_times_is_two_records_and_a_void_takes_only_its_own() {
    let (usage, _) = open(Server::shared()).await;
    let t = tenant("t");
    let (early, late) = (record(&t, "x", NOON), record(&t, "x", NOON + 1));
    usage.write(vec![early.clone(), late.clone()]).await.unwrap();
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 2);
    usage.write(vec![UsageRecord::void(t.clone(), late.id, late.at_us)]).await.unwrap();
    assert_eq!(listed(&usage, &t).await, [early]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_at_both_ends_of_the_world() {
    let (usage, options) = open(Server::shared()).await;
    let t = tenant("t");
    let times = [Micros::MIN, Micros::MIN + 1, -1, 0, 1, 4_102_444_800_000_000, Micros::MAX - 1, Micros::MAX];
    let all: Vec<_> = times.iter().map(|at| record(&t, at, *at)).collect();
    usage.write(all.clone()).await.unwrap();
    usage.write(all.clone()).await.unwrap();
    before_and_after_merges(&usage, &options.database, async |usage, when| {
        assert_eq!(listed(usage, &t).await, all, "{when}");
        assert_eq!(total(usage, &t, METER_EVENTS).await, 8, "{when}");
        let of = async |since_us, until_us| {
            let query = UsageQuery { since_us, until_us, ..UsageQuery::default() };
            let sums = usage.sum(&t, METER_EVENTS, &query).await.unwrap();
            sums.iter().map(|b| b.value).sum::<u64>()
        };
        assert_eq!(of(Some(Micros::MAX), None).await, 1, "{when}");
        assert_eq!(of(None, Some(Micros::MAX)).await, 7, "{when}");
        assert_eq!(of(Some(-1), Some(1)).await, 2, "{when}");
        assert_eq!(of(None, Some(Micros::MIN)).await, 0, "{when}");
        let hourly = UsageQuery { bucket_us: HOUR, ..UsageQuery::default() };
        let buckets = usage.sum(&t, METER_EVENTS, &hourly).await.unwrap();
        let want: Vec<_> = [
            (Micros::MIN.div_euclid(HOUR).saturating_mul(HOUR), 2),
            (-HOUR, 1),
            (0, 2),
            (4_102_444_800_000_000, 1),
            (Micros::MAX.div_euclid(HOUR) * HOUR, 2),
        ]
        .map(|(start_us, value)| UsageBucket { start_us, value })
        .into();
        assert_eq!(buckets, want, "{when}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_stop_at_the_largest_number_instead_of_beginning_again() {
    let (usage, _) = open(Server::shared()).await;
    let t = tenant("t");
    let large = |id: u32, meter: &str| {
        let mut record = record(&t, id, NOON);
        record.meters = vec![(meter.to_owned().into(), u64::MAX - 1)];
        record
    };
    usage.write((0..3).map(|id| large(id, "fuel")).collect()).await.unwrap();
    usage.write((3..6).map(|id| large(id, METER_BYTES)).collect()).await.unwrap();
    for meter in ["fuel", METER_BYTES] {
        assert_eq!(total(&usage, &t, meter).await, u64::MAX, "{meter}");
    }
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 0, "none of them has that meter");
}

#[tokio::test(flavor = "multi_thread")]
async fn meters_come_back_in_their_order_with_whatever_names() {
    let (usage, options) = open(Server::shared()).await;
    let t = tenant("t");
    let mut odd = record(&t, "tab\t quote' \\ \n ☃", NOON);
    odd.meters = (0..60).map(|n| (format!("{} '\t\\{{}}", 59 - n).into(), n)).collect();
    odd.meters.push(("".into(), 9));
    usage.write(vec![odd.clone()]).await.unwrap();
    before_and_after_merges(&usage, &options.database, async |usage, when| {
        assert_eq!(listed(usage, &t).await, [odd.clone()], "{when}");
        for (name, value) in &odd.meters {
            assert_eq!(total(usage, &t, name).await, *value, "{name:?}, {when}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_tenant_leaves_no_row_and_nobody_else_loses_one() {
    let (usage, options) = open(Server::shared()).await;
    let (gone, stays) = (tenant("gone"), tenant("stays"));
    for t in [&gone, &stays] {
        usage.write(records(t, 0..300)).await.unwrap();
        usage.write(records(t, 200..400)).await.unwrap();
        usage.write(vec![UsageRecord::void(t.clone(), record(t, 7, 0).id, NOON + 7_000_000)]).await.unwrap();
    }
    usage.erase_tenant(&gone).await.unwrap();
    assert_eq!(usage.rows(&gone).await.unwrap(), 0);
    assert_eq!(total(&usage, &gone, METER_EVENTS).await, 0);
    assert_eq!(total(&usage, &stays, METER_EVENTS).await, 399);
    let dashboards = "SELECT count() FROM tenant_usage WHERE tenant_id = 'gone'";
    assert_eq!(Server::shared().query(&options.database, dashboards).trim(), "0");
    usage.erase_tenant(&gone).await.unwrap();
    // A new tenant of the same name begins anew, also with what the old one wrote.
    usage.write(records(&gone, 0..10)).await.unwrap();
    assert_eq!(total(&usage, &gone, METER_EVENTS).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_see_exact_minutes() {
    let (usage, options) = open(Server::shared()).await;
    let t = tenant("t");
    let mut component = record(&t, "run", NOON + 61_000_000);
    component.meters = vec![
        (METER_CPU_US.into(), 1_500_000),
        (METER_MEMORY_BYTE_SECONDS.into(), 6_000),
        (METER_EGRESS_BYTES.into(), 77),
    ];
    Server::shared().run(&options.database, "SYSTEM STOP MERGES usage_records");
    for _ in 0..2 {
        usage
            .write(vec![record(&t, 1, NOON), record(&t, 2, NOON + 59_999_999), component.clone()])
            .await
            .unwrap();
    }
    let rows = Server::shared().query(
        &options.database,
        "SELECT tenant_id, timestamp, cpu_usage, memory_usage, network_ingress, network_egress
         FROM tenant_usage ORDER BY timestamp",
    );
    assert_eq!(rows, "t\t2026-11-21 10:00:00\t0\t0\t200\t0\nt\t2026-11-21 10:01:00\t1.5\t100\t0\t77\n");
}
