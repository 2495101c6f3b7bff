//! Whatever is proved holds for values: those that follow the narrow schema follow the wide one.

use std::cell::Cell;

use compat::takes_all;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Map, Value, json};

/// Few names and few values, so that schemas and values meet.
fn scalar() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..6).prop_map(Value::from),
        (-6_i32..12).prop_map(|n| json!(f64::from(n) / 2.0)),
        "[ab]{0,3}".prop_map(Value::from),
    ]
    .boxed()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("ab".to_owned()), Just("c".to_owned())]
}

fn value() -> BoxedStrategy<Value> {
    scalar()
        .prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name(), inner, 0..4)
                    .prop_map(|m| Value::Object(Map::from_iter(m))),
            ]
        })
        .boxed()
}

fn ty() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["null", "boolean", "object", "array", "number", "integer", "string"])
}

/// One keyword with what stands under it.
fn keyword(inner: BoxedStrategy<Value>, refers: bool) -> BoxedStrategy<(String, Value)> {
    let some = prop::collection::vec(inner.clone(), 1..3).boxed();
    let named = prop::collection::btree_map(name(), inner.clone(), 1..3)
        .prop_map(|m| Value::Object(Map::from_iter(m)))
        .boxed();
    let small = || (0_u64..4).prop_map(Value::from);
    let number = || {
        prop_oneof![(-3_i64..6).prop_map(Value::from), (-6_i32..12).prop_map(|n| json!(f64::from(n) / 2.0))]
    };
    let of = |name: &'static str, values: BoxedStrategy<Value>| {
        values.prop_map(move |v| (name.to_owned(), v)).boxed()
    };
    let patterns = (prop_oneof![Just("^a"), Just("b$")], inner.clone()).prop_map(|(p, s)| json!({p: s}));
    let plain = prop_oneof![
        4 => prop_oneof![
            of("type", ty().prop_map(Value::from).boxed()),
            of("type", prop::collection::btree_set(ty(), 1..4).prop_map(|s| json!(s)).boxed()),
        ],
        4 => prop_oneof![of("properties", named), of("additionalProperties", inner.clone())],
        2 => prop_oneof![
            of("required", prop::collection::btree_set(name(), 1..3).prop_map(|s| json!(s)).boxed()),
            of("minProperties", small().boxed()),
            of("maxProperties", small().boxed()),
            of("propertyNames", inner.clone()),
            of("patternProperties", patterns.boxed()),
        ],
        2 => prop_oneof![
            of("items", inner.clone()),
            of("prefixItems", some.clone().prop_map(Value::from).boxed()),
            of("minItems", small().boxed()),
            of("maxItems", small().boxed()),
            of("uniqueItems", any::<bool>().prop_map(Value::from).boxed()),
            of("contains", inner.clone()),
        ],
        2 => prop_oneof![
            of("minimum", number().boxed()),
            of("maximum", number().boxed()),
            of("exclusiveMinimum", number().boxed()),
            of("exclusiveMaximum", number().boxed()),
            of("multipleOf", (1_u64..5).prop_map(Value::from).boxed()),
            of("multipleOf", (1_i32..5).prop_map(|n| json!(f64::from(n) / 2.0)).boxed()),
        ],
        1 => prop_oneof![
            of("minLength", small().boxed()),
            of("maxLength", small().boxed()),
            of("pattern", prop_oneof![Just("^a"), Just("b$")].prop_map(Value::from).boxed()),
        ],
        2 => prop_oneof![
            of("enum", prop::collection::vec(value(), 1..4).prop_map(Value::from).boxed()),
            of("const", value()),
        ],
        2 => prop_oneof![
            of("allOf", some.clone().prop_map(Value::from).boxed()),
            of("anyOf", some.clone().prop_map(Value::from).boxed()),
            of("oneOf", some.prop_map(Value::from).boxed()),
            of("not", inner.clone()),
            of("if", inner.clone()),
            of("then", inner.clone()),
            of("unevaluatedProperties", inner.clone()),
            of("unevaluatedItems", inner),
        ],
    ];
    if !refers {
        return plain.boxed();
    }
    let to = prop_oneof![Just("#/$defs/x"), Just("#/$defs/y")];
    prop_oneof![9 => plain, 1 => to.prop_map(|to| ("$ref".to_owned(), json!(to)))].boxed()
}

