//! The binary as people run it: what the command line refuses, how `up` starts and stops, and the way of an event
//! from the first `curl` to everywhere it must be.

#![expect(clippy::unwrap_used, reason = "helpers stand outside the test functions")]

mod apply;
mod archive;
mod backup;
mod backup_interrupted;
mod billing;
mod command_line;
mod doctor;
mod erasure;
mod handover;
mod login;
mod mirror;
mod nats;
mod newcomer;
mod processes;
mod publish;
mod resources;
mod seed;
mod support;
mod up;
mod verify;
