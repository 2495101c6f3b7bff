//! Registration by invitation, and passwords by a link.

use std::sync::Arc;

use catalog::tuples;
use identity::{OneTimePurpose, OneTimeToken};
use model::{
    ErrorCode, FLEET, TenantId,
    resource::{Meta, RoleBinding, User},
};
use runtime::problem::Problem;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    bucket::handed_out,
    login,
    one_time::{self, Kept},
    passwords::Proof,
};
use crate::{
    app::App,
    control::{Call, Thing, Verb, Visit, audit, audit::Asked, change, managed},
    error::of_catalog,
    people::Begun,
};

/// A token that was issued: what is to be told of it, once.
pub(crate) struct Issued {
    pub(crate) kept: Kept,
    pub(crate) token: SecretString,
}

/// The refusal of a token, whatever is wrong with it.
pub(super) fn not_good() -> Problem {
    Problem::new(ErrorCode::Unauthenticated, "the token is not good, or not any more; ask for another")
}

/// Whether the caller may give somebody who is nobody yet a role in the call's tenant.
///
/// # Errors
/// 400 if there is no such role, 403 if it allows what the caller may not do.
pub(crate) async fn check_role(call: &Call, role: &str) -> Result<(), Problem> {
    // The binding as it would be, but for whom.
    let binding = RoleBinding {
        tenant: call.tenant()?.clone(),
        id: "invited".parse().map_err(Problem::internal)?,
        name: String::new(),
        actor: "user:somebody@invited".to_owned(),
        role: role.to_owned(),
        meta: Meta::default(),
    };
    call.app.catalog.check(&binding).await.map_err(|e| of_catalog(e, false))?;
    if tuples::binding(&binding).is_err() {
        return Err(Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value")
            .field("/role", "there is no such role"));
    }
    change::may_give(call, &binding, None)
}

/// Issues a token that is good once.
///
/// # Errors
/// 503 if it cannot be kept or recorded.
pub(crate) async fn issue(
    call: &Call,
    purpose: OneTimePurpose,
    owner: &str,
    role: Option<String>,
    email: Option<String>,
) -> Result<Issued, Problem> {
    let app = &call.app;
    let now = app.clock.now();
    let (token, shown) = OneTimeToken::issue(&mut rand::rng(), purpose, purpose.lifetime(), now);
    let kept = Kept { token, issued_at: now, by: call.caller.who.to_string(), role, email };
    let mut asked = call.asked.clone();
    if purpose == OneTimePurpose::Invitation {
        asked.id = Some(kept.token.id.clone());
    }
    let announced = audit::announce(app, &asked, None, Some(view(&kept))).await?;
    let revision = app.people.one_time.keep(owner, &kept).await?;
    audit::done(app, &asked, announced, revision).await;
    Ok(Issued { token: handed_out(&shown, owner), kept })
}

/// A token as whoever issued it, and the audit, sees it.
pub(crate) fn view(kept: &Kept) -> Value {
    let mut view = json!({
        "id": kept.token.id,
        "issued_at": model::format_rfc3339(kept.issued_at),
        "expires_at": model::format_rfc3339(kept.token.expires_at),
        "by": kept.by,
    });
    for (name, value) in [("role", &kept.role), ("email", &kept.email)] {
        if let (Some(value), Some(view)) = (value, view.as_object_mut()) {
            view.insert(name.to_owned(), value.as_str().into());
        }
    }
    view
}

/// Sets the password of whoever holds a link, ends all their sessions and begins one.
///
/// # Errors
/// 401 if the link is not good, 400 if the password cannot be taken, which does not use the link up.
pub(crate) async fn reset_password(
    visit: &mut Visit,
    presented: &str,
    password: SecretString,
) -> Result<Begun, Problem> {
    let app = visit.app.clone();
    let purpose = OneTimePurpose::PasswordReset;
    let (token, owner, id) = one_time::taken_apart(purpose, presented).ok_or_else(not_good)?;
    let found = app.people.one_time.find(purpose, owner, id).await?.ok_or_else(not_good)?;
    // Nothing else is said to whoever has not the token.
    found.kept.token.redeem(token, purpose, visit.asked.at_us).map_err(|_| not_good())?;
    let user = app.catalog.snapshot().user(owner).cloned().filter(|user| !user.disabled);
    // A link from before the last password is as old as that.
    let user = user.filter(|user| found.kept.issued_at > user.signed_out_at_us).ok_or_else(not_good)?;
    visit.know(&user);
    visit.asked.id = Some(user.id.to_string());
    let sealed = app.people.seal(&app, &user, password, "/new_password").await?;
    app.people.one_time.redeem(owner, &found, token, visit.asked.at_us).await?;
    login::set_sealed_password(visit, &user, sealed).await?;
    let user = app.catalog.snapshot().user(owner).cloned().ok_or_else(not_good)?;
    let tenant = auth::people::homes(&app.catalog.snapshot(), &user).only().cloned();
    login::begin(visit, &user, tenant).await
}

