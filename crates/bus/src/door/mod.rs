//! The packing publisher: what concurrent requests bring becomes few, full messages on `raw.<partition>`, and on
//! `events.<partition>` what the normalizer has nothing to do with (docs/adr/0014-past-the-normalizer.md).
//!
//! Each partition of either stream has one task. It sends a full message as soon as fewer than `window` of its messages await
//! their acknowledgement, and what is not full when none does: no linger when idle, full messages when busy. A request is
//! encoded where it arrived; the task only joins buffers, which protobuf allows (a repeated field may be
//! concatenated).

mod outlet;
mod pieces;
mod publisher;
mod traced;

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
use model::{AttributeValue, CloudEvent, ErrorCode, Text};
use prost::Message as _;
use proto::hops;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;

use self::{
    outlet::Outlet,
    pieces::Piece,
    publisher::{Counts, Publisher, Way, as_f64},
    traced::Sends,
};
use crate::Bus;

/// How long after the broker was lost a request waits for another of its nodes.
const NEXT_NODE: Duration = Duration::from_secs(2);

/// Limits of the packing publisher. Each holds for one partition of a stream unless it says otherwise.
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
            accept_timeout_ms: 10_000,
        }
    }
}

/// An event to append, with the key that decides its partition.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Events of one key keep their order; events without one go wherever there is room.
    pub key: Option<Text>,
    /// The event.
    pub item: Item,
}

impl Placed {
    /// A CloudEvent, placed by its `partitionkey`. `is_normal` is told whether it has one, and says whether the normalizer would
    /// pass it on as it is.
    pub fn event(event: &CloudEvent, is_normal: impl FnOnce(bool) -> bool) -> Self {
        // As `CloudEvent::partition_key`, without a copy.
        let key = match event.extension("partitionkey") {
            Some(AttributeValue::String(key)) if !key.is_empty() => Some(key.clone()),
            _ => None,
        };
        let wire = hops::Event::from(event);
        let item = if is_normal(key.is_some()) {
            Item::Normal(wire)
        } else {
            Item::Raw(hops::RawItem { item: Some(hops::raw_item::Item::Event(wire)) })
        };
        Self { key, item }
    }
}

/// An event, and with it the stream it goes to. What of one tenant has the same key must all go to the same.
#[derive(Debug, Clone)]
pub enum Item {
    /// To `RAW`: the normalizer maps it, or checks it.
    Raw(hops::RawItem),
    /// To `EVENTS`: the normalizer would pass it on as it is.
    Normal(hops::Event),
}

impl Item {
    fn encoded_len(&self) -> usize {
        match self {
            Self::Raw(item) => item.encoded_len(),
            Self::Normal(event) => event.encoded_len(),
        }
    }
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
    outlet: Arc<Outlet>,
    _watch: AbortOnDropHandle<()>,
    raw: Lane,
    normal: Lane,
    /// Bytes that may still wait; the channels themselves need no bound of their own.
    room: Arc<Semaphore>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("partitions", &self.inner.raw.partitions.len()).finish_non_exhaustive()
    }
}

/// The way to one stream.
struct Lane {
    counts: Counts,
    partitions: Vec<mpsc::UnboundedSender<Job>>,
    current: Arc<Current>,
}

impl Lane {
    /// Starts a publisher for each partition.
    fn start(bus: &Bus, subject: &str, partitions: u32, options: &DoorOptions, outlet: &Arc<Outlet>) -> Self {
        let counts = Counts::new(subject);
        let current = Arc::new(Current { partitions, ..Current::default() });
        let start = |partition| {
            let (sender, jobs) = mpsc::unbounded_channel();
            let way = Arc::new(Way {
                bus: bus.clone(),
                subject: format!("{subject}.{partition}"),
                counts: counts.clone(),
                outlet: Arc::clone(outlet),
            });
            let current = Arc::clone(&current);
            tokio::spawn(Publisher { options: options.clone(), partition, current, way, jobs }.run());
            sender
        };
        let partitions = (0..partitions).map(start).collect();
        Self { counts, partitions, current }
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
        let (partitions, outlet) = (partitions.max(1), Arc::new(Outlet::new()));
        let lane = |subject| Lane::start(bus, subject, partitions, options, &outlet);
        let (raw, normal) = (lane("raw"), lane("events"));
        let room = Arc::new(Semaphore::new(options.queue_bytes_max.min(Semaphore::MAX_PERMITS)));
        let watch = {
            let (outlet, bus, full) = (Arc::clone(&outlet), bus.clone(), options.message_bytes_max);
            AbortOnDropHandle::new(tokio::spawn(async move { outlet.watch(&bus, full).await }))
        };
        let inner =
            Inner { bus: bus.clone(), options: options.clone(), outlet, _watch: watch, raw, normal, room };
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
        let handed = self.inner.hand_over(&stamp, items).await?;
        Ok(Box::pin(handed.acknowledged()))
    }

