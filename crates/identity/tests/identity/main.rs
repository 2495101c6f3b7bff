//! Tokens that are refused and accepted, against a real server of keys; sessions, passwords, one-time tokens, OAuth clients;
//! and that no secret shows anywhere.

#![expect(clippy::unwrap_used, reason = "tests")]

mod key_source;
mod keys;
mod oauth;
mod oidc;
mod one_time;
mod password;
mod properties;
mod refused;
mod secrets;
mod server;
mod session;

use model::Micros;

/// 2026-01-01T00:00:00Z, in seconds.
pub(crate) const NOW_S: i64 = 1_767_225_600;
pub(crate) const SECOND: Micros = 1_000_000;
pub(crate) const NOW: Micros = NOW_S * SECOND;
