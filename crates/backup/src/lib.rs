//! The broker's state as files and back, and as mirrors in another region.
//!
//! Invariants:
//! - A backup has a manifest or is none: the manifest is written last, and knows every file by its digest.
//! - What was accepted before a backup began is in it: streams are copied in the order in which events flow, while the queues
//!   stand still ([`Still`]), and the stores after them (ADR 20).
//! - A stream is restored whole or not at all, with its sequences.
//! - Nothing in a backup opens a sealed secret.
//!
//! ```no_run
//! # async fn example(bus: bus::Bus) -> Result<(), backup::Error> {
//! use backup::{Api, Folder};
//!
//! let folder = Folder::make("/backup/tonight".as_ref()).await?;
//! let api = Api::new(&bus);
//! let part = api.snapshot("INVOICES", true, &folder).await?;
//! println!("{} invoices, numbered up to {}", part.state.messages, part.state.last_seq);
//! # Ok(()) }
//! ```

mod cut;
mod error;
mod files;
mod keys;
mod last;
mod line;
mod manifest;
pub mod mirror;
mod stream;
mod wire;

pub use self::{
    cut::Still,
    error::Error,
    files::{Digested, Folder, Writer},
    keys::{Content, content},
    last::Last,
    line::Line,
    manifest::{Cut, FORMAT, MANIFEST, Manifest, Stored, StoredPart, StreamPart},
    wire::{Api, Cluster, ConsumerInfo, Held, MirrorState, Peer, State, StreamInfo},
};
