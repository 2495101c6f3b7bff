//! What is good once, in a KV bucket: invitations under `i.<tenant>.<id>`, links to set a password under `p.<user>.<id>`.

use bus::{Bus, topology::ONE_TIME};
use identity::{OneTimePurpose, OneTimeToken};
use model::{Micros, TenantId};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};

use super::bucket::{self, Bucket, is_key_part};

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

/// One that was read.
pub(crate) type Found = bucket::Found<Kept>;

/// The bucket.
#[derive(Debug)]
pub(crate) struct OneTime(Bucket<Kept>);

const fn prefix(purpose: OneTimePurpose) -> &'static str {
    match purpose {
        OneTimePurpose::Invitation => "i",
        OneTimePurpose::PasswordReset => "p",
    }
}

/// Under which the tokens of somebody stand.
fn owned_by(purpose: OneTimePurpose, owner: &str) -> String {
    format!("{}.{owner}", prefix(purpose))
}

fn key(purpose: OneTimePurpose, owner: &str, id: &str) -> String {
    format!("{}.{id}", owned_by(purpose, owner))
}

impl OneTime {
    pub(crate) fn new(bus: Bus) -> Self {
        Self(Bucket::new(bus, ONE_TIME))
    }

    /// Keeps a new one.
    pub(crate) async fn keep(&self, owner: &str, kept: &Kept) -> Result<u64, Problem> {
        self.0.create(key(kept.token.purpose, owner, &kept.token.id), kept).await
    }

    /// Looks one up.
    pub(crate) async fn find(
        &self,
        purpose: OneTimePurpose,
        owner: &str,
        id: &str,
    ) -> Result<Option<Found>, Problem> {
        if is_key_part(owner) && is_key_part(id) {
            self.0.find(key(purpose, owner, id)).await
        } else {
            Ok(None)
        }
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
        if self.0.update(key, &kept, found.revision).await? { Ok(()) } else { Err(super::not_good()) }
    }

    /// Takes one out.
    pub(crate) async fn remove(&self, purpose: OneTimePurpose, owner: &str, id: &str) -> Result<(), Problem> {
        self.0.remove(&key(purpose, owner, id)).await
    }

    /// The invitations of a tenant that could still be accepted, those first that end first.
    pub(crate) async fn invitations(&self, tenant: &TenantId, now: Micros) -> Result<Vec<Kept>, Problem> {
        let found = self.0.below(&owned_by(OneTimePurpose::Invitation, tenant)).await?;
        let mut all: Vec<Kept> = found.into_iter().map(|found| found.kept).collect();
        all.retain(|kept| kept.token.used_at.is_none() && kept.token.expires_at > now);
        all.sort_by(|a, b| (a.token.expires_at, &a.token.id).cmp(&(b.token.expires_at, &b.token.id)));
        Ok(all)
    }
}

/// A token that was handed out: itself, whose it is, its id.
pub(crate) fn taken_apart(purpose: OneTimePurpose, presented: &str) -> Option<(&str, &str, &str)> {
    let (token, owner) = presented.rsplit_once('.')?;
    Some((token, owner, OneTimeToken::id_of(purpose, token)?))
}
