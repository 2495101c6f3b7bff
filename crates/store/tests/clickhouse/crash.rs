//! What was acknowledged survives the death of the server.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use store::{METER_EVENTS, UsageStore as _, clickhouse::ClickHouse};
use testkit::{ClickHouse as Server, wait_until};

use crate::world::{listed, open, records, tenant, total};

const LONG: Duration = Duration::from_secs(60);
const WRITERS: usize = 8;

/// Writers that go on as the metering stage does: a write that failed is written again.
struct Load {
    next: AtomicU32,
    stop: AtomicBool,
    acked: Mutex<BTreeSet<u32>>,
}

async fn write_on(usage: ClickHouse, load: Arc<Load>) {
    while !load.stop.load(Ordering::Relaxed) {
        let first = load.next.fetch_add(50, Ordering::Relaxed);
        while usage.write(records(&tenant("t"), first..first + 50)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        load.acked.lock().unwrap().extend(first..first + 50);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_record_is_there_once_after_kills() {
    let mut server = Server::start();
    let (usage, _) = open(&server).await;
    let load = Arc::new(Load {
        next: AtomicU32::new(0),
        stop: AtomicBool::new(false),
        acked: Mutex::new(BTreeSet::new()),
    });
    let writers: Vec<_> =
        (0..WRITERS).map(|_| tokio::spawn(write_on(usage.clone(), Arc::clone(&load)))).collect();
    for kill in 0..5 {
        let before = load.acked.lock().unwrap().len();
        wait_until("writes go on", LONG, async || load.acked.lock().unwrap().len() > before + 2_000).await;
        server.kill();
        // Before anything is written again: what was acknowledged by then is what counts.
        let acked = load.acked.lock().unwrap().clone();
        server.restart();
        let there: BTreeSet<u32> = {
            let t = tenant("t");
            let all = listed(&usage, &t).await;
            let ids: BTreeSet<u32> =
                all.iter().map(|r| r.id.rsplit(' ').next().unwrap().parse().unwrap()).collect();
            assert_eq!(ids.len(), all.len(), "kill {kill}: none twice");
            ids
        };
        let lost: Vec<_> = acked.difference(&there).collect();
        assert!(lost.is_empty(), "kill {kill}: lost {lost:?}");
    }
    load.stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let acked = u64::try_from(load.acked.lock().unwrap().len()).unwrap();
    assert_eq!(acked, u64::from(load.next.load(Ordering::Relaxed)), "everything was written in the end");
    assert_eq!(total(&usage, &tenant("t"), METER_EVENTS).await, acked);
}
