//! The official CloudEvents SDKs of three languages send `scripts/events.json` in all three modes, and read
//! it back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use cloudevents::{
    AttributesReader as _, AttributesWriter as _, Event as SdkEvent, EventBuilder as _, EventBuilderV10,
};
use serde_json::Value;

use crate::{
    fleet::{Tenant, fleet},
    tools,
    wire::{self, Event},
};

/// Cases of `events.json`.
pub(crate) const CASES: usize = 12;

/// One request as a client put it on the wire.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) mode: String,
    pub(crate) events: Vec<Event>,
}

pub(crate) fn python() {
    let tenant = fleet().tenant("sdk-python");
    check("Python", &tenant, &run_python(&tenant), &[]);
}

/// Sends everything with the Python SDK.
pub(crate) fn run_python(tenant: &Tenant) -> Vec<Sent> {
    run(tenant, tools::python("cloudevents_sdk.py")).0
}

pub(crate) fn javascript() {
    let tenant = fleet().tenant("sdk-javascript");
    let (sent, left_out) = run(&tenant, tools::node("cloudevents_sdk.mjs"));
    // Neither this SDK nor Rust's percent-encodes header values, so they cannot send other than ASCII in
    // them.
    assert_eq!(left_out, [("binary".to_owned(), "unicode".to_owned())]);
    check("JavaScript", &tenant, &sent, &["unicode"]);
}

/// Runs a script that sends: its requests, and what it had to leave out (mode and case).
fn run(tenant: &Tenant, mut command: Command) -> (Vec<Sent>, Vec<(String, String)>) {
    command.arg(tools::file("events.json")).arg("/clients/sdk").envs(fleet().environment(tenant));
    let mut sent = Vec::new();
    let mut left_out = Vec::new();
    for line in tools::lines(&mut command) {
        let mode = line["mode"].as_str().unwrap().to_owned();
        if let Some(case) = line["left_out"].as_str() {
            left_out.push((mode, case.to_owned()));
            continue;
        }
        let headers: BTreeMap<String, String> = serde_json::from_value(line["headers"].clone()).unwrap();
        let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let body = BASE64.decode(line["body"].as_str().unwrap()).unwrap();
        sent.push(Sent { mode, events: wire::events(&headers, &body) });
    }
    (sent, left_out)
}

/// Each case went out in each mode, but for those that cannot in binary mode, and came back equal.
fn check(language: &str, tenant: &Tenant, sent: &[Sent], not_in_binary: &[&str]) {
    let mut total = 0;
    let events = |mode: &str| -> Vec<Event> {
        sent.iter().filter(|s| s.mode == mode).flat_map(|s| s.events.clone()).collect()
    };
    for (mode, count) in [("binary", CASES - not_in_binary.len()), ("structured", CASES), ("batch", CASES)] {
        let events = events(mode);
        let ids: BTreeSet<&str> = events.iter().map(|event| event.text("id")).collect();
        assert_eq!((events.len(), ids.len()), (count, count), "{mode}");
        fleet().assert_stored(tenant, &events);
        total += count;
    }
    println!("{total} events in three modes by the SDK for {language}");
}

pub(crate) fn rust() {
    let tenant = fleet().tenant("sdk-rust");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(tools::file("events.json")).unwrap()).unwrap();
    let mut sent = Vec::new();
    let mut built = Vec::new();
    for case in &cases {
        let event = build(case, "binary");
        let request = http::Request::<Option<Vec<u8>>>::try_from(event.clone()).unwrap();
        if case["name"] == "unicode" {
            assert_refused(&tenant, request);
        } else {
            let (parts, body) = request.into_parts();
            let headers = parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            sent.push(post(&tenant, "binary", &headers.collect(), body.unwrap_or_default()));
            built.push(event);
        }
        let event = build(case, "structured");
        let body = serde_json::to_vec(&event).unwrap();
        sent.push(post(&tenant, "structured", &content_type("application/cloudevents+json"), body));
        built.push(event);
    }
    let batch: Vec<SdkEvent> = cases.iter().map(|case| build(case, "batch")).collect();
    let body = serde_json::to_vec(&batch).unwrap();
    sent.push(post(&tenant, "batch", &content_type("application/cloudevents-batch+json"), body));
    built.extend(batch);
    check("Rust", &tenant, &sent, &["unicode"]);
    for event in &built {
        assert_read_by_the_sdk(&tenant, event);
    }
}

