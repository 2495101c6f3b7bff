//! Reads a stream of the broker's forward from a position, and follows it.
//!
//! An ephemeral consumer without acks is pulled one bounded request at a time, and the next one is only made when
//! the reader has taken what came: that is the back-pressure. Whatever happens to consumer or connection, reading
//! goes on after the last message given, so that none is missed and none is given twice.
//!
//! The client's own ordered consumer is not used: re-made before its first message it starts at the beginning of
//! the stream, whatever it was told, and its single fetches forget messages that a slow reader left in them.

use std::{sync::atomic::Ordering, time::Duration};

use async_nats::{
    StatusCode, Subject, Subscriber,
    jetstream::{
        self,
        consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    },
};
use bus::{Backoff, Bus};
use futures::StreamExt as _;
use model::Micros;

/// How long a request for messages stays open at the broker.
const PULL: Duration = Duration::from_secs(30);
/// How often the broker says that it is still there while there is nothing.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Silence after which the broker, or its consumer, counts as gone.
const SILENCE: Duration = Duration::from_secs(12);
/// How often silence is looked into.
const LOOK: Duration = Duration::from_secs(1);
/// The broker drops a consumer nobody has pulled for so long; a slower reader gets a new one.
const INACTIVE: Duration = Duration::from_secs(30);

/// What to read.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) stream: String,
    /// Subjects that do not overlap.
    pub(crate) subjects: Vec<String>,
    /// Leave the payloads at the broker.
    pub(crate) headers_only: bool,
    /// Messages that may wait here.
    pub(crate) messages_max: usize,
    /// And their bytes.
    pub(crate) bytes_max: usize,
}

/// Where to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// After this sequence.
    After(u64),
    /// At the first message stored at or after this time.
    Since(Micros),
}

/// A message in its place.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) sequence: u64,
    pub(crate) stored_at_us: Micros,
    /// Messages selected that come after it, as of now.
    pub(crate) pending: u64,
    pub(crate) message: async_nats::Message,
}

/// A reader of a stream.
#[derive(Debug)]
pub(crate) struct Follow {
    bus: Bus,
    selection: Selection,
    position: Position,
    pulling: Option<Pulling>,
    backoff: Backoff,
}

/// A failure that is outlived by starting again from the position.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Interrupted(String);

impl Follow {
    /// Begins to read.
    ///
    /// # Errors
    /// If the broker does not answer or has no such stream. Later failures are outlived.
    pub(crate) async fn open(
        bus: &Bus,
        selection: Selection,
        position: Position,
    ) -> Result<Self, bus::Error> {
        let pulling = Pulling::start(bus, &selection, position)
            .await
            .map_err(|e| bus::Error::broker(format!("reading stream {}", selection.stream), &e))?;
        let backoff = Backoff::default();
        Ok(Self { bus: bus.clone(), selection, position, pulling: Some(pulling), backoff })
    }

    /// Messages selected when reading began.
    pub(crate) fn pending_at_open(&self) -> u64 {
        self.pulling.as_ref().map_or(0, |p| p.consumer.cached_info().num_pending)
    }

    /// The next message, whenever it comes. Not to be dropped half-way but with the whole.
    pub(crate) async fn next(&mut self) -> Item {
        loop {
            let interrupted = match &mut self.pulling {
                Some(pulling) => match pulling.next(&self.selection).await {
                    Ok(item) => {
                        self.position = Position::After(item.sequence);
                        self.backoff.reset();
                        return item;
                    }
                    Err(interrupted) => interrupted,
                },
                None => match Pulling::start(&self.bus, &self.selection, self.position).await {
                    Ok(pulling) => {
                        self.pulling = Some(pulling);
                        continue;
                    }
                    Err(error) => Interrupted(error.to_string()),
                },
            };
            let stream = &self.selection.stream;
            tracing::debug!(stream, reason = %interrupted, position = ?self.position, "reading interrupted");
            self.pulling = None;
            self.backoff.wait().await;
        }
    }
}

type PullConsumer = Consumer<pull::Config>;

/// A consumer at the broker and the request that is open at it.
struct Pulling {
    context: jetstream::Context,
    consumer: PullConsumer,
    inbox: Subject,
    messages: Subscriber,
    /// Messages still to come of the open request.
    asked: usize,
    /// The connection it began on, by number.
    connected: u64,
    /// Position in the consumer: a gap means that something got lost on the way.
    consumer_sequence: u64,
    /// Requests that ended since the last message without having brought one.
    in_vain: u32,
}

