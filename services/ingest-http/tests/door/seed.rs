//! `POST /events` as clients of the seed know it: what they send, what they are answered, and what is kept.

use bus::AcceptError;
use serde_json::{Value, json};

use crate::{
    accepted::event,
    issuer::Issuer,
    support::{Answer, Broker, Door, EVENT_BYTES_MAX, GONE, KEY, OTHER, READER, Request, SLOW},
};

const JSON: &str = "application/json";

fn post(body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", "/events").content(JSON, body)
}

fn told(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some(JSON));
    (answer.status, answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// What is sent, and the id, source, type and data of the event that is kept of it.
#[test]
fn one_json_value_is_one_event() {
    let door = Door::open();
    let ours = |data: &'static str| ("", "eventrunner", "com.example.event", data);
    for (sent, (id, source, ty, data)) in [
        (r#"{"order": 7}"#, ours(r#"{"order": 7}"#)),
        ("[1, 2]", ours("[1, 2]")),
        ("7", ours("7")),
        (r#"{"specversion": "1.0", "id": "no type"}"#, ours(r#"{"specversion": "1.0", "id": "no type"}"#)),
        (
            r#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"a": 1}}"#,
            ("1", "/s", "t", r#"{"a": 1}"#),
        ),
    ] {
        let answer = door.send(&post(sent).header("x-api-key", KEY));
        assert_eq!((answer.status, answer.json()), (201, json!({"data": {"status": "received"}})), "{sent}");
        let kept = door.kept();
        let [(stamp, placed)] = &kept[..] else { panic!("{sent}: {kept:?}") };
        assert_eq!((&*stamp.tenant, &*stamp.system), (&b"acme"[..], &b"shop"[..]), "its key's");
        let event = event(&placed[0]);
        if id.is_empty() {
            uuid::Uuid::parse_str(event.id()).unwrap();
            assert!(event.time().is_some(), "{sent}");
        } else {
            assert_eq!(&**event.id(), id);
        }
        assert_eq!((&**event.source(), &**event.ty()), (source, ty), "{sent}");
        assert_eq!(event.data().unwrap().as_bytes(), data.as_bytes(), "{sent}");
        assert_eq!(event.datacontenttype().map(|t| &**t), Some(JSON).filter(|_| id.is_empty()), "{sent}");
    }
    let twice = post("{}").key(KEY).header("Idempotency-Key", "order-7");
    assert_eq!((door.send(&twice).status, door.send(&twice).status), (201, 201));
    let ids: Vec<_> = door.kept().iter().map(|(_, placed)| event(&placed[0]).id().to_string()).collect();
    assert_eq!(ids, ["order-7", "order-7"], "one event");
}

/// Who sends by which credentials, and what they are told.
#[test]
fn a_token_a_key_or_both() {
    let runtime = runtime();
    let issuer = runtime.block_on(Issuer::start("https://hydra.example"));
    let stranger = runtime.block_on(Issuer::start("https://stranger.example"));
    let door = Door::open_to(vec![issuer.options()], vec![]);
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let token = |tenant: &str, role: &str| bearer(&issuer.token(tenant, &[role]));
    let publisher = || token("acme", "event_publisher");
    let received = || (201, String::new());
    let refused = |status: u16, message: &str| (status, message.to_owned());
    let forbidden = || refused(403, "Forbidden: Insufficient permissions");
    for (authorization, key, expected) in [
        (None, Some(KEY), received()),
        (bearer(KEY), None, received()),
        (bearer(KEY), Some(KEY), received()),
        (publisher(), Some(KEY), received()),
        (token("acme", "admin"), Some(KEY), received()),
        (None, None, refused(401, "Missing or invalid authorization header")),
        (Some("Basic dTpw".to_owned()), Some(KEY), refused(401, "Invalid authorization header format")),
        (Some("Basic dTpw".to_owned()), None, refused(401, "Invalid authorization header format")),
        (bearer("nobody's"), Some(KEY), refused(401, "Invalid token")),
        (bearer(&stranger.token("acme", &["admin"])), Some(KEY), refused(401, "Invalid token")),
        (publisher(), Some("nobody's"), refused(401, "Invalid token")),
        (publisher(), Some(""), refused(401, "Missing API Key")),
        (publisher(), None, refused(401, "Missing API Key")),
        (token("nowhere", "admin"), Some(KEY), refused(401, "Missing tenant ID")),
        (token("acme", "viewer"), Some(KEY), forbidden()),
        (publisher(), Some(READER), forbidden()),
        (publisher(), Some(OTHER), forbidden()),
        (None, Some(GONE), forbidden()),
    ] {
        let request =
            authorization.iter().fold(post("{}"), |r, value| r.header("authorization", value.as_str()));
        let request = key.iter().fold(request, |r, key| r.header("x-api-key", *key));
        let answer = door.send(&request);
        assert_eq!(told(&answer), expected, "{authorization:?} {key:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401);
        assert_eq!(door.kept().len(), usize::from(answer.status == 201), "{authorization:?} {key:?}");
    }
    let named = post("{}").key(&issuer.token("acme", &["admin"])).header("EventRunner-System", "shop");
    assert_eq!(told(&door.send(&named)), received());
    assert_eq!(&*door.kept()[0].0.system, b"shop");
}

#[test]
fn headers_that_name_somebody_are_nobody() {
    let door = Door::open();
    let names = ["X-User-ID", "X-Tenant-ID", "X-User-Email", "X-User-Role", "X-User-Roles", "X-Customer-ID"];
    let claimed = names.into_iter().fold(post("{}"), |request, name| request.header(name, "acme"));
    assert_eq!(told(&door.send(&claimed)).0, 401);
    let claimed = claimed.header("x-api-key", READER);
    assert_eq!(told(&door.send(&claimed)).0, 403);
    assert!(door.kept().is_empty());
}

/// What is sent, and what the sender is told; nothing is kept of it.
#[test]
fn what_is_not_kept() {
    let door = Door::open();
    let keyed = |body: Vec<u8>| post(body).key(KEY);
    let invalid = "Failed to process event: Invalid request body";
    let large = format!("{:?}", "x".repeat(EVENT_BYTES_MAX));
    for (request, status, message) in [
        (keyed(b"".to_vec()), 400, invalid),
        (keyed(b"{".to_vec()), 400, invalid),
        (keyed(b"{} {}".to_vec()), 400, invalid),
        (keyed(b"\xff".to_vec()), 400, invalid),
        (keyed(b"{}".to_vec()).header("content-encoding", "gzip"), 400, invalid),
        (keyed(large.into_bytes()), 413, "Failed to process event: an event is too large"),
        (
            keyed(b"{}".to_vec()).header("content-encoding", "br"),
            415,
            "Failed to process event: the content encoding",
        ),
    ] {
        let answer = door.send(&request);
        let (code, said) = told(&answer);
        assert_eq!(code, status, "{said}");
        assert!(said.starts_with(message), "{said}");
        assert!(answer.json()["error"]["trace_id"].is_string());
    }
    let slow = || door.send(&post("{}").key(SLOW));
    let limited = (0..20).map(|_| slow()).find(|answer| answer.status != 201).unwrap();
    let (status, said) = told(&limited);
    assert!(status == 429 && said.starts_with("Failed to process event: "), "{status} {said}");
    assert!(limited.header("retry-after").is_some());
    door.kept();
    for error in
        [AcceptError::Unavailable("secret address".into()), AcceptError::Full("secret address".into())]
    {
        door.broker(Broker::Refuses(error));
        let answer = door.send(&keyed(b"{}".to_vec()));
        assert_eq!(told(&answer), (503, "Failed to process event: Failed to forward event".to_owned()));
        assert!(answer.header("retry-after").is_some());
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret address"));
    }
    assert!(door.kept().is_empty());
    let other = door.send(&Request::new("GET", "/events").key(KEY));
    assert_eq!((other.status, &other.json()["code"]), (405, &Value::from("method_not_allowed")));
}
