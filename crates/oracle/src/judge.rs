//! The judge: every event that was promised must be in each place once, with its bytes.

use serde::Serialize;

use crate::{Key, Ledger, Load, SOURCE, TYPE, order::Order};

/// What was found in one place: the event store, the usage store or the tenant stream.
#[derive(Debug)]
pub struct Place<'a> {
    load: &'a Load,
    times: Vec<u8>,
    verdict: Verdict,
    /// Of the tenant stream, which has one.
    pub(crate) order: Order,
}

/// An event as it was found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its `id`.
    pub id: &'a str,
    /// Its `source`.
    pub source: &'a str,
    /// Its `type`.
    pub ty: &'a str,
    /// Its `partitionkey`.
    pub key: Option<&'a str>,
    /// Its data, byte for byte.
    pub data: &'a [u8],
    /// When the tenant stream took it, in milliseconds since 1970.
    pub at_ms: i64,
}

/// What is wrong with one place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Events there, each counted once.
    pub found: u64,
    /// Promised events that are not there.
    pub lost: u64,
    /// Events that are there more than once, counted by what is too many.
    pub doubled: u64,
    /// Events that are not as they were sent, and events nobody sent.
    pub altered: u64,
    /// Events there of requests that stay in doubt: no fault either way.
    pub unpromised: u64,
}

impl Verdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.lost + self.doubled + self.altered == 0
    }
}

impl<'a> Place<'a> {
    /// An empty place that may hold the events of that many requests.
    #[must_use]
    pub fn new(load: &'a Load, requests: u64) -> Self {
        let events = usize::try_from(requests * load.per_request()).unwrap_or_default();
        Self { load, times: vec![0; events], verdict: Verdict::default(), order: Order::default() }
    }

    /// An event was found.
    pub fn found(&mut self, event: Found<'_>) {
        let key = event.key.and_then(Key::parse);
        let as_sent = |number| {
            self.load.is_data_of(number, event.data)
                && event.source == SOURCE
                && event.ty == TYPE
                && self.load.is_key_of(number, key)
        };
        let number = self.number(event.id);
        let good = number.is_some_and(as_sent);
        self.verdict.altered += u64::from(!good);
        if let Some(number) = number {
            self.order.found(number, key, event.at_ms);
            self.count(number);
        }
    }

    /// Something that names an event was found: a usage record.
    pub fn named(&mut self, id: &str, source: &str) {
        let number = self.number(id);
        let good = number.is_some() && source == SOURCE;
        self.verdict.altered += u64::from(!good);
        if let Some(number) = number {
            self.count(number);
        }
    }

    /// The number of the event with this id, if it is one of those that were sent.
    fn number(&self, id: &str) -> Option<u64> {
        let number = self.load.number(id)?;
        (usize::try_from(number).ok()? < self.times.len()).then_some(number)
    }

    fn count(&mut self, number: u64) {
        let Some(times) = usize::try_from(number).ok().and_then(|n| self.times.get_mut(n)) else { return };
        *times = times.saturating_add(1);
        if *times == 1 {
            self.verdict.found += 1;
        } else {
            self.verdict.doubled += 1;
        }
    }

    /// As it was judged last.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Events that came after a later one of their partition key; known of the tenant stream, which is read in its order.
    #[must_use]
    pub fn out_of_order(&self) -> u64 {
        self.order.out_of_order()
    }

    /// Promised events that are not there, by their numbers.
    pub fn missing(&self, ledger: &Ledger) -> impl Iterator<Item = u64> {
        let per_request = self.load.per_request();
        let missing =
            move |(number, times): &(u64, &u8)| ledger.is_promised(number / per_request) && **times == 0;
        (0..).zip(&self.times).filter(missing).map(|(number, _)| number)
    }

    /// Compares with what was promised.
    pub fn judge(&mut self, ledger: &Ledger) -> Verdict {
        let (mut lost, mut unpromised) = (0, 0);
        for (number, times) in (0..).zip(&self.times) {
            match (ledger.is_promised(number / self.load.per_request()), times) {
                (true, 0) => lost += 1,
                (false, 1..) => unpromised += 1,
                _ => {}
            }
        }
        self.verdict = Verdict { lost, unpromised, ..self.verdict };
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn events(load: &Load, request: u64) -> Vec<(String, Vec<u8>)> {
        #[derive(serde::Deserialize)]
        struct Event<'a> {
            id: String,
            #[serde(borrow)]
            data: &'a serde_json::value::RawValue,
        }
        let body = load.body(request, 0);
        let events: Vec<Event<'_>> = serde_json::from_slice(&body).unwrap();
        events.into_iter().map(|e| (e.id, e.data.get().as_bytes().to_vec())).collect()
    }

    fn as_sent<'a>((id, data): &'a (String, Vec<u8>)) -> Found<'a> {
        Found { id, source: SOURCE, ty: TYPE, key: None, data, at_ms: 0 }
    }

    #[test]
    fn each_wrong_is_told_apart() {
        let load = Load::new(1, Shape { per_request: 2, data_bytes: 128, keys: 0 });
        let ledger = Ledger::new(3);
        ledger.promise(0);
        ledger.promise(1);
        let (first, second, third) = (events(&load, 0), events(&load, 1), events(&load, 2));

        let mut all = Place::new(&load, 3);
        for event in first.iter().chain(&second) {
            all.found(as_sent(event));
        }
        assert_eq!(all.judge(&ledger), Verdict { found: 4, ..Verdict::default() });

        let mut wrong = Place::new(&load, 3);
        wrong.found(as_sent(&first[0]));
        wrong.found(as_sent(&first[0]));
        wrong.found(Found { data: &first[0].1, ..as_sent(&first[1]) });
        wrong.found(as_sent(&third[0]));
        let expected = Verdict { found: 3, lost: 2, doubled: 1, altered: 1, unpromised: 1 };
        assert_eq!(wrong.judge(&ledger), expected, "kept without a promise is no fault");
        assert!(!expected.is_good());

        let mut stranger = Place::new(&load, 3);
        stranger.named("0123456789abcdef", SOURCE);
        stranger.found(Found { key: Some("l0001k00"), ..as_sent(&first[0]) });
        assert_eq!(stranger.verdict, Verdict { found: 1, altered: 2, ..Verdict::default() });
    }
}
