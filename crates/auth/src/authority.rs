//! Whether a caller may do something: the one place where what they brought and what they were given come together.

use std::sync::Arc;

use relations::{Actor, Authorizer, Error, Kind, Permission, Role, Scope as Place, Verb, question};
use runtime::metrics::{self, Histogram, IntCounter, Metric};

use crate::{AuthError, AuthorizerKind, Caller, Derived, Held, Snapshots};

/// Decides by the scopes or roles that a caller brings, and then by bindings, which only add to them. Who brings enough is let in
/// without a question, so that a key's use costs no more than a look at its scopes.
#[derive(Debug, Clone)]
pub struct Authority {
    authorizer: Arc<dyn Authorizer>,
    /// Whether the authorizer must be told of roles and bindings.
    is_told: bool,
    asked: Asked,
}

/// What is counted of the authorizer's answers.
#[derive(Debug, Clone)]
struct Asked {
    allowed: IntCounter,
    denied: IntCounter,
    unanswered: IntCounter,
    duration: Histogram,
}

impl Asked {
    fn new(kind: AuthorizerKind) -> Self {
        let count = |answer| metrics::counter(Metric::AuthorizerQuestions, &[kind.as_str(), answer]);
        let duration = metrics::histogram(Metric::AuthorizerDuration, &[kind.as_str()]);
        Self { allowed: count("allowed"), denied: count("denied"), unanswered: count("none"), duration }
    }

    fn count(&self, questions: usize, answered: &Result<Vec<bool>, Error>) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        match answered {
            Ok(answers) => {
                let allowed = answers.iter().filter(|may| **may).count();
                self.allowed.inc_by(number(allowed));
                self.denied.inc_by(number(answers.len() - allowed));
            }
            Err(_) => self.unanswered.inc_by(number(questions)),
        }
    }
}

