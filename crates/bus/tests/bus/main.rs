//! The bus against a real nats-server: packing doors, ordered readers, take-overs, outages.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod accounts;
mod cluster;
mod login;
mod pipe;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    consumer::PullConsumer,
    stream::{self, PersistenceMode},
};
use async_trait::async_trait;
use bus::{
    Accept as _, AcceptError, Bus, Door, DoorOptions, Options, Placed, Stage, TopologyOptions, Turn,
    members::MembersOptions,
    reader::{Incoming, ReaderOptions, Work, Worker},
    topology,
};
use futures::StreamExt as _;
use model::{AttributeValue, CloudEvent, Durability, Text};
use prost::Message as _;
use proto::hops::{self, raw_item::Item};
use runtime::{health::Health, lifecycle::Context};
use testkit::{NatsServer, wait_until};
use tokio::sync::Semaphore;

const LONG: Duration = Duration::from_secs(30);

fn topology_options() -> TopologyOptions {
    TopologyOptions {
        durability: Durability::Process,
        partitions: 2,
        pin_timeout_ms: 500,
        ..Default::default()
    }
}

async fn connect(nats: &NatsServer) -> Bus {
    let options = Options { url: nats.url(), request_timeout_ms: 1_000, ..Default::default() };
    Bus::connect(&options).await.unwrap()
}

fn stamp() -> hops::Stamp {
    hops::Stamp { tenant: "acme".into(), system: "shop".into(), ..Default::default() }
}

fn item(id: usize) -> hops::RawItem {
    let event = hops::Event { id: id.to_string().into(), ..Default::default() };
    hops::RawItem { item: Some(Item::Event(event)) }
}

fn placed(id: usize, key: Option<&str>) -> Placed {
    Placed { key: key.map(Text::from), item: bus::Item::Raw(item(id)) }
}

fn sized(bytes: usize) -> Placed {
    let raw = hops::RawEvent { body: vec![b'x'; bytes].into(), ..Default::default() };
    Placed { key: None, item: bus::Item::Raw(hops::RawItem { item: Some(Item::Raw(raw)) }) }
}

fn ids(payload: &bytes::Bytes) -> Vec<usize> {
    let batch = hops::RawBatch::decode(payload.clone()).unwrap();
    let items = batch.groups.into_iter().flat_map(|g| g.items);
    items
        .filter_map(|i| match i.item {
            Some(Item::Event(e)) => std::str::from_utf8(&e.id).unwrap().parse().ok(),
            _ => None,
        })
        .collect()
}

