//! Keeps the broker's accounts in step with the catalog: who has credentials of a tenant gets in, and nobody else.
//!
//! Every replica does it, as each step may be done twice. It begins with everything, shutting out whoever was taken away
//! while nobody was there to tell the broker, and goes on with what changes; after anything that went wrong, and whenever the
//! broker was away, it begins again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bus::{
    Backoff, Bus,
    accounts::{Accounts, Operator, Reader},
};
use catalog::{Catalog, Snapshot};
use model::{Clock as _, SystemClock, TenantId, resource::NatsCredential};
use runtime::{
    health::Component,
    metrics::{self, IntCounter, Metric},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long who was given credentials waits until the broker knows them.
const SETTLE: Duration = Duration::from_secs(3);

/// What the rest of the service has of it.
#[derive(Debug)]
pub(crate) struct Told {
    accounts: Accounts,
    /// The catalog's revision up to which the broker was told.
    revision: watch::Sender<u64>,
}

impl Told {
    pub(crate) fn new(accounts: Accounts) -> Self {
        Self { accounts, revision: watch::Sender::new(0) }
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(crate) fn operator(&self) -> &Operator {
        self.accounts.operator()
    }

    /// Waits until the broker knows what was written at that revision, for a while.
    pub(crate) async fn settled(&self, revision: u64) {
        let mut told = self.revision.subscribe();
        let _ = tokio::time::timeout(SETTLE, told.wait_for(|told| *told >= revision)).await;
    }
}

pub(crate) struct Doorkeeper {
    told: Arc<Told>,
    catalog: Catalog,
    bus: Bus,
    component: Component,
    set: IntCounter,
    failures: IntCounter,
}

/// Who may read, by tenant, and where its stream is.
type Wanted = BTreeMap<TenantId, (String, Vec<Reader>)>;

impl Doorkeeper {
    pub(crate) fn new(told: Arc<Told>, catalog: Catalog, bus: Bus, component: Component) -> Self {
        component.started();
        component.ready(true, "");
        Self {
            told,
            catalog,
            bus,
            component,
            set: metrics::counter(Metric::AccountsSet, &[]),
            failures: metrics::counter(Metric::AccountFailures, &[]),
        }
    }

    /// Until stopped; may be dropped at any time.
    pub(crate) async fn run(self, draining: CancellationToken) {
        tokio::select! {
            () = draining.cancelled() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&self) {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.follow(&mut backoff).await else { continue };
            self.failures.inc();
            tracing::warn!(%error, "the broker's accounts are not in step with the catalog, trying again");
            self.component.ready(false, format!("the broker's accounts are behind the catalog: {error}"));
            backoff.wait().await;
        }
    }

    /// Until the broker was away.
    async fn follow(&self, backoff: &mut Backoff) -> Result<(), bus::Error> {
        let lost = self.bus.lost();
        tokio::pin!(lost);
        let mut changes = self.catalog.changes();
        let mut known = Wanted::new();
        let snapshot = self.catalog.snapshot();
        let tenants: Vec<TenantId> = wanted(&snapshot).into_keys().collect();
        self.told.accounts.keep_only(&tenants, now()).await?;
        loop {
            changes.mark_unchanged();
            let snapshot = self.catalog.snapshot();
            let next = wanted(&snapshot);
            self.tell(&known, &next).await?;
            known = next;
            self.told.revision.send_replace(snapshot.revision());
            self.component.ready(true, "");
            backoff.reset();
            tokio::select! {
                () = &mut lost => return Ok(()),
                // The sender is the catalog's, which we hold.
                _ = changes.changed() => {}
            }
        }
    }

    /// One tenant's trouble is not the others'.
    async fn tell(&self, known: &Wanted, wanted: &Wanted) -> Result<(), bus::Error> {
        let mut outcome = Ok(());
        let changed = wanted.iter().filter(|(tenant, readers)| known.get(*tenant) != Some(readers));
        let changed = changed.map(|(tenant, (placement, readers))| (tenant, placement, &readers[..]));
        let gone = known.iter().filter(|(tenant, _)| !wanted.contains_key(*tenant));
        let gone = gone.map(|(tenant, (placement, _))| (tenant, placement, &[][..]));
        for (tenant, placement, readers) in changed.chain(gone) {
            match self.told.accounts.set(tenant, placement, readers, now()).await {
                Ok(()) => self.set.inc(),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

/// Who may read. Nobody of a tenant that is disabled.
fn wanted(snapshot: &Snapshot) -> Wanted {
    let mut wanted = Wanted::new();
    for entry in snapshot.list::<NatsCredential>(None) {
        let NatsCredential { tenant, id, signing_key, begin, .. } = &*entry.value;
        let Some(tenant) = snapshot.tenant(tenant).filter(|tenant| !tenant.disabled) else { continue };
        let reader = Reader { id: id.to_string(), signing_key: signing_key.clone(), begin: *begin };
        let of_tenant =
            wanted.entry(tenant.id.clone()).or_insert_with(|| (tenant.placement.clone(), Vec::new()));
        of_tenant.1.push(reader);
    }
    wanted
}

fn now() -> i64 {
    SystemClock.now() / 1_000_000
}
