//! The three questions. Each row: what happened, and then startup, live, ready.
#![expect(clippy::expect_used, reason = "the lint spares test functions, not their helpers")]

use std::time::Duration;

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use model::Micros;
use runtime::health::{Component, Health};
use testkit::ManualClock;
use tower::ServiceExt as _;

const LIMIT: Duration = Duration::from_secs(60);
const SECOND: Micros = 1_000_000;

async fn get(router: &Router, path: &str) -> (StatusCode, serde_json::Value) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).expect("JSON"))
}

type Step = fn(&Component, &ManualClock, &Health);

#[tokio::test]
async fn each_question_has_its_own_answer() {
    let clock = ManualClock::default();
    let start = model::Clock::now(&clock);
    let health = Health::with_clock(LIMIT, clock.clone());
    let component = health.component("normalizer");
    let router = health.router();
    let steps: &[(&str, Step, [bool; 3])] = &[
        ("nothing yet", |_, _, _| {}, [false, true, false]),
        (
            "started, broker not there",
            |c, _, _| {
                c.started();
                c.ready(false, "the broker is away");
            },
            [true, true, false],
        ),
        ("ready", |c, _, _| c.ready(true, ""), [true, true, true]),
        ("work arrives", |c, k, _| c.oldest_work(Some(model::Clock::now(k))), [true, true, true]),
        ("not done for as long as it may", |_, k, _| k.advance(LIMIT), [true, true, true]),
        ("not done for longer: stuck", |_, k, _| k.advance(Duration::from_micros(1)), [true, false, true]),
        (
            "the broker goes away: no restart helps",
            |c, _, _| c.ready(false, "the broker is away"),
            [true, true, false],
        ),
        ("it stays away", |_, k, _| k.advance(LIMIT * 10), [true, true, false]),
        ("it is back: the time away does not count", |c, _, _| c.ready(true, ""), [true, true, true]),
        (
            "said again: the time goes on",
            |c, k, _| {
                k.advance(LIMIT);
                c.ready(true, "");
                k.advance(LIMIT);
            },
            [true, false, true],
        ),
        ("the work is done", |c, _, _| c.oldest_work(None), [true, true, true]),
        (
            "old work is taken: it counts from its arrival",
            |c, k, _| c.oldest_work(Some(model::Clock::now(k) - 61 * SECOND)),
            [true, false, true],
        ),
        ("it moves on", |c, _, _| c.progress(), [true, true, true]),
        ("the process stops", |_, _, h| h.set_draining(), [true, true, false]),
    ];
    for (what, step, expected) in steps {
        step(&component, &clock, &health);
        for (path, expected) in ["startup", "live", "ready"].into_iter().zip(expected) {
            let (status, body) = get(&router, &format!("/healthz/{path}")).await;
            assert_eq!(status == StatusCode::OK, *expected, "{what}: {path} said {status} {body}");
            assert_eq!(body["components"][0]["name"], "normalizer");
        }
    }
    assert!(model::Clock::now(&clock) > start);
}

#[tokio::test]
async fn one_component_fails_for_all_and_says_why() {
    let clock = ManualClock::default();
    let health = Health::with_clock(LIMIT, clock.clone());
    for name in ["one", "two"] {
        let component = health.component(name);
        component.started();
        component.ready(name == "one", "the store is read-only");
        component.oldest_work(Some(model::Clock::now(&clock)));
    }
    clock.advance(Duration::from_millis(1_500));
    let (status, body) = get(&health.router(), "/healthz/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body,
        serde_json::json!({"status": "failing", "components": [
            {"name": "one", "ok": true, "started": true, "ready": true, "oldest_work_age_ms": 1500},
            {"name": "two", "ok": false, "started": true, "ready": false, "reason": "the store is read-only", "oldest_work_age_ms": 1500},
        ]})
    );
    health.set_draining();
    assert_eq!(get(&health.router(), "/healthz/ready").await.1["status"], "draining");
    assert!(Health::default().ready().ok, "nothing to wait for");
}
