//! The tools, made of the OpenAPI document: none can be forgotten, or say something else than its operation does.

use std::collections::BTreeMap;

use http::Method;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

/// The argument that is a request's body.
pub(super) const BODY: &str = "body";

/// Operations that take or tell a secret: what a model has read, it may say again.
const WITH_SECRETS: [&str; 5] =
    ["change_password", "create_invitation", "create_key", "create_nats_credential", "create_password_reset"];

/// The tag of operations that others are too, under the paths and in the words of EventRunner in Go.
const SEED: &str = "seed";

/// What descriptions of parameters say to who writes URLs.
const FOR_URLS: &str = ", percent-encoded";

/// Where schemas of the document are, and where those of a tool.
const SCHEMAS: &str = "#/components/schemas/";
const DEFINITIONS: &str = "#/$defs/";

/// An operation: how it is offered, and how it is asked.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) tool: Tool,
    pub(super) method: Method,
    /// With the names of parameters in braces.
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    /// Of the body, if it takes one.
    pub(super) media_type: Option<String>,
    /// The arguments that must be given.
    pub(super) required: Vec<String>,
}

/// A parameter, as the document has it.
#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    #[serde(rename = "in")]
    pub(super) place: Place,
    #[serde(default)]
    description: String,
    #[serde(default)]
    required: bool,
    schema: JsonObject,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// What of the document makes tools.
#[derive(Deserialize)]
struct Document {
    /// By path and lower-case method.
    paths: BTreeMap<String, BTreeMap<String, Described>>,
    components: Components,
}

#[derive(Deserialize)]
struct Components {
    schemas: JsonObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    operation_id: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Vec<Parameter>,
    request_body: Option<RequestBody>,
    responses: BTreeMap<String, Answer>,
    /// The ways to be known, any of which will do; an empty one asks for nothing.
    #[serde(default)]
    security: Vec<JsonObject>,
}

#[derive(Deserialize)]
struct RequestBody {
    content: BTreeMap<String, Content>,
    #[serde(default)]
    required: bool,
}

#[derive(Deserialize)]
struct Content {
    schema: Value,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    content: JsonObject,
}

/// The tools by name: operations that read and, if `writes`, those that change something.
///
/// # Errors
/// If the document is not as it is known here.
pub(super) fn of(document: &OpenApi, writes: bool) -> Result<BTreeMap<String, Operation>, serde_json::Error> {
    let Document { paths, components } = serde_json::from_value(serde_json::to_value(document)?)?;
    let mut tools = BTreeMap::new();
    for (path, operations) in paths {
        for (method, described) in operations {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if described.is_for_models() && (writes || method == Method::GET) {
                let name = described.operation_id.clone();
                tools.insert(name, described.offered(method, path.clone(), &components.schemas));
            }
        }
    }
    Ok(tools)
}

impl Described {
    /// Whether a known caller gets one JSON answer, no secret is in question, and it is not another operation in the seed's words.
    fn is_for_models(&self) -> bool {
        let known = !self.security.is_empty() && self.security.iter().all(|way| !way.is_empty());
        let mut good = self.responses.iter().filter(|(status, _)| status.starts_with('2'));
        let json = good.all(|(_, Answer { content })| {
            content.is_empty() || content.keys().any(|media_type| media_type.ends_with("json"))
        });
        let again = self.tags.iter().any(|tag| tag == SEED);
        known && json && !again && !WITH_SECRETS.contains(&&*self.operation_id)
    }

    fn offered(self, method: Method, path: String, schemas: &JsonObject) -> Operation {
        let Self { operation_id, summary, description, parameters, request_body, .. } = self;
        let mut properties = JsonObject::new();
        let mut required = Vec::new();
        for Parameter { name, description, required: must, schema, .. } in &parameters {
            let mut schema = schema.clone();
            schema.insert("description".to_owned(), description.replace(FOR_URLS, "").into());
            properties.insert(name.clone(), schema.into());
            required.extend(must.then(|| name.clone()));
        }
        let media_type = request_body.and_then(|body| {
            let (media_type, Content { schema }) = body.content.into_iter().next()?;
            properties.insert(BODY.to_owned(), schema);
            required.extend(body.required.then(|| BODY.to_owned()));
            Some(media_type)
        });
        let mut input = JsonObject::new();
        input.insert("type".to_owned(), "object".into());
        input.insert("properties".to_owned(), properties.into());
        input.insert("required".to_owned(), json!(required));
        input.insert("additionalProperties".to_owned(), false.into());
        let mut definitions = JsonObject::new();
        input.values_mut().for_each(|value| embed(value, schemas, &mut definitions));
        if !definitions.is_empty() {
            input.insert("$defs".to_owned(), definitions.into());
        }
        let description = format!("{summary}. {description}");
        let tool = Tool::new(operation_id, description.trim_end().to_owned(), input)
            .with_title(summary)
            .with_annotations(hints(&method));
        Operation { tool, method, path, parameters, media_type, required }
    }
}

