//! The first key of a fleet, made on the broker: there is none yet with which the API could be asked for one.

use auth::NewKey;
use model::{
    Clock as _, CustomerId, SystemClock, SystemId, TenantId, format_rfc3339,
    resource::{DEFAULT_PLACEMENT, Meta, Scope, System, Tenant, TenantLimits, TenantStream},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Opened;
use crate::{
    commands::resources::show_key,
    context::ConnectArgs,
    exit::{Failure, Result},
    output::Output,
};

/// What is said of it.
#[derive(Deserialize)]
struct Asked {
    system: SystemId,
    #[serde(default)]
    name: String,
    scopes: Vec<Scope>,
    customer: Option<CustomerId>,
    #[serde(flatten)]
    meta: Meta,
}

/// Makes it, with its tenant and system if they are not there, and shows it.
pub(crate) async fn make(connect: &ConnectArgs, body: &Map<String, Value>, output: Output) -> Result<()> {
    let asked: Asked =
        serde_json::from_value(Value::Object(body.clone())).map_err(|e| Failure::usage(e.to_string()))?;
    let opened = Opened::open(connect).await?;
    let tenant: TenantId = opened.context.tenant()?;
    ensure(&opened, &tenant, &asked.system).await?;
    let mut scopes = asked.scopes;
    scopes.sort();
    scopes.dedup();
    let created_at = format_rfc3339(SystemClock.now());
    let new = NewKey { tenant, system: asked.system, name: asked.name, scopes, created_at };
    let (mut key, shown_once) = auth::generate(&mut rand::rng(), new);
    key.customer = asked.customer;
    key.meta = Meta { created_at: key.meta.created_at, ..asked.meta };
    let made = opened.catalog.create(&key).await?.value;
    let shown = json!({
        "tenant": made.tenant, "system": made.system, "id": made.id, "name": made.name, "scopes": made.scopes,
        "customer": made.customer, "description": made.meta.description, "labels": made.meta.labels,
        "created_at": made.meta.created_at, "updated_at": made.meta.updated_at,
    });
    show_key(shown_once.expose_secret(), &shown, output)?;
    opened.close().await;
    Ok(())
}

async fn ensure(opened: &Opened, tenant: &TenantId, system: &SystemId) -> Result<()> {
    let meta = Meta::created(SystemClock.now());
    if let Err(catalog::Error::NotFound { .. }) = opened.catalog.get::<Tenant>(tenant, tenant).await {
        let tenant = Tenant {
            id: tenant.clone(),
            name: String::new(),
            disabled: false,
            placement: DEFAULT_PLACEMENT.to_owned(),
            plan: None,
            limits: TenantLimits::default(),
            retention_days: 0,
            tenant_stream: TenantStream::default(),
            meta: meta.clone(),
        };
        opened.catalog.create(&tenant).await?;
    }
    if let Err(catalog::Error::NotFound { .. }) = opened.catalog.get::<System>(tenant, system).await {
        let system = System { tenant: tenant.clone(), id: system.clone(), name: String::new(), meta };
        opened.catalog.create(&system).await?;
    }
    Ok(())
}
