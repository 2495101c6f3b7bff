//! Requests the door refuses: each with the exact code it gets, and the place it names.
//!
//! Every row goes over TCP to a real listener. None of them may leave an event behind, and each answer must
//! be a problem (RFC 9457) with a trace id.

use std::io::Write as _;

use crate::support::{Answer, Door, EVENT_BYTES_MAX, GONE, KEY, OTHER, READER, Request};
use model::ErrorCode::{
    self, Forbidden, InvalidEvent, Malformed, MethodNotAllowed, NotFound, RequestTimeout, TooLarge,
    Unauthenticated, UnsupportedMediaType,
};

/// What is wrong, the request, the code, and the pointer that the answer names (empty: none is asked for).
pub(crate) type Row = (&'static str, Request, ErrorCode, &'static str);

pub(crate) fn check(rows: &[Row]) {
    let door = Door::open();
    let mut wrong = Vec::new();
    for (what, request, code, at) in rows {
        let answer = door.send(request);
        if let Err(why) = refused(&answer, *code, at) {
            wrong.push(format!("{what}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    println!("{} malformed requests refused, each with its code", rows.len());
    assert!(door.kept().is_empty(), "a refused request left events behind");
}

fn refused(answer: &Answer, code: ErrorCode, at: &str) -> Result<(), String> {
    let json = answer.json();
    let seen = (answer.status, json["code"].as_str());
    if seen != (code.http_status(), Some(code.as_str())) {
        return Err(format!("{seen:?} instead of {code}: {json}"));
    }
    if answer.header("content-type") != Some("application/problem+json") {
        return Err(format!("content type {:?}", answer.header("content-type")));
    }
    let trace_id = json["trace_id"].as_str().unwrap_or_default();
    if trace_id.len() != 32 || !trace_id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("trace id {trace_id:?}"));
    }
    let named = |e: &serde_json::Value| e["pointer"] == at;
    let errors = json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !at.is_empty() && !errors.iter().any(named) {
        return Err(format!("{at} is not among {errors:?}"));
    }
    Ok(())
}

pub(crate) fn event(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{comma}{more}}}"#)
}

#[test]
fn callers() {
    let bare = || Request::new("POST", "/v1/events").content("application/json", "{}");
    let keyed = |key: &str| bare().key(key);
    let last = &KEY[..KEY.len() - 1];
    check(&[
        ("no key", bare(), Unauthenticated, "header:authorization"),
        ("an empty key", keyed(""), Unauthenticated, ""),
        ("another scheme", bare().header("authorization", "Basic dXNlcjpwYXNz"), Unauthenticated, ""),
        ("a scheme alone", bare().header("authorization", "Bearer"), Unauthenticated, ""),
        ("no key at all", keyed("hello"), Unauthenticated, ""),
        ("a key cut short", keyed(last), Unauthenticated, ""),
        ("a good id with a wrong secret", keyed(&format!("{last}B")), Unauthenticated, ""),
        ("an id nobody has", keyed(&KEY.replace("aaaa", "zzzz")), Unauthenticated, ""),
        ("bytes that are no text", bare().header("x-api-key", b"\xff\xfe".to_vec()), Unauthenticated, ""),
        ("two keys", keyed(KEY).key(OTHER), Malformed, ""),
        ("a key in each header", keyed(KEY).header("x-api-key", OTHER), Malformed, ""),
        ("a key in the query", Request::new("POST", &format!("/v1/events?key={KEY}")), Unauthenticated, ""),
        ("a key that may only read", keyed(READER), Forbidden, ""),
        ("a tenant that is disabled", keyed(GONE), Forbidden, ""),
    ]);
}

