//! The head of a block of events: enough to know that a query need not read the block.

use std::hash::Hasher as _;

use bytes::Bytes;
use model::{CloudEvent, Micros, Text};
use siphasher::sip::SipHasher13;

use super::codec::{Reader, put_len, put_signed, put_span, put_varint};
use crate::{Error, EventQuery};

/// What of a block is known without reading it. Never says "no" wrongly; may say "maybe".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) count: u32,
    /// The earliest time of receipt.
    pub(super) first_us: Micros,
    /// The latest time of receipt.
    pub(super) last_us: Micros,
    types: Digest,
    sources: Digest,
    subjects: Digest,
}

impl Head {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        put_varint(&mut out, u64::from(self.count));
        put_signed(&mut out, self.first_us);
        put_span(&mut out, self.first_us, self.last_us);
        for digest in [&self.types, &self.sources, &self.subjects] {
            digest.encode(&mut out);
        }
        out
    }

    pub(super) fn decode(bytes: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let count = reader.u32()?;
        let first_us = reader.signed()?;
        let last_us = reader.span(first_us)?;
        let mut digest = || Digest::decode(&mut reader);
        Ok(Self { count, first_us, last_us, types: digest()?, sources: digest()?, subjects: digest()? })
    }
}

/// Gathers a [`Head`] while its block is filled.
#[derive(Debug, Default)]
pub(super) struct HeadBuilder {
    count: u32,
    span: Option<(Micros, Micros)>,
    types: DigestBuilder,
    sources: DigestBuilder,
    subjects: DigestBuilder,
}

