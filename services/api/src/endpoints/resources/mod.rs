//! The endpoints of every kind of resource: one file each, the same for all kinds.

mod create;
mod delete;
mod get;
mod list;
mod patch;
mod replace;
mod undelete;

use axum::{extract::Request, routing::get};
use http::Method;
use model::resource::{
    Action, ApiKey, BillingAccount, Component, Customer, EventType, Feed, Meter, NatsCredential, Plan, Role,
    RoleBinding, RuleSet, Source, Subscription, System, Tenant, User, Workflow,
};
use runtime::problem::Problem;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    app::App,
    control::{Call, Managed, Thing, Verb, change::Mode, docs},
};

/// Every kind's endpoints.
pub(super) fn router() -> OpenApiRouter<App> {
    let router = of::<Tenant>(OpenApiRouter::default());
    let router = of::<System>(router);
    let router = of::<Customer>(router);
    let router = of::<BillingAccount>(router);
    let router = of::<Source>(router);
    let router = of::<EventType>(router);
    let router = of::<ApiKey>(router);
    let router = of::<NatsCredential>(router);
    let router = of::<Action>(router);
    let router = of::<Subscription>(router);
    let router = of::<RuleSet>(router);
    let router = of::<Component>(router);
    let router = of::<Workflow>(router);
    let router = of::<Feed>(router);
    let router = of::<Meter>(router);
    let router = of::<Plan>(router);
    let router = of::<User>(router);
    let router = of::<Role>(router);
    let router = of::<RoleBinding>(router);
    let router = at::<Role>(router, &docs::fleet_path::<Role>());
    at::<RoleBinding>(router, &docs::fleet_path::<RoleBinding>())
}

/// A kind's endpoints, with their documentation.
fn of<R: Managed>(router: OpenApiRouter<App>) -> OpenApiRouter<App> {
    at::<R>(router, &docs::collection_path::<R>())
}

/// The same below that path, which is a tenant's or the fleet's.
fn at<R: Managed>(router: OpenApiRouter<App>, collection_path: &str) -> OpenApiRouter<App> {
    let undelete = [(Method::POST, undelete::operation::<R>())];
    let item = [
        (Method::GET, get::operation::<R>()),
        (Method::PUT, replace::operation::<R>()),
        (Method::PATCH, patch::operation::<R>()),
        (Method::DELETE, delete::operation::<R>()),
    ];
    let collection = [(Method::GET, list::operation::<R>()), (Method::POST, create::operation::<R>())];
    let item_path = docs::item_path::<R>(collection_path);
    router
        .routes((
            docs::schemas::<R>(),
            docs::paths(collection_path, collection),
            get(list::handle::<R>).post(create::handle::<R>),
        ))
        .routes((
            Vec::new(),
            docs::paths(&item_path, item),
            get(get::handle::<R>)
                .put(replace::handle::<R>)
                .patch(patch::handle::<R>)
                .delete(delete::handle::<R>),
        ))
        .routes((
            Vec::new(),
            docs::paths(&format!("{item_path}/undelete"), undelete),
            axum::routing::post(undelete::handle::<R>),
        ))
}

/// Lets a request for a kind of resource in.
async fn admit<R: Managed>(app: App, verb: Verb, request: Request) -> Result<Call, Problem> {
    let mut call = Call::admit(app, verb, Thing::Resource(R::KIND), request).await?;
    if R::GIVES && verb.changes() {
        call.learn_held().await;
    }
    Ok(call)
}

/// Whether it is only to be looked whether it could be done.
fn mode(call: &Call) -> Result<Mode, Problem> {
    let mut params = call.params();
    let mode = params.choice("dry_run", &[("true", Mode::Dry), ("false", Mode::Do)]);
    params.finish()?;
    Ok(mode.unwrap_or(Mode::Do))
}