#[test]
fn methods_and_paths() {
    let to = |method: &str, path: &str| Request::new(method, path).key(KEY);
    check(&[
        ("GET", to("GET", "/v1/events"), MethodNotAllowed, ""),
        ("PUT", to("PUT", "/v1/events"), MethodNotAllowed, ""),
        ("PATCH", to("PATCH", "/v1/events"), MethodNotAllowed, ""),
        ("DELETE", to("DELETE", "/v1/events"), MethodNotAllowed, ""),
        ("OPTIONS of the events door", to("OPTIONS", "/v1/events"), MethodNotAllowed, ""),
        ("a method nobody knows", to("BREW", "/v1/events"), MethodNotAllowed, ""),
        ("GET of a source", to("GET", "/v1/sources/acme.hub"), MethodNotAllowed, ""),
        ("the root", to("POST", "/"), NotFound, ""),
        ("a path that almost is", to("POST", "/v1/event"), NotFound, ""),
        ("a slash too many", to("POST", "/v1/events/"), NotFound, ""),
        ("upper case", to("POST", "/V1/events"), NotFound, ""),
        ("no source", to("POST", "/v1/sources/"), NotFound, ""),
        ("a path below a source", to("POST", "/v1/sources/till/x"), NotFound, ""),
    ]);
    let door = Door::open();
    let head = door.send(&to("HEAD", "/v1/events"));
    assert_eq!((head.status, head.body.len()), (405, 0));
    for (path, allowed) in [("/v1/events", "POST"), ("/v1/sources/acme.hub", "OPTIONS,POST")] {
        let answer = door.send(&to("GET", path));
        let mut allow: Vec<&str> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "RFC 9110, section 15.5.6");
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn encodings_and_sizes() {
    let encoded = |encoding: &str, body: Vec<u8>| {
        Request::publish().header("content-encoding", encoding).content("application/json", body)
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let bomb = vec![b' '; 256 << 10];
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 4);
        bytes
    };
    let huge_window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00].to_vec();
    let at = "header:content-encoding";
    let large = "x".repeat(EVENT_BYTES_MAX + 1);
    let raw = |body: Vec<u8>| Request::publish().content("text/plain", body);
    check(&[
        ("brotli", encoded("br", b"x".to_vec()), UnsupportedMediaType, at),
        ("deflate", encoded("deflate", b"x".to_vec()), UnsupportedMediaType, at),
        ("gzip in gzip", encoded("gzip, gzip", gzip(&gzip(b"{}"))), UnsupportedMediaType, at),
        (
            "two encodings",
            encoded("gzip", b"x".to_vec()).header("content-encoding", "zstd"),
            UnsupportedMediaType,
            at,
        ),
        ("gzip that is none", encoded("gzip", b"{}".to_vec()), Malformed, at),
        ("gzip of nothing", encoded("gzip", Vec::new()), Malformed, at),
        ("gzip cut short", encoded("gzip", cut(gzip(b"{\"a\":1}"))), Malformed, at),
        ("gzip with a tail", encoded("gzip", [gzip(b"{}"), b"tail".to_vec()].concat()), Malformed, at),
        ("zstd that is none", encoded("zstd", b"{}".to_vec()), Malformed, at),
        ("zstd cut short", encoded("zstd", cut(zstd(&bomb[..100_000]))), Malformed, at),
        ("zstd with a window over 8 MiB", encoded("zstd", huge_window), Malformed, at),
        ("a gzip bomb", encoded("gzip", gzip(&bomb)), TooLarge, ""),
        ("a zstd bomb", encoded("zstd", zstd(&bomb)), TooLarge, ""),
        ("a body over the door's limit", raw(vec![b'x'; (64 << 10) + 1]), TooLarge, ""),
        ("a raw event over the tenant's limit", raw(large.clone().into()), TooLarge, ""),
        (
            "an event over the tenant's limit",
            Request::publish()
                .content("application/cloudevents+json", event(&format!(r#""data":"{large}""#))),
            TooLarge,
            "",
        ),
        (
            "the second of a batch is over it",
            Request::publish().content(
                "application/cloudevents-batch+json",
                format!("[{},{}]", event(""), event(&format!(r#""data":"{large}""#))),
            ),
            TooLarge,
            "/1",
        ),
        ("a body announced too large", Request::publish().header("content-length", "1000000"), TooLarge, ""),
        ("no body and no attributes", Request::publish(), Malformed, ""),
    ]);
}

#[test]
fn content_types() {
    let typed = |media_type: &str| Request::publish().content(media_type, event(""));
    let at = "header:content-type";
    check(&[
        ("avro", typed("application/cloudevents+avro"), UnsupportedMediaType, at),
        ("xml", typed("application/cloudevents+xml"), UnsupportedMediaType, at),
        ("a batch of xml", typed("application/cloudevents-batch+xml"), UnsupportedMediaType, at),
        ("no format at all", typed("application/cloudeventsjson"), UnsupportedMediaType, at),
        ("utf-16", typed("application/cloudevents+json; charset=utf-16"), UnsupportedMediaType, at),
        (
            "latin 1, quoted",
            typed("application/cloudevents+json;charset=\"iso-8859-1\""),
            UnsupportedMediaType,
            at,
        ),
        (
            "two content types",
            typed("application/cloudevents+json").header("content-type", "application/json"),
            Malformed,
            at,
        ),
        ("an event sent as a batch", typed("application/cloudevents-batch+json"), Malformed, ""),
        ("JSON sent as protobuf", typed("application/cloudevents+protobuf"), Malformed, ""),
        (
            "a batch sent as an event",
            Request::publish().content("application/cloudevents+json", format!("[{}]", event(""))),
            InvalidEvent,
            "",
        ),
    ]);
}

/// A good event in binary mode, with headers taken away (empty value) or changed.
fn binary(changes: &[(&str, &str)]) -> Request {
    let good = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];
    let kept = good.iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n == name));
    let all = kept.chain(changes.iter().filter(|(_, value)| !value.is_empty()));
    all.fold(Request::publish().body("data"), |r, (name, value)| r.header(name, *value))
}

/// A row of binary mode: what is changed of a good event.
type HeaderRow<'a> = (&'static str, &'a [(&'a str, &'a str)], ErrorCode, &'static str);

#[test]
fn binary_mode() {
    let long = "x".repeat(501);
    let rows: &[HeaderRow<'_>] = &[
        ("no specversion", &[("ce-specversion", "")], InvalidEvent, "header:ce-specversion"),
        ("no id", &[("ce-id", "")], InvalidEvent, "header:ce-id"),
        ("no source", &[("ce-source", "")], InvalidEvent, "header:ce-source"),
        ("no type", &[("ce-type", "")], InvalidEvent, "header:ce-type"),
        ("version 0.3", &[("ce-specversion", "0.3")], InvalidEvent, "header:ce-specversion"),
        ("version 1.0.2", &[("ce-specversion", "1.0.2")], InvalidEvent, "header:ce-specversion"),
        ("ce-datacontenttype", &[("ce-datacontenttype", "text/plain")], InvalidEvent, "header:content-type"),
        ("an overlong sequence", &[("ce-subject", "%C0%A0")], InvalidEvent, "header:ce-subject"),
        ("a lone surrogate", &[("ce-subject", "%ED%A0%80")], InvalidEvent, "header:ce-subject"),
        ("a percent sign alone", &[("ce-subject", "100%")], InvalidEvent, "header:ce-subject"),
        ("no hexadecimal digits", &[("ce-subject", "%zz")], InvalidEvent, "header:ce-subject"),
        ("bytes outside ASCII", &[("ce-subject", "é")], InvalidEvent, "header:ce-subject"),
        ("a quote that does not end", &[("ce-subject", "\"open")], InvalidEvent, "header:ce-subject"),
        ("an encoded line break", &[("ce-subject", "a%0Ab")], InvalidEvent, "header:ce-subject"),
        ("a quoted nothing", &[("ce-subject", "\"\"")], InvalidEvent, "header:ce-subject"),
        ("a time that is none", &[("ce-time", "yesterday")], InvalidEvent, "header:ce-time"),
        ("a month too many", &[("ce-time", "2026-13-01T00:00:00Z")], InvalidEvent, "header:ce-time"),
        ("a relative schema", &[("ce-dataschema", "s.json")], InvalidEvent, "header:ce-dataschema"),
        ("white space in source", &[("ce-source", "a%20b")], InvalidEvent, "header:ce-source"),
        ("a half triplet in source", &[("ce-source", "/a%252")], InvalidEvent, "header:ce-source"),
        ("a name with a hyphen", &[("ce-my-ext", "1")], InvalidEvent, "header:ce-my-ext"),
        ("a name with an underscore", &[("ce-my_ext", "1")], InvalidEvent, "header:ce-my_ext"),
        ("no name", &[("ce-", "1")], InvalidEvent, "headers"),
        ("data as an attribute", &[("ce-data", "1")], InvalidEvent, "header:ce-data"),
        ("an attribute twice", &[("ce-id", "1"), ("ce-id", "2")], InvalidEvent, "header:ce-id"),
        ("an extension twice", &[("ce-x", "1"), ("CE-X", "1")], InvalidEvent, "header:ce-x"),
        ("no media type", &[("content-type", "plain")], InvalidEvent, "header:content-type"),
        (
            "two media types",
            &[("content-type", "text/plain"), ("content-type", "text/plain")],
            InvalidEvent,
            "header:content-type",
        ),
        ("an attribute over the limit", &[("ce-subject", &long)], TooLarge, "header:ce-subject"),
        (
            "too many extensions",
            &[("ce-a", "1"), ("ce-b", "1"), ("ce-c", "1"), ("ce-d", "1"), ("ce-e", "1")],
            TooLarge,
            "headers",
        ),
    ];
    let rows: Vec<Row> =
        rows.iter().map(|(what, changes, code, at)| (*what, binary(changes), *code, *at)).collect();
    check(&rows);
    // What an empty value in the table cannot say.
    let empty = binary(&[("ce-id", "")]).header("ce-id", "");
    check(&[("an empty id", empty, InvalidEvent, "header:ce-id")]);
}

#[test]
fn structured_mode() {
    let long = format!(r#""subject":"{}""#, "x".repeat(501));
    let wide = format!(r#""a":"{0}","b":"{0}","c":"{0}""#, "x".repeat(400));
    let deep = format!(r#""x":{}{}"#, "[".repeat(500), "]".repeat(500));
    let whole: Vec<(&'static str, String, ErrorCode, &'static str)> = vec![
        ("nothing", String::new(), Malformed, ""),
        ("no JSON", "hello".into(), Malformed, ""),
        ("half an object", event("")[..20].into(), Malformed, ""),
        ("two events", format!("{0}{0}", event("")), Malformed, ""),
        ("a tail", format!("{} x", event("")), Malformed, ""),
        ("a byte order mark", format!("\u{FEFF}{}", event("")), Malformed, ""),
        ("a comma too many", event(r#""a":1,"#), Malformed, ""),
        ("single quotes", event("").replace('"', "'"), Malformed, ""),
        ("a lone surrogate", event(r#""subject":"\ud800""#), Malformed, ""),
        ("a control character", event("\"subject\":\"a\u{1}\""), Malformed, ""),
        ("NaN", event(r#""data":NaN"#), Malformed, ""),
        ("null", "null".into(), InvalidEvent, ""),
        ("a number", "7".into(), InvalidEvent, ""),
        ("an empty object", "{}".into(), InvalidEvent, "/specversion"),
        ("version 0.3", event("").replace("1.0", "0.3"), InvalidEvent, "/specversion"),
        ("version as a number", event("").replace("\"1.0\"", "1.0"), InvalidEvent, "/specversion"),
        ("no id", event("").replace(r#""id":"1","#, ""), InvalidEvent, "/id"),
        ("null as id", event("").replace(r#""1","#, "null,"), InvalidEvent, "/id"),
        ("a number as id", event("").replace(r#""1","#, "1,"), InvalidEvent, "/id"),
        ("an empty source", event("").replace("/s", ""), InvalidEvent, "/source"),
        ("no type", event("").replace(r#","type":"t""#, ""), InvalidEvent, "/type"),
        ("upper case", event(r#""Subject":"x""#), InvalidEvent, "/Subject"),
        ("a name with a slash", event(r#""a/b":"x""#), InvalidEvent, "/a~1b"),
        ("an attribute twice", event(r#""id":"1""#), InvalidEvent, "/id"),
        ("an extension twice", event(r#""x":1,"x":2"#), InvalidEvent, "/x"),
        ("an object as extension", event(r#""x":{}"#), InvalidEvent, "/x"),
        ("an array as extension", event(&deep), InvalidEvent, "/x"),
        ("a fraction as extension", event(r#""x":1.5"#), InvalidEvent, "/x"),
        ("an integer over 32 bits", event(r#""x":2147483648"#), InvalidEvent, "/x"),
        ("data twice over", event(r#""data":1,"data_base64":"AA==""#), InvalidEvent, "/data_base64"),
        ("base64 that is none", event(r#""data_base64":"a-_b""#), InvalidEvent, "/data_base64"),
        ("base64 as a number", event(r#""data_base64":1"#), InvalidEvent, "/data_base64"),
        ("an object as text", event(r#""datacontenttype":"text/plain","data":{}"#), InvalidEvent, "/data"),
        ("a media type that is none", event(r#""datacontenttype":"json""#), InvalidEvent, "/datacontenttype"),
        ("a noncharacter", event(r#""subject":"\uffff""#), InvalidEvent, "/subject"),
        ("an attribute over the limit", event(&long), TooLarge, "/subject"),
        ("attributes over the limit", event(&wide), TooLarge, ""),
    ];
    let send = |body: &String| Request::publish().content("application/cloudevents+json", body.as_str());
    let rows: Vec<Row> = whole.iter().map(|(what, body, code, at)| (*what, send(body), *code, *at)).collect();
    check(&rows);
    let latin1 =
        Request::publish().content("application/cloudevents+json", [event("").as_bytes(), b"\xe9"].concat());
    check(&[("bytes that are not UTF-8", latin1, Malformed, "")]);
}

/// What no well-formed request can say.
#[test]
fn on_the_wire() {
    let door = Door::open();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {KEY}\r\n"
    );
    let with = |rest: &str| format!("{head}{rest}").into_bytes();
    let rows: [(&str, Vec<u8>, ErrorCode); 4] = [
        ("a body that stops arriving", with("content-length: 10\r\n\r\nhalf"), RequestTimeout),
        ("a body that never begins", with("content-length: 10\r\n\r\n"), RequestTimeout),
        ("a chunk that is none", with("transfer-encoding: chunked\r\n\r\nzz\r\n"), Malformed),
        (
            "chunks over the limit",
            with(&format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{}", 70_000, "x".repeat(70_000))),
            TooLarge,
        ),
    ];
    for (what, bytes, code) in rows {
        let answer = door.send_bytes(&bytes);
        assert_eq!(refused(&answer, code, ""), Ok(()), "{what}");
    }
    // Before there is a request, the server answers by itself, and briefly.
    let broken: [(&str, Vec<u8>, &[u16]); 5] = [
        ("no HTTP", b"hello\r\n\r\n".to_vec(), &[400]),
        ("a header without a colon", b"POST /v1/events HTTP/1.1\r\nnonsense\r\n\r\n".to_vec(), &[400]),
        ("two lengths", with("content-length: 1\r\ncontent-length: 2\r\n\r\nxx"), &[400]),
        ("a head over the limit", with(&format!("x: {}\r\n\r\n", "x".repeat(100_000))), &[431]),
        ("a head that stops arriving", head.clone().into_bytes(), &[0, 408]),
    ];
    for (what, bytes, statuses) in broken {
        let answer = door.send_bytes(&bytes);
        assert!(statuses.contains(&answer.status), "{what}: {}", answer.status);
    }
    assert!(door.kept().is_empty());
}
