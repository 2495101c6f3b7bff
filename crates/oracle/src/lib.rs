//! Is what was promised kept? Sends events whose bytes it knows to a fleet, and judges what became of them through the
//! interfaces that every user has. `eventrunner verify` asks it of a fleet that runs, `eventrunner-load` of one that is
//! killed, starved and frozen meanwhile.
//!
//! An event's number gives its id, its data and, with the lane that sent it, its partition key ([`Load`]); so whatever is
//! read back is checked without having been remembered. The [`Generator`] writes into the [`Ledger`] what the doors have
//! promised; a [`Place`] is what was found in one of the three places where it must be ([`Where`]). A [`Run`] does all of it.
//!
//! Invariant: a [`Verdict`] rests on what was read back and on promises alone. What was found and not promised, of a request
//! whose outcome nobody knows, is no fault, and what was promised and not found is lost.
//!
//! ```
//! use oracle::{Ledger, Load, Place, SOURCE, Shape, Verdict};
//!
//! let load = Load::new(7, Shape { per_request: 1, data_bytes: 128, keys: 0 });
//! let ledger = Ledger::new(2);
//! let body = load.body(0, 0); // … which a door has answered with 202:
//! ledger.promise(0);
//! assert_eq!(load.number(&load.id_of(0)), Some(0));
//!
//! let mut usage_store = Place::new(&load, ledger.requests());
//! usage_store.named(&load.id_of(0), SOURCE);
//! usage_store.named(&load.id_of(0), SOURCE);
//! let verdict = usage_store.judge(&ledger);
//! assert_eq!(verdict, Verdict { found: 1, doubled: 1, ..Verdict::default() });
//! assert!(!verdict.is_good());
//! ```

mod access;
mod generator;
mod judge;
mod ledger;
mod load;
mod order;
mod places;
mod progress;
mod run;

pub use self::{
    access::Access,
    generator::{Answers, Door, Generator, Manner, Pace, Target, Turn},
    judge::{Found, Place, Verdict},
    ledger::{Ledger, now_ms},
    load::{Key, Load, SOURCE, Shape, TYPE},
    order::{Fault, Strays, What},
    run::{Run, Times, Verdicts, Where},
};
