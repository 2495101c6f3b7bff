//! When a process said that it was ready, and when not.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::task::AbortOnDropHandle;

const LOOK: Duration = Duration::from_millis(100);
/// A process that does not say so in this time is not ready.
const ANSWER: Duration = Duration::from_secs(2);

/// The answers so far, those that differ from the one before.
#[derive(Debug)]
pub(crate) struct Readiness {
    changes: Arc<Mutex<Vec<(Instant, bool)>>>,
    _watching: AbortOnDropHandle<()>,
}

impl Readiness {
    /// Asks the process with this admin address, again and again.
    pub(crate) fn watch(admin_url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER).build()?;
        let url = format!("{admin_url}/healthz/ready");
        let changes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&changes);
        let watching = tokio::spawn(async move {
            loop {
                let at = Instant::now();
                let ready = http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
                note(&seen, at, ready);
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(Self { changes, _watching: AbortOnDropHandle::new(watching) })
    }

    /// When it was off for the first time between these: at once, if it was not on again yet.
    pub(crate) fn off_between(&self, from: Instant, to: Instant) -> Option<Instant> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, false)) = changes.iter().rev().find(|(at, _)| *at < from) {
            return Some(from);
        }
        changes.iter().find(|(at, ready)| !ready && (from..=to).contains(at)).map(|(at, _)| *at)
    }

    /// Waits until it is on, after that moment. When that was, if it came in time.
    pub(crate) async fn on_after(&self, from: Instant, patience: Duration) -> Option<Instant> {
        while from.elapsed() < patience {
            if let Some((at, true)) = self.last()
                && from.elapsed() > ANSWER
            {
                return Some(at.max(from));
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    fn last(&self) -> Option<(Instant, bool)> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).last().copied()
    }
}

fn note(changes: &Mutex<Vec<(Instant, bool)>>, at: Instant, ready: bool) {
    let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
    if changes.last().is_none_or(|(_, last)| *last != ready) {
        changes.push((at, ready));
    }
}