impl HeadBuilder {
    pub(super) fn add(&mut self, received_at_us: Micros, event: &CloudEvent) {
        self.count += 1;
        let (first, last) = self.span.unwrap_or((received_at_us, received_at_us));
        self.span = Some((first.min(received_at_us), last.max(received_at_us)));
        self.types.add(event.ty());
        self.sources.add(event.source());
        if let Some(subject) = event.subject() {
            self.subjects.add(subject);
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn finish(self) -> Head {
        let (first_us, last_us) = self.span.unwrap_or_default();
        Head {
            count: self.count,
            first_us,
            last_us,
            types: self.types.finish(),
            sources: self.sources.finish(),
            subjects: self.subjects.finish(),
        }
    }
}

/// What a query asks of a head, hashed once.
#[derive(Debug, Clone)]
pub(super) struct Sieve {
    since_us: Option<Micros>,
    until_us: Option<Micros>,
    types: Vec<u64>,
    sources: Vec<u64>,
    subjects: Vec<u64>,
}

impl Sieve {
    pub(super) fn new(query: &EventQuery) -> Self {
        let hashes = |texts: &[Text]| texts.iter().map(|t| hash(t)).collect();
        Self {
            since_us: query.since_us,
            until_us: query.until_us,
            types: hashes(&query.types),
            sources: hashes(&query.sources),
            subjects: hashes(&query.subjects),
        }
    }

    /// Whether the block may hold an event the query wants.
    pub(super) fn may_match(&self, head: &Head) -> bool {
        self.since_us.is_none_or(|t| head.last_us >= t)
            && self.until_us.is_none_or(|t| head.first_us < t)
            && head.types.may_hold_any(&self.types)
            && head.sources.may_hold_any(&self.sources)
            && head.subjects.may_hold_any(&self.subjects)
    }

    /// Whether every event of the block is one the query wants.
    pub(super) fn matches_all(&self, head: &Head) -> bool {
        self.since_us.is_none_or(|t| head.first_us >= t)
            && self.until_us.is_none_or(|t| head.last_us < t)
            && self.types.is_empty()
            && self.sources.is_empty()
            && self.subjects.is_empty()
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Up to this many values are kept as a list of hashes, more as a Bloom filter.
const LIST_MAX: usize = 8;
/// A Bloom filter of 10 bits a value and 4 probes is wrong once in 85 times.
const BLOOM_BITS: usize = 10;
const BLOOM_PROBES: u64 = 4;

/// A set of strings that can say which are surely not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Digest {
    List(Vec<u32>),
    Bloom { values: usize, bits: Bytes },
}

impl Digest {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::List(list) => {
                put_len(out, list.len());
                list.iter().for_each(|h| out.extend_from_slice(&h.to_le_bytes()));
            }
            Self::Bloom { values, bits } => {
                put_len(out, *values);
                out.extend_from_slice(bits);
            }
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self, Error> {
        let values = reader.count()?;
        if values > LIST_MAX {
            return Ok(Self::Bloom { values, bits: reader.take(bloom_len(values))? });
        }
        let list = reader.take(values * 4)?;
        Ok(Self::List(list.as_chunks().0.iter().map(|h| u32::from_le_bytes(*h)).collect()))
    }

    fn may_hold_any(&self, wanted: &[u64]) -> bool {
        wanted.is_empty()
            || wanted.iter().any(|hash| match self {
                Self::List(list) => list.contains(&short(*hash)),
                Self::Bloom { bits, .. } => {
                    probes(*hash, bits.len()).all(|(byte, bit)| bits[byte] & bit != 0)
                }
            })
    }
}

fn bloom_len(values: usize) -> usize {
    (values * BLOOM_BITS).div_ceil(8)
}

/// The low half of a hash.
fn short(hash: u64) -> u32 {
    u32::try_from(hash & 0xffff_ffff).unwrap_or_default()
}

/// The byte and bit of each probe (double hashing: Kirsch and Mitzenmacher).
fn probes(hash: u64, len: usize) -> impl Iterator<Item = (usize, u8)> {
    let bits = u64::try_from(len).unwrap_or(1).max(1) * 8;
    let (first, step) = (u64::from(short(hash)), (hash >> 32) | 1);
    (0..BLOOM_PROBES).map(move |n| {
        let at = first.wrapping_add(n.wrapping_mul(step)) % bits;
        (usize::try_from(at / 8).unwrap_or_default(), 1u8 << (at % 8))
    })
}

#[derive(Debug, Default)]
struct DigestBuilder {
    hashes: Vec<u64>,
    /// Neighbours are often alike: a comparison is cheaper than a hash. A copy, because a share of the text would
    /// cost two atomic operations an event.
    last: String,
}

impl DigestBuilder {
    fn add(&mut self, text: &str) {
        if self.hashes.is_empty() || self.last != text {
            self.hashes.push(hash(text));
            text.clone_into(&mut self.last);
        }
    }

    fn finish(mut self) -> Digest {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        if self.hashes.len() <= LIST_MAX {
            return Digest::List(self.hashes.into_iter().map(short).collect());
        }
        let mut bits = vec![0; bloom_len(self.hashes.len())];
        for hash in &self.hashes {
            for (byte, bit) in probes(*hash, bits.len()) {
                bits[byte] |= bit;
            }
        }
        Digest::Bloom { values: self.hashes.len(), bits: bits.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(source: &str, ty: &str, subject: Option<&str>) -> CloudEvent {
        let builder = CloudEvent::builder("1", source, ty);
        match subject {
            Some(subject) => builder.subject(subject),
            None => builder,
        }
        .build()
        .unwrap()
    }

    proptest! {
        #[test]
        fn never_hides_an_event_it_holds(
            events in proptest::collection::vec((any::<i64>(), 0u32..40, 0u32..20, proptest::option::of(0u32..60)), 1..60),
            types in proptest::collection::vec(0u32..40, 0..3),
            subjects in proptest::collection::vec(0u32..60, 0..3),
            since in proptest::option::of(any::<i64>()),
            until in proptest::option::of(any::<i64>()),
        ) {
            let events: Vec<_> = events
                .into_iter()
                .map(|(at, t, s, j)| {
                    (at, event(&format!("/{s}"), &format!("t{t}"), j.map(|j| format!("j{j}")).as_deref()))
                })
                .collect();
            let query = EventQuery {
                since_us: since,
                until_us: until,
                types: types.iter().map(|t| format!("t{t}").into()).collect(),
                subjects: subjects.iter().map(|s| format!("j{s}").into()).collect(),
                ..EventQuery::default()
            };
            let mut builder = HeadBuilder::default();
            events.iter().for_each(|(at, e)| builder.add(*at, e));
            let head = Head::decode(builder.finish().encode().into()).unwrap();
            let wanted = |(at, e): &(i64, CloudEvent)| {
                since.is_none_or(|t| *at >= t)
                    && until.is_none_or(|t| *at < t)
                    && (query.types.is_empty() || query.types.contains(e.ty()))
                    && (query.subjects.is_empty() || e.subject().is_some_and(|s| query.subjects.contains(s)))
            };
            let (any, all) = (events.iter().any(wanted), events.iter().all(wanted));
            let sieve = Sieve::new(&query);
            prop_assert!(sieve.may_match(&head) || !any);
            prop_assert!(!sieve.matches_all(&head) || all);
            prop_assert_eq!(usize::try_from(head.count).unwrap(), events.len());
        }
    }

    #[test]
    fn skips_blocks_without_the_type() {
        let mut builder = HeadBuilder::default();
        builder.add(5, &event("/a", "order.placed", None));
        let head = builder.finish();
        let with = |types: &[&'static str]| {
            let types = types.iter().map(|t| Text::from_static(t)).collect();
            Sieve::new(&EventQuery { types, ..EventQuery::default() })
        };
        assert!(with(&["order.placed"]).may_match(&head));
        assert!(with(&["x", "order.placed"]).may_match(&head));
        assert!(!with(&["order.paid"]).may_match(&head));
    }
}