/// This SDK puts UTF-8 into headers as it is, where the binding asks for percent-encoding: refused, and said
/// why.
fn assert_refused(tenant: &Tenant, request: http::Request<Option<Vec<u8>>>) {
    let (parts, body) = request.into_parts();
    let request = fleet().http.post(format!("{}/v1/events", fleet().url)).headers(parts.headers);
    let request = request.bearer_auth(&tenant.key).body(body.unwrap_or_default());
    let (status, problem) = fleet().runtime.block_on(async {
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    });
    assert_eq!(status, 400, "{problem}");
    assert!(problem.contains("not percent-encoded"), "{problem}");
}

fn content_type(media_type: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("content-type".to_owned(), media_type.to_owned())])
}

fn build(case: &Value, mode: &str) -> SdkEvent {
    let id = format!("{mode}-{}", case["name"].as_str().unwrap());
    let attributes = case["attributes"].as_object().unwrap();
    let mut builder =
        EventBuilderV10::new().id(id).source("/clients/sdk").ty(attributes["type"].as_str().unwrap());
    for (name, value) in attributes {
        builder = match (name.as_str(), value) {
            ("type" | "datacontenttype" | "dataschema", _) => builder,
            ("subject", value) => builder.subject(value.as_str().unwrap()),
            ("time", value) => builder.time(value.as_str().unwrap()),
            (name, Value::Bool(flag)) => builder.extension(name, *flag),
            (name, Value::Number(number)) => builder.extension(name, number.as_i64().unwrap()),
            (name, value) => builder.extension(name, value.as_str().unwrap()),
        };
    }
    let mut event = builder.build().unwrap();
    let attribute = |name: &str| attributes.get(name).map(|value| value.as_str().unwrap());
    event.set_datacontenttype(attribute("datacontenttype"));
    event.set_dataschema(attribute("dataschema").map(|uri| uri.parse::<url::Url>().unwrap()));
    let data = &case["data"];
    if let Some(text) = data["text"].as_str() {
        event.set_data_unchecked(
            text.repeat(data["times"].as_u64().map_or(1, |times| usize::try_from(times).unwrap())),
        );
    } else if let Some(base64) = data["base64"].as_str() {
        event.set_data_unchecked(BASE64.decode(base64).unwrap());
    } else if !data["json"].is_null() {
        event.set_data_unchecked(data["json"].clone());
    }
    event
}

fn post(tenant: &Tenant, mode: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Sent {
    let events = wire::events(headers, &body);
    let mut request =
        fleet().http.post(format!("{}/v1/events", fleet().url)).bearer_auth(&tenant.key).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = fleet().runtime.block_on(async {
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    });
    assert_eq!(answer.0, 202, "{mode} {headers:?}: {}", answer.1);
    Sent { mode: mode.to_owned(), events }
}

/// What the API answers is the same event to the SDK, but for the types that headers do not have.
fn assert_read_by_the_sdk(tenant: &Tenant, sent: &SdkEvent) {
    let path = format!("{}/{}", wire::path_segment(sent.source()), wire::path_segment(sent.id()));
    let request =
        fleet().http.get(format!("{}/api/v1/events/{path}", fleet().api_url)).bearer_auth(&tenant.key);
    let back: SdkEvent =
        fleet().runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() });
    let attributes = |event: &SdkEvent| -> BTreeMap<String, String> {
        event.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect()
    };
    assert_eq!(attributes(&back), attributes(sent));
    assert_eq!(payload(&back), payload(sent), "{}", sent.id());
}

/// The bytes of the data; a body that is empty is no data, and a string may be text or the JSON of it.
fn payload(event: &SdkEvent) -> Vec<u8> {
    match event.data() {
        None => Vec::new(),
        Some(cloudevents::Data::Binary(bytes)) => bytes.clone(),
        Some(cloudevents::Data::String(text) | cloudevents::Data::Json(Value::String(text))) => {
            text.clone().into_bytes()
        }
        Some(cloudevents::Data::Json(value)) => serde_json::to_vec(value).unwrap(),
    }
}
