//! Tells how far a run is, and gives up when it is no further for long.

use std::time::Duration;

use anyhow::ensure;

/// Between two lines that say how far it is.
const TELL: Duration = Duration::from_secs(2);

/// How far a run is.
#[derive(Debug)]
pub(crate) struct Progress {
    told: Duration,
    moved: Duration,
    last: [u64; 3],
    stall: Duration,
    to: fn(&str),
}

impl Progress {
    /// Nothing so far; told by `to`.
    pub(crate) fn new(stall: Duration, to: fn(&str)) -> Self {
        Self { told: Duration::ZERO, moved: Duration::ZERO, last: [0; 3], stall, to }
    }

    /// How many are accepted, stored and counted, and in the tenant stream.
    pub(crate) fn see(&mut self, elapsed: Duration, now: [u64; 3]) -> anyhow::Result<()> {
        if now != self.last {
            self.last = now;
            self.moved = elapsed;
        }
        if elapsed - self.told >= TELL {
            self.told = elapsed;
            self.tell();
        }
        let [accepted, usage, stream] = now;
        ensure!(
            elapsed - self.moved < self.stall,
            "nothing moves any more: {accepted} accepted, {usage} stored and counted, {stream} in the tenant stream"
        );
        Ok(())
    }

    fn tell(&self) {
        let [accepted, usage, stream] = self.last;
        (self.to)(&format!(
            "{:>5.0} s  {accepted:>9} accepted  {usage:>9} stored and counted  {stream:>9} in the tenant stream",
            self.told.as_secs_f64()
        ));
    }

    /// The last of it.
    pub(crate) fn end(&mut self, elapsed: Duration, now: [u64; 3]) {
        (self.told, self.last) = (elapsed, now);
        self.tell();
    }
}
