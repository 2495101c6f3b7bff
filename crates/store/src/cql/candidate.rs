//! Which of the events with one identity is kept: decided by each writer alone, from what it reads back after it has
//! said that it has one. See `docs/adr/0005-cql-layout.md` for why this is exact.

use model::Micros;
use scylla::DeserializeRow;

use super::key::{Bucket, Key, Level};
use crate::Error;

/// Somebody has said, once, that it has an event of this identity. One event has several when it was delivered again.
///
/// The order is that of their places, and only then that of time. So the place that is first when all have spoken was never
/// after another in anybody's eyes, and nobody has marked it: by time, one who comes late with an early clock could make the
/// first one a place that was marked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) key: Key,
    pub(super) bucket: Bucket,
    pub(super) stored_at: Micros,
    /// Its data was taken away for good.
    pub(super) erased: bool,
}

#[derive(Debug, DeserializeRow)]
pub(super) struct Row {
    received_at: i64,
    stream_partition: i64,
    stream_sequence: i64,
    idx: i32,
    stored_at: i64,
    level: i8,
    shard: i8,
    erased: Option<bool>,
}

impl TryFrom<Row> for Candidate {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let level = Level::of(row.level)
            .ok_or_else(|| Error::Corrupt(format!("a candidate of the unknown level {}", row.level)))?;
        Ok(Self {
            key: Key {
                received_at: row.received_at,
                partition: row.stream_partition,
                sequence: row.stream_sequence,
                index: row.idx,
            },
            stored_at: row.stored_at,
            bucket: Bucket { level, window: level.window(row.received_at), shard: row.shard },
            erased: row.erased == Some(true),
        })
    }
}

/// What a writer has to do about its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The first of all: where the event that is kept stands, or will. It is the writer's own when `keep`.
    pub(super) first: Candidate,
    /// Whether the writer's event is the one that is kept.
    pub(super) keep: bool,
    /// Places at which a row may stand, now or later, that is not to be seen.
    pub(super) supersede: Vec<(Key, Bucket)>,
    /// Times of receipt of events that gave way to the writer's and may have been metered.
    pub(super) void: Vec<Micros>,
    /// The data of this identity was taken away for good: whatever comes under it is kept without.
    pub(super) erased: bool,
}

/// Decides, from all candidates of an identity as they were read after `own` was written. Their order does not matter.
pub(super) fn decide(own: Candidate, read: &[Candidate]) -> Verdict {
    // A read that came after somebody's erasing may miss even one's own.
    let first = read.iter().copied().chain([own]).min().unwrap_or(own);
    let keep = first.key == own.key;
    let mut supersede = Vec::new();
    let mut void = Vec::new();
    for other in read {
        let same_place = (other.key, other.bucket) == (first.key, first.bucket);
        // Whoever keeps marks all others. Whoever gives way marks what it may have written itself, when delivered before.
        let mine_to_mark = keep || (other.key == own.key && *other != own);
        if !same_place && mine_to_mark {
            supersede.push((other.key, other.bucket));
        }
        // Usage is known by the time of receipt: of two events received at once there is only one record.
        if keep && other.key.received_at != own.key.received_at {
            void.push(other.key.received_at);
        }
    }
    supersede.sort_unstable();
    supersede.dedup();
    void.sort_unstable();
    void.dedup();
    Verdict { first, keep, supersede, void, erased: read.iter().any(|other| other.erased) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In whatever order they speak, the place that is first in the end is one that nobody marks, and its writer keeps it.
    #[test]
    fn the_first_place_is_marked_by_nobody() {
        let all = [
            candidate(10, 1, 100, Level::Day),
            candidate(10, 1, 90, Level::Minute),
            candidate(10, 1, 80, Level::Day),
            candidate(10, 1, 70, Level::Second),
            candidate(11, 2, 60, Level::Hour),
        ];
        for first in 0..all.len() {
            for step in 1..all.len() {
                let order: Vec<_> = (0..all.len()).map(|n| all[(first + n * step) % all.len()]).collect();
                let (mut marked, mut rows) = (Vec::new(), Vec::new());
                for (n, own) in order.iter().enumerate() {
                    let verdict = decide(*own, &order[..=n]);
                    marked.extend(verdict.supersede);
                    rows.extend(verdict.keep.then_some((verdict.first.key, verdict.first.bucket)));
                }
                rows.sort_unstable();
                rows.dedup();
                rows.retain(|row| !marked.contains(row));
                assert_eq!(rows, [(all[0].key, all[0].bucket)], "{order:?}");
            }
        }
    }

    fn candidate(received_at: i64, sequence: i64, stored_at: i64, level: Level) -> Candidate {
        let key = Key { received_at, partition: 3, sequence, index: 0 };
        Candidate { key, stored_at, bucket: Bucket::new(level, key), erased: false }
    }

    #[test]
    fn alone_it_is_kept() {
        let own = candidate(10, 1, 100, Level::Day);
        for read in [&[own][..], &[]] {
            let verdict = decide(own, read);
            let kept = Verdict { first: own, keep: true, supersede: vec![], void: vec![], erased: false };
            assert_eq!(verdict, kept);
        }
    }

    #[test]
    fn the_first_received_is_kept_and_marks_the_others() {
        let (a, b, c) = (
            candidate(10, 9, 100, Level::Day),
            candidate(11, 1, 50, Level::Day),
            candidate(10, 10, 99, Level::Day),
        );
        let verdict = decide(a, &[c, b, a]);
        assert!(verdict.keep);
        assert_eq!(verdict.supersede, [(c.key, c.bucket), (b.key, b.bucket)]);
        assert_eq!(verdict.void, [11], "one record for what was received at once");
        for (own, other) in [(b, a), (c, a)] {
            let verdict = decide(own, &[a, b, c]);
            assert_eq!((verdict.keep, verdict.first), (false, other));
            assert_eq!((verdict.supersede, verdict.void), (vec![], vec![]));
        }
    }

    #[test]
    fn delivered_again_it_stays_where_and_when_it_was_stored() {
        let (before, again) = (candidate(10, 1, 100, Level::Day), candidate(10, 1, 200, Level::Minute));
        let verdict = decide(again, &[before, again]);
        assert!(verdict.keep);
        assert_eq!((verdict.first, verdict.void), (before, vec![]));
        assert_eq!(
            verdict.supersede,
            [(again.key, again.bucket)],
            "whoever did not see the other may have put it there"
        );
    }

    #[test]
    fn what_was_erased_under_an_identity_stays_erased() {
        let (own, other) = (candidate(10, 1, 100, Level::Day), candidate(11, 1, 50, Level::Day));
        assert!(decide(own, &[own, Candidate { erased: true, ..other }]).erased);
        assert!(!decide(own, &[own, other]).erased);
    }

    #[test]
    fn delivered_again_after_giving_way_it_takes_its_row_back() {
        let (before, again) = (candidate(10, 1, 100, Level::Day), candidate(10, 1, 200, Level::Day));
        let winner = candidate(9, 5, 150, Level::Day);
        let verdict = decide(again, &[winner, before, again]);
        assert_eq!((verdict.keep, verdict.first), (false, winner));
        assert_eq!(verdict.supersede, [(before.key, before.bucket)]);
    }
}
