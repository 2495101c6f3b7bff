//! The sessions of people, in a KV bucket under `<user>.<session>`: what is no longer refreshed leaves it by itself.
//!
//! Nobody watches the bucket: what ends before its time is named in the catalog's entry of its user, which every process follows, so that
//! it may be taken out of the bucket without a trace.

use std::time::Duration;

use bus::{Bus, topology::SESSIONS};
use identity::{RefreshPolicy, Session, refresh_id};
use model::{TenantId, UserId};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};

use super::bucket::{self, Bucket, is_key_part};

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

/// One that was read.
pub(crate) type Found = bucket::Found<Kept>;

/// The bucket.
#[derive(Debug)]
pub(crate) struct Sessions {
    bucket: Bucket<Kept>,
    whole: Duration,
}

impl Sessions {
    pub(crate) fn new(bus: Bus, whole: Duration) -> Self {
        Self { bucket: Bucket::new(bus, SESSIONS), whole }
    }

    /// How long sessions live: without a refresh as long as the bucket keeps them.
    pub(crate) async fn policy(&self) -> Result<RefreshPolicy, Problem> {
        Ok(RefreshPolicy { idle: self.bucket.max_age().await?, whole: self.whole })
    }

    /// Keeps a new one.
    pub(crate) async fn keep(&self, kept: &Kept) -> Result<u64, Problem> {
        self.bucket.create(key(&kept.session.user, &kept.session.id), kept).await
    }

    /// Keeps one instead of what was read. False if somebody else was quicker.
    pub(crate) async fn replace(&self, found: &Found, kept: &Kept) -> Result<bool, Problem> {
        self.bucket.update(key(&kept.session.user, &kept.session.id), kept, found.revision).await
    }

    /// A session of a user, if it is there.
    pub(crate) async fn find(&self, user: &str, session: &str) -> Result<Option<Found>, Problem> {
        if is_key_part(user) && is_key_part(session) {
            self.bucket.find(key(user, session)).await
        } else {
            Ok(None)
        }
    }

    /// Takes one out.
    pub(crate) async fn remove(&self, user: &str, session: &str) -> Result<(), Problem> {
        self.bucket.remove(&key(user, session)).await
    }

    /// All of a user, the oldest first. As many as a user may have, so that it is a small number.
    pub(crate) async fn of_user(&self, user: &UserId) -> Result<Vec<Found>, Problem> {
        let mut all = self.bucket.below(user).await?;
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

/// A refresh token that was handed out: the session's own, its user, its session.
pub(crate) fn taken_apart(presented: &str) -> Option<(&str, &str, &str)> {
    let (token, user) = presented.rsplit_once('.')?;
    Some((token, user, refresh_id(token)?))
}

#[cfg(test)]
mod tests {
    use identity::Purpose;
    use secrecy::ExposeSecret as _;

    use super::{bucket::handed_out, *};

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
