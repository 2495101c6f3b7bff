//! What a newcomer needs: a tenant, a system, a key, and the context in which the client commands find them.

use std::path::{Path, PathBuf};

use auth::NewKey;
use catalog::Catalog;
use model::{
    Clock as _, SystemClock, SystemId, TenantId,
    resource::{Meta, Scope, System, Tenant, TenantLimits, TenantStream},
};
use secrecy::ExposeSecret as _;

use crate::{
    context,
    exit::{Failure, Result},
};

/// Id of the tenant and of its system.
const DEMO: &str = "demo";

/// Where the fleet listens.
#[derive(Debug, Clone)]
pub(crate) struct Urls {
    pub(crate) url: String,
    pub(crate) api_url: String,
    pub(crate) nats_url: String,
    pub(crate) nats_credentials_file: Option<PathBuf>,
    pub(crate) nats_ca_file: Option<PathBuf>,
    pub(crate) admin_url: String,
    /// None: not known, of a broker that somebody else runs.
    pub(crate) nats_monitor_url: Option<String>,
}

/// The credentials of the context.
pub(crate) struct Credentials {
    pub(crate) tenant: TenantId,
    pub(crate) key: String,
    /// An operator's, for the command line alone.
    operator_key: String,
}

/// Keeps the key of an earlier run if it is still good; makes a tenant, system and key otherwise, unless
/// there are tenants already that somebody else made. Writes the context.
pub(crate) async fn prepare(
    catalog: &Catalog,
    data_dir: &Path,
    urls: &Urls,
    sealing_key_file: Option<PathBuf>,
) -> Result<Option<Credentials>> {
    let path = data_dir.join(context::FILE);
    let old = context::File::read(&path)?.unwrap_or_default();
    let credentials = make(catalog, &old).await?;
    let file = context::File {
        url: Some(urls.url.clone()),
        api_url: Some(urls.api_url.clone()),
        nats_url: Some(urls.nats_url.clone()),
        nats_credentials_file: urls.nats_credentials_file.clone(),
        nats_ca_file: urls.nats_ca_file.clone(),
        tenant: credentials.as_ref().map(|c| c.tenant.to_string()),
        key: credentials.as_ref().map(|c| c.key.clone()),
        operator_key: credentials.as_ref().map(|c| c.operator_key.clone()),
        sealing_key_file,
        admin_url: Some(urls.admin_url.clone()),
        nats_monitor_url: urls.nats_monitor_url.clone(),
    };
    file.write(&path)?;
    Ok(credentials)
}

/// Whose a key of the last run is, if it still opens the doors.
fn good(catalog: &Catalog, key: Option<&String>) -> Option<(TenantId, String)> {
    let key = key?;
    let principal = auth::authenticate(&catalog.snapshot(), key).ok()?;
    Some((principal.tenant.id.clone(), key.clone()))
}

async fn make(catalog: &Catalog, old: &context::File) -> Result<Option<Credentials>> {
    let id = |text: &str| text.parse::<TenantId>().map_err(|e| Failure::config(e.to_string()));
    let key = good(catalog, old.key.as_ref());
    let operator_key = good(catalog, old.operator_key.as_ref()).map(|(_, key)| key);
    let tenant = match &key {
        Some((tenant, _)) => tenant.clone(),
        None => id(old.tenant.as_deref().unwrap_or(DEMO))?,
    };
    if let (Some((tenant, key)), Some(operator_key)) = (key.clone(), operator_key.clone()) {
        return Ok(Some(Credentials { tenant, key, operator_key }));
    }
    let snapshot = catalog.snapshot();
    let is_known = snapshot.tenant(&tenant).is_some();
    if !is_known && snapshot.tenants().next().is_some() {
        return Ok(None);
    }
    let meta = Meta::created(SystemClock.now());
    if !is_known {
        let tenant = Tenant {
            id: tenant.clone(),
            name: "Demo".to_owned(),
            disabled: false,
            placement: model::resource::DEFAULT_PLACEMENT.to_owned(),
            plan: None,
            limits: TenantLimits::default(),
            retention_days: 0,
            tenant_stream: TenantStream::default(),
            meta: meta.clone(),
        };
        // Over one that was deleted, too: who starts the fleet again wants to use it.
        catalog.put(&tenant, None).await?;
    }
    let system: SystemId = DEMO.parse().map_err(|e: model::InvalidId| Failure::config(e.to_string()))?;
    if snapshot.system(&tenant, &system).is_none() {
        let system = System {
            tenant: tenant.clone(),
            id: system.clone(),
            name: "Demo".to_owned(),
            meta: meta.clone(),
        };
        catalog.put(&system, None).await?;
    }
    let key = match key {
        Some((_, key)) => key,
        None => {
            let scopes = vec![Scope::Publish, Scope::Read, Scope::Write];
            make_key(catalog, &tenant, &system, "made by eventrunner up", scopes).await?
        }
    };
    let operator_key = match operator_key {
        Some(key) => key,
        None => {
            let name = "made by eventrunner up, for the command line";
            make_key(catalog, &tenant, &system, name, vec![Scope::Operate]).await?
        }
    };
    Ok(Some(Credentials { tenant, key, operator_key }))
}

async fn make_key(
    catalog: &Catalog,
    tenant: &TenantId,
    system: &SystemId,
    name: &str,
    scopes: Vec<Scope>,
) -> Result<String> {
    let created_at = Meta::created(SystemClock.now()).created_at;
    let (tenant, system, name) = (tenant.clone(), system.clone(), name.to_owned());
    let (key, shown_once) =
        auth::generate(&mut rand::rng(), NewKey { tenant, system, name, scopes, created_at });
    catalog.create(&key).await?;
    Ok(shown_once.expose_secret().to_owned())
}
