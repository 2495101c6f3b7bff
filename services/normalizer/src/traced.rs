//! The spans of the sampled requests in a message. Most messages have none.

use bus::{
    reader::Incoming,
    topology::{EVENTS, RAW},
    traced,
};
use proto::hops;
use runtime::{
    metrics::Metric,
    otlp::{self, Span},
};

use crate::{Normalized, service::NAME};

/// Of one message; they end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Traced {
    work: Vec<Span>,
    sends: Vec<Span>,
}

impl Traced {
    /// Begins the work. From here on the stamps of sampled requests lead to its spans.
    pub(crate) fn begin(raw: &mut hops::RawBatch, message: &Incoming) -> Self {
        let mut traced = Self::default();
        if !otlp::is_tracing() {
            return traced;
        }
        for group in &mut raw.groups {
            let Some(stamp) = &mut group.stamp else { continue };
            let events = group.items.len();
            let span = traced::processing_of(NAME, RAW, message, &stamp.traceparent, events);
            let Some(span) = span else { continue };
            stamp.traceparent = span.context().to_traceparent().into_bytes();
            traced.work.push(span.with("eventrunner.tenant", &*String::from_utf8_lossy(&stamp.tenant)));
        }
        traced
    }

    /// Begins to send what came of it. From here on the stamps lead to the spans of sending.
    pub(crate) fn sending(&mut self, done: &mut Normalized) {
        if self.work.is_empty() {
            return;
        }
        for letter in &done.dead {
            if let Some(span) = self.of(letter.stamp.as_ref()) {
                span.fail(&text(&letter.code), text(&letter.reason));
            }
        }
        for group in &mut done.batch.groups {
            let Some(span) = self.of(group.stamp.as_ref()) else { continue };
            let mut send = traced::publishing(span, EVENTS, group.events.len());
            if let [event] = &*group.events {
                send = traced::of_event(send, &text(&event.source), &text(&event.id), &text(&event.r#type));
            }
            if let Some(stamp) = &mut group.stamp {
                stamp.traceparent = send.context().to_traceparent().into_bytes();
            }
            self.sends.push(send);
        }
    }

    /// All of it is kept. The histogram of how long that took leads to one of the traces.
    pub(crate) fn end(self, seconds: f64) {
        if let Some(span) = self.work.first() {
            otlp::exemplar(Metric::NormalizerBatchDuration, &[], seconds, span.context());
        }
    }

    /// The work on the request with this stamp.
    fn of(&mut self, stamp: Option<&hops::Stamp>) -> Option<&mut Span> {
        let traceparent = &stamp?.traceparent;
        self.work.iter_mut().find(|span| span.context().to_traceparent().as_bytes() == traceparent)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
