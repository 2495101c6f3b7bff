//! The embedded store, beside its engine: an entry an event, in the engine's own atomic bulk writes, without keys that
//! make anything exact, without receipts, usage or filters.

use std::{ops::Range, path::PathBuf};

use async_trait::async_trait;
use fjall::{Database, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode};
use model::Durability;
use prost::Message as _;
use proto::hops;
use store::{Stores, embedded};

use super::{Subject, rows::Rows};

/// Batches in one bulk write: as many events as the embedded store takes at most.
const BULK: u64 = 80;

pub(super) struct Embedded {
    folder: PathBuf,
    open: Option<embedded::Embedded>,
    bare: Option<Database>,
}

impl Embedded {
    pub(super) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), open: None, bare: None }
    }
}

#[async_trait]
impl Subject for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn open(&mut self) -> anyhow::Result<Stores> {
        let folder = self.folder.join("store");
        let store =
            embedded::Embedded::open(folder, Durability::Process, embedded::Options::default()).await?;
        Ok(self.open.insert(store).stores())
    }

    async fn bare(&mut self, rows: &Rows, batches: Range<u64>) -> anyhow::Result<()> {
        if self.bare.is_none() {
            let options = embedded::Options::default();
            let database = Database::builder(self.folder.join("bare"))
                .cache_size(options.cache_bytes)
                .max_journaling_size(options.journal_bytes_max)
                .worker_threads(1)
                .open()?;
            self.bare = Some(database);
        }
        let Some(database) = self.bare.clone() else { return Ok(()) };
        let separate = KvSeparationOptions::default().separation_threshold(256);
        let events = database
            .keyspace("events", || KeyspaceCreateOptions::default().with_kv_separation(Some(separate)))?;
        let bulks = batches.clone().step_by(usize::try_from(BULK)?);
        tokio::task::block_in_place(|| {
            for first in bulks {
                let mut bulk = OwnedWriteBatch::with_capacity(database.clone(), 8_192);
                for batch in first..(first + BULK).min(batches.end) {
                    for (_, stamp, event) in rows.batch(batch).events() {
                        let key = [stamp.tenant.as_bytes(), event.source().as_bytes(), event.id().as_bytes()];
                        bulk.insert(&events, key.concat(), hops::Event::from(event).encode_to_vec());
                    }
                }
                bulk.durability(Some(PersistMode::Buffer)).commit()?;
            }
            Ok(())
        })
    }

    async fn close(&mut self) {
        if let Some(store) = self.open.take() {
            store.close().await;
        }
        self.bare = None;
    }
}
