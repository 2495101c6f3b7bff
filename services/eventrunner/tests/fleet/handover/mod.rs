//! Replicas share partitions: one owner each, evenly, and what happens to the flow when an owner stops or dies.

mod flow;
mod worked;

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, SystemTime},
};

use bus::{Bus, topology};
use catalog::Catalog;
use futures::{FutureExt as _, StreamExt as _};
use model::resource::EventType;
use nix::sys::signal::{Signal, kill};
use serde_json::json;
use testkit::{Cassandra, ClickHouse, wait_for, wait_until};

use self::{
    flow::{Flow, PARTITIONS},
    worked::{Incident, check, check_kept, judge, normalized, streamed},
};
use crate::support::{Fleet, PATIENCE, Running, eventrunner, lasting_port};

/// What a replica's end may cost: how long nobody works its partitions. Meant are 5 s and 0.1 s, which the figures printed here
/// show on a quiet machine; a test on a busy one tells only the order of magnitude.
const KILLED_MS_MAX: u128 = 15_000;
const STOPPED_MS_MAX: u128 = 15_000;

/// Which partitions are a process's own: from its metrics.
async fn owned(stage: &str, admin_url: &str) -> Option<Vec<u32>> {
    let text = reqwest::get(format!("{admin_url}/metrics")).await.ok()?.text().await.ok()?;
    let samples = text.lines().filter_map(|l| l.strip_prefix("eventrunner_consumer_held_partitions{"));
    let ours = samples.filter(|l| l.contains(&format!("stage=\"{stage}\"")) && l.ends_with("} 1"));
    let number = |l: &str| l.split_once("partition=\"")?.1.split('"').next()?.parse().ok();
    let mut owned: Vec<u32> = ours.filter_map(number).collect();
    owned.sort_unstable();
    Some(owned)
}

/// Waits until each partition has one owner and nobody has more than their share.
pub(super) async fn even(stage: &str, admin_urls: &[String]) -> Vec<Vec<u32>> {
    wait_for("an even share and one owner each", PATIENCE, async || {
        let mut shares = Vec::new();
        for url in admin_urls {
            shares.push(owned(stage, url).await?);
        }
        let mut all: Vec<u32> = shares.concat();
        all.sort_unstable();
        let fair = usize::try_from(PARTITIONS).unwrap().div_ceil(shares.len());
        let is_even = shares.iter().all(|share| share.len() <= fair);
        (all == (0..PARTITIONS).collect::<Vec<_>>() && is_even).then_some(shares)
    })
    .await
}

/// A replica that nobody starts again.
fn guest(fleet: &Fleet, service: &str) -> (Running, String) {
    let admin = format!("127.0.0.1:{}", lasting_port());
    let config = fleet.data_dir().join("processes.toml");
    let mut command = eventrunner(fleet.data_dir());
    command.arg(service).arg("--config").arg(config).env("EVENTRUNNER_ADMIN__HTTP__LISTEN", &admin);
    (Running::start(&mut command), format!("http://{admin}"))
}

/// A fleet of processes with so many partitions, and a connection to its broker.
async fn start(args: &[&str]) -> (Fleet, Bus) {
    let partitions = format!("topology.partitions={PARTITIONS}");
    let fleet = Fleet::start(&[&["--processes", "--set", &partitions], args].concat());
    let context = fleet.context();
    let text = |name: &str| context[name].as_str().unwrap();
    let (url, credentials) = (text("nats_url").to_owned(), text("nats_credentials_file").into());
    let options = bus::Options { url, credentials_file: Some(credentials), ..Default::default() };
    let bus = Bus::connect(&options).await.unwrap();
    (fleet, bus)
}

fn flow(fleet: &Fleet, period_ms: u64) -> Flow {
    let context = fleet.context();
    let text = |name: &str| context[name].as_str().unwrap();
    Flow::start(text("url"), text("key"), Duration::from_millis(period_ms))
}

/// Replicas of a service are killed and stopped, some of which come back, while events flow.
async fn disturb(fleet: &Fleet, service: &str, flow: &Flow) -> Vec<Incident> {
    let replicas = fleet.admin_urls(service);
    let mut incidents = Vec::new();
    for (what, signal, ms_max) in [
        ("a replica is killed and does not come back", Signal::SIGKILL, KILLED_MS_MAX),
        ("a replica is stopped and does not come back", Signal::SIGTERM, STOPPED_MS_MAX),
    ] {
        let (mut process, admin) = guest(fleet, service);
        let shares = even(service, &[replicas.clone(), vec![admin]].concat()).await;
        flow.go_on().await;
        let partitions = shares.last().unwrap().clone();
        incidents.push(Incident { what, at: SystemTime::now(), partitions, ms_max });
        process.signal(signal);
        process.wait();
        even(service, &replicas).await;
        flow.go_on().await;
    }
    for (what, index, signal, ms_max) in [
        ("a replica is killed and started again", 0, Signal::SIGKILL, KILLED_MS_MAX),
        ("a replica is stopped and started again", 1, Signal::SIGTERM, STOPPED_MS_MAX),
    ] {
        let name = format!("{service}-{}", index + 1);
        let pid = fleet.pid_of(&name);
        let partitions = even(service, &replicas).await[index].clone();
        incidents.push(Incident { what, at: SystemTime::now(), partitions, ms_max });
        kill(pid, signal).unwrap();
        wait_until("another process", PATIENCE, async || fleet.pid_of(&name) != pid).await;
        even(service, &replicas).await;
        flow.go_on().await;
    }
    incidents
}

