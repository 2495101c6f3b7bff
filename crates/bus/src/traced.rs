//! Spans of messages, with the attributes that OpenTelemetry's conventions for messaging (1.37) want of them. There are none unless
//! a trace is sampled.

use runtime::{
    otlp::{Kind, Span},
    trace::{TraceContext, is_sampled},
};

use crate::{reader::Incoming, topology::consumer_name};

/// Begins a stage's work on what a sampled request has in a message. It is a child of the span that sent it, so that one trace
/// shows the event's whole way, and is linked to it, as the conventions want (docs/adr/0019-traces.md).
#[must_use]
pub fn processing(
    service: &'static str,
    stream: &str,
    (partition, sequence): (u32, u64),
    traceparent: &[u8],
    events: usize,
) -> Option<Span> {
    // Before anything is made: most are not.
    if !is_sampled(traceparent) {
        return None;
    }
    let name = format!("process {stream}");
    let span = Span::following(service, Kind::Consumer, &name, traceparent)?;
    Some(
        messaging(span, "process", "process", stream)
            .with("messaging.destination.partition.id", partition.to_string())
            .with("messaging.consumer.group.name", consumer_name(partition))
            .with("messaging.batch.message_count", events)
            .with("messaging.nats.stream.sequence", sequence),
    )
}

/// The same, of a message just received.
#[must_use]
pub fn processing_of(
    service: &'static str,
    stream: &str,
    message: &Incoming,
    traceparent: &[u8],
    events: usize,
) -> Option<Span> {
    processing(service, stream, (message.partition, message.sequence), traceparent, events)
}

/// Begins to send what came of that work.
#[must_use]
pub fn publishing(work: &Span, stream: &str, events: usize) -> Span {
    let span = work.child(Kind::Producer, &format!("publish {stream}"));
    messaging(span, "publish", "send", stream).with("messaging.batch.message_count", events)
}

/// What every span of a message has.
#[must_use]
pub fn messaging(span: Span, name: &str, kind: &str, stream: &str) -> Span {
    span.with("messaging.system", "nats")
        .with("messaging.operation.name", name)
        .with("messaging.operation.type", kind)
        .with("messaging.destination.name", stream)
}

/// Says which event it is, where it is one.
#[must_use]
pub fn of_event(span: Span, source: &str, id: &str, ty: &str) -> Span {
    span.with("messaging.message.id", id)
        .with("cloudevents.event_id", id)
        .with("cloudevents.event_source", source)
        .with("cloudevents.event_type", ty)
}

/// Links the trace that an event says it began in: its own attribute `traceparent`, which nobody here changes.
pub fn link_origin(span: &mut Span, origin: &str) {
    if let Some(origin) = TraceContext::parse(origin) {
        span.link(&origin);
    }
}
