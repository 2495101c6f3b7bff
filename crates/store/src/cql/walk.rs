//! A walk over a tenant's events in order, across partitions.
//!
//! Days follow one another. Within a day each level is a row of partitions in order of time, and those of the levels
//! overlap: the walk keeps the current partition of each and takes the next event among their heads.

use std::collections::VecDeque;

use futures::future::try_join_all;
use model::TenantId;

use super::{
    Inner,
    failure::unreadable,
    key::{Bucket, Key, Level, SHARDS, day},
    row::Row,
    statements::Cql,
};
use crate::{Error, Order};

/// Entries of the index read at a time: of days, where a day has up to four, and of partitions, where a second has as many
/// as there are shards. A slice always holds more than one day's or second's, so that the last, which may be cut, can be
/// left for the next slice.
const SLICE: usize = 64;
/// Rows read of a partition at a time, at most.
const ROWS_MAX: usize = 256;
/// What a row is taken to be while none has been seen.
const ROW_BYTES_GUESS: u64 = 4 << 10;

pub(super) struct Walk<'a> {
    inner: &'a Inner,
    tenant: &'a TenantId,
    order: Order,
    /// Everything between these is still to be walked; both left out.
    range: (Key, Key),
    days: VecDeque<(i32, Vec<Level>)>,
    /// What of the index of days has not been read.
    days_left: Option<(i32, i32)>,
    levels: Vec<LevelWalk>,
    requests_left: u32,
    rows_seen: u64,
    bytes_seen: u64,
}

/// One level of a day.
struct LevelWalk {
    level: Level,
    day: i32,
    windows: VecDeque<(i64, Vec<i8>)>,
    windows_left: Option<(i64, i64)>,
    /// The partitions of the current window.
    parts: Vec<Part>,
}

struct Part {
    bucket: Bucket,
    rows: VecDeque<Row>,
    range: (Key, Key),
    done: bool,
}

/// What is to be read before the walk can go on.
enum Need {
    Windows { level: usize, range: (i64, i64) },
    Rows { level: usize, part: usize, bucket: Bucket, range: (Key, Key), limit: usize },
}

enum Got {
    Windows(usize, Vec<(i64, i8)>),
    Rows { level: usize, part: usize, rows: Vec<Row>, limit: usize },
}

impl<'a> Walk<'a> {
    pub(super) fn new(inner: &'a Inner, tenant: &'a TenantId, order: Order, range: (Key, Key)) -> Self {
        Self {
            inner,
            tenant,
            order,
            range,
            days: VecDeque::new(),
            days_left: Some((day(range.0.received_at), day(range.1.received_at))),
            levels: Vec::new(),
            requests_left: inner.options.page_requests_max,
            rows_seen: 0,
            bytes_seen: 0,
        }
    }

    fn up(&self) -> bool {
        self.order == Order::OldestFirst
    }

    /// Everything up to here, in the walk's order, has been walked.
    pub(super) fn reached(&self) -> Key {
        if self.up() { self.range.0 } else { self.range.1 }
    }

    fn reach(&mut self, key: Key) {
        if self.up() {
            self.range.0 = self.range.0.max(key);
        } else {
            self.range.1 = self.range.1.min(key);
        }
    }

    /// Whether there may be something left.
    pub(super) fn has_more(&self) -> bool {
        !(self.levels.is_empty() && self.days.is_empty() && self.days_left.is_none())
    }

    /// Reads what is needed to know the next row. Says whether it is known: not at the end, nor when the walk has
    /// made so many requests that it had better go on in another page.
    pub(super) async fn ready(&mut self, want: usize, bytes_left: u64) -> Result<bool, Error> {
        loop {
            while self.levels.is_empty() {
                if !self.next_day().await? {
                    return Ok(false);
                }
            }
            let range = self.range;
            self.levels.iter_mut().for_each(|level| level.advance(range));
            self.levels.retain(|level| !level.is_done());
            let needs = self.needs(want, bytes_left);
            if needs.is_empty() {
                if self.levels.is_empty() {
                    continue;
                }
                return Ok(true);
            }
            let begun = self.reached();
            if self.requests_left == 0 {
                self.reach_frontier();
                if self.rows_seen > 0 || self.reached() != begun {
                    return Ok(false);
                }
            }
            self.requests_left =
                self.requests_left.saturating_sub(u32::try_from(needs.len()).unwrap_or(u32::MAX));
            let this = &*self;
            let got = try_join_all(needs.into_iter().map(|need| this.fetch(need))).await?;
            got.into_iter().for_each(|got| self.take(got));
        }
    }

