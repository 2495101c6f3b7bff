//! People in a browser: what its cookies open, and what they do not.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    people::{PASSWORD, bind, user},
    world::{Control, Told, assert_answered, send},
};

const SYSTEMS: &str = "/api/v1/tenants/acme/systems";

/// The cookies that an answer sets, as a browser sends them back; those that it takes away left out.
fn cookies(told: &Told) -> String {
    let lines = told.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let kept = lines.filter(|line| !line.contains("Max-Age=0;"));
    kept.map(|line| line.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
}

struct Browser<'a> {
    control: &'a Control,
    cookies: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    fn of(control: &'a Control, told: &Told) -> Self {
        let csrf = told.json["csrf_token"].as_str().unwrap_or_else(|| panic!("{told:?}")).to_owned();
        Self { control, cookies: cookies(told), csrf }
    }

    /// What any page may have it send.
    fn sends(&self, method: Method, path: &str) -> RequestBuilder {
        let world = &self.control.world;
        world.http.request(method, world.url(path)).header("cookie", &self.cookies)
    }

    /// What our own pages have it send.
    fn asks(&self, method: Method, path: &str) -> RequestBuilder {
        self.sends(method, path).header("x-csrf-token", &self.csrf)
    }
}

async fn log_in(control: &Control) -> Told {
    let body = json!({"username": "alice", "password": PASSWORD, "cookie": true});
    let told = send(control.world.http.post(control.world.url("/api/v1/login")).json(&body)).await;
    assert_eq!(told.status, 200, "{told:?}");
    told
}

#[tokio::test]
async fn cookies_open_what_our_own_pages_ask_for() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    bind(&control, "alice", "acme", "admin").await;
    let begun = log_in(&control).await;
    assert_answered("SessionTokens", &begun.json);
    assert!(begun.json.get("access_token").is_none() && begun.json.get("refresh_token").is_none());
    let lines: Vec<_> = begun.headers.get_all("set-cookie").iter().map(|l| l.to_str().unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        assert!(line.starts_with("__Host-eventrunner-") && !line.contains("Domain"), "{line}");
        for attribute in ["; Path=/;", "; Secure;", "; HttpOnly;", "; SameSite=Lax"] {
            assert!(line.contains(attribute), "{attribute}: {line}");
        }
    }
    let browser = Browser::of(&control, &begun);
    for path in [SYSTEMS, "/api/v1/me", "/api/v1/events", "/api/v1/me/sessions"] {
        assert_eq!(send(browser.sends(Method::GET, path)).await.status, 200, "{path}");
    }
    let system = |id: &str| json!({ "id": id });
    let made = send(browser.asks(Method::POST, SYSTEMS).json(&system("made"))).await;
    assert_eq!(made.status, 201, "{made:?}");

    // Another site's page has the browser send its cookies, and knows no token.
    let others = [None, Some(""), Some("x"), Some("AAAA")];
    for token in others {
        for (method, path) in [
            (Method::POST, SYSTEMS),
            (Method::DELETE, "/api/v1/tenants/acme/systems/made"),
            (Method::POST, "/api/v1/logout"),
            (Method::PUT, "/api/v1/me/password"),
            (Method::POST, "/api/v1/sessions/refresh"),
        ] {
            let request = browser.sends(method.clone(), path);
            let request =
                if let Some(token) = token { request.header("x-csrf-token", token) } else { request };
            let told = send(request.json(&json!({}))).await;
            assert_eq!(told.refusal().0, 401, "{method} {path} {token:?}: {told:?}");
        }
    }
    // A token is of its session, and other credentials go before the cookie.
    let other = Browser::of(&control, &log_in(&control).await);
    let request = browser.sends(Method::POST, SYSTEMS).header("x-csrf-token", &other.csrf);
    assert_eq!(send(request.json(&system("x"))).await.refusal().0, 401);
    let bad = browser.asks(Method::GET, SYSTEMS).bearer_auth("nobody's");
    assert_eq!(send(bad).await.refusal().0, 401);
    let strangers =
        send(control.operate(Method::GET, "/api/v1/fleet/audit?outcome=refused&kind=system")).await;
    let tenants = control.audit("acme", "outcome=refused&kind=system").await;
    assert!(
        !strangers.json["records"].as_array().unwrap().is_empty() || !tenants.is_empty(),
        "it is recorded"
    );
    control.close().await;
}

#[tokio::test]
async fn a_session_in_a_browser_goes_on_and_ends() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    bind(&control, "alice", "acme", "admin").await;
    let first = Browser::of(&control, &log_in(&control).await);
    let next = send(first.asks(Method::POST, "/api/v1/sessions/refresh").json(&json!({}))).await;
    assert_eq!((next.status, &next.json["access_token"]), (200, &Value::Null), "{next:?}");
    let next = Browser::of(&control, &next);
    assert_eq!(next.csrf, first.csrf, "as long as the session is the same");
    assert_eq!(send(next.sends(Method::GET, SYSTEMS)).await.status, 200);

    let body = json!({"current_password": PASSWORD, "new_password": "another horse, another staple"});
    let changed = send(next.asks(Method::PUT, "/api/v1/me/password").json(&body)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let changed = Browser::of(&control, &changed);
    assert_ne!(changed.csrf, next.csrf);
    assert_eq!(send(next.sends(Method::GET, SYSTEMS)).await.status, 401, "the old cookies are no good");
    assert_eq!(send(changed.sends(Method::GET, SYSTEMS)).await.status, 200);
    let out = send(changed.asks(Method::POST, "/api/v1/logout")).await;
    assert_eq!((out.status, cookies(&out)), (204, String::new()), "taken away: {out:?}");
    assert_eq!(out.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(send(changed.sends(Method::GET, SYSTEMS)).await.status, 401);
    control.close().await;
}
