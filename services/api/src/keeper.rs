//! Tells an authorizer that keeps tuples of its own, such as Ory Keto, of the catalog's roles and bindings.
//!
//! One replica does it: the others stand by. It begins with all that the authorizer has, which it makes what it should be, and
//! goes on with what changes. After anything that went wrong it begins again, so that it catches up with whatever was missed
//! and mends what was lost, also when the authorizer comes back empty. Every step may be done twice.

use std::{collections::BTreeSet, sync::Arc};

use bus::{
    Backoff, Bus,
    members::{Members, MembersOptions, Owned},
};
use catalog::{Catalog, Snapshot, tuples};
use relations::{Authorizer, Changes, Error, Page, Query, Tuple};
use runtime::{
    health::Component,
    metrics::{self, Gauge, IntCounter, Metric},
};
use tokio_util::sync::CancellationToken;

/// Under which replicas find each other.
const SERVICE: &str = "authorizer";

/// The namespaces whose tuples are the catalog's. Others' are left alone.
const OURS: [&str; 3] = ["fleet", "tenant", "role"];

pub(crate) struct Keeper {
    authorizer: Arc<dyn Authorizer>,
    catalog: Catalog,
    component: Component,
    in_step: Gauge,
    inserted: IntCounter,
    deleted: IntCounter,
    failures: IntCounter,
}

