//! Beginning, going on with and ending sessions.

use std::{sync::Arc, time::Duration};

use auth::people::homes;
use http::header;
use identity::{Access, AccessTokens, Grant, Holder, Purpose, RefreshError, Session};
use model::{ErrorCode, FLEET, Micros, TenantId, format_rfc3339, resource::User};
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    bucket::handed_out,
    passwords::Proof,
    sessions::{self, Found, Kept},
};
use crate::{
    app::App,
    control::{Person, Thing, Verb, Visit, audit, audit::Asked, managed},
    error::of_catalog,
};

/// Longest name of a program that a session remembers, in characters.
const AGENT_MAX: usize = 200;
/// How much longer than a token's life its session is remembered as ended, for clocks that differ.
const SLACK: Duration = Duration::from_secs(60);
/// How often a session is read again while others change it.
const ATTEMPTS: usize = 8;

/// A session that was begun or gone on with: what its owner is told.
pub(crate) struct Begun {
    pub(crate) user: Arc<User>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) session: String,
    pub(crate) access: SecretString,
    pub(crate) said: Access,
    pub(crate) refresh: SecretString,
    pub(crate) refresh_expires_at: Micros,
}

/// The refusal of whoever is not who they say, whatever they said.
fn not_right() -> Problem {
    Problem::new(ErrorCode::Unauthenticated, "the name or the password is not right")
}

fn over() -> Problem {
    Problem::new(ErrorCode::Unauthenticated, "the session is over; log in again")
}

/// Begins a session by a name and a password.
///
/// # Errors
/// 401, the same whether there is such a user or not; 429 after too many failures; 400 for a tenant that is not theirs.
pub(crate) async fn log_in(
    visit: &mut Visit,
    name: &str,
    password: SecretString,
    tenant: Option<&str>,
) -> Result<Begun, Problem> {
    let app = visit.app.clone();
    match app.people.prove(&app, name, password, visit.asked.at_us).await? {
        Proof::Proven(user) => {
            visit.know(&user);
            let tenant = home(&app, &user, tenant)?;
            begin(visit, &user, tenant).await
        }
        Proof::Refused(user) => {
            // Recorded with what is nobody's: who tries very often must not push out what people did.
            visit.asked.id = user.map(|user| user.id.to_string());
            Err(not_right())
        }
    }
}

/// The tenant that a user is to be at home in: the one they name, or the only one.
fn home(app: &App, user: &User, named: Option<&str>) -> Result<Option<TenantId>, Problem> {
    let homes = homes(&app.catalog.snapshot(), user);
    let Some(named) = named else { return Ok(homes.only().cloned()) };
    let tenant = named.parse::<TenantId>().ok().filter(|tenant| homes.may_be(tenant));
    let there = tenant.filter(|tenant| app.catalog.snapshot().tenant(tenant).is_some());
    // The same for what is another's and for what does not exist.
    let nowhere = || {
        let problem = Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value");
        problem.field("/tenant", "no binding gives you a role in such a tenant")
    };
    there.map(Some).ok_or_else(nowhere)
}

/// Begins a session for somebody who has proven who they are.
///
/// # Errors
/// 503 if it cannot be kept or recorded.
pub(crate) async fn begin(
    visit: &mut Visit,
    user: &Arc<User>,
    tenant: Option<TenantId>,
) -> Result<Begun, Problem> {
    let app = visit.app.clone();
    let policy = app.people.sessions.policy().await?;
    // Whatever this machine's clock says, it begins after what was ended.
    let now = app.clock.now().max(user.signed_out_at_us.saturating_add(1));
    let purpose = if user.must_change_password { Purpose::SetPassword } else { Purpose::All };
    let (session, refresh) = Session::begin(&mut rand::rng(), user.id.as_str(), purpose, now);
    let agent = visit.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok());
    let kept = Kept {
        session,
        tenant: tenant.clone(),
        address: visit.asked.address.clone(),
        agent: agent.map(|agent| agent.chars().take(AGENT_MAX).collect()),
    };
    make_room(&app, &visit.asked, user).await?;
    let asked = of_session(&visit.asked, Verb::Create, &kept);
    let announced = audit::announce(&app, &asked, None, Some(view(&kept, policy))).await?;
    let revision = app.people.sessions.keep(&kept).await?;
    audit::done(&app, &asked, announced, revision).await;
    issued(&app, user, &kept, &refresh, policy, now)
}

