//! Planted secrets, and a search for them wherever something is kept.

use std::{fs, path::Path};

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::world::{Control, assert_documented, send};

const PLANTED: &str = "whsec_PLANTED0123456789";
const SECOND: &str = "whsec_SECOND9876543210";

fn files_with(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|w| w == needle.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn secrets_are_sealed_and_never_told() {
    let control = Control::start().await;
    let body = json!({"id": "hub", "system": "shop", "preset": "github", "verification": {
        "scheme": {"type": "github"}, "secrets": [PLANTED], "tolerance_seconds": 60,
    }});
    let request = control.manage(Method::POST, "/sources").header("idempotency-key", "k").json(&body);
    let made = send(request).await;
    assert_eq!((made.status, &made.json["verification"]["secret_count"]), (201, &json!(1)), "{made:?}");
    assert!(made.json["verification"].get("secrets").is_none());
    assert_documented("Source", &made.json);

    // What was read is sent back: the secret stays.
    let mut renamed = made.json.clone();
    renamed["name"] = json!("Hub");
    let renamed = control.put("/sources/hub", &renamed).await;
    assert_eq!(renamed.json["verification"]["secret_count"], 1);
    let patched = control.patch("/sources/hub", &json!({"verification": {"tolerance_seconds": 90}})).await;
    assert_eq!((patched.status, &patched.json["verification"]["tolerance_seconds"]), (200, &json!(90)));
    let opened = |control: &Control| -> Vec<String> {
        let source = control.world.catalog.snapshot();
        let source = source.source(&"acme".parse().unwrap(), &"hub".parse().unwrap()).unwrap().clone();
        let sealed = &source.verification.as_ref().unwrap().sealed_secrets;
        let open = |s: &String| crate::world::sealer().open("source.acme.hub", s).unwrap();
        sealed.iter().map(|s| open(s).expose_secret().to_owned()).collect()
    };
    assert_eq!(opened(&control), [PLANTED]);
    let rotated =
        control.patch("/sources/hub", &json!({"verification": {"secrets": [PLANTED, SECOND]}})).await;
    assert_eq!(rotated.json["verification"]["secret_count"], 2);
    assert_eq!(opened(&control), [PLANTED, SECOND]);

    let key = json!({"system": "shop", "scopes": ["read"]});
    let request = control.manage(Method::POST, "/keys").header("idempotency-key", "k").json(&key);
    let key = send(request).await.json["key"].as_str().unwrap().to_owned();
    let refused = json!({"id": "x", "system": "none", "verification": {"scheme": {"type": "github"}, "secrets": [PLANTED, 7]}});
    control.post("/sources", &refused).await;
    control.delete("/sources/hub").await;

    let told = [
        control.get("/sources?deleted=true").await.json,
        control.get("/keys").await.json,
        control.get("/audit?limit=1000").await.json,
    ];
    let told = Value::from(told.to_vec()).to_string();
    let folder = control.world.nats.store_dir();
    for secret in [PLANTED, SECOND, &key, &key[20..]] {
        assert!(!told.contains(secret), "{secret} is told");
        assert_eq!(files_with(&folder, secret), [""; 0], "{secret}");
        assert!(!control.world.nats.log().contains(secret));
    }
    assert!(!told.contains("\"hash\"") && !told.contains("sealed_secrets"), "{told}");
    assert!(!files_with(&folder, "secret_count").is_empty(), "the search finds what is there");
    control.close().await;
}

#[tokio::test]
async fn secret_headers_are_sealed_and_never_told() {
    let control = Control::start().await;
    let target = json!({
        "type": "webhook", "url": "https://x.example/hook", "headers": {"x-a": "b"},
        "secret_headers": {"authorization": PLANTED, "x-key": SECOND},
    });
    let made = control.post("/actions", &json!({"id": "tell", "system": "shop", "target": target})).await;
    let names = |told: &Value| told["target"]["secret_header_names"].clone();
    assert_eq!((made.status, names(&made.json)), (201, json!(["authorization", "x-key"])), "{made:?}");
    assert_documented("Action", &made.json);

    // What was read is sent back: the secrets stay. Given anew they take the place of all.
    let mut renamed = made.json.clone();
    renamed["name"] = json!("Tell");
    assert_eq!(names(&control.put("/actions/tell", &renamed).await.json), json!(["authorization", "x-key"]));
    let sealed = |control: &Control| {
        let snapshot = control.world.catalog.snapshot();
        let action = snapshot.entry::<model::resource::Action>(&"acme".parse().unwrap(), "tell").unwrap();
        let model::resource::Target::Webhook(webhook) = &action.value.target;
        webhook.secret_headers.clone()
    };
    let open = |s: &String| crate::world::sealer().open("action.acme.tell", s).unwrap();
    assert_eq!(open(&sealed(&control)["authorization"]).expose_secret(), PLANTED);
    let patch = json!({"target": {"secret_headers": {"x-key": SECOND}}});
    assert_eq!(names(&control.patch("/actions/tell", &patch).await.json), json!(["x-key"]));
    assert_eq!(sealed(&control).keys().collect::<Vec<_>>(), ["x-key"]);
    let audit = json!(control.audit("acme", "kind=action").await).to_string();
    assert!(!audit.contains(PLANTED) && !audit.contains(SECOND) && !audit.contains("v1."));
    control.close().await;
}

/// Whatever lets somebody in is told to them and to nobody else, and kept nowhere as it is.
#[tokio::test]
async fn what_lets_people_in_is_kept_nowhere() {
    use super::people::{PASSWORD, bind, log_in, post, user};
    const CHANGED: &str = "PLANTED the changed password";
    const WRONG: &str = "PLANTED the wrong password";
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    bind(&control, "alice", "acme", "viewer").await;
    let mut secrets = vec![PASSWORD.to_owned(), CHANGED.to_owned(), WRONG.to_owned()];
    let mut plant = |told: &Value| {
        for name in ["access_token", "refresh_token", "token"] {
            // Without what tells where it is kept.
            secrets.extend(told[name].as_str().map(|text| text.split('.').next_back().unwrap().to_owned()));
            secrets.extend(told[name].as_str().map(|text| text.split('.').next().unwrap().to_owned()));
        }
    };
    log_in(&control, "alice", WRONG).await;
    log_in(&control, WRONG, WRONG).await;
    let begun = log_in(&control, "alice", PASSWORD).await;
    plant(&begun.json);
    let refresh = json!({"refresh_token": begun.json["refresh_token"]});
    let begun = post(&control, "/api/v1/sessions/refresh", &refresh).await;
    plant(&begun.json);
    let token = begun.json["access_token"].as_str().unwrap();
    for (current, new) in [(WRONG, CHANGED), (PASSWORD, "short"), (PASSWORD, CHANGED)] {
        let body = json!({"current_password": current, "new_password": new});
        let told = send(control.request(token, Method::PUT, "/api/v1/me/password").json(&body)).await;
        plant(&told.json);
    }
    let link = send(control.operate(Method::POST, "/api/v1/users/alice/password-resets")).await;
    plant(&link.json);
    let invitation = control.post("/invitations", &json!({"role": "viewer"})).await;
    plant(&invitation.json);
    let accept = json!({"token": invitation.json["token"], "username": "bob", "password": CHANGED});
    plant(&post(&control, "/api/v1/invitations/accept", &accept).await.json);
    // The head of every access token is the same, and user names are no secret.
    secrets.retain(|secret| secret.len() > 20 && !secret.starts_with("eyJ"));
    secrets.push("$argon2id$".to_owned());

    let told = [
        send(control.operate(Method::GET, "/api/v1/users")).await.json,
        send(control.operate(Method::GET, "/api/v1/users/alice/sessions")).await.json,
        send(control.operate(Method::GET, "/api/v1/fleet/audit?limit=1000")).await.json,
        control.get("/invitations").await.json,
        control.get("/audit?limit=1000").await.json,
    ];
    let told = Value::from(told.to_vec()).to_string();
    let folder = control.world.nats.store_dir();
    assert!(secrets.len() >= 12, "{}", secrets.len());
    for secret in secrets {
        assert!(!told.contains(&secret), "{secret} is told");
        assert_eq!(files_with(&folder, &secret), [""; 0], "{secret}");
        assert!(!control.world.nats.log().contains(&secret));
    }
    assert!(!files_with(&folder, "signed_out_at_us").is_empty(), "the search finds what is there");
    control.close().await;
}
