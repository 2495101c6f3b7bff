//! Whether the broker is set as durable as the configuration promises. Only its monitoring tells.

use std::time::Duration;

use model::Durability;
use serde_json::Value;

use crate::{
    client::{error::root, http_client},
    config::Config,
    exit::{Failure, Result},
};

/// How long the broker's monitoring may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the broker writes a message to the disk for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Syncing {
    /// Before it acknowledges it.
    Always,
    /// On its own schedule.
    Sometimes,
    /// Not known, and why.
    Unknown(String),
}

/// Asks the broker's monitoring.
pub(crate) async fn syncing(monitor_url: &str) -> Syncing {
    let url = format!("{}/varz", monitor_url.trim_end_matches('/'));
    let Ok(http) = http_client(PATIENCE) else { return Syncing::Unknown("no HTTP client".to_owned()) };
    let answer = match http.get(&url).send().await {
        Ok(answer) => answer.json::<Value>().await,
        Err(error) => Err(error),
    };
    match answer {
        Err(error) => Syncing::Unknown(format!("{url}: {}", root(&error))),
        Ok(varz) => {
            read(&varz).unwrap_or_else(|| Syncing::Unknown(format!("{url} says nothing of JetStream")))
        }
    }
}

fn read(varz: &Value) -> Option<Syncing> {
    let config = varz.pointer("/jetstream/config")?;
    let always = config.get("sync_always").and_then(Value::as_bool).unwrap_or(false);
    Some(if always { Syncing::Always } else { Syncing::Sometimes })
}

/// Refuses to promise more than the broker keeps; says so where it cannot be known. (That `replicated` has its copies is
/// checked where the streams are made.)
pub(crate) async fn check(config: &Config) -> Result<()> {
    if config.topology.durability != Durability::Disk {
        return Ok(());
    }
    let unknown = |reason: &str| {
        tracing::warn!(reason, "durability is disk, and whether the broker is set so is not known");
    };
    let Some(monitor_url) = &config.broker.monitor_url else {
        unknown("set broker.monitor_url, such as http://127.0.0.1:8222");
        return Ok(());
    };
    match syncing(monitor_url).await {
        Syncing::Always => Ok(()),
        Syncing::Unknown(reason) => {
            unknown(&reason);
            Ok(())
        }
        Syncing::Sometimes => Err(Failure::config(
            "durability is disk, but the broker syncs on its own schedule: a power cut may take what was accepted last",
        )
        .hint(
            "set sync_interval: always in the broker's jetstream section,\n\
             or promise what it keeps: topology.durability = \"process\" (--durability process)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::{NatsOptions, NatsServer};

    use super::*;

    #[test]
    fn what_the_broker_says() {
        assert_eq!(read(&json!({"jetstream": {"config": {"sync_always": true}}})), Some(Syncing::Always));
        assert_eq!(read(&json!({"jetstream": {"config": {"sync_interval": 1}}})), Some(Syncing::Sometimes));
        assert_eq!(read(&json!({"jetstream": {}})), None);
    }

    #[tokio::test]
    async fn a_promise_the_broker_does_not_keep_is_refused() {
        for (sync_always, kept) in [(true, true), (false, false)] {
            let port = testkit::free_port();
            let extra = format!("http: \"127.0.0.1:{port}\"");
            let _server =
                NatsServer::start_with(NatsOptions { sync_always, extra, ..NatsOptions::default() });
            let mut config = Config::default();
            config.broker.monitor_url = Some(format!("http://127.0.0.1:{port}/"));
            assert_eq!(check(&config).await.is_ok(), kept, "sync_always {sync_always}");
            config.topology.durability = Durability::Process;
            assert!(check(&config).await.is_ok(), "less than is kept may always be promised");
        }
        // Nobody there to ask: said, not refused.
        let mut config = Config::default();
        config.broker.monitor_url = Some(format!("http://127.0.0.1:{}", testkit::free_port()));
        assert!(check(&config).await.is_ok());
    }
}
