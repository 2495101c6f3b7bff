//! The last hop of a sampled event: from its tenant's stream to whoever reads it here.

use bus::{topology, traced};
use model::{CloudEvent, Text};
use runtime::otlp::{Kind, Span};

use crate::reader::Reader;

/// Begins to hand an event out, if the request that brought it is traced. It ends when what is given is dropped.
pub(crate) fn begin(
    reader: &Reader,
    transport: &'static str,
    traceparent: Option<&Text>,
    event: &CloudEvent,
) -> Option<Span> {
    let tenant = &reader.caller.tenant;
    let stream = topology::tenant_stream(&tenant.placement);
    let name = format!("process {stream}");
    let span = Span::following("api", Kind::Consumer, &name, traceparent?.as_bytes())?;
    let span = traced::messaging(span, "process", "process", &stream)
        .with("eventrunner.tenant", &**tenant.id.as_text())
        .with("eventrunner.transport", transport);
    Some(traced::of_event(span, event.source(), event.id(), event.ty()))
}

/// What the reader is told, to go on from.
pub(crate) fn traceparent(span: Option<&Span>) -> String {
    span.map(|span| span.context().to_traceparent().to_string()).unwrap_or_default()
}
