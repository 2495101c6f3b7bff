//! The documentation of the endpoints of every kind: what the generic handlers cannot say by attributes, because it is made
//! of the kind's own names.

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        path::{HttpMethod, Operation, PathItem, Paths},
        schema::Schema,
    },
};

use super::{
    Managed,
    managed::{FLEET, TENANTS, is_a_tenants},
};

/// The tag of the endpoints of resources.
pub(crate) const TAG: &str = "resources";

/// Whose scope the endpoints take.
pub(crate) const SCOPE: &str = "The key has not the scope `manage`, or, for another tenant's and for users and changes of \
    tenants and plans, `operate`.";

/// Whose scope the endpoints of the fleet's take.
const FLEET_SCOPE: &str =
    "The key has not the scope `operate`, and nobody has given the caller what that takes fleet-wide.";

/// `/api/v1/tenants/{tenant}/systems`, or, if it is no tenant's, `/api/v1/plans`.
pub(crate) fn collection_path<R: Managed>() -> String {
    if !is_a_tenants::<R>() {
        format!("/api/v1/{}", R::COLLECTION)
    } else {
        format!("/api/v1/tenants/{{tenant}}/{}", R::COLLECTION)
    }
}

/// `/api/v1/fleet/roles`.
pub(crate) fn fleet_path<R: Managed>() -> String {
    format!("{FLEET}/{}", R::COLLECTION)
}

/// `/api/v1/tenants/{tenant}/systems/{id}`.
pub(crate) fn item_path<R: Managed>(collection_path: &str) -> String {
    let param = if is_tenant::<R>() { "{tenant}" } else { "{id}" };
    format!("{collection_path}/{param}")
}

fn is_tenant<R: Managed>() -> bool {
    R::COLLECTION == TENANTS
}

/// `event_types`: the member of a list's answer.
pub(crate) fn member<R: Managed>() -> String {
    R::COLLECTION.replace('-', "_")
}

/// `event_type`.
pub(crate) fn singular<R: Managed>() -> String {
    R::KIND.as_str().replace('-', "_")
}

/// `event types`.
pub(crate) fn plural<R: Managed>() -> String {
    R::COLLECTION.replace('-', " ")
}

/// `an event type`.
pub(crate) fn a<R: Managed>() -> String {
    let noun = R::KIND.noun();
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// An operation of each method of a path.
pub(crate) fn paths<const N: usize>(path: &str, operations: [(Method, Value); N]) -> Paths {
    let mut item = PathItem::default();
    for (method, mut document) in operations {
        document["tags"] = json!([TAG]);
        document["responses"]["403"] = text(SCOPE);
        if path.starts_with(FLEET) {
            of_the_fleet(&mut document);
        }
        let operation: Operation = typed(document);
        let method = match method {
            Method::POST => HttpMethod::Post,
            Method::PUT => HttpMethod::Put,
            Method::PATCH => HttpMethod::Patch,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        item.merge_operations(PathItem::new(method, operation));
    }
    let mut paths = Paths::new();
    paths.paths.insert(path.to_owned(), item);
    paths
}

/// What is said of a tenant's, said of the fleet's: `create_role` becomes `create_fleet_role`, and there is no tenant.
fn of_the_fleet(document: &mut Value) {
    let changed = |id: &str| id.replacen('_', "_fleet_", 1);
    let id = document["operationId"].as_str().map(changed);
    document["operationId"] = id.into();
    let summary = document["summary"].as_str().map(|text| format!("{text} of the fleet"));
    document["summary"] = summary.into();
    if let Some(parameters) = document["parameters"].as_array_mut() {
        parameters.retain(|parameter| parameter["name"] != "tenant");
    }
    document["responses"]["403"] = text(FLEET_SCOPE);
}

/// The kind's own schema and those it refers to.
pub(crate) fn schemas<R: Managed>() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = Vec::new();
    <R::Spec as ToSchema>::schemas(&mut schemas);
    let mut schema = <R::Spec as PartialSchema>::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        for (name, property) in beside_the_spec::<R>() {
            object.properties.insert(name.to_owned(), typed(property));
        }
    }
    schemas.push((R::SCHEMA.to_owned(), schema));
    schemas
}

