//! The three places an event must come to, seen through the interfaces that every user has: the event store and the
//! usage store through the HTTP API, the tenant stream through NATS.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use async_nats::jetstream::{
    self,
    consumer::{DeliverPolicy, pull},
    stream::Stream,
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{Access, Found, Place};

/// Items of a page.
const PAGE: u32 = 1_000;
/// How long a page or the next message of a stream may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A tenant's view of the fleet.
#[derive(Debug)]
pub(crate) struct Places {
    http: reqwest::Client,
    access: Access,
    jetstream: jetstream::Context,
    stream: Stream,
    subjects: String,
    /// The subject of messages that hold many events.
    packed: String,
}

/// One CloudEvent of a page, its data as the bytes that came.
#[derive(Deserialize)]
struct Event<'a> {
    id: &'a str,
    source: &'a str,
    r#type: &'a str,
    partitionkey: Option<&'a str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Places {
    /// Connects. The broker's connection heals itself over a restart.
    pub(crate) async fn open(access: &Access) -> anyhow::Result<Self> {
        let options =
            async_nats::ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(50));
        let client = access.broker(options).await?;
        let jetstream = jetstream::new(client);
        let name = jetstream.stream_by_subject(format!("tenant.default.{}.any", access.tenant)).await?;
        let stream = jetstream.get_stream(name).await?;
        let subjects = format!("tenant.*.{}.>", access.tenant);
        // A redirect would carry the key to wherever it points.
        let policy = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).redirect(policy).build()?;
        let packed = format!("tenant.default.{}.$packed", access.tenant);
        Ok(Self { http, access: access.clone(), jetstream, stream, subjects, packed })
    }

    /// Whether nothing is on its way between the doors and the stores, nobody's.
    pub(crate) async fn worked_off(&self) -> anyhow::Result<bool> {
        for name in ["RAW", "EVENTS"] {
            if self.jetstream.get_stream(name).await?.cached_info().state.messages > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Events the usage store has counted.
    pub(crate) async fn usage_total(&self) -> anyhow::Result<u64> {
        #[derive(Deserialize)]
        struct Usage {
            total: u64,
        }
        let path = format!("/api/v1/usage/{}", self.access.tenant);
        Ok(self.get::<Usage>(&path, &[]).await?.total)
    }

    /// Events in the tenant's stream. Where messages hold many, as many as are counted: what is counted has been streamed.
    pub(crate) async fn stream_total(&self) -> anyhow::Result<u64> {
        let messages = self.stream_messages().await?;
        if messages.iter().any(|(subject, _)| *subject == self.packed) {
            return self.usage_total().await;
        }
        Ok(messages.into_iter().map(|(_, count)| count as u64).sum())
    }

    /// Messages in the tenant's stream, by subject.
    async fn stream_messages(&self) -> anyhow::Result<Vec<(String, usize)>> {
        Ok(self.stream.info_with_subjects(&self.subjects).await?.try_collect().await?)
    }

    /// Every stored event, in pages.
    pub(crate) async fn read_events(&self, place: &mut Place<'_>) -> anyhow::Result<()> {
        let mut cursor: Option<String> = None;
        loop {
            let mut request = self
                .http
                .get(format!("{}/api/v1/events", self.access.api_url))
                .query(&[("order", "oldest"), ("limit", &PAGE.to_string())])
                .header(http::header::ACCEPT, "application/cloudevents-batch+json")
                .bearer_auth(&self.access.key);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let answer = succeed(request.send().await?).await?;
            cursor = answer
                .headers()
                .get("eventrunner-next-cursor")
                .map(|value| value.to_str().map(str::to_owned))
                .transpose()?;
            let body: Bytes = answer.bytes().await?;
            let events: Vec<Event<'_>> = serde_json::from_slice(&body)?;
            for event in events {
                place.found(Found {
                    id: event.id,
                    source: event.source,
                    ty: event.r#type,
                    key: event.partitionkey,
                    data: event.data.map_or("", RawValue::get).as_bytes(),
                    at_ms: 0,
                });
            }
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Every usage record, in pages.
    pub(crate) async fn read_usage(&self, place: &mut Place<'_>) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Page {
            records: Vec<Record>,
            next_cursor: Option<String>,
        }
        #[derive(Deserialize)]
        struct Record {
            origin: Origin,
        }
        #[derive(Deserialize)]
        struct Origin {
            source: Option<String>,
            id: Option<String>,
        }
        let path = format!("/api/v1/usage/{}/records", self.access.tenant);
        let limit = PAGE.to_string();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", limit.as_str())];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page = self.get(&path, &query).await?;
            for Record { origin } in page.records {
                // What no event caused, such as an hour of storage, is none of ours.
                if let (Some(source), Some(id)) = (origin.source, origin.id) {
                    place.named(&id, &source);
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Every message of the tenant's stream.
    pub(crate) async fn read_stream(&self, place: &mut Place<'_>) -> anyhow::Result<()> {
        let config = pull::OrderedConfig {
            filter_subject: self.subjects.clone(),
            deliver_policy: DeliverPolicy::All,
            ..Default::default()
        };
        let mut left: usize = self.stream_messages().await?.into_iter().map(|(_, count)| count).sum();
        let consumer = self.stream.create_consumer(config).await?;
        let mut messages = consumer.messages().await?;
        while left > 0 {
            let next = tokio::time::timeout(ANSWER_TIMEOUT, messages.next()).await;
            let message =
                next.with_context(|| format!("{left} messages of the tenant stream do not come"))?;
            let message = message.context("the tenant stream ended")??;
            left -= 1;
            let at_ns = message.info().map_err(|error| anyhow!(error))?.published.unix_timestamp_nanos();
            let at_ms = i64::try_from(at_ns / 1_000_000).unwrap_or_default();
            if message.subject.as_str() == self.packed {
                for event in proto::packed::unpack(message.payload.clone())? {
                    place.found(Found {
                        id: event.id(),
                        source: event.source(),
                        ty: event.ty(),
                        key: event.partition_key(),
                        data: event.data().map_or(&[][..], |data| data.as_bytes()),
                        at_ms,
                    });
                }
                continue;
            }
            let header = |name: &str| Some(message.headers.as_ref()?.get(name)?.as_str());
            place.found(Found {
                id: header("ce-id").unwrap_or_default(),
                source: header("ce-source").unwrap_or_default(),
                ty: header("ce-type").unwrap_or_default(),
                key: header("ce-partitionkey"),
                data: &message.payload,
                at_ms,
            });
        }
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        let url = format!("{}{path}", self.access.api_url);
        let answer = self.http.get(url).query(query).bearer_auth(&self.access.key).send().await?;
        Ok(serde_json::from_slice(&succeed(answer).await?.bytes().await?)?)
    }
}

async fn succeed(answer: reqwest::Response) -> anyhow::Result<reqwest::Response> {
    let status = answer.status();
    if !status.is_success() {
        bail!("the API answers {status}: {}", answer.text().await.unwrap_or_default());
    }
    Ok(answer)
}
