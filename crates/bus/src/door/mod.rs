//! The packing publisher: what concurrent requests bring becomes few, full messages on `raw.<partition>`.
//!
//! Each partition has one task. It sends a full message as soon as fewer than `window` of its messages await
//! their acknowledgement, and what is not full when none does: no linger when idle, full messages when busy. A request is
//! encoded where it arrived; the task only joins buffers, which protobuf allows (a repeated field may be
//! concatenated).

mod outlet;
mod publisher;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::BytesMut;
use futures::future::try_join_all;
use model::{ErrorCode, TenantId, Text, partition_of};
use prost::Message as _;
use proto::hops;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use self::{
    outlet::Outlet,
    publisher::{Counts, Publisher, Way, as_f64},
};
use crate::Bus;

/// Limits of the packing publisher. Each holds for one partition unless it says otherwise.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DoorOptions {
    /// Full messages that may await their acknowledgement. One that is not full waits until none is on its way.
    pub window: usize,
    /// Bytes at which a message is full. The broker is fastest around 64 KB.
    pub message_bytes_max: usize,
    /// Events at which a message is full.
    pub message_events_max: usize,
    /// How long a message that is not full waits for more although the window is open, in microseconds.
    pub linger_us: u64,
    /// Bytes of accepted requests that may wait in this process over all partitions; beyond it requests wait.
    pub queue_bytes_max: usize,
    /// How long a request may wait, for room and for its acknowledgement together, before it is answered 503.
    pub accept_timeout_ms: u64,
}

impl Default for DoorOptions {
    fn default() -> Self {
        Self {
            window: 4,
            message_bytes_max: 64 << 10,
            message_events_max: 4_096,
            linger_us: 0,
            queue_bytes_max: 32 << 20,
            accept_timeout_ms: 5_000,
        }
    }
}

/// An event to append, with the key that decides its partition.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Events of one key keep their order; events without one go wherever there is room.
    pub key: Option<Text>,
    /// The event.
    pub item: hops::RawItem,
}

/// Why events were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The stream is at its limit, or this process has too much waiting: the fleet is behind.
    #[error("the fleet is behind: {0}")]
    Full(String),
    /// The broker is away or does not answer. Whether the events are kept is not known.
    #[error("the broker is away: {0}")]
    Unavailable(String),
    /// One event is larger than a message can be.
    #[error("an event of {size} bytes is over the broker's limit of {limit} bytes")]
    TooLarge {
        /// Encoded size.
        size: usize,
        /// The broker's limit.
        limit: usize,
    },
}

impl AcceptError {
    /// The code callers see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Full(_) | Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
        }
    }
}

/// Takes events in. Implemented by [`Door`].
#[async_trait]
pub trait Accept: Send + Sync + fmt::Debug + 'static {
    /// Hands the events of one request over; waits only for room. The order of the calls is the order of the
    /// events of a key, so a caller with several requests of one producer makes them one after the other. What it
    /// returns ends when the broker has acknowledged all of them.
    ///
    /// # Errors
    /// If there is no room, or the broker is away.
    async fn append(&self, stamp: hops::Stamp, items: Vec<Placed>) -> Result<Appended, AcceptError>;

    /// Appends the events of one request. Returns when the broker has acknowledged all of them.
    ///
    /// # Errors
    /// If any of them is not known to be kept. Others of the same request may be: retry all of it with the
    /// same ids.
    async fn accept(&self, stamp: hops::Stamp, items: Vec<Placed>) -> Result<(), AcceptError> {
        self.append(stamp, items).await?.await
    }
}

/// The acknowledgement of appended events, on its way.
pub type Appended = Pin<Box<dyn Future<Output = Result<(), AcceptError>> + Send>>;

/// The packing publisher. Cheap to clone; its tasks end when the last clone is gone.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

struct Inner {
    bus: Bus,
    options: DoorOptions,
    counts: Counts,
    outlet: Arc<Outlet>,
    _watch: AbortOnDropHandle<()>,
    partitions: Vec<mpsc::UnboundedSender<Job>>,
    /// Bytes that may still wait; the channels themselves need no bound of their own.
    room: Arc<Semaphore>,
    current: Arc<Current>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("partitions", &self.inner.partitions.len()).finish_non_exhaustive()
    }
}

