//! Writing the audit: a record before each change, one after it, and one of each refusal.
//!
//! A change is announced with what is to become of what; only when the stream has that, the change is made, and then a second
//! record says that it was (docs/adr/0009-audit-before-change.md).

use async_nats::HeaderMap;
use auth::{Caller, Who};
use bus::topology::audit_subject;
use model::{CloudEvent, FLEET, Micros, TenantId, format_rfc3339, json, resource::User};
use runtime::problem::Problem;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Thing, Verb};
use crate::app::App;

/// What the types of records begin with.
const TYPE: &str = "dev.eventrunner.audit";

/// Who asks for what, when, from where.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) verb: Verb,
    pub(crate) thing: Thing,
    /// Whose thing; none for the list of tenants, or when it is nobody's.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) id: Option<String>,
    pub(crate) actor: Option<Actor>,
    pub(crate) at_us: Micros,
    pub(crate) address: Option<String>,
    pub(crate) trace_id: Option<String>,
}

/// A caller that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AuditActor)]
pub(crate) struct Actor {
    /// `key`: an API key. `user`: a person, by a signed token.
    pub(crate) kind: &'static str,
    /// Its tenant; `-`, the fleet, of who is at home in none.
    #[schema(value_type = String)]
    pub(crate) tenant: TenantId,
    /// The key's id, or whom the token speaks of.
    pub(crate) id: String,
    /// Who signed the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) issuer: Option<String>,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        let (kind, id, issuer) = match &caller.who {
            Who::Key { id, .. } => ("key", id.to_string(), None),
            Who::User { issuer, subject, .. } => ("user", subject.clone(), Some(issuer.clone())),
        };
        Self { kind, tenant: caller.tenant.id.clone(), id, issuer }
    }
}

impl Actor {
    /// A person who is known here.
    pub(crate) fn of_user(user: &User, issuer: &str) -> Self {
        let (id, issuer) = (user.id.to_string(), Some(issuer.to_owned()));
        Self { kind: "user", tenant: FLEET.clone(), id, issuer }
    }
}

/// What a record says.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = AuditData)]
pub(crate) struct Data {
    /// `announced`: about to be done. `done`. `refused`.
    outcome: &'static str,
    /// `read`, `create`, `replace`, `change`, `delete`, `undelete`.
    action: &'static str,
    /// Of what kind the thing is.
    kind: &'static str,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    /// Who; absent if nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    actor: Option<Actor>,
    /// From where, as the connection says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
    /// The trace of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_id: Option<String>,
    /// The record that announced it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    announcement: Option<String>,
    /// The error code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<&'static str>,
    /// The places of the request that were at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pointers: Vec<String>,
    /// The revision that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revision: Option<u64>,
    /// What there was, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    before: Option<Value>,
    /// What there is then, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    after: Option<Value>,
    /// `before` and `after` were too large for one record, and are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

/// A change that the audit has been told of.
#[derive(Debug)]
#[must_use]
pub(crate) struct Announced {
    record: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// Tells of a change that is about to be made.
///
/// # Errors
/// If the record cannot be kept: the change must not be made then.
pub(crate) async fn announce(
    app: &App,
    asked: &Asked,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<Announced, Problem> {
    let data = Data { outcome: "announced", before: before.clone(), after: after.clone(), ..Data::default() };
    let record = write(app, asked, data).await?;
    Ok(Announced { record, before, after })
}

/// Tells that a change was made. What was announced is known already: a record that cannot be kept now does not undo it.
pub(crate) async fn done(app: &App, asked: &Asked, announced: Announced, revision: u64) {
    let Announced { record, before, after } = announced;
    let (announcement, revision) = (Some(record), Some(revision));
    let data = Data { outcome: "done", announcement, revision, before, after, ..Data::default() };
    if let Err(problem) = write(app, asked, data).await {
        tracing::warn!(%problem, trace_id = asked.trace_id, "a change was made and announced, and not confirmed");
    }
}

/// Tells of a refusal.
///
/// # Errors
/// If the record cannot be kept.
pub(crate) async fn refused(
    app: &App,
    asked: &Asked,
    announced: Option<Announced>,
    problem: &Problem,
) -> Result<(), Problem> {
    let data = Data {
        outcome: "refused",
        announcement: announced.map(|a| a.record),
        code: Some(problem.code.as_str()),
        // Where, and not what: details may repeat what was sent.
        pointers: problem.errors.iter().take(POINTERS_MAX).map(|e| shorten(&e.pointer)).collect(),
        ..Data::default()
    };
    write(app, asked, data).await.map(drop)
}

/// Pointers of one record.
const POINTERS_MAX: usize = 20;
/// Longest of what a caller chose freely and a record repeats, in characters.
const TEXT_MAX: usize = 256;

fn shorten(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// Writes a record and gives its id.
async fn write(app: &App, asked: &Asked, data: Data) -> Result<String, Problem> {
    let id = uuid::Uuid::now_v7().to_string();
    let data = Data {
        action: asked.verb.as_str(),
        kind: asked.thing.as_str(),
        id: asked.id.as_deref().map(shorten),
        actor: asked.actor.clone(),
        address: asked.address.clone(),
        trace_id: asked.trace_id.clone(),
        ..data
    };
    let mut payload = encode(asked, &id, &data)?;
    if payload.len() + HEAD_BYTES > app.bus.message_bytes_max() {
        payload = encode(asked, &id, &Data { before: None, after: None, cut: true, ..data })?;
    }
    // The fleet's records stand with those of whoever asked, which is an operator's tenant or is refused.
    let owner = asked.tenant.as_ref().filter(|tenant| !tenant.is_fleet());
    let owner = owner.or_else(|| asked.actor.as_ref().map(|a| &a.tenant));
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id.as_str());
    let kept = async {
        let js = app.bus.jetstream();
        let sent = js.publish_with_headers(audit_subject(owner), headers, payload).await;
        sent.map_err(|e| e.to_string())?.await.map_err(|e| e.to_string())
    };
    let kept = tokio::time::timeout(app.options.store_timeout_ms.duration(), kept).await;
    let cause = match kept {
        Ok(Ok(_)) => return Ok(id),
        Ok(Err(error)) => error,
        Err(_) => "no acknowledgement in time".to_owned(),
    };
    Err(Problem::unavailable("the audit record cannot be kept, so nothing is done", cause))
}

/// Room for what the broker adds to a message.
const HEAD_BYTES: usize = 1_024;

fn encode(asked: &Asked, id: &str, data: &Data) -> Result<bytes::Bytes, Problem> {
    let text = serde_json::to_string(data).map_err(Problem::internal)?;
    let source = match &asked.tenant {
        None => "/api/v1".to_owned(),
        Some(tenant) if tenant.is_fleet() => "/api/v1/fleet".to_owned(),
        Some(tenant) => format!("/api/v1/tenants/{tenant}"),
    };
    let ty = format!("{TYPE}.{}.{}", data.kind, data.action);
    let event = CloudEvent::builder(id.to_owned(), source, ty)
        .text("application/json", text)
        .time(format_rfc3339(asked.at_us));
    let subject = data.id.as_ref().map(|id| format!("{}/{id}", data.kind));
    let with_subject = subject.map(|subject| event.clone().subject(subject).build());
    // An id that no attribute can hold is asked for all the same; the data has it.
    let event = with_subject.and_then(Result::ok).map_or_else(|| event.build(), Ok);
    Ok(json::encode(&event.map_err(Problem::internal)?))
}
