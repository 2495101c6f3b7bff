//! Reading partitions: in order, by one replica at a time, several messages under way, acked last.
//!
//! Taking a partition over. The consumer is pinned: the broker hands messages to one replica until that one falls
//! silent. The next one is handed *new* messages first and the silent one's only much later, so it must not begin
//! with what it gets: it resets the consumer to its ack floor, and begins with the first message after that
//! (`session`).

mod session;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use async_nats::jetstream::consumer::{self, Consumer, pull};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use model::{ErrorCode, Micros};
use runtime::metrics::{self, Gauge, IntCounter, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use self::session::{Restart, Session};
use crate::{
    Backoff, Bus, Error, Turn,
    idle::IdleCheck,
    members::Owned,
    publish::Queue,
    topology::{GROUP, consumer_name},
};

/// Limits of reading a partition.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReaderOptions {
    /// Messages of a partition under way at once: reading, writing and acking overlap.
    pub in_flight_max: usize,
    /// Messages asked of the broker at a time; as many may wait in this process.
    pub pull_messages: usize,
    /// How often the broker is told that work goes on, so that slowness is not taken for death.
    pub progress_seconds: u64,
    /// When all that came is begun, what comes next is gathered for so long and begun together, in microseconds: a
    /// message after a silence waits for nothing, and many small ones do not each wake everybody on their way.
    pub gather_us: u64,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self { in_flight_max: 8, pull_messages: 64, progress_seconds: 15, gather_us: 1_000 }
    }
}

/// What a reader counts.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    messages: IntCounter,
    redelivered: IntCounter,
    takeovers: IntCounter,
    /// Age of the oldest message that is not finished.
    lag_seconds: Gauge,
    owned: Gauge,
    /// The same, for this partition alone.
    owned_here: Gauge,
}

impl Counts {
    pub(crate) fn new(stage: &str, partition: u32) -> Self {
        let counter = |metric| metrics::counter(metric, &[stage]);
        // Seen at 0 from the start: an alert looks at how they grow.
        for code in ErrorCode::ALL {
            drop(metrics::counter(Metric::DeadLettersWritten, &[stage, code.as_str()]));
        }
        Self {
            messages: counter(Metric::ConsumerReceivedMessages),
            redelivered: counter(Metric::ConsumerRedeliveredMessages),
            takeovers: counter(Metric::ConsumerTakeovers),
            lag_seconds: metrics::gauge(Metric::ConsumerLagAge, &[stage, &partition.to_string()]),
            owned: metrics::gauge(Metric::ConsumerOwnedPartitions, &[stage]),
            owned_here: metrics::gauge(Metric::ConsumerOwnedPartition, &[stage, &partition.to_string()]),
        }
    }

    /// When the oldest message was stored that is not finished; `None`: there is none.
    fn lag(&self, stored_at_us: Option<Micros>) {
        let now_us = model::Clock::now(&model::SystemClock);
        #[expect(clippy::cast_precision_loss, reason = "an age in microseconds")]
        self.lag_seconds.set(stored_at_us.map_or(0.0, |at| (now_us - at).max(0) as f64 / 1e6));
    }
}

/// A packed message to work on.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its partition.
    pub partition: u32,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the broker stored it.
    pub stored_at_us: Micros,
    /// What it holds.
    pub payload: Bytes,
}

/// The rest of a message's work: ends when every effect is durable. It waits out any outage; it never fails.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is done with the messages of one partition.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// Called when the partition has become ours, or the connection was lost in between, before any message of it is
    /// begun: the broker may have forgotten what it had acknowledged.
    async fn prepare(&mut self, _partition: u32) {}

    /// Begins the work on a message. Called in stream order, one call at a time: whatever must keep the order is
    /// done here, and what of that the broker refuses is done again in its turn. The future it returns runs beside
    /// those of later messages.
    async fn begin(&mut self, message: Incoming, turn: Turn) -> Work;
}

/// Told the time at which the oldest unfinished work of a partition began, or that there is none.
pub(crate) type OnProgress = Arc<dyn Fn(u32, Option<Micros>) + Send + Sync>;

/// Reads one partition whenever it is this replica's.
pub(crate) struct Reader<W> {
    pub(crate) bus: Bus,
    pub(crate) stream: &'static str,
    pub(crate) partition: u32,
    pub(crate) options: ReaderOptions,
    pub(crate) counts: Counts,
    pub(crate) on_progress: OnProgress,
    /// What the messages under way become, in their order.
    pub(crate) queue: Queue,
    pub(crate) worker: W,
}

