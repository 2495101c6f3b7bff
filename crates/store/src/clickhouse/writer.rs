//! Many small writes into few large inserts.
//!
//! An insert costs the server milliseconds whatever its size, and a file to be merged. So records wait for others: until
//! an insert is full, or for a short time. Each caller is answered when the insert that holds its records is.

use std::sync::Arc;

use clickhouse::{Client, Row, error::Error as ClientError, insert::Insert};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    Options,
    error::within,
    rollup,
    row::{self, InsertRow},
    statements::{INSERT_RECORDS, RECORDS, Statement},
};
use crate::{Error, UsageRecord};

/// The unit in which waiting bytes are counted.
const ROOM_BYTES: u64 = 1 << 10;

/// Takes records and inserts them in bulk. What it has taken is inserted even if it is dropped, as long as the
/// runtime lives.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    room_max: u32,
}

/// One call, and the room it takes until it is answered.
#[derive(Debug)]
struct Waiting {
    records: Vec<UsageRecord>,
    bytes: u64,
    answer: oneshot::Sender<Result<(), Error>>,
    _room: OwnedSemaphorePermit,
}

impl Writer {
    pub(super) fn start(client: Client, options: Arc<Options>) -> Self {
        let room_max = u32::try_from(options.buffer_bytes_max.div_ceil(ROOM_BYTES)).unwrap_or(u32::MAX);
        let room_max = room_max.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        let (queue, calls) = mpsc::unbounded_channel();
        tokio::spawn(gather(client, options, calls));
        Self { queue, room: Arc::new(Semaphore::new(room_max as usize)), room_max }
    }

    /// Returns when the records are inserted.
    pub(super) async fn write(&self, records: Vec<UsageRecord>) -> Result<(), Error> {
        let bytes = records.iter().map(row::bytes_of).fold(0, u64::saturating_add);
        // A call larger than the whole buffer has it for itself.
        let room =
            u32::try_from(bytes.div_ceil(ROOM_BYTES)).map_or(self.room_max, |room| room.min(self.room_max));
        let closed = || Error::Unavailable("ClickHouse: the writer has ended".into());
        let room = Arc::clone(&self.room).acquire_many_owned(room).await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        self.queue.send(Waiting { records, bytes, answer, _room: room }).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

async fn gather(client: Client, options: Arc<Options>, mut calls: mpsc::UnboundedReceiver<Waiting>) {
    let slots = Arc::new(Semaphore::new(options.inserts_in_flight_max as usize));
    while let Some(first) = calls.recv().await {
        let mut batch = Batch::default();
        batch.take(first);
        let until = Instant::now() + options.linger();
        while !batch.is_full(&options) {
            let Ok(Some(next)) = timeout_at(until, calls.recv()).await else { break };
            batch.take(next);
        }
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        // What came while every slot was taken.
        while !batch.is_full(&options)
            && let Ok(next) = calls.try_recv()
        {
            batch.take(next);
        }
        let (client, options) = (client.clone(), Arc::clone(&options));
        tokio::spawn(async move {
            let inserted = insert(&client, &options, &batch).await.map_err(Error::from);
            // The next one need not wait for the look that follows; how many there can be is bounded by the room.
            drop(slot);
            let inserted = match inserted {
                Ok(()) => rollup::mark_late(&client, &options, batch.records()).await,
                failed => failed,
            };
            for call in batch.calls {
                // A caller that does not wait any more has nothing to be told.
                let _ = call.answer.send(inserted.clone());
            }
        });
    }
}

/// The calls of one insert.
#[derive(Debug, Default)]
struct Batch {
    calls: Vec<Waiting>,
    rows: usize,
    bytes: u64,
}

impl Batch {
    fn take(&mut self, call: Waiting) {
        self.rows += call.records.len();
        self.bytes += call.bytes;
        self.calls.push(call);
    }

    fn records(&self) -> impl Iterator<Item = &UsageRecord> {
        self.calls.iter().flat_map(|call| &call.records)
    }

    fn is_full(&self, options: &Options) -> bool {
        self.rows >= options.insert_rows_max as usize || self.bytes >= options.insert_bytes_max
    }
}

async fn insert(client: &Client, options: &Options, batch: &Batch) -> Result<(), ClientError> {
    let mut insert = bulk_insert::<InsertRow<'_>>(client, options, RECORDS, &INSERT_RECORDS).await?;
    for record in batch.records() {
        insert.write(&InsertRow::of(record)).await?;
    }
    insert.end().await
}

/// An insert that is kept when it has ended well.
pub(super) async fn bulk_insert<T: Row>(
    client: &Client,
    options: &Options,
    table: &str,
    statement: &Statement,
) -> Result<Insert<T>, ClientError> {
    let limit = options.write_timeout();
    let insert = within(limit, client.insert::<T>(table)).await?;
    Ok(insert
        .with_timeouts(Some(limit), Some(limit))
        .with_setting("log_comment", statement.name)
        // The records are in bulk already, and the answer is to mean that they are kept.
        .with_setting("async_insert", "0")
        .with_setting("wait_end_of_query", "1")
        // A replicated table drops a block equal to a recent one: one that was erased meanwhile would be acknowledged and
        // lost, and two equal marks be one.
        .with_setting("insert_deduplicate", "0")
        // Times are ours, so nobody can make a thousand months of one insert; an import may hold years.
        .with_setting("max_partitions_per_insert_block", "0"))
}
