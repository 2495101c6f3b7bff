//! What each subcommand does.

pub(crate) mod apply;
pub(crate) mod archive;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod catalog;
pub(crate) mod config;
pub(crate) mod contexts;
mod copy;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod invoices;
pub(crate) mod login;
pub(crate) mod mirror;
pub(crate) mod nats;
mod progress;
pub(crate) mod publish;
pub(crate) mod resources;
pub(crate) mod service;
pub(crate) mod stores;
pub(crate) mod tail;
pub(crate) mod tools;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod verify;
pub(crate) mod wait;
