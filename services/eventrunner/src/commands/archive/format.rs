//! The lines and the manifest of an archive.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use model::{CloudEvent, CustomerId, Micros, Stamp, TenantId, Text, json};
use prost::Message as _;
use proto::hops;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use store::{Meters, Origin, Place, StoredEvent, UsageRecord};

use crate::exit::{Failure, Result};

/// Written last.
pub(super) const MANIFEST: &str = "manifest.json";
/// What this program writes, and the newest it reads.
const VERSION: u32 = 1;

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Of the format.
    pub(super) version: u32,
    pub(super) tenant: TenantId,
    /// RFC 3339.
    pub(super) made_at: String,
    pub(super) since_us: Option<Micros>,
    pub(super) until_us: Option<Micros>,
    pub(super) events: u64,
    pub(super) usage_records: u64,
    /// In the order to be read.
    pub(super) objects: Vec<Object>,
}

/// An object of lines, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Lines.
    pub(super) records: u64,
    /// As it is stored.
    pub(super) bytes: u64,
    /// Of the bytes as they are stored, hexadecimal.
    pub(super) sha256: String,
}

/// What an object's lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Events,
    Usage,
}

impl Manifest {
    pub(super) fn new(
        tenant: TenantId,
        made_at: String,
        (since_us, until_us): (Option<Micros>, Option<Micros>),
        objects: Vec<Object>,
    ) -> Self {
        let records = |kind| objects.iter().filter(|o| o.kind == kind).map(|o| o.records).sum();
        let (events, usage_records) = (records(Kind::Events), records(Kind::Usage));
        Self { version: VERSION, tenant, made_at, since_us, until_us, events, usage_records, objects }
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let wrong = |e: serde_json::Error| Failure::data(format!("the manifest is not ours: {e}"));
        let Version { version } = serde_json::from_slice(bytes).map_err(wrong)?;
        if version > VERSION {
            return Err(Failure::data(format!(
                "the archive has format {version}, this program knows up to {VERSION}: use a newer one"
            )));
        }
        serde_json::from_slice(bytes).map_err(wrong)
    }
}

impl Object {
    pub(super) fn new(name: String, kind: Kind, records: u64, stored: &[u8]) -> Self {
        let bytes = u64::try_from(stored.len()).unwrap_or(u64::MAX);
        Self { name, kind, records, bytes, sha256: digest(stored) }
    }

