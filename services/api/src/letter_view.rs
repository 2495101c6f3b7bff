//! Dead letters as answers show them.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bus::dead::text;
use model::{CloudEvent, format_rfc3339};
use proto::hops::{self, raw_item::Item};
use runtime::trace::TraceContext;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    letters::Letter,
    views::{self, CloudEventDoc},
};

/// A dead letter without its content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterItem)]
pub(crate) struct Summary {
    /// Its id: the sequence in the stream `DEAD`.
    id: u64,
    /// The stage that gave up: `normalizer`, `engine`.
    stage: String,
    /// An error code.
    code: String,
    /// Why, for a person.
    reason: String,
    /// When it gave up.
    #[schema(format = DateTime)]
    at: String,
    /// The `id` the event has, or would have had.
    #[serde(skip_serializing_if = "String::is_empty")]
    event_id: String,
    /// The `source` the event has, or would have had.
    #[serde(skip_serializing_if = "String::is_empty")]
    event_source: String,
    /// Its `type`, if it was a CloudEvent already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event_type: Option<String>,
    /// `event` (a CloudEvent) or `raw` (anything else).
    kind: &'static str,
    /// The system whose key sent it.
    system: String,
    /// The source (door of a system) it came through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source_id: Option<String>,
    /// `http` or `grpc`.
    protocol: String,
    /// When the door had it.
    #[schema(format = DateTime)]
    received_at: String,
    /// Trace of the request that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_id: Option<String>,
    /// The partition it travelled in.
    partition: u32,
    /// The message it was in, in the stream the stage reads.
    sequence: u64,
    /// Its place within that message.
    index: u32,
}

/// A dead letter, whole.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct Detail {
    #[serde(flatten)]
    summary: Summary,
    /// The event, if it was a CloudEvent already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CloudEventDoc>, nullable = false)]
    event: Option<Box<RawValue>>,
    /// The request it came as, if it was anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request: Option<Request>,
}

/// A raw event as it came.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RawRequest)]
pub(crate) struct Request {
    /// Those kept by the allow-list.
    headers: Vec<HeaderField>,
    /// The query string, without `?`.
    #[serde(skip_serializing_if = "String::is_empty")]
    query: String,
    /// The body, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    body: Option<String>,
    /// The body, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    body_base64: Option<String>,
}

/// A header as it came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeaderField {
    /// In lower case.
    name: String,
    /// As it came.
    value: String,
}

impl From<&Letter> for Summary {
    fn from(found: &Letter) -> Self {
        let letter = &found.letter;
        let stamp = letter.stamp.clone().unwrap_or_default();
        let (kind, id, source, event_type) = match item(letter) {
            Some(Item::Event(event)) => {
                ("event", &event.id, &event.source, Some(text(&event.r#type).to_string()))
            }
            Some(Item::Raw(raw)) => ("raw", &raw.id, &raw.event_source, None),
            None => ("raw", &bytes::Bytes::new(), &bytes::Bytes::new(), None),
        };
        Self {
            id: found.id,
            stage: text(&letter.stage).to_string(),
            code: text(&letter.code).to_string(),
            reason: text(&letter.reason).to_string(),
            at: format_rfc3339(letter.at_us),
            event_id: text(id).to_string(),
            event_source: text(source).to_string(),
            event_type,
            kind,
            system: text(&stamp.system).to_string(),
            source_id: (!stamp.source.is_empty()).then(|| text(&stamp.source).to_string()),
            protocol: text(&stamp.protocol).to_string(),
            received_at: format_rfc3339(stamp.received_at_us),
            trace_id: TraceContext::parse(&text(&stamp.traceparent)).map(|t| t.trace_id()),
            partition: letter.partition,
            sequence: letter.sequence,
            index: letter.index,
        }
    }
}

impl From<&Letter> for Detail {
    fn from(found: &Letter) -> Self {
        let (event, request) = match item(&found.letter) {
            Some(Item::Event(event)) => {
                (CloudEvent::try_from(event.clone()).ok().map(|e| views::raw(&e)), None)
            }
            Some(Item::Raw(raw)) => (None, Some(request(raw))),
            None => (None, None),
        };
        Self { summary: found.into(), event, request }
    }
}

fn item(letter: &hops::DeadLetter) -> Option<&Item> {
    letter.item.as_ref()?.item.as_ref()
}

fn request(raw: &hops::RawEvent) -> Request {
    let headers = raw.headers.iter();
    let body = std::str::from_utf8(&raw.body).ok().map(str::to_owned);
    let body_base64 = if body.is_none() { Some(BASE64.encode(&raw.body)) } else { None };
    Request {
        headers: headers
            .map(|h| HeaderField { name: text(&h.name).to_string(), value: text(&h.value).to_string() })
            .collect(),
        query: text(&raw.query).to_string(),
        body,
        body_base64,
    }
}
