//! The same through the client's own connection, which knows TLS and credentials.

use std::future::IntoFuture;

use async_nats::{
    HeaderMap,
    jetstream::context::{PublishAckFuture, PublishErrorKind},
};
use bytes::Bytes;
use futures::FutureExt as _;

use super::Headers;
use crate::Bus;

#[derive(Debug)]
pub(super) struct Message {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

pub(super) type Ack = Option<PublishAckFuture>;

impl Headers for HeaderMap {
    fn add(&mut self, name: &str, value: &str) {
        if let Ok(value) = value.parse::<async_nats::HeaderValue>() {
            self.insert(name, value);
        }
    }
}

impl Message {
    pub(super) fn new(subject: &str, fill: impl FnOnce(&mut dyn Headers), payload: &Bytes) -> Self {
        let mut headers = HeaderMap::new();
        fill(&mut headers);
        Self { subject: subject.to_owned(), headers, payload: payload.clone() }
    }
}

pub(super) async fn send(bus: &Bus, messages: Vec<Message>) -> Vec<Ack> {
    let mut acks = Vec::with_capacity(messages.len());
    for Message { subject, headers, payload } in messages {
        acks.push(bus.jetstream().publish_with_headers(subject, headers, payload).await.ok());
    }
    acks
}

/// When the broker has died, the wait for one is the wait for all: they were sent in the same moment.
pub(super) async fn acknowledged(acks: Vec<Ack>) -> Vec<Option<u64>> {
    let mut sequences = Vec::with_capacity(acks.len());
    let mut late = false;
    for ack in acks {
        let ack = ack.map(IntoFuture::into_future);
        let answer = match ack {
            Some(ack) if late => ack.now_or_never(),
            Some(ack) => Some(ack.await),
            None => None,
        };
        late |= matches!(&answer, Some(Err(error)) if error.kind() == PublishErrorKind::TimedOut);
        sequences.push(answer.and_then(Result::ok).map(|ack| ack.sequence));
    }
    sequences
}
