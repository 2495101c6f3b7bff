//! Every refusal is a problem, with its trace id; none tells what only the operator may know.

use serde_json::Value;

use super::server::{Server, options};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn ask(server: &Server, request: &str, body: &str) -> (String, Value) {
    let length = body.len();
    let said = server
        .ask(&format!(
            "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntraceparent: {PARENT}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn each_refusal_is_a_problem_with_the_callers_trace() {
    let server = Server::start(options()).await;
    for (request, body, status, code, detail) in [
        ("GET /nowhere", "", 404, "not_found", "there is nothing at /nowhere"),
        (
            "DELETE /ok",
            "",
            405,
            "method_not_allowed",
            "the path exists, with other methods: see the allow header",
        ),
        ("GET /item/many", "", 400, "malformed", "Invalid URL: Cannot parse `many` to a `u32`"),
        (
            "GET /page?limit=x",
            "",
            400,
            "malformed",
            "Failed to deserialize query string: limit: invalid digit found in string",
        ),
        (
            "POST /json",
            "{",
            400,
            "malformed",
            "Failed to parse the request body as JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("GET /full", "", 429, "rate_limited", "wait"),
        ("GET /field", "", 400, "invalid_event", "no"),
        ("GET /fault", "", 500, "internal", "the fault is logged under this trace id"),
        ("GET /broken", "", 500, "internal", "the fault is logged under this trace id"),
        ("GET /panic", "", 500, "internal", "the fault is logged under this trace id"),
    ] {
        let (head, problem) = ask(&server, request, body).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        assert!(head.contains("content-type: application/problem+json"), "{request}: {head}");
        assert_eq!(problem["status"], status, "{request}");
        assert_eq!(problem["code"], code, "{request}");
        assert_eq!(problem["detail"], detail, "{request}");
        assert_eq!(problem["type"], format!("https://eventrunner.dev/errors/{code}"), "{request}");
        assert_eq!(problem["trace_id"], "0af7651916cd43dd8448eb211c80319c", "{request}");
        let path = request.split([' ', '?']).nth(1).unwrap();
        assert_eq!(problem["instance"], path, "{request}");
        assert!(!problem.to_string().contains("hunter2"), "{request}: {problem}");
    }
}

#[tokio::test]
async fn headers_that_belong_to_a_refusal_stay() {
    let server = Server::start(options()).await;
    let (head, _) = ask(&server, "POST /ok", "").await;
    assert!(head.contains("\r\nallow: GET,HEAD"), "{head}");
    let (head, _) = ask(&server, "GET /full", "").await;
    assert!(
        head.contains("\r\nretry-after: 3") && head.contains("\r\nratelimit: \"events\";r=0;t=3"),
        "{head}"
    );
    assert_eq!(head.matches("ratelimit").count(), 1, "{head}");
    let (_, problem) = ask(&server, "GET /field", "").await;
    assert_eq!(problem["errors"], serde_json::json!([{"pointer": "/0/id", "detail": "is required"}]));
}

#[tokio::test]
async fn a_handler_gets_its_own_span_in_the_callers_trace() {
    let server = Server::start(options()).await;
    let ask = async |header: &str| {
        let said =
            server.ask(&format!("GET /trace HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n")).await;
        said.rsplit("\r\n").next().unwrap().to_owned()
    };
    let continued = ask(&format!("traceparent: {PARENT}\r\n")).await;
    assert!(
        continued.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && continued.ends_with("-01"),
        "{continued}"
    );
    assert_ne!(continued, PARENT, "a span of its own");
    let (one, two) = (ask("").await, ask("traceparent: nonsense\r\n").await);
    assert_eq!(one.len(), 55);
    assert_ne!(one[3..35], two[3..35], "a new trace each");
}

#[tokio::test]
async fn a_panic_takes_nothing_else_down() {
    let server = Server::start(options()).await;
    let mut client = server.client().await;
    client.send("GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.until("\"trace_id\"").await;
    client.until("}").await;
    client.send("GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(client.answer().await.ends_with("fine"), "the same connection goes on");
}

#[tokio::test]
async fn a_grpc_caller_gets_a_status() {
    let server = Server::start(options()).await;
    for (path, status) in [("/panic", 13), ("/nowhere", 12), ("/full", 8), ("/fault", 13)] {
        let said = server
            .ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/grpc\r\n\r\n"))
            .await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        assert!(said.contains(&format!("\r\ngrpc-status: {status}\r\n")), "{path}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
