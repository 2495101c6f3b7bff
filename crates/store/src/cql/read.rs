//! Reading one event, a page, and a count.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use model::{Micros, TenantId};

use super::{
    Inner, cursor,
    failure::unreadable,
    key::{Bucket, Key},
    row::{self, Row},
    statements::Cql,
    walk::Walk,
};
use crate::{Error, EventPage, EventQuery, Order, StoredEvent};

const LIMIT_DEFAULT: u32 = 100;
/// Partitions counted at a time.
const COUNTS_AT_A_TIME: usize = 8;

impl Inner {
    /// The keys a query's times leave, both ends left out. What is older than the tenant keeps is left out too: some of it
    /// has expired, and a server that reads over very much of that gives up.
    fn range(&self, tenant: &TenantId, query: &EventQuery) -> (Key, Key) {
        let since = query.since_us.unwrap_or(Micros::MIN).max(self.kept_since(tenant));
        (Key::before(since), query.until_us.map_or(Key::MAX, Key::before))
    }

    pub(super) async fn get(
        &self,
        tenant: &TenantId,
        source: &str,
        id: &str,
    ) -> Result<Option<StoredEvent>, Error> {
        // The first is the one that is kept. Only while it is being written may its row not be there, and that of
        // another, which is giving way, still be.
        let mut last = None;
        for candidate in self.candidates(tenant, source, id).await? {
            let place = (candidate.key, candidate.bucket);
            if last.replace(place) == Some(place) {
                continue;
            }
            if candidate.key.received_at >= self.kept_since(tenant)
                && let Some(row) = self.row(tenant, candidate.key, candidate.bucket).await?
                && row.is_kept()
            {
                return row.into_event().map(Some);
            }
        }
        Ok(None)
    }

    /// The row of a key, whatever it holds.
    pub(super) async fn row(
        &self,
        tenant: &TenantId,
        key: Key,
        bucket: Bucket,
    ) -> Result<Option<Row>, Error> {
        let (level, window, shard) = bucket.values();
        let (received_at, partition, sequence, index) = key.values();
        let values = (tenant.as_str(), level, window, shard, received_at, partition, sequence, index);
        let rows = self.rows(Cql::Event, values).await?;
        rows.maybe_first_row().map_err(unreadable)
    }

    /// Rows of a partition between two keys, both left out.
    pub(super) async fn rows_between(
        &self,
        tenant: &TenantId,
        bucket: Bucket,
        (lower, upper): (Key, Key),
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        let statement = match order {
            Order::OldestFirst => Cql::EventsUp,
            Order::NewestFirst => Cql::EventsDown,
        };
        let (level, window, shard) = bucket.values();
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let ((a, b, c, d), (e, f, g, h)) = (lower.values(), upper.values());
        let values = (tenant.as_str(), level, window, shard, a, b, c, d, e, f, g, h, limit);
        let rows = self.rows(statement, values).await?;
        rows.rows::<Row>().map_err(unreadable)?.map(|row| row.map_err(unreadable)).collect()
    }

    pub(super) async fn page(&self, tenant: &TenantId, query: &EventQuery) -> Result<EventPage, Error> {
        let (lower, upper) = self.range(tenant, query);
        let position = query.cursor.as_ref().map(|cursor| cursor::decode(tenant, cursor)).transpose()?;
        let mut walk = Walk::new(self, tenant, query.order, (lower, upper));
        if let Some(position) = position {
            walk.go_on(&position);
        }
        if walk.is_over() {
            return Ok(EventPage { events: Vec::new(), next: None });
        }
        let limit = if query.limit == 0 { LIMIT_DEFAULT } else { query.limit };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let filtered = !(query.types.is_empty() && query.sources.is_empty() && query.subjects.is_empty());
        let mut events = Vec::new();
        let mut bytes_left = self.options.page_bytes_max;
        let mut rows_left = self.options.page_rows_max;
        loop {
            // One more than what is missing: so it is known whether there is a next page.
            let want = if filtered { usize::MAX } else { limit.saturating_sub(events.len()) + 1 };
            let more = walk.ready(want, bytes_left).await?;
            let full = events.len() >= limit || bytes_left == 0 || rows_left == 0;
            if !more || full {
                let next = (walk.has_more()).then(|| cursor::encode(tenant, &walk.position()));
                return Ok(EventPage { events, next });
            }
            let Some(row) = walk.next() else { continue };
            rows_left -= 1;
            if row.is_kept() && row.matches(query) {
                bytes_left = bytes_left.saturating_sub(row.size());
                events.push(row.into_event()?);
            }
        }
    }

    pub(super) async fn count(&self, tenant: &TenantId, query: &EventQuery) -> Result<u64, Error> {
        let (lower, upper) = self.range(tenant, query);
        if lower >= upper {
            return Ok(0);
        }
        let mut walk = Walk::new(self, tenant, Order::OldestFirst, (lower, upper));
        let mut count = 0;
        while let Some(buckets) = walk.next_buckets().await? {
            let counts = buckets.into_iter().map(|b| self.count_bucket(tenant, b, (lower, upper), query));
            let counted = stream::iter(counts).buffer_unordered(COUNTS_AT_A_TIME);
            count += counted.try_fold(0, async |sum, n| Ok(sum + n)).await?;
        }
        Ok(count)
    }

    async fn count_bucket(
        &self,
        tenant: &TenantId,
        bucket: Bucket,
        (lower, upper): (Key, Key),
        query: &EventQuery,
    ) -> Result<u64, Error> {
        let (level, window, shard) = bucket.values();
        let ((a, b, c, d), (e, f, g, h)) = (lower.values(), upper.values());
        let values = (tenant.as_str(), level, window, shard, a, b, c, d, e, f, g, h);
        let mut count = 0;
        let mut pages = self.pages(Cql::Count);
        while let Some(rows) = pages.next(&values).await? {
            type Light<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<bool>);
            for row in rows.rows::<Light<'_>>().map_err(unreadable)? {
                let (ty, source, subject, superseded) = row.map_err(unreadable)?;
                let kept = ty.is_some() && superseded != Some(true);
                count += u64::from(kept && row::matches(query, ty, source, subject));
            }
        }
        Ok(count)
    }
}
