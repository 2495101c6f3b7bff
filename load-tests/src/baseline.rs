//! What the bare broker does with the same payload: single messages into one file-backed stream, a thousand of them
//! unacknowledged at a time.

use std::{
    collections::VecDeque,
    future::IntoFuture as _,
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, context::PublishAckFuture, stream};
use bytes::Bytes;
use hdrhistogram::Histogram;
use oracle::{Access, Pace};

const STREAM: &str = "LOAD-BASELINE";
const SUBJECT: &str = "load.baseline";
/// Publishes that await their acknowledgement.
const WINDOW: usize = 1_000;
/// Publishes between two looks at the clock.
const ROUND: u64 = 100;

/// A stream of our own in the fleet's broker.
#[derive(Debug, Clone)]
pub(crate) struct Bare(jetstream::Context);

impl Bare {
    /// Makes the stream.
    pub(crate) async fn open(access: &Access) -> anyhow::Result<Self> {
        let options = async_nats::ConnectOptions::new().client_capacity(4_096).subscription_capacity(1 << 16);
        let client = access.broker(options).await?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .ack_timeout(Duration::from_secs(30))
            .max_ack_inflight(WINDOW * 2)
            .build(client);
        // What a run that was interrupted left behind.
        jetstream.delete_stream(STREAM).await.ok();
        jetstream
            .create_stream(stream::Config {
                name: STREAM.to_owned(),
                subjects: vec![SUBJECT.to_owned()],
                storage: stream::StorageType::File,
                ..Default::default()
            })
            .await?;
        Ok(Self(jetstream))
    }

    /// Publishes one message and waits for its acknowledgement.
    pub(crate) async fn publish(&self, payload: Bytes) -> anyhow::Result<()> {
        self.0.publish(SUBJECT, payload).await?.await?;
        Ok(())
    }

    /// How long one publish takes, each awaited before the next, in microseconds: from when it was to be made, if `pace` says
    /// when, as requests are timed.
    pub(crate) async fn latency(&self, payload_bytes: usize, pace: &Pace) -> anyhow::Result<Histogram<u64>> {
        let payload = Bytes::from(vec![b'x'; payload_bytes]);
        let mut times = Histogram::new(3)?;
        while let Some(turn) = pace.next().await {
            let at = turn.due.unwrap_or_else(Instant::now);
            self.publish(payload.clone()).await?;
            times.record(u64::try_from(at.elapsed().as_micros())?)?;
        }
        Ok(times)
    }

    /// Removes the stream.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.0.delete_stream(STREAM).await?;
        Ok(())
    }
}

/// Messages a second that the broker acknowledges, measured for `span`. Uses a stream of its own and removes it again.
pub(crate) async fn publish_rate(
    access: &Access,
    payload_bytes: usize,
    span: Duration,
) -> anyhow::Result<f64> {
    let bare = Bare::open(access).await?;
    let rate = measure(&bare.0, payload_bytes, span).await;
    bare.close().await?;
    rate
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
async fn measure(
    jetstream: &jetstream::Context,
    payload_bytes: usize,
    span: Duration,
) -> anyhow::Result<f64> {
    let payload = Bytes::from(vec![b'x'; payload_bytes]);
    let mut unacknowledged: VecDeque<PublishAckFuture> = VecDeque::with_capacity(WINDOW);
    let mut sent = 0_u64;
    let began = Instant::now();
    while !sent.is_multiple_of(ROUND) || began.elapsed() < span {
        if unacknowledged.len() >= WINDOW
            && let Some(oldest) = unacknowledged.pop_front()
        {
            oldest.into_future().await?;
        }
        unacknowledged.push_back(jetstream.publish(SUBJECT, payload.clone()).await?);
        sent += 1;
    }
    for ack in unacknowledged {
        ack.into_future().await?;
    }
    Ok(sent as f64 / began.elapsed().as_secs_f64())
}
