//! Writing a batch: say what one has, read who else has it, keep what comes first.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use model::{Batch, CloudEvent, Micros, Stamp, TenantId};
use scylla::statement::batch::{Batch as Rows, BatchType};

use super::{
    Inner,
    candidate::{self, Candidate, Verdict},
    failure::{self, unreadable},
    key::{Bucket, Key},
    placing::index_ttl,
    row::{NewRow, receipt},
    statements::Cql,
};
use crate::{Error, UsageRecord, Written, record_id};

/// An event of the batch, the first there with its identity.
struct Arrival<'a> {
    index: u32,
    stamp: &'a Stamp,
    event: &'a CloudEvent,
    own: Candidate,
    ttl: i32,
}

/// What became of it.
struct Settled<'a> {
    arrival: Arrival<'a>,
    verdict: Verdict,
}

impl Inner {
    pub(super) async fn write(&self, batch: &Batch) -> Result<Written, Error> {
        self.heed_erasures().await?;
        let now = self.clock.now();
        let (first_of, mut again) = first_of_each(batch);
        self.place_first(batch, &first_of, now).await?;
        let mut arrivals = Vec::with_capacity(first_of.len());
        for (index, stamp, event) in first_of {
            arrivals.push(self.arrival(batch, index, stamp, event, now).await?);
        }
        let settling: Vec<_> = arrivals.into_iter().map(|arrival| self.settle(arrival)).collect();
        let settled = self.side_by_side(settling).await?;
        let mut rows = Receipts::default().rows(batch, &settled);
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        self.insert(rows).await?;
        // After the rows: whoever reads in between sees an event twice rather than never.
        self.supersede(&settled).await?;
        if !batch.streamed.is_empty() {
            self.write_tail(batch, &places(batch, &settled), now).await?;
        }
        again.extend(settled.iter().filter(|s| !s.verdict.keep).map(|s| s.arrival.index));
        again.sort_unstable();
        let given_way = settled.iter().flat_map(|s| {
            let (tenant, event) = (&s.arrival.stamp.tenant, s.arrival.event);
            let void = move |at: &Micros| {
                UsageRecord::void(tenant.clone(), record_id(event.source(), event.id()), *at)
            };
            s.verdict.void.iter().map(void)
        });
        Ok(Written { again, given_way: given_way.collect() })
    }

