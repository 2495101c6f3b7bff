//! `POST /api/tenants/{tenant}/users` and `POST /api/users`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use catalog::Kind;
use identity::OneTimePurpose;
use model::{
    FLEET, TenantId,
    resource::{RoleBinding, User},
};
use runtime::problem::{FieldError, Problem};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{users::SeedUser, words};
use crate::{
    app::App,
    control::{
        Call, Thing, Verb,
        change::{self, Mode},
        idempotency::{self, Begun},
    },
    params::Params,
    people::invitations,
};

/// What a user is who is not said to be more.
const ROLE: &str = "user";

/// Roles of one user that are given at once.
const ROLES_MAX: usize = 16;

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[schema(as = SeedNewUser)]
pub(super) struct NewUser {
    /// By which they log in; no two have the same.
    #[schema(required = true, nullable = false)]
    email: Option<String>,
    /// For people.
    username: Option<String>,
    /// What they may do in the tenant: `user` if it is not said. None that allows what their maker may not do.
    roles: Option<Vec<String>>,
}

/// A user that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedUserAnswer)]
pub(super) struct Made {
    data: SeedNewcomer,
}

/// A user who is new.
#[derive(Serialize, ToSchema)]
pub(super) struct SeedNewcomer {
    #[serde(flatten)]
    user: SeedUser,
    password_reset: PasswordReset,
}

/// What the user sets a password by, at `POST /api/v1/password-resets/redeem`. It is in this answer and nowhere else.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedPasswordReset)]
struct PasswordReset {
    token: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Make a user of a tenant, as in the seed
///
/// An invitation to the tenant that is accepted at once: whoever may invite may make users, of roles that they may give. The user
/// sets a password by the token of the answer.
#[utoipa::path(
    post, path = "/api/tenants/{tenant}/users", tag = "seed", operation_id = "create_seed_tenant_user", request_body = NewUser,
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("tenant_id" = Option<String>, Query, description = "The same again, as the seed needed it."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is answered the same, for a day."),
    ),
    responses(
        (status = 201, description = "They are made.", body = Made),
        (status = 409, description = "The same request is being worked."),
        (status = 413, description = "It is larger than a resource may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 422, description = "The idempotency key was used with another body."),
    )
)]
pub(super) async fn of_tenant(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let admitted = Call::admit(app, Verb::Create, Thing::Invitation, request);
    change::to_the_end(async move { create(admitted.await?).await }).await.map_err(words::told_of_tenant)
}

/// Make a user, as in the seed
///
/// Of the tenant that `tenant_id` names, or of the caller's own.
#[utoipa::path(
    post, path = "/api/users", tag = "seed", operation_id = "create_seed_user", request_body = NewUser,
    params(
        ("tenant_id" = Option<String>, Query, description = "The tenant's id; the caller's own if it is left out."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is answered the same, for a day."),
    ),
    responses(
        (status = 201, description = "They are made.", body = Made),
        (status = 409, description = "The same request is being worked."),
        (status = 413, description = "It is larger than a resource may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 422, description = "The idempotency key was used with another body."),
    )
)]
pub(super) async fn of_query(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut params = Params::parse(request.uri().query().unwrap_or_default());
        let tenant = match params.one("tenant_id") {
            Some(named) => named.to_string(),
            None => super::home(&app, request.headers()).await?,
        };
        create(Call::admit_to(app, Verb::Create, Thing::Invitation, tenant, request).await?).await
    })
    .await
    .map_err(words::told_of_tenant)
}

/// Lets the query name the tenant of the path again.
pub(super) fn named_again(call: &Call, tenant: &TenantId) -> Result<(), Problem> {
    let mut params = call.params();
    let same = |named: &str| (*named == **tenant).then_some(()).ok_or_else(|| "is not the path's".to_owned());
    params.read("tenant_id", same);
    params.finish()
}

async fn create(mut call: Call) -> Result<Response, Problem> {
    call.learn_held().await;
    let outcome = created(&mut call).await;
    call.finish(outcome).await
}

async fn created(call: &mut Call) -> Result<Response, Problem> {
    let tenant = call.tenant()?.clone();
    named_again(call, &tenant)?;
    let (NewUser { email, username, roles }, bytes) = super::read(call).await?;
    let email = email.filter(|email| !email.is_empty()).ok_or_else(|| words::missing("email"))?;
    let mut roles = roles.filter(|roles| !roles.is_empty()).unwrap_or_else(|| vec![ROLE.to_owned()]);
    roles.sort_unstable();
    roles.dedup();
    if roles.len() > ROLES_MAX {
        return Err(words::wrong("roles", format!("must be at most {ROLES_MAX}")));
    }
    for (at, role) in roles.iter().enumerate() {
        // The body's members are the seed's.
        let here =
            |e: FieldError| FieldError { pointer: e.pointer.replace("/role", &format!("/roles/{at}")), ..e };
        invitations::check_role(call, role).await.map_err(|mut problem| {
            problem.errors = problem.errors.into_iter().map(here).collect();
            problem
        })?;
    }
    match idempotency::begin(call, &bytes).await? {
        Begun::Before(answer) => Ok(answer),
        Begun::Now(claim) => {
            let made = make(call, &email, username.unwrap_or_default(), &tenant, &roles).await;
            claim.end(made.map(super::made)).await
        }
    }
}

/// Makes a user with roles in a place, a tenant or the fleet, and what they set a password by.
pub(super) async fn make(
    call: &mut Call,
    email: &str,
    username: String,
    place: &TenantId,
    roles: &[String],
) -> Result<SeedNewcomer, Problem> {
    let id = Uuid::new_v4().to_string();
    call.turn_to(Thing::Resource(Kind::User), Some(FLEET.clone()));
    let given =
        super::resource([("id", id.as_str().into()), ("name", username.into()), ("email", email.into())]);
    change::create::<User>(call, given, Mode::Do).await?;
    for role in roles {
        call.turn_to(Thing::Resource(Kind::RoleBinding), Some(place.clone()));
        let (binding, actor) = (Uuid::new_v4().to_string(), format!("user:{id}"));
        let given = super::resource([
            ("id", binding.into()),
            ("actor", actor.into()),
            ("role", role.as_str().into()),
        ]);
        change::create::<RoleBinding>(call, given, Mode::Do).await?;
    }
    call.turn_to(Thing::PasswordReset, Some(FLEET.clone()));
    call.asked.id = Some(id.clone());
    let issued = invitations::issue(call, OneTimePurpose::PasswordReset, &id, None, None).await?;
    let user = call.app.catalog.snapshot().user(&id).cloned();
    let user = user.ok_or_else(|| Problem::internal("a user who was made is not there"))?;
    let password_reset = PasswordReset {
        token: issued.token.expose_secret().to_owned(),
        expires_at: model::format_rfc3339(issued.kept.token.expires_at),
    };
    Ok(SeedNewcomer { user: SeedUser::of(&user, place, roles.to_vec()), password_reset })
}
