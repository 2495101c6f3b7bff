//! gRPC clients that know the services from reflection alone.

use std::{collections::BTreeSet, process::Command};

use serde_json::{Value, json};

use crate::{
    fleet::{Tenant, fleet},
    sdks, tools,
    wire::Event,
};

const INGEST: [&str; 3] = ["PublishEvent", "PublishEvents", "StreamEvents"];

/// Host and port of the API: its gRPC is on the same listener as its HTTP.
fn api() -> &'static str {
    fleet().api_url.trim_start_matches("http://")
}

pub(crate) fn reflection() {
    let tenant = fleet().tenant("grpcio");
    let mut script = tools::python("drive_rpcs.py");
    script.arg(tools::file("events.json")).arg(&fleet().grpc).arg(api()).envs(fleet().environment(&tenant));
    let driven = tools::lines(&mut script);
    // Each case, and one with every type of attribute; the subscription reads them all.
    let events = sdks::CASES + 1;
    let count = |rpc: &str| {
        let line =
            driven.iter().find(|line| line["rpc"] == rpc).unwrap_or_else(|| panic!("{rpc} was not driven"));
        usize::try_from(line["events"].as_u64().unwrap()).unwrap()
    };
    for rpc in INGEST {
        assert_eq!(count(&format!("eventrunner.v1.EventIngestService.{rpc}")), events, "{rpc}");
    }
    assert_eq!(count("eventrunner.v1.SubscribeService.Subscribe"), events * INGEST.len());
    assert_eq!(count("grpc.health.v1.Health.Check"), 0);
    println!("{} methods driven by grpcio, {} events", driven.len(), events * INGEST.len());
}

/// An event as protobuf in JSON.
fn event(id: &str) -> Value {
    json!({
        "id": id,
        "source": "/clients/grpcurl",
        "specVersion": "1.0",
        "type": "com.example.grpcurl",
        "attributes": {
            "subject": {"ceString": "grüße"},
            "flag": {"ceBoolean": true},
            "number": {"ceInteger": -7},
            "datacontenttype": {"ceString": "application/json"},
            "time": {"ceString": "2026-11-21T10:00:00+01:00"},
        },
        "textData": "{\"a\": [1, 2]}",
    })
}

/// The same event, as it must be read back.
fn expected(id: &str) -> Event {
    let attributes = json!({
        "specversion": "1.0",
        "id": id,
        "source": "/clients/grpcurl",
        "type": "com.example.grpcurl",
        "subject": "grüße",
        "flag": true,
        "number": -7,
        "datacontenttype": "application/json",
        "time": "2026-11-21T10:00:00+01:00",
    });
    Event {
        attributes: serde_json::from_value(attributes).unwrap(),
        data: Some(br#"{"a": [1, 2]}"#.to_vec()),
    }
}

/// `grpcurl` as a tenant, not longer than a quarter of a minute.
fn command(tenant: &Tenant) -> Command {
    let mut command = tools::go("grpcurl");
    command.args(["-plaintext", "-max-time", "15", "-H", &format!("authorization: Bearer {}", tenant.key)]);
    command
}

/// The answers to messages, each a JSON value.
fn call(tenant: &Tenant, address: &str, rpc: &str, messages: &[Value]) -> Vec<Value> {
    let data: String = messages.iter().map(Value::to_string).collect();
    let text = tools::output(command(tenant).args(["-d", "@", address, rpc]), &data);
    serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect()
}

/// The RPCs of a server, as reflection tells them.
fn rpcs(tenant: &Tenant, address: &str) -> BTreeSet<String> {
    let list = |arguments: &[&str]| tools::output(command(tenant).args(arguments), "");
    let services = list(&[address, "list"]);
    services
        .lines()
        .flat_map(|s| list(&[address, "list", s]).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

pub(crate) fn grpcurl() {
    let tenant = fleet().tenant("grpcurl");
    let service = "eventrunner.v1.EventIngestService";
    let found = rpcs(&tenant, &fleet().grpc);
    for rpc in INGEST {
        assert!(found.contains(&format!("{service}.{rpc}")), "{found:?}");
    }
    assert!(rpcs(&tenant, api()).contains("eventrunner.v1.SubscribeService.Subscribe"));

    let kept = |id: &str| json!({"accepted": {"source": "/clients/grpcurl", "id": id}});
    let door = &fleet().grpc;
    let answers = call(&tenant, door, &format!("{service}/PublishEvent"), &[json!({"event": event("one")})]);
    assert_eq!(answers[0]["event"], kept("one")["accepted"]);
    let batch = json!({"events": [event("two"), event("three")]});
    let answers = call(&tenant, door, &format!("{service}/PublishEvents"), &[batch]);
    assert_eq!(answers[0]["results"], json!([kept("two"), kept("three")]));
    let stream = ["four", "five"].map(|id| json!({"sequence": id.len(), "events": [event(id)]}));
    let answers = call(&tenant, door, &format!("{service}/StreamEvents"), &stream);
    assert_eq!(answers.len(), 2, "{answers:?}");
    let ids = ["one", "two", "three", "four", "five"];
    fleet().assert_stored(&tenant, &ids.map(expected));

    // The second message acknowledges nothing yet; it keeps the call open no longer than its answers need.
    let open = json!({"open": {"afterSequence": "0", "maxUnacked": 10}});
    let read: BTreeSet<String> = subscribe(&tenant, &open, ids.len())
        .iter()
        .map(|answer| answer["event"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(read, ids.map(str::to_owned).into());

    for address in [door, api()] {
        let answers = call(&tenant, address, "grpc.health.v1.Health/Check", &[json!({})]);
        assert_eq!(answers[0]["status"], "SERVING", "{address}");
    }
    println!("{} events published by grpcurl, and read in a subscription", ids.len());
}

/// The first answers of a subscription that nobody closes: `grpcurl` is stopped when they are there.
fn subscribe(tenant: &Tenant, open: &Value, count: usize) -> Vec<Value> {
    use std::{io::Write as _, process::Stdio};

    let mut subscribe = command(tenant);
    subscribe.args(["-d", "@", api(), "eventrunner.v1.SubscribeService/Subscribe"]);
    let mut child = subscribe.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Kept open: its end would be the end of the request.
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{open}").unwrap();
    let answers = serde_json::Deserializer::from_reader(child.stdout.take().unwrap());
    let answers = answers.into_iter::<Value>().take(count).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    answers
}