/// What its owner is told of a session that is kept.
fn issued(
    app: &App,
    user: &Arc<User>,
    kept: &Kept,
    refresh: &SecretString,
    policy: identity::RefreshPolicy,
    now: Micros,
) -> Result<Begun, Problem> {
    let tokens = app.tokens.issuing().ok_or_else(no_keys)?;
    let grant = Grant {
        subject: user.id.to_string(),
        holder: Holder::User { session: kept.session.id.clone() },
        purpose: kept.session.purpose,
        tenant: kept.tenant.as_ref().map(ToString::to_string),
        scopes: Vec::new(),
    };
    let (access, said) = tokens.issue(&mut rand::rng(), grant, now);
    Ok(Begun {
        user: Arc::clone(user),
        tenant: kept.tenant.clone(),
        session: kept.session.id.clone(),
        access,
        said,
        refresh: handed_out(refresh, &user.id),
        refresh_expires_at: kept.session.expires_at(policy),
    })
}

fn no_keys() -> Problem {
    Problem::new(ErrorCode::Unavailable, "this fleet has no signing keys, so that nobody can log in")
}

/// Goes on with a session by its refresh token, at home in the same tenant or in another.
///
/// # Errors
/// 401 if it is over. One that comes by a token that was used before is ended.
pub(crate) async fn go_on(
    visit: &mut Visit,
    presented: &str,
    tenant: Option<&str>,
) -> Result<Begun, Problem> {
    let app = visit.app.clone();
    let (token, user, session) = sessions::taken_apart(presented).ok_or_else(over)?;
    let policy = app.people.sessions.policy().await?;
    for _ in 0..ATTEMPTS {
        let now = app.clock.now();
        let found = app.people.sessions.find(user, session).await?.ok_or_else(over)?;
        let refreshed = found.kept.session.refresh(&mut rand::rng(), token, policy, now);
        if matches!(refreshed, Err(RefreshError::Unknown)) {
            return Err(over());
        }
        // From here on whoever asks has, or had, a token of the session.
        let user = app.catalog.snapshot().user(user).cloned().ok_or_else(over)?;
        visit.know(&user);
        visit.asked.id = Some(session.to_owned());
        let (next, refresh) = match refreshed {
            Ok(next) if !user.disabled && found.kept.session.began_at > user.signed_out_at_us => next,
            Ok(_) | Err(RefreshError::Expired | RefreshError::Revoked) => return Err(over()),
            Err(RefreshError::Reused) => {
                tracing::warn!(user = %user.id, session, "a refresh token came twice; its session is ended");
                end(&app, &visit.asked, found).await?;
                return Err(over());
            }
            Err(RefreshError::Unknown) => return Err(over()),
        };
        let tenant = match tenant {
            Some(named) => home(&app, &user, Some(named))?,
            None => found.kept.tenant.clone(),
        };
        let kept = Kept { session: next, tenant, ..found.kept.clone() };
        if app.people.sessions.replace(&found, &kept).await? {
            return issued(&app, &user, &kept, &refresh, policy, now);
        }
        // Two came at once: the other has won, and this one's token is used.
    }
    Err(Problem::new(ErrorCode::Unavailable, "others keep changing the session"))
}

/// Ends a session: no token of it is good any more, anywhere, within a second.
///
/// # Errors
/// 503 if it cannot be recorded or told. It may be ended again.
pub(crate) async fn end(app: &App, asked: &Asked, mut found: Found) -> Result<(), Problem> {
    let policy = app.people.sessions.policy().await?;
    let asked = of_session(asked, Verb::Delete, &found.kept);
    let before = Some(view(&found.kept, policy));
    let announced = audit::announce(app, &asked, before, None).await?;
    for _ in 0..ATTEMPTS {
        let kept = Kept { session: found.kept.session.revoked(app.clock.now()), ..found.kept.clone() };
        if app.people.sessions.replace(&found, &kept).await? {
            break;
        }
        match app.people.sessions.find(&kept.session.user, &kept.session.id).await? {
            Some(other) => found = other,
            None => break,
        }
    }
    let Session { id, user, .. } = &found.kept.session;
    let revision = end_tokens(app, user, id).await?;
    app.people.sessions.remove(user, id).await?;
    audit::done(app, &asked, announced, revision.unwrap_or(found.revision)).await;
    Ok(())
}

/// Takes back the access tokens of a session. Gives the user's revision.
pub(crate) async fn end_tokens(app: &App, user: &str, session: &str) -> Result<Option<u64>, Problem> {
    let (now, life) = (app.clock.now(), app.tokens.issuing().map(AccessTokens::lifetime).unwrap_or_default());
    let until = now.saturating_add(Micros::try_from((life + SLACK).as_micros()).unwrap_or(Micros::MAX));
    change_user(app, user, |user| user.end_session(session, now, until)).await
}

