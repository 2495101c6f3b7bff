//! The parts of JetStream's API that the client has no names for, in the broker's own JSON: a stream's configuration must come
//! back with every member it has, also those that a newer broker has added.

use std::time::Duration;

use bus::Bus;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::Error;

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sequence of the first, or of the one that would come if there is none.
    pub first_seq: u64,
    /// When the first was stored, RFC 3339.
    #[serde(default)]
    pub first_ts: String,
    /// Sequence given last.
    pub last_seq: u64,
    /// When the last was stored, RFC 3339.
    #[serde(default)]
    pub last_ts: String,
}

/// A replica of a stream or consumer.
#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    /// The node.
    pub name: String,
    /// Whether it has all that the leader has.
    #[serde(default)]
    pub current: bool,
    /// Whether the leader does not see it.
    #[serde(default)]
    pub offline: bool,
    /// How many operations it is behind.
    #[serde(default)]
    pub lag: u64,
}

/// Where a stream is kept in a cluster.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Cluster {
    /// Its name; absent where the broker stands alone.
    #[serde(default)]
    pub name: Option<String>,
    /// The node that leads; absent while none does.
    #[serde(default)]
    pub leader: Option<String>,
    /// The others.
    #[serde(default)]
    pub replicas: Vec<Peer>,
}

/// How a mirror stands.
#[derive(Debug, Clone, Deserialize)]
pub struct MirrorState {
    /// Messages it has still to get, as far as it knows.
    #[serde(default)]
    pub lag: u64,
    /// Nanoseconds since the origin was heard last; negative: never.
    #[serde(default)]
    pub active: i64,
    /// Why it does not get any.
    #[serde(default)]
    pub error: Option<Value>,
}

/// A stream as the broker tells of it.
#[derive(Debug, Clone, Deserialize)]
pub struct StreamInfo {
    /// All of its configuration.
    pub config: Value,
    /// When it was made, RFC 3339.
    #[serde(default)]
    pub created: String,
    /// What it holds.
    pub state: State,
    /// Where it is kept.
    #[serde(default)]
    pub cluster: Option<Cluster>,
    /// If it is a mirror, how that stands.
    #[serde(default)]
    pub mirror: Option<MirrorState>,
}

impl StreamInfo {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// Whether it is a work queue: what is acked leaves it.
    #[must_use]
    pub fn is_queue(&self) -> bool {
        self.text("retention") == "workqueue"
    }

    /// Whether it is gone when the broker ends.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.text("storage") == "memory"
    }

    /// Whether it is a mirror.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.config.get("mirror").is_some_and(|mirror| !mirror.is_null())
    }

    fn text(&self, member: &str) -> &str {
        self.config.get(member).and_then(Value::as_str).unwrap_or_default()
    }
}

/// How far a consumer is.
#[derive(Debug, Clone, Deserialize)]
pub struct ConsumerInfo {
    /// Its name.
    pub name: String,
    /// Messages handed out and not acked.
    #[serde(default)]
    pub num_ack_pending: u64,
    /// Messages that wait to be handed out.
    #[serde(default)]
    pub num_pending: u64,
    /// Requests for messages that wait.
    #[serde(default)]
    pub num_waiting: u64,
    /// Whether it is paused.
    #[serde(default)]
    pub paused: bool,
    /// Where it is kept.
    #[serde(default)]
    pub cluster: Option<Cluster>,
}

/// A message of a stream.
#[derive(Debug, Clone, Deserialize)]
pub struct Held {
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    pub seq: u64,
    /// What it holds, in base64.
    #[serde(default)]
    pub data: String,
    /// When it was stored, RFC 3339.
    pub time: String,
}

/// JetStream's API of one domain.
#[derive(Debug, Clone)]
pub struct Api<'a> {
    pub(crate) bus: &'a Bus,
    prefix: String,
    timeout: Duration,
}

impl<'a> Api<'a> {
    /// The API of the broker that we are connected to.
    #[must_use]
    pub fn new(bus: &'a Bus) -> Self {
        Self { bus, prefix: "$JS.API".to_owned(), timeout: bus.request_timeout() }
    }

    /// The API of another domain, which is reached through the broker that we are connected to.
    #[must_use]
    pub fn of_domain(bus: &'a Bus, domain: &str) -> Self {
        Self { prefix: domain_prefix(domain), ..Self::new(bus) }
    }

