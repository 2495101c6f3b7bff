//! Bytes to items: pure, whole request or nothing.

use std::collections::HashSet;

use ::http::{
    HeaderMap,
    header::{CONTENT_TYPE, HeaderName},
};
use bytes::Bytes;
use catalog::Shortcut;
use mapping::{Headers, Mapping, Raw};
use model::{
    BadItem, BatchError, CloudEvent, DecodeError, ErrorCode, EventLimits, InvalidEvent, Micros, Text,
    http::{self, Format, Mode},
    json,
};
use prost::Message as _;
use proto::{cloudevents as ce, hops};
use runtime::problem::Problem;
use serde::de::IgnoredAny;

use crate::{items::Items, refuse};

/// How a request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// CloudEvents, by the binding.
    CloudEvents(Mode),
    /// One JSON value a line.
    Lines,
    /// One raw event.
    Raw,
    /// One JSON value: a CloudEvent if it is one, else the data of the event that the mapping makes of it.
    Json,
}

impl Form {
    /// The label in metrics.
    pub(crate) fn label(self, webhook: bool) -> &'static str {
        match self {
            Self::CloudEvents(Mode::Binary) => "binary",
            Self::CloudEvents(Mode::Structured(Format::Protobuf) | Mode::Batch(Format::Protobuf)) => {
                "protobuf"
            }
            Self::CloudEvents(Mode::Batch(_)) => "batch",
            Self::CloudEvents(_) => "structured",
            Self::Lines => "ndjson",
            Self::Raw if webhook => "webhook",
            Self::Raw | Self::Json => "raw",
        }
    }
}

/// Which form a request has, by its headers alone.
///
/// # Errors
/// 415 for a CloudEvents format that is not read here, 400 for two content types.
pub(crate) fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let mode = http::mode(headers);
    // Binary mode says so itself, with the attribute's name.
    if mode != Mode::Binary && headers.get_all(CONTENT_TYPE).iter().nth(1).is_some() {
        return Err(Problem::new(ErrorCode::Malformed, "the content type is given twice")
            .field("header:content-type", "is given twice"));
    }
    match mode {
        Mode::Structured(Format::Unknown) | Mode::Batch(Format::Unknown) => Err(refuse::unknown_format()),
        Mode::None if is_lines(headers) => Ok(Form::Lines),
        Mode::None => Ok(Form::Raw),
        mode => Ok(Form::CloudEvents(mode)),
    }
}

fn is_lines(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).map(|v| v.as_bytes()).unwrap_or_default();
    let essence = essence.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"]
        .iter()
        .any(|name| essence.eq_ignore_ascii_case(name.as_bytes()))
}

/// What a request may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) event: EventLimits,
    pub(crate) batch_events_max: usize,
}

/// What events are read with.
pub(crate) struct Context<'a> {
    /// Which CloudEvents need no normalizer.
    pub(crate) shortcut: Shortcut<'a>,
    /// The rest is needed for events that are no CloudEvents.
    pub(crate) mapping: &'a Mapping,
    pub(crate) new_id: fn() -> Text,
    pub(crate) query: &'a str,
    pub(crate) received_at_us: Micros,
}

/// Reads a request.
///
/// # Errors
/// Every fault there is, each with its place; nothing is kept of a request with a fault.
pub(crate) fn items<'a>(
    form: Form,
    headers: &HeaderMap,
    body: Bytes,
    limits: Limits,
    context: &Context<'a>,
) -> Result<Items<'a>, Problem> {
    match form {
        Form::CloudEvents(mode @ Mode::Batch(format)) => {
            let events = match format {
                Format::Protobuf => protobuf_batch(body, limits.batch_events_max),
                _ => json::decode_batch(&body, limits.batch_events_max),
            };
            let events = events.map_err(|e| refuse::batch(mode, e))?;
            let mut items = Items::with_capacity(events.len(), context.shortcut);
            for (i, event) in events.iter().enumerate() {
                let bytes = limits.event.check(event);
                let bytes = bytes.map_err(|e| refuse::over_limit(mode, &format!("/{i}"), &e))?;
                items.event(event, bytes);
            }
            Ok(items)
        }
        Form::CloudEvents(mode) => {
            let event = match mode {
                Mode::Binary => http::decode_binary(headers, body).map_err(DecodeError::Invalid),
                Mode::Structured(Format::Protobuf) => protobuf(body),
                _ => json::decode(&body),
            };
            let event = event.map_err(|e| refuse::undecodable(mode, e))?;
            let bytes = limits.event.check(&event).map_err(|e| refuse::over_limit(mode, "", &e))?;
            let mut items = Items::with_capacity(1, context.shortcut);
            items.event(&event, bytes);
            Ok(items)
        }
        Form::Raw => one_raw(headers, body, limits, context),
        Form::Json => one_json(headers, &body, limits, context),
        Form::Lines => lines(headers, &body, limits, context),
    }
}