/// Where events without a key go: to one partition as long as its messages do not fill, so that what comes at the same time
/// goes together; and to each in its turn.
#[derive(Debug, Default)]
struct Current {
    /// At least one.
    partitions: u32,
    partition: AtomicU32,
    /// Messages it has had.
    messages: AtomicU32,
}

impl Current {
    /// Messages after which the next one's turn comes, however small they are.
    const TURN: u32 = 64;

    fn partition(&self) -> u32 {
        self.partition.load(Ordering::Relaxed)
    }

    /// A partition sends a message; `full`: which does not hold all that waited. It is the next one's turn then.
    fn leave(&self, partition: u32, full: bool) {
        if partition != self.partition() {
            return;
        }
        if full || self.messages.fetch_add(1, Ordering::Relaxed) >= Self::TURN {
            self.messages.store(0, Ordering::Relaxed);
            self.partition.store((partition + 1) % self.partitions, Ordering::Relaxed);
        }
    }
}

/// An encoded piece of a request.
struct Job {
    encoded: BytesMut,
    events: usize,
    done: oneshot::Sender<Result<(), AcceptError>>,
    room: OwnedSemaphorePermit,
}

impl Door {
    /// Starts a publisher for each partition.
    #[must_use]
    pub fn start(bus: &Bus, partitions: u32, options: &DoorOptions) -> Self {
        let (counts, outlet) = (Counts::new(), Arc::new(Outlet::new()));
        let partitions = partitions.max(1);
        let current = Arc::new(Current { partitions, ..Current::default() });
        let mut senders = Vec::new();
        for partition in 0..partitions {
            let (sender, jobs) = mpsc::unbounded_channel();
            let way = Arc::new(Way {
                bus: bus.clone(),
                subject: format!("raw.{partition}"),
                counts: counts.clone(),
                outlet: Arc::clone(&outlet),
            });
            let current = Arc::clone(&current);
            tokio::spawn(Publisher { options: options.clone(), partition, current, way, jobs }.run());
            senders.push(sender);
        }
        let room = Arc::new(Semaphore::new(options.queue_bytes_max.min(Semaphore::MAX_PERMITS)));
        let watch = {
            let (outlet, bus, full) = (Arc::clone(&outlet), bus.clone(), options.message_bytes_max);
            AbortOnDropHandle::new(tokio::spawn(async move { outlet.watch(&bus, full).await }))
        };
        let inner = Inner {
            bus: bus.clone(),
            options: options.clone(),
            counts,
            outlet,
            _watch: watch,
            partitions: senders,
            room,
            current,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What keeps the broker from taking events, if anything is known to: not connected, silent, full.
    #[must_use]
    pub fn hindrance(&self) -> Option<String> {
        if self.inner.bus.is_connected() {
            self.inner.outlet.hindrance()
        } else {
            Some("the broker is away".to_owned())
        }
    }
}

#[async_trait]
impl Accept for Door {
    async fn append(&self, stamp: hops::Stamp, items: Vec<Placed>) -> Result<Appended, AcceptError> {
        let inner = &self.inner;
        if !inner.bus.is_connected() {
            return Err(AcceptError::Unavailable("not connected".into()));
        }
        let limit = Duration::from_millis(inner.options.accept_timeout_ms);
        let deadline = tokio::time::Instant::now() + limit;
        let enqueue = async {
            let mut waiting = Vec::new();
            for piece in inner.pieces(&stamp, items)? {
                waiting.push(inner.enqueue(piece).await?);
            }
            Ok(waiting)
        };
        let waiting = tokio::time::timeout_at(deadline, enqueue)
            .await
            .map_err(|_| AcceptError::Full(format!("no room within {} ms", limit.as_millis())))??;
        Ok(Box::pin(async move {
            let all = try_join_all(waiting.into_iter().map(|done| async {
                done.await.unwrap_or_else(|_| Err(AcceptError::Unavailable("shutting down".into())))
            }));
            match tokio::time::timeout_at(deadline, all).await {
                Ok(result) => result.map(drop),
                Err(_) => Err(AcceptError::Unavailable(format!(
                    "no acknowledgement within {} ms",
                    limit.as_millis()
                ))),
            }
        }))
    }
}

/// A part of a request that goes to one partition in one message.
struct Piece {
    partition: usize,
    encoded: BytesMut,
    events: usize,
}

impl Inner {
    /// Splits a request by partition, and so that no piece is over the size of a full message.
    fn pieces(&self, stamp: &hops::Stamp, items: Vec<Placed>) -> Result<Vec<Piece>, AcceptError> {
        let count = u32::try_from(self.partitions.len()).unwrap_or(1);
        let unkeyed = self.current.partition();
        let keyed = items.iter().any(|i| i.key.is_some());
        if !keyed {
            let items = items.into_iter().map(|i| i.item).collect();
            return self.cut(stamp, unkeyed, items);
        }
        let tenant = std::str::from_utf8(&stamp.tenant).ok().and_then(|t| t.parse::<TenantId>().ok());
        let mut by_partition: Vec<Vec<hops::RawItem>> = vec![Vec::new(); self.partitions.len()];
        for Placed { key, item } in items {
            let partition = match (&tenant, key) {
                (Some(tenant), Some(key)) => partition_of(tenant, &key, count),
                _ => unkeyed,
            };
            if let Some(list) = by_partition.get_mut(partition as usize) {
                list.push(item);
            }
        }
        let mut pieces = Vec::new();
        for (partition, items) in (0..count).zip(by_partition) {
            if !items.is_empty() {
                pieces.extend(self.cut(stamp, partition, items)?);
            }
        }
        Ok(pieces)
    }

    fn cut(
        &self,
        stamp: &hops::Stamp,
        partition: u32,
        items: Vec<hops::RawItem>,
    ) -> Result<Vec<Piece>, AcceptError> {
        /// A stamp and the framing around the items.
        const OVERHEAD: usize = 1_024;
        let limit = self.bus.message_bytes_max().saturating_sub(OVERHEAD);
        let full = self.options.message_bytes_max.min(limit);
        let mut pieces = Vec::with_capacity(1);
        let mut group = hops::RawGroup { stamp: Some(stamp.clone()), items: Vec::with_capacity(items.len()) };
        let mut bytes = 0;
        for item in items {
            let size = item.encoded_len() + 8;
            if size > limit {
                return Err(AcceptError::TooLarge { size, limit });
            }
            let over = bytes + size > full || group.items.len() >= self.options.message_events_max;
            if over && !group.items.is_empty() {
                pieces.push(encode(partition, &group));
                group.items.clear();
                bytes = 0;
            }
            bytes += size;
            group.items.push(item);
        }
        if !group.items.is_empty() {
            pieces.push(encode(partition, &group));
        }
        Ok(pieces)
    }

    /// Waits for room, then hands the piece to its partition. The order of calls is the order in the stream.
    async fn enqueue(&self, piece: Piece) -> Result<oneshot::Receiver<Result<(), AcceptError>>, AcceptError> {
        let bytes = u32::try_from(piece.encoded.len().min(self.options.queue_bytes_max)).unwrap_or(u32::MAX);
        let closed = || AcceptError::Unavailable("shutting down".into());
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| closed())?;
        let (done, result) = oneshot::channel();
        let job = Job { encoded: piece.encoded, events: piece.events, done, room };
        self.counts.queued_events.add(as_f64(piece.events));
        self.partitions.get(piece.partition).ok_or_else(closed)?.send(job).map_err(|_| closed())?;
        Ok(result)
    }
}

/// A group as one element of `RawBatch.groups`: messages are joined by concatenation.
fn encode(partition: u32, group: &hops::RawGroup) -> Piece {
    let mut encoded = BytesMut::with_capacity(group.encoded_len() + 8);
    prost::encoding::message::encode(1, group, &mut encoded);
    Piece { partition: partition as usize, encoded, events: group.items.len() }
}
