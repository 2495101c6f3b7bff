//! A walk over a tenant's events in order, across partitions.
//!
//! Days follow one another. Within a day each level is a row of partitions in order of time, and those of the levels
//! overlap: the walk keeps the current partition of each and takes the next event among their heads. Nothing is read of a
//! level before the walk comes to where its next event can be; a cursor carries that along, so that a page in the middle
//! of a partition reads that partition and nothing else.

mod level;

use std::{cmp::Reverse, collections::VecDeque};

use futures::future::try_join_all;
use model::{Micros, TenantId};

use self::level::{LevelWalk, Part, of_window};
use super::{
    Inner,
    failure::unreadable,
    key::{Bucket, Key, Level, SHARDS, day as day_of},
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

/// Where a walk has got to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// Everything up to here, in the walk's order, has been walked.
    pub(super) done: Key,
    pub(super) order: Order,
    /// The day it is in, and what comes next in it; what is not named has nothing more in that day. None between days.
    pub(super) ahead: Option<(i32, Vec<Ahead>)>,
}

/// When the next event of a level, or of one of its partitions, was received, at the earliest in the walk's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ahead {
    pub(super) level: Level,
    /// Of this partition of the window of that time; none for all of that window.
    pub(super) shard: Option<i8>,
    pub(super) at: Micros,
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
            days_left: Some((day_of(range.0.received_at), day_of(range.1.received_at))),
            levels: Vec::new(),
            requests_left: inner.options.page_requests_max,
            rows_seen: 0,
            bytes_seen: 0,
        }
    }

    /// Goes on where another walk of the same tenant and order ended.
    pub(super) fn go_on(&mut self, position: &Position) {
        self.reach(position.done);
        let (true, Some((day, ahead))) = (position.order == self.order, &position.ahead) else {
            let (from, to) = (self.range.0.received_at, self.range.1.received_at);
            self.days_left = Some((day_of(from), day_of(to)));
            return;
        };
        let Some((from, to)) = self.days_left.take() else { return };
        let rest = if self.up() { (day.saturating_add(1), to) } else { (from, day.saturating_sub(1)) };
        self.days_left = (rest.0 <= rest.1).then_some(rest);
        for level in Level::ALL {
            let of_level: Vec<_> = ahead.iter().filter(|next| next.level == level).copied().collect();
            if !of_level.is_empty() {
                self.begin_level(*day, level, &of_level);
            }
        }
    }

    /// Where the walk is.
    pub(super) fn position(&self) -> Position {
        let up = self.up();
        let ahead: Vec<_> = self.levels.iter().flat_map(|level| level.ahead(up)).collect();
        let day = self.levels.first().map(|level| level.day);
        Position { done: self.reached(), order: self.order, ahead: day.map(|day| (day, ahead)) }
    }

    fn up(&self) -> bool {
        self.order == Order::OldestFirst
    }

    /// Everything up to here, in the walk's order, has been walked.
    fn reached(&self) -> Key {
        if self.up() { self.range.0 } else { self.range.1 }
    }

    fn reach(&mut self, key: Key) {
        if self.up() {
            self.range.0 = self.range.0.max(key);
        } else {
            self.range.1 = self.range.1.min(key);
        }
    }

    /// Whether nothing lies between the two ends.
    pub(super) fn is_over(&self) -> bool {
        self.range.0 >= self.range.1
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
            self.levels.iter_mut().for_each(LevelWalk::advance);
            self.levels.retain(|level| !level.is_done());
            let needs = self.needs(want, bytes_left);
            if needs.is_empty() {
                if self.levels.is_empty() {
                    continue;
                }
                return Ok(true);
            }
            let begun = self.reached();
            // Not with a row in hand: a page that does much for nothing is better than one that says nothing.
            if self.requests_left == 0 && (self.rows_seen > 0 || !self.has_rows()) {
                self.reach_frontier();
                if self.rows_seen > 0 || self.reached() != begun {
                    return Ok(false);
                }
            }
            let reads = needs.iter().filter(|need| matches!(need, Need::Rows { .. })).count();
            self.requests_left = self.requests_left.saturating_sub(u32::try_from(reads).unwrap_or(u32::MAX));
            let this = &*self;
            let got = try_join_all(needs.into_iter().map(|need| this.fetch(need))).await?;
            got.into_iter().for_each(|got| self.take(got));
        }
    }

    fn has_rows(&self) -> bool {
        self.levels.iter().flat_map(|level| &level.parts).any(|part| !part.rows.is_empty())
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
            let needs = self.needs(0, 0);
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
        levels.into_iter().for_each(|level| self.begin_level(day, level, &[]));
        Ok(true)
    }

    /// Begins a level of a day, at its beginning or at what is known to come next.
    fn begin_level(&mut self, day: i32, level: Level, ahead: &[Ahead]) {
        let up = self.up();
        let from_time = |range: (Key, Key), at: Micros| {
            if up {
                (range.0.max(Key::before(at)), range.1)
            } else {
                (range.0, range.1.min(Key::before(at.saturating_add(1))))
            }
        };
        let whole_day = of_window(Level::Day, day.into(), self.range);
        let times = ahead.iter().map(|next| next.at);
        let at = if up { times.min() } else { times.max() };
        let range = at.map_or(whole_day, |at| from_time(whole_day, at));
        let (from, to) = (level.window(range.0.received_at), level.window(range.1.received_at));
        let mut walk =
            LevelWalk { level, day, range, windows: VecDeque::new(), windows_left: None, parts: Vec::new() };
        // Where the next event is, is a partition, and a day is its own window: the index has nothing to add.
        let window = at.map(|at| level.window(at)).or_else(|| (level == Level::Day).then_some(day.into()));
        let Some(window) = window else {
            walk.windows_left = Some((from, to));
            self.levels.push(walk);
            return;
        };
        let rest = if up { (window.saturating_add(1), to) } else { (from, window.saturating_sub(1)) };
        walk.windows_left = (level != Level::Day && rest.0 <= rest.1).then_some(rest);
        let shards = ahead.iter().filter(|next| level.window(next.at) == window);
        let known: Vec<_> = shards.filter_map(|next| Some((next.shard?, next.at))).collect();
        if known.is_empty() {
            let shards = if level == Level::Second { SHARDS } else { 1 };
            let shards = (0..shards).filter_map(|shard| i8::try_from(shard).ok()).collect();
            walk.windows.push_back((window, shards));
        } else {
            let of_window = of_window(level, window, range);
            let part = |(shard, at)| Part::new(level, window, shard, from_time(of_window, at));
            walk.parts = known.into_iter().map(part).collect();
        }
        self.levels.push(walk);
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

    /// What is to be read before the next row is known: of each level whose next may come before the first of the rows
    /// that are there, or, while there is none, of the levels that may come first.
    fn needs(&self, want: usize, bytes_left: u64) -> Vec<Need> {
        let up = self.up();
        // In the walk's order, smaller is earlier.
        let rank = |key: Key| if up { (Some(key), None) } else { (None, Some(Reverse(key))) };
        let heads = self.levels.iter().flat_map(|level| &level.parts).filter_map(|part| part.rows.front());
        let head = heads.map(|row| rank(row.key())).min();
        let unread = |level: &LevelWalk| level.unread(up).map(rank);
        let until = head.or_else(|| self.levels.iter().filter_map(unread).min());
        let row_bytes = self.bytes_seen.checked_div(self.rows_seen).unwrap_or(ROW_BYTES_GUESS).max(1);
        let affordable = usize::try_from(bytes_left / row_bytes).unwrap_or(usize::MAX).clamp(1, ROWS_MAX);
        let mut needs = Vec::new();
        for (level, walk) in self.levels.iter().enumerate() {
            if unread(walk).is_none_or(|at| until.is_some_and(|until| at > until)) {
                continue;
            }
            if let (true, true, Some(range)) =
                (walk.parts.is_empty(), walk.windows.is_empty(), walk.windows_left)
            {
                needs.push(Need::Windows { level, range });
            }
            let late = |part: &Part| until.is_some_and(|until| rank(part.unread(up)) > until);
            let parts = walk.parts.iter().enumerate();
            let parts: Vec<_> = parts.filter(|(_, p)| p.rows.is_empty() && !p.done && !late(p)).collect();
            // Of partitions side by side each is likely to hold its share.
            let share = want / parts.len().max(1) + if parts.len() > 1 { 8 } else { 0 };
            let limit = share.clamp(1, affordable);
            for (part, of) in parts {
                needs.push(Need::Rows { level, part, bucket: of.bucket, range: of.range, limit });
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
                    part.range = if up { (last, part.range.1) } else { (part.range.0, last) };
                }
                part.rows = rows.into();
            }
        }
    }

    /// Nothing lies before what is to be read next: goes there, when no row said where the walk is.
    fn reach_frontier(&mut self) {
        let up = self.up();
        let next = self.levels.iter().filter_map(|level| level.next_at(up));
        // An event of that very time is still to come.
        let frontier = if up { next.min() } else { next.max().map(|at| at.saturating_add(1)) };
        if let Some(frontier) = frontier {
            self.reach(Key::before(frontier));
        }
    }
}

const _: () = assert!(SLICE > SHARDS as usize && SLICE > 2 * Level::ALL.len());
