//! What a parameter of a name may be, wherever it stands. The handlers read each name in one way (`params.rs`), so the document
//! says it in one place: precise enough that whatever it allows is taken.

use model::resource::OWN_METERS;
use serde_json::{Value, json};
use store::METERS;
use utoipa::openapi::path::Operation;

use crate::{
    control::{audit_log::OUTCOMES, select::SORTS},
    endpoints::{AGGREGATIONS, FORMATS, GROUPINGS, ORDERS, WIDTHS},
};

/// An RFC 3339 time that can be told in microseconds since 1970.
const TIME: &str = "^(19[7-9][0-9]|2[0-1][0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])$";
/// What may stand in a header (RFC 9110, section 5.5).
const HEADER: &str = "^[!-~]+$";

/// Says of each parameter of an operation what it may be, here or at a door.
pub(super) fn complete(operation: &mut Operation, at_a_door: bool) {
    let Some(parameters) = &mut operation.parameters else { return };
    for parameter in parameters {
        let Ok(mut document) = serde_json::to_value(&*parameter) else { continue };
        let place = document["in"].as_str().unwrap_or_default().to_owned();
        let name = document["name"].as_str().unwrap_or_default().to_owned();
        let schema = &mut document["schema"];
        never_null(schema);
        let list = schema["type"] == "array";
        let one = if list { &mut schema["items"] } else { &mut *schema };
        if one["type"] == "string" {
            let says = match &*name {
                // Doors pass over what they cannot use.
                _ if at_a_door && place == "header" && name != "Content-Encoding" => {
                    Some(json!({"type": "string"}))
                }
                _ => said(&place, &name),
            };
            let says = says.unwrap_or_else(|| json!({"type": "string", "minLength": 1}));
            *one = says;
        }
        if list {
            schema["maxItems"] = json!(crate::params::VALUES_MAX);
        }
        if let Ok(complete) = serde_json::from_value(document) {
            *parameter = complete;
        }
    }
}

/// What is left out is absent: there is no null in a query, a path or a header.
fn never_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array_mut() {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
}

fn one_of<const N: usize>(words: [&str; N]) -> Value {
    json!({"type": "string", "enum": words.as_slice()})
}

/// The word of a choice.
fn first<T>((word, _): (&'static str, T)) -> &'static str {
    word
}

/// The fleet's meters and those of a tenant's own.
fn meter() -> String {
    let names: Vec<_> = METERS.iter().map(|meter| meter.name).collect();
    format!("^({}|{OWN_METERS}[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?)$", names.join("|"))
}

fn said(place: &str, name: &str) -> Option<Value> {
    let like = |pattern: &str| json!({"type": "string", "pattern": pattern});
    Some(match (place, name) {
        ("query", "all" | "deleted" | "dry_run") => json!({"type": "boolean"}),
        ("query", "since" | "until") => json!({"type": "string", "format": "date-time", "pattern": TIME}),
        ("query", "order") => one_of(ORDERS.map(first)),
        ("query", "outcome") => one_of(OUTCOMES),
        ("query", "bucket") => one_of(WIDTHS.map(first)),
        ("query", "aggregation") => one_of(AGGREGATIONS.map(first)),
        ("query", "group_by") => one_of(GROUPINGS.map(first)),
        ("query", "format") => one_of(FORMATS.map(first)),
        ("query", "period") => like("^(19[7-9][0-9]|2[0-9]{3})-(0[1-9]|1[0-2])$"),
        ("query", "meter") => like(&meter()),
        ("query", "customer") => like("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
        ("query", "time_zone") => like("^[A-Za-z][A-Za-z0-9+/_-]{0,63}$"),
        ("query", "sort") => one_of(SORTS.map(first)),
        ("query", "label") => like("^!?[^!=]+$|^[^!=]+!?=[^=]*$"),
        ("query", "stage" | "code") => like("^[A-Za-z0-9_-]{1,64}$"),
        ("query", "cursor") => like("^[A-Za-z0-9_-]+$"),
        ("query", "start") => like(&format!("^new$|^(0|[1-9][0-9]{{0,17}})$|{TIME}")),
        ("header", "If-Match") => like("^(\\*|\"[1-9][0-9]{0,17}\")$"),
        ("header", "If-None-Match") => one_of(["*"]),
        ("header", "Idempotency-Key") => json!({"type": "string", "pattern": HEADER, "maxLength": 255}),
        ("header", "last-event-id") => like("^(0|[1-9][0-9]{0,17})$"),
        // One that is not valid is not taken over (W3C Trace Context, section 3.2).
        ("header", "traceparent") => json!({"type": "string"}),
        // One that is empty says none (RFC 9110, section 5.6.1.2).
        ("header", "Content-Encoding") => one_of(["", "gzip", "x-gzip", "zstd", "identity"]),
        ("header", _) => like(HEADER),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::{control::select::SORTS, openapi::openapi};

    #[test]
    fn no_parameter_may_be_null_or_empty() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut seen = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let schema = &parameter["schema"];
                    let one = if schema["type"] == "array" { &schema["items"] } else { schema };
                    let told = ["minLength", "pattern", "enum"].iter().any(|word| one.get(word).is_some());
                    assert!(one["type"].is_string(), "{method} {path}: {parameter}");
                    assert!(told || one["type"] != "string", "{method} {path}: {parameter}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn every_order_of_a_list_is_told() {
        let sort = super::said("query", "sort").unwrap();
        assert_eq!(sort["enum"].as_array().unwrap().len(), SORTS.len());
    }
}
