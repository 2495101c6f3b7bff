//! What every request shares, and who may make one.

use std::{
    collections::HashMap,
    future::Future,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use auth::{AuthError, Principal};
use axum::extract::FromRequestParts;
use bus::{Bus, topology::Topology};
use catalog::{Catalog, Sealer};
use http::{HeaderMap, request::Parts};
use model::{Clock, ErrorCode, TenantId, resource::Scope};
use runtime::{
    metrics::{self, InFlight, Metric},
    problem::Problem,
};
use store::Stores;
use tokio_util::sync::CancellationToken;

use crate::{Options, error};

/// Shared by all requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) bus: Bus,
    pub(crate) topology: Topology,
    pub(crate) catalog: Catalog,
    pub(crate) stores: Stores,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) clock: Box<dyn Clock>,
    /// Cancelled when streams are to end.
    pub(crate) draining: CancellationToken,
    pub(crate) probes: crate::probe::Probes,
    streams: Mutex<HashMap<TenantId, usize>>,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub(crate) fn new(options: Options, deps: crate::Deps) -> Self {
        Self(Arc::new(Shared {
            options,
            bus: deps.bus,
            topology: deps.topology,
            catalog: deps.catalog,
            stores: deps.stores,
            sealer: deps.sealer,
            clock: Box::new(model::SystemClock),
            draining: CancellationToken::new(),
            probes: crate::probe::Probes::default(),
            streams: Mutex::default(),
        }))
    }

    /// The caller of a request.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, AuthError> {
        let presented = auth::credentials(headers)?.ok_or(AuthError::Missing)?;
        auth::authenticate(&self.catalog.snapshot(), presented)
    }

    /// The caller of a request, if it has the scope.
    pub(crate) fn admit(&self, headers: &HeaderMap, scope: Scope) -> Result<Principal, Problem> {
        let refused = |e: AuthError| Problem::new(e.code(), e.to_string());
        let principal = self.authenticate(headers).map_err(refused)?;
        principal.require(scope).map_err(refused)?;
        Ok(principal)
    }

    /// Whether a caller that was admitted to read still would be: a stream may outlive its key.
    pub(crate) fn still_admitted(&self, caller: &Principal) -> bool {
        let snapshot = self.catalog.snapshot();
        snapshot.tenant(&caller.tenant.id).is_some_and(|t| !t.disabled)
            && snapshot
                .key(&caller.key)
                .is_some_and(|k| k.tenant == caller.tenant.id && k.scopes.contains(&Scope::Read))
    }

    /// Waits for a store, but not for ever.
    pub(crate) async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, store::Error>>,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(self.options.store_timeout_ms.duration(), answer).await {
            Ok(answer) => answer.map_err(error::of_store),
            Err(_) => Err(Problem::unavailable(
                "the store does not answer",
                format!("no answer within {} ms", self.options.store_timeout_ms.0),
            )),
        }
    }

    /// A place among the tenant's open streams, held until dropped.
    pub(crate) fn stream_slot(
        &self,
        tenant: &TenantId,
        transport: &'static str,
    ) -> Result<StreamSlot, Problem> {
        if self.draining.is_cancelled() {
            return Err(Problem::new(ErrorCode::Unavailable, "this replica is stopping; connect again"));
        }
        let most = self.options.streams_per_tenant_max;
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(tenant.clone()).or_default();
        if *open >= most {
            return Err(Problem::new(
                ErrorCode::RateLimited,
                format!("the tenant has {most} streams open here, the most there may be"),
            ));
        }
        *open += 1;
        let gauge = metrics::gauge(Metric::ApiSubscribers, &[transport]);
        Ok(StreamSlot { app: self.clone(), tenant: tenant.clone(), _subscribed: InFlight::enter(&gauge) })
    }
}

/// See [`App::stream_slot`].
pub(crate) struct StreamSlot {
    app: App,
    tenant: TenantId,
    _subscribed: InFlight,
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut streams = self.app.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.tenant) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.tenant);
            }
        }
    }
}

/// A caller with the scope `read`.
pub(crate) struct CanRead(pub(crate) Principal);

/// A caller with the scope `write`.
pub(crate) struct CanWrite(pub(crate) Principal);

impl FromRequestParts<App> for CanRead {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.admit(&parts.headers, Scope::Read).map(Self)
    }
}

impl FromRequestParts<App> for CanWrite {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.admit(&parts.headers, Scope::Write).map(Self)
    }
}

/// The tenant of a path, which must be the caller's own.
pub(crate) fn own_tenant<'a>(caller: &'a Principal, named: &str) -> Result<&'a TenantId, Problem> {
    if *caller.tenant.id == *named {
        Ok(&caller.tenant.id)
    } else {
        Err(Problem::new(ErrorCode::Forbidden, "the key belongs to another tenant"))
    }
}