    /// That the bytes are those that were stored.
    pub(super) fn check(&self, stored: &[u8]) -> Result<()> {
        if u64::try_from(stored.len()).ok() == Some(self.bytes) && digest(stored) == self.sha256 {
            return Ok(());
        }
        Err(Failure::data(format!("{} is not what was archived: its hash is not the manifest's", self.name)))
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A stored event as a line.
#[derive(Debug, Serialize, Deserialize)]
struct EventLine {
    received_at_us: Micros,
    system: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerId>,
    traceparent: String,
    protocol: String,
    #[serde(with = "PlaceLine")]
    place: Place,
    /// The CloudEvents JSON format.
    event: Box<RawValue>,
    /// The event exactly, where the line loses something of it: the type of an extension, the kind of its data, its line breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exact: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Place")]
struct PlaceLine {
    partition: u32,
    raw_sequence: u64,
    raw_stored_at_us: Micros,
    normalized_at_us: Micros,
    events_sequence: u64,
    events_stored_at_us: Micros,
    index: u32,
    stored_at_us: Micros,
}

pub(crate) fn event_line(stored: &StoredEvent) -> Result<String> {
    let wrong =
        |e: &dyn std::fmt::Display| Failure::failed(format!("an event cannot be written as JSON: {e}"));
    let stamp = &stored.stamp;
    let encoded = String::from_utf8(json::encode(&stored.event).into()).map_err(|e| wrong(&e))?;
    // JSON data is stored as it came, line breaks included.
    let text = crate::output::compact(&RawValue::from_string(encoded).map_err(|e| wrong(&e))?)?;
    let same = json::decode(&Bytes::from(text.clone())).is_ok_and(|event| event == stored.event);
    let exact = || BASE64_STANDARD.encode(hops::Event::from(&stored.event).encode_to_vec());
    let line = EventLine {
        received_at_us: stamp.received_at_us,
        system: stamp.system.to_string(),
        source: stamp.source.as_ref().map(ToString::to_string),
        customer: stamp.customer.clone(),
        traceparent: stamp.traceparent.to_string(),
        protocol: stamp.protocol.to_string(),
        place: stored.place,
        event: RawValue::from_string(text).map_err(|e| wrong(&e))?,
        exact: (!same).then(exact),
    };
    serde_json::to_string(&line).map_err(|e| wrong(&e))
}

pub(crate) fn read_event(tenant: &TenantId, line: &str) -> Result<StoredEvent> {
    let wrong = |e: &dyn std::fmt::Display| Failure::data(format!("a line is no archived event: {e}"));
    let line: EventLine = serde_json::from_str(line).map_err(|e| wrong(&e))?;
    let event = match &line.exact {
        Some(exact) => {
            let bytes = BASE64_STANDARD.decode(exact).map_err(|e| wrong(&e))?;
            let wire = hops::Event::decode(Bytes::from(bytes)).map_err(|e| wrong(&e))?;
            CloudEvent::try_from(wire).map_err(|e| wrong(&e))?
        }
        None => json::decode(&Bytes::from(line.event.get().to_owned())).map_err(|e| wrong(&e))?,
    };
    let stamp = Stamp {
        tenant: tenant.clone(),
        system: line.system.parse().map_err(|e| wrong(&e))?,
        source: line.source.map(|s| s.parse()).transpose().map_err(|e| wrong(&e))?,
        customer: line.customer,
        received_at_us: line.received_at_us,
        traceparent: line.traceparent.into(),
        protocol: line.protocol.into(),
    };
    Ok(StoredEvent { stamp: Arc::new(stamp), event, place: line.place })
}

/// A usage record as a line.
#[derive(Debug, Serialize, Deserialize)]
struct UsageLine {
    id: Text,
    at_us: Micros,
    #[serde(with = "OriginLine")]
    origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_type: Option<Text>,
    meters: Meters,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Origin", rename_all = "snake_case")]
enum OriginLine {
    Event { source: Text, id: Text },
    Other { kind: Text, reference: Text },
}

pub(crate) fn usage_line(record: &UsageRecord) -> Result<String> {
    let UsageRecord { tenant: _, id, at_us, origin, customer, event_type, meters } = record.clone();
    serde_json::to_string(&UsageLine { id, at_us, origin, customer, event_type, meters })
        .map_err(|e| Failure::failed(format!("a record cannot be written as JSON: {e}")))
}

pub(crate) fn read_usage(tenant: &TenantId, line: &str) -> Result<UsageRecord> {
    let UsageLine { id, at_us, origin, customer, event_type, meters } = serde_json::from_str(line)
        .map_err(|e| Failure::data(format!("a line is no archived usage record: {e}")))?;
    Ok(UsageRecord { tenant: tenant.clone(), id, at_us, origin, customer, event_type, meters })
}

#[cfg(test)]
mod tests {
    use model::{AttributeValue, Data};

    use super::*;

    #[test]
    fn every_event_comes_back_exactly() {
        let builder = || CloudEvent::builder("ä 1", "/s", "t");
        let events = [
            builder().text("application/json", "{\n  \"a\" : 1.0e2\n}").build().unwrap(),
            builder().text("text/plain", "a\nb \u{2028}").build().unwrap(),
            builder().data(Data::Binary(Bytes::from_static(b"\0\xff"))).build().unwrap(),
            builder().data(Data::Proto(Bytes::from_static(b"\x0a\x01t"))).build().unwrap(),
            builder().build().unwrap(),
            builder()
                .subject("s")
                .time("2026-11-21T10:00:00.123456789+05:30")
                .extension("count", AttributeValue::Integer(-7))
                .extension("when", AttributeValue::Timestamp("2026-11-21T10:00:00-08:00".into()))
                .extension("raw", AttributeValue::Binary(Bytes::from_static(b"\x80")))
                .extension("where", AttributeValue::UriRef("../x".into()))
                .build()
                .unwrap(),
        ];
        let tenant: TenantId = "acme".parse().unwrap();
        for (source, event) in [None, Some("door".parse().unwrap())].into_iter().cycle().zip(events) {
            let stamp = Stamp {
                tenant: tenant.clone(),
                system: "till".parse().unwrap(),
                customer: source.is_none().then(|| "jane".parse().unwrap()),
                source,
                received_at_us: -5,
                traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
                protocol: "grpc".into(),
            };
            let place = Place {
                partition: 3,
                raw_sequence: u64::MAX,
                raw_stored_at_us: 1,
                normalized_at_us: 2,
                events_sequence: 4,
                events_stored_at_us: 5,
                index: 6,
                stored_at_us: 7,
            };
            let stored = StoredEvent { stamp: Arc::new(stamp), event, place };
            let line = event_line(&stored).unwrap();
            assert!(!line.contains('\n'), "{line}");
            let back = read_event(&tenant, &line).unwrap();
            assert_eq!(back, stored);
        }
    }

    #[test]
    fn every_usage_record_comes_back() {
        let tenant: TenantId = "acme".parse().unwrap();
        for origin in [
            Origin::Event { source: "/s".into(), id: "1 2".into() },
            Origin::Other { kind: "delivery".into(), reference: "7".into() },
        ] {
            let meters = vec![("events".into(), 1), ("bytes".into(), u64::MAX)];
            let (customer, event_type) = (Some("jane".parse().unwrap()), Some("sale".into()));
            let id = "/s 1 2".into();
            let record =
                UsageRecord { tenant: tenant.clone(), id, at_us: -1, origin, customer, event_type, meters };
            assert_eq!(read_usage(&tenant, &usage_line(&record).unwrap()).unwrap(), record);
            let nobodys = UsageRecord { customer: None, event_type: None, ..record };
            let line = usage_line(&nobodys).unwrap();
            assert!(!line.contains("customer"), "as it was before they were kept: {line}");
            assert_eq!(read_usage(&tenant, &line).unwrap(), nobodys);
        }
    }

    #[test]
    fn what_was_changed_is_noticed() {
        let object = Object::new("a".to_owned(), Kind::Events, 1, b"abc");
        assert!(object.check(b"abc").is_ok());
        for bad in [&b"abd"[..], b"ab", b""] {
            assert!(object.check(bad).is_err());
        }
        let manifest = Manifest::new("acme".parse().unwrap(), String::new(), (None, Some(5)), vec![object]);
        let mut json = serde_json::to_value(&manifest).unwrap();
        assert_eq!(Manifest::read(json.to_string().as_bytes()).unwrap(), manifest);
        json["version"] = 2.into();
        assert!(Manifest::read(json.to_string().as_bytes()).unwrap_err().message.contains("newer"));
    }
}
