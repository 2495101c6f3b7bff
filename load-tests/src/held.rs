//! A stream that nobody is handed anything of: its consumers are paused, as if whoever reads it had stopped.

use std::time::{Duration, Instant, SystemTime};

use anyhow::ensure;
use async_nats::jetstream::{self, stream::Stream};
use oracle::Access;

/// The most partitions there are.
const PARTITIONS_MAX: u32 = 64;
/// How long readers may take to go on.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two looks whether they do.
const LOOK: Duration = Duration::from_millis(20);

/// Held until it is released, or for so long at most.
#[derive(Debug)]
pub(crate) struct Held {
    stream: Stream,
    consumers: Vec<String>,
}

impl Held {
    /// Pauses the consumer of each partition.
    pub(crate) async fn hold(access: &Access, stream: &str, at_most: Duration) -> anyhow::Result<Self> {
        let context = jetstream::new(access.broker(async_nats::ConnectOptions::new()).await?);
        let held = context.get_stream(stream).await?;
        let until = SystemTime::now() + at_most;
        let mut consumers = Vec::new();
        for partition in 0..PARTITIONS_MAX {
            let name = format!("p{partition}");
            if held.pause_consumer(&name, until.into()).await.is_err() {
                break;
            }
            consumers.push(name);
        }
        ensure!(!consumers.is_empty(), "{stream} has no consumer that could be paused");
        Ok(Self { stream: held, consumers })
    }

    /// Bytes in the stream.
    pub(crate) async fn bytes(&mut self) -> anyhow::Result<u64> {
        Ok(self.stream.info().await?.state.bytes)
    }

    /// Lets its readers go on.
    pub(crate) async fn release(&self) -> anyhow::Result<()> {
        for name in &self.consumers {
            self.stream.resume_consumer(name).await?;
        }
        Ok(())
    }

    /// The same; ends when they do. The broker does not answer the requests of before, so that it takes until a reader doubts the
    /// silence.
    pub(crate) async fn resumed(mut self) -> anyhow::Result<()> {
        let before = self.stream.info().await?.state.first_sequence;
        self.release().await?;
        let began = Instant::now();
        while self.stream.info().await?.state.first_sequence == before {
            ensure!(began.elapsed() < SILENCE, "nobody reads on after {} s", SILENCE.as_secs());
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}
