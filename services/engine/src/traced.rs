//! The spans of the sampled requests in a batch. Most batches have none.

use bus::{
    topology::{self, EVENTS},
    traced,
};
use catalog::Snapshot;
use model::{AttributeValue, Batch, CloudEvent, Group, Stamp, Text};
use runtime::{
    metrics::Metric,
    otlp::{self, Kind, Span},
};

use crate::{service::NAME, tenant_stream::placement};

/// Of one batch; what has not ended before ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Traced(Vec<Request>);

/// What a sampled request has in a batch.
#[derive(Debug)]
struct Request {
    group: usize,
    work: Span,
    send: Option<Span>,
    /// What readers of the tenant stream go on from.
    traceparent: Text,
}

impl Traced {
    /// Begins the work, and to send to the tenant streams.
    pub(crate) fn begin(snapshot: &Snapshot, batch: &Batch) -> Self {
        if !otlp::is_tracing() {
            return Self::default();
        }
        let requests = batch.groups.iter().enumerate().filter_map(|(number, group)| {
            let place = (batch.partition, batch.sequence);
            let Group { stamp, events } = group;
            let traceparent = stamp.traceparent.as_bytes();
            let work = traced::processing(NAME, EVENTS, place, traceparent, events.len())?;
            let mut work = work.with("eventrunner.tenant", &**stamp.tenant.as_text());
            events.iter().filter_map(origin).for_each(|origin| traced::link_origin(&mut work, origin));
            let stream = topology::tenant_stream(placement(snapshot, stamp));
            let mut send = traced::publishing(&work, &stream, events.len());
            if let [event] = &**events {
                work = traced::of_event(work, event.source(), event.id(), event.ty());
                send = traced::of_event(send, event.source(), event.id(), event.ty());
            }
            let traceparent = send.context().to_traceparent();
            Some(Request { group: number, work, send: Some(send), traceparent })
        });
        Self(requests.collect())
    }

    /// What readers of a group's messages go on from.
    pub(crate) fn traceparent<'a>(&'a self, group: usize, stamp: &'a Stamp) -> &'a str {
        let request = self.0.iter().find(|request| request.group == group);
        request.map_or(&stamp.traceparent, |request| &request.traceparent)
    }

    /// All is in the tenant streams.
    pub(crate) fn sent(&mut self, seconds: f64) {
        self.0.iter_mut().for_each(|request| drop(request.send.take()));
        self.exemplar("stream", seconds);
    }

    /// Begins to store, and to meter: in the embedded store one commit. It ends when what is given is dropped.
    pub(crate) fn storing(&self) -> Vec<Span> {
        self.0.iter().map(|request| request.work.child(Kind::Client, "store and meter")).collect()
    }

    /// A stage has taken so long; its histogram leads to one of the traces.
    pub(crate) fn exemplar(&self, stage: &str, seconds: f64) {
        if let Some(request) = self.0.first() {
            otlp::exemplar(Metric::EngineStageDuration, &[stage], seconds, request.work.context());
        }
    }
}

/// The trace that an event says it began in.
fn origin(event: &CloudEvent) -> Option<&str> {
    match event.extension("traceparent")? {
        AttributeValue::String(origin) => Some(origin),
        _ => None,
    }
}