/// What was begun: by which replica, in which partition, which id.
type Seen = Arc<Mutex<Vec<(&'static str, u32, usize)>>>;

/// Notes what it is given; each message's work needs a permit of the gate to end.
struct Recorder {
    name: &'static str,
    seen: Seen,
    gate: Arc<Semaphore>,
}

#[async_trait]
impl Worker for Recorder {
    async fn begin(&mut self, message: Incoming, _: Turn) -> Work {
        for id in ids(&message.payload) {
            self.seen.lock().unwrap().push((self.name, message.partition, id));
        }
        let gate = Arc::clone(&self.gate);
        Box::pin(async move { gate.acquire().await.unwrap().forget() })
    }
}

/// One replica of a stage that records.
struct Replica {
    context: Context,
    gate: Arc<Semaphore>,
}

async fn replica(bus: &Bus, name: &'static str, seen: &Seen, permits: usize) -> Replica {
    let reader = ReaderOptions { in_flight_max: 4, ..Default::default() };
    replica_with(bus, name, seen, permits, reader).await
}

async fn replica_with(
    bus: &Bus,
    name: &'static str,
    seen: &Seen,
    permits: usize,
    reader: ReaderOptions,
) -> Replica {
    let context = Context::new(Health::new(LONG));
    let gate = Arc::new(Semaphore::new(permits));
    let stage = Stage {
        name: "recorder",
        stream: topology::RAW,
        partitions: 2,
        reader,
        members: MembersOptions { replica: name.into(), announce_ms: 100, ttl_ms: 500 },
    };
    let health = context.health().component("recorder");
    let worker = |_| Recorder { name, seen: Arc::clone(seen), gate: Arc::clone(&gate) };
    stage.start(bus, &context, &health, worker).await.unwrap();
    Replica { context, gate }
}

impl Replica {
    async fn stop(self) {
        self.gate.add_permits(10_000);
        self.context.stop(&runtime::lifecycle::StopOptions::default()).await;
    }

    /// Gone without a word: nothing is acked, unpinned or told.
    fn die(&self) {
        self.context.shutdown().abort();
    }
}

/// What was begun of a partition, in the order of its first showing. What is done again, because its acknowledgement was lost,
/// comes behind what was acknowledged.
fn begun(seen: &Seen, partition: u32) -> Vec<usize> {
    let seen = seen.lock().unwrap();
    let mut order: Vec<usize> = Vec::new();
    for (.., id) in seen.iter().filter(|(_, p, _)| *p == partition) {
        if !order.contains(id) {
            order.push(*id);
        }
    }
    order
}

fn partition_of_key(key: &str) -> u32 {
    model::partition_of(&"acme".parse().unwrap(), key, 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_share_messages_and_keys_keep_their_order() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &topology_options()).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions::default());
    let mut requests = Vec::new();
    for id in 0..500 {
        requests.push(door.append(stamp(), vec![placed(id, Some("k"))]).await.unwrap());
    }
    let answers = futures::future::join_all(requests).await;
    assert!(answers.iter().all(Result::is_ok));
    let mut stream = bus.jetstream().get_stream(topology::RAW).await.unwrap();
    let messages = stream.info().await.unwrap().state.messages;
    assert!(messages < 100, "500 requests became {messages} messages");
    let mut got = Vec::new();
    for sequence in 1..=messages {
        let message = stream.get_raw_message(sequence).await.unwrap();
        assert_eq!(message.subject.as_str(), format!("raw.{}", partition_of_key("k")));
        got.extend(ids(&message.payload));
    }
    assert_eq!(got, (0..500).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_normal_goes_past_the_normalizer_and_the_rest_to_it() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &topology_options()).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions::default());
    let event = |id: &str| {
        let event = CloudEvent::builder(id.to_owned(), "/s", "t");
        event.extension("partitionkey", AttributeValue::String("k".into())).build().unwrap()
    };
    let items = ["1", "2", "3", "4"].map(|id| Placed::event(&event(id), |keyed| keyed && id != "2"));
    door.accept(stamp(), items.into()).await.unwrap();
    let kept = async |stream: &str, subject: &str| {
        let stream = bus.jetstream().get_stream(stream).await.unwrap();
        assert_eq!(stream.cached_info().state.messages, 1);
        let message = stream.get_raw_message(1).await.unwrap();
        assert_eq!(message.subject.as_str(), format!("{subject}.{}", partition_of_key("k")));
        message.payload
    };
    assert_eq!(ids(&kept(topology::RAW, "raw").await), [2]);
    let batch = hops::EventBatch::decode(kept(topology::EVENTS, "events").await).unwrap();
    for stream in ["raw", "events"] {
        let counted = format!("eventrunner_bus_published_events_total{{stream=\"{stream}\"}}");
        assert!(runtime::metrics::render().contains(&counted), "{stream}");
    }
    let [group] = &*batch.groups else { panic!("{batch:?}") };
    assert_eq!(group.stamp.as_ref(), Some(&stamp()));
    assert_eq!(group.events, ["1", "3", "4"].map(|id| hops::Event::from(&event(id))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_request_is_cut_and_an_impossible_event_refused() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &topology_options()).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions::default());
    let many = (0..100).map(|_| sized(10_000)).collect();
    door.accept(stamp(), many).await.unwrap();
    let mut stream = bus.jetstream().get_stream(topology::RAW).await.unwrap();
    let state = &stream.info().await.unwrap().state;
    assert!((15..=20).contains(&state.messages), "{} messages of 64 KB", state.messages);
    let refused = door.accept(stamp(), vec![sized(bus.message_bytes_max() + 1)]).await;
    assert!(matches!(refused, Err(AcceptError::TooLarge { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_and_a_broker_away_are_told_apart_and_both_refuse() {
    let mut nats = NatsServer::start();
    let bus = connect(&nats).await;
    let options = TopologyOptions { hop_bytes_max: 200_000, ..topology_options() };
    topology::ensure(&bus, &options).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions { accept_timeout_ms: 2_000, ..Default::default() });
    let mut refused = Ok(());
    for _ in 0..10 {
        refused = refused.and(door.accept(stamp(), vec![sized(50_000)]).await);
    }
    assert!(matches!(refused, Err(AcceptError::Full(_))), "{refused:?}");
    nats.kill();
    let refused = door.accept(stamp(), vec![sized(10)]).await;
    assert!(matches!(refused, Err(AcceptError::Unavailable(_))), "{refused:?}");
    nats.restart();
    wait_until("the door sees the broker again", LONG, async || {
        // Still full, but answered by the broker.
        matches!(door.accept(stamp(), vec![sized(50_000)]).await, Err(AcceptError::Full(_)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_a_moment_for_a_broker_that_comes_back_and_no_longer() {
    let mut nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &topology_options()).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions::default());
    let lost = bus.lost();
    nats.kill();
    lost.await;
    let (accepted, ()) =
        tokio::join!(door.accept(stamp(), vec![placed(0, Some("k"))]), async { nats.restart() });
    accepted.unwrap();
    nats.kill();
    wait_until("nothing more is waited for", LONG, async || !bus.is_back(Duration::from_secs(2)).await).await;
    let asked = Instant::now();
    let refused = door.accept(stamp(), vec![placed(1, Some("k"))]).await;
    assert!(matches!(refused, Err(AcceptError::Unavailable(_))), "{refused:?}");
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_without_traffic_knows_when_the_broker_takes_messages_again() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &TopologyOptions { hop_bytes_max: 600_000, ..topology_options() }).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions { accept_timeout_ms: 2_000, ..Default::default() });
    let hindered = async |is: bool| {
        wait_until("the door sees it", LONG, async || door.hindrance().is_some() == is).await;
    };
    assert_eq!(door.hindrance(), None);
    nats.pause();
    hindered(true).await;
    nats.resume();
    hindered(false).await;
    while door.accept(stamp(), vec![sized(50_000)]).await.is_ok() {}
    assert!(door.hindrance().unwrap().contains("behind"), "{:?}", door.hindrance());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(door.hindrance().is_some(), "a stream that is nearly full takes small messages still");
    let stream = bus.jetstream().get_stream(topology::RAW).await.unwrap();
    stream.purge().await.unwrap();
    hindered(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_is_sent_again_and_kept_once() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &topology_options()).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions { accept_timeout_ms: 30_000, ..Default::default() });
    // The broker hears each of the tries, and answers when the door has given up awaiting the first ones.
    nats.pause();
    let accepted = door.append(stamp(), vec![placed(0, Some("k"))]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    nats.resume();
    accepted.await.unwrap();
    let stream = bus.jetstream().get_stream(topology::RAW).await.unwrap();
    let messages = stream.cached_info().state.messages;
    let mut got = Vec::new();
    for sequence in 1..=messages {
        got.extend(ids(&stream.get_raw_message(sequence).await.unwrap().payload));
    }
    assert_eq!(got, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_one_by_one_is_gathered_and_begun_together() {
    const GATHER: Duration = Duration::from_secs(2);
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &topology_options()).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions::default());
    let seen = Seen::default();
    let reader = ReaderOptions { gather_us: 2_000_000, ..Default::default() };
    let replica = replica_with(&bus, "one", &seen, 10, reader).await;
    let partition = partition_of_key("k");
    door.accept(stamp(), vec![placed(0, Some("k"))]).await.unwrap();
    wait_until("the first waits for nothing", GATHER / 2, async || begun(&seen, partition) == [0]).await;
    let first = Instant::now();
    for id in 1..4 {
        door.accept(stamp(), vec![placed(id, Some("k"))]).await.unwrap();
    }
    wait_until("the others are begun", LONG, async || begun(&seen, partition).len() > 1).await;
    assert!(first.elapsed() > GATHER / 2, "after {:?}", first.elapsed());
    wait_until("all at once", GATHER / 2, async || begun(&seen, partition) == [0, 1, 2, 3]).await;
    replica.stop().await;
}

/// As a broker of three nodes was seen to have it after one of them was killed: messages that its consumer knows nothing of.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_nobody_is_handed_are_found() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &topology_options()).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions { message_events_max: 1, ..Default::default() });
    for id in 0..3 {
        door.accept(stamp(), vec![placed(id, Some("k"))]).await.unwrap();
    }
    let partition = partition_of_key("k");
    let mut consumer: PullConsumer = bus
        .jetstream()
        .get_consumer_from_stream(topology::consumer_name(partition), topology::RAW)
        .await
        .unwrap();
    consumer.reset(Some(100)).await.unwrap();
    let info = consumer.info().await.unwrap();
    assert_eq!((info.num_pending, info.num_ack_pending), (0, 0));
    let seen = Seen::default();
    let replica = replica(&bus, "one", &seen, 10).await;
    wait_until("they are begun", LONG, async || begun(&seen, partition) == [0, 1, 2]).await;
    wait_until("and taken out", LONG, async || {
        let stream = bus.jetstream().get_stream(topology::RAW).await.unwrap();
        stream.cached_info().state.messages == 0
    })
    .await;
    replica.stop().await;
}

/// Another replica resets the consumer, is handed just as many messages as the first was, and leaves them undone.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_are_in_step_by_chance_hide_nothing_that_another_left() {
    let nats = NatsServer::start();
    let (ours, theirs) = (connect(&nats).await, connect(&nats).await);
    topology::ensure(&ours, &topology_options()).await.unwrap();
    let door = Door::start(&ours, 2, &DoorOptions { message_events_max: 1, ..Default::default() });
    for id in 0..30 {
        door.accept(stamp(), vec![placed(id, Some("k"))]).await.unwrap();
    }
    let partition = partition_of_key("k");
    let seen = Seen::default();
    let reader = ReaderOptions { in_flight_max: 4, pull_messages: 1, ..Default::default() };
    let first = replica_with(&ours, "first", &seen, 2, reader).await;
    let mut consumer: PullConsumer = theirs
        .jetstream()
        .get_consumer_from_stream(topology::consumer_name(partition), topology::RAW)
        .await
        .unwrap();
    // Two are done, four are under way: it asks for no more and its pin lapses.
    wait_until("the first replica is stuck", LONG, async || begun(&seen, partition).len() == 6).await;
    let handed = Mutex::new(0);
    wait_until("two are acked, and nobody is pinned", LONG, async || {
        let mut consumer = consumer.clone();
        let info = consumer.info().await.unwrap();
        *handed.lock().unwrap() = info.delivered.consumer_sequence;
        info.ack_floor.stream_sequence == 2
            && info.priority_groups.iter().all(|group| group.pinned_client_id.is_none())
    })
    .await;
    consumer.reset(None).await.unwrap();
    let handed = usize::try_from(*handed.lock().unwrap()).unwrap();
    let inbox = theirs.client().new_inbox();
    let taken = theirs.client().subscribe(inbox.clone()).await.unwrap().take(handed);
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", topology::RAW, topology::consumer_name(partition));
    let request = format!(r#"{{"batch": {handed}, "expires": 30000000000, "group": "owner"}}"#);
    theirs.client().publish_with_reply(next, inbox, request.into()).await.unwrap();
    let taken: Vec<_> = taken.collect().await;
    assert!(
        taken.iter().all(|message| message.status.is_none()),
        "the other one is handed as many: {taken:?}"
    );
    first.gate.add_permits(10_000);
    wait_until("everything is worked", LONG, async || begun(&seen, partition).len() == 30).await;
    assert_eq!(begun(&seen, partition), (0..30).collect::<Vec<_>>());
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_taken_over_in_order_after_a_death() {
    let nats = NatsServer::start();
    let (ours, theirs) = (connect(&nats).await, connect(&nats).await);
    topology::ensure(&ours, &topology_options()).await.unwrap();
    let door = Door::start(&ours, 2, &DoorOptions { message_events_max: 1, ..Default::default() });
    let publish = async |range: std::ops::Range<usize>| {
        for id in range {
            door.accept(stamp(), vec![placed(id, Some("k"))]).await.unwrap();
        }
    };
    let seen = Seen::default();
    let first = replica(&theirs, "first", &seen, 20).await;
    publish(0..60).await;
    wait_until("the first replica is stuck in the middle", LONG, async || seen.lock().unwrap().len() >= 24)
        .await;
    first.die();
    publish(60..80).await;
    let second = replica(&ours, "second", &seen, 10_000).await;
    publish(80..100).await;
    let partition = partition_of_key("k");
    wait_until("everything is worked", LONG, async || begun(&seen, partition).len() == 100).await;
    let mut stream = ours.jetstream().get_stream(topology::RAW).await.unwrap();
    wait_until("everything is acked", LONG, async || stream.info().await.unwrap().state.messages == 0).await;
    let second_saw: Vec<usize> =
        seen.lock().unwrap().iter().filter(|(who, ..)| *who == "second").map(|(.., id)| *id).collect();
    assert!(second_saw.is_sorted(), "in order: {second_saw:?}");
    assert!(second_saw[0] <= 20, "what was not acked is done again: {second_saw:?}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_hands_over_without_doing_work_twice() {
    let nats = NatsServer::start();
    let (ours, theirs) = (connect(&nats).await, connect(&nats).await);
    topology::ensure(&ours, &topology_options()).await.unwrap();
    let door = Door::start(&ours, 2, &DoorOptions { message_events_max: 1, ..Default::default() });
    let seen = Seen::default();
    let first = replica(&theirs, "first", &seen, 10_000).await;
    let second = replica(&ours, "second", &seen, 10_000).await;
    let keys = ["a", "b", "c", "d"];
    for id in 0..200 {
        door.accept(stamp(), vec![placed(id, Some(keys[id % 4]))]).await.unwrap();
        if id == 100 {
            first.context.shutdown().drain();
        }
    }
    wait_until("everything is worked", LONG, async || seen.lock().unwrap().len() >= 200).await;
    first.stop().await;
    let mut stream = ours.jetstream().get_stream(topology::RAW).await.unwrap();
    wait_until("everything is acked", LONG, async || stream.info().await.unwrap().state.messages == 0).await;
    for partition in 0..2 {
        let worked: Vec<usize> =
            seen.lock().unwrap().iter().filter(|(_, p, _)| *p == partition).map(|(.., id)| *id).collect();
        assert!(worked.is_sorted(), "partition {partition}: {worked:?}");
    }
    assert_eq!(seen.lock().unwrap().len(), 200, "nothing twice");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_and_comes_back_loses_nothing() {
    let mut nats = NatsServer::start();
    let bus = connect(&nats).await;
    topology::ensure(&bus, &topology_options()).await.unwrap();
    let door = Door::start(&bus, 2, &DoorOptions { message_events_max: 1, ..Default::default() });
    let seen = Seen::default();
    let only = replica(&bus, "only", &seen, 30).await;
    for id in 0..60 {
        door.accept(stamp(), vec![placed(id, Some("k"))]).await.unwrap();
    }
    wait_until("half is worked", LONG, async || seen.lock().unwrap().len() >= 30).await;
    nats.kill();
    nats.restart();
    only.gate.add_permits(10_000);
    let partition = partition_of_key("k");
    wait_until("everything is worked", LONG, async || begun(&seen, partition).len() == 60).await;
    let mut stream = bus.jetstream().get_stream(topology::RAW).await.unwrap();
    wait_until("everything is acked", LONG, async || {
        stream.info().await.is_ok_and(|info| info.state.messages == 0)
    })
    .await;
    assert_eq!(begun(&seen, partition), (0..60).collect::<Vec<_>>());
    only.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_find_each_other_again_on_a_broker_that_was_restarted() {
    let mut nats = NatsServer::start();
    let (ours, theirs) = (connect(&nats).await, connect(&nats).await);
    topology::ensure(&ours, &topology_options()).await.unwrap();
    let seen = Seen::default();
    let first = replica(&theirs, "first", &seen, 10_000).await;
    let second = replica(&ours, "second", &seen, 10_000).await;
    // Where they meet is in the broker's memory.
    nats.kill();
    nats.restart();
    let members = async || ours.jetstream().get_key_value(topology::MEMBERS).await.ok()?.keys().await.ok();
    testkit::wait_for("both are announced again", LONG, async || {
        let keys: Vec<_> = members().await?.collect().await;
        (keys.len() == 2).then_some(())
    })
    .await;
    first.die();
    let door = Door::start(&ours, 2, &DoorOptions { message_events_max: 1, ..Default::default() });
    for (id, key) in ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().enumerate() {
        door.accept(stamp(), vec![placed(id, Some(key))]).await.unwrap();
    }
    wait_until("the one that is left works everything", LONG, async || {
        seen.lock().unwrap().iter().filter(|(who, ..)| *who == "second").count() == 8
    })
    .await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_stream_is_written_as_it_was_made_for() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    let name = topology::tenant_stream("default");
    // Of a fleet that wrote each message at once: the broker does not let that be changed.
    let earlier = stream::Config {
        name: name.clone(),
        subjects: vec!["tenant.default.>".into()],
        ..Default::default()
    };
    bus.jetstream().create_stream(earlier).await.unwrap();
    topology::ensure(&bus, &topology_options()).await.unwrap();
    topology::ensure_placement(&bus, &topology_options(), "new").await.unwrap();
    for (name, mode) in [(name, None), (topology::tenant_stream("new"), Some(PersistenceMode::Async))] {
        let config = bus.jetstream().get_stream(&name).await.unwrap().cached_info().config.clone();
        assert_eq!((config.persist_mode, config.max_age.is_zero()), (mode, false), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_is_made_once_and_contradictions_are_refused() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    assert_eq!(topology::existing(&bus).await.unwrap(), None);
    let made = topology::ensure(&bus, &topology_options()).await.unwrap();
    assert_eq!(made.partitions, 2);
    topology::ensure(&bus, &topology_options()).await.unwrap();
    assert_eq!(topology::existing(&bus).await.unwrap(), Some(made));
    let other = TopologyOptions { partitions: 3, ..topology_options() };
    let error = topology::ensure(&bus, &other).await.unwrap_err().to_string();
    assert!(error.contains("2 partitions") && error.contains("says 3"), "{error}");
    let alone = TopologyOptions { durability: Durability::Replicated, ..topology_options() };
    assert!(topology::ensure(&bus, &alone).await.unwrap_err().to_string().contains("replicas = 3"));
}