impl<W> fmt::Debug for Reader<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("stream", &self.stream)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl<W: Worker> Reader<W> {
    /// Reads until `draining`, whenever `owned` says the partition is ours; then finishes what is under way,
    /// acks it and gives the partition free.
    pub(crate) async fn run(mut self, mut owned: watch::Receiver<Owned>, draining: CancellationToken) {
        let index = self.partition as usize;
        let mine = move |owned: &Owned| owned.get(index).copied().unwrap_or_default();
        let mut backoff = Backoff::default();
        let mut pin = None;
        loop {
            tokio::select! {
                biased;
                () = draining.cancelled() => return,
                changed = owned.wait_for(mine) => if changed.is_err() { return },
            }
            self.counts.owned.inc();
            self.counts.owned_here.set(1.0);
            let mut lost = owned.clone();
            let stop = async {
                tokio::select! {
                    () = draining.cancelled() => {}
                    _ = lost.wait_for(|o| !mine(o)) => {}
                }
            };
            let ended = self.own(stop, &mut pin, &mut backoff).await;
            self.counts.owned.dec();
            self.counts.owned_here.set(0.0);
            if let Err(error) = ended {
                tracing::warn!(stream = self.stream, partition = self.partition, %error, "reading interrupted");
                tokio::select! {
                    () = backoff.wait() => {}
                    () = draining.cancelled() => return,
                }
            }
        }
    }

