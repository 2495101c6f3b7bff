//! Usage records between the model and the wire.

use bytes::Bytes;
use model::{CustomerId, TenantId, Text};
use proto::hops::{self, usage_record::Origin as Wire};
use store::{Origin, UsageRecord, record_id};

/// Packs records, those of one tenant in a row under its name once.
pub(super) fn pack(records: &[UsageRecord]) -> hops::UsageBatch {
    let groups = records.chunk_by(|a, b| a.tenant == b.tenant).filter_map(|group| {
        let tenant = Bytes::copy_from_slice(group.first()?.tenant.as_str().as_bytes());
        Some(hops::UsageGroup { tenant, records: group.iter().map(to_wire).collect() })
    });
    hops::UsageBatch { groups: groups.collect() }
}

fn to_wire(record: &UsageRecord) -> hops::UsageRecord {
    let bytes = |text: &Text| text.as_bytes().clone();
    let (origin, is_derived) = match &record.origin {
        Origin::Event { source, id } => (
            Wire::Event(hops::EventOrigin { source: bytes(source), id: bytes(id) }),
            record.id == record_id(source, id),
        ),
        Origin::Other { kind, reference } => {
            (Wire::Other(hops::OtherOrigin { kind: bytes(kind), reference: bytes(reference) }), false)
        }
    };
    hops::UsageRecord {
        id: if is_derived { Bytes::new() } else { bytes(&record.id) },
        at_us: record.at_us,
        origin: Some(origin),
        meters: record
            .meters
            .iter()
            .map(|(name, value)| hops::Meter { name: bytes(name), value: *value })
            .collect(),
        customer: record.customer.as_ref().map(|c| bytes(c.as_text())).unwrap_or_default(),
        event_type: record.event_type.as_ref().map(bytes).unwrap_or_default(),
    }
}

/// The records of a message.
///
/// # Errors
/// What is wrong with it.
pub(super) fn unpack(batch: hops::UsageBatch) -> Result<Vec<UsageRecord>, String> {
    let mut records = Vec::with_capacity(batch.groups.iter().map(|g| g.records.len()).sum());
    for group in batch.groups {
        let tenant: TenantId =
            text("tenant", group.tenant)?.parse().map_err(|e| format!("field tenant: {e}"))?;
        for record in group.records {
            records.push(from_wire(&tenant, record)?);
        }
    }
    Ok(records)
}

fn from_wire(tenant: &TenantId, wire: hops::UsageRecord) -> Result<UsageRecord, String> {
    let origin = match wire.origin.ok_or("field origin is missing")? {
        Wire::Event(e) => Origin::Event { source: text("source", e.source)?, id: text("id", e.id)? },
        Wire::Other(o) => {
            Origin::Other { kind: text("kind", o.kind)?, reference: text("reference", o.reference)? }
        }
    };
    let id = match &origin {
        Origin::Event { source, id } if wire.id.is_empty() => record_id(source, id),
        _ => text("id", wire.id)?,
    };
    let meters = wire.meters.into_iter().map(|m| Ok((text("name", m.name)?, m.value)));
    let customer = present("customer", wire.customer)?.map(CustomerId::from_text).transpose();
    Ok(UsageRecord {
        tenant: tenant.clone(),
        id,
        at_us: wire.at_us,
        origin,
        customer: customer.map_err(|e| format!("field customer: {e}"))?,
        event_type: present("event_type", wire.event_type)?,
        meters: meters.collect::<Result<_, String>>()?,
    })
}

fn present(field: &str, bytes: Bytes) -> Result<Option<Text>, String> {
    if bytes.is_empty() { Ok(None) } else { text(field, bytes).map(Some) }
}

fn text(field: &str, bytes: Bytes) -> Result<Text, String> {
    Text::try_from(bytes).map_err(|_| format!("field {field} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_an_event_is_named_once() {
        let record = |tenant: &str, id: Text, origin, meters: &[(&'static str, u64)]| UsageRecord {
            tenant: tenant.parse().unwrap(),
            id,
            at_us: -7,
            origin,
            customer: (tenant == "a").then(|| "jane".parse().unwrap()),
            event_type: (tenant == "a").then(|| "sale".into()),
            meters: meters.iter().map(|(name, value)| (Text::from_static(name), *value)).collect(),
        };
        let event = |source: &str, id: &str| Origin::Event { source: source.into(), id: id.into() };
        let other = Origin::Other { kind: "delivery".into(), reference: "r".into() };
        let records = vec![
            record("a", record_id("/s", "1"), event("/s", "1"), &[("events", 1), ("bytes", u64::MAX)]),
            record("a", "named".into(), event("/s", "1"), &[("events", 1)]),
            UsageRecord::void("b".parse().unwrap(), record_id("/s", "1"), 9),
            record("a", "x".into(), other, &[("", 0)]),
        ];
        let wire = pack(&records);
        assert_eq!(wire.groups.iter().map(|g| g.records.len()).collect::<Vec<_>>(), [2, 1, 1]);
        assert!(wire.groups[0].records[0].id.is_empty() && !wire.groups[0].records[1].id.is_empty());
        assert_eq!(unpack(wire).unwrap(), records);
    }

    #[test]
    fn what_is_no_usage_is_named() {
        let group = |tenant: &'static [u8], record| hops::UsageBatch {
            groups: vec![hops::UsageGroup { tenant: Bytes::from_static(tenant), records: vec![record] }],
        };
        let origin = Some(Wire::Event(hops::EventOrigin { source: "\u{e4}".into(), id: b"\xff"[..].into() }));
        let named = hops::EventOrigin { source: "/s".into(), id: "1".into() };
        let of_nobody = hops::UsageRecord {
            origin: Some(Wire::Event(named)),
            customer: "No Body".into(),
            ..Default::default()
        };
        let bad = [
            (group(b"No Tenant", hops::UsageRecord::default()), "tenant"),
            (group(b"acme", hops::UsageRecord::default()), "origin"),
            (group(b"acme", hops::UsageRecord { origin, ..Default::default() }), "id"),
            (group(b"acme", of_nobody), "customer"),
        ];
        for (batch, field) in bad {
            assert!(unpack(batch).unwrap_err().contains(field), "{field}");
        }
    }
}
