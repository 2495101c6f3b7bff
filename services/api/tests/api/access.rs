//! Nobody gets in without the right key: every operation of the OpenAPI document is tried, so that a new one cannot
//! be forgotten.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::{
    letters::letter,
    world::{TEN, World, event, stamp},
};

/// Operations that need no key.
const PUBLIC: [&str; 2] = ["/.well-known/alive", "/.well-known/health"];

struct Operation {
    method: Method,
    path: String,
    template: String,
}

/// Each documented operation, on what belongs to acme.
fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&api::openapi().to_json().unwrap()).unwrap();
    let mut operations = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // These have a coverage of their own, in `control/coverage.rs`, `control/people_coverage.rs` and `control/seed.rs`.
            if ["resources", "audit", "people", "seed"].contains(&operation["tags"][0].as_str().unwrap()) {
                continue;
            }
            let method: Method = method.to_uppercase().parse().unwrap();
            let public =
                operation["security"].as_array().unwrap().iter().any(|s| s.as_object().unwrap().is_empty());
            assert_eq!(public, PUBLIC.contains(&&**template), "{template}: only these need no key");
            let path = template.replace("{source}", "%2Fa").replace("{id}", "1").replace("{tenant}", "acme");
            assert!(!path.contains('{'), "{template} has a parameter this test does not know");
            // Of all streams and lists only these need more than a key to be asked.
            let path = if method == Method::DELETE && !template.contains("{id}") {
                path + "?all=true"
            } else {
                path
            };
            operations.push(Operation { method, path, template: template.clone() });
        }
    }
    assert!(operations.len() >= 14, "the document is whole");
    operations
}

async fn status(world: &World, operation: &Operation, key: Option<&str>) -> (StatusCode, String) {
    let mut request = world.http.request(operation.method.clone(), world.url(&operation.path));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    // The body of a stream has no end.
    let streams = response.headers()["content-type"] == "text/event-stream";
    (status, if streams { String::new() } else { response.text().await.unwrap() })
}

async fn world_of_acme() -> World {
    let world = World::start().await;
    world.store(stamp("acme", TEN), vec![event("1", "/a", "t")]).await;
    let sent = bus::dead::send(&world.bus, &letter("acme", "1", 1)).await;
    assert_eq!(sent.settled().await.0, 1);
    world
}

#[tokio::test]
async fn every_operation_refuses_who_may_not() {
    let world = world_of_acme().await;
    for operation in operations() {
        let Operation { method, template, .. } = &operation;
        if PUBLIC.contains(&&**template) {
            assert_eq!(status(&world, &operation, None).await.0, 200, "{template}");
            continue;
        }
        let wrong_scope = if *method == Method::GET { &world.keys.writer } else { &world.keys.reader };
        let cases = [
            ("no key", None, StatusCode::UNAUTHORIZED, "unauthenticated"),
            (
                "nobody's key",
                Some("er_aaaaaaaaaaaaaaaa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
            ),
            ("the publish scope only", Some(&*world.keys.publisher), StatusCode::FORBIDDEN, "forbidden"),
            ("the wrong scope", Some(wrong_scope), StatusCode::FORBIDDEN, "forbidden"),
            ("a disabled tenant's key", Some(&world.keys.disabled), StatusCode::FORBIDDEN, "forbidden"),
        ];
        for (case, key, expected, code) in cases {
            let (status, body) = status(&world, &operation, key).await;
            assert_eq!(status, expected, "{method} {template} with {case}: {body}");
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["code"], code, "{method} {template} with {case}");
        }
    }
    world.close().await;
}

/// What another tenant has looks as if it did not exist.
#[tokio::test]
async fn every_operation_hides_other_tenants() {
    let world = world_of_acme().await;
    for operation in operations() {
        let Operation { method, template, path } = &operation;
        if PUBLIC.contains(&&**template) {
            continue;
        }
        let (status, body) = status(&world, &operation, Some(&world.keys.globex)).await;
        if template.contains("{tenant}") {
            assert_eq!(status, 403, "{method} {template}");
        } else if template.contains('{') {
            assert_eq!(status, 404, "{method} {template}: {body}");
            let nowhere = Operation {
                method: method.clone(),
                path: path.replace("/1", "/999"),
                template: template.clone(),
            };
            let (nothing, text) = self::status(&world, &nowhere, Some(&world.keys.globex)).await;
            let told = |body: &str| {
                let problem: Value = serde_json::from_str(body).unwrap();
                (problem["code"].clone(), problem["detail"].clone())
            };
            assert_eq!((status, told(&body)), (nothing, told(&text)), "{method} {template}: told apart");
        } else {
            assert_eq!(status, 200, "{method} {template}: {body}");
            assert!(
                !body.contains("\"1\"")
                    && !body.contains("\"deleted\":1")
                    && !body.contains("\"redriven\":1"),
                "{method} {template}: {body}"
            );
        }
    }
    let left = world.get("/api/v1/dead-letters").await;
    assert_eq!(left["dead_letters"].as_array().unwrap().len(), 1, "and nothing of acme's is gone");
    world.close().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let world = World::start().await;
    for (method, path, expected) in
        [(Method::GET, "/api/v1/nothing", 404), (Method::PUT, "/api/v1/events", 405), (Method::GET, "/", 404)]
    {
        let response = world.ask(method, path).await;
        assert_eq!(response.status(), expected, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    world.close().await;
}

#[test]
fn the_document_is_openapi_3_1_with_every_error() {
    let document: Value = serde_json::from_str(&api::openapi().to_json().unwrap()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                operation["summary"].as_str().is_some() && operation["operationId"].as_str().is_some(),
                "{path}"
            );
            let open = operation["security"].as_array().unwrap().iter().any(|s| s == &serde_json::json!({}));
            if !open {
                for status in ["400", "401", "403", "404", "503"] {
                    assert!(responses.contains_key(status), "{method} {path} {status}");
                }
            }
        }
    }
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1).map(|t| t.split('"').next().unwrap()) {
        assert!(document["components"]["schemas"].get(reference).is_some(), "{reference} is not described");
    }
}
