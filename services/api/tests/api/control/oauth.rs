//! OAuth clients: API keys that come by short-lived tokens.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Control, Told, send};

pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// A key's id.
fn id_of(key: &str) -> &str {
    key.split('_').nth(1).unwrap()
}

/// The request of a client by its key.
pub(super) fn form(key: &str, scope: Option<&str>) -> String {
    let scope = scope.map(|scope| format!("&scope={}", scope.replace(' ', "+"))).unwrap_or_default();
    format!("grant_type=client_credentials&client_id={}&client_secret={key}{scope}", id_of(key))
}

async fn ask(control: &Control, form: String) -> Told {
    let request = control.world.http.post(control.world.url("/oauth2/token"));
    send(request.header("content-type", FORM).body(form)).await
}

async fn read(control: &Control, token: &str, path: &str) -> u16 {
    send(control.world.http.get(control.world.url(path)).bearer_auth(token)).await.status
}

#[tokio::test]
async fn a_key_gets_tokens_that_are_worth_no_more_than_it_is() {
    let control = Control::start().await;
    let key = &control.keys.acme;
    let given = ask(&control, form(key, None)).await;
    assert_eq!(given.status, 200, "{given:?}");
    assert_eq!((given.header("cache-control"), &given.json["token_type"]), ("no-store", &json!("Bearer")));
    assert_eq!(given.json["scope"], "manage publish read");
    let token = given.json["access_token"].as_str().unwrap();
    let systems = "/api/v1/tenants/acme/systems";
    assert_eq!(read(&control, token, systems).await, 200);
    assert_eq!(read(&control, token, "/api/v1/tenants/globex/systems").await, 404, "another tenant's");
    assert_eq!(read(&control, token, "/api/v1/users").await, 403);
    assert_eq!(read(&control, token, "/api/v1/me/sessions").await, 403, "no person");

    let narrow = ask(&control, form(key, Some("read"))).await;
    assert_eq!(narrow.json["scope"], "read");
    let narrow = narrow.json["access_token"].as_str().unwrap();
    assert_eq!(read(&control, narrow, "/api/v1/events").await, 200);
    assert_eq!(read(&control, narrow, systems).await, 403, "it was asked for no more");

    let basic = control.world.http.post(control.world.url("/oauth2/token"));
    let basic = basic.basic_auth(id_of(key), Some(key)).header("content-type", FORM);
    assert_eq!(send(basic.body("grant_type=client_credentials")).await.status, 200);

    let me = send(control.world.http.get(control.world.url("/api/v1/me")).bearer_auth(token)).await;
    assert_eq!(me.status, 200, "{me:?}");
    let path = format!("/api/v1/tenants/acme/keys/{}", id_of(key));
    assert_eq!(send(control.operate(Method::DELETE, &path)).await.status, 204);
    assert_eq!(read(&control, token, systems).await, 401, "its key is taken away");
    assert_eq!(ask(&control, form(key, None)).await.status, 401);
    control.close().await;
}

#[tokio::test]
async fn whoever_is_no_client_is_told_as_oauth_has_it_and_recorded() {
    let control = Control::start().await;
    let (key, other) = (&control.keys.acme, &control.keys.globex);
    let wrong = format!("{}x", &key[..key.len() - 1]);
    let with = |id: &str, secret: &str| {
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
    };
    let nobodys = format!("er_{}_{}", "a".repeat(16), "A".repeat(43));
    for (form, status, error) in [
        (with(id_of(key), &wrong), 401, "invalid_client"),
        (with(id_of(other), key), 401, "invalid_client"),
        (with("nobody", &nobodys), 401, "invalid_client"),
        (form(&control.keys.disabled, None), 400, "unauthorized_client"),
        (form(key, Some("read operate")), 400, "invalid_scope"),
        (form(key, None).replace("client_credentials", "password"), 400, "unsupported_grant_type"),
        (form(key, None) + "&client_id=x", 400, "invalid_request"),
        ("grant_type=client_credentials".to_owned(), 401, "invalid_client"),
        ("x".repeat(100_000), 400, "invalid_request"),
        (String::new(), 400, "invalid_request"),
    ] {
        let told = ask(&control, form.clone()).await;
        let form = &form[..form.len().min(200)];
        assert_eq!((told.status, &told.json["error"]), (status, &json!(error)), "{form}: {told:?}");
        assert_eq!(told.header("cache-control"), "no-store");
    }
    let told = send(control.world.http.post(control.world.url("/oauth2/token")).json(&json!({}))).await;
    assert_eq!((told.status, &told.json["error"]), (400, &json!("invalid_request")));
    let wrongly = control.world.http.post(control.world.url("/oauth2/token"));
    let wrongly = wrongly.basic_auth(id_of(key), Some(&wrong)).header("content-type", FORM);
    let told = send(wrongly.body("grant_type=client_credentials")).await;
    assert!(told.status == 401 && told.header("www-authenticate").starts_with("Basic "), "{told:?}");
    control.close().await;
}

#[tokio::test]
async fn the_public_keys_verify_a_token() {
    let control = Control::start().await;
    let keys = send(control.world.http.get(control.world.url("/.well-known/jwks.json"))).await;
    assert_eq!((keys.status, keys.header("cache-control")), (200, "public, max-age=300"));
    let keys = keys.json["keys"].as_array().unwrap().clone();
    assert!(keys.iter().all(|key| key["kty"] == "OKP" && key.get("d").is_none()), "{keys:?}");
    let given = ask(&control, form(&control.keys.acme, None)).await;
    let token = given.json["access_token"].as_str().unwrap();
    let header = token.split('.').next().unwrap();
    let header = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert!(keys.iter().any(|key| key["kid"] == header["kid"]), "{header}");
    control.close().await;
}
