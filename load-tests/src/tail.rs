//! When events can be read: in the tenant's stream, as it grows, and by the API.

use std::{sync::Arc, time::Duration, time::Instant};

use anyhow::Context as _;
use async_nats::jetstream::{
    self,
    consumer::{DeliverPolicy, pull},
};
use futures::StreamExt as _;
use hdrhistogram::Histogram;
use oracle::{Access, Load, Pace, Run, SOURCE};
use tokio_util::task::AbortOnDropHandle;

/// Between two questions for the same event.
const ASK_AGAIN: Duration = Duration::from_millis(1);
/// How long a question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a tenant's stream from now on.
#[derive(Debug)]
pub(crate) struct Tail {
    reading: AbortOnDropHandle<anyhow::Result<()>>,
    seen: tokio::sync::mpsc::UnboundedReceiver<(String, Instant)>,
}

impl Tail {
    /// Begins to read.
    pub(crate) async fn follow(access: &Access) -> anyhow::Result<Self> {
        let client = access.broker(async_nats::ConnectOptions::new()).await?;
        let context = jetstream::new(client);
        let name = context.stream_by_subject(format!("tenant.default.{}.any", access.tenant)).await?;
        let stream = context.get_stream(name).await?;
        let config = pull::OrderedConfig {
            filter_subject: format!("tenant.*.{}.>", access.tenant),
            deliver_policy: DeliverPolicy::New,
            ..Default::default()
        };
        let mut messages = stream.create_consumer(config).await?.messages().await?;
        let (tell, seen) = tokio::sync::mpsc::unbounded_channel();
        let reading = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let message = message?;
                let at = Instant::now();
                let id = message.headers.as_ref().and_then(|headers| headers.get("ce-id"));
                let id =
                    id.context("the tenant's stream holds many events a message: only `single` is measured")?;
                if tell.send((id.to_string(), at)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(Self { reading: AbortOnDropHandle::new(reading), seen })
    }

    /// From when each event of a run was to be sent until it was read, in microseconds.
    pub(crate) async fn times(mut self, run: &Run) -> anyhow::Result<Histogram<u64>> {
        if self.reading.is_finished() {
            self.reading.await??;
        } else {
            self.reading.abort();
        }
        let mut times = Histogram::new(3)?;
        while let Ok((id, at)) = self.seen.try_recv() {
            let request = run.load.number(&id).map(|number| number / run.load.per_request());
            if let Some(due) = request.and_then(|request| run.pace.due(request)) {
                times.record(micros(at.saturating_duration_since(due)))?;
            }
        }
        Ok(times)
    }
}

/// Asks the API for one request in `every`, from when it was to be sent until it is there. Times in microseconds.
pub(crate) async fn ask(
    access: Access,
    load: Arc<Load>,
    pace: Arc<Pace>,
    requests: u64,
    every: u64,
) -> anyhow::Result<Histogram<u64>> {
    let http = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
    let source = SOURCE.replace('/', "%2F");
    let mut times = Histogram::new(3)?;
    for request in (0..requests).step_by(usize::try_from(every.max(1))?) {
        let Some(due) = pace.due(request) else { break };
        tokio::time::sleep_until(due.into()).await;
        let id = load.id_of(request * load.per_request());
        let url = format!("{}/api/v1/events/{source}/{id}", access.api_url);
        while !http.get(&url).bearer_auth(&access.key).send().await?.status().is_success() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        times.record(micros(due.elapsed()))?;
    }
    Ok(times)
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
