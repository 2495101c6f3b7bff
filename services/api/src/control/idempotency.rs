//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-06): a request that is sent again is not done again.
//!
//! What is remembered stands in a KV bucket of its own, bounded in bytes and age, under a hash of who asks, what, and the
//! key. It is sealed whole: an answer may hold a key's secret, and a request's fingerprint would let a short secret in it be
//! guessed. Only what succeeded is remembered; what was refused changed nothing, and is tried again.

use std::sync::Arc;

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store};
use auth::Who;
use axum::response::{IntoResponse, Response};
use bus::topology::IDEMPOTENCY;
use catalog::Sealer;
use http::{HeaderMap, HeaderName, HeaderValue};
use model::{ErrorCode, Micros};
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Call, change::Answer};
use crate::error::of_broker;

const NAME: &str = "idempotency-key";
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Tells an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How often the bucket is looked at while others change the entry.
const ATTEMPTS: usize = 4;

/// What is remembered of a request.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// SHA-256 of the body.
    fingerprint: String,
    /// When it came.
    at_us: Micros,
    /// None while it is worked.
    answer: Option<Answer>,
}

/// What is to be done with a request.
pub(crate) enum Begun {
    /// It was done before: this is its answer again.
    Before(Response),
    /// It is to be done, and [`Claim::end`] told what came of it.
    Now(Claim),
}

/// A request that is being worked, and, if it has a key, is remembered.
pub(crate) struct Claim(Option<(Box<Memory>, u64)>);

/// Insists that the key is a possible one, if there is one: also where nothing is done that could be remembered.
///
/// # Errors
/// 400.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    read(headers).map(drop)
}

/// Looks whether the request was done before.
///
/// # Errors
/// 400 for an impossible key, 422 if the key came with another body, 409 while the same is being worked, 503 if nothing can
/// be remembered.
pub(crate) async fn begin(call: &Call, body: &[u8]) -> Result<Begun, Problem> {
    let Some(key) = read(&call.headers)? else { return Ok(Begun::Now(Claim(None))) };
    let memory = Memory::open(call, &key, body).await?;
    match memory.claim().await? {
        Known::Nothing(revision) => Ok(Begun::Now(Claim(Some((Box::new(memory), revision))))),
        Known::Answer(answer) => {
            let mut response = answer.into_response();
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(Begun::Before(response))
        }
    }
}

impl Claim {
    /// Remembers the answer, or that there is none.
    ///
    /// # Errors
    /// The refusal it was given.
    pub(crate) async fn end(self, outcome: Result<Answer, Problem>) -> Result<Response, Problem> {
        if let Some((memory, revision)) = self.0 {
            match &outcome {
                Ok(answer) => memory.keep(revision, answer).await,
                Err(_) => memory.forget(revision).await,
            }
        }
        outcome.map(IntoResponse::into_response)
    }
}

/// The key: a structured string (RFC 8941, section 3.3.3), or the same without quotes, as many clients send it.
fn read(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let bad = |detail: &str| {
        let problem = Problem::new(ErrorCode::InvalidArgument, "the idempotency key is impossible");
        problem.field(format!("header:{NAME}"), detail)
    };
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("may be given once"));
    }
    let text = value.to_str().ok().map(str::trim).filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
    let text = text.ok_or_else(|| bad("must be visible ASCII without spaces"))?;
    let key = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(rest) => unquote(rest).ok_or_else(|| bad("begins with a quote and does not end with one"))?,
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(bad(&format!("must be 1 to {KEY_BYTES_MAX} bytes long")));
    }
    Ok(Some(key))
}

fn unquote(rest: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return chars.as_str().is_empty().then_some(out),
            '\\' => out.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => out.push(c),
        }
    }
    None
}

/// Where one request is remembered.
struct Memory {
    sealer: Arc<Sealer>,
    store: Store,
    entry: String,
    fingerprint: String,
    at_us: Micros,
    patience_us: Micros,
}

enum Known {
    /// We do it, and hold the entry at this revision.
    Nothing(u64),
    Answer(Answer),
}

