//! What is good once, in a KV bucket: invitations under `i.<tenant>.<id>`, links to set a password under `p.<user>.<id>`.

use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use bus::{Bus, topology::ONE_TIME};
use futures::TryStreamExt as _;
use identity::{OneTimePurpose, OneTimeToken};
use model::{Micros, TenantId, UserId};
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::error::of_broker;

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) token: OneTimeToken,
    /// When it was issued.
    pub(crate) issued_at: Micros,
    /// By whom: `key:<id>`, `user:<id>`.
    pub(crate) by: String,
    /// The role that an invitation gives, as bindings name roles.
    #[serde(default)]
    pub(crate) role: Option<String>,
    /// Whom an invitation is for, if it is for somebody.
    #[serde(default)]
    pub(crate) email: Option<String>,
}

/// A token, and the revision it was read at.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) revision: u64,
    pub(crate) kept: Kept,
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct OneTime {
    bus: Bus,
    store: OnceCell<Store>,
}

const fn prefix(purpose: OneTimePurpose) -> &'static str {
    match purpose {
        OneTimePurpose::Invitation => "i",
        OneTimePurpose::PasswordReset => "p",
    }
}

fn key(purpose: OneTimePurpose, owner: &str, id: &str) -> String {
    format!("{}.{owner}.{id}", prefix(purpose))
}

impl OneTime {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus, store: OnceCell::new() }
    }

    async fn store(&self) -> Result<&Store, Problem> {
        let open = || async { self.bus.jetstream().get_key_value(ONE_TIME).await.map_err(of_broker) };
        self.store.get_or_try_init(open).await
    }

    /// Keeps a new one.
    pub(crate) async fn keep(&self, owner: &str, kept: &Kept) -> Result<u64, Problem> {
        let key = key(kept.token.purpose, owner, &kept.token.id);
        self.store().await?.create(key, encode(kept)?).await.map_err(of_broker)
    }

    /// Looks one up.
    pub(crate) async fn find(
        &self,
        purpose: OneTimePurpose,
        owner: &str,
        id: &str,
    ) -> Result<Option<Found>, Problem> {
        // Both have the form of an id, and none may become more than one part of a key.
        if owner.parse::<UserId>().is_err() || id.parse::<UserId>().is_err() {
            return Ok(None);
        }
        let entry = self.store().await?.entry(key(purpose, owner, id)).await.map_err(of_broker)?;
        let entry = entry.filter(|e| e.operation == Operation::Put);
        Ok(entry.and_then(|e| {
            let kept = serde_json::from_slice(&e.value).ok()?;
            Some(Found { revision: e.revision, kept })
        }))
    }

    /// Uses one that is presented as it was handed out: what it was kept with. Of two who do so at once one has it.
    ///
    /// # Errors
    /// 401 if it is not good, 503 if the broker does not answer.
    pub(crate) async fn redeem(
        &self,
        owner: &str,
        found: &Found,
        presented: &str,
        now: Micros,
    ) -> Result<(), Problem> {
        let purpose = found.kept.token.purpose;
        let used = found.kept.token.redeem(presented, purpose, now).map_err(|_| super::not_good())?;
        let kept = Kept { token: used, ..found.kept.clone() };
        let key = key(purpose, owner, &kept.token.id);
        match self.store().await?.update(key, encode(&kept)?, found.revision).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Err(super::not_good()),
            Err(error) => Err(of_broker(error)),
        }
    }

    /// Takes one out.
    pub(crate) async fn remove(&self, purpose: OneTimePurpose, owner: &str, id: &str) -> Result<(), Problem> {
        let subject = format!("$KV.{ONE_TIME}.{}", key(purpose, owner, id));
        self.store().await?.stream.purge().filter(subject).await.map(drop).map_err(of_broker)
    }

    /// The invitations of a tenant that could still be accepted, those first that end first.
    pub(crate) async fn invitations(&self, tenant: &TenantId, now: Micros) -> Result<Vec<Kept>, Problem> {
        let purpose = OneTimePurpose::Invitation;
        let stream = &self.store().await?.stream;
        let filter = format!("$KV.{ONE_TIME}.{}", key(purpose, tenant, "*"));
        let subjects = stream.info_with_subjects(filter).await.map_err(of_broker)?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.map_err(of_broker)?;
        let mut all = Vec::new();
        for (subject, _) in subjects {
            let id = subject.rsplit('.').next().unwrap_or_default();
            all.extend(self.find(purpose, tenant, id).await?.map(|found| found.kept));
        }
        all.retain(|kept| kept.token.used_at.is_none() && kept.token.expires_at > now);
        all.sort_by(|a, b| (a.token.expires_at, &a.token.id).cmp(&(b.token.expires_at, &b.token.id)));
        Ok(all)
    }
}

fn encode(kept: &Kept) -> Result<bytes::Bytes, Problem> {
    serde_json::to_vec(kept).map(Into::into).map_err(Problem::internal)
}

/// A token as it is handed out: the token, and whose it is, by which it is found.
pub(crate) fn handed_out(token: &SecretString, owner: &str) -> SecretString {
    format!("{}.{owner}", token.expose_secret()).into()
}

/// A token that was handed out: itself, whose it is, its id.
pub(crate) fn taken_apart(purpose: OneTimePurpose, presented: &str) -> Option<(&str, &str, &str)> {
    let (token, owner) = presented.rsplit_once('.')?;
    Some((token, owner, OneTimeToken::id_of(purpose, token)?))
}
