//! The judge: every event that was promised must be in each place once, with its bytes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::load::{Load, SOURCE, TYPE};

/// Which requests the fleet has promised to keep (answered with 2xx). Shared by the connections.
#[derive(Debug)]
pub(crate) struct Ledger {
    words: Vec<AtomicU64>,
    requests: u64,
    promised: AtomicU64,
}

impl Ledger {
    /// A ledger for that many requests, none of them promised.
    pub(crate) fn new(requests: u64) -> Self {
        let words = usize::try_from(requests.div_ceil(64)).unwrap_or_default();
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), requests, promised: AtomicU64::new(0) }
    }

    /// Requests there are.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Writes a promise down.
    pub(crate) fn promise(&self, request: u64) {
        if let Some(word) = self.word(request) {
            let bit = 1 << (request % 64);
            if word.fetch_or(bit, Relaxed) & bit == 0 {
                self.promised.fetch_add(1, Relaxed);
            }
        }
    }

    /// Whether the request was promised.
    pub(crate) fn has(&self, request: u64) -> bool {
        self.word(request).is_some_and(|word| word.load(Relaxed) & 1 << (request % 64) != 0)
    }

    /// Requests promised so far.
    pub(crate) fn promised(&self) -> u64 {
        self.promised.load(Relaxed)
    }

    fn word(&self, request: u64) -> Option<&AtomicU64> {
        usize::try_from(request / 64).ok().and_then(|index| self.words.get(index))
    }
}

/// What was found in one place: the event store, the usage store or the tenant stream.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    load: &'a Load,
    times: Vec<u8>,
    verdict: Verdict,
}

/// What is wrong with one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// Events there, each counted once.
    pub(crate) found: u64,
    /// Promised events that are not there.
    pub(crate) lost: u64,
    /// Events that are there more than once, counted by what is too many.
    pub(crate) doubled: u64,
    /// Events that are not as they were sent, and events nobody sent.
    pub(crate) altered: u64,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub(crate) fn is_good(&self) -> bool {
        self.lost + self.doubled + self.altered == 0
    }
}

impl<'a> Place<'a> {
    /// An empty place that may hold the events of that many requests.
    pub(crate) fn new(load: &'a Load, requests: u64) -> Self {
        let events = usize::try_from(requests * load.per_request()).unwrap_or_default();
        Self { load, times: vec![0; events], verdict: Verdict::default() }
    }

    /// An event was found with these attributes and data.
    pub(crate) fn found(&mut self, id: &str, source: &str, ty: &str, data: &[u8]) {
        let as_sent = |number| self.load.is_data_of(number, data) && source == SOURCE && ty == TYPE;
        let good = self.count(id).is_some_and(as_sent);
        self.verdict.altered += u64::from(!good);
    }

    /// Something that names an event was found: a usage record.
    pub(crate) fn named(&mut self, id: &str, source: &str) {
        let good = self.count(id).is_some() && source == SOURCE;
        self.verdict.altered += u64::from(!good);
    }

    /// Counts the event with this id, if it is one of those that were sent, and gives its number.
    fn count(&mut self, id: &str) -> Option<u64> {
        let number = self.load.number(id)?;
        let times = self.times.get_mut(usize::try_from(number).ok()?)?;
        *times = times.saturating_add(1);
        if *times == 1 {
            self.verdict.found += 1;
        } else {
            self.verdict.doubled += 1;
        }
        Some(number)
    }

    /// Compares with what was promised.
    pub(crate) fn judge(mut self, ledger: &Ledger) -> Verdict {
        let missing =
            |(number, times): (u64, &u8)| *times == 0 && ledger.has(number / self.load.per_request());
        self.verdict.lost = (0..).zip(&self.times).map(|pair| u64::from(missing(pair))).sum();
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(load: &Load, request: u64) -> Vec<(String, Vec<u8>)> {
        #[derive(serde::Deserialize)]
        struct Event<'a> {
            id: String,
            #[serde(borrow)]
            data: &'a serde_json::value::RawValue,
        }
        let body = load.body(request);
        let events: Vec<Event<'_>> = serde_json::from_slice(&body).unwrap();
        events.into_iter().map(|e| (e.id, e.data.get().as_bytes().to_vec())).collect()
    }

    #[test]
    fn each_wrong_is_told_apart() {
        let load = Load::new(1, 2, 128);
        let ledger = Ledger::new(3);
        ledger.promise(0);
        ledger.promise(1);
        ledger.promise(1);
        assert_eq!(ledger.promised(), 2);
        let (first, second, third) = (events(&load, 0), events(&load, 1), events(&load, 2));

        let mut all = Place::new(&load, 3);
        for (id, data) in first.iter().chain(&second) {
            all.found(id, SOURCE, TYPE, data);
        }
        assert_eq!(all.judge(&ledger), Verdict { found: 4, ..Verdict::default() });

        let mut wrong = Place::new(&load, 3);
        wrong.found(&first[0].0, SOURCE, TYPE, &first[0].1);
        wrong.found(&first[0].0, SOURCE, TYPE, &first[0].1);
        wrong.found(&first[1].0, SOURCE, TYPE, &first[0].1);
        wrong.found(&third[0].0, SOURCE, TYPE, &third[0].1);
        let expected = Verdict { found: 3, lost: 2, doubled: 1, altered: 1 };
        assert_eq!(wrong.judge(&ledger), expected, "kept without a promise is no fault");
        assert!(!expected.is_good());

        let mut stranger = Place::new(&load, 3);
        stranger.named("0123456789abcdef", SOURCE);
        assert_eq!(stranger.verdict, Verdict { altered: 1, ..Verdict::default() });
    }
}
