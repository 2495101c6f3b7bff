//! One request to the control plane: who asks for what, and the record of its refusal.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use auth::{AuthError, Caller};
use axum::{
    body::Body,
    extract::{FromRequestParts as _, Path, Request},
    response::Response,
};
use catalog::Kind;
use http::HeaderMap;
use model::{ErrorCode, FLEET, TenantId, resource::Tenant};
use relations::Scope as Place;
use runtime::problem::Problem;

use super::{
    Thing, Verb,
    access::{self, Owner, Verdict},
    audit::{self, Announced, Asked},
};
use crate::{app::App, error::not_found, params::Params};

/// A request that is allowed.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) caller: Caller,
    pub(crate) asked: Asked,
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    query: String,
    body: Mutex<Option<Body>>,
    /// Why it is not known all that the caller may give.
    undecided: Option<AuthError>,
    /// The refusal is in the audit already.
    recorded: AtomicBool,
}

impl Call {
    /// Lets a request in, or records why not.
    ///
    /// # Errors
    /// 401, 403, or 404 for what is another tenant's or does not exist.
    pub(crate) async fn admit(app: App, verb: Verb, thing: Thing, request: Request) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let params = Path::<HashMap<String, String>>::from_request_parts(&mut parts, &()).await;
        let Path(mut params) = params
            .map_err(|_| Problem::new(ErrorCode::Malformed, "the path is not UTF-8 once percent-decoded"))?;
        let (named, id) = (params.remove("tenant"), params.remove("id"));
        Self::admit_as(Asked::of(&app, verb, thing, &parts), app, named, id, Request::from_parts(parts, body))
            .await
    }

    /// The same of a request for what is a tenant's, whose path does not say which.
    ///
    /// # Errors
    /// 401, 403, or 404 for what is another tenant's or does not exist.
    pub(crate) async fn admit_to(
        app: App,
        verb: Verb,
        thing: Thing,
        tenant: String,
        request: Request,
    ) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let asked = Asked::of(&app, verb, thing, &parts);
        Self::admit_as(asked, app, Some(tenant), None, Request::from_parts(parts, body)).await
    }

    async fn admit_as(
        mut asked: Asked,
        app: App,
        named: Option<String>,
        id: Option<String>,
        request: Request,
    ) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let (verb, thing) = (asked.verb, asked.thing);
        let is_tenant = thing == Thing::Resource(Kind::Tenant);
        asked.id = if is_tenant { named.clone() } else { id };
        let caller = match app.authenticate(&parts.headers).await {
            Ok(caller) => caller,
            Err(error) => {
                if let AuthError::TenantDisabled(tenant) = &error {
                    asked.tenant = Some(tenant.clone());
                }
                let problem = Problem::new(error.code(), error.to_string());
                // Nobody was refused anything yet.
                let unjudged = problem.code == ErrorCode::Unavailable;
                return Err(if unjudged { problem } else { refuse(&app, &asked, problem).await });
            }
        };
        asked.actor = Some((&caller).into());
        let owner = match &named {
            Some(id) => Owner::Tenant { id, exists: is_known(&app, id) },
            None if is_tenant || thing.is_for_all_to_see() => Owner::Nobody,
            None => Owner::Fleet,
        };
        let verdict = access::may(&app.authority, &caller, verb, thing, owner).await;
        match verdict.map_err(|e| undecided(&e))? {
            Verdict::Allowed if owner == Owner::Fleet => asked.tenant = Some(FLEET.clone()),
            Verdict::Allowed => {}
            Verdict::TooSmall(error) => {
                return Err(refuse(&app, &asked, Problem::new(error.code(), error.to_string())).await);
            }
            Verdict::Hidden => {
                return Err(refuse(&app, &asked, no_tenant(&named.unwrap_or_default())).await);
            }
        }
        if let Some(named) = named {
            asked.tenant = named.parse().ok();
            // A tenant says itself whether it is there, and its audit outlives it.
            let says_itself = is_tenant || thing == Thing::Audit;
            let there = says_itself || exists(&app, asked.tenant.as_ref()).await?;
            if !there || asked.tenant.is_none() {
                asked.tenant = None;
                let problem = no_tenant(&named);
                return Err(if verb.changes() { refuse(&app, &asked, problem).await } else { problem });
            }
        }
        Ok(Self {
            app,
            caller,
            asked,
            method: parts.method,
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: Mutex::new(Some(body)),
            undecided: None,
            recorded: AtomicBool::new(false),
        })
    }

    /// Learns all that the caller may do where it acts, because nobody gives what they lack. If the authorizer does not answer,
    /// that is what it brought; who is refused for lack of more is told so.
    pub(crate) async fn learn_held(&mut self) {
        if self.caller.operates() {
            return;
        }
        let place = self.asked.tenant.as_ref().map_or(Place::Fleet, catalog::tuples::place);
        let held = self.app.authority.held(&self.caller, &place).await.unwrap_or_else(|error| {
            self.undecided = Some(error);
            self.caller.brought(&place)
        });
        self.caller.held = Some(Arc::new(held));
    }

    /// From here on it is about another thing, of that tenant's: what follows of a request that makes several.
    pub(crate) fn turn_to(&mut self, thing: Thing, tenant: Option<TenantId>) {
        (self.asked.thing, self.asked.tenant, self.asked.id) = (thing, tenant, None);
    }

    /// Whether the caller may read such things of all tenants.
    ///
    /// # Errors
    /// 503 if the authorizer does not answer.
    pub(crate) async fn reads_everywhere(&self) -> Result<bool, Problem> {
        let read = access::needed(Verb::Read, self.asked.thing);
        let may = self.app.authority.may(&self.caller, &read, &Place::Fleet).await;
        may.map_err(|e| undecided(&e))
    }

    /// Whose resources a list of that kind holds. Of tenants, everybody finds their own, and who may read all of them all.
    ///
    /// # Errors
    /// 503 if the authorizer does not answer.
    pub(crate) async fn listed(&self, kind: Kind) -> Result<Option<&TenantId>, Problem> {
        match kind {
            Kind::Tenant if self.reads_everywhere().await? => Ok(None),
            Kind::Tenant => Ok(Some(&self.caller.tenant.id)),
            _ => self.tenant().map(Some),
        }
    }

    /// The tenant of the path, or the fleet.
    ///
    /// # Errors
    /// If the path has none: the list of tenants.
    pub(crate) fn tenant(&self) -> Result<&TenantId, Problem> {
        if self.asked.thing.is_for_all_to_see() {
            return Ok(&FLEET);
        }
        self.asked.tenant.as_ref().ok_or_else(|| not_found("there is no such tenant"))
    }

    /// The id of the path.
    pub(crate) fn id(&self) -> &str {
        self.asked.id.as_deref().unwrap_or_default()
    }

    /// The query.
    pub(crate) fn params(&self) -> Params {
        Params::parse(&self.query)
    }

    /// The body, once.
    pub(crate) fn take_body(&self) -> Body {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Begins anew: what was recorded was of an earlier attempt.
    pub(crate) fn begin(&self) {
        self.recorded.store(false, Ordering::Relaxed);
    }

    /// Records that what was announced was refused.
    pub(crate) async fn refused(&self, announced: Announced, problem: Problem) -> Problem {
        self.recorded.store(true, Ordering::Relaxed);
        match audit::refused(&self.app, &self.asked, Some(announced), &problem).await {
            Ok(()) => problem,
            Err(lost) => lost,
        }
    }

    /// The end of it: a refusal to change something is recorded before it is answered.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) async fn finish(&self, outcome: Result<Response, Problem>) -> Result<Response, Problem> {
        match outcome {
            // Nobody can say that it may not.
            Err(problem) if problem.code == ErrorCode::Forbidden && self.undecided.is_some() => {
                Err(self.undecided.as_ref().map_or(problem, undecided))
            }
            Err(problem) if self.is_worth_a_record(&problem) => {
                Err(refuse(&self.app, &self.asked, problem).await)
            }
            other => other,
        }
    }

    fn is_worth_a_record(&self, problem: &Problem) -> bool {
        let refusal = !matches!(problem.code, ErrorCode::Internal | ErrorCode::Unavailable);
        let attempt = self.asked.verb.changes() || problem.code == ErrorCode::Forbidden;
        refusal && attempt && !self.recorded.load(Ordering::Relaxed)
    }
}

