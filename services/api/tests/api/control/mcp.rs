//! The API as tools: what a client of the Model Context Protocol can do, and that it is nothing that HTTP would refuse.

use api::McpOptions;
use reqwest::{RequestBuilder, StatusCode, header};
use serde_json::{Value, json};

use super::world::{Control, Told, send};
use crate::world::{TEN, event, events, options, pointers, stamp};

/// A key that is nobody's.
fn nobodys() -> String {
    format!("er_{}_{}", "a".repeat(16), "A".repeat(43))
}

fn with(mcp: McpOptions) -> api::Options {
    api::Options { mcp, ..options() }
}

async fn start(mcp: McpOptions) -> Control {
    Control::start_with(with(mcp)).await
}

/// A message to `/mcp`, as nobody yet.
fn message(control: &Control, method: &str, params: &Value) -> RequestBuilder {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let post = control.world.http.post(control.world.url("/mcp")).json(&message);
    post.header(header::ACCEPT, "application/json, text/event-stream")
}

/// What a message is answered, result or error.
async fn ask(control: &Control, key: &str, method: &str, params: Value) -> Value {
    let told = send(message(control, method, &params).bearer_auth(key)).await;
    assert_eq!(told.status, 200, "{method}: {told:?}");
    told.json
}

/// What a call came to: whether it is an error, and the structured result.
async fn call(control: &Control, key: &str, tool: &str, arguments: Value) -> (bool, Value) {
    let answer = ask(control, key, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{tool}: {answer}"));
    if let Some(structured) = result.get("structuredContent") {
        assert!(structured.is_object(), "{tool}: {structured}");
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), *structured, "{tool}: both say the same");
    }
    (result["isError"].as_bool().unwrap(), result["structuredContent"].clone())
}

async fn answered(control: &Control, key: &str, tool: &str, arguments: Value) -> Value {
    let (error, result) = call(control, key, tool, arguments).await;
    assert!(!error, "{tool}: {result}");
    result
}

async fn refused(control: &Control, key: &str, tool: &str, arguments: Value) -> Value {
    let (error, problem) = call(control, key, tool, arguments).await;
    assert!(error, "{tool}: {problem}");
    problem
}

async fn tools(control: &Control, key: &str) -> Vec<Value> {
    ask(control, key, "tools/list", json!({})).await["result"]["tools"].as_array().unwrap().clone()
}

fn named<'a>(tools: &'a [Value], name: &str) -> Option<&'a Value> {
    tools.iter().find(|tool| tool["name"] == name)
}

