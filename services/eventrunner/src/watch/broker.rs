//! How much of the room it may use a node of the broker has used: only its monitoring tells.

use std::{future::pending, time::Duration};

use runtime::metrics::{Metric, gauge};
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use crate::{client, exit::Result};

const LOOK: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks until it is dropped. Behind a name of several nodes each look may find another.
pub(super) async fn watch(monitor_url: Option<String>) {
    let Some(monitor_url) = monitor_url else { return pending().await };
    let url = format!("{}/varz", monitor_url.trim_end_matches('/'));
    let Ok(http) = client() else { return pending().await };
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if ask(&http, &url).await.as_ref().and_then(show).is_none() {
            tracing::debug!(url, "what room the broker has is not known");
        }
    }
}

/// One whose connection does not stay with one node.
fn client() -> Result<reqwest::Client> {
    client::build(client::builder().timeout(PATIENCE).pool_max_idle_per_host(0))
}

/// While it does not answer, what it said last stays.
async fn ask(http: &reqwest::Client, url: &str) -> Option<Value> {
    let answer = async { http.get(url).send().await?.json().await };
    answer.await.inspect_err(|error: &reqwest::Error| tracing::debug!(%error, "no answer")).ok()
}

#[expect(clippy::cast_precision_loss, reason = "bytes of disks are far below 2^53")]
fn show(varz: &Value) -> Option<()> {
    let node = varz["server_name"].as_str()?;
    let used = varz.pointer("/jetstream/stats/storage")?.as_u64()?;
    let most = varz.pointer("/jetstream/config/max_storage")?.as_u64()?;
    gauge(Metric::BrokerStorageUsed, &[node]).set(used as f64);
    gauge(Metric::BrokerStorageLimit, &[node]).set(most as f64);
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::{NatsOptions, NatsServer};

    use super::*;

    #[tokio::test]
    async fn a_node_tells_what_it_may_use_and_uses() {
        let port = testkit::free_port();
        let extra = format!("server_name: roomy\nhttp: \"127.0.0.1:{port}\"");
        let _server = NatsServer::start_with(NatsOptions { extra, ..NatsOptions::default() });
        let url = format!("http://127.0.0.1:{port}/varz");
        let varz = ask(&client().unwrap(), &url).await.unwrap();
        show(&varz).unwrap();
        assert!(gauge(Metric::BrokerStorageLimit, &["roomy"]).get() > 1e6);
        assert_eq!(gauge(Metric::BrokerStorageUsed, &["roomy"]).get() as u64, 0);
        assert_eq!(show(&json!({"server_name": "without"})), None, "a broker may have no JetStream");
    }
}