/// The members that a resource has besides those that a caller writes.
fn beside_the_spec<R: Managed>() -> Vec<(&'static str, Value)> {
    let revision = json!({"type": "integer", "format": "int64", "minimum": 0, "readOnly": true,
        "description": "What `If-Match` expects, as the `ETag` has it."});
    let mut members = vec![
        ("revision", revision),
        ("created_at", set_by_the_fleet("When it was made, RFC 3339.")),
        ("updated_at", set_by_the_fleet("When it was last written, RFC 3339.")),
        ("deleted_at", set_by_the_fleet("When it was deleted, RFC 3339; only of deleted ones.")),
    ];
    if is_a_tenants::<R>() {
        members.push(("tenant", set_by_the_fleet("Whose it is.")));
    }
    if R::ID_IS_CHOSEN {
        let text =
            "Its id, unique within its list. Needed where one is made by POST; elsewhere the path has it.";
        members.push((R::ID, json!({"type": "string", "description": text})));
    } else {
        members.push((R::ID, set_by_the_fleet("Its id.")));
    }
    if let Some((name, what)) = R::SHOWN_ONCE {
        members.push((name, set_by_the_fleet(&format!("{what}: only in the answer to who made it."))));
    }
    members
}

/// What is written here as JSON, as the part of a document that it is.
#[expect(clippy::expect_used, reason = "a mistake in this file, which every start and every test would show")]
fn typed<T: DeserializeOwned>(document: Value) -> T {
    serde_json::from_value(document).expect("a part of an OpenAPI document")
}

fn set_by_the_fleet(description: &str) -> Value {
    json!({"type": "string", "readOnly": true, "description": description})
}

/// The parameters of a path and these.
pub(crate) fn parameters<R: Managed>(others: &[Value], of_one: bool) -> Vec<Value> {
    let mut parameters = Vec::new();
    let path = |name: &str, description: &str| json!({"name": name, "in": "path", "required": true, "description": description, "schema": {"type": "string"}});
    if is_a_tenants::<R>() || (is_tenant::<R>() && of_one) {
        parameters.push(path("tenant", "The tenant's id."));
    }
    if !is_tenant::<R>() && of_one {
        parameters.push(path("id", "Its id, percent-encoded."));
    }
    parameters.extend_from_slice(others);
    parameters
}

/// A parameter of the query.
pub(crate) fn query(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": {"type": "string"}})
}

/// `dry_run`.
pub(crate) fn dry_run() -> Value {
    query("dry_run", "`true`: nothing is written; the answer is what would be, or why not.")
}

/// A parameter of the query that may be given several times.
pub(crate) fn queries(name: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "query", "required": false, "description": description,
        "schema": {"type": "array", "items": {"type": "string"}},
    })
}

/// How many.
pub(crate) fn limit() -> Value {
    json!({
        "name": "limit", "in": "query", "required": false, "description": "Most in the page; 100 by default.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000},
    })
}

fn header(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "header", "required": false, "description": description, "schema": {"type": "string"}})
}

/// `If-Match`.
pub(crate) fn if_match() -> Value {
    header("If-Match", "The `ETag` it must have, or `*`: it must be there.")
}

/// `If-None-Match`.
pub(crate) fn if_none_match() -> Value {
    header("If-None-Match", "`*`: it must not be there.")
}

/// `Idempotency-Key`.
pub(crate) fn idempotency_key() -> Value {
    header(
        "Idempotency-Key",
        "At most 255 bytes, in quotes or without. The same key with the same body is answered the same, for a day.",
    )
}

/// The body of a request.
pub(crate) fn body<R: Managed>(media_type: &str) -> Value {
    json!({"required": true, "content": {media_type: {"schema": reference::<R>()}}})
}

/// An answer with one.
pub(crate) fn answer<R: Managed>(description: &str, made: bool) -> Value {
    let mut headers = json!({"etag": {"description": "Its revision.", "schema": {"type": "string"}}});
    if made {
        headers["location"] = json!({"description": "Its path.", "schema": {"type": "string"}});
    }
    json!({
        "description": description, "headers": headers,
        "content": {"application/json": {"schema": reference::<R>()}},
    })
}

/// An answer with some.
pub(crate) fn page<R: Managed>() -> Value {
    let member = member::<R>();
    json!({"description": "One page.", "content": {"application/json": {"schema": {
        "type": "object", "required": [member],
        "properties": {
            member: {"type": "array", "items": reference::<R>()},
            "next_cursor": {"type": "string", "description": "For the next page; absent at the end."},
        },
    }}}})
}

/// An answer of which only the status matters.
pub(crate) fn text(description: &str) -> Value {
    json!({ "description": description })
}

fn reference<R: Managed>() -> Value {
    json!({"$ref": format!("#/components/schemas/{}", R::SCHEMA)})
}