impl Keeper {
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>, catalog: Catalog, component: Component) -> Self {
        component.started();
        component.ready(true, "");
        Self {
            authorizer,
            catalog,
            component,
            in_step: metrics::gauge(Metric::AuthorizerInStep, &[]),
            inserted: metrics::counter(Metric::AuthorizerTuples, &["insert"]),
            deleted: metrics::counter(Metric::AuthorizerTuples, &["delete"]),
            failures: metrics::counter(Metric::AuthorizerFailures, &[]),
        }
    }

    /// Keeps the authorizer in step, whenever it is this replica's turn, until stopped.
    pub(crate) async fn run(self, bus: Bus, draining: CancellationToken) {
        let mut backoff = Backoff::default();
        let members = loop {
            match Members::join(&bus, SERVICE, 1, &MembersOptions::default()).await {
                Ok(members) => break members,
                Err(error) => tracing::warn!(%error, "replicas cannot find each other yet, trying again"),
            }
            tokio::select! {
                () = draining.cancelled() => return,
                () = backoff.wait() => {}
            }
        };
        let mut owned = members.owned();
        let is_mine = |owned: &Owned| owned.first().copied().unwrap_or(false);
        loop {
            tokio::select! {
                () = draining.cancelled() => break,
                mine = owned.wait_for(is_mine) => if mine.is_err() { break },
            }
            tokio::select! {
                () = draining.cancelled() => break,
                lost = owned.wait_for(|owned| !is_mine(owned)) => if lost.is_err() { break },
                () = self.keep() => {}
            }
            // Whoever keeps it now says how it is.
            self.in_step.set(0.0);
            self.component.ready(true, "");
        }
        members.leave().await;
    }

    /// Never ends; may be dropped at any time.
    pub(crate) async fn keep(&self) {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.follow(&mut backoff).await;
            self.failures.inc();
            self.in_step.set(0.0);
            tracing::warn!(%error, "the authorizer is not in step with the catalog, trying again");
            self.component.ready(false, format!("the authorizer is behind the catalog: {error}"));
            backoff.wait().await;
        }
    }

    async fn follow(&self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Error> {
        let mut changes = self.catalog.changes();
        changes.mark_unchanged();
        let mut told = self.catalog.snapshot();
        self.apply(Changes::between(&self.all().await?, &tuples::all(&told))).await?;
        backoff.reset();
        loop {
            self.in_step.set(1.0);
            self.component.ready(true, "");
            // The sender is the catalog's, which we hold.
            let _ = changes.changed().await;
            told = self.tell(&told).await?;
        }
    }

    /// Tells what has changed since, and gives what was told.
    async fn tell(&self, told: &Snapshot) -> Result<Arc<Snapshot>, Error> {
        let now = self.catalog.snapshot();
        self.apply(tuples::changes(told, &now)).await?;
        Ok(now)
    }

    /// What the authorizer has that is the catalog's.
    async fn all(&self) -> Result<BTreeSet<Tuple>, Error> {
        let mut all = BTreeSet::new();
        for namespace in OURS {
            let query = Query { namespace: namespace.parse().ok(), ..Query::default() };
            let mut page = Page::default();
            loop {
                let listed = self.authorizer.list(&query, page).await?;
                all.extend(listed.tuples);
                let Some(next) = listed.next else { break };
                page = Page { cursor: Some(next), limit: 0 };
            }
        }
        Ok(all)
    }

    async fn apply(&self, changes: Changes) -> Result<(), Error> {
        for portion in changes.in_portions() {
            let (inserted, deleted) = (portion.insert.len() as u64, portion.delete.len() as u64);
            self.authorizer.apply(portion).await?;
            self.inserted.inc_by(inserted);
            self.deleted.inc_by(deleted);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use async_trait::async_trait;
    use model::resource::{RoleBinding, Tenant};
    use relations::{Embedded, Limits, Listed, SubjectSet, Tree};
    use runtime::health::Health;
    use serde_json::json;

    use super::*;

    /// An authorizer that is away now and then.
    #[derive(Debug)]
    struct Far {
        embedded: Embedded,
        away: AtomicBool,
    }

    impl Far {
        fn there(&self) -> Result<&Embedded, Error> {
            if self.away.load(Ordering::Relaxed) {
                let (within, why) = (Duration::from_millis(1), "away".to_owned());
                return Err(Error::Unavailable { within, why });
            }
            Ok(&self.embedded)
        }

        fn has(&self, catalog: &Catalog) -> bool {
            self.embedded.snapshot().iter().collect::<BTreeSet<_>>() == tuples::all(&catalog.snapshot())
        }
    }

    #[async_trait]
    impl Authorizer for Far {
        async fn check(&self, question: &Tuple) -> Result<bool, Error> {
            self.there()?.check(question).await
        }
        async fn check_all(&self, questions: &[Tuple]) -> Result<Vec<bool>, Error> {
            self.there()?.check_all(questions).await
        }
        async fn list(&self, query: &Query, page: Page) -> Result<Listed, Error> {
            self.there()?.list(query, page).await
        }
        async fn expand(&self, set: &SubjectSet, depth: u8) -> Result<Tree, Error> {
            self.there()?.expand(set, depth).await
        }
        async fn apply(&self, changes: Changes) -> Result<(), Error> {
            self.there()?.apply(changes).await
        }
        async fn delete_all(&self, query: &Query) -> Result<(), Error> {
            self.there()?.delete_all(query).await
        }
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        let waited = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), waited).await.is_ok(), "{what}");
    }

    #[tokio::test]
    async fn the_authorizer_is_told_and_catches_up_after_an_outage_and_a_loss() {
        let tenant: Tenant = serde_json::from_value(json!({"id": "acme"})).unwrap();
        let bound = |id: &str, role: &str| -> RoleBinding {
            let binding = json!({"tenant": "acme", "id": id, "actor": "user:alice", "role": role});
            serde_json::from_value(binding).unwrap()
        };
        let catalog = Catalog::fixed(Snapshot::default().with(tenant).with(bound("b1", "viewer")));
        let embedded = Embedded::new(Arc::new(relations::product_schema()), Limits::default());
        // From an earlier life.
        let stale: Tuple = "tenant:acme#admin@user:mallory".parse().unwrap();
        embedded.replace([stale].into_iter().collect());
        let far = Arc::new(Far { embedded, away: AtomicBool::new(false) });
        let health = Health::default();
        let keeper = Keeper::new(far.clone(), catalog.clone(), health.component(SERVICE));
        let keeping = tokio::spawn(async move { keeper.keep().await });
        until("what should not be there goes, what should comes", || far.has(&catalog)).await;

        catalog.replace(Snapshot::clone(&catalog.snapshot()).with(bound("b2", "admin")));
        until("a change is told", || far.has(&catalog)).await;
        assert!(health.ready().ok);

        far.away.store(true, Ordering::Relaxed);
        catalog.replace(Snapshot::clone(&catalog.snapshot()).with(bound("b2", "user")));
        until("an outage shows", || !health.ready().ok).await;
        far.embedded.replace(relations::Tuples::default());
        far.away.store(false, Ordering::Relaxed);
        until("it catches up, and what was lost is there again", || far.has(&catalog)).await;
        until("and readiness says so", || health.ready().ok).await;
        keeping.abort();
    }
}
