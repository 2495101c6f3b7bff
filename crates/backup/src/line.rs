//! The connection to the broker while something comes in pieces: what was sent while it was cut is lost, and nobody says so.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use async_nats::{Client, connection::State};
use bus::Bus;

use crate::Error;

/// How long the broker may take to begin, and to send or take the next piece.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// The connection as it was at one moment.
#[derive(Debug, Clone)]
pub struct Line {
    client: Client,
    connects: u64,
}

impl Line {
    /// As it is now.
    #[must_use]
    pub fn of(bus: &Bus) -> Self {
        let client = bus.client().clone();
        let connects = client.statistics().connects.load(Relaxed);
        Self { client, connects }
    }

    /// Whether it has been cut since, even if it is there again.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.client.statistics().connects.load(Relaxed) != self.connects
            || self.client.connection_state() != State::Connected
    }

    /// Waits for the next piece.
    ///
    /// # Errors
    /// If it does not come in time, or the line was cut: one before it may be missing.
    pub async fn wait<T>(&self, what: &str, piece: impl Future<Output = T>) -> Result<T, Error> {
        let (began, mut piece) = (Instant::now(), std::pin::pin!(piece));
        loop {
            let came = tokio::time::timeout(LOOK, &mut piece).await;
            if self.was_cut() {
                return Err(Error::refused(what, "the line to the broker was cut"));
            }
            match came {
                Ok(came) => return Ok(came),
                Err(_) if began.elapsed() > PATIENCE => return Err(Error::refused(what, "it falls silent")),
                Err(_) => {}
            }
        }
    }
}
