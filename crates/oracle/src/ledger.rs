//! What the fleet has promised, and what is in doubt.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

/// What became of each request, by its number. Shared by the lanes.
#[derive(Debug)]
pub struct Ledger {
    requests: u64,
    promised: Marks,
    /// When each was promised, in milliseconds since 1970.
    promised_ms: Vec<AtomicI64>,
    /// Requests of which some attempt had an outcome that nobody knows.
    doubted: Marks,
    /// Those of them that were not sent again.
    given_up: Marks,
}

/// A bit for each request, and how many are set.
#[derive(Debug)]
struct Marks {
    words: Vec<AtomicU64>,
    count: AtomicU64,
}

impl Marks {
    fn new(requests: u64) -> Self {
        let words = usize::try_from(requests.div_ceil(64)).unwrap_or_default();
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), count: AtomicU64::new(0) }
    }

    fn set(&self, request: u64) {
        if let Some(word) = self.word(request) {
            let bit = 1 << (request % 64);
            if word.fetch_or(bit, Relaxed) & bit == 0 {
                self.count.fetch_add(1, Relaxed);
            }
        }
    }

    fn has(&self, request: u64) -> bool {
        self.word(request).is_some_and(|word| word.load(Relaxed) & 1 << (request % 64) != 0)
    }

    fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    fn word(&self, request: u64) -> Option<&AtomicU64> {
        usize::try_from(request / 64).ok().and_then(|index| self.words.get(index))
    }
}

impl Ledger {
    /// A ledger for that many requests, none of them sent.
    #[must_use]
    pub fn new(requests: u64) -> Self {
        let marks = || Marks::new(requests);
        let promised_ms = (0..requests).map(|_| AtomicI64::new(0)).collect();
        Self { requests, promised: marks(), promised_ms, doubted: marks(), given_up: marks() }
    }

    /// Requests there are.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Writes a promise down.
    pub fn promise(&self, request: u64) {
        self.promised.set(request);
        if let Some(at) = self.at(request) {
            at.store(now_ms(), Relaxed);
        }
    }

    /// When it was promised, in milliseconds since 1970; 0 if it never was.
    #[must_use]
    pub fn promised_ms(&self, request: u64) -> i64 {
        self.at(request).map_or(0, |at| at.load(Relaxed))
    }

    fn at(&self, request: u64) -> Option<&AtomicI64> {
        usize::try_from(request).ok().and_then(|index| self.promised_ms.get(index))
    }

    /// Notes that an attempt may have been kept or not.
    pub fn doubt(&self, request: u64) {
        self.doubted.set(request);
    }

    /// Notes that a request in doubt stays so.
    pub fn give_up(&self, request: u64) {
        self.given_up.set(request);
    }

    /// Whether the request was promised.
    #[must_use]
    pub fn is_promised(&self, request: u64) -> bool {
        self.promised.has(request)
    }

    /// Requests promised so far.
    #[must_use]
    pub fn promised(&self) -> u64 {
        self.promised.count()
    }

    /// Requests of which an attempt was in doubt so far.
    #[must_use]
    pub fn doubted(&self) -> u64 {
        self.doubted.count()
    }

    /// Requests that stay in doubt.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.given_up.count()
    }

    /// Requests that are done with.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.promised() + self.given_up()
    }
}

/// Milliseconds since 1970, as the broker counts them.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_counts_once() {
        let ledger = Ledger::new(70);
        ledger.promise(0);
        ledger.promise(69);
        ledger.promise(69);
        ledger.doubt(69);
        ledger.doubt(5);
        ledger.give_up(5);
        assert_eq!((ledger.promised(), ledger.doubted(), ledger.given_up(), ledger.settled()), (2, 2, 1, 3));
        assert!(ledger.is_promised(69) && !ledger.is_promised(5));
    }
}
