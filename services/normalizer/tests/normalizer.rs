//! The normalizer on a real nats-server: what goes in on `RAW`, and what comes out on `EVENTS` and `DEAD`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use bus::{Bus, TopologyOptions, topology};
use bytes::Bytes;
use catalog::{Catalog, Snapshot};
use model::{CloudEvent, Durability, Text, resource::Source};
use normalizer::{Options, Service};
use prost::Message as _;
use proto::hops::{self, raw_item::Item};
use runtime::{health::Health, lifecycle::Context};
use testkit::{NatsServer, wait_for};

const LONG: Duration = Duration::from_secs(30);

struct Rig {
    _nats: NatsServer,
    bus: Bus,
    context: Context,
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

fn snapshot() -> Snapshot {
    let schema = r#"{"type": "object", "required": ["amount"]}"#;
    Snapshot::default()
        .with::<model::resource::Tenant>(json(r#"{"id": "acme"}"#))
        .with::<model::resource::System>(json(r#"{"tenant": "acme", "id": "shop"}"#))
        .with::<Source>(json(r#"{"tenant": "acme", "system": "shop", "id": "github", "preset": "github"}"#))
        .with::<Source>(json(
            r#"{"tenant": "acme", "system": "shop", "id": "bad-time", "mapping": {"time": "${body.at}"}}"#,
        ))
        .with::<model::resource::EventType>(json(&format!(
            r#"{{"tenant": "acme", "system": "shop", "name": "com.example.strict", "schema": {schema}}}"#
        )))
}

impl Rig {
    async fn start() -> Self {
        Self::start_with(TopologyOptions::default()).await
    }

    async fn start_with(options: TopologyOptions) -> Self {
        let nats = NatsServer::start();
        let bus = Bus::connect(&bus::Options { url: nats.url(), ..Default::default() }).await.unwrap();
        let options = TopologyOptions { durability: Durability::Process, partitions: 1, ..options };
        topology::ensure(&bus, &options).await.unwrap();
        let context = Context::new(Health::new(LONG));
        let catalog = Catalog::fixed(snapshot());
        Service::new(Options::default(), bus.clone(), catalog, 1).start(&context).await.unwrap();
        Self { _nats: nats, bus, context }
    }

    /// Puts one group on `RAW` and gives what comes out: the events and the dead letters.
    async fn through(&self, source: &str, items: Vec<Item>) -> (Vec<CloudEvent>, Vec<hops::DeadLetter>) {
        let expected = items.len();
        let stamp = hops::Stamp {
            tenant: "acme".into(),
            system: "shop".into(),
            source: Bytes::copy_from_slice(source.as_bytes()),
            received_at_us: 1_000_000,
            ..Default::default()
        };
        let items = items.into_iter().map(|item| hops::RawItem { item: Some(item) }).collect();
        let batch = hops::RawBatch { groups: vec![hops::RawGroup { stamp: Some(stamp), items }] };
        self.publish(batch.encode_to_vec()).await;
        let mut events = self.stream(topology::EVENTS).await;
        let mut dead = self.stream(topology::DEAD).await;
        wait_for("all items come out", LONG, async || {
            let out = (read_events(&mut events).await, read_dead(&mut dead).await);
            (out.0.len() + out.1.len() == expected).then_some(out)
        })
        .await
    }

    async fn publish(&self, payload: Vec<u8>) {
        self.bus.jetstream().publish("raw.0", payload.into()).await.unwrap().await.unwrap();
    }

    async fn stream(&self, name: &str) -> Stream {
        self.bus.jetstream().get_stream(name).await.unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.context.shutdown().abort();
    }
}

async fn payloads(stream: &mut Stream) -> Vec<Bytes> {
    let state = stream.info().await.unwrap().state.clone();
    let mut all = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        all.push(stream.get_raw_message(sequence).await.unwrap().payload);
    }
    all
}

async fn read_events(stream: &mut Stream) -> Vec<CloudEvent> {
    let batches = payloads(stream).await.into_iter().map(|p| hops::EventBatch::decode(p).unwrap());
    let groups = batches.flat_map(|b| b.groups);
    groups.flat_map(|g| g.events).map(|e| CloudEvent::try_from(e).unwrap()).collect()
}

async fn read_dead(stream: &mut Stream) -> Vec<hops::DeadLetter> {
    payloads(stream).await.into_iter().map(|p| hops::DeadLetter::decode(p).unwrap()).collect()
}

fn raw(headers: &[(&'static str, &'static str)], body: &'static str) -> Item {
    let headers = headers.iter().map(|(n, v)| hops::Header { name: (*n).into(), value: (*v).into() });
    Item::Raw(hops::RawEvent {
        id: "the-id".into(),
        event_source: "/the/source".into(),
        headers: headers.collect(),
        body: body.into(),
        ..Default::default()
    })
}

fn strict(data: &str) -> Item {
    let event =
        CloudEvent::builder("1", "/s", "com.example.strict").text("application/json", data).build().unwrap();
    Item::Event((&event).into())
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudevents_pass_unchanged_and_in_order() {
    let rig = Rig::start().await;
    let sent: Vec<CloudEvent> = (0..50)
        .map(|i| {
            CloudEvent::builder(i.to_string(), "/s", "t")
                .time("2026-11-21T10:00:00.5+02:00")
                .subject("sub")
                .extension("flag", model::AttributeValue::Boolean(true))
                .text("application/json", r#"{ "spaces":  "kept" }"#)
                .build()
                .unwrap()
        })
        .collect();
    let (events, dead) = rig.through("", sent.iter().map(|e| Item::Event(e.into())).collect()).await;
    assert_eq!(events, sent);
    assert!(dead.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_events_become_cloudevents_under_the_identity_the_door_gave() {
    let rig = Rig::start().await;
    let github = [("x-github-event", "issues"), ("content-type", "application/json")];
    let body = r#"{"action": "opened", "issue": {"number": 7}}"#;
    let (events, dead) = rig.through("github", vec![raw(&github, body)]).await;
    assert!(dead.is_empty(), "{dead:?}");
    let event = &events[0];
    assert_eq!((&**event.id(), &**event.source()), ("the-id", "/the/source"));
    assert_eq!(&**event.ty(), "com.github.issues.opened");
    assert_eq!(event.subject().map(Text::to_string).as_deref(), Some("7"));
    assert_eq!(event.data().unwrap().as_bytes(), body.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_event_without_a_mapping_is_never_an_error() {
    let rig = Rig::start().await;
    let bodies = ["", "not json", "{", "\u{0}"];
    let (events, dead) = rig.through("", bodies.iter().map(|b| raw(&[], b)).collect()).await;
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(events.len(), bodies.len());
    assert!(events.iter().all(|e| &**e.ty() == "shop.event"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_its_schema_is_dead_lettered_and_the_rest_goes_on() {
    let rig = Rig::start().await;
    let items = vec![strict(r#"{"amount": 1}"#), strict(r#"{"secret": 1}"#), strict(r#"{"amount": 2}"#)];
    let (events, dead) = rig.through("", items).await;
    assert_eq!(events.len(), 2);
    let letter = &dead[0];
    assert_eq!(
        (&letter.stage[..], &letter.code[..], letter.index),
        (&b"normalizer"[..], &b"schema_violation"[..], 1)
    );
    let Some(Item::Event(event)) = &letter.item.as_ref().unwrap().item else { panic!("{letter:?}") };
    let event = CloudEvent::try_from(event.clone()).unwrap();
    assert_eq!(event.data().unwrap().as_bytes(), br#"{"secret": 1}"#, "untouched");
    assert!(
        !String::from_utf8_lossy(&letter.reason).contains("secret"),
        "the reason does not quote the data"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_mapped_is_dead_lettered_with_its_bytes() {
    let rig = Rig::start().await;
    let body = r#"{"at": "yesterday"}"#;
    let (events, dead) =
        rig.through("bad-time", vec![raw(&[("content-type", "application/json")], body)]).await;
    assert!(events.is_empty());
    assert_eq!(&dead[0].code[..], b"unprocessable");
    let Some(Item::Raw(raw)) = &dead[0].item.as_ref().unwrap().item else { panic!("{dead:?}") };
    assert_eq!(&raw.body[..], body.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_is_buried_and_holds_nothing_up() {
    let rig = Rig::start().await;
    rig.publish(b"\xff\xff no protobuf".to_vec()).await;
    let event = CloudEvent::builder("1", "/s", "t").build().unwrap();
    let mut dead = rig.stream(topology::DEAD).await;
    let letters = wait_for("the letter", LONG, async || {
        let letters = read_dead(&mut dead).await;
        (!letters.is_empty()).then_some(letters)
    })
    .await;
    assert_eq!(&letters[0].code[..], b"internal");
    let stamp = hops::Stamp { tenant: "acme".into(), system: "shop".into(), ..Default::default() };
    let items = vec![hops::RawItem { item: Some(Item::Event((&event).into())) }];
    let batch = hops::RawBatch { groups: vec![hops::RawGroup { stamp: Some(stamp), items }] };
    rig.publish(batch.encode_to_vec()).await;
    let mut events = rig.stream(topology::EVENTS).await;
    wait_for("the next event", LONG, async || (read_events(&mut events).await.len() == 1).then_some(()))
        .await;
    let mut raw = rig.stream(topology::RAW).await;
    wait_for("both are acked", LONG, async || (raw.info().await.unwrap().state.messages == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn what_a_full_stream_refuses_keeps_its_order() {
    const MESSAGES: u64 = 60;
    let rig = Rig::start_with(TopologyOptions { hop_bytes_max: 128 << 10, ..Default::default() }).await;
    let body = "x".repeat(8 << 10);
    let message = move |number: u64| {
        let stamp = hops::Stamp { tenant: "acme".into(), system: "shop".into(), ..Default::default() };
        let raw = hops::RawEvent {
            id: number.to_string().into(),
            event_source: "/the/source".into(),
            body: body.clone().into(),
            ..Default::default()
        };
        let items = vec![hops::RawItem { item: Some(Item::Raw(raw)) }];
        let groups = vec![hops::RawGroup { stamp: Some(stamp), items }];
        Bytes::from(hops::RawBatch { groups }.encode_to_vec())
    };
    let jetstream = rig.bus.jetstream().clone();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            // Refused as long as `RAW` is full, too.
            while jetstream.publish("raw.0", message(number)).await.unwrap().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let mut events = rig.stream(topology::EVENTS).await;
    let mut last = 0;
    wait_for("the stream is full", LONG, async || {
        let before = std::mem::replace(&mut last, events.info().await.unwrap().state.last_sequence);
        tokio::time::sleep(Duration::from_millis(300)).await;
        (last > 0 && last == before).then_some(())
    })
    .await;
    // As an engine that falls behind: one at a time is taken out.
    let mut found = Vec::new();
    for sequence in 1..=MESSAGES {
        let message =
            wait_for("the next message", LONG, async || events.get_raw_message(sequence).await.ok()).await;
        found.push(hops::EventBatch::decode(message.payload).unwrap().raw_sequence);
        events.delete_message(sequence).await.unwrap();
    }
    sending.await.unwrap();
    assert_eq!(found, (1..=MESSAGES).collect::<Vec<_>>());
}
