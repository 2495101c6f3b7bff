//! Shipments of small messages: each is acknowledged with its sequence, or not, whatever happens on the way.

use std::time::Duration;

use async_nats::jetstream::stream;
use bus::{
    Bus,
    pipe::{Messages as _, Pipe},
};
use bytes::Bytes;
use testkit::{NatsOptions, NatsServer, wait_for, wait_until};

use crate::{LONG, connect};

async fn make(bus: &Bus, config: stream::Config) {
    bus.jetstream().create_stream(config).await.unwrap();
}

fn all(name: &str) -> stream::Config {
    stream::Config { name: name.into(), subjects: vec![format!("{name}.>")], ..Default::default() }
}

/// Sends messages with these ids to these subjects.
async fn send(pipe: &Pipe, messages: &[(&str, usize)]) -> Vec<Option<u64>> {
    let mut shipment = pipe.shipment(messages.len()).await;
    for (subject, id) in messages {
        let payload = Bytes::from(format!("payload {id}"));
        shipment.add(subject, |headers| headers.add("Nats-Msg-Id", &id.to_string()), &payload);
    }
    shipment.send().await.acknowledged().await
}

/// The same until the pipe is connected.
async fn send_when_connected(pipe: &Pipe, messages: &[(&str, usize)]) -> Vec<Option<u64>> {
    wait_for("the pipe is connected", LONG, async || {
        let answers = send(pipe, messages).await;
        answers.iter().any(Option::is_some).then_some(answers)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_answered_for_itself() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    make(&bus, all("A")).await;
    make(&bus, stream::Config { max_message_size: 5, ..all("SMALL") }).await;
    let pipe = Pipe::open(&bus);
    let messages = [("A.x", 1), ("SMALL.x", 2), ("A.y", 3), ("nowhere", 4), ("A.x", 1), ("A.x", 5)];
    // At once: it waits for its connection.
    let answers = send(&pipe, &messages).await;
    assert_eq!(answers, [Some(1), None, Some(2), None, Some(1), Some(3)], "the second 1 is known already");
    let message = bus.jetstream().get_stream("A").await.unwrap().get_raw_message(2).await.unwrap();
    assert_eq!((message.subject.as_str(), &message.payload[..]), ("A.y", &b"payload 3"[..]));
    assert_eq!(message.headers.get("Nats-Msg-Id").unwrap().as_str(), "3");
    assert_eq!(send(&pipe, &[]).await, []);
}

/// The broker ends the connection of who sends it more than it takes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_harms_no_other() {
    let nats = NatsServer::start_with(NatsOptions { max_payload: Some(2_000), ..NatsOptions::default() });
    let bus = connect(&nats).await;
    make(&bus, all("A")).await;
    let pipe = Pipe::open(&bus);
    send_when_connected(&pipe, &[("A.x", 1)]).await;
    // `NATS/1.0`, one header and two line ends more than the payload.
    let head = "NATS/1.0\r\nid: 1\r\n\r\n".len();
    let mut shipment = pipe.shipment(4).await;
    for bytes in [2_000 - head, 2_001 - head, 100_000, 10] {
        shipment.add("A.x", |headers| headers.add("id", "1"), &Bytes::from(vec![b'x'; bytes]));
    }
    assert_eq!(shipment.send().await.acknowledged().await, [Some(2), None, None, Some(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_share_it_and_each_keeps_its_order() {
    let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() });
    let bus = connect(&nats).await;
    make(&bus, all("A")).await;
    let pipe = Pipe::open(&bus);
    send_when_connected(&pipe, &[("A.first", 0)]).await;
    let tasks: Vec<_> = (1..=8usize)
        .map(|task| {
            let (pipe, subject) = (pipe.clone(), format!("A.{task}"));
            tokio::spawn(async move {
                let mut sent = Vec::new();
                for shipment in 0..20 {
                    let mut messages = pipe.shipment(100).await;
                    for n in 0..100 {
                        let id = (task * 10_000 + shipment * 100 + n).to_string();
                        messages.add(
                            &subject,
                            |headers| headers.add("Nats-Msg-Id", &id),
                            &Bytes::from(vec![b'x'; 2_000]),
                        );
                    }
                    sent.push(messages.send().await);
                }
                let mut sequences = Vec::new();
                for sent in sent {
                    sequences.extend(sent.acknowledged().await.into_iter().map(Option::unwrap));
                }
                sequences
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        let sequences = task.await.unwrap();
        assert!(sequences.is_sorted(), "in the order they were sent");
        seen.extend(sequences);
    }
    seen.sort_unstable();
    assert_eq!(seen, (2..=16_001).collect::<Vec<_>>(), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_when_the_broker_died_is_not_acknowledged_and_may_be_sent_again() {
    let mut nats = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() });
    let bus = connect(&nats).await;
    make(&bus, all("A")).await;
    let pipe = Pipe::open(&bus);
    send_when_connected(&pipe, &[("A.x", 0)]).await;
    let sending = tokio::spawn({
        let pipe = pipe.clone();
        async move {
            // Each shipment until all of it is acknowledged, as the engine does.
            for shipment in 0..200usize {
                let mut missing: Vec<_> = (1..=50).map(|n| ("A.x", shipment * 50 + n)).collect();
                while !missing.is_empty() {
                    let answers = send(&pipe, &missing).await;
                    let answers = answers.into_iter().zip(missing).filter(|(answer, _)| answer.is_none());
                    missing = answers.map(|(_, message)| message).collect();
                    if !missing.is_empty() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        }
    });
    for _ in 0..4 {
        let there = nats_messages(&bus).await;
        wait_until("some more", LONG, async || sending.is_finished() || nats_messages(&bus).await > there)
            .await;
        nats.kill();
        nats.restart();
        wait_until("the broker is back", LONG, async || bus.is_connected()).await;
    }
    sending.await.unwrap();
    assert_eq!(nats_messages(&bus).await, 10_001, "each once");
}

async fn nats_messages(bus: &Bus) -> u64 {
    let get = || bus.jetstream().get_stream("A");
    wait_for("an answer", LONG, async || get().await.ok()).await.cached_info().state.messages
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_falls_silent_is_given_up() {
    let nats = NatsServer::start();
    let bus = connect(&nats).await;
    make(&bus, all("A")).await;
    let pipe = Pipe::open(&bus);
    send_when_connected(&pipe, &[("A.x", 1)]).await;
    nats.pause();
    assert_eq!(send(&pipe, &[("A.x", 2)]).await, [None]);
    nats.resume();
    let again = send_when_connected(&pipe, &[("A.x", 2)]).await;
    assert_eq!(again, [Some(2)], "once, whether the first one came or not");
}
