//! Sends what has gathered for a partition, again if need be, and tells those who wait.

use std::{
    future::IntoFuture as _,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap,
    jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind},
};
use bytes::{Bytes, BytesMut};
use runtime::metrics::{self, Gauge, Histogram, IntCounter, Metric};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{AcceptError, Current, DoorOptions, Job, outlet::Outlet};
use crate::{Bus, chain};

/// How long an acknowledgement is awaited before the message is sent again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the publisher counts.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    batches: IntCounter,
    events: IntCounter,
    batch_events: Histogram,
    ack_seconds: Histogram,
    pub(super) queued_events: Gauge,
    full_events: IntCounter,
    failed_batches: IntCounter,
}

impl Counts {
    pub(super) fn new(stream: &str) -> Self {
        let counter = |metric| metrics::counter(metric, &[stream]);
        Self {
            batches: counter(Metric::BusPublishedBatches),
            events: counter(Metric::BusPublishedEvents),
            batch_events: metrics::histogram(Metric::BusBatchSize, &[stream]),
            ack_seconds: metrics::histogram(Metric::BusAckDuration, &[stream]),
            queued_events: metrics::gauge(Metric::BusQueuedEvents, &[stream]),
            full_events: counter(Metric::BusFullEvents),
            failed_batches: counter(Metric::BusFailedBatches),
        }
    }
}

/// Sends the messages of one partition.
pub(super) struct Publisher {
    pub(super) options: DoorOptions,
    pub(super) partition: u32,
    pub(super) current: Arc<Current>,
    pub(super) way: Arc<Way>,
    pub(super) jobs: mpsc::UnboundedReceiver<Job>,
}

/// What all messages of a partition have in common on their way.
pub(super) struct Way {
    pub(super) bus: Bus,
    pub(super) subject: String,
    pub(super) counts: Counts,
    pub(super) outlet: Arc<Outlet>,
}

impl Publisher {
    pub(super) async fn run(mut self) {
        let most = self.options.window.max(1);
        let window = Arc::new(Semaphore::new(most));
        let settled = Arc::new(Notify::new());
        // What came while a full message was gathered and did not fit any more.
        let mut held: Option<Job> = None;
        let (prefix, mut number) = (rand::random::<u64>(), 0_u64);
        // The next message is likely to be as long as the last.
        let mut usual = 0;
        loop {
            let first = match held.take() {
                Some(job) => job,
                None => match self.jobs.recv().await {
                    Some(job) => job,
                    None => return,
                },
            };
            if self.options.linger_us > 0 {
                tokio::time::sleep(Duration::from_micros(self.options.linger_us)).await;
            }
            let mut load = Gathered::new(first, usual);
            // What is not full waits for those on their way, as long as they take, and grows.
            while self.gather(&mut load, &mut held) && window.available_permits() < most {
                tokio::select! {
                    () = settled.notified() => {}
                    job = self.jobs.recv() => match job {
                        Some(job) => held = Some(job),
                        None => break,
                    },
                }
            }
            // While the window is full, requests gather in the channel.
            let Ok(permit) = Arc::clone(&window).acquire_owned().await else { return };
            self.gather(&mut load, &mut held);
            self.current.leave(self.partition, held.is_some());
            let sent = Instant::now();
            number += 1;
            usual = load.payload.len();
            let message = Message {
                way: Arc::clone(&self.way),
                id: format!("{prefix:016x}{number:x}"),
                payload: std::mem::take(&mut load.payload).freeze(),
                until: sent + Duration::from_millis(self.options.accept_timeout_ms),
            };
            let published = message.send().await;
            let settled = Arc::clone(&settled);
            tokio::spawn(async move {
                let result = message.settle(published).await;
                drop(permit);
                settled.notify_one();
                load.finish(&message.way.counts, &result, sent.elapsed());
            });
        }
    }

