//! Taking away: a tenant, one event's data, what is older than a tenant keeps.
//!
//! Writers remember which partitions the index lists. Before a tenant's index is taken away they are told to forget:
//! each looks for such notes before it writes, at most [`HEED_EVERY_US`] after it last did, and whoever erases waits
//! longer than that. What is deleted is what was written before the middle of that wait, whatever the clocks of the nodes
//! that took it say, as long as they are right to within half of it.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use model::{Clock as _, Micros, SystemClock, TenantId};
use tokio::time::sleep;

use super::{
    Inner,
    candidate::Candidate,
    failure::unreadable,
    key::{Bucket, Key, Level, day},
    placing::index_ttl,
    statements::Cql,
    walk::Walk,
};
use crate::{Error, Order};

const HEED_EVERY_US: i64 = 1_000_000;
/// How long an erasure waits for writers to have heard of it.
const HEARD_US: i64 = 2 * HEED_EVERY_US;
/// How far the clocks of processes may be apart for one's note to be found by another.
const CLOCKS_US: i64 = 60_000_000;
/// How long a note is kept, seconds; a writer that has not looked for nearly as long forgets everything.
const NOTE_TTL: i32 = 86_400;
/// How far ahead of now the taking away of data is dated: a delivery under way, which has not read that the data was
/// erased, does not bring it back.
const AHEAD_US: i64 = 3_600_000_000;

/// Which notes a writer has heeded.
#[derive(Debug, Default)]
pub(super) struct Heeded(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    looked_at: Option<Micros>,
    known: HashSet<(Micros, String)>,
}

impl Inner {
    /// Forgets the partitions of tenants that are being erased. Not one write goes by what it knew before.
    pub(super) async fn heed_erasures(&self) -> Result<(), Error> {
        let now = SystemClock.now();
        let looked_at = self.heeded.0.lock().unwrap_or_else(PoisonError::into_inner).looked_at;
        if looked_at.is_some_and(|at| now.saturating_sub(at) < HEED_EVERY_US) {
            return Ok(());
        }
        let since = looked_at.unwrap_or(now).saturating_sub(CLOCKS_US);
        let mut notes: Vec<(Micros, String)> = Vec::new();
        for day in day(since)..=day(now.saturating_add(CLOCKS_US)) {
            let rows = self.rows(Cql::Erasures, (day, since)).await?;
            let rows = rows.rows::<(i64, String)>().map_err(unreadable)?;
            notes.extend(rows.collect::<Result<Vec<_>, _>>().map_err(unreadable)?);
        }
        let mut state = self.heeded.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = looked_at.is_some_and(|at| now.saturating_sub(at) > i64::from(NOTE_TTL) * 500_000);
        if lost {
            self.placing.forget_all();
        }
        state.known.retain(|(at, _)| *at >= since.saturating_sub(CLOCKS_US));
        for note in notes {
            if state.known.insert(note.clone())
                && let Ok(tenant) = note.1.parse()
            {
                self.placing.forget(&tenant);
            }
        }
        state.looked_at = Some(now);
        Ok(())
    }

    pub(super) async fn erase_tenant(&self, tenant: &TenantId) -> Result<(), Error> {
        let mut walk = Walk::new(self, tenant, Order::OldestFirst, (Key::MIN, Key::MAX));
        if walk.next_buckets().await?.is_none() {
            return Ok(());
        }
        let begun = SystemClock.now();
        self.run(Cql::InsertErasure, (day(begun), begun, tenant.as_str(), NOTE_TTL)).await?;
        sleep(Duration::from_micros(HEARD_US.unsigned_abs())).await;
        self.placing.forget(tenant);
        let written_before = begun + HEARD_US / 2;
        let mut walk = Walk::new(self, tenant, Order::OldestFirst, (Key::MIN, Key::MAX));
        let mut days = HashSet::new();
        while let Some(buckets) = walk.next_buckets().await? {
            for bucket in buckets {
                self.erase_bucket(tenant, bucket, written_before).await?;
                days.insert((day(bucket.level.start(bucket.window)), bucket.level));
            }
        }
        for (day, level) in days {
            let values = (written_before, tenant.as_str(), day, level.number(), i64::MIN, i64::MAX);
            self.run(Cql::DeleteBuckets, values).await?;
            self.run(Cql::DeleteDay, (written_before, tenant.as_str(), day, level.number())).await?;
        }
        Ok(())
    }

    /// Takes a partition away with the candidates of its events, and looks whether it is gone.
    async fn erase_bucket(
        &self,
        tenant: &TenantId,
        bucket: Bucket,
        written_before: Micros,
    ) -> Result<(), Error> {
        let (level, window, shard) = bucket.values();
        let mut pages = self.pages(Cql::Identities);
        while let Some(identities) = self.identities(&mut pages, tenant, bucket).await? {
            let delete = |(_, source, id): (Key, String, String)| async move {
                let values = (written_before, tenant.as_str(), source, id);
                self.run(Cql::DeleteIdentity, values).await
            };
            let deleting = identities.into_iter().map(delete).collect();
            self.side_by_side(deleting).await?;
        }
        let partition = (tenant.as_str(), level, window, shard);
        self.run(Cql::DeleteEvents, (written_before, tenant.as_str(), level, window, shard)).await?;
        let mut pages = self.pages(Cql::Written);
        while let Some(rows) = pages.next(&partition).await? {
            for row in rows.rows::<(Option<i64>,)>().map_err(unreadable)? {
                let (written,) = row.map_err(unreadable)?;
                if written.is_some_and(|at| at <= written_before) {
                    return Err(Error::Unavailable(
                        "a partition that was erased is still there; erase again".into(),
                    ));
                }
            }
        }
        Ok(())
    }