/// Definitions refer to nothing, so that there are no circles, which a validator would follow for ever.
fn schema(refers: bool) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        1 => Just(json!(true)),
        1 => Just(json!(false)),
        4 => ty().prop_map(|ty| json!({ "type": ty })),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop::collection::vec(keyword(inner.boxed(), refers), 1..4)
            .prop_map(|all| Value::Object(Map::from_iter(all)))
    })
    .boxed()
}

fn document() -> BoxedStrategy<Value> {
    (schema(true), schema(false), schema(false))
        .prop_map(|(mut root, x, y)| {
            if let Value::Object(root) = &mut root {
                root.insert("$defs".to_owned(), json!({"x": x, "y": y}));
            }
            root
        })
        .boxed()
}

/// The schema with one thing done to it: a keyword put in, taken out or changed, somewhere.
fn changed(mut schema: Value, path: &[prop::sample::Index], with: (String, Value), take: bool) -> Value {
    let mut at = &mut schema;
    for step in path {
        let below: Vec<String> = match &*at {
            Value::Object(object) => object.keys().cloned().collect(),
            Value::Array(items) => (0..items.len()).map(|n| n.to_string()).collect(),
            _ => break,
        };
        if below.is_empty() {
            break;
        }
        let name = step.get(&below).replace('~', "~0").replace('/', "~1");
        let Some(next) = at.pointer_mut(&format!("/{name}")) else { unreachable!() };
        let is_place = next.is_object() || next.is_array();
        if !is_place {
            break;
        }
        // Found again, as the borrow has ended.
        let Some(next) = at.pointer_mut(&format!("/{name}")) else { unreachable!() };
        at = next;
    }
    if let Value::Object(object) = at {
        if take {
            object.remove(&with.0);
        } else {
            object.insert(with.0, with.1);
        }
    }
    schema
}

fn pair() -> BoxedStrategy<(Value, Value)> {
    let change = (
        prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        keyword(schema(false), false),
        any::<bool>(),
    );
    let mutated =
        (document(), prop::collection::vec(change, 1..3), any::<bool>()).prop_map(|(old, changes, swap)| {
            let new =
                changes.into_iter().fold(old.clone(), |s, (path, with, take)| changed(s, &path, with, take));
            if swap { (new, old) } else { (old, new) }
        });
    prop_oneof![3 => mutated, 1 => (document(), document())].boxed()
}

#[test]
fn what_is_proved_holds() {
    let config =
        Config { cases: 2_000, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (proved, witnessed) = (Cell::new(0_u32), Cell::new(0_u32));
    let cases = (pair(), prop::collection::vec(value(), 40));
    let outcome = runner.run(&cases, |((wide, narrow), values)| {
        let compile = |schema| jsonschema::draft202012::new(schema);
        let (Ok(wider), Ok(narrower)) = (compile(&wide), compile(&narrow)) else { return Ok(()) };
        if takes_all(&wide, &narrow).is_err() {
            return Ok(());
        }
        proved.set(proved.get() + 1);
        for value in values {
            if narrower.is_valid(&value) {
                witnessed.set(witnessed.get() + 1);
                prop_assert!(wider.is_valid(&value), "{value} follows {narrow}, and not {wide}");
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    println!("{} pairs of schemas were proved, and {} values looked at", proved.get(), witnessed.get());
    assert!(proved.get() > 100 && witnessed.get() > 1_000, "{} {}", proved.get(), witnessed.get());
}

#[test]
fn it_ends_and_takes_itself() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..500 {
        let schema = document().new_tree(&mut runner).unwrap().current();
        assert_eq!(takes_all(&schema, &schema), Ok(()), "{schema}");
        assert_eq!(takes_all(&json!(true), &schema), Ok(()), "{schema}");
        let other = document().new_tree(&mut runner).unwrap().current();
        let _ = takes_all(&schema, &other);
    }
}
