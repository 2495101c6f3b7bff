//! An event as `hops.Event` bytes, written straight from the model.
//!
//! The same bytes as by way of the generated type, without the dozen shared handles that one is made of.

use model::{AttributeValue, CloudEvent, Data};

use super::codec::{put_bytes, put_len, put_varint};

/// Field numbers of `hops.Event` (`proto/eventrunner/internal/v1/hops.proto`), all length-delimited.
mod event {
    pub(super) const ID: u8 = 1;
    pub(super) const SOURCE: u8 = 2;
    pub(super) const TYPE: u8 = 3;
    pub(super) const SUBJECT: u8 = 4;
    pub(super) const TIME: u8 = 5;
    pub(super) const DATACONTENTTYPE: u8 = 6;
    pub(super) const DATASCHEMA: u8 = 7;
    pub(super) const EXTENSIONS: u8 = 8;
    pub(super) const BINARY: u8 = 9;
    pub(super) const TEXT: u8 = 10;
    pub(super) const PROTO: u8 = 11;
}

/// Field numbers of `hops.Extension`.
mod extension {
    pub(super) const NAME: u8 = 1;
    pub(super) const BOOLEAN: u8 = 2;
    pub(super) const INTEGER: u8 = 3;
    pub(super) const STRING: u8 = 4;
    pub(super) const BINARY: u8 = 5;
    pub(super) const URI: u8 = 6;
    pub(super) const URI_REF: u8 = 7;
    pub(super) const TIMESTAMP: u8 = 8;
}

/// Wire types (Protocol Buffers, "Encoding").
const VARINT: u8 = 0;
const LENGTH_DELIMITED: u8 = 2;

fn put_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | LENGTH_DELIMITED);
    put_bytes(out, bytes);
}

/// An absent attribute is not written; none is empty.
fn put_present(out: &mut Vec<u8>, number: u8, text: Option<&model::Text>) {
    if let Some(text) = text {
        put_field(out, number, text.as_bytes());
    }
}

/// Adds the event and its length in front.
pub(super) fn put_event(out: &mut Vec<u8>, event: &CloudEvent) {
    let begin = out.len();
    // Of most events the length takes two bytes; of others the event is moved.
    out.extend_from_slice(&[0, 0]);
    put_field(out, event::ID, event.id().as_bytes());
    put_field(out, event::SOURCE, event.source().as_bytes());
    put_field(out, event::TYPE, event.ty().as_bytes());
    put_present(out, event::SUBJECT, event.subject());
    put_present(out, event::TIME, event.time());
    put_present(out, event::DATACONTENTTYPE, event.datacontenttype());
    put_present(out, event::DATASCHEMA, event.dataschema());
    for (name, value) in event.extensions() {
        put_extension(out, name, value);
    }
    match event.data() {
        None => {}
        Some(Data::Binary(bytes)) => put_field(out, event::BINARY, bytes),
        Some(Data::Text(text)) => put_field(out, event::TEXT, text.as_bytes()),
        Some(Data::Proto(bytes)) => put_field(out, event::PROTO, bytes),
    }
    let mut len = Vec::with_capacity(10);
    put_len(&mut len, out.len() - begin - 2);
    if let Ok(two) = <[u8; 2]>::try_from(&len[..]) {
        out[begin..begin + 2].copy_from_slice(&two);
    } else {
        out.splice(begin..begin + 2, len);
    }
}

fn put_extension(out: &mut Vec<u8>, name: &str, value: &AttributeValue) {
    let mut field = Vec::with_capacity(64);
    put_field(&mut field, extension::NAME, name.as_bytes());
    match value {
        AttributeValue::Boolean(yes) => {
            field.push(extension::BOOLEAN << 3 | VARINT);
            field.push(u8::from(*yes));
        }
        AttributeValue::Integer(number) => {
            field.push(extension::INTEGER << 3 | VARINT);
            let zigzag = (number << 1) ^ (number >> 31);
            put_varint(&mut field, u64::from(zigzag.cast_unsigned()));
        }
        AttributeValue::String(text) => put_field(&mut field, extension::STRING, text.as_bytes()),
        AttributeValue::Binary(bytes) => put_field(&mut field, extension::BINARY, bytes),
        AttributeValue::Uri(text) => put_field(&mut field, extension::URI, text.as_bytes()),
        AttributeValue::UriRef(text) => put_field(&mut field, extension::URI_REF, text.as_bytes()),
        AttributeValue::Timestamp(text) => put_field(&mut field, extension::TIMESTAMP, text.as_bytes()),
    }
    put_field(out, event::EXTENSIONS, &field);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use prost::Message as _;
    use proto::hops;

    use super::*;

    fn attribute() -> impl Strategy<Value = AttributeValue> {
        prop_oneof![
            any::<bool>().prop_map(AttributeValue::Boolean),
            any::<i32>().prop_map(AttributeValue::Integer),
            "[ -~]{0,30}".prop_map(|s| AttributeValue::String(s.into())),
            any::<Vec<u8>>().prop_map(|b| AttributeValue::Binary(b.into())),
            "urn:[a-z]{1,9}".prop_map(|s| AttributeValue::Uri(s.into())),
            "/[a-z]{0,9}".prop_map(|s| AttributeValue::UriRef(s.into())),
            (0u8..60).prop_map(|s| AttributeValue::Timestamp(format!("2026-11-21T10:00:{s:02}Z").into())),
        ]
    }

    fn data() -> impl Strategy<Value = Option<Data>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        prop_oneof![
            Just(None),
            bytes().prop_map(|b| Some(Data::Binary(b))),
            bytes().prop_map(|b| Some(Data::Proto(b))),
            "[ -~é]{0,300}".prop_map(|s| Some(Data::Text(s.into()))),
            (16_300usize..16_500).prop_map(|n| Some(Data::Binary(vec![7; n].into()))),
        ]
    }

    prop_compose! {
        fn event()(
            id in "[a-zé ]{1,40}",
            subject in proptest::option::of("[a-z]{1,9}"),
            time in any::<bool>(),
            datacontenttype in proptest::option::of("text/[a-z]{1,9}"),
            dataschema in proptest::option::of("urn:[a-z]{1,9}"),
            extensions in proptest::collection::btree_map("x[a-z0-9]{1,9}", attribute(), 0..5),
            data in data(),
        ) -> CloudEvent {
            let mut event = CloudEvent::builder(id, "/s", "t");
            if let Some(subject) = subject { event = event.subject(subject); }
            if time { event = event.time("2026-11-21T10:00:00+01:00"); }
            if let Some(kind) = datacontenttype { event = event.datacontenttype(kind); }
            if let Some(schema) = dataschema { event = event.dataschema(schema); }
            for (name, value) in extensions { event = event.extension(name, value); }
            event.build().unwrap().with_data(data)
        }
    }

    proptest! {
        #[test]
        fn writes_what_the_generated_type_writes(event in event()) {
            let mut ours = vec![0xaa];
            put_event(&mut ours, &event);
            let mut theirs = vec![0xaa];
            hops::Event::from(&event).encode_length_delimited(&mut theirs).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }
}
