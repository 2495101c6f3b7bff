//! Whatever the mapping and the request: no panic, and the two steps agree.
#![expect(clippy::unwrap_used, reason = "test")]

use bytes::Bytes;
use mapping::{Mapping, MappingSpec, Pairs, Raw};
use model::{Text, resource::Source};
use proptest::prelude::*;
use serde_json::json;

const PIECES: [&str; 32] = [
    "${",
    "}",
    "$${",
    "$",
    "body",
    "header",
    "query",
    ".a",
    ".b-c",
    "['x y']",
    "[0]",
    "[1",
    "'",
    "''",
    "??",
    " ?? ",
    "(",
    ")",
    ",",
    "lower(",
    "concat(",
    "match(",
    "replace(",
    "unix(",
    "unix_ms(",
    "time(",
    "'k'",
    "é",
    ".x-id",
    "\n",
    "${body.a ?? 'z'}",
    "${concat(body.a, query.a, header.x-id)}",
];

/// Text that is often almost a template, and sometimes one.
fn template() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(0..PIECES.len(), 0..12)
            .prop_map(|at| at.into_iter().map(|i| PIECES[i]).collect::<String>()),
        ".{0,40}",
        expression().prop_map(|e| format!("${{{e}}}")),
    ]
}

/// A valid expression.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("body".to_owned()),
        "(\\.[a-c]|\\[[0-2]\\]){1,4}".prop_map(|path| format!("body{path}")),
        "[a-c]".prop_map(|name| format!("query.{name}")),
        Just("header.x-id".to_owned()),
        "'[a-z./]{0,5}'",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} ?? {b}")),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|a| format!("concat({})", a.join(", "))),
            proptest::collection::vec(inner.clone(), 3..6).prop_map(|a| format!("match({})", a.join(", "))),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("replace({a}, {b}, {c})")),
            (prop_oneof!["lower", "time", "unix", "unix_ms"], inner).prop_map(|(f, a)| format!("{f}({a})")),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,11})(\\.[0-9]{1,3})?(e[0-9]{1,3})?",
        ".{0,12}".prop_map(|s| serde_json::to_string(&s).unwrap()),
    ];
    let value = leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            proptest::collection::vec(("[a-c]", inner), 0..5).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    prop_oneof![
        4 => value.clone().prop_map(String::into_bytes),
        1 => (value, any::<prop::sample::Index>()).prop_map(|(v, at)| {
            let mut bytes = v.into_bytes();
            bytes.truncate(at.index(bytes.len() + 1));
            bytes
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..64),
        1 => "([a-c]=[a-z%+0-9]{0,6}&?){0,4}".prop_map(String::into_bytes),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = prop_oneof![
        Just("content-type"),
        Just("idempotency-key"),
        Just("X-Id"),
        Just("authorization"),
        Just("x-other")
    ];
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        Just(b"application/json".to_vec()),
        Just(b"application/x-www-form-urlencoded".to_vec()),
        Just(b"\"quoted\"".to_vec()),
    ];
    proptest::collection::vec((name.prop_map(str::to_owned), value), 0..5)
}

