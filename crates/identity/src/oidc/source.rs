//! Where an issuer's keys come from: fetched over HTTP, kept, asked for again when they age or a token names one that is not
//! among them.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::{HeaderMap, StatusCode, header};
use jsonwebtoken::{Algorithm, DecodingKey};
use model::{Clock, Micros};
use tokio::sync::Mutex;

use super::keys::KeySet;
use crate::TokenError;

/// The largest key set that is read.
pub const MAX_KEYS_BYTES: usize = 256 * 1024;
/// How long a key set may be used without asking again, whatever its server says.
const FRESH_MIN: Duration = Duration::from_secs(30);
const FRESH_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Where its server says nothing.
const FRESH_UNSAID: Duration = Duration::from_secs(5 * 60);
/// Between two attempts, whatever asks for them: a token that names a key of its own must not make us knock at the server for
/// each such token.
const ATTEMPTS_APART: Duration = Duration::from_secs(5);
/// How long keys are believed while their server does not answer. Longer than a night's outage, shorter than a key that was
/// taken back should live.
const OUTAGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySourceStatus {
    /// The issuer.
    pub issuer: String,
    /// When its keys were last had or confirmed; never if absent.
    pub confirmed_at: Option<Micros>,
    /// Why the last attempt failed, if it did.
    pub failure: Option<String>,
}

#[derive(Debug, Clone, Default)]
struct State {
    keys: Arc<KeySet>,
    etag: Option<String>,
    confirmed_at: Option<Micros>,
    /// Asked again from then on.
    stale_at: Micros,
    attempted_at: Option<Micros>,
    failure: Option<String>,
}

pub(super) struct KeySource {
    pub(super) issuer: String,
    url: String,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    state: ArcSwap<State>,
    /// One asks, the others wait for what it learns.
    asking: Mutex<()>,
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

impl KeySource {
    pub(super) fn new(issuer: String, url: String, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, url, http, clock, state: ArcSwap::default(), asking: Mutex::new(()) }
    }

    pub(super) fn status(&self) -> KeySourceStatus {
        let state = self.state.load();
        KeySourceStatus {
            issuer: self.issuer.clone(),
            confirmed_at: state.confirmed_at,
            failure: state.failure.clone(),
        }
    }

    /// The key of this id that signs with this algorithm.
    pub(super) async fn find(&self, id: &str, algorithm: Algorithm) -> Result<DecodingKey, TokenError> {
        let state = self.state.load_full();
        if self.wants_asking(&state, id) {
            self.ask(id).await;
        }
        let state = self.state.load();
        let believed = state.confirmed_at.is_some_and(|at| self.clock.now() - at <= micros(OUTAGE_MAX));
        if !believed || state.keys.is_empty() {
            return Err(TokenError::KeysUnavailable);
        }
        // A key that is there and signs otherwise is no key for this token.
        let missing = if state.keys.has(id) { TokenError::Algorithm } else { TokenError::UnknownKey };
        state.keys.find(id, algorithm).cloned().ok_or(missing)
    }

    fn wants_asking(&self, state: &State, id: &str) -> bool {
        let now = self.clock.now();
        let may = state.attempted_at.is_none_or(|at| now - at >= micros(ATTEMPTS_APART));
        may && (now >= state.stale_at || !state.keys.has(id))
    }

    async fn ask(&self, id: &str) {
        let _one = self.asking.lock().await;
        let before = self.state.load_full();
        // Somebody has asked while this one waited.
        if !self.wants_asking(&before, id) {
            return;
        }
        let now = self.clock.now();
        let mut next = State { attempted_at: Some(now), ..State::clone(&before) };
        match self.fetch(before.etag.as_deref()).await {
            Ok(answer) => {
                next.stale_at = now.saturating_add(micros(answer.fresh_for));
                next.confirmed_at = Some(now);
                next.failure = None;
                if let Some((keys, etag)) = answer.changed {
                    (next.keys, next.etag) = (Arc::new(keys), etag);
                }
            }
            Err(why) => {
                // Once, not at each attempt of an outage.
                if before.failure.is_none() {
                    tracing::warn!(
                        issuer = self.issuer,
                        url = self.url,
                        error = why,
                        "cannot get the keys of an issuer"
                    );
                }
                next.failure = Some(why);
            }
        }
        self.state.store(Arc::new(next));
    }

    async fn fetch(&self, etag: Option<&str>) -> Result<Answer, String> {
        let mut request = self.http.get(&self.url).header(header::ACCEPT, "application/json");
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let mut answer = request.send().await.map_err(|error| error.without_url().to_string())?;
        let fresh_for = freshness(answer.headers());
        match answer.status() {
            StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(Answer { fresh_for, changed: None }),
            StatusCode::OK => {}
            status => return Err(format!("its server answered {status}")),
        }
        let etag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
            if body.len() + chunk.len() > MAX_KEYS_BYTES {
                return Err(format!("it is larger than {MAX_KEYS_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { fresh_for, changed: Some((KeySet::read(&body)?, etag)) })
    }
}

struct Answer {
    fresh_for: Duration,
    /// Not when it is what we have.
    changed: Option<(KeySet, Option<String>)>,
}

/// How long an answer may be used: its `max-age`, within bounds (RFC 9111, section 5.2.2).
fn freshness(headers: &HeaderMap) -> Duration {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut found = None;
    for directive in values.flat_map(|value| value.split(',')).map(|text| text.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return FRESH_MIN;
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            found = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    found.map_or(FRESH_UNSAID, |age| age.clamp(FRESH_MIN, FRESH_MAX))
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySource")
            .field("issuer", &self.issuer)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_how_long_within_bounds() {
        let cases: [(&[&str], u64); 10] = [
            (&[], 300),
            (&["max-age=600"], 600),
            (&["public, max-age=600, must-revalidate"], 600),
            (&["Max-Age=600"], 600),
            (&["public", "max-age=\"600\""], 600),
            (&["max-age=0"], 30),
            (&["max-age=99999999"], 86_400),
            (&["max-age=soon"], 300),
            (&["no-store, max-age=600"], 30),
            (&["no-cache"], 30),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CACHE_CONTROL, value.parse().unwrap());
            }
            assert_eq!(freshness(&headers), Duration::from_secs(expected), "{values:?}");
        }
    }
}
