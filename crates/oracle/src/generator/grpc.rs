//! The gRPC door: a call for each request, or one stream that several lanes share.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures::stream;
use proto::{
    cloudevents as ce,
    v1::{
        PublishEventsRequest, PublishResult, StreamEventsRequest, StreamEventsResponse,
        event_ingest_service_client::EventIngestServiceClient, publish_result::Outcome,
    },
};
use tokio::sync::{mpsc, oneshot};
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use super::{Attempt, Target, chain};

/// Messages of a stream that wait to be written: as many as it has lanes at most.
const QUEUE: usize = 64;
/// A door that is away refuses at once; one that is frozen does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A caller of the door, with a connection of its own that heals itself.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    client: EventIngestServiceClient<Channel>,
    authorization: MetadataValue<Ascii>,
}

impl Caller {
    /// Connects with the first call.
    pub(crate) fn new(target: &Target) -> anyhow::Result<Self> {
        let url = target.grpc_url.clone();
        let url = url.context("nobody said where the gRPC door is: give --grpc-url")?;
        let endpoint = Endpoint::from_shared(url)?.tcp_nodelay(true).connect_timeout(CONNECT_TIMEOUT);
        let mut authorization: MetadataValue<Ascii> = format!("Bearer {}", target.key).parse()?;
        authorization.set_sensitive(true);
        Ok(Self { client: EventIngestServiceClient::new(endpoint.connect_lazy()), authorization })
    }

    /// One `PublishEvents` call.
    pub(crate) async fn publish(&mut self, events: Vec<ce::CloudEvent>) -> anyhow::Result<Attempt> {
        let request = self.authorized(PublishEventsRequest { events });
        match self.client.publish_events(request).await {
            Ok(response) => of_results(&response.get_ref().results),
            Err(status) => of_status(&status),
        }
    }

    fn authorized<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        request
    }
}

/// A `StreamEvents` call that several lanes share, opened again when it ends.
#[derive(Debug)]
pub(crate) struct Stream {
    caller: Caller,
    call: tokio::sync::Mutex<Option<Call>>,
}

type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;

/// A call under way.
#[derive(Debug, Clone)]
struct Call {
    messages: mpsc::Sender<StreamEventsRequest>,
    /// Who waits for which answer; none once the call has ended.
    waiting: Waiting,
}

/// What becomes of a message.
#[derive(Debug)]
enum Answer {
    Results(Vec<PublishResult>),
    /// The server ended the call in words of its own: what it had not answered, it had not read.
    Unread,
    Broken(String),
}

impl Stream {
    pub(crate) fn new(target: &Target) -> anyhow::Result<Self> {
        Ok(Self { caller: Caller::new(target)?, call: tokio::sync::Mutex::default() })
    }

    /// Sends one message and waits for its answer.
    pub(crate) async fn publish(
        &self,
        sequence: u64,
        events: Vec<ce::CloudEvent>,
    ) -> anyhow::Result<Attempt> {
        let Some(call) = self.call().await? else { return Ok(Attempt::Unsent) };
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = call.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(waiting) = waiting.as_mut() else { return Ok(Attempt::Unsent) };
            waiting.insert(sequence, answer);
        }
        if call.messages.send(StreamEventsRequest { sequence, events }).await.is_err() {
            return Ok(Attempt::Unsent);
        }
        match answered.await {
            Ok(Answer::Results(results)) => of_results(&results),
            Ok(Answer::Unread) => Ok(Attempt::Unsent),
            Ok(Answer::Broken(why)) => Ok(Attempt::Broken(format!("StreamEvents: {why}"))),
            Err(_) => Ok(Attempt::Broken("StreamEvents: given up by another lane".to_owned())),
        }
    }

    /// Ends the call: answers that come later are nobody's.
    pub(crate) async fn close(&self) {
        *self.call.lock().await = None;
    }

    /// The call under way, or a new one; none if the door is away.
    async fn call(&self) -> anyhow::Result<Option<Call>> {
        let mut place = self.call.lock().await;
        if let Some(call) = place.as_ref()
            && call.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
        {
            return Ok(Some(call.clone()));
        }
        let (messages, queue) = mpsc::channel(QUEUE);
        let outgoing = stream::unfold(queue, |mut queue| async move { Some((queue.recv().await?, queue)) });
        let mut caller = self.caller.clone();
        let request = caller.authorized(outgoing);
        let answers = match caller.client.stream_events(request).await {
            Ok(response) => response.into_inner(),
            Err(status) => {
                of_status(&status)?;
                return Ok(None);
            }
        };
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(listen(answers, waiting.clone()));
        Ok(Some(place.insert(Call { messages, waiting }).clone()))
    }
}

