//! The service over TCP, on a real nats-server and the embedded store.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod control;
mod egress;
mod events;
mod grpc;
mod health;
mod letters;
mod packed;
mod sse;
mod streams;
mod usage;
mod world;