fn protobuf(body: Bytes) -> Result<CloudEvent, DecodeError> {
    let wire = ce::CloudEvent::decode(body).map_err(|e| DecodeError::Malformed(not_protobuf(&e)))?;
    Ok(CloudEvent::try_from(wire)?)
}

fn protobuf_batch(body: Bytes, items_max: usize) -> Result<Vec<CloudEvent>, BatchError> {
    let wire = ce::CloudEventBatch::decode(body).map_err(|e| BatchError::Malformed(not_protobuf(&e)))?;
    if wire.events.len() > items_max {
        return Err(BatchError::TooMany { items_max });
    }
    let mut bad = Vec::new();
    let mut events = Vec::with_capacity(wire.events.len());
    for (index, event) in wire.events.into_iter().enumerate() {
        match CloudEvent::try_from(event) {
            Ok(event) => events.push(event),
            Err(error) => bad.push(BadItem { index, error }),
        }
    }
    if bad.is_empty() { Ok(events) } else { Err(BatchError::Items(bad)) }
}

fn not_protobuf(error: &prost::DecodeError) -> String {
    format!("the protobuf cannot be read: {error}")
}

fn one_raw<'a>(
    headers: &HeaderMap,
    body: Bytes,
    limits: Limits,
    context: &Context<'a>,
) -> Result<Items<'a>, Problem> {
    if body.is_empty() {
        return Err(no_event());
    }
    let identity = context.mapping.identify(&Raw::new(headers, context.query, &body), context.new_id);
    let raw = hops::RawEvent {
        headers: kept(context.mapping, headers),
        query: Bytes::copy_from_slice(context.query.as_bytes()),
        body,
        ..Default::default()
    };
    let bytes = check_raw(&raw, limits, "")?;
    let mut items = Items::with_capacity(1, context.shortcut);
    items.raw(identity, raw, bytes);
    Ok(items)
}

fn one_json<'a>(
    headers: &HeaderMap,
    body: &Bytes,
    limits: Limits,
    context: &Context<'a>,
) -> Result<Items<'a>, Problem> {
    const MODE: Mode = Mode::Structured(Format::Json);
    let event = match json::decode(body) {
        Ok(event) => event,
        Err(_) => mapped(headers, body, context)?,
    };
    let bytes = limits.event.check(&event).map_err(|e| refuse::over_limit(MODE, "", &e))?;
    let mut items = Items::with_capacity(1, context.shortcut);
    items.event(&event, bytes);
    Ok(items)
}

/// A JSON value as the data of an event.
fn mapped(headers: &HeaderMap, body: &Bytes, context: &Context<'_>) -> Result<CloudEvent, Problem> {
    serde_json::from_slice::<IgnoredAny>(body)
        .map_err(|error| Problem::new(ErrorCode::Malformed, format!("the body is not JSON: {error}")))?;
    let headers = JsonHeaders(headers);
    let raw = Raw::new(&headers, context.query, body);
    let identity = context.mapping.identify(&raw, context.new_id);
    context.mapping.apply(&raw, &identity, context.received_at_us).map_err(Problem::internal)
}