    /// With more or less patience for an answer.
    #[must_use]
    pub fn patient(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks. An error in the answer is one here.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, subject: &str, body: &Value) -> Result<T, Error> {
        self.try_ask(subject, body).await?.map_err(|refusal| Error::refused(subject, refusal.description))
    }

    /// Asks, and gives a refusal apart from silence.
    pub(crate) async fn try_ask<T: DeserializeOwned>(
        &self,
        subject: &str,
        body: &Value,
    ) -> Result<Result<T, Refusal>, Error> {
        let request = async_nats::Request::new().payload(body.to_string().into()).timeout(Some(self.timeout));
        let answer = self.bus.client().send_request(format!("{}.{subject}", self.prefix), request).await;
        let answer = answer.map_err(|e| Error::Bus(bus::Error::broker(subject, &e)))?;
        read(subject, &answer.payload)
    }

    /// Every stream of the account, by name.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn streams(&self) -> Result<Vec<StreamInfo>, Error> {
        #[derive(Deserialize)]
        struct Page {
            total: usize,
            streams: Option<Vec<StreamInfo>>,
        }
        let mut all: Vec<StreamInfo> = Vec::new();
        loop {
            let page: Page = self.ask("STREAM.LIST", &json!({"offset": all.len()})).await?;
            let streams = page.streams.unwrap_or_default();
            let ended = streams.is_empty();
            all.extend(streams);
            if ended || all.len() >= page.total {
                all.sort_by(|a, b| a.name().cmp(b.name()));
                return Ok(all);
            }
        }
    }

    /// One stream, if there is such a one.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, Error> {
        let subject = format!("STREAM.INFO.{name}");
        match self.try_ask(&subject, &json!({})).await? {
            Ok(info) => Ok(Some(info)),
            Err(refusal) if refusal.err_code == Refusal::STREAM_NOT_FOUND => Ok(None),
            Err(refusal) => Err(Error::refused(subject, refusal.description)),
        }
    }

    /// Every consumer of a stream.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn consumers(&self, stream: &str) -> Result<Vec<ConsumerInfo>, Error> {
        #[derive(Deserialize)]
        struct Page {
            total: usize,
            consumers: Option<Vec<ConsumerInfo>>,
        }
        let mut all = Vec::new();
        loop {
            let subject = format!("CONSUMER.LIST.{stream}");
            let page: Page = self.ask(&subject, &json!({"offset": all.len()})).await?;
            let consumers = page.consumers.unwrap_or_default();
            let ended = consumers.is_empty();
            all.extend(consumers);
            if ended || all.len() >= page.total {
                return Ok(all);
            }
        }
    }

    /// The first message at or after a sequence, if there is one.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn message(&self, stream: &str, from: u64) -> Result<Option<Held>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            message: Held,
        }
        let subject = format!("STREAM.MSG.GET.{stream}");
        match self.try_ask::<Answer>(&subject, &json!({"seq": from, "next_by_subj": ">"})).await? {
            Ok(answer) => Ok(Some(answer.message)),
            Err(refusal) if refusal.err_code == Refusal::NO_MESSAGE => Ok(None),
            Err(refusal) => Err(Error::refused(subject, refusal.description)),
        }
    }

    /// Takes a stream away, with all it holds.
    ///
    /// # Errors
    /// If the broker does not answer, or refuses.
    pub async fn delete_stream(&self, name: &str) -> Result<(), Error> {
        self.ask::<Value>(&format!("STREAM.DELETE.{name}"), &json!({})).await.map(drop)
    }
}

/// Where a domain's API is reached from outside of it.
pub(crate) fn domain_prefix(domain: &str) -> String {
    format!("$JS.{domain}.API")
}

/// Why the broker does not do something.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    pub(crate) err_code: u32,
    #[serde(default)]
    pub(crate) description: String,
}

impl Refusal {
    const STREAM_NOT_FOUND: u32 = 10_059;
    const NO_MESSAGE: u32 = 10_037;
}

/// An answer of the API.
pub(crate) fn read<T: DeserializeOwned>(what: &str, payload: &[u8]) -> Result<Result<T, Refusal>, Error> {
    #[derive(Deserialize)]
    struct Failed {
        error: Option<Refusal>,
    }
    let wrong = |e: serde_json::Error| Error::refused(what, format!("its answer is not understood: {e}"));
    if let Some(refusal) = serde_json::from_slice::<Failed>(payload).map_err(wrong)?.error {
        return Ok(Err(refusal));
    }
    serde_json::from_slice(payload).map(Ok).map_err(wrong)
}
