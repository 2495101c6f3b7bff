//! The sessions of people, in a KV bucket under `<user>.<session>`: what is no longer refreshed leaves it by itself.
//!
//! Nobody watches the bucket: what ends before its time is told to every process by the list of what was taken back, so that it
//! may be taken out of the bucket without a trace.

use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Store};
use bus::{Bus, topology::SESSIONS};
use futures::TryStreamExt as _;
use identity::{RefreshPolicy, Session, refresh_id};
use model::{TenantId, UserId};
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::error::of_broker;

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// What goes on with it.
    pub(crate) session: Session,
    /// The tenant that its tokens are at home in.
    #[serde(default)]
    pub(crate) tenant: Option<TenantId>,
    /// From where it was begun, as the connection said.
    #[serde(default)]
    pub(crate) address: Option<String>,
    /// With what, as it said itself.
    #[serde(default)]
    pub(crate) agent: Option<String>,
}

/// A session, and the revision it was read at.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) revision: u64,
    pub(crate) kept: Kept,
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct Sessions {
    bus: Bus,
    whole: Duration,
    store: OnceCell<Store>,
}

impl Sessions {
    pub(crate) fn new(bus: Bus, whole: Duration) -> Self {
        Self { bus, whole, store: OnceCell::new() }
    }

    async fn store(&self) -> Result<&Store, Problem> {
        let open = || async { self.bus.jetstream().get_key_value(SESSIONS).await.map_err(of_broker) };
        self.store.get_or_try_init(open).await
    }

    /// How long sessions live: without a refresh as long as the bucket keeps them.
    pub(crate) async fn policy(&self) -> Result<RefreshPolicy, Problem> {
        let idle = self.store().await?.stream.cached_info().config.max_age;
        Ok(RefreshPolicy { idle, whole: self.whole })
    }

    /// Keeps a new one.
    pub(crate) async fn keep(&self, kept: &Kept) -> Result<u64, Problem> {
        let key = key(&kept.session.user, &kept.session.id);
        self.store().await?.create(key, encode(kept)?).await.map_err(of_broker)
    }

    /// Keeps one instead of what was read. False if somebody else was quicker.
    pub(crate) async fn replace(&self, found: &Found, kept: &Kept) -> Result<bool, Problem> {
        use async_nats::jetstream::kv::UpdateErrorKind::WrongLastRevision;
        let key = key(&kept.session.user, &kept.session.id);
        match self.store().await?.update(key, encode(kept)?, found.revision).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == WrongLastRevision => Ok(false),
            Err(error) => Err(of_broker(error)),
        }
    }

    /// A session of a user, if it is there.
    pub(crate) async fn find(&self, user: &str, session: &str) -> Result<Option<Found>, Problem> {
        if !(is_key_part(user) && is_key_part(session)) {
            return Ok(None);
        }
        let entry = self.store().await?.entry(key(user, session)).await.map_err(of_broker)?;
        let entry = entry.filter(|e| e.operation == Operation::Put);
        // What cannot be read is of another version, and no session to this one.
        Ok(entry.and_then(|e| {
            let kept = serde_json::from_slice(&e.value).ok()?;
            Some(Found { revision: e.revision, kept })
        }))
    }

    /// Takes one out.
    pub(crate) async fn remove(&self, user: &str, session: &str) -> Result<(), Problem> {
        let subject = format!("$KV.{SESSIONS}.{}", key(user, session));
        self.store().await?.stream.purge().filter(subject).await.map(drop).map_err(of_broker)
    }

    /// All of a user, the oldest first. As many as a user may have, so that it is a small number.
    pub(crate) async fn of_user(&self, user: &UserId) -> Result<Vec<Found>, Problem> {
        let stream = &self.store().await?.stream;
        let subjects = stream.info_with_subjects(format!("$KV.{SESSIONS}.{user}.*")).await;
        let subjects = subjects.map_err(of_broker)?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.map_err(of_broker)?;
        let mut all = Vec::new();
        for (subject, _) in subjects {
            let session = subject.rsplit('.').next().unwrap_or_default();
            all.extend(self.find(user, session).await?);
        }
        all.sort_by(|a, b| {
            let order = |found: &Found| (found.kept.session.began_at, found.kept.session.id.clone());
            order(a).cmp(&order(b))
        });
        Ok(all)
    }
}

fn key(user: &str, session: &str) -> String {
    format!("{user}.{session}")
}

/// What others send must not become more than one part of a key.
fn is_key_part(text: &str) -> bool {
    text.parse::<UserId>().is_ok()
}

fn encode(kept: &Kept) -> Result<bytes::Bytes, Problem> {
    serde_json::to_vec(kept).map(Into::into).map_err(Problem::internal)
}

/// A refresh token as it is handed out: what goes on with the session, and whose it is, by which it is found.
pub(crate) fn handed_out(token: &SecretString, user: &str) -> SecretString {
    format!("{}.{user}", token.expose_secret()).into()
}

/// A refresh token that was handed out: the session's own, its user, its session.
pub(crate) fn taken_apart(presented: &str) -> Option<(&str, &str, &str)> {
    let (token, user) = presented.rsplit_once('.')?;
    Some((token, user, refresh_id(token)?))
}

#[cfg(test)]
mod tests {
    use identity::Purpose;

    use super::*;

    #[test]
    fn a_refresh_token_says_where_its_session_is() {
        let (session, token) = Session::begin(&mut rand::rng(), "alice", Purpose::All, 7);
        let out = handed_out(&token, "alice");
        let (inner, user, id) = taken_apart(out.expose_secret()).unwrap();
        assert_eq!((inner, user, id), (token.expose_secret(), "alice", &*session.id));
        for bad in ["", ".", "alice", ".alice", "err_x.alice", token.expose_secret()] {
            assert!(taken_apart(bad).is_none(), "{bad}");
        }
        assert!(is_key_part("alice") && !is_key_part("a.b") && !is_key_part("*") && !is_key_part(">"));
    }
}