fn compile(spec: &serde_json::Value) -> Option<Mapping> {
    let source = json!({"tenant": "t", "system": "s", "id": "i", "mapping": spec});
    Mapping::compile(&serde_json::from_value::<Source>(source).unwrap()).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_steps_agree(
        templates in proptest::collection::vec(template(), 7),
        headers in headers(),
        query in ".{0,24}",
        body in body(),
    ) {
        let [id, source, key, ty, subject, time, extension] = &templates[..] else { unreachable!() };
        // Each alone too, so that one invalid template does not hide the others.
        let all = json!({"id": [id, "idempotency-key"], "source": source, "partition_key": key, "type": ty,
            "subject": subject, "time": time, "extensions": {"x": extension}});
        let alone = all.as_object().unwrap().iter().map(|(n, v)| json!({n.clone(): v}));
        for spec in std::iter::once(all.clone()).chain(alone) {
            let Some(mapping) = compile(&spec) else { continue };
            let body = Bytes::from(body.clone());
            let pairs = |h: &(String, Vec<u8>)| -> (String, Vec<u8>) { h.clone() };
            let kept: Vec<_> =
                headers.iter().filter(|(n, _)| mapping.keeps(&n.to_ascii_lowercase())).map(pairs).collect();
            let door = Pairs::new(&headers, |(n, v)| (n.as_bytes(), v));
            let later = Pairs::new(&kept, |(n, v)| (n.as_bytes(), v));
            let at_door = Raw::new(&door, &query, &body);
            let at_normalizer = Raw::new(&later, &query, &body);
            let identity = mapping.identify(&at_door, || Text::from_static("new"));
            prop_assert_eq!(&identity, &mapping.identify(&at_normalizer, || Text::from_static("new")));
            let at_once = mapping.apply(&at_door, &identity, 0);
            let event = mapping.apply(&at_normalizer, &identity, 0);
            prop_assert_eq!(&at_once, &event);
            match event {
                Ok(event) => {
                    prop_assert_eq!(event.id(), &identity.id);
                    prop_assert_eq!(event.source(), &identity.source);
                    prop_assert_eq!(event.partition_key(), identity.partition_key.as_deref());
                    prop_assert_eq!(event.data().map_or(&b""[..], |d| d.as_bytes()), &body[..]);
                }
                // Never for want of an identity: that part cannot fail.
                Err(error) => prop_assert!(
                    ["/mapping/type", "/mapping/subject", "/mapping/time", "/mapping/extensions/x"]
                        .contains(&&*error.pointer), "{}", error),
            }
        }
    }

    #[test]
    fn without_a_mapping_nothing_is_an_error(headers in headers(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mapping = compile(&json!({})).unwrap();
        let body = Bytes::from(body);
        let pairs = Pairs::new(&headers, |(n, v)| (n.as_bytes(), v));
        let raw = Raw::new(&pairs, "", &body);
        let identity = mapping.identify(&raw, || Text::from_static("new"));
        prop_assert!(mapping.apply(&raw, &identity, 0).is_ok());
    }

    /// A path finds what a whole parse finds.
    #[test]
    fn paths_agree_with_a_whole_parse(body in body(), steps in proptest::collection::vec(prop_oneof!["[a-c]", "[0-2]"], 0..4)) {
        let mut path = String::from("body");
        for step in &steps {
            let index = step.parse::<usize>().is_ok();
            path.push_str(&if index { format!("[{step}]") } else { format!(".{step}") });
        }
        let mapping = compile(&json!({"id": format!("${{{path}}}")})).unwrap();
        let bytes = Bytes::from(body);
        let none: Pairs<'_, ()> = Pairs::new(&[], |()| (b"", b""));
        let id = mapping.identify(&Raw::new(&none, "", &bytes), || Text::from_static("")).id;
        let whole: Option<serde_json::Value> = std::str::from_utf8(&bytes).ok().and_then(|s| serde_json::from_str(s).ok());
        let found = whole.as_ref().and_then(|whole| steps.iter().try_fold(whole, |value, step| match step.parse::<usize>() {
            Ok(index) => value.as_array()?.get(index),
            Err(_) => value.as_object()?.get(step),
        }));
        let expected = match found {
            Some(serde_json::Value::String(s)) if !s.chars().any(|c| c.is_control() || matches!(u32::from(c) & 0xFFFE, 0xFFFE)) => s.clone(),
            Some(serde_json::Value::Bool(b)) => b.to_string(),
            // Numbers keep their text, which a parsed value does not: only that there is one is compared.
            Some(serde_json::Value::Number(_)) => { prop_assert!(!id.is_empty()); return Ok(()) }
            // Numbers out of range are fine for a path and fail a whole parse.
            None if whole.is_none() => return Ok(()),
            _ => String::new(),
        };
        prop_assert_eq!(&*id, expected);
    }

    #[test]
    fn any_json_is_a_spec_or_refused(spec in ".{0,60}") {
        if let Ok(value) = serde_json::from_str(&spec) {
            drop(MappingSpec::from_value(&value));
        }
        drop(compile(&json!({"type": spec})));
    }
}
