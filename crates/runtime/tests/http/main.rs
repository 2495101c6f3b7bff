//! The server against clients that misbehave: raw sockets, because no client library would do this.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not their helpers")]

mod admin;
mod drain;
mod http2;
mod problems;
mod server;
mod slow;
