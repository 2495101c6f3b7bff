//! What every request shares, and who may make one.

use std::{
    collections::HashMap,
    future::Future,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use auth::{AuthError, Authority, Caller, Tokens};
use axum::extract::FromRequestParts;
use bus::{Bus, accounts::Operator, topology::Topology};
use catalog::{Catalog, Sealer};
use http::{HeaderMap, request::Parts};
use model::{Clock, ErrorCode, TenantId};
use relations::{Kind, Permission, Verb};
use runtime::{
    metrics::{self, InFlight, Metric},
    problem::Problem,
};
use store::Stores;
use tokio_util::sync::CancellationToken;

use crate::{
    Options,
    accounts::Told,
    control::call::undecided,
    egress::{Counter, Egress},
    error,
    people::People,
};

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
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) authority: Authority,
    pub(crate) clock: Box<dyn Clock>,
    /// Cancelled when streams are to end.
    pub(crate) draining: CancellationToken,
    pub(crate) probes: crate::probe::Probes,
    pub(crate) people: People,
    /// None where the broker takes no accounts from this fleet.
    pub(crate) accounts: Option<Arc<Told>>,
    streams: Mutex<HashMap<TenantId, usize>>,
    /// What streams hand out.
    pub(crate) egress: Arc<Egress>,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub(crate) fn new(options: Options, deps: crate::Deps) -> Result<Self, crate::Error> {
        let people = People::new(options.people.clone(), deps.bus.clone(), &deps.sealer)?;
        Ok(Self(Arc::new(Shared {
            options,
            bus: deps.bus,
            topology: deps.topology,
            catalog: deps.catalog,
            stores: deps.stores,
            sealer: deps.sealer,
            tokens: deps.tokens,
            authority: deps.authority,
            clock: Box::new(model::SystemClock),
            draining: CancellationToken::new(),
            probes: crate::probe::Probes::default(),
            people,
            accounts: deps.accounts.map(|accounts| Arc::new(Told::new(accounts))),
            streams: Mutex::default(),
            egress: Arc::default(),
        })))
    }

    /// Who signs accounts of the broker.
    pub(crate) fn operator(&self) -> Option<&Operator> {
        self.accounts.as_deref().map(Told::operator)
    }

    /// The caller of a request.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        let presented = auth::credentials(headers)?.ok_or(AuthError::Missing)?;
        let caller = self.tokens.caller(presented, || self.catalog.snapshot()).await;
        if let Err(AuthError::Token(reason)) = &caller {
            // The caller is told no more than that it is not valid.
            tracing::debug!(%reason, "token refused");
        }
        caller
    }

    /// The caller of a request, if it may do that.
    pub(crate) async fn admit(&self, headers: &HeaderMap, permission: Permission) -> Result<Caller, Problem> {
        let refused = |e: AuthError| undecided(&e);
        let caller = self.authenticate(headers).await.map_err(refused)?;
        if caller.tenant.id.is_fleet() {
            let problem = Problem::new(ErrorCode::InvalidArgument, "it is not said whose events are meant");
            return Err(
                problem.field("header:authorization", "log in, or refresh the session, with a `tenant`")
            );
        }
        self.authority.require(&caller, &[permission], &caller.home()).await.map_err(refused)?;
        Ok(caller)
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
        Ok(StreamSlot {
            app: self.clone(),
            tenant: tenant.clone(),
            egress: self.egress.counter(tenant),
            _subscribed: InFlight::enter(&gauge),
        })
    }
}

/// See [`App::stream_slot`].
pub(crate) struct StreamSlot {
    app: App,
    tenant: TenantId,
    egress: Counter,
    _subscribed: InFlight,
}

impl StreamSlot {
    /// Meters bytes of events that are handed to the connection.
    pub(crate) fn sent(&self, bytes: usize) {
        self.egress.add(bytes);
    }
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

/// What following a stream takes.
pub(crate) const READ_EVENTS: Permission = Permission::new(Verb::Read, Kind::Event);

/// A caller that may do one thing, as an argument of an endpoint.
macro_rules! callers {
    ($($(#[$doc:meta])* $name:ident: $verb:ident $kind:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name(pub(crate) Caller);

        impl FromRequestParts<App> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
                app.admit(&parts.headers, Permission::new(Verb::$verb, Kind::$kind)).await.map(Self)
            }
        }
    )*};
}

callers! {
    /// A caller that may read events.
    ReadsEvents: Read Event;
    /// A caller that may erase what events hold.
    ErasesEvents: Delete Event;
    /// A caller that may read dead letters.
    ReadsLetters: Read DeadLetter;
    /// A caller that may send dead letters again.
    RedrivesLetters: Update DeadLetter;
    /// A caller that may delete dead letters.
    DeletesLetters: Delete DeadLetter;
    /// A caller that may read what was used.
    ReadsUsage: Read Usage;
}

/// The tenant of a path, which must be the caller's own.
pub(crate) fn own_tenant<'a>(caller: &'a Caller, named: &str) -> Result<&'a TenantId, Problem> {
    if *caller.tenant.id == *named {
        Ok(&caller.tenant.id)
    } else {
        Err(Problem::new(ErrorCode::Forbidden, "the key or token is of another tenant"))
    }
}