/// Sets another password, which ends all sessions, and begins a new one.
///
/// # Errors
/// 401 if the present password is not right, 400 if the new one cannot be taken.
pub(crate) async fn change_password(
    visit: &mut Visit,
    person: &Person,
    current: SecretString,
    new: SecretString,
) -> Result<Begun, Problem> {
    let app = visit.app.clone();
    if current.expose_secret() == new.expose_secret() {
        let problem = Problem::new(ErrorCode::InvalidArgument, "the password cannot be taken");
        return Err(problem.field("/new_password", "must be another than the present one"));
    }
    match app.people.prove(&app, &person.user.id, current, visit.asked.at_us).await? {
        Proof::Proven(_) => {}
        Proof::Refused(_) => {
            return Err(Problem::new(ErrorCode::Unauthenticated, "the present password is not right"));
        }
    }
    let tenant = person.access.grant.tenant.as_ref().and_then(|tenant| tenant.parse().ok());
    set_password(visit, &person.user, new).await?;
    let user = app.catalog.snapshot().user(&person.user.id).cloned().ok_or_else(over)?;
    begin(visit, &user, tenant).await
}

/// Sets a user's password, which ends all their sessions.
///
/// # Errors
/// 400 if it cannot be taken.
async fn set_password(visit: &Visit, user: &User, password: SecretString) -> Result<(), Problem> {
    let sealed = visit.app.people.seal(&visit.app, user, password, "/new_password").await?;
    set_sealed_password(visit, user, sealed).await
}

/// The same, of one that is sealed already.
///
/// # Errors
/// 503 if it cannot be kept or recorded.
pub(super) async fn set_sealed_password(visit: &Visit, user: &User, sealed: String) -> Result<(), Problem> {
    let app = &visit.app;
    let now = app.clock.now();
    let change = |user: &mut User| {
        user.sealed_password = Some(sealed.clone());
        user.must_change_password = false;
        user.end_all_sessions(now);
    };
    let mut after = user.clone();
    change(&mut after);
    let [before, after] = [user, &after].map(|user| Some(managed::view(user, None, None)));
    let announced = audit::announce(app, &visit.asked, before, after).await?;
    let revision = change_user(app, &user.id, change).await?.ok_or_else(over)?;
    audit::done(app, &visit.asked, announced, revision).await;
    for found in app.people.sessions.of_user(&user.id).await? {
        app.people.sessions.remove(&user.id, &found.kept.session.id).await?;
    }
    Ok(())
}

/// Changes what the catalog has of a user. Nothing if there is no such user any more.
pub(crate) async fn change_user(
    app: &App,
    user: &str,
    change: impl Fn(&mut User),
) -> Result<Option<u64>, Problem> {
    for attempt in 1.. {
        let found = match app.catalog.get::<User>(&FLEET, user).await {
            Err(catalog::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|e| of_catalog(e, false))?,
        };
        let mut changed = found.value;
        change(&mut changed);
        match app.catalog.put(&changed, Some(found.revision)).await {
            Ok(written) => return Ok(Some(written.revision)),
            Err(catalog::Error::Stale { .. }) if attempt < ATTEMPTS => {}
            Err(error) => return Err(of_catalog(error, false)),
        }
    }
    Ok(None)
}

/// Ends the oldest sessions of a user that has as many as may be.
async fn make_room(app: &App, asked: &Asked, user: &User) -> Result<(), Problem> {
    let mut all = app.people.sessions.of_user(&user.id).await?;
    let most = app.people.options.sessions_per_user_max;
    let over = (all.len() + 1).saturating_sub(most);
    for found in all.drain(..over) {
        end(app, asked, found).await?;
    }
    Ok(())
}

/// The same request, about one session.
fn of_session(asked: &Asked, verb: Verb, kept: &Kept) -> Asked {
    Asked { verb, thing: Thing::Session, id: Some(kept.session.id.clone()), ..asked.clone() }
}

/// A session as its owner, and the audit, sees it.
pub(crate) fn view(kept: &Kept, policy: identity::RefreshPolicy) -> Value {
    let Kept { session, tenant, address, agent } = kept;
    json!({
        "id": session.id,
        "user": session.user,
        "tenant": tenant,
        "began_at": format_rfc3339(session.began_at),
        "refreshed_at": format_rfc3339(session.refreshed_at),
        "expires_at": format_rfc3339(session.expires_at(policy)),
        "address": address,
        "agent": agent,
    })
}
