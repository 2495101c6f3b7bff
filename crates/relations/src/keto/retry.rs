//! Calls that are made again while that may help, for a bounded time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Response, Status};

use crate::Error;

/// Between the first two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Between any two.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// All attempts together.
    pub(super) whole: Duration,
    /// One of them.
    pub(super) attempt: Duration,
}

impl Patience {
    /// Makes a call, and again after errors that may pass. Each call of the adapter may be made twice: what is to be there
    /// may be there already.
    pub(super) async fn call<Q: Clone, A, F>(self, request: Q, attempt: impl Fn(Q) -> F) -> Result<A, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let end = Instant::now() + self.whole;
        let mut pause = PAUSE_MIN;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let why = match timeout(self.attempt.min(left), attempt(request.clone())).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) if may_pass(&status) => shown(&status),
                Ok(Err(status)) => return Err(Error::Refused(shown(&status))),
                Err(_) => format!("no answer to an attempt of {} ms", self.attempt.as_millis()),
            };
            // Half of it by chance, so that the callers of a server that comes back do not come together.
            let wait = pause.mul_f64(rand::random_range(0.5..1.0));
            if Instant::now() + wait >= end {
                return Err(Error::Unavailable { within: self.whole, why });
            }
            sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Whether the same call may go well in a moment. `Internal` is what Keto says of its database's errors, such as a lock.
/// `Unknown` may be a lost connection, but also a page token that Keto did not give. Two changes at once may be refused under any
/// code, by the text of the database.
fn may_pass(status: &Status) -> bool {
    if is_disturbed(status.message()) {
        return true;
    }
    !status.message().contains("page token")
        && matches!(
            status.code(),
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::ResourceExhausted
                | Code::Cancelled
                | Code::Internal
                | Code::Unknown
        )
}

/// Whether somebody's change came between: the database's own words, which Keto hands on.
pub(super) fn is_disturbed(message: &str) -> bool {
    message.contains("Unable to serialize access")
}

fn shown(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
