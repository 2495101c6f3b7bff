//! What a kind of resource must tell of itself to be managed over HTTP.

use std::collections::BTreeSet;

use auth::Caller;
use bus::accounts::Operator;
use catalog::{Resource, Sealer, Snapshot};
use model::TenantId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use relations::Permission;
use runtime::problem::Problem;
use secrecy::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;

/// A kind of resource with endpoints. Its path, its name in answers and its documentation follow from these.
pub(crate) trait Managed: Resource {
    /// What a caller writes: everything but the id. Refuses what it does not know.
    type Spec: Serialize + DeserializeOwned + ToSchema + Send + Sync;

    /// The last part of the path of its list, such as `event-types`.
    const COLLECTION: &'static str;

    /// The name of the documentation's schemas, such as `EventType`.
    const SCHEMA: &'static str;

    /// The member that holds the id.
    const ID: &'static str = "id";

    /// Whether who makes one chooses the id; otherwise it is chosen here, and PUT makes none.
    const ID_IS_CHOSEN: bool = true;

    /// The member that is answered once, to who made it, and what it is.
    const SHOWN_ONCE: Option<(&'static str, &'static str)> = None;

    /// JSON pointers to what only the fleet sets, besides what it sets of every kind. Whoever sends back what was read
    /// sends these too: they must say what they said.
    const READ_ONLY: &'static [&'static str] = &[];

    /// Whether it gives somebody permissions: then it is known what the caller may give.
    const GIVES: bool = false;

    /// What a caller would have to write to get this one, without secrets.
    fn spec(&self) -> Self::Spec;

    /// The resource that a caller wrote.
    ///
    /// # Errors
    /// What is wrong with it; the catalog's own rules are applied later.
    fn build(spec: Self::Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem>;

    /// Whether the caller may touch this one, whatever [`super::access::may`] says of its kind.
    ///
    /// # Errors
    /// Why not.
    fn guard(&self, caller: &Caller, restores: bool) -> Result<(), Problem> {
        let _ = (caller, restores);
        Ok(())
    }

    /// What it gives somebody that the old one does not, and the member that says so: nobody gives what they lack.
    fn gives(&self, old: Option<&Self>, snapshot: &Snapshot) -> Vec<Gift> {
        let _ = (old, snapshot);
        Vec::new()
    }

    /// Waits until it works, after it was made at that revision: a secret that is told should be good at once. For a while only.
    fn settle(app: &App, revision: u64) -> impl Future<Output = ()> + Send {
        let _ = (app, revision);
        async {}
    }

    /// Whether it fits what there is outside of the catalog.
    ///
    /// # Errors
    /// Why not, or what does not answer.
    fn look(&self, app: &App) -> impl Future<Output = Result<(), Problem>> + Send {
        let _ = app;
        async { Ok(()) }
    }
}

/// Permissions that a resource gives.
pub(crate) struct Gift {
    /// A JSON pointer to what gives them.
    pub(crate) pointer: String,
    pub(crate) permissions: BTreeSet<Permission>,
}

/// What a resource is made from, besides what the caller wrote.
pub(crate) struct Making<'a, R> {
    pub(crate) tenant: &'a TenantId,
    /// Chosen by the caller; empty where it is not to choose.
    pub(crate) id: &'a str,
    /// What there is.
    pub(crate) old: Option<&'a R>,
    pub(crate) caller: &'a Caller,
    pub(crate) sealer: &'a Sealer,
    /// None where the broker takes no accounts from this fleet.
    pub(crate) operator: Option<&'a Operator>,
}

/// A resource that was made.
pub(crate) struct Built<R> {
    pub(crate) resource: R,
    /// A secret that is told once, and under which name.
    pub(crate) shown_once: Option<(&'static str, SecretString)>,
}

impl<R> Built<R> {
    pub(crate) fn new(resource: R) -> Self {
        Self { resource, shown_once: None }
    }
}

/// Members that only the fleet sets.
pub(crate) const READ_ONLY: [&str; 5] = ["/tenant", "/revision", "/created_at", "/updated_at", "/deleted_at"];

/// A resource as it is answered, and as the audit has it: without secrets.
pub(crate) fn view<R: Managed>(resource: &R, revision: Option<u64>, deleted_at: Option<&str>) -> Value {
    let mut view = Map::new();
    if is_a_tenants::<R>() && !resource.tenant().is_fleet() {
        view.insert("tenant".to_owned(), resource.tenant().as_str().into());
    }
    view.insert(R::ID.to_owned(), resource.id().into());
    if let Ok(Value::Object(spec)) = serde_json::to_value(resource.spec()) {
        view.extend(spec);
    }
    let meta = resource.meta();
    for (name, time) in [("created_at", &meta.created_at), ("updated_at", &meta.updated_at)] {
        if !time.is_empty() {
            view.insert(name.to_owned(), time.as_str().into());
        }
    }
    if let Some(at) = deleted_at {
        view.insert("deleted_at".to_owned(), at.into());
    }
    if let Some(revision) = revision {
        view.insert("revision".to_owned(), revision.into());
    }
    Value::Object(view)
}

/// The collection of tenants, which belongs to none.
pub(crate) const TENANTS: &str = "tenants";

/// Whether such resources belong to a tenant, in whose path they stand: all but tenants, and what is the fleet's.
pub(crate) fn is_a_tenants<R: Managed>() -> bool {
    R::COLLECTION != TENANTS && !R::KIND.is_fleet_wide()
}
/// Where the fleet's own resources are.
pub(crate) const FLEET: &str = "/api/v1/fleet";

/// What must not stand in a part of a path as it is (RFC 3986, section 3.3).
pub(crate) const NOT_IN_PATHS: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a resource is found.
pub(crate) fn location<R: Managed>(resource: &R) -> String {
    let id = utf8_percent_encode(resource.id(), &NOT_IN_PATHS);
    if !is_a_tenants::<R>() {
        return format!("/api/v1/{}/{id}", R::COLLECTION);
    }
    if resource.tenant().is_fleet() {
        return format!("{FLEET}/{}/{id}", R::COLLECTION);
    }
    format!("/api/v1/tenants/{}/{}/{id}", resource.tenant(), R::COLLECTION)
}
