//! Changing a resource: read what there is, make what is wished, tell the audit, compare and set.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use catalog::Versioned;
use http::{HeaderValue, StatusCode, header};
use model::ErrorCode;
use runtime::problem::Problem;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Built, Call, Gift, Making, Managed, audit, body,
    managed::{location, view},
    precondition::{Precondition, etag},
};
use crate::error::{not_found, of_catalog};

/// How often a change without `If-Match` is made again over what others wrote meanwhile.
const ATTEMPTS: usize = 4;

/// What is answered to a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// None: nothing was written.
    pub(crate) revision: Option<u64>,
    pub(crate) location: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    fn of<R: Managed>(status: StatusCode, written: &Versioned<R>) -> Self {
        Self {
            status: status.as_u16(),
            revision: Some(written.revision),
            location: (status == StatusCode::CREATED).then(|| location(&written.value)),
            body: view(&written.value, Some(written.revision), None),
        }
    }

    /// Of what would have been written, over what is at that revision.
    fn dry<R: Managed>(resource: &R, revision: Option<u64>) -> Self {
        let body = view(resource, revision, None);
        Self { status: StatusCode::OK.as_u16(), revision, location: None, body }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, Json(self.body)).into_response();
        if let Some(revision) = self.revision {
            response.headers_mut().insert(header::ETAG, etag(revision));
        }
        if let Some(location) = self.location.and_then(|l| HeaderValue::try_from(l).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// Does it to the end even if the caller goes away: a change is not left between its record and its answer.
pub(crate) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        // Nobody aborts it, so it panicked: the layer around every request answers that.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Whether it is done, or only looked whether it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Do,
    Dry,
}

/// Makes a resource that does not exist yet.
pub(crate) async fn create<R: Managed>(
    call: &mut Call,
    mut given: Map<String, Value>,
    mode: Mode,
) -> Result<Answer, Problem> {
    let id = if R::ID_IS_CHOSEN { take_id::<R>(&mut given)? } else { String::new() };
    let tenant = match call.tenant() {
        Ok(tenant) => tenant.clone(),
        // Tenants belong to themselves.
        Err(_) => id.parse().map_err(|e: model::InvalidId| bad_id::<R>(&e.to_string()))?,
    };
    let mut given = Value::Object(given);
    body::take_read_only::<R>(&mut given, &Value::Null, !R::ID_IS_CHOSEN)?;
    let making = Making {
        tenant: &tenant,
        id: &id,
        old: None,
        caller: &call.caller,
        sealer: &call.app.sealer,
        operator: call.app.operator(),
    };
    let Built { resource, shown_once } = R::build(body::read(given)?, making)?;
    call.asked.id = Some(resource.id().to_owned());
    call.asked.tenant = (!R::KIND.is_fleet_wide()).then_some(tenant);
    ready(call, &resource, None).await?;
    if mode == Mode::Dry {
        absent(call, &resource).await?;
        return Ok(Answer::dry(&resource, None));
    }
    let after = Some(view(&resource, None, None));
    let announced = audit::announce(&call.app, &call.asked, None, after).await?;
    let written = match call.app.catalog.create(&resource).await {
        Ok(written) => written,
        Err(error) => return Err(call.refused(announced, of_catalog(error, false)).await),
    };
    audit::done(&call.app, &call.asked, announced, written.revision).await;
    R::settle(&call.app, written.revision).await;
    let mut answer = Answer::of(StatusCode::CREATED, &written);
    if let (Some((name, secret)), Some(body)) = (shown_once, answer.body.as_object_mut()) {
        body.insert(name.to_owned(), secret.expose_secret().into());
    }
    Ok(answer)
}

/// Whether its id is free.
async fn absent<R: Managed>(call: &Call, resource: &R) -> Result<(), Problem> {
    let (catalog, tenant, id) = (&call.app.catalog, resource.tenant(), resource.id());
    let taken = |error: catalog::Error| Err(of_catalog(error, false));
    let (kind, own) = (R::KIND, id.to_owned());
    if catalog.get::<R>(tenant, id).await.is_ok() {
        return taken(catalog::Error::Exists { kind, id: own });
    }
    match catalog.get_deleted::<R>(tenant, id).await {
        Ok(_) => taken(catalog::Error::Deleted { kind, id: own }),
        Err(_) => Ok(()),
    }
}

fn take_id<R: Managed>(given: &mut Map<String, Value>) -> Result<String, Problem> {
    match given.remove(R::ID) {
        Some(Value::String(id)) => Ok(id),
        Some(_) => Err(bad_id::<R>("must be a string")),
        None => Err(bad_id::<R>("is required")),
    }
}

