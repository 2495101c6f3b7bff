//! What is proved, what is not, and what is said then.

use compat::takes_all;
use serde_json::{Value, json};

/// The place and the reason, or nothing.
fn said(wide: &Value, narrow: &Value) -> String {
    match takes_all(wide, narrow) {
        Ok(()) => String::new(),
        Err(fault) => format!("{} {}", fault.pointer, fault.reason),
    }
}

#[test]
fn what_takes_all_of_another() {
    let person = json!({
        "type": "object", "required": ["name", "age"], "additionalProperties": false,
        "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "minimum": 0}},
    });
    let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {
        "type": "object", "properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}},
    }}});
    let mut described = tree.clone();
    described["description"] = json!("a tree");
    for (wide, narrow) in [
        (json!(true), json!({"type": "string"})),
        (json!({}), json!(true)),
        (json!({"type": "string"}), json!(false)),
        (person.clone(), person.clone()),
        (json!({"type": "object", "required": ["name"]}), person.clone()),
        (
            json!({"properties": {"age": {"type": "number", "minimum": -1}}, "minProperties": 2}),
            person.clone(),
        ),
        (json!({"properties": {"size": {"type": "string"}}}), person.clone()),
        (json!({"additionalProperties": {"type": ["string", "integer"]}}), person),
        (described, tree),
        (json!({"type": ["number", "null"]}), json!({"enum": [1, null]})),
        (json!({"enum": ["a", "b", "c"]}), json!({"enum": ["c", "a"]})),
        (json!({"enum": ["a", "b"]}), json!({"const": "b"})),
        (json!({"type": "integer"}), json!({"enum": [1, 2]})),
        (json!({"multipleOf": 2}), json!({"type": "integer", "multipleOf": 6})),
        (json!({"exclusiveMinimum": 1}), json!({"minimum": 2})),
        (json!({"maximum": 9_007_199_254_740_993_u64}), json!({"maximum": 9_007_199_254_740_993_u64})),
        (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), json!({"type": "string"})),
        (json!({"type": ["string", "integer"]}), json!({"oneOf": [{"type": "integer"}, {"type": "string"}]})),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}),
            json!({"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 3}]}),
        ),
        (json!({"maxLength": 5}), json!({"allOf": [{"type": "string"}, {"maxLength": 4}]})),
        (
            json!({"items": {"type": "number"}}),
            json!({"prefixItems": [{"type": "integer"}], "items": {"type": "number"}}),
        ),
        (json!({"prefixItems": [{"type": "number"}]}), json!({"items": {"type": "integer"}})),
        (json!({"maxItems": 3, "uniqueItems": false}), json!({"maxItems": 3})),
        (
            json!({"propertyNames": {"type": "string", "maxLength": 9}}),
            json!({"propertyNames": {"maxLength": 8}}),
        ),
        (json!({"minLength": 3, "x-note": 1}), json!({"type": "integer"})),
        (
            json!({"not": {"type": "null"}, "format": "uri"}),
            json!({"not": {"type": "null"}, "format": "uri", "minLength": 1}),
        ),
    ] {
        assert_eq!(said(&wide, &narrow), "", "{wide} of {narrow}");
    }
}

fn assert_says(cases: &[(Value, Value, &str)]) {
    for (wide, narrow, expected) in cases {
        let said = said(wide, narrow);
        assert!(
            said.contains(expected) && !said.is_empty(),
            "{wide} of {narrow}: {said:?}, not {expected:?}"
        );
    }
}

