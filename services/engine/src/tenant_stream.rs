//! Events as messages of their tenants' streams: one event a message as the CloudEvents NATS binding says (binary mode), or
//! for tenants who chose so all that a batch holds of theirs as one.

use bus::pipe::{Headers, Messages};
use bytes::Bytes;
use catalog::Snapshot;
use model::{
    Batch, CloudEvent, Group, Stamp, TenantId,
    resource::{DEFAULT_PLACEMENT, TenantStream},
    tenant_packed_subject, tenant_subject,
};
use proto::packed;

use crate::traced::Traced;

/// What of a batch is one message. Which events these are stays as it is while the message is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// An event: its group, its index in there and its index in the batch.
    One { group: usize, nth: usize, index: usize },
    /// All groups of a tenant, each with the index of its first event in the batch.
    Packed(Vec<(usize, usize)>),
}

impl Part {
    /// Does something with the index in the batch of each of its events.
    pub(crate) fn each(&self, batch: &Batch, mut what: impl FnMut(usize)) {
        match self {
            Self::One { index, .. } => what(*index),
            Self::Packed(groups) => {
                let events = |group: usize| batch.groups.get(group).map_or(0, |g| g.events.len());
                groups.iter().flat_map(|&(group, first)| first..first + events(group)).for_each(what);
            }
        }
    }

    /// Its first event, with its index in the batch.
    pub(crate) fn first<'a>(&self, batch: &'a Batch) -> Option<(&'a Stamp, &'a CloudEvent, usize)> {
        let (group, nth, index) = match self {
            Self::One { group, nth, index } => (*group, *nth, *index),
            Self::Packed(groups) => groups.first().map(|&(group, first)| (group, 0, first))?,
        };
        let group = batch.groups.get(group)?;
        Some((&group.stamp, group.events.get(nth)?, index))
    }
}

/// A batch's messages, in order.
pub(crate) fn parts(snapshot: &Snapshot, batch: &Batch) -> Vec<Part> {
    let mut parts = Vec::with_capacity(batch.groups.len());
    // Where each tenant's packed message is: a batch holds few tenants.
    let mut packed: Vec<(&TenantId, usize)> = Vec::new();
    let mut index = 0;
    for (number, group) in batch.groups.iter().enumerate() {
        let tenant = &group.stamp.tenant;
        let form = snapshot.tenant(tenant).map(|t| t.tenant_stream).unwrap_or_default();
        if form == TenantStream::Single {
            let events = 0..group.events.len();
            parts.extend(events.map(|nth| Part::One { group: number, nth, index: index + nth }));
        } else if let Some((_, at)) = packed.iter().find(|(of, _)| *of == tenant) {
            if let Some(Part::Packed(groups)) = parts.get_mut(*at) {
                groups.push((number, index));
            }
        } else {
            packed.push((tenant, parts.len()));
            parts.push(Part::Packed(vec![(number, index)]));
        }
        index += group.events.len();
    }
    parts
}

/// By what the broker recognizes a message it has had.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Adds the message of a part. `Nats-Msg-Id` tells what it is: within the broker's window the same is one message,
/// however often it is worked or sent. `payload` is the batch's own, which serves where all of it is one tenant's.
pub(crate) fn add(
    out: &mut impl Messages,
    snapshot: &Snapshot,
    (batch, traced): (&Batch, &Traced),
    part: &Part,
    payload: Option<&Bytes>,
) {
    match part {
        Part::One { group, nth, .. } => {
            let Some(Group { stamp, events }) = batch.groups.get(*group) else { return };
            let Some(event) = events.get(*nth) else { return };
            let traceparent = traced.traceparent(*group, stamp);
            add_single(out, placement(snapshot, stamp), (stamp, traceparent), event);
        }
        Part::Packed(groups) => {
            let all = groups.len() == batch.groups.len();
            let groups = || groups.iter().filter_map(|(group, _)| batch.groups.get(*group));
            let Some(Group { stamp, .. }) = groups().next() else { return };
            let payload = payload.filter(|_| all).cloned().unwrap_or_else(|| packed::pack(groups()));
            let subject = tenant_packed_subject(placement(snapshot, stamp), &stamp.tenant);
            let id = format!("{} {}.{}", stamp.tenant, batch.partition, batch.sequence);
            let headers = |headers: &mut dyn Headers| {
                headers.add("content-type", packed::CONTENT_TYPE);
                headers.add(MESSAGE_ID, &id);
            };
            out.add(&subject, headers, &payload);
        }
    }
}

fn add_single(
    out: &mut impl Messages,
    placement: &str,
    (stamp, traceparent): (&Stamp, &str),
    event: &CloudEvent,
) {
    let subject = tenant_subject(placement, &stamp.tenant, event.ty());
    let headers = |headers: &mut dyn Headers| {
        for (name, value) in model::nats::headers(event) {
            headers.add(&name, &value);
        }
        headers.add("traceparent", traceparent);
        headers.add(MESSAGE_ID, &message_id(stamp, event));
    };
    out.add(&subject, headers, &model::nats::payload(event));
}

/// A tenant that has left the catalog meanwhile still gets its events where they would have gone by default.
pub(crate) fn placement<'a>(snapshot: &'a Snapshot, stamp: &Stamp) -> &'a str {
    snapshot.tenant(&stamp.tenant).map_or(DEFAULT_PLACEMENT, |t| &t.placement)
}