fn bad_id<R: Managed>(detail: &str) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value")
        .field(format!("/{}", R::ID), detail)
}

/// What a caller wishes a resource to be.
pub(crate) enum Wish {
    /// This, as a whole.
    Whole(Value),
    /// What it is, with these members in place of its own (RFC 7396).
    Merged(Value),
}

/// Makes a resource what it is wished to be; one that does not exist is made where that may be wished.
pub(crate) async fn modify<R: Managed>(call: &Call, wish: &Wish, mode: Mode) -> Result<Answer, Problem> {
    let precondition = Precondition::read(&call.headers)?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        call.begin();
        match attempt::<R>(call, wish, &precondition, mode).await? {
            Outcome::Done(answer) => return Ok(answer),
            Outcome::Overtaken(_) if !precondition.names_revision() && attempts < ATTEMPTS => {}
            Outcome::Overtaken(problem) => return Err(problem),
        }
    }
}

enum Outcome {
    Done(Answer),
    /// Somebody else wrote meanwhile.
    Overtaken(Problem),
}

async fn attempt<R: Managed>(
    call: &Call,
    wish: &Wish,
    precondition: &Precondition,
    mode: Mode,
) -> Result<Outcome, Problem> {
    let old = find::<R>(call).await?;
    precondition.check(old.as_ref().map(|o| o.revision))?;
    if old.is_none() {
        may_be_made::<R>(call, wish).await?;
    }
    if let Some(old) = &old {
        old.value.guard(&call.caller, false)?;
    }
    let resource = wished(call, wish, old.as_ref())?;
    if let Some(old) = &old
        && is_same(&old.value, &resource)
    {
        return Ok(Outcome::Done(Answer::of(StatusCode::OK, old)));
    }
    ready(call, &resource, old.as_ref().map(|o| &o.value)).await?;
    if mode == Mode::Dry {
        return Ok(Outcome::Done(Answer::dry(&resource, old.map(|o| o.revision))));
    }
    let before = old.as_ref().map(|o| view(&o.value, Some(o.revision), None));
    let after = Some(view(&resource, None, None));
    let announced = audit::announce(&call.app, &call.asked, before, after).await?;
    let (written, status) = match &old {
        Some(old) => (call.app.catalog.put(&resource, Some(old.revision)).await, StatusCode::OK),
        None => (call.app.catalog.create(&resource).await, StatusCode::CREATED),
    };
    match written {
        Ok(written) => {
            audit::done(&call.app, &call.asked, announced, written.revision).await;
            Ok(Outcome::Done(Answer::of(status, &written)))
        }
        Err(error) => {
            let overtaken = matches!(error, catalog::Error::Stale { .. } | catalog::Error::Exists { .. });
            let problem = of_catalog(error, precondition.names_revision());
            let problem = call.refused(announced, problem).await;
            if overtaken { Ok(Outcome::Overtaken(problem)) } else { Err(problem) }
        }
    }
}

/// Whether PUT may make what does not exist.
async fn may_be_made<R: Managed>(call: &Call, wish: &Wish) -> Result<(), Problem> {
    if !R::ID_IS_CHOSEN || matches!(wish, Wish::Merged(_)) {
        return Err(nothing::<R>(call));
    }
    if call.app.catalog.get_deleted::<R>(call.tenant()?, call.id()).await.is_ok() {
        let (kind, id) = (R::KIND, call.id().to_owned());
        return Err(of_catalog(catalog::Error::Deleted { kind, id }, false));
    }
    Ok(())
}

/// The resource as it would be.
fn wished<R: Managed>(call: &Call, wish: &Wish, old: Option<&Versioned<R>>) -> Result<R, Problem> {
    let known = match old {
        Some(old) => view(&old.value, Some(old.revision), None),
        None => json!({ R::ID: call.id() }),
    };
    let mut given = match (wish, old) {
        (Wish::Whole(value), _) => value.clone(),
        (Wish::Merged(patch), old) => {
            let spec = old.map(|old| serde_json::to_value(old.value.spec()));
            let mut merged = spec.transpose().map_err(Problem::internal)?.unwrap_or_default();
            json_patch::merge(&mut merged, patch);
            merged
        }
    };
    body::take_read_only::<R>(&mut given, &known, true)?;
    let making = Making {
        tenant: call.tenant()?,
        id: call.id(),
        old: old.map(|o| &o.value),
        caller: &call.caller,
        sealer: &call.app.sealer,
        operator: call.app.operator(),
    };
    let mut resource = R::build(body::read(given)?, making)?.resource;
    if let Some(old) = old {
        resource.meta_mut().created_at.clone_from(&old.value.meta().created_at);
    }
    Ok(resource)
}