#[tokio::test]
async fn events_are_found_read_and_followed_up() {
    let control = start(McpOptions::default()).await;
    control.world.store(stamp("acme", TEN), events(3)).await;
    let key = &control.keys.acme;

    let client = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
    let opened = ask(&control, key, "initialize", client).await;
    assert_eq!(opened["result"]["serverInfo"]["name"], "eventrunner");
    assert!(opened["result"]["capabilities"]["tools"].is_object(), "{opened}");
    assert!(opened["result"]["instructions"].as_str().unwrap().contains("list_events"));

    let tools = tools(&control, key).await;
    let get = named(&tools, "get_event").unwrap();
    assert_eq!(get["inputSchema"]["required"], json!(["source", "id"]));
    assert_eq!(get["inputSchema"]["properties"]["source"]["description"], "The event's `source`.");
    let read_only = json!({"readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false});
    assert_eq!(get["annotations"], read_only);

    let listed =
        answered(&control, key, "list_events", json!({"limit": 2, "order": "oldest", "until": null})).await;
    assert_eq!(listed["events"].as_array().unwrap().len(), 2, "{listed}");
    let rest = json!({"limit": 2, "order": "oldest", "cursor": listed["next_cursor"]});
    let rest = answered(&control, key, "list_events", rest).await;
    assert_eq!(rest["events"][0]["event"]["id"], "2", "{rest}");
    let search = json!({"type": ["com.example.order", "other"], "data": ["/id=1"]});
    let found = answered(&control, key, "list_events", search).await;
    assert_eq!(found["events"].as_array().unwrap().len(), 1, "{found}");

    let one = json!({"source": "/shop", "id": "1"});
    assert_eq!(answered(&control, key, "get_event", one.clone()).await["data"], json!({"id": "1"}));
    let receipt = answered(&control, key, "get_receipt", one).await;
    assert_eq!(receipt["hops"][0]["hop"], "accepted", "{receipt}");
    let missing = refused(&control, key, "get_event", json!({"source": "/shop", "id": "9"})).await;
    assert_eq!((&missing["code"], &missing["status"]), (&json!("not_found"), &json!(404)));
    control.close().await;
}

#[tokio::test]
async fn nobody_is_let_in_and_who_is_may_no_more_than_over_http() {
    let control = start(McpOptions::default()).await;
    control.world.store(stamp("acme", TEN), events(1)).await;
    let list = || message(&control, "tools/list", &json!({}));
    for (what, request) in [
        ("no key", list()),
        ("nobody's key", list().bearer_auth(nobodys())),
        (
            "a cookie",
            list().header(header::COOKIE, format!("__Host-eventrunner-access={}", control.keys.acme)),
        ),
        ("to look", control.world.http.get(control.world.url("/mcp"))),
    ] {
        let told = send(request).await;
        assert_eq!(told.refusal(), (401, "unauthenticated", vec![]), "{what}");
        assert!(told.header("www-authenticate").starts_with("Bearer"), "{what}");
    }
    let disabled = send(list().bearer_auth(&control.keys.disabled)).await;
    assert_eq!(disabled.refusal().0, 403, "{disabled:?}");
    assert_eq!(send(list().header("x-api-key", &control.keys.acme)).await.status, 200);

    let one = json!({"source": "/shop", "id": "0"});
    let foreign = refused(&control, &control.keys.globex, "get_event", one).await;
    assert_eq!(foreign["code"], "not_found");
    let small = refused(&control, &control.keys.small, "list_systems", json!({"tenant": "acme"})).await;
    assert_eq!(small["code"], "forbidden");
    let refusal = control.audit("acme", "outcome=refused").await.pop().unwrap();
    assert_eq!((&refusal["kind"], &refusal["trace_id"]), (&json!("system"), &small["trace_id"]));
    assert_eq!(refusal["address"], "127.0.0.1", "whoever asked, not the fleet itself");
    control.close().await;
}

/// For each tool there is: no caller that the operation would refuse gets anything of acme's through it.
#[tokio::test]
async fn every_tool_refuses_whom_its_operation_refuses() {
    let control = start(McpOptions { writes: true, ..McpOptions::default() }).await;
    control.world.store(stamp("acme", TEN), vec![event("covered", "/acme/secret", "acme.secret")]).await;
    assert_eq!(control.post("/systems", &json!({"id": "covered"})).await.status, 201);
    let before = control.audit("acme", "outcome=done").await.len();
    let tools = tools(&control, &control.keys.operator).await;
    assert!(tools.len() > 100, "{}", tools.len());
    for tool in tools {
        let name = tool["name"].as_str().unwrap();
        let arguments = plausible(&tool["inputSchema"]);
        let params = json!({"name": name, "arguments": arguments});
        let nobody = send(message(&control, "tools/call", &params).bearer_auth(nobodys())).await;
        assert_eq!(nobody.refusal().0, 401, "{name}");

        let (error, told) = call(&control, &control.keys.globex, name, arguments).await;
        if arguments_name_a_tenant(&tool) {
            let code = told["code"].as_str().unwrap_or_default();
            assert!(error && ["not_found", "forbidden"].contains(&code), "{name}: {told}");
        } else if error {
            let code = told["code"].as_str().unwrap();
            assert!(
                ["forbidden", "not_found", "invalid_argument", "conflict"].contains(&code),
                "{name}: {told}"
            );
        } else {
            assert!(!told.to_string().contains("acme"), "{name}: {told}");
        }
    }
    assert_eq!(control.audit("acme", "outcome=done").await.len(), before, "nothing of acme's was changed");
    control.close().await;
}

fn arguments_name_a_tenant(tool: &Value) -> bool {
    tool["inputSchema"]["properties"].get("tenant").is_some()
}

/// What the schema of a tool asks for, of acme's.
fn plausible(schema: &Value) -> Value {
    let required = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let value = |name: &str| match name {
        "tenant" => json!("acme"),
        "source" => json!("/acme/secret"),
        "body" => json!({}),
        "actor" => json!("user:alice"),
        "permission" => json!("read:event"),
        _ => json!("covered"),
    };
    required.map(|name| (name.to_owned(), value(name))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn what_changes_something_is_a_tool_where_that_is_wanted() {
    let control = start(McpOptions::default()).await;
    let key = &control.keys.acme;
    let reading = tools(&control, key).await;
    assert!(reading.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true));
    let create = json!({"name": "create_system", "arguments": {"tenant": "acme", "body": {"id": "till"}}});
    let unknown = ask(&control, key, "tools/call", create).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    control.close().await;

    let control = start(McpOptions { writes: true, ..McpOptions::default() }).await;
    let key = &control.keys.acme;
    let tools = tools(&control, key).await;
    let hints = |name: &str| {
        let hints = &named(&tools, name).unwrap()["annotations"];
        ["readOnlyHint", "destructiveHint", "idempotentHint"].map(|hint| hints[hint].as_bool().unwrap())
    };
    assert_eq!(hints("create_system"), [false, false, false]);
    assert_eq!(hints("change_system"), [false, true, true]);
    assert_eq!(hints("delete_system"), [false, true, true]);
    for secret in
        ["create_key", "log_in", "change_password", "create_password_reset", "create_nats_credential"]
    {
        assert!(named(&tools, secret).is_none(), "{secret}");
    }

    let made = json!({"tenant": "acme", "body": {"id": "till", "name": "Till"}});
    let made = answered(&control, key, "create_system", made).await;
    let stale = json!({"tenant": "acme", "id": "till", "If-Match": "\"9999\"", "body": {"name": "T"}});
    assert_eq!(refused(&control, key, "change_system", stale).await["code"], "precondition_failed");
    let revision = format!("\"{}\"", made["revision"]);
    let change = json!({"tenant": "acme", "id": "till", "If-Match": revision, "body": {"name": "T"}});
    assert_eq!(answered(&control, key, "change_system", change).await["name"], "T");
    let invalid = json!({"tenant": "acme", "body": {"id": "shelf", "nmae": "Shelf"}});
    assert_eq!(refused(&control, key, "create_system", invalid).await["code"], "invalid_argument");
    let (error, nothing) =
        call(&control, key, "delete_system", json!({"tenant": "acme", "id": "till"})).await;
    assert_eq!((error, nothing), (false, Value::Null));
    let done = control.audit("acme", "outcome=done&id=till").await;
    let actions: Vec<&str> = done.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["create", "change", "delete"]);
    control.close().await;
}

#[tokio::test]
async fn wrong_arguments_are_named_all_at_once() {
    let control = start(McpOptions::default()).await;
    let key = &control.keys.acme;
    for (tool, arguments, expected) in [
        ("list_events", json!({"limitt": 5, "until": {"at": 1}}), vec!["/until", "/limitt"]),
        ("get_event", json!({"source": ["/a", "/b"]}), vec!["/id", "/source"]),
        ("get_event", json!({"source": "", "id": 7}), vec!["/source"]),
        // What a value may be, the operation says itself.
        ("list_events", json!({"limit": 0, "since": "yesterday"}), vec!["query:since", "query:limit"]),
        ("list_events", json!({"cursor": ["a", "b"]}), vec!["query:cursor"]),
    ] {
        let problem = refused(&control, key, tool, arguments).await;
        assert_eq!(problem["code"], "invalid_argument", "{problem}");
        assert_eq!(pointers(&problem), expected, "{problem}");
    }
    // A value cannot leave its place in the path.
    let up = json!({"tenant": "acme", "id": "../../../v1/me?x=#"});
    assert_eq!(refused(&control, key, "get_system", up).await["code"], "not_found");
    control.close().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_what_to_do() {
    let mcp =
        McpOptions { writes: true, answer_bytes_max: 800, request_bytes_max: 1_000, ..McpOptions::default() };
    let control = start(mcp).await;
    let key = &control.keys.acme;
    control.world.store(stamp("acme", TEN), events(20)).await;
    let problem = refused(&control, key, "list_events", json!({})).await;
    assert_eq!(problem["code"], "too_large", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("`limit`"), "{problem}");
    answered(&control, key, "list_events", json!({"limit": 1})).await;

    // What was done is not told as if it was not.
    let large = json!({"tenant": "acme", "body": {"id": "large", "description": "d".repeat(700)}});
    let (error, nothing) = call(&control, key, "create_system", large).await;
    assert_eq!((error, nothing), (false, Value::Null));
    assert_eq!(control.get("/systems/large").await.status, 200);

    let long = json!({"name": "list_events", "arguments": {"cursor": "c".repeat(1_000)}});
    let told = send(message(&control, "tools/call", &long).bearer_auth(key)).await;
    assert_eq!(told.refusal().0, 413, "{told:?}");
    control.close().await;
}

#[tokio::test]
async fn a_message_that_is_none_is_a_problem() {
    let control = start(McpOptions::default()).await;
    let post = |accept: &'static str, body: &'static str| {
        let post = control.world.http.post(control.world.url("/mcp")).bearer_auth(&control.keys.acme);
        post.header(header::ACCEPT, accept).header(header::CONTENT_TYPE, "application/json").body(body)
    };
    let both = "application/json, text/event-stream";
    for (request, status) in [(post("text/html", "{}"), 400), (post(both, "{"), 415), (post(both, "[]"), 415)]
    {
        let told = send(request).await;
        assert_eq!(told.refusal().0, status, "{told:?}");
        assert_eq!(told.header("content-type"), "application/problem+json");
    }
    let get = control.world.http.get(control.world.url("/mcp")).bearer_auth(&control.keys.acme);
    let told = send(get).await;
    assert_eq!((told.refusal().0, told.header("allow")), (405, "POST"));
    control.close().await;
}

#[tokio::test]
async fn pages_ask_only_where_they_are_known() {
    let ours = "https://app.example.com";
    let mcp = McpOptions { allowed_origins: vec![format!("{ours}:443")], ..McpOptions::default() };
    let control = start(mcp).await;
    let from = async |origin: &str| -> Told {
        let list = message(&control, "tools/list", &json!({})).bearer_auth(&control.keys.acme);
        send(list.header(header::ORIGIN, origin)).await
    };
    assert_eq!(from(ours).await.status, 200);
    for origin in ["https://evil.example", "http://app.example.com", "null"] {
        assert_eq!(from(origin).await.refusal(), (403, "forbidden", vec![]), "{origin}");
    }
    control.close().await;
}

#[tokio::test]
async fn it_is_not_there_where_it_is_not_wanted() {
    let control = start(McpOptions { enabled: false, ..McpOptions::default() }).await;
    let told = send(message(&control, "tools/list", &json!({})).bearer_auth(&control.keys.acme)).await;
    assert_eq!(told.refusal().0, StatusCode::NOT_FOUND.as_u16());
    control.close().await;
}

#[tokio::test]
async fn calls_are_counted_by_tool_and_outcome() {
    let control = start(McpOptions::default()).await;
    let key = &control.keys.acme;
    answered(&control, key, "list_limits", json!({"tenant": "acme"})).await;
    refused(&control, key, "list_limits", json!({"tenant": "globex"})).await;
    ask(&control, key, "tools/call", json!({"name": "made_up"})).await;
    let metrics = runtime::metrics::render();
    for labels in [
        r#"outcome="answered",tool="list_limits""#,
        r#"outcome="refused",tool="list_limits""#,
        r#"outcome="refused",tool="none""#,
    ] {
        assert!(metrics.contains(&format!("eventrunner_api_mcp_requests_total{{{labels}}}")), "{labels}");
    }
    assert!(!metrics.contains("made_up"), "a label is bounded");
    control.close().await;
}
