//! What a mapping does with requests, and what it refuses to be.
#![expect(clippy::unwrap_used, clippy::type_complexity, reason = "tables of cases")]

use bytes::Bytes;
use mapping::{Identity, InvalidMapping, Mapping, Pairs, Raw, Unmappable};
use model::{CloudEvent, Data, resource::Source};
use serde_json::{Value, json};

fn compile(fields: &Value) -> Result<Mapping, InvalidMapping> {
    let mut source = json!({"tenant": "acme", "system": "shop", "id": "tills"});
    for (name, value) in fields.as_object().unwrap() {
        source[name] = value.clone();
    }
    Mapping::compile(&serde_json::from_value::<Source>(source).unwrap())
}

fn with(mapping: &Value) -> Mapping {
    compile(&json!({"mapping": mapping})).unwrap()
}

fn identify(mapping: &Mapping, headers: &[(&str, &str)], body: &str) -> Identity {
    let headers = Pairs::new(headers, |(n, v)| (n.as_bytes(), v.as_bytes()));
    mapping.identify(&Raw::new(&headers, "", &Bytes::copy_from_slice(body.as_bytes())), || "fresh".into())
}

fn apply(
    mapping: &Mapping,
    headers: &[(&str, &str)],
    query: &str,
    body: &[u8],
) -> Result<CloudEvent, Unmappable> {
    let headers = Pairs::new(headers, |(n, v)| (n.as_bytes(), v.as_bytes()));
    let body = Bytes::copy_from_slice(body);
    let raw = Raw::new(&headers, query, &body);
    let identity = mapping.identify(&raw, || "fresh".into());
    mapping.apply(&raw, &identity, 1_000_000)
}

