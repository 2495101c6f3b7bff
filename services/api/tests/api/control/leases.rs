//! Leases: one holder at a time, lost when they are not renewed; and dry runs, which change nothing.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::json;

use super::world::{Control, Told, merge, send};

const LEASE: &str = "/leases/globex";

impl Control {
    async fn take(&self, holder: &str, ttl: u32, revision: Option<&str>) -> Told {
        let request = self.manage(Method::PUT, LEASE).json(&json!({"holder": holder, "ttl_seconds": ttl}));
        send(match revision {
            Some(etag) => request.header(header::IF_MATCH, etag),
            None => request,
        })
        .await
    }
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_ends() {
    let control = Control::start().await;
    assert_eq!(control.get(LEASE).await.status, 404);
    let first = control.take("alice", 60, None).await;
    assert_eq!((first.status, &first.json["holder"]), (200, &json!("alice")));
    let second = control.take("bob", 60, None).await;
    assert_eq!(second.refusal().0, 409);
    let detail = second.json["detail"].as_str().unwrap();
    assert!(
        detail.contains("alice") && detail.contains(first.json["expires_at"].as_str().unwrap()),
        "{detail}"
    );
    assert!(second.header("retry-after").parse::<u64>().unwrap() <= 61);

    let renewed = control.take("alice", 1, Some(&first.etag)).await;
    assert_eq!((renewed.status, &renewed.json["since"]), (200, &first.json["since"]));
    assert_eq!(control.take("alice", 60, Some(&first.etag)).await.status, 412, "renewed once already");
    let taken = async {
        loop {
            let told = control.take("bob", 60, None).await;
            if told.status == 200 {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let taken = tokio::time::timeout(Duration::from_secs(20), taken).await.unwrap();
    assert_eq!(control.get(LEASE).await.json["holder"], "bob");
    let lost = send(control.manage(Method::DELETE, LEASE).header(header::IF_MATCH, &renewed.etag)).await;
    assert_eq!(lost.status, 412);
    let ended = send(control.manage(Method::DELETE, LEASE).header(header::IF_MATCH, &taken.etag)).await;
    assert_eq!(ended.status, 204);
    assert_eq!(control.take("carol", 5, None).await.status, 200);
    control.close().await;
}

/// Of many who ask at once one gets it.
#[tokio::test]
async fn of_many_one_gets_it() {
    let control = Control::start().await;
    let names: Vec<String> = (0..20).map(|n| format!("holder {n}")).collect();
    let told = futures::future::join_all(names.iter().map(|name| control.take(name, 60, None))).await;
    assert_eq!(told.iter().filter(|t| t.status == 200).count(), 1);
    assert!(told.iter().all(|t| [200, 409].contains(&t.status)), "{told:?}");
    control.close().await;
}

#[tokio::test]
async fn impossible_leases_are_refused() {
    let control = Control::start().await;
    for (path, body, pointer) in [
        (LEASE, json!({"holder": ""}), "/holder"),
        (LEASE, json!({"holder": "a\nb"}), "/holder"),
        (LEASE, json!({"holder": "x".repeat(257)}), "/holder"),
        (LEASE, json!({"holder": "a", "ttl_seconds": 0}), "/ttl_seconds"),
        (LEASE, json!({"holder": "a", "ttl_seconds": 301}), "/ttl_seconds"),
        (LEASE, json!({"holder": "a", "colour": 1}), "/colour"),
        (LEASE, json!({}), ""),
        ("/leases/No.Slug", json!({"holder": "a"}), "path:id"),
    ] {
        let told = control.put(path, &body).await;
        assert_eq!(told.refusal(), (400, "invalid_argument", vec![pointer]), "{path} {body}");
    }
    control.close().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let control = Control::start().await;
    let dry = "?dry_run=true";
    let made = control.post(&format!("/systems{dry}"), &json!({"id": "till", "name": "Till"})).await;
    assert_eq!((made.status, &made.json["name"], made.etag.as_str()), (200, &json!("Till"), ""));
    assert_eq!(control.get("/systems/till").await.status, 404);
    let path = format!("/systems{dry}");
    let impossible =
        control.manage(Method::POST, &path).header("idempotency-key", "a b").json(&json!({"id": "till"}));
    assert_eq!(send(impossible).await.refusal().0, 400);
    let taken = control.post(&format!("/systems{dry}"), &json!({"id": "shop"})).await;
    assert_eq!(taken.refusal().0, 409);
    let dangling = control.put(&format!("/sources/hub{dry}"), &json!({"system": "nowhere"})).await;
    assert_eq!(
        (dangling.refusal().0, dangling.json["errors"][0]["pointer"].as_str()),
        (400, Some("/system"))
    );

    let before = control.get("/systems/shop").await;
    let path = format!("/systems/shop{dry}");
    let put = control.put(&path, &json!({"name": "Shop"})).await;
    assert_eq!((put.status, &put.json["name"], &put.etag), (200, &json!("Shop"), &before.etag));
    assert_eq!(
        send(merge(control.manage(Method::PATCH, &path), &json!({"name": "Other"}))).await.status,
        200
    );
    let held = control.delete(&path).await;
    assert_eq!(held.refusal().0, 422, "keys are of that system: {held:?}");
    assert_eq!(control.get("/systems/shop").await.json, before.json);
    control.post("/systems", &json!({"id": "till"})).await;
    assert_eq!(control.delete(&format!("/systems/till{dry}")).await.status, 204);
    assert_eq!(control.get("/systems/till").await.status, 200);
    let stale =
        send(control.manage(Method::PUT, &path).header(header::IF_MATCH, "\"1\"").json(&json!({}))).await;
    assert_eq!(stale.status, 412);
    // What only was looked at is not in the audit.
    let records = control.audit("acme", "kind=system&id=shop&outcome=done").await;
    assert!(records.is_empty(), "{records:?}");
    assert_eq!(control.put("/systems/shop?dry_run=maybe", &json!({})).await.status, 400);
    control.close().await;
}