/// Whether nothing but the time of writing differs.
fn is_same<R: Managed>(old: &R, new: &R) -> bool {
    let mut new = new.clone();
    new.meta_mut().updated_at.clone_from(&old.meta().updated_at);
    new == *old
}

/// Whether it could be written. What cannot is not announced.
async fn ready<R: Managed>(call: &Call, resource: &R, old: Option<&R>) -> Result<(), Problem> {
    call.app.catalog.check(resource).await.map_err(|e| of_catalog(e, false))?;
    may_give(call, resource, old)?;
    resource.look(&call.app).await
}

/// Insists that the caller may do all that a resource allows somebody.
///
/// # Errors
/// 403: nobody gives what they lack.
pub(crate) fn may_give<R: Managed>(call: &Call, resource: &R, old: Option<&R>) -> Result<(), Problem> {
    for Gift { pointer, permissions } in resource.gives(old, &call.app.catalog.snapshot()) {
        if let Some(lacking) = permissions.into_iter().find(|p| !call.caller.may_give_permission(*p)) {
            return Err(Problem::new(ErrorCode::Forbidden, "nobody gives what they lack")
                .field(pointer, format!("you may not {lacking} here yourself")));
        }
    }
    Ok(())
}

/// Deletes a resource.
pub(crate) async fn delete<R: Managed>(call: &Call, mode: Mode) -> Result<(), Problem> {
    let precondition = Precondition::read(&call.headers)?;
    let mut attempts = 0;
    loop {
        attempts += 1;
        call.begin();
        let old = find::<R>(call).await?;
        precondition.check(old.as_ref().map(|o| o.revision))?;
        let Some(old) = old else { return Err(nothing::<R>(call)) };
        old.value.guard(&call.caller, false)?;
        if mode == Mode::Dry {
            let free = call.app.catalog.check_delete::<R>(call.tenant()?, call.id());
            return free.map_err(|e| of_catalog(e, false));
        }
        let before = Some(view(&old.value, Some(old.revision), None));
        let announced = audit::announce(&call.app, &call.asked, before, None).await?;
        let deleted = call.app.catalog.delete::<R>(call.tenant()?, call.id(), Some(old.revision)).await;
        match deleted {
            Ok(revision) => {
                audit::done(&call.app, &call.asked, announced, revision).await;
                return Ok(());
            }
            Err(error) => {
                let again = matches!(error, catalog::Error::Stale { .. })
                    && !precondition.names_revision()
                    && attempts < ATTEMPTS;
                let problem = of_catalog(error, precondition.names_revision());
                let problem = call.refused(announced, problem).await;
                if !again {
                    return Err(problem);
                }
            }
        }
    }
}

/// Takes a deletion back.
pub(crate) async fn undelete<R: Managed>(call: &Call) -> Result<Answer, Problem> {
    let precondition = Precondition::read(&call.headers)?;
    let tenant = call.tenant()?;
    let found = call.app.catalog.get_deleted::<R>(tenant, call.id()).await;
    let found = found.map_err(|e| match e {
        catalog::Error::NotFound { .. } => {
            not_found(format!("there is no deleted {} {:?}", R::KIND, call.id()))
        }
        other => of_catalog(other, false),
    })?;
    precondition.check(Some(found.revision))?;
    let resource = &found.value.resource;
    resource.guard(&call.caller, true)?;
    ready(call, resource, None).await?;
    let before = Some(view(resource, Some(found.revision), Some(&found.value.deleted_at)));
    let after = Some(view(resource, None, None));
    let announced = audit::announce(&call.app, &call.asked, before, after).await?;
    match call.app.catalog.undelete::<R>(tenant, call.id(), Some(found.revision)).await {
        Ok(written) => {
            audit::done(&call.app, &call.asked, announced, written.revision).await;
            Ok(Answer::of(StatusCode::OK, &written))
        }
        Err(error) => {
            let problem = of_catalog(error, precondition.names_revision());
            Err(call.refused(announced, problem).await)
        }
    }
}

/// The resource of the path, if it is there.
async fn find<R: Managed>(call: &Call) -> Result<Option<Versioned<R>>, Problem> {
    match call.app.catalog.get::<R>(call.tenant()?, call.id()).await {
        Ok(found) => Ok(Some(found)),
        Err(catalog::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(of_catalog(error, false)),
    }
}

/// What is answered where there is nothing.
pub(crate) fn nothing<R: Managed>(call: &Call) -> Problem {
    not_found(format!("there is no {} {:?}", R::KIND, call.id()))
}
