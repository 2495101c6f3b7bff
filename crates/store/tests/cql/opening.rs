//! Opening says what is wrong and what to do; migrating is safe at any number of runners.

use std::time::Duration;

use scylla::client::session_builder::SessionBuilder;
use store::{
    Error, Retention,
    cql::{
        Cql, Options,
        migrations::{MIGRATIONS, migrate},
    },
    migration::Mode,
};
use testkit::{Cassandra, Line, free_port, wait_until};
use tokio::time::timeout;

use crate::cassandra;

fn for_ever() -> Retention {
    std::sync::Arc::new(|_| None)
}

async fn open_error(options: Options) -> String {
    match Cql::open(options, for_ever()).await {
        Err(Error::Open(message)) => message,
        other => panic!("{other:?}"),
    }
}

async fn run(text: &str) {
    let session = SessionBuilder::new().known_nodes(cassandra::options().nodes).build().await.unwrap();
    session.query_unpaged(text, ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_is_made_once_by_however_many() {
    let options = Options { keyspace: "made_by_many".into(), ..cassandra::options() };
    let latest = MIGRATIONS.last().unwrap().version;
    let missing = open_error(options.clone()).await;
    assert!(
        missing.contains("no keyspace made_by_many") && missing.contains("eventrunner migrate"),
        "{missing}"
    );
    let looked = migrate(&options, Mode::Check).await.unwrap();
    assert_eq!((looked.current, looked.target, looked.pending.len()), (0, latest, MIGRATIONS.len()));
    let planned = migrate(&options, Mode::DryRun).await.unwrap();
    assert!(planned.pending[0].statements[0].starts_with("CREATE KEYSPACE"), "{planned:?}");
    assert!(planned.pending.iter().flat_map(|p| &p.statements).all(|s| !s.contains("{ks}")), "{planned:?}");
    assert!(open_error(options.clone()).await.contains("no keyspace"), "looking changes nothing");
    let runners: Vec<_> = (0..4)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move { migrate(&options, Mode::Apply).await })
        })
        .collect();
    for runner in runners {
        runner.await.unwrap().unwrap();
    }
    let after = migrate(&options, Mode::DryRun).await.unwrap();
    assert_eq!((after.current, after.pending), (latest, vec![]));
    Cql::open(options, for_ever()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_whose_answers_are_lost_leaves_no_lock() {
    let direct = cassandra::options();
    let line = Line::to(direct.nodes[0].rsplit_once(':').unwrap().1.parse().unwrap());
    let nodes = vec![format!("127.0.0.1:{}", line.port())];
    for step in 1..=8 {
        let keyspace = format!("of_lost_answers_{step}");
        let cut_off = Options { nodes: nodes.clone(), keyspace: keyspace.clone(), ..direct.clone() };
        line.cut_after(step * 2_000);
        let first = migrate(&cut_off, Mode::Apply).await;
        assert!(matches!(first, Ok(_) | Err(Error::Unavailable(_))), "{first:?}");
        let options = Options { keyspace, ..direct.clone() };
        let second = timeout(Duration::from_secs(50), migrate(&options, Mode::Apply)).await;
        second.unwrap_or_else(|_| panic!("step {step}: still locked after {first:?}")).unwrap();
        run(&format!("DROP KEYSPACE {}", options.keyspace)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_dies_is_followed_within_its_locks_life() {
    let options = a_runner_dies().await;
    timeout(Duration::from_secs(150), migrate(&options, Mode::Apply)).await.expect("still locked").unwrap();
}

/// Where a runner was stopped that held the lock.
async fn a_runner_dies() -> Options {
    let session = SessionBuilder::new().known_nodes(cassandra::options().nodes).build().await.unwrap();
    for attempt in 1.. {
        let options = Options { keyspace: format!("of_one_who_died_{attempt}"), ..cassandra::options() };
        let dying = tokio::spawn({
            let options = options.clone();
            async move { migrate(&options, Mode::Apply).await }
        });
        let lock = format!("SELECT name FROM {}.migration WHERE kind = 'lock'", options.keyspace);
        wait_until("the lock is held", Duration::from_secs(120), async || {
            let found = session.query_unpaged(lock.as_str(), ()).await;
            let rows = found.ok().and_then(|found| found.into_rows_result().ok());
            dying.is_finished() || rows.is_some_and(|rows| rows.rows_num() > 0)
        })
        .await;
        dying.abort();
        // It may have been done already.
        if dying.await.is_err_and(|error| error.is_cancelled()) {
            return options;
        }
    }
    unreachable!("the loop ends only by returning")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_is_refused() {
    let options = Options { keyspace: "of_another_version".into(), ..cassandra::options() };
    migrate(&options, Mode::Apply).await.unwrap();
    run("DELETE FROM of_another_version.migration WHERE kind = 'schema'").await;
    let empty = open_error(options.clone()).await;
    assert!(empty.contains("is empty") && empty.contains("eventrunner migrate"), "{empty}");
    run("INSERT INTO of_another_version.migration (kind, version, name) VALUES ('schema', 99, 'x')").await;
    let newer = open_error(options.clone()).await;
    assert!(newer.contains("version 99") && newer.contains("newer"), "{newer}");
    assert!(matches!(migrate(&options, Mode::Apply).await, Err(Error::Open(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_waited_for_and_then_named() {
    let nodes = vec![format!("127.0.0.1:{}", free_port())];
    let options = Options { nodes: nodes.clone(), open_timeout_ms: 600, ..Options::default() };
    let nobody = open_error(options).await;
    assert!(nobody.contains("no CQL server answers") && nobody.contains(&nodes[0]), "{nobody}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_later_is_enough() {
    let mut server = tokio::task::spawn_blocking(Cassandra::start).await.unwrap();
    let options =
        Options { nodes: server.nodes(), replication: 1, open_timeout_ms: 120_000, ..Options::default() };
    migrate(&options, Mode::Apply).await.unwrap();
    server.kill(0);
    let opening = tokio::spawn(Cql::open(options, for_ever()));
    let server = tokio::task::spawn_blocking(move || {
        server.restart(0);
        server
    });
    opening.await.unwrap().unwrap();
    drop(server.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_data_centre_is_named() {
    let options = Options { datacenter: "mars".into(), open_timeout_ms: 3_000, ..cassandra::options() };
    let message = open_error(options).await;
    assert!(message.contains("datacenter"), "{message}");
}
