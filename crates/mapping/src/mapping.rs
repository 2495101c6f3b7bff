//! A compiled mapping and its two steps.

use model::{AttributeValue, CloudEvent, Data, Micros, SystemId, Text, format_rfc3339, is_json_media_type};
use serde::de::IgnoredAny;

use crate::{
    Raw, Unmappable,
    body::is_media_type,
    compile::plain,
    evaluate::{Evaluation, LazyBody},
    expression::Expression,
    header::is_secret_header,
    identity::{IdRule, as_source, body_hash, idempotency_key, is_attribute},
    parse::Reads,
};

/// A source's mapping, ready for use. Made by [`Mapping::compile`] when the source changes, not for each request.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) default_type: Text,
    pub(crate) default_source: Text,
    pub(crate) identity: IdentityRules,
    pub(crate) attributes: AttributeRules,
    /// Sorted, lower case.
    pub(crate) keep: Vec<Text>,
}

/// What the door evaluates.
#[derive(Debug, Default)]
pub(crate) struct IdentityRules {
    pub(crate) reads: Reads,
    pub(crate) id: Vec<IdRule>,
    pub(crate) source: Option<Expression>,
    pub(crate) partition_key: Option<Expression>,
}

/// What the normalizer evaluates.
#[derive(Debug, Default)]
pub(crate) struct AttributeRules {
    pub(crate) reads: Reads,
    pub(crate) ty: Option<Expression>,
    pub(crate) subject: Option<Expression>,
    pub(crate) time: Option<Expression>,
    pub(crate) dataschema: Option<Expression>,
    pub(crate) extensions: Vec<(Text, Expression)>,
}

/// What the door must know of a raw event: it answers with the first two and places the event by the third.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The CloudEvents `id`: not empty, without control characters.
    pub id: Text,
    /// The CloudEvents `source`: a URI reference.
    pub source: Text,
    /// Events of one key keep their order.
    pub partition_key: Option<Text>,
}

impl Mapping {
    /// The mapping of raw events that come with an API key and name no source: type `<system>.event`, source
    /// `/<system>`.
    #[must_use]
    pub fn plain(system: &SystemId) -> Self {
        plain(system)
    }

    /// The headers to keep with a raw event, lower case, sorted: the usual ones, the preset's, those the
    /// mapping reads, and the source's own `keep_headers`; never one that may carry a secret.
    #[must_use]
    pub fn keep_headers(&self) -> &[Text] {
        &self.keep
    }

    /// Whether to keep a header (name in lower case).
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        self.keep.binary_search_by(|kept| (**kept).cmp(name)).is_ok() && !is_secret_header(name)
    }

    /// The identity a request will have. Never fails: a rule that gives nothing, or what CloudEvents forbids,
    /// makes way for the next and at last for the default. `new_id` must give a fresh, valid id; it is called
    /// at most once.
    #[must_use]
    pub fn identify(&self, raw: &Raw<'_>, new_id: impl FnOnce() -> Text) -> Identity {
        let rules = &self.identity;
        let body = LazyBody::of(raw);
        let evaluation = Evaluation::new(&body, &rules.reads.paths);
        let id = rules
            .id
            .iter()
            .take_while(|rule| **rule != IdRule::New)
            .find_map(|rule| {
                match rule {
                    IdRule::IdempotencyKey => idempotency_key(raw),
                    IdRule::BodyHash => Some(body_hash(raw)),
                    IdRule::Template(template) => evaluation.text(template),
                    IdRule::New => None,
                }
                .filter(is_attribute)
            })
            .unwrap_or_else(new_id);
        Identity {
            id,
            source: evaluation
                .optional(rules.source.as_ref())
                .and_then(as_source)
                .unwrap_or_else(|| self.default_source.clone()),
            partition_key: evaluation.optional(rules.partition_key.as_ref()).filter(is_attribute),
        }
    }

    /// The whole event under the identity the door gave it. Attributes whose template gives nothing get their
    /// default: `type` the source's default type, `time` the time of receipt, the others none. The data is the body,
    /// byte for byte.
    ///
    /// # Errors
    /// If a template gives a value that CloudEvents forbids in its place: a `time` that is not RFC 3339, a
    /// `dataschema` that is no absolute URI, a control character anywhere.
    pub fn apply(
        &self,
        raw: &Raw<'_>,
        identity: &Identity,
        received_at_us: Micros,
    ) -> Result<CloudEvent, Unmappable> {
        let rules = &self.attributes;
        let body = LazyBody::of(raw);
        let evaluation = Evaluation::new(&body, &rules.reads.paths);
        let ty = evaluation.optional(rules.ty.as_ref()).unwrap_or_else(|| self.default_type.clone());
        let time =
            evaluation.optional(rules.time.as_ref()).unwrap_or_else(|| format_rfc3339(received_at_us).into());
        let mut event = CloudEvent::builder(identity.id.clone(), identity.source.clone(), ty).time(time);
        if let Some(subject) = evaluation.optional(rules.subject.as_ref()) {
            event = event.subject(subject);
        }
        if let Some(schema) = evaluation.optional(rules.dataschema.as_ref()) {
            event = event.dataschema(schema);
        }
        for (name, template) in &rules.extensions {
            if let Some(value) = evaluation.text(template) {
                event = event.extension(name.clone(), AttributeValue::String(value));
            }
        }
        if let Some(key) = &identity.partition_key {
            event = event.extension(PARTITION_KEY, AttributeValue::String(key.clone()));
        }
        if let Some((media_type, data)) = data_of(raw) {
            event = event.datacontenttype(media_type).data(data);
        }
        Ok(event.build()?)
    }
}

pub(crate) const PARTITION_KEY: Text = Text::from_static("partitionkey");
const JSON: Text = Text::from_static("application/json");
const OCTETS: Text = Text::from_static("application/octet-stream");

/// The body with its media type; nothing when the body is empty. A body whose `Content-Type` is absent or
/// unreadable is JSON if it is a JSON object or array, otherwise octets: a CloudEvent without
/// `datacontenttype` would claim to be JSON.
fn data_of(raw: &Raw<'_>) -> Option<(Text, Data)> {
    if raw.body.is_empty() {
        return None;
    }
    let declared = raw.header("content-type").and_then(|value| {
        let value = if value == &*JSON { JSON } else { Text::from(value) };
        let probe =
            CloudEvent::builder(Text::from_static("1"), Text::from_static("/"), Text::from_static("t"));
        probe.datacontenttype(value.clone()).build().is_ok().then_some(value)
    });
    let binary = || Data::Binary(raw.body.clone());
    let text = || Text::try_from(raw.body.clone()).map_or_else(|_| binary(), Data::Text);
    Some(match declared {
        Some(media_type) => {
            let data = if is_text(&media_type) { text() } else { binary() };
            (media_type, data)
        }
        None if is_json_document(raw.body) => (JSON, text()),
        None => (OCTETS, binary()),
    })
}

/// Media types whose UTF-8 content reads better as text than as base64.
fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let utf8 = media_type.to_ascii_lowercase().split_once("charset=").is_none_or(|(_, charset)| {
        matches!(charset.split(';').next().unwrap_or_default().trim().trim_matches('"'), "utf-8" | "us-ascii")
    });
    is_json_media_type(media_type)
        || utf8
            && (essence.starts_with("text/")
                || essence.ends_with("/xml")
                || essence.ends_with("+xml")
                || is_media_type(&essence, "application/x-www-form-urlencoded"))
}

fn is_json_document(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}
