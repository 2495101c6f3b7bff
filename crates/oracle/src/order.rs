//! The order of a tenant stream: for each partition key the events in the order in which they were sent, and each once.
//! What is not so is compared with what was done to the fleet at that time.

use std::collections::HashMap;

use serde::Serialize;

use crate::Key;

/// How long a fault of the broker has effects on what is on its way: its start, another leader, and the waits for
/// acknowledgements. What is struck may come to the tenant stream much later, when what gathered before it has.
const BROKER_MS: i64 = 60_000;
/// How long the broker recognizes what it has already stored (`topology.dedup_window_seconds`).
const WINDOW_MS: i64 = 120_000;

/// What was done to the fleet, and when it had been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In milliseconds since 1970.
    pub at_ms: i64,
    /// To whom, and what.
    pub what: What,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A node of the broker died, or hung until then.
    Broker,
    /// A service hung for so long.
    Paused {
        /// For how long, in milliseconds.
        ms: i64,
    },
    /// A service died or was restarted.
    Service,
}

/// An event that came where it should not.
#[derive(Debug, Clone, Copy)]
struct Stray {
    number: u64,
    at_ms: i64,
    /// Since the same event came for the first time.
    later_ms: i64,
}

/// What was done, and since when events were on their way.
pub(crate) struct History<'a> {
    /// What was done to the fleet.
    pub(crate) faults: &'a [Fault],
    /// When an event was promised, in milliseconds since 1970.
    pub(crate) promised_ms: &'a dyn Fn(u64) -> i64,
}

/// What was found in a tenant stream, in its order.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The last event of each key.
    last: HashMap<Key, u64>,
    /// When each event came for the first time.
    first_ms: HashMap<u64, i64>,
    inversions: Vec<Stray>,
    doubles: Vec<Stray>,
}

/// Strays by what explains them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Strays {
    /// After a node of the broker died or hung: a refused publish that was sent again after its successor, or a lost tail
    /// that was published again (docs/adr/0003, point 1; docs/adr/0004).
    pub broker: u64,
    /// After an owner hung for longer than the broker remembers (docs/adr/0003, point 2).
    pub paused: u64,
    /// Neither.
    pub unexplained: u64,
}

impl Strays {
    /// All of them.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.broker + self.paused + self.unexplained
    }
}

impl Order {
    /// The next event of the stream.
    pub(crate) fn found(&mut self, number: u64, key: Option<Key>, at_ms: i64) {
        // Without keys there is no order, and no use in remembering.
        let Some(key) = key else { return };
        if let Some(first_ms) = self.first_ms.get(&number) {
            self.doubles.push(Stray { number, at_ms, later_ms: at_ms - first_ms });
            return;
        }
        self.first_ms.insert(number, at_ms);
        let last = self.last.entry(key).or_insert(number);
        if *last > number {
            self.inversions.push(Stray { number, at_ms, later_ms: 0 });
        }
        *last = number.max(*last);
    }

    /// How many events came after a later one of the same key, whatever explains it.
    pub(crate) fn out_of_order(&self) -> u64 {
        self.inversions.len() as u64
    }

    /// Events that came after a later one of the same key.
    pub(crate) fn inversions(&self, history: &History<'_>) -> Strays {
        explain(&self.inversions, history)
    }

    /// Events that came again.
    pub(crate) fn doubles(&self, history: &History<'_>) -> Strays {
        explain(&self.doubles, history)
    }

    /// The first that nothing explains, for whoever looks for the cause.
    pub(crate) fn puzzles(&self, history: &History<'_>) -> Vec<String> {
        let tell = |what, strays: &[Stray]| {
            let strays = strays.iter().filter(|stray| cause(stray, history).unexplained > 0);
            let line = |stray: &Stray| {
                let Stray { number, at_ms, later_ms } = stray;
                format!("event {number} {what} at {at_ms} ms, {later_ms} ms after it first came")
            };
            strays.take(5).map(line).collect::<Vec<_>>()
        };
        [tell("is out of order", &self.inversions), tell("is doubled", &self.doubles)].concat()
    }
}

fn explain(strays: &[Stray], history: &History<'_>) -> Strays {
    strays.iter().map(|stray| cause(stray, history)).fold(Strays::default(), |all, one| Strays {
        broker: all.broker + one.broker,
        paused: all.paused + one.paused,
        unexplained: all.unexplained + one.unexplained,
    })
}

fn cause(stray: &Stray, history: &History<'_>) -> Strays {
    // It was on its way from its promise on.
    let since = (history.promised_ms)(stray.number).min(stray.at_ms);
    let met = |fault: &&Fault| fault.at_ms <= stray.at_ms && since - fault.at_ms < BROKER_MS;
    let mut near = history.faults.iter().filter(met);
    let paused = |fault: &Fault| matches!(fault.what, What::Paused { ms } if ms >= WINDOW_MS);
    if near.clone().any(|fault| fault.what == What::Broker) {
        Strays { broker: 1, ..Strays::default() }
    } else if near.any(paused) {
        Strays { paused: 1, ..Strays::default() }
    } else {
        Strays { unexplained: 1, ..Strays::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strays_are_told_apart_by_what_was_done_before() {
        let key = |text| Key::parse(text);
        let mut order = Order::default();
        for (number, name, at_ms) in [
            (0, "l0000k00", 0),
            (2, "l0000k00", 1),
            (3, "l0000k01", 2),
            (1, "l0000k00", 1_000),
            (1, "l0000k00", 2_000),
            (4, "l0000k00", 2_001),
        ] {
            order.found(number, key(name), at_ms);
        }
        let at = |at_ms, what| vec![Fault { at_ms, what }];
        let inversions = |faults: &[Fault], promised_ms: i64| {
            order.inversions(&History { faults, promised_ms: &|_| promised_ms })
        };
        let doubles = |faults: &[Fault]| order.doubles(&History { faults, promised_ms: &|_| 0 });
        let unexplained = Strays { unexplained: 1, ..Strays::default() };
        assert_eq!(inversions(&[], 0), unexplained);
        assert_eq!(doubles(&at(2_500, What::Broker)), unexplained, "it came later");
        assert_eq!(order.puzzles(&History { faults: &[], promised_ms: &|_| 0 }).len(), 2);
        let broker = Strays { broker: 1, ..Strays::default() };
        assert_eq!(inversions(&at(900, What::Broker), 0), broker);
        assert_eq!(inversions(&at(-BROKER_MS, What::Broker), 500), unexplained, "long before");
        let paused = Strays { paused: 1, ..Strays::default() };
        assert_eq!(doubles(&at(1_900, What::Paused { ms: WINDOW_MS })), paused);
        assert_eq!(doubles(&at(1_900, What::Paused { ms: 3_000 })), unexplained);
        assert_eq!(doubles(&at(1_900, What::Service)), unexplained);
    }
}