/// Each line is an event: a CloudEvent when it is an object with `specversion`, else a raw one. Empty lines
/// mean nothing.
fn lines<'a>(
    headers: &HeaderMap,
    body: &Bytes,
    limits: Limits,
    context: &Context<'a>,
) -> Result<Items<'a>, Problem> {
    const MODE: Mode = Mode::Batch(Format::Json);
    let mut kept = kept(context.mapping, headers);
    // The type of the whole body is not that of a line.
    kept.retain(|h| &*h.name != CONTENT_TYPE.as_str().as_bytes());
    kept.push(header(&CONTENT_TYPE, b"application/json"));
    let mut items = Items::with_capacity(16, context.shortcut);
    let mut raw_ids = HashSet::new();
    let mut bad = Vec::new();
    let all = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    for (index, line) in all.enumerate() {
        if index == limits.batch_events_max {
            return Err(refuse::too_many(limits.batch_events_max));
        }
        let line = body.slice_ref(line);
        match line_event(&line) {
            Ok(Some(event)) => {
                let bytes = limits.event.check(&event);
                let bytes = bytes.map_err(|e| refuse::over_limit(MODE, &format!("/{index}"), &e))?;
                items.event(&event, bytes);
            }
            Ok(None) => {
                let line_headers = JsonHeaders(headers);
                let request = Raw::new(&line_headers, context.query, &line);
                let mut identity = context.mapping.identify(&request, context.new_id);
                // An id that stands for the whole request (`Idempotency-Key`, a delivery id) must not make one
                // event of its lines. The suffix is the same on each retry of the request.
                if !raw_ids.insert(identity.id.clone()) {
                    identity.id = format!("{}-{index}", identity.id).into();
                    raw_ids.insert(identity.id.clone());
                }
                let raw = hops::RawEvent {
                    headers: kept.clone(),
                    query: Bytes::copy_from_slice(context.query.as_bytes()),
                    body: line,
                    ..Default::default()
                };
                let bytes = check_raw(&raw, limits, &format!("/{index}"))?;
                items.raw(identity, raw, bytes);
            }
            Err(error) => bad.push(BadItem { index, error }),
        }
    }
    if !bad.is_empty() {
        return Err(refuse::batch(MODE, BatchError::Items(bad)));
    }
    if items.len() == 0 { Err(no_event()) } else { Ok(items) }
}

/// An empty batch is a batch; an empty body is a mistake of the sender's.
fn no_event() -> Problem {
    Problem::new(ErrorCode::Malformed, "the request holds no event: its body is empty")
}

/// A line as a CloudEvent; `None` if it is JSON of another kind.
fn line_event(line: &Bytes) -> Result<Option<CloudEvent>, InvalidEvent> {
    match json::decode(line) {
        Ok(event) => Ok(Some(event)),
        Err(DecodeError::Invalid(error)) if json::has_specversion(line) => Err(error),
        Err(DecodeError::Invalid(_)) => Ok(None),
        Err(DecodeError::Malformed(detail)) => Err(InvalidEvent::new("", detail)),
    }
}

/// The request's headers with the content type of JSON, whatever they call the body.
struct JsonHeaders<'a>(&'a HeaderMap);

impl Headers for JsonHeaders<'_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        if name == CONTENT_TYPE.as_str() { Some(b"application/json") } else { self.0.first(name) }
    }
}

/// The headers that stay with a raw event.
fn kept(mapping: &Mapping, headers: &HeaderMap) -> Vec<hops::Header> {
    let mut kept = Vec::new();
    for name in mapping.keep_headers() {
        for value in headers.get_all(&**name) {
            if mapping.keeps(name) {
                kept.push(hops::Header {
                    name: name.as_bytes().clone(),
                    value: Bytes::copy_from_slice(value.as_bytes()),
                });
            }
        }
    }
    kept
}

fn header(name: &HeaderName, value: &'static [u8]) -> hops::Header {
    hops::Header { name: Bytes::copy_from_slice(name.as_str().as_bytes()), value: Bytes::from_static(value) }
}

/// The size of a raw event, if it may be so large.
fn check_raw(raw: &hops::RawEvent, limits: Limits, pointer: &str) -> Result<usize, Problem> {
    let headers: usize = raw.headers.iter().map(|h| h.name.len() + h.value.len()).sum();
    let size = raw.body.len() + raw.query.len() + headers;
    let max = limits.event.event_bytes_max;
    if size <= max {
        return Ok(size);
    }
    Err(Problem::new(ErrorCode::TooLarge, format!("an event is too large; {}", refuse::NOTHING_ACCEPTED))
        .field(pointer, format!("the event has {size} bytes; at most {max} are allowed")))
}
