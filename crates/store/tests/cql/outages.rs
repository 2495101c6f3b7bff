//! The server dies; nothing that was taken is lost, and what cannot be taken is told so.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use store::{
    Error, EventQuery, EventStore as _,
    cql::{Cql, Options, migrations::migrate},
    migration::Mode,
};
use testkit::{Cassandra, CassandraOptions, wait_until};

use crate::world::{NOON, World, events};

async fn start(nodes: u8, options: CassandraOptions) -> Cassandra {
    tokio::task::spawn_blocking(move || Cassandra::start_with(nodes, &options)).await.unwrap()
}

async fn open(server: &Cassandra, replication: u32) -> Cql {
    let options =
        Options { nodes: server.nodes(), replication, request_timeout_ms: 6_000, ..Options::default() };
    // Nodes that are up may not have heard of each other yet.
    wait_until("a majority of the nodes", Duration::from_secs(180), async || {
        migrate(&options, Mode::Apply).await.inspect_err(|error| eprintln!("{error}")).is_ok()
    })
    .await;
    Cql::open(options, Arc::new(|_| None)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_and_is_unavailable_until_it_is_back() {
    let mut server = start(1, CassandraOptions::default()).await;
    let cql = open(&server, 1).await;
    let world = World::new();
    let tenant = world.tenant("t");
    for n in 0..20u32 {
        cql.write(world.batch(&tenant, NOON, events(n * 50..n * 50 + 50))).await.unwrap();
    }
    server.kill(0);
    let begin = Instant::now();
    let write = cql.write(world.batch(&tenant, NOON, events([5_000]))).await;
    assert!(matches!(write, Err(Error::Unavailable(_))), "{write:?}");
    let read = cql.get(&tenant, "/shop", "1").await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let server = tokio::task::spawn_blocking(move || {
        server.restart(0);
        server
    });
    let server = server.await.unwrap();
    // The driver looks for a lost node every 10 s, and a busy server's first answers may come too late for it.
    wait_until("the store is back", Duration::from_secs(120), async || {
        let written = cql.write(world.batch(&tenant, NOON, events([5_000]))).await;
        written.inspect_err(|error| eprintln!("{error}")).is_ok()
    })
    .await;
    assert_eq!(cql.count(&tenant, &EventQuery::default()).await.unwrap(), 1_001);
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_go_on_without_one() {
    let options = CassandraOptions { heap: "256m".into(), ..CassandraOptions::default() };
    let mut ring = start(3, options).await;
    let cql = open(&ring, 3).await;
    let world = Arc::new(World::new());
    let tenant = world.tenant("t");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4u32)
        .map(|writer| {
            let (cql, world, tenant, stop) =
                (cql.clone(), Arc::clone(&world), tenant.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut taken, mut longest) = (Vec::new(), Duration::ZERO);
                let mut first = writer * 1_000_000;
                while !stop.load(Relaxed) {
                    let begin = Instant::now();
                    let batch = world.batch(&tenant, NOON, events(first..first + 20));
                    // Written again until it is taken, as the engine does.
                    while cql.write(Arc::clone(&batch)).await.is_err() {}
                    longest = longest.max(begin.elapsed());
                    taken.extend(first..first + 20);
                    first += 20;
                }
                (taken, longest)
            })
        })
        .collect();
    let count = async || cql.count(&tenant, &EventQuery::default()).await.unwrap_or(0);
    wait_until("events are written", Duration::from_secs(60), async || count().await > 400).await;
    let before = count().await;
    ring.kill(2);
    wait_until("writes go on", Duration::from_secs(60), async || count().await > before + 800).await;
    stop.store(true, Relaxed);
    let mut taken = Vec::new();
    for writer in writers {
        let (ids, longest) = writer.await.unwrap();
        assert!(longest < Duration::from_secs(20), "a batch took {longest:?}");
        taken.extend(ids);
    }
    assert_eq!(count().await, u64::try_from(taken.len()).unwrap());
    for id in taken.iter().step_by(97) {
        assert!(cql.get(&tenant, "/shop", &id.to_string()).await.unwrap().is_some(), "{id}");
    }
    // Two of three are no majority: nothing is taken that might be lost.
    ring.kill(1);
    let refused = cql.write(world.batch(&tenant, NOON, events([9_000_000]))).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}
