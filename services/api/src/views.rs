//! What answers are made of, shared by endpoints.

use std::collections::BTreeMap;

use model::{CloudEvent, format_rfc3339, json};
use percent_encoding::utf8_percent_encode;
use serde::Serialize;
use serde_json::value::RawValue;
use store::{Origin, StoredEvent, UsageRecord};
use utoipa::ToSchema;

use crate::control::managed::NOT_IN_PATHS;

/// One stored event of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventItem {
    /// The event in the CloudEvents JSON format, whole: what an SDK reads as it is.
    #[schema(value_type = CloudEventDoc)]
    pub(crate) event: Box<RawValue>,
    /// When the door had it.
    #[schema(format = DateTime)]
    pub(crate) received_at: String,
    /// When the event store had it.
    #[schema(format = DateTime)]
    pub(crate) stored_at: String,
    /// The system whose key sent it.
    pub(crate) system: String,
    /// The source (door of a system) it came through; absent for the plain events door.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) source_id: Option<String>,
    /// `http` or `grpc`; `fleet` for what the fleet itself tells.
    pub(crate) protocol: String,
}

impl From<&StoredEvent> for EventItem {
    fn from(stored: &StoredEvent) -> Self {
        let stamp = &stored.stamp;
        Self {
            event: raw(&stored.event),
            received_at: format_rfc3339(stamp.received_at_us),
            stored_at: format_rfc3339(stored.place.stored_at_us),
            system: stamp.system.to_string(),
            source_id: stamp.source.as_ref().map(ToString::to_string),
            protocol: stamp.protocol.to_string(),
        }
    }
}

/// An event as a JSON value that is written as it is.
pub(crate) fn raw(event: &CloudEvent) -> Box<RawValue> {
    let encoded = String::from_utf8(json::encode(event).into());
    // Both hold for whatever the encoder writes; an event must not take a page down even so.
    encoded.ok().and_then(|text| RawValue::from_string(text).ok()).unwrap_or_default()
}

/// A CloudEvent 1.0 in the JSON format. Extensions stand beside these members.
#[derive(Debug, ToSchema)]
#[schema(as = CloudEvent)]
#[expect(dead_code, reason = "describes what the model writes")]
pub(crate) struct CloudEventDoc {
    /// Always `1.0`.
    #[schema(example = "1.0")]
    pub(crate) specversion: String,
    /// Identifies the event together with `source`.
    pub(crate) id: String,
    /// The context it happened in, a URI reference.
    pub(crate) source: String,
    /// What happened.
    pub(crate) r#type: String,
    /// What of the source it is about.
    #[schema(nullable = false)]
    pub(crate) subject: Option<String>,
    /// When it happened, RFC 3339, as the producer wrote it.
    #[schema(format = DateTime, nullable = false)]
    pub(crate) time: Option<String>,
    /// Media type of the data; JSON when absent.
    #[schema(nullable = false)]
    pub(crate) datacontenttype: Option<String>,
    /// The schema the data follows.
    #[schema(nullable = false)]
    pub(crate) dataschema: Option<String>,
    /// JSON data as it came, or other text as a string.
    #[schema(nullable = false)]
    pub(crate) data: Option<serde_json::Value>,
    /// Data that is neither.
    #[schema(nullable = false)]
    pub(crate) data_base64: Option<String>,
}

/// One usage record.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct UsageItem {
    /// Unique within the tenant: counted once however often it was written.
    pub(crate) id: String,
    /// When it was used.
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// What was used.
    pub(crate) origin: UsageOrigin,
    /// Where its event is, for what an event caused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) event: Option<String>,
    /// The tenant's customer that used it; absent: nobody in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) customer: Option<String>,
    /// The event's `type`; absent in records of before it was kept, and where no event caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) event_type: Option<String>,
    /// How much, by meter.
    pub(crate) meters: BTreeMap<String, u64>,
}

/// What a usage record counts.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum UsageOrigin {
    /// An event was accepted.
    Event {
        /// Its `source`.
        source: String,
        /// Its `id`.
        id: String,
    },
    /// Anything else.
    Other {
        /// Such as `delivery`.
        name: String,
        /// Which one.
        reference: String,
    },
}

impl From<&UsageRecord> for UsageItem {
    fn from(record: &UsageRecord) -> Self {
        let origin = match &record.origin {
            Origin::Event { source, id } => {
                UsageOrigin::Event { source: source.to_string(), id: id.to_string() }
            }
            Origin::Other { kind, reference } => {
                UsageOrigin::Other { name: kind.to_string(), reference: reference.to_string() }
            }
        };
        let encoded = |text: &str| utf8_percent_encode(text, &NOT_IN_PATHS).to_string();
        let event = match &record.origin {
            Origin::Event { source, id } => {
                Some(format!("/api/v1/events/{}/{}", encoded(source), encoded(id)))
            }
            Origin::Other { .. } => None,
        };
        Self {
            event,
            id: record.id.to_string(),
            at: format_rfc3339(record.at_us),
            origin,
            customer: record.customer.as_ref().map(ToString::to_string),
            event_type: record.event_type.as_ref().map(ToString::to_string),
            meters: record.meters.iter().map(|(name, value)| (name.to_string(), *value)).collect(),
        }
    }
}
