//! A steady flow of events, to see a pause in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::PATIENCE;

/// Partitions of the fleets here.
pub(super) const PARTITIONS: u32 = 12;
/// Batches that show how it flows.
const STRETCH: u64 = 75;

/// A key for each partition.
pub(super) fn keys() -> Vec<String> {
    let tenant: model::TenantId = "demo".parse().unwrap();
    let in_partition = |p| move |key: &String| model::partition_of(&tenant.clone(), key, PARTITIONS) == p;
    let key = |p| (0..).map(|n| format!("key-{n}")).find(in_partition.clone()(p)).unwrap();
    (0..PARTITIONS).map(key).collect()
}

/// A steady flow of events, one for each partition every period: `<key>/0`, `<key>/1`, …
#[derive(Debug)]
pub(super) struct Flow {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Flow {
    pub(super) fn start(url: &str, key: &str, period: Duration) -> Self {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (Arc::clone(&sent), Arc::clone(&stop));
        let (url, auth) = (format!("{url}/v1/events"), format!("Bearer {key}"));
        let task = tokio::spawn(async move {
            let (http, keys) = (reqwest::Client::new(), keys());
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !stopped.load(Ordering::Relaxed) {
                ticks.tick().await;
                let n = count.load(Ordering::Relaxed);
                let batch: Vec<_> = keys
                    .iter()
                    .map(|key| {
                        json!({"specversion": "1.0", "id": format!("{key}/{n}"), "source": "/flow", "type": "t",
                            "partitionkey": key, "data": n})
                    })
                    .collect();
                let body = serde_json::to_vec(&batch).unwrap();
                // The same again until it is accepted: the number of a key rises by one.
                loop {
                    let request = http
                        .post(&url)
                        .header("authorization", &auth)
                        .header("content-type", "application/cloudevents-batch+json")
                        .body(body.clone());
                    if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
                        break;
                    }
                    tokio::time::sleep(period).await;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { sent, stop, task }
    }

    /// Waits until some more has been accepted: a second or two.
    pub(super) async fn go_on(&self) {
        let until = self.sent.load(Ordering::Relaxed) + STRETCH;
        testkit::wait_until("the flow goes on", PATIENCE, async || {
            self.sent.load(Ordering::Relaxed) >= until
        })
        .await;
    }

    /// Ends it. How many of each key were accepted.
    pub(super) async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}
