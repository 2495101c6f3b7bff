//! The door over TCP: what it takes, and what it refuses.

#![expect(clippy::unwrap_used, reason = "rows and helpers stand outside the test functions")]

mod accepted;
mod malformed;
mod malformed_batches;
mod malformed_webhooks;
mod support;