    /// Finds a partition for one event of each tenant, side by side; after that most are known.
    async fn place_first(
        &self,
        batch: &Batch,
        events: &[(u32, &Stamp, &CloudEvent)],
        now: Micros,
    ) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let mut placing = Vec::new();
        for (index, stamp, _) in events {
            if seen.insert(&stamp.tenant) {
                let key = Key::of(batch, *index, stamp.received_at_us);
                placing.push(self.place(&stamp.tenant, key, 0, self.ttl(&stamp.tenant), now));
            }
        }
        self.side_by_side(placing).await.map(drop)
    }

    async fn arrival<'a>(
        &self,
        batch: &Batch,
        index: u32,
        stamp: &'a Stamp,
        event: &'a CloudEvent,
        now: Micros,
    ) -> Result<Arrival<'a>, Error> {
        let key = Key::of(batch, index, stamp.received_at_us);
        let bytes = u64::try_from(event.size()).unwrap_or(u64::MAX);
        let ttl = self.ttl(&stamp.tenant);
        let bucket = self.place(&stamp.tenant, key, bytes, ttl, now).await?;
        let own = Candidate { key, stored_at: now, bucket, erased: false };
        Ok(Arrival { index, stamp, event, own, ttl })
    }

    /// Says that there is this event, and reads who else has one of its identity. The order is what makes it exact.
    async fn settle<'a>(&self, arrival: Arrival<'a>) -> Result<Settled<'a>, Error> {
        let Arrival { stamp, event, own, ttl, .. } = &arrival;
        let (level, _, shard) = own.bucket.values();
        let Key { received_at, partition, sequence, index } = own.key;
        let (tenant, source, id) = (stamp.tenant.as_str(), &**event.source(), &**event.id());
        let values =
            (tenant, source, id, received_at, partition, sequence, index, own.stored_at, level, shard, *ttl);
        self.run(Cql::InsertCandidate, values).await?;
        let read = self.candidates(&stamp.tenant, source, id).await?;
        let verdict = candidate::decide(*own, &read);
        Ok(Settled { arrival, verdict })
    }

    /// All candidates of an identity, in order.
    pub(super) async fn candidates(
        &self,
        tenant: &TenantId,
        source: &str,
        id: &str,
    ) -> Result<Vec<Candidate>, Error> {
        let rows = self.rows(Cql::Candidates, (tenant.as_str(), source, id)).await?;
        let rows = rows.rows::<candidate::Row>().map_err(unreadable)?;
        rows.map(|row| row.map_err(unreadable)?.try_into()).collect()
    }

    /// Inserts rows, those of one partition together.
    async fn insert(&self, rows: Vec<((TenantId, Bucket), NewRow<'_>)>) -> Result<(), Error> {
        let mut chunks: Vec<(u64, Vec<NewRow<'_>>)> = Vec::new();
        let mut partition = None;
        for (at, row) in rows {
            let size = row.size();
            let most = usize::try_from(self.options.batch_rows_max).unwrap_or(usize::MAX);
            match chunks.last_mut() {
                Some((bytes, chunk))
                    if partition.as_ref() == Some(&at)
                        && chunk.len() < most
                        && *bytes + size <= self.options.batch_bytes_max =>
                {
                    *bytes += size;
                    chunk.push(row);
                }
                _ => chunks.push((size, vec![row])),
            }
            partition = Some(at);
        }
        let inserts: Vec<_> = chunks.into_iter().map(|(_, chunk)| self.insert_chunk(chunk)).collect();
        self.side_by_side(inserts).await.map(drop)
    }

    async fn insert_chunk(&self, mut chunk: Vec<NewRow<'_>>) -> Result<(), Error> {
        if chunk.len() == 1 {
            return match chunk.pop() {
                Some(row) => self.run(Cql::InsertEvent, row).await.map(drop),
                None => Ok(()),
            };
        }
        let _permit = self.permit().await?;
        let insert = self.prepared.get(Cql::InsertEvent);
        let mut rows = Rows::new(BatchType::Unlogged);
        rows.set_is_idempotent(true);
        rows.set_execution_profile_handle(Some(self.write_profile.clone()));
        chunk.iter().for_each(|_| rows.append_statement(insert.clone()));
        self.session.batch(&rows, chunk).await.map_err(|e| failure::of(&e)).map(drop)
    }

    async fn supersede(&self, settled: &[Settled<'_>]) -> Result<(), Error> {
        let mut marking = Vec::new();
        for Settled { arrival, verdict } in settled {
            for (key, bucket) in &verdict.supersede {
                let (level, window, shard) = bucket.values();
                let (received_at, partition, sequence, index) = key.values();
                let (tenant, ttl) = (arrival.stamp.tenant.as_str(), index_ttl(arrival.ttl));
                let values = (ttl, tenant, level, window, shard, received_at, partition, sequence, index);
                marking.push(self.run(Cql::Supersede, values));
            }
        }
        self.side_by_side(marking).await.map(drop)
    }

    /// Awaits many, some at a time; gives what they give in their order.
    pub(super) async fn side_by_side<T>(
        &self,
        futures: Vec<impl Future<Output = Result<T, Error>>>,
    ) -> Result<Vec<T>, Error> {
        stream::iter(futures).buffered(self.write_requests_max()).try_collect().await
    }
}

/// Of events of a batch with one identity the first, in the order of their keys, and the indices of the others.
fn first_of_each(batch: &Batch) -> (Vec<(u32, &Stamp, &CloudEvent)>, Vec<u32>) {
    let mut first: HashMap<(&TenantId, &str, &str), usize> = HashMap::with_capacity(batch.len());
    let mut kept: Vec<(u32, &Stamp, &CloudEvent)> = Vec::with_capacity(batch.len());
    let mut again = Vec::new();
    for (index, stamp, event) in batch.events() {
        match first.entry((&stamp.tenant, event.source(), event.id())) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(kept.len());
                kept.push((index, stamp, event));
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let known = &mut kept[*entry.get()];
                // The index grows: only an earlier receipt goes before.
                if stamp.received_at_us < known.1.received_at_us {
                    again.push(known.0);
                    *known = (index, stamp, event);
                } else {
                    again.push(index);
                }
            }
        }
    }
    (kept, again)
}

/// Where each event of the batch stands, or the one it gave way to; by index.
fn places(batch: &Batch, settled: &[Settled<'_>]) -> Vec<(TenantId, Candidate)> {
    let of: HashMap<(&TenantId, &str, &str), Candidate> = settled
        .iter()
        .map(|s| {
            let event = s.arrival.event;
            ((&s.arrival.stamp.tenant, &**event.source(), &**event.id()), s.verdict.first)
        })
        .collect();
    let place = |(_, stamp, event): (u32, &'_ std::sync::Arc<Stamp>, &'_ CloudEvent)| {
        of.get(&(&stamp.tenant, &**event.source(), &**event.id())).map(|first| (stamp.tenant.clone(), *first))
    };
    batch.events().filter_map(place).collect()
}

/// Receipts, each written once for the events that have it in common.
#[derive(Default)]
struct Receipts<'a> {
    last: Option<(&'a Stamp, Micros, Bytes)>,
}

impl<'a> Receipts<'a> {
    fn of(&mut self, batch: &Batch, stamp: &'a Stamp, stored_at: Micros) -> Bytes {
        match &self.last {
            Some((known, at, receipt)) if std::ptr::eq(*known, stamp) && *at == stored_at => receipt.clone(),
            _ => {
                let receipt = receipt(batch, stamp, stored_at);
                self.last = Some((stamp, stored_at, receipt.clone()));
                receipt
            }
        }
    }

    /// The rows of what is kept, each with its partition.
    fn rows(mut self, batch: &Batch, settled: &'a [Settled<'a>]) -> Vec<((TenantId, Bucket), NewRow<'a>)> {
        let kept = settled.iter().filter(|s| s.verdict.keep);
        let row = |s: &'a Settled<'a>| {
            let Arrival { stamp, event, ttl, .. } = &s.arrival;
            let Candidate { key, stored_at, bucket, .. } = s.verdict.first;
            let receipt = self.of(batch, stamp, stored_at);
            let row = NewRow::new(&stamp.tenant, bucket, key, event, receipt, !s.verdict.erased, *ttl);
            ((stamp.tenant.clone(), bucket), row)
        };
        kept.map(row).collect()
    }
}
