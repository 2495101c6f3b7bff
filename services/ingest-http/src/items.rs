//! What a request becomes: the items to append, and beside them the answer that names them.

use bus::{Item, Placed};
use catalog::Shortcut;
use mapping::Identity;
use model::{CloudEvent, Text};
use proto::hops;

/// Grown in one pass over the events; nothing else is allocated for an event.
#[derive(Debug)]
pub(crate) struct Items<'a> {
    shortcut: Shortcut<'a>,
    placed: Vec<Placed>,
    bytes: usize,
    /// `{"events":[…`, still open.
    answer: Vec<u8>,
}

impl<'a> Items<'a> {
    pub(crate) fn with_capacity(events: usize, shortcut: Shortcut<'a>) -> Self {
        let mut answer = Vec::with_capacity(96 + events * 96);
        answer.extend_from_slice(br#"{"events":["#);
        Self { shortcut, placed: Vec::with_capacity(events), bytes: 0, answer }
    }

    pub(crate) fn len(&self) -> usize {
        self.placed.len()
    }

    /// Attributes and data of all, or what stands for them in raw ones.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a CloudEvent of so many bytes; its `partitionkey` places it.
    pub(crate) fn event(&mut self, event: &CloudEvent, bytes: usize) {
        self.bytes += bytes;
        self.name(event.source(), event.id());
        self.placed.push(Placed::event(event, |keyed| self.shortcut.is_open(event.ty(), keyed)));
    }

    /// Adds anything else of so many bytes, under the identity the door gave it.
    pub(crate) fn raw(&mut self, identity: Identity, mut raw: hops::RawEvent, bytes: usize) {
        self.bytes += bytes;
        self.name(&identity.source, &identity.id);
        raw.id = identity.id.into_bytes();
        raw.event_source = identity.source.into_bytes();
        raw.partition_key = identity.partition_key.as_ref().map(|k| k.as_bytes().clone()).unwrap_or_default();
        let item = hops::RawItem { item: Some(hops::raw_item::Item::Raw(raw)) };
        self.placed.push(Placed { key: identity.partition_key, item: Item::Raw(item) });
    }

    fn name(&mut self, source: &Text, id: &Text) {
        if !self.placed.is_empty() {
            self.answer.push(b',');
        }
        self.answer.extend_from_slice(br#"{"source":"#);
        self.string(source);
        self.answer.extend_from_slice(br#","id":"#);
        self.string(id);
        self.answer.push(b'}');
    }

    fn string(&mut self, text: &str) {
        // Writing a string to a Vec cannot fail.
        let _ = serde_json::to_writer(&mut self.answer, text);
    }

    /// The items, and the body of the answer.
    pub(crate) fn finish(mut self, trace_id: &str) -> (Vec<Placed>, Vec<u8>) {
        self.answer.extend_from_slice(br#"],"trace_id":"#);
        self.string(trace_id);
        self.answer.push(b'}');
        (self.placed, self.answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_each_event() {
        let snapshot = catalog::Snapshot::default();
        let shortcut = snapshot.shortcut(&"acme".parse().unwrap());
        let mut items = Items::with_capacity(2, shortcut);
        items.event(&CloudEvent::builder("1\"", "/s", "t").build().unwrap(), 7);
        let identity = Identity { id: "2".into(), source: "/r".into(), partition_key: Some("k".into()) };
        items.raw(identity, hops::RawEvent::default(), 3);
        assert_eq!((items.len(), items.bytes()), (2, 10));
        let (placed, answer) = items.finish("abc");
        assert_eq!(placed[0].key, None);
        assert_eq!(placed[1].key.as_deref(), Some("k"));
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            r#"{"events":[{"source":"/s","id":"1\""},{"source":"/r","id":"2"}],"trace_id":"abc"}"#
        );
        assert_eq!(Items::with_capacity(0, shortcut).finish("x").1, br#"{"events":[],"trace_id":"x"}"#);
    }
}