/// Gives the flow's events a schema, that follows them: each goes by way of the normalizer. Without the API, which not every fleet here
/// has.
async fn check_events(bus: &Bus) {
    let catalog = Catalog::open(bus.jetstream().clone(), catalog::Options::default()).await;
    let checked = json!({"tenant": "demo", "system": "demo", "name": "t", "schema": {}});
    let checked: EventType = serde_json::from_value(checked).unwrap();
    catalog.create(&checked).await.unwrap();
}

async fn wait_until_empty(bus: &Bus, stream: &str) {
    let empty = wait_until("everything is worked", PATIENCE, async || {
        bus.jetstream().get_stream(stream).await.is_ok_and(|s| s.cached_info().state.messages == 0)
    });
    let told = AssertUnwindSafe(empty).catch_unwind().await;
    if let Err(panic) = told {
        tell(bus, stream).await;
        std::panic::resume_unwind(panic);
    }
}

/// Prints what a stream and its consumers have left, and who has it.
async fn tell(bus: &Bus, stream: &str) {
    let stream = bus.jetstream().get_stream(stream).await.unwrap();
    println!("{:?}", stream.cached_info());
    let mut consumers = stream.consumers();
    while let Some(consumer) = consumers.next().await {
        println!("{consumer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn normalizers_share_partitions_evenly_and_hand_them_over() {
    let (fleet, bus) = start(&["--replicas", "engine=0,api=0,normalizer=3", "--durability", "process"]).await;
    let shares = even("normalizer", &fleet.admin_urls("normalizer")).await;
    println!("three normalizers, {PARTITIONS} partitions: {shares:?}");
    assert!(shares.iter().all(|share| share.len() == 4), "{shares:?}");
    check_events(&bus).await;
    let flow = flow(&fleet, 20);
    flow.go_on().await;
    let incidents = disturb(&fleet, "normalizer", &flow).await;
    let sent = flow.end().await;
    wait_until_empty(&bus, topology::RAW).await;
    let worked = normalized(&bus).await;
    check(&worked, sent);
    judge(&worked, &incidents);
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_share_partitions_evenly_and_hand_them_over() {
    let servers = tokio::task::spawn_blocking(|| (Cassandra::start(), ClickHouse::start()));
    let (cql, clickhouse) = servers.await.unwrap();
    let (nodes, url) = (cql.nodes().join(","), clickhouse.url());
    let args = ["--replicas", "engine=3,normalizer=3", "--durability", "process"];
    let stores = ["--stores", "external", "--cql", &nodes, "--clickhouse", &url];
    let (fleet, bus) = start(&[&args[..], &stores, &["--set", "store.cql.replication=1"]].concat()).await;
    for service in ["normalizer", "engine"] {
        let shares = even(service, &fleet.admin_urls(service)).await;
        println!("three replicas of {service}, {PARTITIONS} partitions: {shares:?}");
        assert!(shares.iter().all(|share| share.len() == 4), "{shares:?}");
    }
    let flow = flow(&fleet, 40);
    flow.go_on().await;
    let incidents = disturb(&fleet, "engine", &flow).await;
    let sent = flow.end().await;
    for stream in [topology::RAW, topology::EVENTS] {
        wait_until_empty(&bus, stream).await;
    }
    let worked = streamed(&bus).await;
    check(&worked, sent);
    judge(&worked, &incidents);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_lose_one_and_nothing_else() {
    let replicas = "engine=0,api=0,normalizer=3";
    let (fleet, bus) =
        start(&["--replicas", replicas, "--nats-nodes", "3", "--durability", "replicated"]).await;
    let normalizers = fleet.admin_urls("normalizer");
    even("normalizer", &normalizers).await;
    check_events(&bus).await;
    let flow = flow(&fleet, 20);
    flow.go_on().await;
    let stream = bus.jetstream().get_stream(topology::RAW).await.unwrap();
    let info = stream.cached_info();
    assert_eq!(info.config.num_replicas, 3);
    let leader = info.cluster.as_ref().and_then(|cluster| cluster.leader.clone()).unwrap();
    let name = leader.replace("eventrunner", "nats-server");
    let pid = fleet.pid_of(&name);
    let (what, at, partitions) =
        ("the broker that leads is killed", SystemTime::now(), (0..PARTITIONS).collect());
    let incidents = [Incident { what, at, partitions, ms_max: PATIENCE.as_millis() }];
    kill(pid, Signal::SIGKILL).unwrap();
    wait_until("another process", PATIENCE, async || fleet.pid_of(&name) != pid).await;
    even("normalizer", &normalizers).await;
    flow.go_on().await;
    let sent = flow.end().await;
    wait_until_empty(&bus, topology::RAW).await;
    let worked = normalized(&bus).await;
    let (again, overtaken) = check_kept(&worked, sent);
    println!("{sent} events of each of {PARTITIONS} keys: {again} came again, {overtaken} were overtaken");
    judge(&worked, &incidents);
}
