//! The schema's way up, with one runner and with two.

use futures::future::join_all;
use store::{
    Error, METER_EVENTS, UsageStore as _,
    clickhouse::{ClickHouse, Options, migrations},
    migration::Mode,
};
use testkit::ClickHouse as Server;

use crate::world::{NOON, open, options, record, records, tenant, total};

#[tokio::test(flavor = "multi_thread")]
async fn checking_and_dry_running_change_nothing() {
    let options = options(Server::shared());
    let check = migrations::migrate(&options, Mode::Check).await.unwrap();
    assert_eq!((check.current, check.target), (0, migrations::target()));
    let versions: Vec<_> = check.pending.iter().map(|p| (p.version, p.statements.len())).collect();
    assert_eq!(versions, [(1, 0)]);
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
    assert_eq!((again.current, again.pending.len()), (0, 1));
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