impl Memory {
    async fn open(call: &Call, key: &str, body: &[u8]) -> Result<Self, Problem> {
        let store = call.app.bus.jetstream().get_key_value(IDEMPOTENCY).await.map_err(of_broker)?;
        let mut hash = Sha256::new();
        // The issuer is empty for keys; of two issuers each may have its alice.
        let (who, issuer) = match &call.caller.who {
            Who::Key { id, .. } => (id.as_str(), ""),
            Who::User { issuer, subject, .. } => (subject.as_str(), issuer.as_str()),
        };
        for part in [who, issuer, call.method.as_str(), &call.path, key] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let entry = format!("{}.{}", call.caller.tenant.id, hex::encode(hash.finalize()));
        let patience = call.app.options.idempotency_pending_ms.duration().as_micros();
        Ok(Self {
            sealer: Arc::clone(&call.app.sealer),
            store,
            entry,
            fingerprint: hex::encode(Sha256::digest(body)),
            at_us: call.asked.at_us,
            patience_us: Micros::try_from(patience).unwrap_or(Micros::MAX),
        })
    }

    async fn claim(&self) -> Result<Known, Problem> {
        for _ in 0..ATTEMPTS {
            match self.store.create(&self.entry, self.seal(None)?).await {
                Ok(revision) => return Ok(Known::Nothing(revision)),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                Err(error) => return Err(of_broker(error)),
            }
            let entry = self.store.entry(self.entry.as_str()).await.map_err(of_broker)?;
            let Some(entry) = entry.filter(|e| e.operation == Operation::Put) else { continue };
            let known = self.unseal(&entry.value)?;
            if known.fingerprint != self.fingerprint {
                return Err(Problem::new(
                    ErrorCode::Unprocessable,
                    "the idempotency key was used with another body",
                )
                .field(format!("header:{NAME}"), "choose another key for another request"));
            }
            if let Some(answer) = known.answer {
                return Ok(Known::Answer(answer));
            }
            if self.at_us < known.at_us.saturating_add(self.patience_us) {
                return Err(Problem::new(ErrorCode::Conflict, "the same request is being worked; ask again")
                    .field(format!("header:{NAME}"), "is in use")
                    .retry_after(1));
            }
            // Whoever worked it is gone.
            if let Ok(revision) = self.store.update(&self.entry, self.seal(None)?, entry.revision).await {
                return Ok(Known::Nothing(revision));
            }
        }
        Err(of_broker("others keep changing the entry of the idempotency key"))
    }

    async fn keep(&self, revision: u64, answer: &Answer) {
        let kept = match self.seal(Some(answer.clone())) {
            Ok(sealed) => self.store.update(&self.entry, sealed, revision).await.err().map(|e| e.to_string()),
            Err(problem) => Some(problem.to_string()),
        };
        if let Some(error) = kept {
            tracing::warn!(error, "an answer was not kept for its idempotency key");
        }
    }

    async fn forget(&self, revision: u64) {
        if let Err(error) = self.store.delete_expect_revision(&self.entry, Some(revision)).await {
            tracing::warn!(%error, "an idempotency key was not freed");
        }
    }

    fn seal(&self, answer: Option<Answer>) -> Result<bytes::Bytes, Problem> {
        let remembered = Remembered { fingerprint: self.fingerprint.clone(), at_us: self.at_us, answer };
        let text = serde_json::to_string(&remembered).map(SecretString::from).map_err(Problem::internal)?;
        let sealed = self.sealer.seal(&self.context(), &text).map_err(Problem::internal)?;
        Ok(sealed.into())
    }

    fn unseal(&self, sealed: &[u8]) -> Result<Remembered, Problem> {
        let text = std::str::from_utf8(sealed).map_err(Problem::internal)?;
        let opened = self.sealer.open(&self.context(), text).map_err(Problem::internal)?;
        serde_json::from_str(opened.expose_secret()).map_err(Problem::internal)
    }

    fn context(&self) -> String {
        format!("{IDEMPOTENCY}.{}", self.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_quoted_or_bare() {
        let cases: [(&str, Option<&str>); 9] = [
            ("abc", Some("abc")),
            ("\"abc\"", Some("abc")),
            (r#""a\"b\\c""#, Some(r#"a"b\c"#)),
            ("\"abc", None),
            ("\"abc\"x", None),
            (r#""a\b""#, None),
            ("\"\"", None),
            ("", None),
            (&"x".repeat(256), None),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(NAME, HeaderValue::from_str(value).unwrap());
            let key = read(&headers);
            assert_eq!(key.ok().flatten().as_deref(), expected, "{value}");
        }
        assert_eq!(read(&HeaderMap::new()).unwrap(), None);
    }
}
