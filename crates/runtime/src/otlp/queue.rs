//! From whoever records to whoever sends: bounded, never waited for.

use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::export::Signal;
use crate::metrics::{self, Metric};

/// Records of a request, at most.
const BATCH_MAX: usize = 512;
/// How long a record waits for others.
const GATHER: Duration = Duration::from_secs(1);

/// The end that takes records. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue<T> {
    sender: mpsc::Sender<T>,
    full: IntCounter,
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Records<T>(mpsc::Receiver<T>);

/// A queue for so many records.
pub(crate) fn queue<T>(signal: Signal, records_max: usize) -> (Queue<T>, Records<T>) {
    let (sender, receiver) = mpsc::channel(records_max);
    let full = metrics::counter(Metric::TelemetryDropped, &[signal.name(), "queue_full"]);
    (Queue { sender, full }, Records(receiver))
}

impl<T> Queue<T> {
    /// Adds a record; drops and counts it where there is no room.
    pub(crate) fn push(&self, record: T) {
        if self.sender.try_send(record).is_err() {
            self.full.inc();
        }
    }
}

impl<T> Records<T> {
    /// The next records, gathered for a moment. None once `stopping` and nothing is left.
    pub(crate) async fn gather(&mut self, stopping: &CancellationToken) -> Option<Vec<T>> {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            first = self.0.recv() => batch.push(first?),
            () = stopping.cancelled() => return None,
        }
        let time = tokio::time::sleep(GATHER);
        tokio::pin!(time);
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                biased;
                more = self.0.recv_many(&mut batch, room) => if more == 0 { break },
                () = stopping.cancelled() => break,
                () = &mut time => break,
            }
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_is_dropped_and_the_rest_goes_in_batches() {
        let (queue, mut records) = queue(Signal::Logs, 600);
        let before = queue.full.get();
        (0..700).for_each(|n| queue.push(n));
        assert_eq!(queue.full.get() - before, 100);
        let stopping = CancellationToken::new();
        let first = records.gather(&stopping).await.unwrap();
        assert_eq!(first, (0..512).collect::<Vec<_>>());
        queue.push(700);
        let second = records.gather(&stopping).await.unwrap();
        assert_eq!((second.len(), second.last()), (89, Some(&700)));
        queue.push(701);
        stopping.cancel();
        assert_eq!(records.gather(&stopping).await, Some(vec![701]), "what is there goes before the end");
        assert_eq!(records.gather(&stopping).await, None);
    }
}
