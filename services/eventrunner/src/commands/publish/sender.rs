//! Sending batches: at a rate, again when the fleet is busy or away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Args, input::Event};
use crate::{
    client::{
        Api,
        error::{refused, unreachable},
    },
    exit::{Code, Failure},
};

/// Waits between tries where the fleet names none: the first and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The longest wait that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends batches. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    api: Api,
    retry_for: Duration,
    rate: Option<u32>,
    /// When the next event may go.
    due: Arc<Mutex<Instant>>,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) retries: u64,
    /// The trace id of the answer, if it was accepted.
    pub(super) result: Result<Option<String>, Failure>,
}

#[derive(Deserialize)]
struct Accepted {
    trace_id: Option<String>,
}

/// Why a try failed.
enum Fault {
    /// It may go better later.
    Busy(Failure, Option<Duration>),
    /// It will not.
    Refused(Failure),
}

impl Sender {
    pub(super) fn new(api: Api, args: &Args) -> Self {
        Self {
            api,
            retry_for: Duration::from_secs(args.retry_for),
            rate: args.rate,
            due: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Waits until so many events may go.
    pub(super) async fn pace(&self, events: usize) {
        let Some(rate) = self.rate else { return };
        let mut due = self.due.lock().await;
        tokio::time::sleep_until((*due).into()).await;
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        *due = (*due).max(Instant::now()) + Duration::from_secs(1) * events / rate;
    }

    pub(super) async fn send(self, batch: Vec<Event>) -> Verdict {
        let body = body(&batch);
        let mut verdict = Verdict {
            events: u64::try_from(batch.len()).unwrap_or(u64::MAX),
            bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
            retries: 0,
            result: Ok(None),
        };
        let deadline = Instant::now() + self.retry_for;
        let mut backoff = BACKOFF.0;
        verdict.result = loop {
            match self.attempt(&body).await {
                Ok(trace_id) => break Ok(trace_id),
                Err(Fault::Refused(failure)) => break Err(name(&batch, failure)),
                Err(Fault::Busy(failure, retry_after)) => {
                    let wait = retry_after.unwrap_or_else(|| jittered(backoff)).min(RETRY_AFTER_MAX);
                    if Instant::now() + wait > deadline {
                        break Err(name(&batch, failure));
                    }
                    tokio::time::sleep(wait).await;
                    backoff = (backoff * 2).min(BACKOFF.1);
                    verdict.retries += 1;
                }
            }
        };
        verdict
    }

    async fn attempt(&self, body: &str) -> Result<Option<String>, Fault> {
        let request = self
            .api
            .ingest("/v1/events")
            .map_err(Fault::Refused)?
            .header(header::CONTENT_TYPE, "application/cloudevents-batch+json")
            .timeout(REQUEST_TIMEOUT)
            .body(body.to_owned());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_builder() => {
                return Err(Fault::Refused(unreachable(self.api.context(), &error)));
            }
            // What was sent may have been kept: sending the same ids again is safe.
            Err(error) => return Err(Fault::Busy(unreachable(self.api.context(), &error), None)),
        };
        if answer.status().is_success() {
            let accepted = answer.json::<Accepted>().await.ok();
            return Ok(accepted.and_then(|a| a.trace_id));
        }
        let again = matches!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let retry_after = retry_after(&answer);
        let failure = refused(answer).await;
        Err(if again { Fault::Busy(failure, retry_after) } else { Fault::Refused(failure) })
    }
}

/// Seconds only: a date needs the server's clock and ours to agree, and our doors send seconds.
fn retry_after(answer: &Response) -> Option<Duration> {
    let text = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Between half and the whole of it, so that many clients do not come back at once.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.5..=1.0))
}

/// The batch in the CloudEvents JSON batch format; each event as it was written.
fn body(batch: &[Event]) -> String {
    let length = batch.iter().map(|event| event.json.get().len() + 1).sum::<usize>() + 2;
    let mut body = String::with_capacity(length);
    body.push('[');
    for (index, event) in batch.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(event.json.get());
    }
    body.push(']');
    body
}

/// Says which events a failure is about.
fn name(batch: &[Event], failure: Failure) -> Failure {
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return failure };
    let what = if batch.len() == 1 {
        format!("{} was", first.place)
    } else {
        format!("the {} events from {} to {} were", batch.len(), first.place, last.place)
    };
    let how = if failure.code == Code::Unavailable { "not accepted" } else { "refused" };
    let hint = match failure.code {
        Code::Data if batch.len() > 1 => Some(
            "a batch is accepted as a whole or not at all; with --batch 1 the good ones go through"
                .to_owned(),
        ),
        _ => failure.hint.clone(),
    };
    Failure { message: format!("{what} {how}: {}", failure.message), hint, ..failure }
}
