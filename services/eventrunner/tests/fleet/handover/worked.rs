//! What became of the flow: which event was worked when, by partition.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use async_nats::jetstream::message::StreamMessage;
use bus::{Bus, topology};
use futures::StreamExt as _;
use prost::Message as _;
use proto::hops;

use super::flow::{PARTITIONS, keys};

/// How long before an incident the last event before it was worked, at most.
const BEFORE: Duration = Duration::from_millis(150);

/// When a message of a partition was worked, and the numbers of its events.
pub(super) type Worked = BTreeMap<u32, Vec<(SystemTime, Vec<u64>)>>;

/// The number in `<key>/<number>`, and its key.
fn number(id: &str) -> (String, u64) {
    let id = id.replace("%2F", "/");
    let (key, number) = id.rsplit_once('/').unwrap();
    (key.to_owned(), number.parse().unwrap())
}

/// What the normalizers made, in the order of their stream.
pub(super) async fn normalized(bus: &Bus) -> Worked {
    read(bus, topology::EVENTS, |message| {
        let partition = message.subject.as_str().rsplit('.').next().unwrap().parse().unwrap();
        let batch = hops::EventBatch::decode(message.payload.clone()).unwrap();
        let events = batch.groups.iter().flat_map(|group| &group.events);
        (partition, events.map(|event| number(std::str::from_utf8(&event.id).unwrap()).1).collect())
    })
    .await
}

/// What the engines published, in the order of the tenants' stream.
pub(super) async fn streamed(bus: &Bus) -> Worked {
    let partitions: BTreeMap<String, u32> = keys().into_iter().zip(0..).collect();
    read(bus, &topology::tenant_stream("default"), |message| {
        let id = message.headers.get("ce-id").unwrap();
        let (key, number) = number(id.as_str());
        (partitions[&key], vec![number])
    })
    .await
}

async fn read(bus: &Bus, stream: &str, take: impl Fn(&StreamMessage) -> (u32, Vec<u64>)) -> Worked {
    let stream = bus.jetstream().get_stream(stream).await.unwrap();
    let state = stream.cached_info().state.clone();
    let stream = &stream;
    let numbers = state.first_sequence..=state.last_sequence;
    let mut messages = futures::stream::iter(numbers).map(|n| stream.get_raw_message(n)).buffered(64);
    let mut worked = Worked::new();
    while let Some(message) = messages.next().await {
        let message = message.unwrap();
        let (partition, numbers) = take(&message);
        worked.entry(partition).or_default().push((message.time.into(), numbers));
    }
    worked
}

/// Each event once and in order in its partition.
pub(super) fn check(worked: &Worked, sent: u64) {
    assert_eq!(worked.len(), usize::try_from(PARTITIONS).unwrap());
    for (partition, messages) in worked {
        let numbers: Vec<u64> = messages.iter().flat_map(|(_, numbers)| numbers).copied().collect();
        assert!(
            numbers.iter().copied().eq(0..sent),
            "partition {partition}: each once, in order: {numbers:?}"
        );
    }
}

/// No event is missing. How many came again, because the producer was told to send again, and how many were overtaken.
pub(super) fn check_kept(worked: &Worked, sent: u64) -> (usize, usize) {
    let (mut again, mut overtaken) = (0, 0);
    for (partition, messages) in worked {
        let mut numbers: Vec<u64> = messages.iter().flat_map(|(_, numbers)| numbers).copied().collect();
        overtaken += numbers.windows(2).filter(|two| two[0] > two[1]).count();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        again += all - numbers.len();
        assert!(numbers.iter().copied().eq(0..sent), "partition {partition}: none is missing: {numbers:?}");
    }
    (again, overtaken)
}

/// What happened, when, and whose partitions it was.
#[derive(Debug)]
pub(super) struct Incident {
    pub(super) what: &'static str,
    pub(super) at: SystemTime,
    pub(super) partitions: Vec<u32>,
    /// The bar of how long nobody may work them, in milliseconds.
    pub(super) ms_max: u128,
}

/// The longest pauses of the victim's partitions and of the others, from a moment on, in milliseconds.
fn pauses(worked: &Worked, incident: &Incident, until: SystemTime) -> (Vec<u128>, u128) {
    let longest = |partition: &u32| {
        let times = worked[partition].iter().map(|(at, _)| *at);
        // The last one before it is where the pause begins.
        let window: Vec<_> = times.filter(|at| *at + BEFORE >= incident.at && *at <= until).collect();
        let gaps = window.windows(2).map(|two| two[1].duration_since(two[0]).unwrap_or_default());
        gaps.max().unwrap_or_default().as_millis()
    };
    let theirs = incident.partitions.iter().map(longest).collect();
    let others = worked.keys().filter(|p| !incident.partitions.contains(p)).map(longest).max();
    (theirs, others.unwrap_or_default())
}

/// Prints the pauses of each incident, and compares them with their bars.
pub(super) fn judge(worked: &Worked, incidents: &[Incident]) {
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
