//! The tenant that is made for one check, and taken away after it.

use std::time::Duration;

use auth::NewKey;
use catalog::Catalog;
use engine::order::Step;
use model::{
    Clock as _, SystemClock, SystemId, TenantId,
    resource::{DEFAULT_PLACEMENT, Meta, Scope, System, Tenant, TenantLimits, TenantStream},
};
use secrecy::SecretString;

use crate::{
    commands::catalog::{Opened, follow_erasure},
    exit::{Code, Failure, Result},
    output::note,
};

/// Name of its resources, for whoever finds one.
const NAME: &str = "made by eventrunner verify";
/// Should it never be erased, its events do not stay for ever.
const RETENTION_DAYS: u32 = 1;

/// An id that nobody has, and everybody recognizes.
pub(super) fn id() -> Result<TenantId> {
    slug(&format!("verify-{:012x}", rand::random::<u64>() >> 16))
}

/// Makes the tenant, its system and its key.
pub(super) async fn make(catalog: &Catalog, tenant: &TenantId) -> Result<SecretString> {
    let meta = Meta::created(SystemClock.now());
    let resource = Tenant {
        id: tenant.clone(),
        name: NAME.to_owned(),
        disabled: false,
        placement: DEFAULT_PLACEMENT.to_owned(),
        plan: None,
        limits: TenantLimits::default(),
        retention_days: RETENTION_DAYS,
        tenant_stream: TenantStream::default(),
        meta: meta.clone(),
    };
    catalog.create(&resource).await?;
    let system: SystemId = slug("verify")?;
    let resource =
        System { tenant: tenant.clone(), id: system.clone(), name: NAME.to_owned(), meta: meta.clone() };
    catalog.create(&resource).await?;
    let scopes = vec![Scope::Publish, Scope::Read];
    let new =
        NewKey { tenant: tenant.clone(), system, name: NAME.to_owned(), scopes, created_at: meta.created_at };
    let (key, shown_once) = auth::generate(&mut rand::rng(), new);
    catalog.create(&key).await?;
    Ok(shown_once)
}

/// Takes everything of it away, as `tenants erase` does.
pub(super) async fn erase(opened: &Opened, tenant: &TenantId, limit: Duration) -> Result<()> {
    note(&format!("erasing {tenant}"));
    let followed = tokio::time::timeout(limit, follow_erasure(opened, tenant)).await;
    let order = followed.map_err(|_| unfinished(tenant, &format!("not done in {} s", limit.as_secs())))??;
    if order.step == Step::Erased {
        return Ok(());
    }
    Err(Failure::failed(format!("{tenant} is not wholly erased: {}", order.detail))
        .hint(format!("erase it again: eventrunner tenants erase {tenant}")))
}

/// What is ordered goes on without us.
pub(super) fn unfinished(tenant: &TenantId, why: &str) -> Failure {
    Failure::new(Code::Undrained, format!("the erasure of {tenant} is not finished: {why}"))
        .hint(format!("follow it with: eventrunner tenants erase {tenant}"))
}

fn slug<T: std::str::FromStr<Err = model::InvalidId>>(text: &str) -> Result<T> {
    text.parse().map_err(|e: model::InvalidId| Failure::failed(e.to_string()))
}