fn no_tenant(named: &str) -> Problem {
    not_found(format!("there is no tenant {named:?}"))
}

/// Records a refusal and gives it, or what kept the record.
pub(super) async fn refuse(app: &App, asked: &Asked, problem: Problem) -> Problem {
    match audit::refused(app, asked, None, &problem).await {
        Ok(()) => problem,
        Err(lost) => lost,
    }
}

/// Nobody was refused anything: it could not be asked whether they may.
pub(crate) fn undecided(error: &AuthError) -> Problem {
    match error {
        AuthError::Undecided(cause) => Problem::unavailable(error.to_string(), cause),
        error => Problem::new(error.code(), error.to_string()),
    }
}

/// Whether the snapshot has a tenant.
fn is_known(app: &App, named: &str) -> bool {
    named.parse::<TenantId>().is_ok_and(|id| app.catalog.snapshot().tenant(&id).is_some())
}

/// In the snapshot, or, as that may be a moment behind, in the bucket.
async fn exists(app: &App, tenant: Option<&TenantId>) -> Result<bool, Problem> {
    let Some(tenant) = tenant else { return Ok(false) };
    if app.catalog.snapshot().tenant(tenant).is_some() {
        return Ok(true);
    }
    match app.catalog.get::<Tenant>(tenant, tenant).await {
        Ok(_) => Ok(true),
        Err(catalog::Error::Unavailable(reason)) => {
            Err(Problem::unavailable("the catalog does not answer", reason))
        }
        Err(_) => Ok(false),
    }
}
