//! One level of a day: a row of windows, each of some partitions.

use std::collections::VecDeque;

use model::Micros;

use super::Ahead;
use crate::cql::{
    key::{Bucket, Key, Level},
    row::Row,
};

/// One level of a day.
pub(super) struct LevelWalk {
    pub(super) level: Level,
    pub(super) day: i32,
    /// Nothing is left of it outside.
    pub(super) range: (Key, Key),
    pub(super) windows: VecDeque<(i64, Vec<i8>)>,
    pub(super) windows_left: Option<(i64, i64)>,
    /// The partitions of the current window.
    pub(super) parts: Vec<Part>,
}

pub(super) struct Part {
    pub(super) bucket: Bucket,
    pub(super) rows: VecDeque<Row>,
    pub(super) range: (Key, Key),
    pub(super) done: bool,
}

/// What of a range of keys lies in a window.
pub(super) fn of_window(level: Level, window: i64, (lower, upper): (Key, Key)) -> (Key, Key) {
    let (start, end) = (level.start(window), level.start(window.saturating_add(1)));
    // The last window of all has no end that could be said.
    let end = if end > start { Key::before(end) } else { Key::MAX };
    (lower.max(Key::before(start)), upper.min(end))
}

/// The end of a range from which a walk comes.
pub(super) fn side(range: (Key, Key), up: bool) -> Key {
    if up { range.0 } else { range.1 }
}

/// The first time of receipt there may be after a bound, which is left out itself: downwards, and at the beginning of an
/// instant, that is the instant before.
pub(super) fn time_after(bound: Key, up: bool) -> Micros {
    let before = !up && bound == Key::before(bound.received_at);
    bound.received_at.saturating_sub(i64::from(before))
}

impl Part {
    pub(super) fn new(level: Level, window: i64, shard: i8, range: (Key, Key)) -> Self {
        let bucket = Bucket { level, window, shard };
        Self { bucket, rows: VecDeque::new(), range, done: range.0 >= range.1 }
    }

    /// Before everything of it that is not read yet.
    pub(super) fn unread(&self, up: bool) -> Key {
        side(self.range, up)
    }
}

impl LevelWalk {
    /// Leaves partitions that have nothing more, and goes on to the next window that is known.
    pub(super) fn advance(&mut self) {
        self.parts.retain(|part| !(part.done && part.rows.is_empty()));
        if self.parts.is_empty()
            && let Some((window, shards)) = self.windows.pop_front()
        {
            let (level, range) = (self.level, of_window(self.level, window, self.range));
            let of = |shard| Part::new(level, window, shard, range);
            self.parts = shards.into_iter().map(of).collect();
        }
    }

    /// Before everything that is not read yet, if there is such.
    pub(super) fn unread(&self, up: bool) -> Option<Key> {
        let unread = self.parts.iter().filter(|part| part.rows.is_empty() && !part.done);
        let unread = unread.map(|part| part.unread(up));
        if let Some(first) = if up { unread.min() } else { unread.max() } {
            return Some(first);
        }
        let window = self.windows.front().map(|(window, _)| *window);
        let window = window.or_else(|| self.windows_left.map(|(from, to)| if up { from } else { to }));
        // While the current window has something, the next is of no interest.
        let window = window.filter(|_| self.parts.is_empty());
        window.map(|window| side(of_window(self.level, window, self.range), up))
    }

    /// What comes next, of each partition where they are known.
    pub(super) fn ahead(&self, up: bool) -> Vec<Ahead> {
        let level = self.level;
        let parts = self.parts.iter().filter_map(|part| {
            let at = match part.rows.front() {
                Some(row) => row.key().received_at,
                None if part.done => return None,
                None => time_after(part.unread(up), up),
            };
            Some(Ahead { level, shard: Some(part.bucket.shard), at })
        });
        let parts: Vec<_> = parts.collect();
        if !parts.is_empty() {
            return parts;
        }
        // What is known of the current window is that it is over.
        let over = Self { parts: Vec::new(), windows: self.windows.clone(), ..*self };
        over.unread(up).map(|key| Ahead { level, shard: None, at: time_after(key, up) }).into_iter().collect()
    }

    /// The earliest, in the walk's order, that its next event can have been received.
    pub(super) fn next_at(&self, up: bool) -> Option<Micros> {
        let times = self.ahead(up).into_iter().map(|next| next.at);
        if up { times.min() } else { times.max() }
    }

    pub(super) fn is_done(&self) -> bool {
        self.parts.is_empty() && self.windows.is_empty() && self.windows_left.is_none()
    }
}