#[test]
fn ids_come_from_the_first_rule_that_gives_one() {
    let key: &[(&str, &str)] = &[("idempotency-key", "\"k-1\"")];
    let delivery: &[(&str, &str)] = &[("x-delivery", "d-1")];
    let empty_sha = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let cases = [
        (json!({}), key, "", "k-1"),
        (json!({}), &[], "", "fresh"),
        (json!({}), delivery, "", "fresh"),
        (json!({"delivery_id": "${header.x-delivery}"}), delivery, "", "d-1"),
        (
            json!({"delivery_id": "${header.x-delivery}"}),
            &[("idempotency-key", "k"), ("x-delivery", "d")],
            "",
            "k",
        ),
        (json!({"id": "body-hash"}), key, "", empty_sha),
        (json!({"id": "new"}), key, "", "fresh"),
        (json!({"id": ["new", "body-hash"]}), key, "", "fresh"),
        (json!({"id": "${body.order.id}"}), key, r#"{"order":{"id":7}}"#, "7"),
        (json!({"id": "order-${body.order.id}"}), key, r#"{"order":{}}"#, "fresh"),
        (json!({"id": ["${body.id}", "idempotency-key"]}), key, r#"{"id":null}"#, "k-1"),
        (
            json!({"id": ["delivery-id", "body-hash"], "delivery_id": "${header.x-delivery}"}),
            &[],
            "",
            empty_sha,
        ),
        // What CloudEvents forbids in an id makes way for the next rule.
        (json!({"id": ["${body.id}", "idempotency-key"]}), key, r#"{"id":"a\u0007"}"#, "k-1"),
        (json!({"id": "${body.id}"}), key, r#"{"id":""}"#, "fresh"),
    ];
    for (mapping, headers, body, id) in cases {
        assert_eq!(&*identify(&with(&mapping), headers, body).id, id, "{mapping} {body}");
    }
}

#[test]
fn a_long_value_counts_as_missing() {
    let mapping =
        with(&json!({"id": ["${body.id}", "${header.x-id}", "${query.id}"], "subject": "${body.id}"}));
    let long = "a".repeat(2049);
    let body = json!({ "id": long }).to_string();
    let event = apply(&mapping, &[("x-id", &long)], &format!("id={long}"), body.as_bytes()).unwrap();
    assert_eq!((&**event.id(), event.subject()), ("fresh", None));
}

#[test]
fn without_a_mapping_the_body_goes_as_it_came() {
    let text = |t: &str| Data::Text(t.into());
    let binary = |b: &'static [u8]| Data::Binary(Bytes::from_static(b));
    let cases: Vec<(Option<&str>, &[u8], Option<(&str, Data)>)> = vec![
        (Some("application/json"), br#"{"a": 1}"#, Some(("application/json", text(r#"{"a": 1}"#)))),
        (Some("application/json"), b"{\"a\": \xff}", Some(("application/json", binary(b"{\"a\": \xff}")))),
        (
            Some("application/vnd.x+json; charset=utf-8"),
            b"[1]",
            Some(("application/vnd.x+json; charset=utf-8", text("[1]"))),
        ),
        (Some("text/plain"), b"hi", Some(("text/plain", text("hi")))),
        (Some("text/plain; charset=\"UTF-8\""), b"hi", Some(("text/plain; charset=\"UTF-8\"", text("hi")))),
        (Some("text/plain; charset=latin1"), b"hi", Some(("text/plain; charset=latin1", binary(b"hi")))),
        (
            Some("application/x-www-form-urlencoded"),
            b"a=b",
            Some(("application/x-www-form-urlencoded", text("a=b"))),
        ),
        (Some("application/octet-stream"), b"{}", Some(("application/octet-stream", binary(b"{}")))),
        (Some("image/png"), b"\x89PNG", Some(("image/png", binary(b"\x89PNG")))),
        (Some("nonsense"), b"{}", Some(("application/json", text("{}")))),
        (None, b" [1, 2] ", Some(("application/json", text(" [1, 2] ")))),
        (None, b"{\"a\":", Some(("application/octet-stream", binary(b"{\"a\":")))),
        (None, b"7", Some(("application/octet-stream", binary(b"7")))),
        (None, b"\xff\x00", Some(("application/octet-stream", binary(b"\xff\x00")))),
        (Some("application/json"), b"", None),
        (None, b"", None),
    ];
    let mapping = compile(&json!({})).unwrap();
    for (content_type, body, expected) in cases {
        let headers: Vec<_> = content_type.map(|t| ("content-type", t)).into_iter().collect();
        let event = apply(&mapping, &headers, "", body).unwrap();
        let actual = event.datacontenttype().map(|t| t.to_string()).zip(event.data().cloned());
        assert_eq!(actual, expected.map(|(t, d)| (t.to_owned(), d)), "{content_type:?} {body:?}");
        assert_eq!((&**event.ty(), &**event.source()), ("shop.tills", "/shop/tills"));
        assert_eq!(event.time().unwrap(), "1970-01-01T00:00:01Z");
    }
}

#[test]
fn plain_events_are_of_the_system() {
    let mapping = Mapping::plain(&"shop".parse().unwrap());
    let event = apply(&mapping, &[("idempotency-key", "k")], "", b"x").unwrap();
    assert_eq!((&**event.id(), &**event.source(), &**event.ty()), ("k", "/shop", "shop.event"));
}

#[test]
fn values_borrow_from_the_body() {
    let mapping = with(&json!({"subject": "${body.s}"}));
    let body = Bytes::from_static(br#"{"s": "a string long enough not to be stored in place"}"#);
    let headers: Pairs<'_, ()> = Pairs::new(&[], |()| (b"", b""));
    let raw = Raw::new(&headers, "", &body);
    let event = mapping.apply(&raw, &mapping.identify(&raw, || "1".into()), 0).unwrap();
    assert!(body.as_ptr_range().contains(&event.subject().unwrap().as_ptr()));
    assert!(body.as_ptr_range().contains(&event.data().unwrap().as_bytes().as_ptr()));
}

#[test]
fn what_a_path_finds() {
    let cases: [(&str, &str, Option<&str>); 30] = [
        ("${body.a}", r#"{"a":"x"}"#, Some("x")),
        ("${body.a}", r#"{"a":"\u00e9\n"}"#, None),
        ("${body.a}", r#"{"a":"\u00e9\/"}"#, Some("é/")),
        ("${body.a}", r#"{"a":"\ud800"}"#, None),
        ("${body.a}", r#"{"a":1e400}"#, Some("1e400")),
        ("${body.a}", r#"{"a":-0.50}"#, Some("-0.50")),
        ("${body.a}", r#"{"a":true}"#, Some("true")),
        ("${body.a}", r#"{"a":null}"#, None),
        ("${body.a}", r#"{"a":""}"#, None),
        ("${body.a}", r#"{"a":{}}"#, None),
        ("${body.a}", r#"{"a":[1]}"#, None),
        ("${body.a}", r#"{"\u0061":"escaped name"}"#, Some("escaped name")),
        ("${body.a}", r#"{"a":1,"a":2}"#, Some("2")),
        ("${body.a.b}", r#"{"a":{"b":1},"a":{}}"#, None),
        ("${body.a.b}", r#"{"a":"b"}"#, None),
        ("${body.a[1].b}", r#"{"a":[{"b":0},{"b":1}]}"#, Some("1")),
        ("${body.a[2]}", r#"{"a":[0,1]}"#, None),
        ("${body[0]}", "[\"x\"]", Some("x")),
        ("${body['a.b']['c''d']}", r#"{"a.b":{"c'd":1}}"#, Some("1")),
        ("${body}", " \"all\" ", Some("all")),
        ("${body}", "12", Some("12")),
        ("${body}", "twelve", None),
        ("${body.a}", "", None),
        // A body that is not JSON to its end has no paths.
        ("${body.a}", r#"{"a":"x""#, None),
        ("${body.a}", r#"{"a":"x"} {"a":"y"}"#, None),
        ("${body.a}", r#"{"a":"x","b":nope}"#, None),
        ("${body.a}", "\u{feff}{\"a\":1}", Some("1")),
        ("${body.a ?? body.b}", r#"{"b":1}"#, Some("1")),
        ("${body.a}${body.a.b ?? ''}", r#"{"a":"x"}"#, Some("x")),
        ("${body.a ?? query.q ?? 'none'}", "{}", Some("p q")),
    ];
    for (template, body, expected) in cases {
        // A subject with a control character is refused; this shows the value before that.
        let mapping = with(&json!({ "subject": template }));
        let subject = apply(&mapping, &[], "x=1&q=p+%71&q=2", body.as_bytes())
            .map_or(None, |event| event.subject().map(|s| s.to_string()));
        assert_eq!(subject.as_deref(), expected, "{template} {body}");
    }
}

#[test]
fn forms_have_fields() {
    let form = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
    let cases = [
        ("${body.a}", "a=x&a=y", Some("x")),
        ("${body['a b']}", "a+b=%C3%A9+%2B", Some("é +")),
        ("${body.a}", "a=%ff", None),
        ("${body.a}", "a", None),
        ("${body.a.b}", "a=%7B%22b%22%3A1%7D", None),
        ("${body.a}", "payload=%7B%22a%22%3A1%7D", Some("1")),
        ("${body.payload}", "payload=plain", Some("plain")),
        // What `curl -d '{"a": 1}'` sends.
        ("${body.a}", r#"{"a":1}"#, Some("1")),
    ];
    for (template, body, expected) in cases {
        let event = apply(&with(&json!({ "subject": template })), &form, "", body.as_bytes()).unwrap();
        assert_eq!(event.subject().map(|s| &**s), expected, "{template} {body}");
    }
}

#[test]
fn deep_bodies_are_skipped_without_recursion() {
    let depth = 200_000;
    let deep = format!("{{\"deep\":{}{},\"a\":1}}", "[".repeat(depth), "]".repeat(depth));
    let event = apply(
        &with(&json!({"subject": "${body.a}", "id": "${body.deep[0][0][0]}"})),
        &[],
        "",
        deep.as_bytes(),
    );
    let event = event.unwrap();
    assert_eq!((&**event.id(), event.subject().map(|s| &**s)), ("fresh", Some("1")));
}

#[test]
fn forbidden_values_name_their_template() {
    let cases = [
        (json!({"time": "${body.v}"}), r#"{"v":"yesterday"}"#, "/mapping/time"),
        (json!({"type": "${body.v}"}), r#"{"v":"a\u0007"}"#, "/mapping/type"),
        (json!({"subject": "${body.v}"}), r#"{"v":"a\nb"}"#, "/mapping/subject"),
        (json!({"dataschema": "${body.v}"}), r#"{"v":"no-scheme"}"#, "/mapping/dataschema"),
        (json!({"extensions": {"abc": "${body.v}"}}), r#"{"v":"\u0000"}"#, "/mapping/extensions/abc"),
    ];
    for (mapping, body, pointer) in cases {
        let error = apply(&with(&mapping), &[], "", body.as_bytes()).unwrap_err();
        assert_eq!(error.pointer, pointer, "{error}");
        // The same value missing is no error.
        apply(&with(&mapping), &[], "", b"{}").unwrap();
    }
}

#[test]
fn a_source_overrides_its_preset_field_by_field() {
    let source = json!({"preset": "github", "keep_headers": ["X-Extra"],
        "mapping": {"subject": "${header.x-mine}", "partition_key": "", "extensions": {"env": "prod"}}});
    let mapping = compile(&source).unwrap();
    let headers = [("x-github-event", "push"), ("x-github-delivery", "d"), ("x-mine", "m")];
    let event = apply(&mapping, &headers, "", br#"{"repository":{"full_name":"a/b"}}"#).unwrap();
    assert_eq!((&**event.ty(), &**event.subject().unwrap()), ("com.github.push", "m"));
    assert_eq!((&**event.id(), event.partition_key()), ("d", None));
    assert!(event.extension("env").is_some());
    for kept in ["x-extra", "x-mine", "x-github-delivery", "content-type", "idempotency-key"] {
        assert!(mapping.keeps(kept), "{kept}");
    }
    assert!(!mapping.keeps("x-other"));
}

#[test]
fn what_proves_the_provider_is_not_kept() {
    let scheme = json!({"type": "token", "header": "User-Agent"});
    let mapping = compile(&json!({"verification": {"scheme": scheme, "sealed_secrets": []}})).unwrap();
    assert!(!mapping.keeps("user-agent") && mapping.keeps("content-type"));
}

#[test]
fn an_invalid_source_names_every_problem() {
    let cases = [
        (json!({"preset": "gitlab"}), vec!["/preset"]),
        (json!({"mapping": []}), vec!["/mapping"]),
        (json!({"mapping": {"typ": "x", "time": 5}}), vec!["/mapping/time", "/mapping/typ"]),
        (json!({"mapping": {"a/b": 1}}), vec!["/mapping/a~1b"]),
        (json!({"mapping": {"id": 1}}), vec!["/mapping/id"]),
        (json!({"mapping": {"id": ["new", 1]}}), vec!["/mapping/id/1"]),
        (
            json!({"mapping": {"extensions": {"a": 1, "b": "", "c": null}}}),
            vec!["/mapping/extensions/a", "/mapping/extensions/c"],
        ),
        (json!({"mapping": {"id": "constant"}}), vec!["/mapping/id"]),
        (json!({"mapping": {"id": ["${body.id}", "delivery-id"]}}), vec!["/mapping/id/1"]),
        (json!({"mapping": {"id": vec!["new"; 9]}}), vec!["/mapping/id"]),
        (
            json!({"mapping": {"type": "${body.", "subject": "${boby}"}}),
            vec!["/mapping/type", "/mapping/subject"],
        ),
        (json!({"mapping": {"default_type": ""}}), vec!["/mapping/default_type"]),
        (json!({"mapping": {"default_type": "${body.a}"}}), vec!["/mapping/default_type"]),
        (
            json!({"mapping": {"extensions": {"Bad": "x", "time": "x", "partitionkey": "x"}}}),
            vec!["/mapping/extensions/Bad", "/mapping/extensions/partitionkey", "/mapping/extensions/time"],
        ),
        (json!({"mapping": {"subject": "${header.cookie}"}}), vec!["/mapping/subject"]),
        (
            json!({"mapping": {"subject": "${header.x-proof}"}, "keep_headers": ["X-Proof"],
                "verification": {"scheme": {"type": "token", "header": "x-proof"}, "sealed_secrets": []}}),
            vec!["/keep_headers/0", "/mapping"],
        ),
        (json!({"keep_headers": ["ok", "a b", "Authorization"]}), vec!["/keep_headers/1", "/keep_headers/2"]),
    ];
    for (source, pointers) in cases {
        let invalid = compile(&source).unwrap_err();
        let actual: Vec<_> = invalid.problems.iter().map(|p| &*p.pointer).collect();
        assert_eq!(actual, pointers, "{source}: {invalid}");
    }
    assert!(compile(&json!({"mapping": null})).is_ok());
}
