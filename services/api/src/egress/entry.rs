//! How far a node's count of what it sent to a tenant's clients is metered.

use model::{Micros, TenantId, Text};
use serde::{Deserialize, Serialize};
use store::{METER_EGRESS_BYTES, Origin, UsageRecord};

/// An entry that says nothing new is written again after this time, so that it outlives the bucket's limit of age.
const FRESH_US: Micros = 24 * 3_600 * 1_000_000;

/// What is known of one tenant on one node. Whoever reads it can write its record: the same one each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Bytes in the records before this entry's.
    from: u64,
    /// Bytes with this entry's.
    to: u64,
    at_us: Micros,
    /// How often the node has begun to count from 0 again: it forgets an account that it needs no more.
    round: u64,
}

impl Entry {
    /// What follows when a node says that it has sent so much; none if there is nothing to write. The reading must be later than
    /// the entry.
    pub(super) fn next(before: Option<&Self>, reading: u64, now: Micros) -> Option<Self> {
        match before {
            None => (reading > 0).then_some(Self { from: 0, to: reading, at_us: now, round: 0 }),
            Some(Self { to, round, .. }) if reading < *to => {
                Some(Self { from: 0, to: reading, at_us: now, round: round + 1 })
            }
            Some(Self { to, at_us, round, .. }) => {
                let is_new = reading > *to || now - at_us >= FRESH_US;
                is_new.then_some(Self { from: *to, to: reading, at_us: now, round: *round })
            }
        }
    }

    /// None if nothing was sent.
    pub(super) fn record(&self, tenant: &TenantId, node: &str) -> Option<UsageRecord> {
        let Self { from, to, at_us, round } = self;
        let bytes = to.checked_sub(*from).filter(|bytes| *bytes > 0)?;
        let reference = format!("{node}/{round}/{from}");
        Some(UsageRecord {
            tenant: tenant.clone(),
            id: format!("nats/{reference}").into(),
            at_us: *at_us,
            origin: Origin::Other { kind: Text::from_static("nats"), reference: reference.into() },
            customer: None,
            event_type: None,
            meters: vec![(Text::from_static(METER_EGRESS_BYTES), bytes)],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn bytes(entry: &Entry) -> Option<u64> {
        entry.record(&"acme".parse().unwrap(), "N1")?.value_of(METER_EGRESS_BYTES)
    }

    #[test]
    fn every_reading_adds_what_is_new() {
        let readings = [0, 10, 10, 25, 25, 5, 5, 7, 0, 0, 3];
        let (mut entry, mut total, mut ids) = (None, 0, BTreeSet::new());
        for (now, reading) in (1..).zip(readings) {
            let Some(next) = Entry::next(entry.as_ref(), reading, now) else { continue };
            if let Some(record) = next.record(&"acme".parse().unwrap(), "N1") {
                total += record.value_of(METER_EGRESS_BYTES).unwrap();
                assert_eq!(record.at_us, now);
                assert!(ids.insert(record.id.clone()), "{}", record.id);
            }
            entry = Some(next);
        }
        assert_eq!((total, ids.len()), (25 + 7 + 3, 5), "the node began again twice");
    }

    #[test]
    fn what_says_nothing_new_is_written_again_after_a_day_and_counts_nothing() {
        let first = Entry::next(None, 10, 0).unwrap();
        assert_eq!(bytes(&first), Some(10));
        assert_eq!(Entry::next(Some(&first), 10, FRESH_US - 1), None);
        let again = Entry::next(Some(&first), 10, FRESH_US).unwrap();
        assert_eq!((bytes(&again), again.at_us), (None, FRESH_US));
        assert_eq!(bytes(&Entry::next(Some(&again), 12, FRESH_US + 1).unwrap()), Some(2));
    }

    #[test]
    fn an_entry_has_one_record() {
        let entry = Entry::next(None, 10, 4).unwrap();
        let read: Entry = serde_json::from_slice(&serde_json::to_vec(&entry).unwrap()).unwrap();
        let tenant = "acme".parse().unwrap();
        assert_eq!(read.record(&tenant, "N1"), entry.record(&tenant, "N1"));
        assert_eq!(&*read.record(&tenant, "N1").unwrap().id, "nats/N1/0/0");
    }
}
