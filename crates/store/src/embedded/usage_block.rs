//! A block of one tenant's usage records. It stands on its own: usage outlives the events it counts.
//!
//! Behind the rows stands whose each is: its customer and the type of its event, as words of the block. Blocks of before that was
//! kept end with their rows, and programs of then read no further.

use bytes::Bytes;
use fjall::Slice;
use model::{CloudEvent, CustomerId, Micros, Stamp, TenantId, Text};

use super::codec::{Packer, Reader, put_bytes, put_len, put_signed, put_span, put_varint, unpack};
use crate::{METER_BYTES, METER_EVENTS, Origin, UsageRecord, record_id};

/// A block takes no more records once it has this many …
pub(super) const RECORDS_MAX: u32 = 256;
/// … or this many bytes.
pub(super) const BYTES_MAX: usize = 64 << 10;

/// The origin is an event, and the record's id follows from it.
const EVENT: u8 = 0;
/// The origin is an event, and the record has an id of its own.
const EVENT_NAMED: u8 = 1;
/// The origin is something else.
const OTHER: u8 = 2;

/// A block being filled.
#[derive(Debug, Default)]
pub(super) struct UsageBlockBuilder {
    count: u32,
    span: Option<(Micros, Micros)>,
    words: Vec<Text>,
    rows: Vec<u8>,
    /// Whose each is: two numbers a row.
    whose: Vec<u8>,
}

impl UsageBlockBuilder {
    fn place(&mut self, word: &Text) -> usize {
        self.words.iter().rposition(|w| w == word).unwrap_or_else(|| {
            self.words.push(word.clone());
            self.words.len() - 1
        })
    }

    fn word(&mut self, word: &Text) {
        let at = self.place(word);
        put_len(&mut self.rows, at);
    }

    /// Says whose the row is that was begun: 0 is nobody's, or of no type.
    fn whose(&mut self, customer: Option<&CustomerId>, event_type: Option<&Text>) {
        for word in [customer.map(CustomerId::as_text), event_type] {
            let at = word.map_or(0, |word| self.place(word) + 1);
            put_len(&mut self.whose, at);
        }
    }

    fn start(&mut self, at_us: Micros, kind: u8) {
        let (first, last) = self.span.unwrap_or((at_us, at_us));
        self.span = Some((first.min(at_us), last.max(at_us)));
        self.count += 1;
        self.rows.push(kind);
        put_signed(&mut self.rows, at_us);
    }

    /// Adds the record of an event, as [`crate::records_of`] makes it.
    pub(super) fn add_event(&mut self, stamp: &Stamp, event: &CloudEvent, bytes: u64, own: &[(Text, u64)]) {
        self.start(stamp.received_at_us, EVENT);
        self.whose(stamp.customer.as_ref(), Some(event.ty()));
        self.word(event.source());
        put_bytes(&mut self.rows, event.id().as_bytes());
        put_len(&mut self.rows, 2 + own.len());
        self.word(&Text::from_static(METER_EVENTS));
        put_varint(&mut self.rows, 1);
        self.word(&Text::from_static(METER_BYTES));
        put_varint(&mut self.rows, bytes);
        for (meter, value) in own {
            self.word(meter);
            put_varint(&mut self.rows, *value);
        }
    }

    /// Adds any record.
    pub(super) fn add_record(&mut self, record: &UsageRecord) {
        self.whose(record.customer.as_ref(), record.event_type.as_ref());
        match &record.origin {
            Origin::Event { source, id } if record_id(source, id) == record.id => {
                self.start(record.at_us, EVENT);
                self.word(source);
                put_bytes(&mut self.rows, id.as_bytes());
            }
            Origin::Event { source, id } => {
                self.start(record.at_us, EVENT_NAMED);
                put_bytes(&mut self.rows, record.id.as_bytes());
                self.word(source);
                put_bytes(&mut self.rows, id.as_bytes());
            }
            Origin::Other { kind, reference } => {
                self.start(record.at_us, OTHER);
                put_bytes(&mut self.rows, record.id.as_bytes());
                self.word(kind);
                put_bytes(&mut self.rows, reference.as_bytes());
            }
        }
        put_len(&mut self.rows, record.meters.len());
        for (meter, value) in &record.meters {
            self.word(meter);
            put_varint(&mut self.rows, *value);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= RECORDS_MAX || self.rows.len() >= BYTES_MAX
    }

    pub(super) fn finish(self, packer: &mut Packer) -> Slice {
        let raw = packer.begin();
        put_len(raw, self.words.len());
        self.words.iter().for_each(|word| put_bytes(raw, word.as_bytes()));
        raw.extend_from_slice(&self.rows);
        raw.extend_from_slice(&self.whose);
        let (first, last) = self.span.unwrap_or_default();
        let mut front = Vec::with_capacity(32);
        put_varint(&mut front, u64::from(self.count));
        put_signed(&mut front, first);
        put_span(&mut front, first, last);
        packer.finish(&front)
    }
}

/// A block read back; its records are decoded when asked for.
#[derive(Debug)]
pub(super) struct UsageBlock {
    pub(super) count: u32,
    /// The earliest time of use.
    pub(super) first_us: Micros,
    /// The latest time of use.
    pub(super) last_us: Micros,
    packed: Bytes,
}

impl UsageBlock {
    pub(super) fn decode(bytes: Bytes) -> Result<Self, crate::Error> {
        let mut reader = Reader::new(bytes);
        let count = reader.u32()?;
        let first_us = reader.signed()?;
        let last_us = reader.span(first_us)?;
        Ok(Self { count, first_us, last_us, packed: reader.rest() })
    }

