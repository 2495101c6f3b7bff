//! A sampled request's way into the streams.

use std::borrow::Cow;

use proto::hops;
use runtime::{
    otlp::{Kind, Span},
    trace::is_sampled,
};

use super::AcceptError;
use crate::traced::messaging;

/// The spans of what is being sent: none, unless the request is sampled.
#[derive(Debug, Default)]
pub(super) struct Sends(Vec<Span>);

impl Sends {
    /// Begins to send so many events to a stream. Gives the stamp they travel under: of a sampled request, one that leads whoever
    /// reads them to the span of sending.
    pub(super) fn begin<'a>(
        &mut self,
        stream: &str,
        stamp: &'a hops::Stamp,
        events: usize,
    ) -> Cow<'a, hops::Stamp> {
        if events == 0 || !is_sampled(&stamp.traceparent) {
            return Cow::Borrowed(stamp);
        }
        let service = if stamp.protocol == "grpc" { "ingest-grpc" } else { "ingest-http" };
        let span = Span::following(service, Kind::Producer, &format!("publish {stream}"), &stamp.traceparent);
        let Some(span) = span else { return Cow::Borrowed(stamp) };
        let traceparent = span.context().to_traceparent().into_bytes();
        let span = messaging(span, "publish", "send", stream);
        self.0.push(span.with("messaging.batch.message_count", events));
        Cow::Owned(hops::Stamp { traceparent, ..stamp.clone() })
    }

    /// It is not known whether they are kept.
    pub(super) fn fail(&mut self, error: &AcceptError) {
        for span in &mut self.0 {
            span.fail(error.code().as_str(), error.to_string());
        }
    }
}
