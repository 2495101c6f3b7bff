//! The HTTP client of the commands: who we are, and what an answer means.

pub(crate) mod error;
pub(crate) mod sse;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;

use crate::{
    context::Context,
    exit::{Failure, Result},
    output::Item,
};

/// From the connection to the end of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Items asked for at a time.
pub(crate) const PAGE_ITEMS_MAX: usize = 500;

/// What stands for itself in a path segment (RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A value as one segment of a path.
pub(crate) fn segment(value: &str) -> String {
    utf8_percent_encode(value, SEGMENT).to_string()
}

/// A client that gives up after `timeout`.
pub(crate) fn http_client(timeout: Duration) -> Result<reqwest::Client> {
    build(builder().timeout(timeout))
}

/// Makes it.
pub(crate) fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    builder.build().map_err(|e| Failure::failed(format!("no HTTP client can be made: {e}")))
}

/// What all clients here have in common.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    // The program does it first thing.
    #[cfg(test)]
    testkit::install_tls();
    reqwest::Client::builder()
        .user_agent(concat!("eventrunner/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry the key to wherever it points.
        .redirect(reqwest::redirect::Policy::none())
}

/// The fleet's HTTP doors, as one caller sees them.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    context: Context,
    /// Whether resources are managed, with the key for that.
    manages: bool,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    /// Called after what it holds.
    #[serde(
        alias = "events",
        alias = "dead_letters",
        alias = "records",
        alias = "buckets",
        alias = "invoices",
        alias = "credit_notes"
    )]
    pub(crate) items: Vec<Item>,
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}

impl Api {
    pub(crate) fn new(context: Context) -> Result<Self> {
        Ok(Self { http: build(builder())?, context, manages: false })
    }

    /// The same for who manages resources.
    pub(crate) fn managing(context: Context) -> Result<Self> {
        Ok(Self { manages: true, ..Self::new(context)? })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// A request to the API with our key.
    pub(crate) fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let url = format!("{}{path}", self.context.api_url);
        let key = if self.manages { self.context.managing_key()? } else { self.context.key()? };
        Ok(self.http.request(method, url).bearer_auth(key))
    }

    /// A request to ingest-http with our key.
    pub(crate) fn ingest(&self, path: &str) -> Result<RequestBuilder> {
        let url = format!("{}{path}", self.context.url);
        Ok(self.http.post(url).bearer_auth(self.context.key()?))
    }

    /// Sends a request and reads its answer as JSON.
    pub(crate) async fn json<T: for<'de> Deserialize<'de>>(&self, request: RequestBuilder) -> Result<T> {
        let answer = self.answer(request.timeout(ANSWER_TIMEOUT)).await?;
        let url = answer.url().to_string();
        let bytes = answer.bytes().await.map_err(|e| error::unreachable(&self.context, &e))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Failure::failed(format!("{url} answered something that is not ours: {e}")))
    }

    /// Sends a request whose answer says nothing but that it was done.
    pub(crate) async fn done(&self, request: RequestBuilder) -> Result<()> {
        self.answer(request.timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    /// Reads one thing.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Item> {
        self.json(self.request(Method::GET, path)?.query(query)).await
    }

    /// Sends a request whose answer must be a success.
    pub(crate) async fn answer(&self, request: RequestBuilder) -> Result<Response> {
        let answer = request.send().await.map_err(|e| error::unreachable(&self.context, &e))?;
        if answer.status().is_success() { Ok(answer) } else { Err(error::refused(answer).await) }
    }

    /// Reads a list page by page until it ends or `limit` items are there; and whether there are more.
    pub(crate) async fn list(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<(Vec<Item>, bool)> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let wanted = limit.saturating_sub(items.len()).min(PAGE_ITEMS_MAX);
            let mut request = self.request(Method::GET, path)?.query(query).query(&[("limit", wanted)]);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let page: Page = self.json(request).await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if items.len() >= limit || cursor.is_none() {
                items.truncate(limit);
                return Ok((items, cursor.is_some()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_one_segment() {
        assert_eq!(segment("https://a.b/c?d=é"), "https%3A%2F%2Fa.b%2Fc%3Fd%3D%C3%A9");
        assert_eq!(segment("plain-1_2.~"), "plain-1_2.~");
    }

    #[test]
    fn pages_are_called_after_what_they_hold() {
        for name in ["items", "events", "dead_letters", "records", "buckets", "invoices", "credit_notes"] {
            let text = format!(r#"{{"{name}": [{{"a": 1.00}}], "next_cursor": "x"}}"#);
            let page: Page = serde_json::from_str(&text).unwrap();
            assert_eq!(page.items[0].get(), r#"{"a": 1.00}"#);
            assert_eq!(page.next_cursor.as_deref(), Some("x"));
        }
    }
}