#[test]
fn what_does_not_says_where_and_why() {
    assert_says(&[
        (json!(false), json!({}), " takes nothing"),
        (json!({"type": "string"}), json!({}), "/type takes no null"),
        (json!({"type": "integer"}), json!({"type": "number"}), "/type takes no number"),
        (
            json!({"required": ["a", "b"]}),
            json!({"required": ["a"]}),
            "/required `b` is required on this side only",
        ),
        (
            json!({"properties": {"a": {"type": "string"}}}),
            json!({"properties": {"a": {"type": "integer"}}}),
            "/properties/a/type takes no integer",
        ),
        (
            json!({"properties": {"a/b": {"type": "string"}}}),
            json!({}),
            "/properties/a~1b/type takes no null",
        ),
        (
            json!({"additionalProperties": false}),
            json!({"properties": {"a": {}}, "additionalProperties": false}),
            "/additionalProperties `a`, which is known on the other side only, is not taken",
        ),
        (json!({"additionalProperties": false}), json!({}), "/additionalProperties takes nothing"),
        (json!({"enum": ["a"]}), json!({"enum": ["a", "b"]}), "/enum does not take \"b\""),
        (json!({"enum": ["a"]}), json!({"type": "string"}), "/enum takes these values only"),
        (json!({"minimum": 1}), json!({"minimum": 0}), "/minimum of 1 is narrower"),
        (
            json!({"minimum": 9_007_199_254_740_993_u64}),
            json!({"minimum": 9_007_199_254_740_992_u64}),
            "/minimum of 9007199254740993 is narrower",
        ),
        (json!({"exclusiveMinimum": 1}), json!({"minimum": 1}), "/exclusiveMinimum of 1 is narrower"),
        (json!({"multipleOf": 4}), json!({"multipleOf": 2}), "/multipleOf of 4 is narrower"),
        (json!({"pattern": "^a"}), json!({"pattern": "^ab"}), "/pattern of \"^a\" is narrower"),
        (json!({"items": {"type": "string"}}), json!({"items": {}}), "/items/type takes no null"),
        (
            json!({"items": {"type": "string"}}),
            json!({"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}),
            "/items/type takes no integer",
        ),
        (json!({"uniqueItems": true}), json!({}), "/uniqueItems of true is narrower"),
    ]);
}

#[test]
fn what_cannot_be_compared_says_so() {
    let defs = |ty: &str| json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": ty}}});
    assert_says(&[
        (json!({"anyOf": [{"type": "string"}]}), json!({"type": "integer"}), "/anyOf has no alternative"),
        (
            json!({"type": "string"}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            "/type takes no null",
        ),
        (
            json!({"oneOf": [{"type": "string"}]}),
            json!({"type": "string"}),
            "/oneOf is not on the other side",
        ),
        (json!({"format": "uri"}), json!({"format": "email"}), "/format is not on the other side"),
        (
            json!({"unevaluatedProperties": false}),
            json!({"unevaluatedProperties": false, "properties": {"a": {}}}),
            "/unevaluatedProperties is not on the other side",
        ),
        (json!({"patternProperties": {"^a": {"type": "string"}}}), json!({}), "/patternProperties is not on"),
        (
            json!({"properties": {"a": {"type": "string"}}}),
            json!({"patternProperties": {"^b": {}}, "additionalProperties": {"type": "string"}}),
            "/properties/a/type takes no null",
        ),
        (defs("string"), defs("integer"), "/$ref/type takes no integer"),
        (json!({"$ref": "https://x.example/s"}), json!({}), "/$ref refers to what is not in the schema"),
        (json!({"$ref": "#"}), json!({"type": "string"}), "is too deep, refers to itself"),
        (json!({"type": "string"}), json!({"$ref": "#"}), "references that are too many, or a circle"),
    ]);
}

/// A part with a base of its own has references of its own.
#[test]
fn references_below_another_base_prove_nothing() {
    let schema = json!({
        "properties": {"a": {"$id": "https://x.example/a", "$ref": "#/$defs/t", "$defs": {"t": {"type": "null"}}}},
        "$defs": {"t": {"type": "string"}},
    });
    let strings = json!({"properties": {"a": {"type": "string"}}});
    assert!(takes_all(&strings, &schema).is_err(), "it is null there");
    assert!(takes_all(&schema, &strings).is_err());
}
