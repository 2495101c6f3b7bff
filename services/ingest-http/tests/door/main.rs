//! The door over TCP: what it takes, and what it refuses.

#![expect(clippy::unwrap_used, reason = "rows and helpers stand outside the test functions")]

mod accepted;
// One issuer for all who believe tokens.
#[path = "../../../api/tests/api/control/issuer.rs"]
#[expect(dead_code, reason = "a part of it is used")]
mod issuer;
mod malformed;
mod malformed_batches;
mod malformed_webhooks;
mod seed;
mod support;
mod tokens;
