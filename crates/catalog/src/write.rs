//! Writing: every write is a compare-and-set on the revision of its entry, and no reference is left dangling.
//!
//! What an entry refers to has an entry of its own, and the broker compares one at a time. So each side looks again after
//! it has written, at a snapshot that holds its own write: of two that contradict each other (one names a system, one deletes
//! it) the later one, at least, sees the other, and takes itself back.

use async_nats::jetstream::kv::{self, Operation};
use model::{Clock as _, Micros, SystemClock, TenantId, format_rfc3339, resource::ApiKey};

use crate::{
    Catalog, Deleted, EntryKey, Error, FieldError, Kind, Resource, Snapshot, Versioned,
    entry::{self, Read},
    error::unavailable,
    resource::named,
};

/// How often a write that may go over whatever is there is tried again when others write too.
const ATTEMPTS: usize = 8;

impl Catalog {
    /// Writes a resource that does not exist yet, and waits until the snapshot has it. Gives it as it was written: with
    /// the time.
    ///
    /// # Errors
    /// If it breaks a rule, exists already, was deleted and not purged, or the broker does not acknowledge it.
    pub async fn create<R: Resource>(&self, resource: &R) -> Result<Versioned<R>, Error> {
        self.check(resource).await?;
        let key = resource.entry_key();
        let mut value = stamped(resource);
        // It is made now, whatever time its maker began with.
        value.meta_mut().created_at = value.meta().updated_at.clone();
        let store = self.store().await?;
        let revision = match store.create(key.to_string(), entry::write(&value)?).await {
            Ok(revision) => revision,
            Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => {
                let (kind, id) = (key.kind, key.id.clone());
                return Err(match self.held_at(&key).await? {
                    Some((_, bytes)) if !entry::is_live(&bytes) => Error::Deleted { kind, id },
                    _ => Error::Exists { kind, id },
                });
            }
            Err(error) => return Err(unavailable(error)),
        };
        self.confirm(&value, revision, None).await?;
        Ok(Versioned { revision, value })
    }

