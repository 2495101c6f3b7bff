//! Silence of a partition, and when to doubt it.

use std::time::{Duration, Instant};

/// When to look whether silence is right: soon after a take-over, seldom later.
pub(crate) struct IdleCheck {
    pub(crate) next: Instant,
    wait: Duration,
    checks: u32,
}

impl IdleCheck {
    const FIRST: Duration = Duration::from_millis(500);
    const MOST: Duration = Duration::from_secs(16);

    pub(crate) fn new() -> Self {
        Self { next: Instant::now() + Self::FIRST, wait: Self::FIRST, checks: 0 }
    }

    pub(crate) fn reset(&mut self) {
        self.checks = 0;
        self.next = Instant::now() + self.wait;
    }

    pub(crate) fn step(&mut self) {
        self.checks += 1;
        self.wait = (self.wait * 2).min(Self::MOST);
        self.next = Instant::now() + self.wait;
    }

    /// Whether the stream itself is to be asked, too: soon after it fell silent, and seldom later.
    pub(crate) fn is_to_be_proved(&self) -> bool {
        matches!(self.checks, 2 | 4 | 8) || self.checks.is_multiple_of(16)
    }

    /// Whether it has been silent for longer than a pin takes to lapse.
    pub(crate) fn deaf(&self) -> bool {
        self.checks > 4
    }
}