    async fn identities(
        &self,
        pages: &mut super::Pages<'_>,
        tenant: &TenantId,
        bucket: Bucket,
    ) -> Result<Option<Vec<(Key, String, String)>>, Error> {
        type Row = (i64, i64, i64, i32, Option<String>, Option<String>);
        let (level, window, shard) = bucket.values();
        let Some(rows) = pages.next(&(tenant.as_str(), level, window, shard)).await? else { return Ok(None) };
        let mut identities = Vec::new();
        for row in rows.rows::<Row>().map_err(unreadable)? {
            let (received_at, partition, sequence, index, source, id) = row.map_err(unreadable)?;
            // Of a row that only says that it gave way, the one it gave way to has the identity.
            if let (Some(source), Some(id)) = (source, id) {
                identities.push((Key { received_at, partition, sequence, index }, source, id));
            }
        }
        Ok(Some(identities))
    }

    pub(super) async fn erase_data(&self, tenant: &TenantId, source: &str, id: &str) -> Result<bool, Error> {
        if self.get(tenant, source, id).await?.is_none() {
            return Ok(false);
        }
        let candidates = self.candidates(tenant, source, id).await?;
        // First of all whoever delivers one of them again must find it erased.
        for candidate in &candidates {
            self.erase_candidate(tenant, source, id, candidate).await?;
        }
        let ttl = index_ttl(self.ttl(tenant));
        for Candidate { key, bucket, .. } in candidates {
            let (level, window, shard) = bucket.values();
            let (received_at, partition, sequence, index) = key.values();
            let tenant = tenant.as_str();
            let values = (ttl, tenant, level, window, shard, received_at, partition, sequence, index);
            self.run(Cql::EraseMark, values).await?;
            let ahead = SystemClock.now().saturating_add(AHEAD_US);
            let values = (ahead, tenant, level, window, shard, received_at, partition, sequence, index);
            self.run(Cql::EraseData, values).await?;
        }
        Ok(true)
    }

    async fn erase_candidate(
        &self,
        tenant: &TenantId,
        source: &str,
        id: &str,
        candidate: &Candidate,
    ) -> Result<(), Error> {
        let ttl = index_ttl(self.ttl(tenant));
        let (level, _, shard) = candidate.bucket.values();
        let (received_at, partition, sequence, index) = candidate.key.values();
        let stored_at = candidate.stored_at;
        let tenant = tenant.as_str();
        let values =
            (ttl, tenant, source, id, received_at, partition, sequence, index, stored_at, level, shard);
        self.run(Cql::EraseCandidate, values).await
    }

    /// Rows expire by themselves; this is for those that were written when the tenant kept them longer.
    pub(super) async fn expire(&self, tenant: &TenantId, before: Micros) -> Result<(), Error> {
        let now = SystemClock.now();
        let mut walk = Walk::new(self, tenant, Order::OldestFirst, (Key::MIN, Key::before(before)));
        let mut days = HashSet::new();
        while let Some(buckets) = walk.next_buckets().await? {
            for bucket in buckets {
                let end = bucket.level.start(bucket.window.saturating_add(1));
                if end > before {
                    continue;
                }
                let mut pages = self.pages(Cql::Identities);
                while let Some(identities) = self.identities(&mut pages, tenant, bucket).await? {
                    self.delete_candidates(tenant, identities, now).await?;
                }
                let (level, window, shard) = bucket.values();
                self.run(Cql::DeleteEvents, (now, tenant.as_str(), level, window, shard)).await?;
                let day = day(bucket.level.start(bucket.window));
                self.run(Cql::DeleteBuckets, (now, tenant.as_str(), day, level, window, window)).await?;
                if Level::Day.start(i64::from(day) + 1) <= before {
                    days.insert((day, level));
                }
            }
        }
        // Last of all: until then whoever begins again finds what is left.
        for (day, level) in days {
            self.run(Cql::DeleteDay, (now, tenant.as_str(), day, level)).await?;
        }
        Ok(())
    }

    async fn delete_candidates(
        &self,
        tenant: &TenantId,
        of: Vec<(Key, String, String)>,
        written_before: Micros,
    ) -> Result<(), Error> {
        let delete = |(key, source, id): (Key, String, String)| async move {
            let (received_at, partition, sequence, index) = key.values();
            let tenant = tenant.as_str();
            let values = (written_before, tenant, source, id, received_at, partition, sequence, index);
            self.run(Cql::DeleteCandidate, values).await
        };
        self.side_by_side(of.into_iter().map(delete).collect()).await.map(drop)
    }
}