    /// The next row, once [`Walk::ready`].
    pub(super) fn next(&mut self) -> Option<Row> {
        let up = self.up();
        let heads = self.levels.iter().flat_map(|level| &level.parts);
        let heads = heads.filter_map(|part| part.rows.front().map(Row::key));
        let key = if up { heads.min() } else { heads.max() }?;
        // An event that two writers put into different partitions stands in both, and in one of them it is not to be seen.
        let mut next: Option<Row> = None;
        for part in self.levels.iter_mut().flat_map(|level| &mut level.parts) {
            if let Some(row) = part.rows.pop_front_if(|row| row.key() == key) {
                self.rows_seen += 1;
                self.bytes_seen += row.size();
                if next.as_ref().is_none_or(|known| !known.is_kept()) {
                    next = Some(row);
                }
            }
        }
        self.reach(key);
        next
    }

    /// All partitions of the next slice of the index, for who needs no order.
    pub(super) async fn next_buckets(&mut self) -> Result<Option<Vec<Bucket>>, Error> {
        loop {
            while self.levels.is_empty() {
                if !self.next_day().await? {
                    return Ok(None);
                }
            }
            let mut buckets = Vec::new();
            for level in &mut self.levels {
                for (window, shards) in level.windows.drain(..) {
                    let of = |shard| Bucket { level: level.level, window, shard };
                    buckets.extend(shards.into_iter().map(of));
                }
            }
            self.levels.retain(|level| !level.is_done());
            if !buckets.is_empty() {
                return Ok(Some(buckets));
            }
            let needs: Vec<_> = self.needs(0, 0);
            let this = &*self;
            let got = try_join_all(needs.into_iter().map(|need| this.fetch(need))).await?;
            got.into_iter().for_each(|got| self.take(got));
        }
    }

    /// Begins the next day; says whether there is one.
    async fn next_day(&mut self) -> Result<bool, Error> {
        if self.days.is_empty() {
            self.read_days().await?;
        }
        let Some((day, levels)) = self.days.pop_front() else { return Ok(self.days_left.is_some()) };
        let day_start = Level::Day.start(day.into());
        let day_end = Level::Day.start(i64::from(day) + 1);
        let from = self.range.0.received_at.max(day_start);
        let to = self.range.1.received_at.min(day_end.saturating_sub(1));
        for level in levels {
            let windows = (level.window(from), level.window(to));
            // A day is its own window: the index has nothing to add.
            let known = level == Level::Day;
            self.levels.push(LevelWalk {
                level,
                day,
                windows: if known { VecDeque::from([(day.into(), vec![0])]) } else { VecDeque::new() },
                windows_left: (!known).then_some(windows),
                parts: Vec::new(),
            });
        }
        Ok(true)
    }

    async fn read_days(&mut self) -> Result<(), Error> {
        let Some((from, to)) = self.days_left.take() else { return Ok(()) };
        let statement = if self.up() { Cql::DaysUp } else { Cql::DaysDown };
        let limit = i32::try_from(SLICE).unwrap_or(i32::MAX);
        let rows = self.inner.rows(statement, (self.tenant.as_str(), from, to, limit)).await?;
        let mut read = 0;
        for row in rows.rows::<(i32, i8)>().map_err(unreadable)? {
            let (day, level) = row.map_err(unreadable)?;
            let level = Level::of(level).ok_or_else(|| unreadable(format!("the unknown level {level}")))?;
            match self.days.back_mut() {
                Some((known, levels)) if *known == day => levels.push(level),
                _ => self.days.push_back((day, vec![level])),
            }
            read += 1;
        }
        if read == SLICE
            && let Some((cut, _)) = self.days.pop_back()
        {
            self.days_left = Some(if self.up() { (cut, to) } else { (from, cut) });
        }
        Ok(())
    }

