//! The tail of each partition of the stream: for each batch that went into tenants' streams, where its events stand and
//! which sequences they got. Rows of a minute share a partition; an index says which minutes there are.

use std::collections::HashMap;

use model::{Batch, Micros, TenantId, Text};
use prost::Message;

use super::{
    Inner,
    candidate::Candidate,
    failure::unreadable,
    key::{Bucket, Key, Level},
    row::Row,
    statements::Cql,
};
use crate::{Error, Order, TailBatch};

/// How long the tail is kept, seconds.
const TTL: i32 = 86_400;
/// Of the index of minutes, longer.
const INDEX_TTL: i32 = TTL + 3_600;

/// The places of a batch.
#[derive(Clone, PartialEq, Message)]
struct Places {
    #[prost(message, repeated, tag = "1")]
    places: Vec<Place>,
}

/// Where one event stands. Numbers are differences to the event before, most of them 0 and so not written.
#[derive(Clone, PartialEq, Message)]
struct Place {
    /// Empty: that of the event before.
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(sint64, tag = "2")]
    received_at: i64,
    #[prost(sint64, tag = "3")]
    partition: i64,
    #[prost(sint64, tag = "4")]
    sequence: i64,
    #[prost(sint64, tag = "5")]
    index: i64,
    #[prost(sint64, tag = "6")]
    level: i64,
    #[prost(sint64, tag = "7")]
    shard: i64,
    #[prost(sint64, tag = "8")]
    streamed: i64,
}

impl Place {
    fn numbers(&mut self) -> [&mut i64; 7] {
        [
            &mut self.received_at,
            &mut self.partition,
            &mut self.sequence,
            &mut self.index,
            &mut self.level,
            &mut self.shard,
            &mut self.streamed,
        ]
    }
}

fn encode(places: &[(TenantId, Candidate)], streamed: &[u64]) -> Vec<u8> {
    let mut before = [0i64; 7];
    let mut tenant: Option<&TenantId> = None;
    let place = |((of, candidate), streamed): (&'_ (TenantId, Candidate), &u64)| {
        let Key { received_at, partition, sequence, index } = candidate.key;
        let (level, _, shard) = candidate.bucket.values();
        let now = [
            received_at,
            partition,
            sequence,
            index.into(),
            level.into(),
            shard.into(),
            streamed.cast_signed(),
        ];
        (of.clone(), now)
    };
    let mut out = Places { places: Vec::with_capacity(places.len()) };
    let all: Vec<_> = places.iter().zip(streamed).map(place).collect();
    for (of, now) in &all {
        let mut next = Place::default();
        if tenant != Some(of) {
            next.tenant = of.to_string();
            tenant = Some(of);
        }
        for ((number, now), before) in next.numbers().into_iter().zip(now).zip(&mut before) {
            *number = now.wrapping_sub(*before);
            *before = *now;
        }
        out.places.push(next);
    }
    out.encode_to_vec()
}

/// One event of a batch of the tail.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    tenant: TenantId,
    key: Key,
    bucket: Bucket,
    streamed: u64,
}

fn decode(bytes: &[u8]) -> Result<Vec<Reference>, Error> {
    let mut before = [0i64; 7];
    let mut tenant: Option<TenantId> = None;
    let mut references = Vec::new();
    for mut place in Places::decode(bytes).map_err(unreadable)?.places {
        if !place.tenant.is_empty() {
            let name = Text::from(std::mem::take(&mut place.tenant));
            tenant = Some(TenantId::from_text(name).map_err(unreadable)?);
        }
        for (number, before) in place.numbers().into_iter().zip(&mut before) {
            *before = before.wrapping_add(*number);
        }
        let [received_at, partition, sequence, index, level, shard, streamed] = before;
        let level = i8::try_from(level).ok().and_then(Level::of);
        let level = level.ok_or_else(|| unreadable("a place of an unknown level"))?;
        let index = i32::try_from(index).map_err(unreadable)?;
        let shard = i8::try_from(shard).map_err(unreadable)?;
        references.push(Reference {
            tenant: tenant.clone().ok_or_else(|| unreadable("a place without its tenant"))?,
            key: Key { received_at, partition, sequence, index },
            bucket: Bucket { level, window: level.window(received_at), shard },
            streamed: streamed.cast_unsigned(),
        });
    }
    Ok(references)
}