impl std::fmt::Debug for Pulling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulling").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Pulling {
    async fn start(
        bus: &Bus,
        selection: &Selection,
        position: Position,
    ) -> Result<Self, jetstream::stream::ConsumerError> {
        let config = pull::Config {
            deliver_policy: deliver_policy(position),
            ack_policy: AckPolicy::None,
            filter_subjects: selection.subjects.clone(),
            headers_only: selection.headers_only,
            inactive_threshold: INACTIVE,
            memory_storage: true,
            num_replicas: 1,
            ..Default::default()
        };
        let connected = connects(bus.client());
        let context = bus.jetstream().clone();
        let consumer = context.create_consumer_on_stream(config, &*selection.stream).await?;
        let inbox = Subject::from(bus.client().new_inbox());
        let messages = bus.client().subscribe(inbox.clone()).await.map_err(|e| {
            jetstream::stream::ConsumerError::with_source(jetstream::stream::ConsumerErrorKind::Other, e)
        })?;
        Ok(Self { context, consumer, inbox, messages, asked: 0, connected, consumer_sequence: 0, in_vain: 0 })
    }

    async fn next(&mut self, selection: &Selection) -> Result<Item, Interrupted> {
        loop {
            if self.asked == 0 {
                self.ask(selection).await?;
            }
            let message = self.message().await?;
            match message.status {
                None | Some(StatusCode::OK) => return self.item(message),
                Some(StatusCode::IDLE_HEARTBEAT) => {}
                // The request has expired.
                Some(StatusCode::TIMEOUT) => self.asked = 0,
                // It ended for another reason: the bytes are used up, or the consumer is gone.
                Some(status) => {
                    let reason = message.description.as_deref().unwrap_or_default();
                    self.in_vain += 1;
                    if status != StatusCode::REQUEST_TERMINATED
                        || reason.contains("Deleted")
                        || self.in_vain > 1
                    {
                        return Err(Interrupted(format!("{status} {reason}")));
                    }
                    self.asked = 0;
                }
            }
        }
    }

    /// Whatever the broker sends next.
    async fn message(&mut self) -> Result<async_nats::Message, Interrupted> {
        let mut silent = Duration::ZERO;
        while silent < SILENCE {
            match tokio::time::timeout(LOOK, self.messages.next()).await {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => return Err(Interrupted("the connection is closed".into())),
                // The request was open at a connection that is gone, and nothing will answer it.
                Err(_) if self.connects() != self.connected => {
                    return Err(Interrupted("connected anew".into()));
                }
                Err(_) => silent += LOOK,
            }
        }
        Err(Interrupted("the broker is silent".into()))
    }

    fn connects(&self) -> u64 {
        connects(&self.context.client())
    }

    async fn ask(&mut self, selection: &Selection) -> Result<(), Interrupted> {
        let request = pull::BatchConfig {
            batch: selection.messages_max,
            max_bytes: selection.bytes_max,
            expires: Some(PULL),
            idle_heartbeat: HEARTBEAT,
            ..Default::default()
        };
        self.asked = selection.messages_max;
        self.consumer
            .request_batch(request, self.inbox.clone())
            .await
            .map_err(|e| Interrupted(format!("cannot ask for messages: {e}")))
    }

    fn item(&mut self, message: async_nats::Message) -> Result<Item, Interrupted> {
        self.asked = self.asked.saturating_sub(1);
        self.in_vain = 0;
        let message = jetstream::Message { message, context: self.context.clone() };
        let info = message.info().map_err(|e| Interrupted(format!("a message without a place: {e}")))?;
        self.consumer_sequence += 1;
        if info.consumer_sequence != self.consumer_sequence {
            return Err(Interrupted("messages got lost on the way".into()));
        }
        Ok(Item {
            sequence: info.stream_sequence,
            stored_at_us: micros(info.published),
            pending: info.pending,
            message: message.message,
        })
    }
}

impl Drop for Pulling {
    fn drop(&mut self) {
        // The broker would notice by itself, half a minute later.
        let info = self.consumer.cached_info();
        let (stream, name, context) = (info.stream_name.clone(), info.name.clone(), self.context.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { context.delete_consumer_from_stream(&name, &stream).await.ok() });
        }
    }
}

/// How often the client has connected.
fn connects(client: &async_nats::Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

fn deliver_policy(position: Position) -> DeliverPolicy {
    match position {
        Position::After(0) => DeliverPolicy::All,
        Position::After(sequence) => {
            DeliverPolicy::ByStartSequence { start_sequence: sequence.saturating_add(1) }
        }
        Position::Since(at_us) => {
            // Out of the calendar's range: before everything, or after it.
            let clamped = i128::from(at_us.clamp(MICROS_MIN, MICROS_MAX)) * 1_000;
            let start_time = time::OffsetDateTime::from_unix_timestamp_nanos(clamped)
                .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
            DeliverPolicy::ByStartTime { start_time }
        }
    }
}

/// 1970, before which no stream holds anything.
const MICROS_MIN: Micros = 0;
/// The end of the year 9999.
const MICROS_MAX: Micros = 253_402_300_799_000_000;

pub(crate) fn micros(at: time::OffsetDateTime) -> Micros {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}