impl Authority {
    /// One that asks this authorizer for bindings, which knows them by itself.
    #[must_use]
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { authorizer, is_told: false, asked: Asked::new(AuthorizerKind::Embedded) }
    }

    /// One that asks an authorizer that knows what it is told.
    #[must_use]
    pub fn told(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { authorizer, is_told: true, asked: Asked::new(AuthorizerKind::Keto) }
    }

    /// One that knows the bindings of the catalog by itself.
    #[must_use]
    pub fn embedded(snapshots: Snapshots) -> Self {
        Self::new(Arc::new(Derived::new(snapshots)))
    }

    /// The authorizer that must be told of the catalog's roles and bindings, if it must.
    #[must_use]
    pub fn to_be_told(&self) -> Option<Arc<dyn Authorizer>> {
        self.is_told.then(|| Arc::clone(&self.authorizer))
    }

    /// Which authorizer it asks.
    #[must_use]
    pub fn kind(&self) -> AuthorizerKind {
        if self.is_told { AuthorizerKind::Keto } else { AuthorizerKind::Embedded }
    }

    /// Whether the authorizer answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn probe(&self) -> Result<(), Error> {
        let nobody = Actor::Service(NOBODY.to_owned());
        relations::may(&*self.authorizer, &nobody, Permission::new(Verb::Read, Kind::Fleet), &Place::Fleet)
            .await
            .map(drop)
    }

    /// Whether a caller may do all of these there.
    ///
    /// # Errors
    /// [`AuthError::Undecided`] if what it brings does not suffice and the authorizer does not answer.
    pub async fn may(
        &self,
        caller: &Caller,
        permissions: &[Permission],
        place: &Place,
    ) -> Result<bool, AuthError> {
        Ok(self.missing(caller, permissions, place).await?.is_none())
    }

    /// Insists that a caller may do all of these there.
    ///
    /// # Errors
    /// [`AuthError::ScopeNeeded`], [`AuthError::RoleNeeded`] or [`AuthError::FleetRoleNeeded`] if it may not do one of them,
    /// [`AuthError::Undecided`] if nobody can say.
    pub async fn require(
        &self,
        caller: &Caller,
        permissions: &[Permission],
        place: &Place,
    ) -> Result<(), AuthError> {
        match self.missing(caller, permissions, place).await? {
            None => Ok(()),
            Some(missing) => Err(caller.lacks(permissions, missing, place)),
        }
    }

    /// The first of these that a caller may not do there.
    async fn missing(
        &self,
        caller: &Caller,
        permissions: &[Permission],
        place: &Place,
    ) -> Result<Option<Permission>, AuthError> {
        let not_brought = permissions.iter().filter(|permission| !caller.brings(**permission, place));
        let not_brought: Vec<_> = not_brought.copied().collect();
        if not_brought.is_empty() {
            return Ok(None);
        }
        let given = self.ask(&caller.who.actor(), &not_brought, place).await?;
        Ok(not_brought.into_iter().zip(given).find(|(_, given)| !given).map(|(missing, _)| missing))
    }

    /// Whether bindings let a caller do that at home, whatever it brought.
    ///
    /// # Errors
    /// [`AuthError::Undecided`] if the authorizer does not answer.
    pub async fn given(&self, caller: &Caller, permission: Permission) -> Result<bool, AuthError> {
        self.gives(&caller.who.actor(), permission, &caller.home()).await
    }

    /// Whether bindings let somebody do that there.
    ///
    /// # Errors
    /// [`AuthError::Undecided`] if the authorizer does not answer.
    pub async fn gives(
        &self,
        actor: &Actor,
        permission: Permission,
        place: &Place,
    ) -> Result<bool, AuthError> {
        Ok(self.ask(actor, &[permission], place).await?.into_iter().all(|may| may))
    }

    /// Whether a caller may do all of these in a tenant that is not its own. It asks as much of one that does not
    /// exist as of one that does, so that the time it takes does not tell them apart.
    ///
    /// # Errors
    /// As [`may`](Self::may).
    pub async fn may_abroad(
        &self,
        caller: &Caller,
        permissions: &[Permission],
        tenant: &str,
        exists: bool,
    ) -> Result<bool, AuthError> {
        if permissions.iter().all(|permission| caller.brings(*permission, &Place::Fleet)) {
            return Ok(true);
        }
        let actor = caller.who.actor();
        let there = if exists {
            self.ask(&actor, permissions, &Place::Tenant(tenant.to_owned())).await?
        } else {
            // By somebody who is nobody, of a tenant that exists: the answer is not used.
            self.ask(&Actor::Service(NOBODY.to_owned()), permissions, &caller.home()).await?
        };
        // A tenant that is deleted is no tenant to the authorizer, and the fleet's all the same.
        let everywhere = self.ask(&actor, permissions, &Place::Fleet).await?;
        Ok((exists && there.into_iter().all(|may| may)) || everywhere.into_iter().all(|may| may))
    }

    /// All that a caller may do there.
    ///
    /// # Errors
    /// As [`may`](Self::may).
    pub async fn held(&self, caller: &Caller, place: &Place) -> Result<Held, AuthError> {
        let all: Vec<Permission> = Permission::all().collect();
        let actor = caller.who.actor();
        let given = self.ask(&actor, &all, place).await?;
        let Held { mut there, .. } = caller.brought(place);
        there.extend(all.iter().zip(given).filter(|(_, given)| *given).map(|(permission, _)| *permission));
        let everything = Role::Superuser.permissions().all(|permission| there.contains(&permission))
            && (*place == Place::Fleet
                || self.ask(&actor, &all, &Place::Fleet).await?.into_iter().all(|may| may));
        Ok(Held { there, everything })
    }

    async fn ask(
        &self,
        actor: &Actor,
        permissions: &[Permission],
        place: &Place,
    ) -> Result<Vec<bool>, AuthError> {
        let questions = permissions.iter().map(|permission| question(actor, *permission, place));
        // An id that cannot stand in a tuple has been given nothing.
        let Ok(questions) = questions.collect::<Result<Vec<_>, _>>() else {
            return Ok(vec![false; permissions.len()]);
        };
        let timer = self.asked.duration.start_timer();
        let answered = match &*questions {
            [question] => self.authorizer.check(question).await.map(|may| vec![may]),
            questions => self.authorizer.check_all(questions).await,
        };
        timer.observe_duration();
        self.asked.count(questions.len(), &answered);
        answered.map_err(|error| {
            if !matches!(error, Error::Unavailable { .. }) {
                tracing::error!(%error, "the authorizer refuses to answer");
            }
            AuthError::Undecided(error)
        })
    }
}

/// Who is given nothing, or nothing that counts.
const NOBODY: &str = "nobody";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AuthorizerOptions;

    #[tokio::test]
    async fn what_the_authorizer_says_is_counted() {
        let counted = || {
            let of = |answer| metrics::counter(Metric::AuthorizerQuestions, &["keto", answer]).get();
            let times = metrics::histogram(Metric::AuthorizerDuration, &["keto"]).get_sample_count();
            (of("allowed"), of("denied"), of("none"), times)
        };
        let nothing = Arc::new(catalog::Snapshot::default());
        let derived = Derived::new(Arc::new(move || Arc::clone(&nothing)));
        let alice = Actor::User("alice".to_owned());
        let read = Permission::new(Verb::Read, Kind::Fleet);
        let before = counted();
        assert!(!Authority::told(Arc::new(derived)).gives(&alice, read, &Place::Fleet).await.unwrap());
        let nobody_listens = AuthorizerOptions {
            kind: AuthorizerKind::Keto,
            read_url: "http://127.0.0.1:1".to_owned(),
            write_url: "http://127.0.0.1:1".to_owned(),
            timeout_ms: 20,
            attempt_timeout_ms: 10,
        };
        let away =
            Authority::open(&nobody_listens, Arc::new(|| Arc::new(catalog::Snapshot::default()))).unwrap();
        away.gives(&alice, read, &Place::Fleet).await.unwrap_err();
        let after = counted();
        assert_eq!(
            (after.0 - before.0, after.1 - before.1, after.2 - before.2, after.3 - before.3),
            (0, 1, 1, 2)
        );
    }
}
