//! What the documentation says of every endpoint alike.

mod parameters;

use serde::Serialize;
use utoipa::{
    OpenApi, ToSchema,
    openapi::{
        ContentBuilder, Ref, RefOr, ResponseBuilder, SecurityRequirement,
        path::{HttpMethod, Operation},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{
    control::docs::SCOPE,
    endpoints::{self, AuditRecord, InvitationView, SessionView},
    people::browser::ACCESS,
    seed,
};

/// The OpenAPI 3.1 document of this service.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    complete(endpoints::router().into_openapi())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "EventRunner API",
        description = "Reading events back, following them, dead letters and usage; tenants and what is theirs.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemDoc, FieldErrorDoc, AuditRecord, InvitationView, SessionView, seed::Failure)),
    tags(
        (name = "events", description = "A tenant's events: stored ones, and as they come."),
        (name = "dead letters", description = "Events that could not go on."),
        (name = "resources", description = "The catalog: tenants, and what is theirs."),
        (name = "people", description = "Who calls: passwords, sessions, and what is one's own."),
        (name = "audit", description = "What was done to the catalog, and what was refused."),
        (name = "usage", description = "What a tenant has used."),
        (name = "billing", description = "What it owes for that."),
        (name = "health", description = "Whether the service works."),
        (name = "seed", description = "For clients of the seed, EventRunner in Go: docs/moving/eventrunner.md."),
    ),
)]
struct Base;

/// An error (RFC 9457), as `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
struct ProblemDoc {
    /// The page about the code.
    r#type: String,
    /// The same for each occurrence of the code.
    title: String,
    /// The HTTP status.
    status: u16,
    /// This occurrence.
    detail: String,
    /// The path of the request.
    #[schema(nullable = false)]
    instance: Option<String>,
    /// The error code.
    #[schema(example = "not_found")]
    code: String,
    /// The trace of the request, for support.
    #[schema(nullable = false)]
    trace_id: Option<String>,
    /// The values at fault.
    #[schema(nullable = false)]
    errors: Option<Vec<FieldErrorDoc>>,
}

/// One value at fault.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldError)]
struct FieldErrorDoc {
    /// Where it is: a JSON pointer into the body, `query:<name>` or `header:<name>`.
    pointer: String,
    /// What is wrong with it.
    detail: String,
}

/// Adds to each operation what holds for all: the errors, and the keys.
fn complete(endpoints: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let mut whole = Base::openapi();
    whole.merge(endpoints);
    let components = whole.components.get_or_insert_default();
    let bearer =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("er_<key id>_<secret>").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let header = ApiKey::Header(ApiKeyValue::new("x-api-key"));
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        ACCESS,
        "The access token of who logged in with `cookie`. What changes something takes the header `X-CSRF-Token` too.",
    ));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    for (method, operation) in operations(&mut whole) {
        parameters::complete(operation, false);
        complete_operation(&method, operation);
    }
    whole
}

/// Says of each parameter of a door's document what it may be, as [`openapi`] does: its words mean the same.
pub fn complete_parameters(document: &mut utoipa::openapi::OpenApi) {
    for (_, operation) in operations(document) {
        parameters::complete(operation, true);
    }
}

fn operations(document: &mut utoipa::openapi::OpenApi) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    document.paths.paths.values_mut().flat_map(|item| {
        let methods = [
            (HttpMethod::Get, item.get.as_mut()),
            (HttpMethod::Post, item.post.as_mut()),
            (HttpMethod::Put, item.put.as_mut()),
            (HttpMethod::Patch, item.patch.as_mut()),
            (HttpMethod::Delete, item.delete.as_mut()),
        ];
        methods.into_iter().filter_map(|(method, operation)| Some((method, operation?)))
    })
}

fn complete_operation(method: &HttpMethod, operation: &mut Operation) {
    // An operation without a key says so itself.
    if operation.security.is_some() {
        return;
    }
    let none: [&str; 0] = [];
    let schemes = ["bearer", "api_key", "cookie"];
    operation.security = Some(schemes.map(|scheme| SecurityRequirement::new(scheme, none)).to_vec());
    let tagged = |tags: &[&str]| operation.tags.iter().flatten().any(|tag| tags.contains(&&**tag));
    let control = tagged(&["audit", "billing", "resources", "people", "seed"]);
    let (failure, media_type) = if tagged(&["seed"]) {
        ("SeedFailure", "application/json")
    } else {
        ("Problem", "application/problem+json")
    };
    let scope = if *method == HttpMethod::Get { "read" } else { "write" };
    let forbidden = format!("The key has not the scope `{scope}`, or is another tenant's.");
    let errors = [
        ("400", "A parameter has an impossible value.".to_owned()),
        ("401", "The key is missing or nobody's.".to_owned()),
        ("403", if control { SCOPE.to_owned() } else { forbidden }),
        ("404", "There is no such thing, or not for this tenant.".to_owned()),
        ("503", "The broker or a store does not answer; try again.".to_owned()),
    ];
    let responses = &mut operation.responses.responses;
    for (status, description) in errors {
        let response = ResponseBuilder::new().description(description).build();
        responses.entry(status.to_owned()).or_insert_with(|| response.into());
    }
    // Whatever error an operation has of its own is a problem too.
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let RefOr::T(response) = response {
            let schema = Ref::from_schema_name(failure);
            let content = ContentBuilder::new().schema(Some(RefOr::Ref(schema))).build();
            response.content.insert(media_type.to_owned(), content.into());
        }
    }
}
