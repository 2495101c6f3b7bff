//! One file a kind of resource: what callers write of it, and how it is made from that.

mod action;
mod billing_account;
mod component;
mod customer;
mod event_type;
mod feed;
mod key;
mod limits;
mod meter;
pub(crate) mod money;
mod nats_credential;
mod plan;
mod role;
mod role_binding;
mod rule_set;
mod source;
mod subscription;
mod system;
mod tenant;
pub(crate) mod user;
mod workflow;

use std::collections::BTreeMap;

use model::{ErrorCode, resource::Meta};
use runtime::problem::Problem;

/// What every resource has, from what a caller wrote. Times are set when it is written.
fn meta(description: String, labels: BTreeMap<String, String>) -> Meta {
    Meta { description, labels, ..Meta::default() }
}

/// A default.
const fn yes() -> bool {
    true
}

/// One member at fault.
fn fault(pointer: impl Into<String>, detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value").field(pointer, detail)
}

/// An id that the caller chose.
fn id<T: std::str::FromStr<Err = model::InvalidId>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: model::InvalidId| fault("/id", error.to_string()))
}