    fn needs(&self, want: usize, bytes_left: u64) -> Vec<Need> {
        let row_bytes = self.bytes_seen.checked_div(self.rows_seen).unwrap_or(ROW_BYTES_GUESS).max(1);
        let affordable = usize::try_from(bytes_left / row_bytes).unwrap_or(usize::MAX).clamp(1, ROWS_MAX);
        let mut needs = Vec::new();
        for (level, walk) in self.levels.iter().enumerate() {
            if let (true, true, Some(range)) =
                (walk.parts.is_empty(), walk.windows.is_empty(), walk.windows_left)
            {
                needs.push(Need::Windows { level, range });
            }
            // Of partitions side by side each is likely to hold its share.
            let share = want / walk.parts.len().max(1) + if walk.parts.len() > 1 { 8 } else { 0 };
            let limit = share.clamp(1, affordable);
            for (part, of) in walk.parts.iter().enumerate() {
                if of.rows.is_empty() && !of.done {
                    needs.push(Need::Rows { level, part, bucket: of.bucket, range: of.range, limit });
                }
            }
        }
        needs
    }

    async fn fetch(&self, need: Need) -> Result<Got, Error> {
        match need {
            Need::Windows { level, range: (from, to) } => {
                let walk = &self.levels[level];
                let statement = if self.up() { Cql::BucketsUp } else { Cql::BucketsDown };
                let limit = i32::try_from(SLICE).unwrap_or(i32::MAX);
                let values = (self.tenant.as_str(), walk.day, walk.level.number(), from, to, limit);
                let rows = self.inner.rows(statement, values).await?;
                let rows = rows.rows::<(i64, i8)>().map_err(unreadable)?;
                Ok(Got::Windows(level, rows.collect::<Result<_, _>>().map_err(unreadable)?))
            }
            Need::Rows { level, part, bucket, range, limit } => {
                let rows = self.inner.rows_between(self.tenant, bucket, range, self.order, limit).await?;
                Ok(Got::Rows { level, part, rows, limit })
            }
        }
    }

    fn take(&mut self, got: Got) {
        let up = self.up();
        let range = self.range;
        match got {
            Got::Windows(level, found) => {
                let walk = &mut self.levels[level];
                let left = walk.windows_left.take();
                let cut = found.len() == SLICE;
                for (window, shard) in found {
                    match walk.windows.back_mut() {
                        Some((known, shards)) if *known == window => shards.push(shard),
                        _ => walk.windows.push_back((window, vec![shard])),
                    }
                }
                if cut && let (Some((window, _)), Some((from, to))) = (walk.windows.pop_back(), left) {
                    walk.windows_left = Some(if up { (window, to) } else { (from, window) });
                }
            }
            Got::Rows { level, part, rows, limit } => {
                let part = &mut self.levels[level].parts[part];
                part.done = rows.len() < limit;
                if let Some(last) = rows.last() {
                    let last = last.key();
                    part.range = if up { (last, range.1) } else { (range.0, last) };
                }
                part.rows = rows.into();
            }
        }
    }

    /// Nothing lies before what is to be read next: goes there, when no row said where the walk is.
    fn reach_frontier(&mut self) {
        let up = self.up();
        let of_window = |level: Level, window: i64| {
            Key::before(level.start(if up { window } else { window.saturating_add(1) }))
        };
        let mut frontier: Option<Key> = None;
        for walk in &self.levels {
            let parts = walk.parts.iter().map(|part| match part.rows.front() {
                // The row itself is still to come; what comes before it is not there.
                Some(row) => Key::before(row.key().received_at.saturating_add(i64::from(!up))),
                None if up => part.range.0,
                None => part.range.1,
            });
            let next = walk.windows.front().map(|(window, _)| *window);
            let next = next.or_else(|| walk.windows_left.map(|(from, to)| if up { from } else { to }));
            let window = next.filter(|_| walk.parts.is_empty()).map(|w| of_window(walk.level, w));
            for key in parts.chain(window) {
                frontier = Some(frontier.map_or(key, |f| if up { f.min(key) } else { f.max(key) }));
            }
        }
        if let Some(frontier) = frontier {
            self.reach(frontier);
        }
    }
}

impl LevelWalk {
    /// Leaves partitions that have nothing more, and goes on to the next window that is known.
    fn advance(&mut self, range: (Key, Key)) {
        self.parts.retain(|part| !(part.done && part.rows.is_empty()));
        if self.parts.is_empty()
            && let Some((window, shards)) = self.windows.pop_front()
        {
            let level = self.level;
            let of = |shard| Part {
                bucket: Bucket { level, window, shard },
                rows: VecDeque::new(),
                range,
                done: false,
            };
            self.parts = shards.into_iter().map(of).collect();
        }
    }

    fn is_done(&self) -> bool {
        self.parts.is_empty() && self.windows.is_empty() && self.windows_left.is_none()
    }
}

const _: () = assert!(SLICE > SHARDS as usize && SLICE > 2 * Level::ALL.len());
