//! The control plane: the catalog's resources over HTTP, one set of handlers for every kind.
//!
//! Invariant: nothing is read or changed before [`access::may`] has allowed it, nothing is changed that the audit has not
//! been told of before (docs/adr/0009-audit-before-change.md), and what belongs to another tenant is answered as
//! what does not exist.
//!
//! A request becomes a [`Call`], which is who asks for what. An endpoint works on it, and [`Call::finish`] records the
//! refusal if it ends in one.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod audit_log;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod change;
pub(crate) mod docs;
pub(crate) mod idempotency;
pub(crate) mod lease;
pub(crate) mod managed;
pub(crate) mod precondition;
pub(crate) mod select;
pub(crate) mod visit;

pub(crate) use self::{
    access::{Thing, Verb},
    call::Call,
    managed::{Built, Gift, Making, Managed},
    visit::{Person, Visit},
};