    /// One ownership, from take-over to hand-over.
    async fn own(
        &mut self,
        stop: impl Future<Output = ()>,
        pin: &mut Option<String>,
        backoff: &mut Backoff,
    ) -> Result<(), Error> {
        let what = format!("partition {} of {}", self.partition, self.stream);
        let name = consumer_name(self.partition);
        let mut consumer: Consumer<pull::Config> = self
            .bus
            .jetstream()
            .get_consumer_from_stream(&name, self.stream)
            .await
            .map_err(|e| Error::broker(&what, &e))?;
        let lost = self.bus.lost();
        let found = self.take_over(&mut consumer, pin.as_deref()).await?;
        self.worker.prepare(self.partition).await;
        let mut session = Session::new(consumer);
        tokio::pin!(stop, lost);
        let ended = loop {
            match self.read(&mut session, stop.as_mut(), lost.as_mut(), backoff).await {
                Ok(Some(restart)) => {
                    if let Err(error) = self.restart(&mut session, restart).await {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        session.finish_all(self).await;
        *pin = session.pin.take();
        self.hand_over(&mut session.consumer, pin.is_none().then_some(found)).await;
        ended
    }

    /// Reads until it is time to stop, or until the consumer has to begin again.
    async fn read(
        &mut self,
        session: &mut Session,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        mut lost: Pin<&mut impl Future<Output = ()>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Restart>, Error> {
        let what = format!("partition {} of {}", self.partition, self.stream);
        let messages = session
            .consumer
            .stream()
            .max_messages_per_batch(self.options.pull_messages)
            .group(GROUP)
            .messages()
            .await
            .map_err(|e| Error::broker(&what, &e))?;
        let mut messages = Box::pin(messages.peekable());
        let gather = Duration::from_micros(self.options.gather_us);
        let mut gathering: Option<Instant> = None;
        let mut progress = tokio::time::interval(Duration::from_secs(self.options.progress_seconds.max(1)));
        let mut idle = IdleCheck::new();
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return Ok(None),
                () = &mut lost => return Err(Error::Broker { what, reason: "the connection was lost".into() }),
                Some(done) = session.under_way.join_next_with_id() => session.finish(self, done).await,
                () = tokio::time::sleep_until(gathering.unwrap_or_else(Instant::now)), if gathering.is_some() => gathering = None,
                message = messages.next(), if gathering.is_none() && self.has_room(session) => match message {
                    Some(Ok(message)) => {
                        backoff.reset();
                        idle.reset();
                        if let Some(restart) = session.handle(self, message).await? { return Ok(Some(restart)) }
                        if !gather.is_zero() && messages.as_mut().peek().now_or_never().is_none() {
                            gathering = Some(Instant::now() + gather);
                        }
                    }
                    Some(Err(error)) => return Err(Error::broker(&what, &error)),
                    None => return Err(Error::Broker { what, reason: "the subscription ended".into() }),
                },
                _ = progress.tick() => session.report_progress(self).await,
                // What is gathered is nobody's work yet, and not left over either.
                () = tokio::time::sleep_until(idle.next.into()), if gathering.is_none() => {
                    if let Some(restart) = session.check_idle(self, &mut idle).await? { return Ok(Some(restart)) }
                }
            }
        }
    }

    /// Finishes what is ours, then has the consumer begin again: while nobody asks it for messages. A broker of several nodes
    /// notes what it hands out between being asked for a reset and the reset as handed out after it, and everything
    /// before that as done; once another node leads, that is handed to nobody or, worse, taken out of the stream
    /// (nats-server 2.15: `consumer.resetStartingSeq` and `consumerFileStore.UpdateDelivered`).
    async fn restart(&self, session: &mut Session, Restart { from }: Restart) -> Result<(), Error> {
        session.finish_all(self).await;
        session.begin_again();
        tracing::info!(stream = self.stream, partition = self.partition, "partition taken over");
        let what = || format!("a reset of partition {} of {}", self.partition, self.stream);
        // The acks reach the broker before the reset does, and the look makes it forget our last request.
        self.bus.client().flush().await.ok();
        session.consumer.info().await.map_err(|e| Error::broker(what(), &e))?;
        session.consumer.reset(from).await.map_err(|e| Error::broker(what(), &e))?;
        self.hand_over(&mut session.consumer, None).await;
        Ok(())
    }

    /// Whether the next message may be begun.
    fn has_room(&self, session: &Session) -> bool {
        session.under_way.len() < self.options.in_flight_max.max(1) && !self.queue.is_held()
    }

    /// If nobody is pinned, whatever a previous owner left unacked is put back in its place before new messages come.
    /// Gives the pin of another, if there is one.
    async fn take_over(
        &self,
        consumer: &mut Consumer<pull::Config>,
        our_last_pin: Option<&str>,
    ) -> Result<Option<String>, Error> {
        let what = || format!("partition {} of {}", self.partition, self.stream);
        let info = consumer.info().await.map_err(|e| Error::broker(what(), &e))?;
        let pinned = pinned(info);
        let left_over = info.num_ack_pending > 0;
        if pinned.is_some() && pinned.as_deref() != our_last_pin {
            return Ok(pinned);
        }
        if left_over {
            tracing::info!(
                stream = self.stream,
                partition = self.partition,
                "taking over what was left unfinished"
            );
            consumer.reset(None).await.map_err(|e| Error::broker(what(), &e))?;
        }
        // Not before the reset, during which nobody may be handed anything (`restart`).
        if pinned.is_some() {
            self.hand_over(consumer, None).await;
        }
        Ok(None)
    }

    /// Gives the partition free, so that the next owner need not wait for the pin to lapse. `not_ours`: we have seen no
    /// message, so we do not know whether we were pinned with one that was on its way; any pin but this one may be ours.
    /// (Another owner's that is taken away by mistake is given anew with its next request.)
    async fn hand_over(&self, consumer: &mut Consumer<pull::Config>, not_ours: Option<Option<String>>) {
        if !self.bus.is_connected() {
            return;
        }
        let unpin = async {
            // The acks are on the wire before the pin is gone.
            self.bus.client().flush().await.ok();
            // The look makes the broker forget our last request, which nobody listens to any more. Else it would pin that one, and
            // hand nobody anything until the pin lapses.
            let now = pinned(consumer.info().await.ok()?);
            if not_ours.is_some_and(|not_ours| now.is_none() || now == not_ours) {
                return None;
            }
            let stream = self.bus.jetstream().get_stream_no_info(self.stream).await.ok()?;
            stream.unpin_consumer(&consumer_name(self.partition), GROUP).await.ok()
        };
        if tokio::time::timeout(self.bus.request_timeout(), unpin).await.is_err() {
            tracing::debug!(
                stream = self.stream,
                partition = self.partition,
                "could not unpin; the pin will lapse"
            );
        }
    }
}

/// Who is handed a partition's messages.
fn pinned(info: &consumer::Info) -> Option<String> {
    info.priority_groups.iter().find_map(|group| group.pinned_client_id.clone())
}
