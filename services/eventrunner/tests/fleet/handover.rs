//! Replicas share partitions: one owner each, evenly, and what happens to the flow when an owner stops or dies.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bus::{Bus, topology};
use futures::StreamExt as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use prost::Message as _;
use proto::hops;
use serde_json::json;
use testkit::wait_for;
use tokio::task::JoinHandle;

use crate::support::{Fleet, PATIENCE, Running, eventrunner, lasting_port};

const PARTITIONS: u32 = 12;
/// Between two events of a key: what a pause is measured with.
const PERIOD: Duration = Duration::from_millis(20);
/// Batches that show how it flows: a second and a half.
const STRETCH: u64 = 75;

/// Bars of what a replica's end may cost: how long nobody works its partitions.
const KILLED_MS_MAX: u128 = 5_000;
const STOPPED_MS_MAX: u128 = 100;

/// A key for each partition.
fn keys() -> Vec<String> {
    let tenant: model::TenantId = "demo".parse().unwrap();
    let in_partition = |p| move |key: &String| model::partition_of(&tenant.clone(), key, PARTITIONS) == p;
    let key = |p| (0..).map(|n| format!("key-{n}")).find(in_partition.clone()(p)).unwrap();
    (0..PARTITIONS).map(key).collect()
}

/// A steady flow of events, one for each partition every period, numbered by key.
struct Flow {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Flow {
    fn start(url: &str, key: &str) -> Self {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (Arc::clone(&sent), Arc::clone(&stop));
        let (url, auth) = (format!("{url}/v1/events"), format!("Bearer {key}"));
        let task = tokio::spawn(async move {
            let (http, keys) = (reqwest::Client::new(), keys());
            let mut ticks = tokio::time::interval(PERIOD);
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
                    tokio::time::sleep(PERIOD).await;
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { sent, stop, task }
    }

    /// Waits until some more has been accepted.
    async fn go_on(&self) {
        let until = self.sent.load(Ordering::Relaxed) + STRETCH;
        testkit::wait_until("the flow goes on", PATIENCE, async || {
            self.sent.load(Ordering::Relaxed) >= until
        })
        .await;
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

/// Which partitions are whose: by admin address, from their metrics.
async fn owned(stage: &str, admin_url: &str) -> Option<Vec<u32>> {
    let text = reqwest::get(format!("{admin_url}/metrics")).await.ok()?.text().await.ok()?;
    let samples = text.lines().filter_map(|l| l.strip_prefix("eventrunner_consumer_owned_partition{"));
    let ours = samples.filter(|l| l.contains(&format!("stage=\"{stage}\"")) && l.ends_with("} 1"));
    let number = |l: &str| l.split_once("partition=\"")?.1.split('"').next()?.parse().ok();
    let mut owned: Vec<u32> = ours.filter_map(number).collect();
    owned.sort_unstable();
    Some(owned)
}

/// Waits until each partition has one owner and nobody has more than their share.
async fn even(stage: &str, admin_urls: &[String]) -> Vec<Vec<u32>> {
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

/// When a message of a partition was worked, and the numbers of its events.
type Worked = BTreeMap<u32, Vec<(SystemTime, Vec<u64>)>>;

/// Everything the normalizers made, in the order of the stream.
async fn worked(bus: &Bus) -> Worked {
    let stream = bus.jetstream().get_stream(topology::EVENTS).await.unwrap();
    let state = stream.cached_info().state.clone();
    let stream = &stream;
    let messages =
        futures::stream::iter(state.first_sequence..=state.last_sequence).map(|n| stream.get_raw_message(n));
    let mut worked = Worked::new();
    let mut messages = messages.buffered(64);
    while let Some(message) = messages.next().await {
        let message = message.unwrap();
        let partition = message.subject.as_str().rsplit('.').next().unwrap().parse().unwrap();
        let batch = hops::EventBatch::decode(message.payload).unwrap();
        let events = batch.groups.iter().flat_map(|group| &group.events);
        let number =
            |id: &[u8]| std::str::from_utf8(id).unwrap().rsplit('/').next().unwrap().parse().unwrap();
        let numbers = events.map(|event| number(&event.id)).collect();
        worked.entry(partition).or_default().push((message.time.into(), numbers));
    }
    worked
}

/// What happened, when, and whose partitions it was.
struct Incident {
    what: &'static str,
    at: SystemTime,
    partitions: Vec<u32>,
    ms_max: u128,
}

/// The longest pauses of the victim's partitions and of the others, from a moment on, in milliseconds.
fn pauses(worked: &Worked, incident: &Incident, until: SystemTime) -> (Vec<u128>, u128) {
    let longest = |partition: &u32| {
        let times = worked[partition].iter().map(|(at, _)| *at);
        // The last one before it is where the pause begins.
        let window: Vec<_> = times.filter(|at| *at + PERIOD * 5 >= incident.at && *at <= until).collect();
        let gaps = window.windows(2).map(|two| two[1].duration_since(two[0]).unwrap_or_default());
        gaps.max().unwrap_or_default().as_millis()
    };
    let theirs = incident.partitions.iter().map(longest).collect();
    let others = worked.keys().filter(|p| !incident.partitions.contains(p)).map(longest).max();
    (theirs, others.unwrap_or_default())
}

/// A replica that nobody starts again.
fn guest(fleet: &Fleet) -> (Running, String) {
    let admin = format!("127.0.0.1:{}", lasting_port());
    let config = fleet.data_dir().join("processes.toml");
    let mut command = eventrunner(fleet.data_dir());
    command.arg("normalizer").arg("--config").arg(config).env("EVENTRUNNER_ADMIN__HTTP__LISTEN", &admin);
    (Running::start(&mut command), format!("http://{admin}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn normalizers_share_partitions_evenly_and_hand_them_over() {
    let partitions = format!("topology.partitions={PARTITIONS}");
    let fleet = Fleet::start(&[
        "--processes",
        "--replicas",
        "engine=0,api=0,normalizer=3",
        "--durability",
        "process",
        "--set",
        &partitions,
    ]);
    let context = fleet.context();
    let text = |name: &str| context[name].as_str().unwrap().to_owned();
    let bus = Bus::connect(&bus::Options { url: text("nats_url"), ..Default::default() }).await.unwrap();
    let replicas = fleet.admin_urls("normalizer");
    let shares = even("normalizer", &replicas).await;
    println!("three normalizers, {PARTITIONS} partitions: {shares:?}");
    assert!(shares.iter().all(|share| share.len() == 4), "{shares:?}");

    let flow = Flow::start(&text("url"), &text("key"));
    flow.go_on().await;
    let mut incidents = Vec::new();
    for (what, signal, ms_max) in [
        ("a replica is killed and does not come back", Signal::SIGKILL, KILLED_MS_MAX),
        ("a replica is stopped and does not come back", Signal::SIGTERM, STOPPED_MS_MAX),
    ] {
        let (mut process, admin) = guest(&fleet);
        let shares = even("normalizer", &[replicas.clone(), vec![admin]].concat()).await;
        flow.go_on().await;
        let partitions = shares.last().unwrap().clone();
        incidents.push(Incident { what, at: SystemTime::now(), partitions, ms_max });
        process.signal(signal);
        process.wait();
        even("normalizer", &replicas).await;
        flow.go_on().await;
    }
    for (what, name, signal, ms_max) in [
        ("a replica is killed and started again", "normalizer-1", Signal::SIGKILL, KILLED_MS_MAX),
        ("a replica is stopped and started again", "normalizer-2", Signal::SIGTERM, STOPPED_MS_MAX),
    ] {
        let pid: Pid = fleet.pid_of(name);
        let shares = even("normalizer", &replicas).await;
        let index = if name == "normalizer-1" { 0 } else { 1 };
        incidents.push(Incident { what, at: SystemTime::now(), partitions: shares[index].clone(), ms_max });
        kill(pid, signal).unwrap();
        testkit::wait_until("another process", PATIENCE, async || fleet.pid_of(name) != pid).await;
        even("normalizer", &replicas).await;
        flow.go_on().await;
    }
    let sent = flow.end().await;
    testkit::wait_until("everything is normalized", PATIENCE, async || {
        bus.jetstream().get_stream(topology::RAW).await.unwrap().cached_info().state.messages == 0
    })
    .await;

    let worked = worked(&bus).await;
    for (partition, messages) in &worked {
        let numbers: Vec<u64> = messages.iter().flat_map(|(_, numbers)| numbers).copied().collect();
        assert!(
            numbers.iter().copied().eq(0..sent),
            "partition {partition}: each once, in order: {numbers:?}"
        );
    }
    judge(&worked, &incidents);
}

/// Prints the pauses of each incident, and compares them with their bars.
fn judge(worked: &Worked, incidents: &[Incident]) {
    let ends = incidents.iter().skip(1).map(|i| i.at).chain([SystemTime::now()]).collect::<Vec<_>>();
    let mut over = Vec::new();
    for (incident, until) in incidents.iter().zip(ends) {
        let (pauses, others) = pauses(worked, incident, until);
        let longest = pauses.iter().copied().max().unwrap();
        println!(
            "{}: no message of its partitions worked for {pauses:?} ms; of the others {others} ms at most",
            incident.what
        );
        // A busy machine pauses everybody.
        if longest.saturating_sub(others) > incident.ms_max {
            over.push(format!("{}: {longest} ms", incident.what));
        }
    }
    assert!(over.is_empty(), "{over:?}");
}
