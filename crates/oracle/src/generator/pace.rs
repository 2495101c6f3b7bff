//! When requests are sent: as fast as answers come, or at a rate that does not care whether they do.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// Between two looks at a limit that was reached.
const LOOK: Duration = Duration::from_millis(1);
/// More lanes than there will ever be.
const LANES_MAX: usize = 1 << 20;

/// Hands out the numbers of requests, each at its time.
#[derive(Debug)]
pub struct Pace {
    requests: u64,
    next: AtomicU64,
    /// Those whose time has come; `None`: all.
    due: Option<Arc<Due>>,
    /// When somebody first asked for one: what is set up until then makes no request late.
    began: OnceLock<Instant>,
    stopped: AtomicBool,
}

#[derive(Debug)]
struct Due {
    permits: Semaphore,
    interval: Option<Duration>,
    /// How many may be sent so far, whatever the time.
    limit: AtomicU64,
    over: AtomicBool,
}

/// One request's turn.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Its number.
    pub request: u64,
    /// When it was to be sent, if there is a rate.
    pub due: Option<Instant>,
}

impl Pace {
    /// So many requests as fast as answers come.
    #[must_use]
    pub fn closed(requests: u64) -> Self {
        Self {
            requests,
            next: AtomicU64::new(0),
            due: None,
            began: OnceLock::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// So many requests, `per_second` of them, and not more than a limit that [`allow`](Self::allow) lifts, if there is one.
    #[must_use]
    pub fn open(requests: u64, per_second: Option<f64>, limit: Option<u64>) -> Self {
        let due = Arc::new(Due {
            permits: Semaphore::new(0),
            interval: per_second.map(|rate| Duration::from_secs_f64(1.0 / rate.max(0.001))),
            limit: AtomicU64::new(limit.unwrap_or(u64::MAX)),
            over: AtomicBool::new(false),
        });
        let mut pace = Self::closed(requests);
        pace.due = Some(due);
        pace
    }

    /// That many requests may be sent.
    pub fn allow(&self, requests: u64) {
        if let Some(due) = &self.due {
            due.limit.fetch_max(requests, Relaxed);
        }
    }

    /// Hands out no more. What was handed out is sent to its end.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Requests handed out so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.next.load(Relaxed).min(self.requests)
    }

    /// When a request is to be sent, if there is a rate.
    #[must_use]
    pub fn due(&self, request: u64) -> Option<Instant> {
        self.due.as_ref()?.at(request, *self.began.get()?)
    }

    /// The next request, at its time; none after the last.
    pub async fn next(&self) -> Option<Turn> {
        if let Some(due) = &self.due {
            self.began.get_or_init(|| {
                let (requests, began, clock) = (self.requests, Instant::now(), Arc::clone(due));
                // A thread of its own: the runtime's timer is exact to a millisecond only.
                thread::spawn(move || clock.run(requests, began));
                began
            });
            due.permits.acquire().await.ok()?.forget();
        }
        if self.stopped.load(Relaxed) {
            return None;
        }
        let request = self.next.fetch_add(1, Relaxed);
        (request < self.requests).then(|| Turn { request, due: self.due(request) })
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        if let Some(due) = &self.due {
            due.over.store(true, Relaxed);
        }
    }
}

impl Due {
    fn at(&self, request: u64, began: Instant) -> Option<Instant> {
        let nanoseconds = self.interval?.as_nanos().saturating_mul(request.into());
        Some(began + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
    }

    fn run(&self, requests: u64, began: Instant) {
        for request in 0..requests {
            while request >= self.limit.load(Relaxed) {
                if self.over.load(Relaxed) {
                    return;
                }
                thread::sleep(LOOK);
            }
            if let Some(at) = self.at(request, began) {
                let wait = at.saturating_duration_since(Instant::now());
                if !wait.is_zero() {
                    thread::sleep(wait);
                }
                if self.over.load(Relaxed) {
                    return;
                }
            }
            self.permits.add_permits(1);
        }
        // Whoever waits for one more is told that there is none. (Closing would take from some what they were just given.)
        self.permits.add_permits(LANES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_request_has_one_turn_at_its_time() {
        let pace = Pace::open(3, Some(100.0), Some(2));
        let began = Instant::now();
        assert_eq!(pace.next().await.unwrap().request, 0);
        assert_eq!(pace.next().await.unwrap().request, 1);
        assert!(began.elapsed() >= Duration::from_millis(8));
        pace.allow(3);
        let last = pace.next().await.unwrap();
        assert_eq!((last.request, last.due), (2, pace.due(2)));
        assert!(pace.next().await.is_none());
        let closed = Pace::closed(1);
        assert_eq!(closed.next().await.unwrap().request, 0);
        assert!(closed.next().await.is_none());
    }
}
