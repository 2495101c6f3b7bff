//! An event as a message of its tenant's stream: CloudEvents NATS binding, binary mode, one event a message.

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID};
use bytes::Bytes;
use model::{CloudEvent, Stamp, tenant_subject};

/// What is published.
#[derive(Debug, Clone)]
pub(crate) struct TenantMessage {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl TenantMessage {
    /// The message of an event. `Nats-Msg-Id` is made of tenant, source and id: within the broker's window the same
    /// event is one message, however often it is worked or sent.
    pub(crate) fn new(placement: &str, stamp: &Stamp, event: &CloudEvent) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in model::nats::headers(event) {
            headers.insert(&*name, &*value);
        }
        headers.insert("traceparent", &*stamp.traceparent);
        headers.insert(NATS_MESSAGE_ID, message_id(stamp, event).as_str());
        Self {
            subject: tenant_subject(placement, &stamp.tenant, event.ty()),
            headers,
            payload: model::nats::payload(event),
        }
    }
}

/// `<tenant> <source> <id>`: a tenant holds no space, a source neither, so no two events share one. What a header
/// line cannot hold is percent-encoded.
fn message_id(stamp: &Stamp, event: &CloudEvent) -> String {
    let id = model::nats::encode_value(event.id());
    let source = model::nats::encode_value(event.source());
    let mut text = String::with_capacity(stamp.tenant.len() + source.len() + id.len() + 2);
    for part in [&*stamp.tenant, " ", &*source, " ", &*id] {
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            tenant: "acme".parse().unwrap(),
            system: "shop".parse().unwrap(),
            source: None,
            received_at_us: 0,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            protocol: "http".into(),
        }
    }

    #[test]
    fn any_nats_client_can_read_it() {
        let event = CloudEvent::builder("id 1", "/s", "com.example.order")
            .subject("ä")
            .text("application/json", "{}")
            .build()
            .unwrap();
        let message = TenantMessage::new("default", &stamp(), &event);
        assert_eq!(message.subject, "tenant.default.acme.com.example.order");
        let get = |name: &str| message.headers.get(name).map(|v| v.as_str().to_owned());
        assert_eq!(get("ce-id").as_deref(), Some("id%201"));
        assert_eq!(get("ce-subject").as_deref(), Some("%C3%A4"));
        assert_eq!(get("ce-datacontenttype").as_deref(), Some("application/json"));
        assert_eq!(get("Nats-Msg-Id").as_deref(), Some("acme /s id%201"));
        assert_eq!(&message.payload[..], b"{}");
    }

    #[test]
    fn identities_do_not_collide() {
        let event = |source: &str, id: &str| CloudEvent::builder(id, source, "t").build().unwrap();
        let a = message_id(&stamp(), &event("/a", "b c"));
        let b = message_id(&stamp(), &event("/a%20b", "c"));
        assert_ne!(a, b);
    }
}
