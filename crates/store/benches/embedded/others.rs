//! Two other layouts on the same engine, for comparison. They keep less than the store does: no receipts, no filters, no
//! tenants' own blocks, no usage records to list (but for the first), nothing about late times. So their figures flatter them.

use std::{
    hash::Hasher as _,
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch,
    PersistMode,
};
use model::{Batch, Durability};
use prost::Message as _;
use proto::hops;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use store::Sink;
use tokio::sync::{mpsc, oneshot};

type Job = (Arc<Batch>, oneshot::Sender<()>);

/// How a layout keeps a transaction.
pub(crate) trait Keep: Send + 'static {
    fn open(db: &Database) -> Self;
    fn keep(&mut self, batches: &[Arc<Batch>], into: &mut OwnedWriteBatch);
}

/// A store of one of the layouts, with a writer thread as the embedded store has one.
#[derive(Debug, Clone)]
pub(crate) struct Other {
    queue: mpsc::Sender<Job>,
    writer: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Other {
    pub(crate) fn open<K: Keep>(folder: &Path, durability: Durability) -> Self {
        let mode =
            if durability == Durability::Process { PersistMode::Buffer } else { PersistMode::SyncData };
        let db = Database::builder(folder)
            .cache_size(64 << 20)
            .max_journaling_size(128 << 20)
            .worker_threads(1)
            .journal_compression(CompressionType::None)
            .open()
            .unwrap();
        let mut keep = K::open(&db);
        let (queue, mut jobs) = mpsc::channel::<Job>(256);
        let writer = thread::spawn(move || {
            while let Some((batch, done)) = jobs.blocking_recv() {
                let (mut batches, mut waiting) = (vec![batch], vec![done]);
                while batches.iter().map(|b| b.len()).sum::<usize>() < 8_192 {
                    let Ok((batch, done)) = jobs.try_recv() else { break };
                    batches.push(batch);
                    waiting.push(done);
                }
                let mut into = OwnedWriteBatch::with_capacity(db.clone(), 1_024);
                keep.keep(&batches, &mut into);
                into.durability(Some(mode)).commit().unwrap();
                waiting.into_iter().for_each(|done| done.send(()).unwrap());
            }
        });
        Self { queue, writer: Arc::new(Mutex::new(Some(writer))) }
    }

    pub(crate) fn close(self) {
        let writer = self.writer.lock().unwrap().take();
        drop(self.queue);
        if let Some(writer) = writer {
            writer.join().unwrap();
        }
    }
}

#[async_trait]
impl Sink for Other {
    async fn write(&self, batch: Arc<Batch>) -> Result<(), store::Error> {
        let (done, kept) = oneshot::channel();
        self.queue.send((batch, done)).await.unwrap();
        kept.await.unwrap();
        Ok(())
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(16 << 20)
}

/// What comes to mind first: each event under its own name, a row to find it by time, and a row for its usage.
pub(crate) struct EntryEach {
    events: Keyspace,
    times: Keyspace,
    usage: Keyspace,
    sequence: u64,
}

impl Keep for EntryEach {
    fn open(db: &Database) -> Self {
        let separate = KvSeparationOptions::default().separation_threshold(256);
        Self {
            events: db.keyspace("events", || options().with_kv_separation(Some(separate))).unwrap(),
            times: db.keyspace("times", options).unwrap(),
            usage: db.keyspace("usage", options).unwrap(),
            sequence: 0,
        }
    }

    fn keep(&mut self, batches: &[Arc<Batch>], into: &mut OwnedWriteBatch) {
        for (_, stamp, event) in batches.iter().flat_map(|b| b.events()) {
            let name = format!("{}\0{}\0{}", stamp.tenant, event.source(), event.id());
            if self.events.get(&name).unwrap().is_some() {
                continue;
            }
            self.sequence += 1;
            let mut time = stamp.tenant.as_bytes().to_vec();
            time.extend_from_slice(&stamp.received_at_us.to_be_bytes());
            time.extend_from_slice(&self.sequence.to_be_bytes());
            let used = [stamp.received_at_us.to_be_bytes(), event.size().to_be_bytes()].concat();
            into.insert(&self.times, time, &name);
            into.insert(&self.usage, &name, used);
            into.insert(&self.events, &name, hops::Event::from(event).encode_to_vec());
        }
    }
}

/// Blocks of 128 compressed events, each event's key handed to the engine by itself: what the embedded store did first.
pub(crate) struct KeysOneByOne {
    ids: Keyspace,
    blocks: Keyspace,
    next: u64,
}

impl Keep for KeysOneByOne {
    fn open(db: &Database) -> Self {
        let separate = KvSeparationOptions::default().compression(CompressionType::None);
        Self {
            ids: db.keyspace("ids", options).unwrap(),
            blocks: db.keyspace("blocks", || options().with_kv_separation(Some(separate))).unwrap(),
            next: 0,
        }
    }

    fn keep(&mut self, batches: &[Arc<Batch>], into: &mut OwnedWriteBatch) {
        let (mut keys, mut block, mut index) = (Vec::new(), Vec::new(), 0u8);
        for (_, stamp, event) in batches.iter().flat_map(|b| b.events()) {
            let mut hasher = SipHasher13::new();
            hasher.write(stamp.tenant.as_bytes());
            hasher.write(event.source().as_bytes());
            hasher.write(event.id().as_bytes());
            let key = hasher.finish128().as_bytes();
            if self.ids.get(key).unwrap().is_some() {
                continue;
            }
            hops::Event::from(event).encode_length_delimited(&mut block).unwrap();
            let mut place = [index; 9];
            place[..8].copy_from_slice(&self.next.to_be_bytes());
            keys.push((key, place));
            index += 1;
            if index == 128 {
                into.insert(&self.blocks, self.next.to_be_bytes(), lz4_flex::compress_prepend_size(&block));
                block.clear();
                (self.next, index) = (self.next + 1, 0);
            }
        }
        into.insert(&self.blocks, self.next.to_be_bytes(), lz4_flex::compress_prepend_size(&block));
        self.next += 1;
        keys.sort_unstable();
        for (key, place) in keys {
            into.insert(&self.ids, key, place);
        }
    }
}
