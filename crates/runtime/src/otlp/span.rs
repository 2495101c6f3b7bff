//! Spans, made only for sampled traces and handed to the exporter when they are dropped.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{Extensions, Method};
use opentelemetry_proto::tonic::trace::v1::{
    Span as Wire, Status,
    span::{Link, SpanKind},
    status::StatusCode,
};

use super::{
    spans, traces,
    value::{Value, attribute},
};
use crate::trace::{TraceContext, is_sampled};

/// Links of a span: beyond it they are left out and counted.
const LINKS_MAX: usize = 32;
/// W3C flags, and beside them what OTLP says of the parent: known whether it is in another process, and that it is.
const FLAGS_SAMPLED: u32 = 0x1;
const FLAGS_PARENT_KNOWN: u32 = 0x100;
const FLAGS_PARENT_REMOTE: u32 = 0x200;

/// What part a span has in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers a request.
    Server,
    /// Asks another system and waits for it.
    Client,
    /// Sends a message.
    Producer,
    /// Works on a message.
    Consumer,
}

impl From<Kind> for i32 {
    fn from(kind: Kind) -> Self {
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        };
        kind as Self
    }
}

/// A piece of work in a sampled trace. It ends when it is dropped.
pub struct Span(Box<Parts>);

/// Most code that may have a span has none: it is to be small where it is not.
struct Parts {
    service: &'static str,
    context: TraceContext,
    wire: Wire,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").field("name", &self.0.wire.name).field("context", &self.0.context).finish()
    }
}

impl Span {
    /// The span whose ids are `own`, a part of `parent`. None if it is not sampled.
    #[must_use]
    pub fn of(
        service: &'static str,
        kind: Kind,
        name: &str,
        own: &TraceContext,
        parent: Option<&TraceContext>,
    ) -> Option<Self> {
        let is_wanted = own.sampled() && spans().is_some();
        is_wanted.then(|| Self::begin(service, kind, name.into(), own.clone(), parent))
    }

    fn begin(
        service: &'static str,
        kind: Kind,
        name: Cow<'_, str>,
        own: TraceContext,
        parent: Option<&TraceContext>,
    ) -> Self {
        let (trace_id, span_id) = own.ids();
        let mut wire = Wire {
            trace_id: trace_id.into(),
            span_id: span_id.into(),
            trace_state: own.state().map(ToString::to_string).unwrap_or_default(),
            flags: FLAGS_SAMPLED | FLAGS_PARENT_KNOWN,
            name: name.into_owned(),
            kind: kind.into(),
            start_time_unix_nano: now_ns(),
            ..Wire::default()
        };
        if let Some(parent) = parent {
            wire.parent_span_id = parent.ids().1.into();
            if matches!(kind, Kind::Server | Kind::Consumer) {
                wire.flags |= FLAGS_PARENT_REMOTE;
            }
        }
        Self(Box::new(Parts { service, context: own, wire }))
    }

    /// Work of `service` on what was sent with this `traceparent`: a child of the sender's span, and linked to it as
    /// OpenTelemetry's conventions for messaging want of whoever processes a message. None if it is not sampled.
    #[must_use]
    pub fn following(service: &'static str, kind: Kind, name: &str, traceparent: &[u8]) -> Option<Self> {
        if !is_sampled(traceparent) || spans().is_none() {
            return None;
        }
        let sender = TraceContext::parse(std::str::from_utf8(traceparent).ok()?)?;
        let mut span = Self::begin(service, kind, name.into(), sender.child(), Some(&sender));
        if kind == Kind::Consumer {
            span.link(&sender);
        }
        Some(span)
    }

    /// A part of this work.
    #[must_use]
    pub fn child(&self, kind: Kind, name: &str) -> Self {
        Self::begin(self.0.service, kind, name.into(), self.0.context.child(), Some(&self.0.context))
    }

    /// What the next hop is told.
    #[must_use]
    pub fn context(&self) -> &TraceContext {
        &self.0.context
    }

    /// Sets an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.wire.attributes.push(attribute(key, value));
    }

    /// The same, for whoever has it in one expression.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Points to another span that this one comes from.
    pub fn link(&mut self, to: &TraceContext) {
        if self.0.wire.links.len() >= LINKS_MAX {
            self.0.wire.dropped_links_count += 1;
            return;
        }
        let (trace_id, span_id) = to.ids();
        self.0.wire.links.push(Link {
            trace_id: trace_id.into(),
            span_id: span_id.into(),
            trace_state: to.state().map(ToString::to_string).unwrap_or_default(),
            flags: u32::from(to.sampled()),
            ..Link::default()
        });
    }

    /// It did not go well: what kind of failure, from a bounded set, and the same for people. The first one counts.
    pub fn fail(&mut self, error_type: &str, message: impl Into<String>) {
        if self.0.wire.status.is_some() {
            return;
        }
        self.set("error.type", error_type);
        self.0.wire.status = Some(Status { message: message.into(), code: StatusCode::Error as i32 });
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some((sampler, queue)) = traces()
            && sampler.admits_span()
        {
            let mut wire = std::mem::take(&mut self.0.wire);
            wire.end_time_unix_nano = now_ns().max(wire.start_time_unix_nano);
            queue.push((self.0.service, wire));
        }
    }
}

/// The span of a request, for those on the way to its handler who know more of it. Is there for sampled requests only.
#[derive(Debug, Clone)]
pub struct RequestSpan(Arc<Mutex<Option<Span>>>);

impl RequestSpan {
    /// Begins the span of a request, if it is sampled and spans are sent.
    pub(crate) fn begin(name: &str, own: &TraceContext, caller: Option<&TraceContext>) -> Option<Self> {
        if !own.sampled() || spans().is_none() {
            return None;
        }
        let span = Span::begin(super::SERVICE, Kind::Server, name.into(), own.clone(), caller);
        Some(Self(Arc::new(Mutex::new(Some(span)))))
    }

    /// The one of a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// Which service answers.
    pub fn answered_by(&self, service: &'static str) {
        self.with(|span| span.0.service = service);
    }

    /// Which service answers, and by which route, if there is one.
    pub fn routed(&self, service: &'static str, method: &Method, route: Option<&str>) {
        let Some(route) = route else { return self.answered_by(service) };
        self.with(|span| {
            span.0.service = service;
            span.0.wire.name = format!("{method} {route}");
            span.set("http.route", route);
        });
    }

    /// Sets an attribute.
    pub fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.with(|span| span.set(key, value));
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Span)) {
        if let Some(span) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            change(span);
        }
    }

    /// Ends it, whoever still has it.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