/// What a method says of an operation (RFC 9110, section 9.2). Nothing of it reaches beyond the fleet.
fn hints(method: &Method) -> ToolAnnotations {
    ToolAnnotations::new()
        .read_only(method.is_safe())
        .destructive(!method.is_safe() && *method != Method::POST)
        .idempotent(*method != Method::POST)
        .open_world(false)
}

/// Has references point into the tool's own schema, and collects what they point at.
fn embed(value: &mut Value, schemas: &JsonObject, definitions: &mut JsonObject) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(SCHEMAS).map(str::to_owned)
            {
                *reference = format!("{DEFINITIONS}{name}");
                if !definitions.contains_key(&name)
                    && let Some(mut schema) = schemas.get(&name).cloned()
                {
                    // Before its own references, which may lead back to it.
                    definitions.insert(name.clone(), Value::Null);
                    embed(&mut schema, schemas, definitions);
                    definitions.insert(name, schema);
                }
            }
            members.values_mut().for_each(|member| embed(member, schemas, definitions));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| embed(item, schemas, definitions)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn tools(writes: bool) -> BTreeMap<String, Operation> {
        of(&crate::openapi(), writes).unwrap()
    }

    #[test]
    fn every_operation_is_a_tool_but_for_these() {
        let document = serde_json::to_value(crate::openapi()).unwrap();
        let operations = document["paths"].as_object().unwrap().values().flat_map(|item| {
            let first = item.as_object().unwrap().values().filter(|one| one["tags"] != json!([SEED]));
            first.map(|one| one["operationId"].as_str().unwrap().to_owned())
        });
        let tools = tools(true);
        let left_out: BTreeSet<_> = operations.filter(|id| !tools.contains_key(id)).collect();
        let nobody_is_asked_who_they_are = [
            "accept_invitation",
            "create_token",
            "get_alive",
            "get_health",
            "get_public_keys",
            "log_in",
            "redeem_password_reset",
            "refresh_session",
        ];
        let without_end = ["stream_events"];
        let expected = [&nobody_is_asked_who_they_are[..], &without_end, &WITH_SECRETS]
            .concat()
            .into_iter()
            .map(str::to_owned);
        assert_eq!(left_out, expected.collect());
    }

    #[test]
    fn no_tool_takes_or_tells_a_secret_of_ours() {
        let document = serde_json::to_value(crate::openapi()).unwrap();
        for operation in tools(true).values() {
            let method = operation.method.as_str().to_lowercase();
            let described = &document["paths"][&operation.path][&method];
            assert!(!described["description"].to_string().contains("this once"), "{}", operation.tool.name);
            let said = format!("{}{}", described["responses"], operation.tool.schema_as_json_value());
            for secret in [
                "/OneTimeToken\"",
                "/SessionTokens\"",
                "/Token\"",
                "\"password\":",
                "_password\":{\"type\":\"string",
            ] {
                assert!(!said.contains(secret), "{}: {secret}", operation.tool.name);
            }
        }
    }

    #[test]
    fn what_is_offered_by_default_reads() {
        let tools = tools(false);
        assert!(tools.values().all(|operation| operation.method == Method::GET));
        for name in
            ["list_events", "get_event", "get_receipt", "list_dead_letters", "list_subscriptions", "get_me"]
        {
            assert!(tools.contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_schema_stands_alone_and_names_no_argument_twice() {
        for operation in tools(true).values() {
            let schema = operation.tool.schema_as_json_value();
            let compiled = jsonschema::draft202012::new(&schema);
            assert!(compiled.is_ok(), "{}: {:?}", operation.tool.name, compiled.err());
            let arguments = operation.parameters.len() + usize::from(operation.media_type.is_some());
            assert_eq!(schema["properties"].as_object().unwrap().len(), arguments, "{}", operation.tool.name);
        }
    }
}