    /// Adds what waits, as long as it fits. Whether there is room for more.
    fn gather(&mut self, load: &mut Gathered, held: &mut Option<Job>) -> bool {
        let DoorOptions { message_bytes_max, message_events_max, .. } = self.options;
        while load.payload.len() < message_bytes_max && load.events < message_events_max {
            let Some(job) = held.take().or_else(|| self.jobs.try_recv().ok()) else { return true };
            if load.payload.len() + job.encoded.len() > message_bytes_max {
                *held = Some(job);
                return false;
            }
            load.add(job);
        }
        false
    }
}

/// What becomes one message.
struct Gathered {
    payload: BytesMut,
    /// So long it is likely to become.
    usual: usize,
    events: usize,
    jobs: Vec<(oneshot::Sender<Result<(), AcceptError>>, OwnedSemaphorePermit)>,
}

impl Gathered {
    fn new(Job { encoded, events, done, room }: Job, usual: usize) -> Self {
        Self { payload: encoded, usual, events, jobs: vec![(done, room)] }
    }

    fn add(&mut self, job: Job) {
        self.payload.reserve(self.usual.saturating_sub(self.payload.len()).max(job.encoded.len()));
        self.payload.extend_from_slice(&job.encoded);
        self.events += job.events;
        self.jobs.push((job.done, job.room));
    }

    fn finish(self, counts: &Counts, result: &Result<(), AcceptError>, took: Duration) {
        let Self { events, jobs, .. } = self;
        let count = u64::try_from(events).unwrap_or(u64::MAX);
        counts.queued_events.sub(as_f64(events));
        match result {
            Ok(()) => {
                counts.batches.inc();
                counts.events.inc_by(count);
                counts.batch_events.observe(as_f64(events));
                counts.ack_seconds.observe(took.as_secs_f64());
            }
            Err(error) => {
                counts.failed_batches.inc();
                if matches!(error, AcceptError::Full(_)) {
                    counts.full_events.inc_by(count);
                }
                tracing::debug!(%error, events, "message not acknowledged");
            }
        }
        for (done, room) in jobs {
            drop(room);
            // A request that has gone away meanwhile needs no answer.
            let _ = done.send(result.clone());
        }
    }
}

/// A message on its way.
struct Message {
    way: Arc<Way>,
    /// By which the stream recognizes it, however often it is sent.
    id: String,
    payload: Bytes,
    /// When it is given up.
    until: Instant,
}

type Published = Result<PublishAckFuture, PublishError>;

impl Message {
    async fn send(&self) -> Published {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, self.id.as_str());
        let Way { bus, subject, .. } = &*self.way;
        bus.jetstream().publish_with_headers(subject.clone(), headers, self.payload.clone()).await
    }

    /// Waits for the acknowledgement. What a broker that ends, or a node that leads the stream no more, was sent is answered by
    /// nobody: it is sent again as long as there is time.
    async fn settle(&self, mut published: Published) -> Result<(), AcceptError> {
        loop {
            let next = (Instant::now() + AGAIN).min(self.until);
            let acknowledged = async {
                match published {
                    Ok(ack) => ack.into_future().await.map(drop).map_err(|error| refusal(&error)),
                    Err(error) => Err(refusal(&error)),
                }
            };
            let result = tokio::time::timeout_at(next.into(), acknowledged)
                .await
                .unwrap_or_else(|_| Err(AcceptError::Unavailable("it does not acknowledge".to_owned())));
            let Err(error) = result else {
                self.way.outlet.took();
                return Ok(());
            };
            self.way.outlet.refused(&error);
            if matches!(error, AcceptError::Full(_)) || next >= self.until {
                return Err(error);
            }
            tokio::time::sleep_until(next.into()).await;
            published = self.send().await;
        }
    }
}

/// A stream at its limit is told apart from a broker that does not answer.
fn refusal(error: &PublishError) -> AcceptError {
    let text = chain(error);
    let full = matches!(error.kind(), PublishErrorKind::Other | PublishErrorKind::MaxAckPending)
        && (text.contains("maximum") || text.contains("insufficient"));
    if full { AcceptError::Full(text) } else { AcceptError::Unavailable(text) }
}

#[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
pub(super) fn as_f64(count: usize) -> f64 {
    count as f64
}