impl Inner {
    /// Adds a batch to the tail of its partition.
    pub(super) async fn write_tail(
        &self,
        batch: &Batch,
        places: &[(TenantId, Candidate)],
        now: Micros,
    ) -> Result<(), Error> {
        let (partition, minute) = (i64::from(batch.partition), Level::Minute.window(now));
        self.run(Cql::InsertTailMinute, (partition, minute, INDEX_TTL)).await?;
        let places = encode(places, &batch.streamed);
        let values = (partition, minute, now, batch.sequence.cast_signed(), places, TTL);
        self.run(Cql::InsertTail, values).await.map(drop)
    }

    pub(super) async fn tail(&self, partition: u32, skip: u64, limit: u32) -> Result<Vec<TailBatch>, Error> {
        let mut skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
        let partition = i64::from(partition);
        let minutes = self.rows(Cql::TailMinutes, (partition, i64::MAX)).await?;
        let minutes = minutes.rows::<(i64,)>().map_err(unreadable)?;
        let minutes = minutes.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let mut batches = Vec::new();
        for (minute,) in minutes {
            if left == 0 {
                break;
            }
            let mut keys: Vec<(i64, i64)> = Vec::new();
            let mut pages = self.pages(Cql::TailKeys);
            while let Some(rows) = pages.next(&(partition, minute)).await? {
                let rows = rows.rows::<(i64, i64)>().map_err(unreadable)?;
                keys.extend(rows.collect::<Result<Vec<_>, _>>().map_err(unreadable)?);
            }
            let Some((written_at, sequence)) = keys.get(skip).copied() else {
                skip -= keys.len();
                continue;
            };
            let take = left.min(keys.len() - skip);
            skip = 0;
            left -= take;
            let values = (partition, minute, written_at, sequence, i32::try_from(take).unwrap_or(i32::MAX));
            let rows = self.rows(Cql::Tail, values).await?;
            for row in rows.rows::<(&[u8],)>().map_err(unreadable)? {
                let (places,) = row.map_err(unreadable)?;
                batches.push(self.tail_batch(decode(places)?).await?);
            }
        }
        Ok(batches)
    }

    /// Reads a batch's events; those that were taken away since are left out.
    async fn tail_batch(&self, references: Vec<Reference>) -> Result<TailBatch, Error> {
        // Neighbours in the batch are neighbours in their partition: one read for each run.
        let mut runs: Vec<&[Reference]> = Vec::new();
        let same_run = |a: &Reference, b: &Reference| {
            (&a.tenant, a.bucket, a.key.received_at, a.key.partition, a.key.sequence)
                == (&b.tenant, b.bucket, b.key.received_at, b.key.partition, b.key.sequence)
        };
        for run in references.chunk_by(same_run) {
            runs.extend(run.chunks(128));
        }
        let reads: Vec<_> = runs.iter().map(|run| self.run_of_rows(run)).collect();
        let rows = self.side_by_side(reads).await?;
        let mut batch = TailBatch::default();
        for (run, mut rows) in runs.into_iter().zip(rows) {
            for reference in run {
                // An event that stands twice in a batch is read once for each.
                let row = match rows.remove(&reference.key) {
                    Some(row) => Some(row),
                    None => self.row(&reference.tenant, reference.key, reference.bucket).await?,
                };
                if let Some(row) = row.filter(|row| row.is_whole() && !row.is_erased()) {
                    batch.events.push(row.into_event()?);
                    batch.streamed.push(reference.streamed);
                }
            }
        }
        Ok(batch)
    }

    async fn run_of_rows(&self, run: &[Reference]) -> Result<HashMap<Key, Row>, Error> {
        let keys = || run.iter().map(|reference| reference.key);
        let (Some(first), Some(least), Some(most)) = (run.first(), keys().min(), keys().max()) else {
            return Ok(HashMap::new());
        };
        let lower = Key { index: least.index.saturating_sub(1), ..least };
        let upper = Key { index: most.index.saturating_add(1), ..most };
        let limit = usize::try_from(most.index - least.index).unwrap_or_default() + 1;
        let rows =
            self.rows_between(&first.tenant, first.bucket, (lower, upper), Order::OldestFirst, limit).await?;
        Ok(rows.into_iter().map(|row| (row.key(), row)).collect())
    }
}