    /// Writes a resource, over the one at `expected`, or over whatever is there when `expected` is none, and
    /// waits until the snapshot has it. Gives it as it was written, with the time.
    ///
    /// # Errors
    /// If it breaks a rule, is not at that revision, or the broker does not acknowledge it.
    pub async fn put<R: Resource>(&self, resource: &R, expected: Option<u64>) -> Result<Versioned<R>, Error> {
        self.check(resource).await?;
        let key = resource.entry_key();
        let mut value = stamped(resource);
        let store = self.store().await?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let before = store.entry(key.to_string()).await.map_err(unavailable)?;
            let held = before.as_ref().map(|e| &*e.value).unwrap_or_default();
            if let Some(old) = entry::read_live::<R>(held) {
                value.succeed(&old);
                // The snapshot may have been behind.
                self.check_succession(&value, &old)?;
            }
            let bytes = entry::write_over(&value, held)?;
            let last = expected.unwrap_or_else(|| before.as_ref().map_or(0, |e| e.revision));
            match store.update(key.to_string(), bytes, last).await.map_err(stale(&key, last)) {
                Ok(revision) => {
                    let before = before.filter(|e| e.operation == Operation::Put).map(|e| e.value);
                    self.confirm(&value, revision, before).await?;
                    return Ok(Versioned { revision, value });
                }
                Err(Error::Stale { .. }) if expected.is_none() && attempts < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a resource from the bucket itself.
    ///
    /// # Errors
    /// If there is none or it is deleted, it cannot be read, or the broker does not answer.
    pub async fn get<R: Resource>(&self, tenant: &TenantId, id: &str) -> Result<Versioned<R>, Error> {
        let key = EntryKey::new(R::KIND, tenant, id);
        match self.read(&key).await? {
            (revision, Read::Live(value)) => Ok(Versioned { revision, value }),
            (_, Read::Deleted(_)) => Err(not_found(key)),
        }
    }

    /// Deletes a resource, if it is at `expected` where that is given, and waits until the snapshot is without it. From
    /// then on no service knows it; it keeps its id and can be undeleted until it is purged. Gives the revision of
    /// what is left of it.
    ///
    /// # Errors
    /// If there is none, others name it, it is not at that revision, or the broker does not acknowledge it.
    pub async fn delete<R: Resource>(
        &self,
        tenant: &TenantId,
        id: &str,
        expected: Option<u64>,
    ) -> Result<u64, Error> {
        let key = EntryKey::new(R::KIND, tenant, id);
        let Some((revision, before)) = self.held_at(&key).await? else { return Err(not_found(key)) };
        match entry::read::<R>(&before) {
            Ok(Read::Live(_)) => {}
            Ok(Read::Deleted(_)) => return Err(not_found(key)),
            // What nobody can read, nobody can undelete either.
            Err(_) => return self.discard(&key, expected).await,
        }
        if expected.is_some_and(|expected| expected != revision) {
            return Err(Error::Stale { kind: key.kind, id: key.id, expected: expected.unwrap_or_default() });
        }
        self.unheld(&key)?;
        let store = self.store().await?;
        let bytes = entry::write_deleted(&format_rfc3339(SystemClock.now()), &before)?;
        let left = store.update(key.to_string(), bytes, revision).await.map_err(stale(&key, revision))?;
        self.settle(left).await;
        // Somebody may have named it while it was deleted: then it was never gone.
        if let Err(held) = self.unheld(&key) {
            let back = store.update(key.to_string(), before, left).await.map_err(stale(&key, left))?;
            self.settle(back).await;
            return Err(held);
        }
        Ok(left)
    }

    /// Whether one could be deleted: nobody names it.
    ///
    /// # Errors
    /// Who names it.
    pub fn check_delete<R: Resource>(&self, tenant: &TenantId, id: &str) -> Result<(), Error> {
        self.unheld(&EntryKey::new(R::KIND, tenant, id))
    }

    /// Takes a deletion back, if what is left is at `expected` where that is given, and waits until the snapshot has the
    /// resource again.
    ///
    /// # Errors
    /// If nothing deleted is left, it names what is gone or breaks a rule by now, it is not at that revision, or the broker
    /// does not acknowledge it.
    pub async fn undelete<R: Resource>(
        &self,
        tenant: &TenantId,
        id: &str,
        expected: Option<u64>,
    ) -> Result<Versioned<R>, Error> {
        let found = self.get_deleted::<R>(tenant, id).await?;
        self.put(&found.value.resource, Some(expected.unwrap_or(found.revision))).await
    }

    /// Reads what is left of a deleted resource from the bucket itself.
    ///
    /// # Errors
    /// If there is none or it is not deleted, it cannot be read, or the broker does not answer.
    pub async fn get_deleted<R: Resource>(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Versioned<Deleted<R>>, Error> {
        let key = EntryKey::new(R::KIND, tenant, id);
        match self.read(&key).await? {
            (revision, Read::Deleted(value)) => Ok(Versioned { revision, value }),
            (_, Read::Live(_)) => Err(not_found(key)),
        }
    }

    /// Purges what was deleted longer ago than the bucket's options keep it: ids are free again, and nothing of those
    /// resources is left. Gives how many.
    ///
    /// # Errors
    /// If the broker does not acknowledge it; the next time goes on.
    pub async fn purge_deleted(&self, now_us: Micros) -> Result<usize, Error> {
        let before_us = now_us.saturating_sub(self.inner.options.deleted_kept_us());
        let mut purged = 0;
        for (key, revision) in self.snapshot().deleted_before(before_us) {
            let store = self.store().await?;
            match store.purge_expect_revision(key.to_string(), Some(revision)).await {
                Ok(()) => purged += 1,
                // Undeleted meanwhile.
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Ok(purged)
    }

    /// Whether a resource could be written: it keeps to the rules, and what it names exists.
    ///
    /// # Errors
    /// What is wrong, or that the broker does not answer.
    pub async fn check<R: Resource>(&self, resource: &R) -> Result<(), Error> {
        let mut faults = resource.validate();
        if let Some(check) = &self.inner.check {
            faults.extend(resource.validate_with(check.as_ref()));
        }
        let snapshot = self.snapshot();
        faults.extend(resource.validate_among(&snapshot));
        if let Some(old) = snapshot.entry::<R>(resource.tenant(), resource.id()) {
            self.check_succession(resource, &old.value)?;
        }
        faults.extend(self.dangling(resource).await?);
        if R::KIND == Kind::Key
            && self.snapshot().key(resource.id()).is_some_and(|k: &_| is_anothers(k, resource.tenant()))
        {
            faults.push(FieldError::new("/id", "is taken; generate another key"));
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let is_new = !snapshot.has(&resource.entry_key());
        if is_new { within_limits::<R>(&snapshot, resource.tenant(), 1) } else { Ok(()) }
    }

    /// Whether a resource may take the place of another.
    fn check_succession<R: Resource>(&self, new: &R, old: &R) -> Result<(), Error> {
        let check = self.inner.check.as_deref();
        let faults = check.map(|check| new.succession_faults(old, check)).unwrap_or_default();
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }

    /// What a resource names that does not exist.
    async fn dangling<R: Resource>(&self, resource: &R) -> Result<Vec<FieldError>, Error> {
        let tenant = resource.tenant();
        if is_a_tenants::<R>() && !tenant.is_fleet() && !self.exists(tenant_key(tenant)).await? {
            return Ok(vec![FieldError::new("/tenant", format!("there is no tenant {tenant:?}"))]);
        }
        let mut faults = Vec::new();
        for (pointer, key) in named(resource) {
            if !self.exists(key.clone()).await? {
                let EntryKey { kind, tenant, id } = key;
                let of = if tenant.is_fleet() { String::new() } else { format!(" of {tenant:?}") };
                faults.push(FieldError::new(pointer, format!("there is no {kind} {id:?}{of}")));
            }
        }
        Ok(faults)
    }

    /// In the snapshot, or, as that may be a moment behind, in the bucket.
    async fn exists(&self, key: EntryKey) -> Result<bool, Error> {
        if self.snapshot().has(&key) {
            return Ok(true);
        }
        Ok(self.held_at(&key).await?.is_some_and(|(_, bytes)| entry::is_live(&bytes)))
    }

    /// Waits for a write to come back, and takes it back itself if what it names has gone meanwhile. `before` is what
    /// was there.
    async fn confirm<R: Resource>(
        &self,
        written: &R,
        revision: u64,
        before: Option<bytes::Bytes>,
    ) -> Result<(), Error> {
        let settled = self.settle(revision).await;
        let gone = |key: EntryKey| settled && !self.snapshot().has(&key);
        let tenant = written.tenant();
        let tenant_gone = is_a_tenants::<R>() && !tenant.is_fleet() && gone(tenant_key(tenant));
        let any_gone = tenant_gone || named(written).into_iter().any(|(_, key)| gone(key));
        // A snapshot that does not come is no reason to say no: the bucket is asked then.
        let mut faults = if any_gone || !settled { self.dangling(written).await? } else { Vec::new() };
        // Of two that must not be alike the one who wrote second sees the other.
        faults.extend(written.validate_among(&self.snapshot()));
        let is_new = !before.as_ref().is_some_and(|before| entry::is_live(before));
        // Of several that came at once, those that found room may be too many together.
        let room = if is_new { within_limits::<R>(&self.snapshot(), tenant, 0) } else { Ok(()) };
        let refused = match (faults.is_empty(), room) {
            (false, _) => Error::Invalid(faults),
            (true, Err(over)) => over,
            (true, Ok(())) => return Ok(()),
        };
        let key = written.entry_key();
        let store = self.store().await?;
        let undone = match before {
            Some(before) => store.update(key.to_string(), before, revision).await.map(Some),
            None => store.delete_expect_revision(key.to_string(), Some(revision)).await.map(|()| None),
        };
        match undone.map_err(stale(&key, revision))? {
            Some(back) => self.settle(back).await,
            None => self.wait_until(|snapshot| !snapshot.has(&key)).await,
        };
        Err(refused)
    }

    /// Whether nothing names it.
    fn unheld(&self, key: &EntryKey) -> Result<(), Error> {
        let mut holders = self.snapshot().holders(key);
        if holders.is_empty() {
            return Ok(());
        }
        holders.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        Err(Error::InUse { kind: key.kind, id: key.id.clone(), holders })
    }

    /// Takes away an entry that cannot be read.
    async fn discard(&self, key: &EntryKey, expected: Option<u64>) -> Result<u64, Error> {
        let store = self.store().await?;
        let deleted = store.delete_expect_revision(key.to_string(), expected).await;
        deleted.map_err(stale(key, expected.unwrap_or_default()))?;
        Ok(self.held_at(key).await?.map_or(0, |(revision, _)| revision))
    }

    async fn read<R: Resource>(&self, key: &EntryKey) -> Result<(u64, Read<R>), Error> {
        let Some((revision, bytes)) = self.held_at(key).await? else { return Err(not_found(key.clone())) };
        let read = entry::read(&bytes).map_err(|error| Error::Unreadable {
            kind: key.kind,
            id: key.id.clone(),
            reason: error.to_string(),
        })?;
        Ok((revision, read))
    }

    /// What the bucket has under a key, if it has anything.
    async fn held_at(&self, key: &EntryKey) -> Result<Option<(u64, bytes::Bytes)>, Error> {
        if !key.is_possible() {
            return Ok(None);
        }
        let entry = self.store().await?.entry(key.to_string()).await.map_err(unavailable)?;
        Ok(entry.filter(|e| e.operation == Operation::Put).map(|e| (e.revision, e.value)))
    }
}

/// Whether such resources need a tenant that they belong to.
fn is_a_tenants<R: Resource>() -> bool {
    R::KIND != Kind::Tenant && !R::KIND.is_fleet_wide()
}

/// Whether a tenant may have so many more of a kind.
fn within_limits<R: Resource>(snapshot: &Snapshot, tenant: &TenantId, more: usize) -> Result<(), Error> {
    let Some(of) = snapshot.tenant(tenant).filter(|_| is_a_tenants::<R>()) else { return Ok(()) };
    let (limits, counts) = (snapshot.limits(of), snapshot.counts(tenant));
    let is_subscription = R::KIND == Kind::Subscription;
    let checks = [
        ("resources_max", limits.resources_max, counts.resources, true),
        ("subscriptions_max", limits.subscriptions_max, counts.subscriptions, is_subscription),
    ];
    for (limit, max, count, concerns) in checks {
        if concerns && max > 0 && count + more > usize::try_from(max).unwrap_or(usize::MAX) {
            return Err(Error::OverLimit { limit, max });
        }
    }
    Ok(())
}

fn tenant_key(tenant: &TenantId) -> EntryKey {
    EntryKey::new(Kind::Tenant, tenant, tenant.as_str())
}

fn is_anothers(key: &ApiKey, tenant: &TenantId) -> bool {
    key.tenant != *tenant
}

/// As it is written now.
fn stamped<R: Resource>(resource: &R) -> R {
    let now = format_rfc3339(SystemClock.now());
    let mut stamped = resource.clone();
    let meta = stamped.meta_mut();
    if meta.created_at.is_empty() {
        meta.created_at.clone_from(&now);
    }
    meta.updated_at = now;
    stamped
}

fn not_found(key: EntryKey) -> Error {
    Error::NotFound { kind: key.kind, id: key.id }
}

fn stale(key: &EntryKey, expected: u64) -> impl FnOnce(kv::UpdateError) -> Error {
    let (kind, id) = (key.kind, key.id.clone());
    move |error| match error.kind() {
        kv::UpdateErrorKind::WrongLastRevision => Error::Stale { kind, id, expected },
        _ => unavailable(error),
    }
}
