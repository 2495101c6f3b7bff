//! The schema's way up, with one runner and with two.

use futures::future::join_all;
use store::{
    Error, METER_EVENTS, UsageQuery, UsageRecord, UsageStore as _,
    clickhouse::{ClickHouse, Options, migrations, statements::ALL},
    migration::Mode,
};
use testkit::ClickHouse as Server;

use crate::world::{HOUR, NOON, listed, open, options, record, records, tenant, total};

#[tokio::test(flavor = "multi_thread")]
async fn checking_and_dry_running_change_nothing() {
    let options = options(Server::shared());
    let check = migrations::migrate(&options, Mode::Check).await.unwrap();
    assert_eq!((check.current, check.target), (0, migrations::target()));
    let versions: Vec<_> = check.pending.iter().map(|p| (p.version, p.statements.len())).collect();
    assert_eq!(versions, [(1, 0), (2, 0)]);
    let dry = migrations::migrate(&options, Mode::DryRun).await.unwrap();
    let first = &dry.pending[0].statements[0];
    assert_eq!(*first, format!("CREATE DATABASE IF NOT EXISTS `{}`", options.database));
    assert!(dry.pending[0].statements.iter().any(|s| s.contains("CREATE TABLE IF NOT EXISTS usage_records")));
    let databases = Server::shared().query("default", "SHOW DATABASES");
    assert!(!databases.lines().any(|name| name == options.database));
    let refused = ClickHouse::open(options).await.unwrap_err();
    assert!(matches!(&refused, Error::Open(text) if text.contains("eventrunner migrate")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runners_may_meet_and_repeat() {
    let options = options(Server::shared());
    let reports = join_all((0..4).map(|_| migrations::migrate(&options, Mode::Apply))).await;
    for report in reports {
        assert_eq!(report.unwrap().target, migrations::target());
    }
    let usage = ClickHouse::open(options.clone()).await.unwrap();
    usage.write(records(&tenant("t"), 0..10)).await.unwrap();
    let again = migrations::migrate(&options, Mode::Apply).await.unwrap();
    assert_eq!((again.current, again.pending.len()), (migrations::target(), 0));
    // A runner that died before it wrote down the version: all is run again, nothing is lost.
    Server::shared().run(&options.database, "TRUNCATE TABLE schema_versions");
    let again = migrations::migrate(&options, Mode::Apply).await.unwrap();
    assert_eq!((again.current, again.pending.len()), (0, 2));
    assert_eq!(total(&usage, &tenant("t"), METER_EVENTS).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_version_is_refused() {
    let (_, options) = open(Server::shared()).await;
    let database = options.database.clone();
    let newer = migrations::target() + 1;
    Server::shared()
        .run(&database, &format!("INSERT INTO schema_versions (version, name) VALUES ({newer}, 'later')"));
    for refused in [
        ClickHouse::open(options.clone()).await.unwrap_err(),
        migrations::migrate(&options, Mode::Apply).await.unwrap_err(),
    ] {
        assert!(matches!(&refused, Error::Open(text) if text.contains("newer eventrunner")), "{refused}");
    }
    Server::shared().run(&database, "TRUNCATE TABLE schema_versions");
    let refused = ClickHouse::open(options).await.unwrap_err();
    assert!(matches!(&refused, Error::Open(text) if text.contains("eventrunner migrate")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_follows_the_options_and_forgets_what_is_older() {
    let (usage, options) = open(Server::shared()).await;
    let days = |retention_days| Options { retention_days, ..options.clone() };
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let t = tenant("t");
    usage
        .write(vec![record(&t, "old", NOON - 400 * 86_400_000_000), record(&t, "young", now)])
        .await
        .unwrap();
    for (wanted, pending, left) in
        [(None, 0, 2), (Some(4_000), 1, 2), (Some(4_000), 0, 2), (Some(30), 1, 1), (None, 1, 1), (None, 0, 1)]
    {
        let dry = migrations::migrate(&days(wanted), Mode::DryRun).await.unwrap();
        assert_eq!(dry.pending.len(), pending, "{wanted:?}: {dry:?}");
        let runners =
            join_all((0..2).map(|_| async { migrations::migrate(&days(wanted), Mode::Apply).await })).await;
        runners.into_iter().for_each(|report| drop(report.unwrap()));
        Server::shared().run(&options.database, "OPTIMIZE TABLE usage_records FINAL");
        assert_eq!(total(&usage, &t, METER_EVENTS).await, left, "{wanted:?}");
    }
}

/// As version 1 left it: 48 hours of records, of which it has rolled up the first 24.
fn a_store_of_version_1(options: &Options) {
    let database = &options.database;
    for text in migrations::MIGRATIONS[0].statements {
        if text.contains("{database:Identifier}") {
            Server::shared().run("default", &text.replace("{database:Identifier}", database));
        } else {
            Server::shared().run(database, text);
        }
    }
    let named = |name: &str| ALL.iter().find(|s| s.name == name).unwrap().text;
    for name in ["set_hourly_retention", "set_retention"] {
        Server::shared().run(database, &named(name).replace("{days:UInt32}", "4000"));
    }
    let records = format!(
        "INSERT INTO usage_records (tenant, at_us, id, origin, events, bytes)
         SELECT 't', {NOON} + number * {HOUR}, '/shop ' || toString(number), 1, 1, 100 FROM numbers(48)"
    );
    let last = (NOON + 24 * HOUR - 1).to_string();
    let rolled = named("roll_up").replace("{since:Int64}", &NOON.to_string()).replace("{last:Int64}", &last);
    let done = (NOON + 24 * HOUR) / HOUR;
    for statement in [
        records,
        rolled,
        format!("INSERT INTO usage_horizon (open, done) VALUES ({done}, {done})"),
        "INSERT INTO schema_versions (version, name) VALUES (1, 'the first')".to_owned(),
    ] {
        Server::shared().run(database, &statement);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_version_1_keeps_what_it_holds_and_counts_customers_from_now_on() {
    let options = Options {
        retention_days: Some(4_000),
        rollup_interval_ms: 0,
        rollup_delay_ms: 3_600_000,
        ..options(Server::shared())
    };
    a_store_of_version_1(&options);
    let refused = ClickHouse::open(options.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("eventrunner migrate"), "{refused}");
    let report = migrations::migrate(&options, Mode::Apply).await.unwrap();
    assert_eq!((report.current, report.pending.len()), (1, 2), "{report:?}");
    let table = Server::shared().query(&options.database, "SHOW CREATE TABLE usage_customer_hourly");
    assert!(table.contains("TTL toDateTime(") && table.contains("4000"), "{table}");

    let (usage, t) = (ClickHouse::open(options.clone()).await.unwrap(), tenant("t"));
    let old = listed(&usage, &t).await;
    assert_eq!((old.len(), total(&usage, &t, METER_EVENTS).await), (48, 48));
    assert!(old.iter().all(|record| record.customer.is_none() && record.event_type.is_none()));
    // Of jane, after all that and, late, in an hour that was rolled up before there were customers.
    let of_jane = |record: UsageRecord| UsageRecord { customer: Some("jane".parse().unwrap()), ..record };
    let mut records: Vec<_> = (0..30).map(|n| of_jane(record(&t, 100 + n, NOON + (48 + n) * HOUR))).collect();
    records.push(of_jane(record(&t, "late", NOON + HOUR)));
    usage.write(records).await.unwrap();
    let janes = UsageQuery { customer: Some("jane".parse().unwrap()), ..UsageQuery::default() };
    let sums = async |query: &UsageQuery| usage.sum(&t, METER_EVENTS, query).await.unwrap()[0].value;
    assert_eq!((sums(&janes).await, sums(&UsageQuery::default()).await), (31, 79));
    usage.roll_up(NOON + 100 * HOUR).await.unwrap();
    assert_eq!((sums(&janes).await, sums(&UsageQuery::default()).await), (31, 79));
    // They come from the roll-ups.
    Server::shared().run(&options.database, "TRUNCATE TABLE usage_records");
    assert_eq!((sums(&janes).await, sums(&UsageQuery::default()).await), (31, 79));
}