/// `<tenant> <source> <id>`: a tenant holds no space, a source neither, so no two events share one. What a header
/// line cannot hold is percent-encoded. A packed message's has no third part.
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
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;

    #[derive(Default)]
    struct Message {
        subject: String,
        headers: Kept,
        payload: Bytes,
    }

    #[derive(Default)]
    struct Kept(BTreeMap<String, String>);

    impl Headers for Kept {
        fn add(&mut self, name: &str, value: &str) {
            assert_eq!(self.0.insert(name.to_owned(), value.to_owned()), None, "{name} twice");
        }
    }

    impl Messages for Message {
        fn add(&mut self, subject: &str, fill: impl FnOnce(&mut dyn Headers), payload: &Bytes) {
            fill(&mut self.headers);
            (self.subject, self.payload) = (subject.to_owned(), payload.clone());
        }
    }

    fn message(snapshot: &Snapshot, batch: &Batch, part: &Part, payload: Option<&Bytes>) -> Message {
        let mut message = Message::default();
        add(&mut message, snapshot, (batch, &Traced::default()), part, payload);
        message
    }

    fn stamp(tenant: &str) -> Stamp {
        Stamp {
            tenant: tenant.parse().unwrap(),
            system: "shop".parse().unwrap(),
            source: None,
            customer: None,
            received_at_us: 0,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            protocol: "http".into(),
        }
    }

    fn batch(groups: &[(&str, usize)]) -> Batch {
        let event = |n: usize| CloudEvent::builder(n.to_string(), "/s", "t").build().unwrap();
        let group = |(tenant, events): &(&str, usize)| Group {
            stamp: Arc::new(stamp(tenant)),
            events: (0..*events).map(event).collect(),
        };
        Batch {
            partition: 2,
            sequence: 7,
            stored_at_us: 0,
            raw_sequence: 1,
            raw_stored_at_us: 0,
            normalized_at_us: 0,
            groups: groups.iter().map(group).collect(),
            streamed: Vec::new(),
            metered: Vec::new(),
        }
    }

    fn snapshot(packed: &[&str]) -> Snapshot {
        let tenant =
            |id: &&str| serde_json::from_value(serde_json::json!({"id": id, "tenant_stream": "packed"}));
        packed
            .iter()
            .fold(Snapshot::default(), |all, id| all.with::<model::resource::Tenant>(tenant(id).unwrap()))
    }

    #[test]
    fn a_tenant_that_chose_so_has_one_message_of_a_batch() {
        let batch = batch(&[("a", 2), ("b", 1), ("a", 3), ("c", 1)]);
        let snapshot = snapshot(&["a", "c"]);
        let parts = parts(&snapshot, &batch);
        assert_eq!(
            parts,
            [
                Part::Packed(vec![(0, 0), (2, 3)]),
                Part::One { group: 1, nth: 0, index: 2 },
                Part::Packed(vec![(3, 6)])
            ]
        );
        let mut indices = vec![Vec::new(); parts.len()];
        for (part, indices) in parts.iter().zip(&mut indices) {
            part.each(&batch, |index| indices.push(index));
        }
        assert_eq!(indices, [vec![0, 1, 3, 4, 5], vec![2], vec![6]]);
        let Message { subject, headers, payload } = message(&snapshot, &batch, &parts[0], None);
        assert_eq!(subject, "tenant.default.a.$packed");
        assert_eq!(headers.0["Nats-Msg-Id"], "a 2.7");
        let events = packed::unpack(payload).unwrap();
        assert_eq!(events.iter().map(|e| &**e.id()).collect::<Vec<_>>(), ["0", "1", "0", "1", "2"]);
    }

    #[test]
    fn a_batch_of_one_tenant_goes_as_it_is() {
        let batch = batch(&[("a", 2), ("a", 1)]);
        let snapshot = snapshot(&["a"]);
        let parts = parts(&snapshot, &batch);
        assert_eq!(parts.len(), 1);
        let payload = Bytes::from_static(b"as it came");
        assert_eq!(message(&snapshot, &batch, &parts[0], Some(&payload)).payload, payload);
    }

    #[test]
    fn any_nats_client_can_read_a_single_one() {
        let event = CloudEvent::builder("id 1", "/s", "com.example.order")
            .subject("ä")
            .text("application/json", "{}")
            .build()
            .unwrap();
        let mut batch = batch(&[("acme", 1)]);
        batch.groups[0].events = vec![event];
        let part = Part::One { group: 0, nth: 0, index: 0 };
        let Message { subject, headers, payload } = message(&Snapshot::default(), &batch, &part, None);
        assert_eq!(subject, "tenant.default.acme.com.example.order");
        assert_eq!(headers.0["ce-id"], "id%201");
        assert_eq!(headers.0["ce-subject"], "%C3%A4");
        assert_eq!(headers.0["ce-datacontenttype"], "application/json");
        assert_eq!(headers.0["Nats-Msg-Id"], "acme /s id%201");
        assert_eq!(&payload[..], b"{}");
    }

    #[test]
    fn identities_do_not_collide() {
        let event = |source: &str, id: &str| CloudEvent::builder(id, source, "t").build().unwrap();
        let a = message_id(&stamp("acme"), &event("/a", "b c"));
        let b = message_id(&stamp("acme"), &event("/a%20b", "c"));
        assert_ne!(a, b);
    }
}