    /// Whether a record may lie in the range.
    pub(super) fn overlaps(&self, since_us: Option<Micros>, until_us: Option<Micros>) -> bool {
        since_us.is_none_or(|t| self.last_us >= t) && until_us.is_none_or(|t| self.first_us < t)
    }

    pub(super) fn records(self, tenant: &TenantId) -> Result<Vec<UsageRecord>, crate::Error> {
        let mut reader = Reader::new(unpack(self.packed)?);
        let words: Vec<Text> = (0..reader.count()?).map(|_| reader.text()).collect::<Result<_, _>>()?;
        let records = (0..self.count).map(|_| record(&mut reader, &words, tenant));
        let mut records: Vec<_> = records.collect::<Result<_, _>>()?;
        if !reader.is_empty() {
            for record in &mut records {
                let customer = whose(&mut reader, &words)?.map(CustomerId::from_text).transpose();
                record.customer = customer.map_err(|e| crate::Error::Corrupt(e.to_string()))?;
                record.event_type = whose(&mut reader, &words)?;
            }
        }
        Ok(records)
    }
}

/// A word, if there is one.
fn whose(reader: &mut Reader, words: &[Text]) -> Result<Option<Text>, crate::Error> {
    match reader.len()?.checked_sub(1) {
        None => Ok(None),
        Some(at) => word(words, at).map(Some),
    }
}

fn word(words: &[Text], at: usize) -> Result<Text, crate::Error> {
    words.get(at).cloned().ok_or_else(|| crate::Error::Corrupt(format!("no word {at} in its block")))
}

fn record(reader: &mut Reader, words: &[Text], tenant: &TenantId) -> Result<UsageRecord, crate::Error> {
    let word = |reader: &mut Reader| word(words, reader.len()?);
    let kind = reader.u8()?;
    let at_us = reader.signed()?;
    let named = if kind == EVENT { None } else { Some(reader.text()?) };
    let (first, second) = (word(reader)?, reader.text()?);
    let id = named.unwrap_or_else(|| record_id(&first, &second));
    let origin = match kind {
        EVENT | EVENT_NAMED => Origin::Event { source: first, id: second },
        OTHER => Origin::Other { kind: first, reference: second },
        _ => return Err(crate::Error::Corrupt(format!("an unknown kind of usage record {kind}"))),
    };
    let meters = (0..reader.count()?).map(|_| Ok((word(reader)?, reader.varint()?)));
    let meters = meters.collect::<Result<_, crate::Error>>()?;
    Ok(UsageRecord { tenant: tenant.clone(), id, at_us, origin, customer: None, event_type: None, meters })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = Vec<UsageRecord>> {
        let text = || "[a-z/é]{0,8}";
        let origin = prop_oneof![
            (text(), text()).prop_map(|(s, i)| Origin::Event { source: s.into(), id: i.into() }),
            (text(), text()).prop_map(|(k, r)| Origin::Other { kind: k.into(), reference: r.into() }),
        ];
        let meters = proptest::collection::vec((text().prop_map(Text::from), any::<u64>()), 0..4);
        let customer = proptest::option::of("[a-c]").prop_map(|id| id.map(|id| id.parse().unwrap()));
        let whose = (customer, proptest::option::of(text().prop_map(Text::from)));
        let record = (text(), any::<bool>(), any::<i64>(), origin, whose, meters).prop_map(
            |(id, derived, at_us, origin, (customer, event_type), meters)| {
                let id = match &origin {
                    Origin::Event { source, id } if derived => record_id(source, id),
                    _ => id.into(),
                };
                let tenant = "t".parse().unwrap();
                UsageRecord { tenant, id, at_us, origin, customer, event_type, meters }
            },
        );
        proptest::collection::vec(record, 0..50)
    }

    proptest! {
        #[test]
        fn gives_back_what_it_was_given(records in records()) {
            let mut builder = UsageBlockBuilder::default();
            records.iter().for_each(|r| builder.add_record(r));
            let block = UsageBlock::decode(Bytes::copy_from_slice(&builder.finish(&mut Packer::default()))).unwrap();
            prop_assert_eq!(block.first_us, records.iter().map(|r| r.at_us).min().unwrap_or_default());
            prop_assert_eq!(block.last_us, records.iter().map(|r| r.at_us).max().unwrap_or_default());
            prop_assert_eq!(block.records(&"t".parse().unwrap()).unwrap(), records);
        }

        #[test]
        fn damaged_bytes_are_an_error_not_a_panic(bytes: Vec<u8>) {
            drop(UsageBlock::decode(bytes.into()).and_then(|b| b.records(&"t".parse().unwrap())));
        }
    }
}