/// What somebody says who accepts an invitation.
pub(crate) struct Acceptance {
    pub(crate) username: String,
    pub(crate) password: SecretString,
    pub(crate) name: String,
}

/// Lets somebody in who was invited: as a new user or, by their password, as one who is here already.
///
/// # Errors
/// 401 if the invitation, or the password of who is here already, is not good; 400 for what cannot be taken.
pub(crate) async fn accept(
    visit: &mut Visit,
    presented: &str,
    acceptance: Acceptance,
) -> Result<Begun, Problem> {
    let app = visit.app.clone();
    let purpose = OneTimePurpose::Invitation;
    let (token, owner, id) = one_time::taken_apart(purpose, presented).ok_or_else(not_good)?;
    let found = app.people.one_time.find(purpose, owner, id).await?.ok_or_else(not_good)?;
    found.kept.token.redeem(token, purpose, visit.asked.at_us).map_err(|_| not_good())?;
    let tenant: TenantId = owner.parse().map_err(|_| not_good())?;
    let role = found.kept.role.clone().ok_or_else(not_good)?;
    visit.asked.id = Some(id.to_owned());
    visit.asked.tenant = Some(tenant.clone());
    let Acceptance { username, password, name } = acceptance;
    let there = app.catalog.snapshot().user(&username).cloned();
    let user = match &there {
        Some(_) => match app.people.prove(&app, &username, password, visit.asked.at_us).await? {
            Proof::Proven(user) => user,
            Proof::Refused(_) => {
                return Err(Problem::new(
                    ErrorCode::Unauthenticated,
                    "the name is taken, and the password is not theirs",
                ));
            }
        },
        None => Arc::new(newcomer(&app, &username, name, found.kept.email.clone(), password).await?),
    };
    let binding = RoleBinding {
        tenant: tenant.clone(),
        id: format!("invited-{id}").parse().map_err(Problem::internal)?,
        name: format!("invited by {}", found.kept.by),
        actor: format!("user:{}", user.id),
        role,
        meta: Meta::default(),
    };
    app.people.one_time.redeem(owner, &found, token, visit.asked.at_us).await?;
    visit.asked.actor = Some(audit::Actor::of_user(&user, app.tokens.issuer()));
    if there.is_none() {
        let made = of(&visit.asked, Thing::Resource(catalog::Kind::User), &user.id, &FLEET);
        create(&app, &made, &*user).await?;
    }
    let made = of(&visit.asked, Thing::Resource(catalog::Kind::RoleBinding), &binding.id, &tenant);
    create(&app, &made, &binding).await?;
    let user = app.catalog.snapshot().user(&user.id).cloned().unwrap_or(user);
    visit.know(&user);
    login::begin(visit, &user, Some(tenant)).await
}

/// Somebody who is not here yet.
async fn newcomer(
    app: &App,
    username: &str,
    name: String,
    email: Option<String>,
    password: SecretString,
) -> Result<User, Problem> {
    let bad_id = |e: model::InvalidId| {
        Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value")
            .field("/username", e.to_string())
    };
    let mut user = User {
        id: username.parse().map_err(bad_id)?,
        name,
        email,
        disabled: false,
        must_change_password: false,
        sealed_password: None,
        signed_out_at_us: 0,
        ended_sessions: Vec::new(),
        meta: Meta::default(),
    };
    user.sealed_password = Some(app.people.seal(app, &user, password, "/password").await?);
    app.catalog.check(&user).await.map_err(|e| of_catalog(e, false))?;
    Ok(user)
}

/// The same request, about one thing that comes of it.
fn of(asked: &Asked, thing: Thing, id: &str, tenant: &TenantId) -> Asked {
    Asked {
        verb: Verb::Create,
        thing,
        id: Some(id.to_owned()),
        tenant: Some(tenant.clone()),
        ..asked.clone()
    }
}

async fn create<R: managed::Managed>(app: &App, asked: &Asked, resource: &R) -> Result<(), Problem> {
    let after = Some(managed::view(resource, None, None));
    let announced = audit::announce(app, asked, None, after).await?;
    match app.catalog.create(resource).await {
        Ok(written) => {
            audit::done(app, asked, announced, written.revision).await;
            Ok(())
        }
        Err(error) => {
            let problem = of_catalog(error, false);
            match audit::refused(app, asked, Some(announced), &problem).await {
                Ok(()) => Err(problem),
                Err(lost) => Err(lost),
            }
        }
    }
}