/// Hands each answer to whom it is for, until the call ends.
async fn listen(mut answers: Streaming<StreamEventsResponse>, waiting: Waiting) {
    let broken = loop {
        match answers.message().await {
            Ok(Some(StreamEventsResponse { sequence, results })) => {
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let asked = waiting.as_mut().and_then(|waiting| waiting.remove(&sequence));
                // Whoever waited may have lost patience.
                drop(asked.map(|asked| asked.send(Answer::Results(results))));
            }
            Ok(None) => break None,
            Err(status) if is_the_doors(&status) => break None,
            Err(status) => break Some(describe(&status)),
        }
    };
    let left = waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    for (_, asked) in left.into_iter().flatten() {
        let _ = asked.send(broken.clone().map_or(Answer::Unread, Answer::Broken));
    }
}

/// The door explains each status it gives; a client library's own have nothing more to say.
fn is_the_doors(status: &Status) -> bool {
    status.get_details_error_info().is_some()
}

fn of_status(status: &Status) -> anyhow::Result<Attempt> {
    if !is_the_doors(status) {
        let broken = || Attempt::Broken(format!("PublishEvents: {}", describe(status)));
        return Ok(if was_unsent(status) { Attempt::Unsent } else { broken() });
    }
    let retry_after = status.get_details_retry_info().is_some();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded => Ok(Attempt::Unavailable { retry_after }),
        Code::ResourceExhausted => Ok(Attempt::Limited { retry_after }),
        code => bail!("the gRPC door answers {code:?}: {}", status.message()),
    }
}

/// Whether a connection could not be made, or was closing before the request went out.
fn was_unsent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        let of_hyper = error.downcast_ref::<hyper::Error>();
        if of_hyper.is_some_and(|error| error.is_canceled() || error.is_closed())
            // Of a type that nobody exports.
            || error.to_string() == "tcp connect error"
            // HTTP/2 has a word for what was not begun (RFC 9113, section 8.7); neither is its type.
            || error.to_string().contains("REFUSED_STREAM")
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What a client library says, without its own words for it.
fn describe(status: &Status) -> String {
    let causes = status.source().map(|cause| format!(": {}", chain(cause)));
    format!("{}{}", status.message(), causes.unwrap_or_default())
}

/// A message counts as kept when each of its events is.
fn of_results(results: &[PublishResult]) -> anyhow::Result<Attempt> {
    for result in results {
        match &result.outcome {
            Some(Outcome::Accepted(_)) => {}
            Some(Outcome::Error(error)) => {
                // The results of a stream's message have no room for a delay: the stream itself goes on.
                return match Code::from_i32(error.status) {
                    Code::Unavailable | Code::DeadlineExceeded => {
                        Ok(Attempt::Unavailable { retry_after: true })
                    }
                    Code::ResourceExhausted => Ok(Attempt::Limited { retry_after: true }),
                    code => bail!("the gRPC door answers {code:?}: {}", error.message),
                };
            }
            None => bail!("the gRPC door answers without an outcome"),
        }
    }
    Ok(Attempt::Promised)
}