    async fn accept(&self, stamp: hops::Stamp, items: Vec<Placed>) -> Result<(), AcceptError> {
        self.inner.hand_over(&stamp, items).await?.acknowledged().await
    }
}

/// What becomes of a piece.
type Done = oneshot::Receiver<Result<(), AcceptError>>;

/// The pieces of a request, with their partitions.
struct Handed {
    pieces: Vec<Done>,
    sends: Sends,
    limit: Duration,
    deadline: Instant,
}

impl Handed {
    /// Ends when all are acknowledged.
    async fn acknowledged(mut self) -> Result<(), AcceptError> {
        let all = async {
            for done in self.pieces {
                done.await.unwrap_or_else(|_| Err(shutting_down()))?;
            }
            Ok(())
        };
        let late = |_| {
            let message = format!("no acknowledgement within {} ms", self.limit.as_millis());
            Err(AcceptError::Unavailable(message))
        };
        let result = tokio::time::timeout_at(self.deadline, all).await.unwrap_or_else(late);
        result.inspect_err(|error| self.sends.fail(error))
    }
}

fn shutting_down() -> AcceptError {
    AcceptError::Unavailable("shutting down".into())
}

impl Inner {
    /// Hands a request to its partitions; waits for room.
    async fn hand_over(&self, stamp: &hops::Stamp, items: Vec<Placed>) -> Result<Handed, AcceptError> {
        let limit = Duration::from_millis(self.options.accept_timeout_ms);
        let deadline = Instant::now() + limit;
        if !self.bus.is_back(limit.min(NEXT_NODE)).await {
            return Err(AcceptError::Unavailable("not connected".into()));
        }
        let mut sends = Sends::default();
        let cut = self.pieces(stamp, items, &mut sends);
        let cut = cut.inspect_err(|error| sends.fail(error))?;
        let mut pieces = Vec::with_capacity(cut.len());
        for piece in cut {
            let room = self.room(piece.encoded.len(), limit, deadline).await;
            let done = room.and_then(|room| enqueue(piece, room));
            pieces.push(done.inspect_err(|error| sends.fail(error))?);
        }
        Ok(Handed { pieces, sends, limit, deadline })
    }

    /// Waits for room.
    async fn room(
        &self,
        bytes: usize,
        limit: Duration,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, AcceptError> {
        let bytes = u32::try_from(bytes.min(self.options.queue_bytes_max)).unwrap_or(u32::MAX);
        if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(bytes) {
            return Ok(room);
        }
        let room = Arc::clone(&self.room).acquire_many_owned(bytes);
        match tokio::time::timeout_at(deadline, room).await {
            Ok(room) => room.map_err(|_| shutting_down()),
            Err(_) => Err(AcceptError::Full(format!("no room within {} ms", limit.as_millis()))),
        }
    }
}

/// Hands the piece to its partition. The order of calls is the order in the stream.
fn enqueue(piece: Piece<'_>, room: OwnedSemaphorePermit) -> Result<Done, AcceptError> {
    let (done, result) = oneshot::channel();
    let Piece { lane, partition, encoded, events } = piece;
    lane.counts.queued_events.add(as_f64(events));
    let job = Job { encoded, events, done, room };
    let partition = lane.partitions.get(partition).ok_or_else(shutting_down)?;
    partition.send(job).map_err(|_| shutting_down())?;
    Ok(result)
}
