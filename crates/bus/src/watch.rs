//! What the broker keeps, asked every few seconds, for dashboards and alerts: it sees also what no service has taken yet.

use std::time::Duration;

use async_nats::jetstream::{
    consumer,
    stream::{DiscardPolicy, Info, RetentionPolicy},
};
use futures::TryStreamExt as _;
use model::Clock as _;
use runtime::metrics::{Metric, gauge};
use tokio::time::MissedTickBehavior;

use crate::{
    Bus, Error,
    topology::{EVENTS, RAW, USAGE},
};

/// How often: three requests, and one more for each stream that is worked off.
const LOOK: Duration = Duration::from_secs(10);

/// The label of what the fleet's own account may use.
const ACCOUNT: &str = "account";

/// Looks until it is dropped. While the broker does not answer, what it said last stays.
pub async fn watch(bus: Bus) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = look(&bus).await {
            tracing::debug!(%error, "what the broker keeps is not known");
        }
    }
}

async fn look(bus: &Bus) -> Result<(), Error> {
    let failed = |error: &dyn std::error::Error| Error::broker("the list of streams", error);
    let mut streams = bus.jetstream().streams();
    let mut queues = Vec::new();
    while let Some(info) = streams.try_next().await.map_err(|e| failed(&e))? {
        show(&info);
        if [RAW, EVENTS, USAGE].contains(&info.config.name.as_str()) {
            queues.push(info.config.name);
        }
    }
    for stream in queues {
        look_at_partitions(bus, &stream).await?;
    }
    look_at_account(bus).await
}

/// An account without a limit has the room of its nodes, which only their monitoring tells.
#[expect(clippy::cast_precision_loss, reason = "bytes of disks are far below 2^53")]
async fn look_at_account(bus: &Bus) -> Result<(), Error> {
    let account = bus.jetstream().query_account().await.map_err(|e| Error::broker("the account", &e))?;
    if let Some(most) = account.limits.max_storage {
        gauge(Metric::BrokerStorageUsed, &[ACCOUNT]).set(account.storage as f64);
        gauge(Metric::BrokerStorageLimit, &[ACCOUNT]).set(most as f64);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a disk and ages are far below 2^53")]
fn show(info: &Info) {
    let (config, state) = (&info.config, &info.state);
    let stream = config.name.as_str();
    gauge(Metric::BrokerKeptBytes, &[stream]).set(state.bytes as f64);
    gauge(Metric::BrokerKeptMessages, &[stream]).set(state.messages as f64);
    if config.max_bytes > 0 {
        let when_full = match config.discard {
            DiscardPolicy::New => "refuses",
            DiscardPolicy::Old => "forgets",
        };
        gauge(Metric::BrokerLimitBytes, &[stream, when_full]).set(config.max_bytes as f64);
    }
    if config.retention == RetentionPolicy::WorkQueue {
        let waits_us = model::SystemClock.now() - micros(state.first_timestamp);
        let age = if state.messages == 0 { 0.0 } else { waits_us.max(0) as f64 / 1e6 };
        gauge(Metric::BrokerOldestWork, &[stream]).set(age);
    }
}

async fn look_at_partitions(bus: &Bus, stream: &str) -> Result<(), Error> {
    let what = || format!("the consumers of {stream}");
    let handle = bus.jetstream().get_stream_no_info(stream).await.map_err(|e| Error::broker(what(), &e))?;
    let mut consumers = handle.consumers();
    while let Some(info) = consumers.try_next().await.map_err(|e| Error::broker(what(), &e))? {
        show_partition(stream, &info);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of messages are far below 2^53")]
fn show_partition(stream: &str, info: &consumer::Info) {
    let Some(partition) = crate::topology::partition_of(&info.name) else { return };
    let labels = [stream, &*partition.to_string()];
    gauge(Metric::BrokerPendingMessages, &labels).set(info.num_pending as f64);
    gauge(Metric::BrokerUnacknowledgedMessages, &labels).set(info.num_ack_pending as f64);
}

fn micros(at: time::OffsetDateTime) -> model::Micros {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream;
    use testkit::{NatsOptions, NatsServer};

    use super::*;
    use crate::{Options, TopologyOptions, topology};

    #[tokio::test]
    async fn what_waits_and_what_there_is_room_for_is_seen() {
        let server = NatsServer::start();
        let bus = Bus::connect(&Options { url: server.url(), ..Options::default() }).await.unwrap();
        let options = TopologyOptions { partitions: 2, hop_bytes_max: 1 << 20, ..TopologyOptions::default() };
        topology::ensure(&bus, &options).await.unwrap();
        bus.jetstream().publish("raw.1", "waits".into()).await.unwrap().await.unwrap();
        let age = || gauge(Metric::BrokerOldestWork, &[RAW]).get();
        while age() < 0.01 {
            look(&bus).await.unwrap();
        }
        assert!(gauge(Metric::BrokerKeptBytes, &[RAW]).get() > 5.0);
        assert_eq!(gauge(Metric::BrokerKeptMessages, &[RAW]).get() as u64, 1);
        assert_eq!(gauge(Metric::BrokerLimitBytes, &[RAW, "refuses"]).get() as u64, 1 << 20);
        assert!(gauge(Metric::BrokerLimitBytes, &["DEAD", "forgets"]).get() > 0.0);
        assert!(age() < 60.0, "{}", age());
        assert_eq!(gauge(Metric::BrokerOldestWork, &[EVENTS]).get() as u64, 0);
        let pending = |partition| gauge(Metric::BrokerPendingMessages, &[RAW, partition]).get() as u64;
        assert_eq!((pending("0"), pending("1")), (0, 1));
        bus.close().await;
    }

    #[tokio::test]
    async fn what_an_account_may_use_is_seen() {
        let extra = r#"
            accounts { fleet { users: [{user: fleet, password: fleet}], jetstream { max_file: 64000000, max_mem: 1000000 } } }
            no_auth_user: fleet"#;
        let server =
            NatsServer::start_with(NatsOptions { extra: extra.to_owned(), ..NatsOptions::default() });
        let bus = Bus::connect(&Options { url: server.url(), ..Options::default() }).await.unwrap();
        let config =
            stream::Config { name: "S".to_owned(), subjects: vec!["s".to_owned()], ..Default::default() };
        bus.jetstream().create_stream(config).await.unwrap();
        bus.jetstream().publish("s", vec![0u8; 100_000].into()).await.unwrap().await.unwrap();
        look(&bus).await.unwrap();
        assert!(gauge(Metric::BrokerStorageUsed, &[ACCOUNT]).get() > 100_000.0);
        assert_eq!(gauge(Metric::BrokerStorageLimit, &[ACCOUNT]).get() as u64, 64_000_000);
        bus.close().await;
    }
}
