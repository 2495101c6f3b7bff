//! Bad requests, in one table: what is sent, and the status, code and place it is refused with.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Control, MERGE_PATCH, send};

/// How a request is sent.
enum Sent {
    Nothing,
    Json(Value),
    Merge(Value),
    /// A media type, and bytes.
    Raw(&'static str, Vec<u8>),
}

struct Case {
    what: &'static str,
    method: Method,
    /// After `/api/v1/tenants/acme`, or, where it begins with `//`, after the host.
    path: String,
    sent: Sent,
    header: Option<(&'static str, String)>,
    expected: (u16, &'static str, &'static str),
}

fn case(
    what: &'static str,
    method: Method,
    path: impl Into<String>,
    sent: Sent,
    expected: (u16, &'static str, &'static str),
) -> Case {
    Case { what, method, path: path.into(), sent, header: None, expected }
}

impl Case {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }
}

const BAD: (u16, &str) = (400, "invalid_argument");

const fn at(pointer: &'static str) -> (u16, &'static str, &'static str) {
    (BAD.0, BAD.1, pointer)
}

const ABSENT: (u16, &str, &str) = (404, "not_found", "");
const MALFORMED: (u16, &str, &str) = (400, "malformed", "");

/// Requests whose body is not what it should be.
#[rustfmt::skip] // A row a line.
fn bodies() -> Vec<Case> {
    use Sent::{Json, Merge, Nothing, Raw};
    let post = |what, body: &[u8], expected| {
        case(what, Method::POST, "/systems", Raw("application/json", body.to_vec()), expected)
    };
    let unsupported = |pointer| (415, "unsupported_media_type", pointer);
    let header = "header:content-type";
    vec![
        case("no body", Method::POST, "/systems", Nothing, unsupported(header)),
        case("a form", Method::POST, "/systems", Raw("application/x-www-form-urlencoded", b"id=a".to_vec()), unsupported(header)),
        case("text", Method::POST, "/systems", Raw("text/plain", b"{}".to_vec()), unsupported(header)),
        case("a patch to POST", Method::POST, "/systems", Merge(json!({"id": "a"})), unsupported(header)),
        case("JSON to PATCH", Method::PATCH, "/systems/shop", Json(json!({})), unsupported(header)),
        case("a JSON Patch", Method::PATCH, "/systems/shop", Raw("application/json-patch+json", b"[]".to_vec()), unsupported(header)),
        post("an empty body", b"", MALFORMED),
        post("half an object", b"{\"id\": \"a\"", MALFORMED),
        post("two documents", b"{\"id\": \"a\"} {}", MALFORMED),
        post("not UTF-8", b"{\"id\": \"\xff\"}", MALFORMED),
        post("a lone surrogate", br#"{"id": "a", "name": "\ud800"}"#, MALFORMED),
        post("a NUL in a document", b"{\"id\": \"a\x00\"}", MALFORMED),
        post("too deep", "[".repeat(200).as_bytes(), MALFORMED),
        post("a number too large", b"{\"id\": 1e999}", MALFORMED),
        post("an array", b"[]", at("")),
        post("null", b"null", at("")),
        post("a string", b"\"x\"", at("")),
        post("too large", format!("{{\"id\": \"a\", \"name\": \"{}\"}}", "x".repeat(300_000)).as_bytes(), (413, "too_large", "")),
        case("an array as a patch", Method::PATCH, "/systems/shop", Raw(MERGE_PATCH, b"[]".to_vec()), at("")),
        case("null as a patch", Method::PATCH, "/systems/shop", Raw(MERGE_PATCH, b"null".to_vec()), at("")),
        case("a PUT of an array", Method::PUT, "/systems/shop", Json(json!([])), at("")),
    ]
}

/// Members of wrong types, unknown ones, and values over limits.
#[rustfmt::skip] // A row a line.
fn members() -> Vec<Case> {
    use Sent::{Json, Merge};
    let system = |what, body: Value, pointer| case(what, Method::POST, "/systems", Json(body), at(pointer));
    let long = "x".repeat(1_025);
    let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("l{n}"), json!("x"))).collect();
    vec![
        system("no id", json!({"name": "a"}), "/id"),
        system("an id that is a number", json!({"id": 7}), "/id"),
        system("an id that is null", json!({"id": null}), "/id"),
        system("an empty id", json!({"id": ""}), "/id"),
        system("upper case", json!({"id": "Shop"}), "/id"),
        system("a dot in an id", json!({"id": "a.b"}), "/id"),
        system("a wildcard as an id", json!({"id": "*"}), "/id"),
        system("a path as an id", json!({"id": "../acme"}), "/id"),
        system("white space in an id", json!({"id": "a b"}), "/id"),
        system("another alphabet", json!({"id": "таблица"}), "/id"),
        system("a long id", json!({"id": "x".repeat(64)}), "/id"),
        system("a hyphen at the end", json!({"id": "a-"}), "/id"),
        system("an unknown member", json!({"id": "a", "colour": 1}), "/colour"),
        system("an unknown member with a slash", json!({"id": "a", "a/b~c": 1}), "/a~1b~0c"),
        system("a name that is a number", json!({"id": "a", "name": 1}), "/name"),
        system("a name that is null", json!({"id": "a", "name": null}), "/name"),
        system("a long name", json!({"id": "a", "name": long}), "/name"),
        system("a bell in a name", json!({"id": "a", "name": "a\u{7}"}), "/name"),
        system("a NUL in a name", json!({"id": "a", "name": "a\u{0}"}), "/name"),
        system("a long description", json!({"id": "a", "description": "x".repeat(1_025)}), "/description"),
        system("labels that are an array", json!({"id": "a", "labels": []}), "/labels"),
        system("a label that is a number", json!({"id": "a", "labels": {"n": 1}}), "/labels/n"),
        system("too many labels", json!({"id": "a", "labels": many}), "/labels"),
        system("a label with white space", json!({"id": "a", "labels": {"a b": "x"}}), "/labels/a b"),
        system("an empty name of a label", json!({"id": "a", "labels": {"": "x"}}), "/labels/"),
        system("a label of control characters", json!({"id": "a", "labels": {"a": "\u{1b}[2J"}}), "/labels/a"),
        system("a revision at birth", json!({"id": "a", "revision": 1}), "/revision"),
        system("a birthday", json!({"id": "a", "created_at": "2020-01-01T00:00:00Z"}), "/created_at"),
        system("another tenant", json!({"id": "a", "tenant": "globex"}), "/tenant"),
        case("another tenant by PUT", Method::PUT, "/systems/shop", Json(json!({"tenant": "globex"})), at("/tenant")),
        case("another id by PUT", Method::PUT, "/systems/shop", Json(json!({"id": "other"})), at("/id")),
        case("another id by PATCH", Method::PATCH, "/systems/shop", Merge(json!({"id": "other"})), at("/id")),
        case("another revision by PATCH", Method::PATCH, "/systems/shop", Merge(json!({"revision": 1})), at("/revision")),
        case("a death by PATCH", Method::PATCH, "/systems/shop", Merge(json!({"deleted_at": "now"})), at("/deleted_at")),
        case("an impossible id by PUT", Method::PUT, "/systems/A", Json(json!({})), at("/id")),
    ]
}

/// What only some kinds have.
#[rustfmt::skip] // A row a line.
fn kinds() -> Vec<Case> {
    use Sent::{Json, Merge};
    let source = |what, body: Value, pointer| case(what, Method::POST, "/sources", Json(body), at(pointer));
    let key = |what, body: Value, expected| case(what, Method::POST, "/keys", Json(body), expected);
    let signed = |verification: Value| json!({"id": "s", "system": "shop", "verification": verification});
    let github = json!({"type": "github"});
    let event_type =
        |what, body: Value, pointer| case(what, Method::POST, "/event-types", Json(body), at(pointer));
    let tenant =
        |what, body: Value, pointer| case(what, Method::POST, "//api/v1/tenants", Json(body), at(pointer));
    vec![
        source("a source without a system", json!({"id": "s"}), ""),
        source("a system that is none", json!({"id": "s", "system": "none"}), "/system"),
        source("a system that is no id", json!({"id": "s", "system": "a/b"}), "/system"),
        source("another's system", json!({"id": "s", "system": "only"}), "/system"),
        source("a preset that is none", json!({"id": "s", "system": "shop", "preset": "gitbub"}), "/preset"),
        source("a mapping that is a string", json!({"id": "s", "system": "shop", "mapping": "x"}), "/mapping"),
        source("a header in upper case", json!({"id": "s", "system": "shop", "keep_headers": ["x", "X-A"]}), "/keep_headers/1"),
        source("a header that is a number", json!({"id": "s", "system": "shop", "keep_headers": [1]}), "/keep_headers/0"),
        source("a huge list of headers", json!({"id": "s", "system": "shop", "keep_headers": vec!["x-a"; 20_000]}), "/keep_headers"),
        source("no secret", signed(json!({"scheme": github})), "/verification/secrets"),
        source("no secrets", signed(json!({"scheme": github, "secrets": []})), "/verification/secrets"),
        source("too many secrets", signed(json!({"scheme": github, "secrets": vec!["s"; 9]})), "/verification/secrets"),
        source("an empty secret", signed(json!({"scheme": github, "secrets": ["s", ""]})), "/verification/secrets/1"),
        source("a secret that is a number", signed(json!({"scheme": github, "secrets": [1]})), "/verification/secrets/0"),
        source("a sealed secret", signed(json!({"scheme": github, "sealed_secrets": ["v1.a.b"]})), "/verification/sealed_secrets"),
        source("a count of secrets", signed(json!({"scheme": github, "secrets": ["s"], "secret_count": 1})), "/verification/secret_count"),
        source("a scheme that is none", signed(json!({"scheme": {"type": "md5"}, "secrets": ["s"]})), "/verification/scheme"),
        source("an unknown member of a scheme", signed(json!({"scheme": {"type": "github", "x": 1}, "secrets": ["s"]})), "/verification/scheme"),
        source("a scheme's header", signed(json!({"scheme": {"type": "token", "header": "X Y"}, "secrets": ["s"]})), "/verification/scheme/header"),
        source("no tolerance", signed(json!({"scheme": github, "secrets": ["s"], "tolerance_seconds": 0})), "/verification/tolerance_seconds"),
        source("a negative tolerance", signed(json!({"scheme": github, "secrets": ["s"], "tolerance_seconds": -1})), "/verification/tolerance_seconds"),
        event_type("an event type without a name", json!({"system": "shop"}), "/name"),
        event_type("an empty name", json!({"system": "shop", "name": ""}), "/name"),
        event_type("a long name", json!({"system": "shop", "name": "x".repeat(1_025)}), "/name"),
        event_type("a control character in a name", json!({"system": "shop", "name": "a\u{1}"}), "/name"),
        event_type("a schema that is an array", json!({"system": "shop", "name": "t", "schema": []}), "/schema"),
        event_type("a schema of an unknown type", json!({"system": "shop", "name": "t", "schema": {"type": "objekt"}}), "/schema/type"),
        event_type("a rule that is none", json!({"system": "shop", "name": "t", "compatibility": "most"}), "/compatibility"),
        event_type("a version of one's own", json!({"system": "shop", "name": "t", "version": 7}), "/version"),
        event_type("an id instead of a name", json!({"system": "shop", "name": "t", "id": "t"}), "/id"),
        key("a key without scopes", json!({"system": "shop"}), at("")),
        key("no scopes", json!({"system": "shop", "scopes": []}), at("/scopes")),
        key("a scope that is none", json!({"system": "shop", "scopes": ["read", "root"]}), at("/scopes/1")),
        key("a scope its maker lacks", json!({"system": "shop", "scopes": ["read", "write"]}), (403, "forbidden", "/scopes/1")),
        key("an operator's scope", json!({"system": "shop", "scopes": ["operate"]}), (403, "forbidden", "/scopes/0")),
        key("a hash", json!({"system": "shop", "scopes": ["read"], "hash": "0"}), at("/hash")),
        key("an id of one's own", json!({"system": "shop", "scopes": ["read"], "id": "mine"}), at("/id")),
        key("a key of one's own", json!({"system": "shop", "scopes": ["read"], "key": "er_x"}), at("/key")),
        key("a customer that is none", json!({"system": "shop", "scopes": ["read"], "customer": "none"}), at("/customer")),
        tenant("a plan that is none", json!({"id": "t1", "plan": "none"}), "/plan"),
        tenant("a plan that is no id", json!({"id": "t1", "plan": "a.b"}), "/plan"),
        tenant("a negative limit", json!({"id": "t1", "limits": {"bytes_per_second": -1}}), "/limits/bytes_per_second"),
        tenant("a limit over 32 bits", json!({"id": "t1", "limits": {"bytes_burst": 4_294_967_296_u64}}), "/limits/bytes_burst"),
        tenant("retention over its limit", json!({"id": "t1", "retention_days": 8, "limits": {"retention_days_max": 7}}), "/retention_days"),
        tenant("no end of retention under a limit", json!({"id": "t1", "limits": {"retention_days_max": 7}}), "/retention_days"),
        tenant("a tenant's id", json!({"id": "a.b"}), "/id"),
        tenant("a placement that is none", json!({"id": "t1", "placement": "hot"}), "/placement"),
        tenant("a placement that is no token", json!({"id": "t1", "placement": "a.b"}), "/placement"),
        tenant("a retention of centuries", json!({"id": "t1", "retention_days": 40_000}), "/retention_days"),
        tenant("a negative retention", json!({"id": "t1", "retention_days": -1}), "/retention_days"),
        tenant("a fraction of a day", json!({"id": "t1", "retention_days": 0.5}), "/retention_days"),
        tenant("a retention over 32 bits", json!({"id": "t1", "retention_days": 4_294_967_296_u64}), "/retention_days"),
        tenant("events of no bytes", json!({"id": "t1", "limits": {"event_bytes_max": 0}}), "/limits/event_bytes_max"),
        tenant("an unknown limit", json!({"id": "t1", "limits": {"events": 1}}), "/limits/events"),
        tenant("a stream of another form", json!({"id": "t1", "tenant_stream": "folded"}), "/tenant_stream"),
        tenant("a tenant that is disabled by a word", json!({"id": "t1", "disabled": "yes"}), "/disabled"),
        case("away with what must be there", Method::PATCH, "/sources/hub", Merge(json!({"system": null})), at("")),
    ]
}

/// Roles, and who has them.
#[rustfmt::skip] // A row a line.
fn roles() -> Vec<Case> {
    use Sent::Json;
    let role = |what, body: Value, expected| case(what, Method::POST, "/roles", Json(body), expected);
    let binding = |what, body: Value, expected| case(what, Method::POST, "/role-bindings", Json(body), expected);
    vec![
        role("a role without permissions", json!({"id": "r"}), at("")),
        role("no permissions", json!({"id": "r", "permissions": []}), at("/permissions")),
        role("a permission that is none", json!({"id": "r", "permissions": ["read:event", "read:money"]}), at("/permissions/1")),
        role("a verb its kind lacks", json!({"id": "r", "permissions": ["publish:source"]}), at("/permissions/0")),
        role("a permission that is a number", json!({"id": "r", "permissions": [7]}), at("/permissions/0")),
        role("more permissions than a role may have", json!({"id": "r", "permissions": vec!["read:event"; 201]}), at("/permissions")),
        role("a built-in role's name", json!({"id": "viewer", "permissions": ["read:event"]}), at("/id")),
        role("a role's id that is none", json!({"id": "tenant_admin", "permissions": ["read:event"]}), at("/id")),
        role("a permission its maker lacks", json!({"id": "r", "permissions": ["read:event", "update:limit"]}), (403, "forbidden", "/permissions/1")),
        binding("a binding of nobody", json!({"id": "b", "role": "viewer"}), at("")),
        binding("an actor without a kind", json!({"id": "b", "actor": "alice", "role": "viewer"}), at("/actor")),
        binding("an actor of no kind", json!({"id": "b", "actor": "group:a", "role": "viewer"}), at("/actor")),
        binding("an actor with a space", json!({"id": "b", "actor": "user:a b", "role": "viewer"}), at("/actor")),
        binding("an actor with a relation", json!({"id": "b", "actor": "user:a#member", "role": "viewer"}), at("/actor")),
        binding("members of a built-in role", json!({"id": "b", "actor": "role:viewer", "role": "viewer"}), at("/actor")),
        binding("members of no role", json!({"id": "b", "actor": "role:none", "role": "viewer"}), at("/actor")),
        binding("a key that is none", json!({"id": "b", "actor": "key:none", "role": "viewer"}), at("/actor")),
        binding("a role that is none", json!({"id": "b", "actor": "user:a@example.com", "role": "none"}), at("/role")),
        binding("a fleet's role that is none", json!({"id": "b", "actor": "user:a@example.com", "role": "fleet/none"}), at("/role")),
        binding("a role in capitals", json!({"id": "b", "actor": "user:a@example.com", "role": "Viewer"}), at("/role")),
        binding("a tenant's superuser", json!({"id": "b", "actor": "user:a@example.com", "role": "superuser"}), at("/role")),
        binding("a role its giver lacks", json!({"id": "b", "actor": "user:a@example.com", "role": "admin"}), (403, "forbidden", "/role")),
    ]
}

/// What reacts to events, runs, or fetches them; and plans.
#[rustfmt::skip] // A row a line.
fn reacting() -> Vec<Case> {
    use Sent::Json;
    let post = |what, path: &str, body: Value, pointer| case(what, Method::POST, path, Json(body), at(pointer));
    let action = |what, target: Value, pointer| post(what, "/actions", json!({"id": "a", "system": "shop", "target": target}), pointer);
    let webhook = |more: Value| {
        let mut target = json!({"type": "webhook", "url": "https://x.example/"});
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        target
    };
    let subscription = |what, more: Value, pointer| {
        let mut body = json!({"id": "s", "system": "shop", "action": "none"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(what, "/subscriptions", body, pointer)
    };
    let digest = format!("sha256:{}", "0a".repeat(32));
    let plan = |what, body: Value, pointer| post(what, "//api/v1/plans", body, pointer);
    vec![
        action("a target of nothing", json!({}), "/target"),
        action("a target of an unknown type", json!({"type": "pigeon", "url": "https://x.example/"}), "/target/type"),
        action("an address that is none", webhook(json!({"url": "x"})), "/target/url"),
        action("an address of another protocol", webhook(json!({"url": "ftp://x.example/"})), "/target/url"),
        action("a password in an address", webhook(json!({"url": "https://a:b@x.example/"})), "/target/url"),
        action("a method that is none", webhook(json!({"method": "SEND"})), "/target/method"),
        action("an unknown member of a target", webhook(json!({"retries": 3})), "/target/retries"),
        action("a header that is set by the sender", webhook(json!({"headers": {"host": "x"}})), "/target/headers/host"),
        action("a secret header in the clear", webhook(json!({"headers": {"authorization": "Bearer x"}})), "/target/headers/authorization"),
        action("a line break in a header", webhook(json!({"headers": {"x-a": "a\r\nb: c"}})), "/target/headers/x-a"),
        action("a secret header's name", webhook(json!({"secret_headers": {"X A": "x"}})), "/target/secret_headers/X A"),
        action("an empty secret header", webhook(json!({"secret_headers": {"x-a": ""}})), "/target/secret_headers/x-a"),
        action("names of secret headers", webhook(json!({"secret_header_names": ["x-a"]})), "/target/secret_header_names"),
        subscription("an action that is none", json!({}), "/action"),
        subscription("a system of a subscription that is none", json!({"system": "none"}), "/system"),
        subscription("an event type that is none", json!({"event_types": ["none"]}), "/action"),
        subscription("an event type twice", json!({"event_types": ["t", "t"]}), "/event_types/1"),
        subscription("a long filter", json!({"filter": "x".repeat(16 * 1_024 + 1)}), "/filter"),
        subscription("an order of one's own", json!({"order": -1}), "/order"),
        subscription("an order over its limit", json!({"order": 65_536}), "/order"),
        post("rules of nothing", "/rule-sets", json!({"id": "r"}), ""),
        post("too many rules", "/rule-sets", json!({"id": "r", "rules": "x".repeat(128 * 1_024 + 1)}), "/rules"),
        post("rules of a system that is none", "/rule-sets", json!({"id": "r", "rules": "", "system": "none"}), "/system"),
        post("a digest of another kind", "/components", json!({"id": "c", "system": "shop", "digest": "md5:00"}), "/digest"),
        post("a component without a system", "/components", json!({"id": "c", "digest": digest}), ""),
        post("a workflow that is no text", "/workflows", json!({"id": "w", "definition": {"tasks": []}}), "/definition"),
        post("a feed of an unknown type", "/feeds", json!({"id": "f", "system": "shop", "type": "rss", "endpoint": "https://x"}), "/type"),
        post("a feed at another protocol", "/feeds", json!({"id": "f", "system": "shop", "type": "mqtt", "endpoint": "wss://x"}), "/endpoint"),
        post("a feed of a source that is none", "/feeds", json!({"id": "f", "system": "shop", "type": "mqtt", "endpoint": "mqtt://x", "source": "none"}), "/source"),
        post("a meter of an unknown aggregation", "/meters", json!({"id": "m", "aggregation": "mean", "value": "/a"}), "/aggregation"),
        post("a meter without a value", "/meters", json!({"id": "m", "aggregation": "max"}), "/value"),
        post("a meter whose value is no pointer", "/meters", json!({"id": "m", "aggregation": "sum", "value": "data.a"}), "/value"),
        post("a meter of too many decimals", "/meters", json!({"id": "m", "aggregation": "sum", "value": "/a", "scale": 7}), "/scale"),
        post("a meter of a negative scale", "/meters", json!({"id": "m", "aggregation": "sum", "value": "/a", "scale": -1}), "/scale"),
        plan("a plan's tenant", json!({"id": "p", "tenant": "acme"}), "/tenant"),
        plan("an unknown limit of a plan", json!({"id": "p", "limits": {"x": 1}}), "/limits/x"),
        plan("a plan of events of no bytes", json!({"id": "p", "limits": {"event_bytes_max": 0}}), "/limits/event_bytes_max"),
        post("a customer's plan that is none", "/customers", json!({"id": "c", "plan": "none"}), "/plan"),
    ]
}

/// Paths, queries and headers.
#[rustfmt::skip] // A row a line.
fn places() -> Vec<Case> {
    use Sent::{Json, Merge, Nothing};
    let list = |what, query: &str, pointer| {
        case(what, Method::GET, format!("/systems?{query}"), Nothing, at(pointer))
    };
    let find = |what, path: &str| case(what, Method::GET, path, Nothing, ABSENT);
    let changed = |what, header, value: &str, expected| {
        case(what, Method::PATCH, "/systems/shop", Merge(json!({"name": "x"})), expected).with(header, value)
    };
    let keyed = |what, value: String| {
        case(what, Method::POST, "/systems", Json(json!({"id": "a"})), at("header:idempotency-key"))
            .with("idempotency-key", value)
    };
    vec![
        find("nothing", "/systems/none"),
        find("a wildcard", "/systems/*"),
        find("a subject", "/systems/shop.x"),
        find("a way out", "/systems/..%2F..%2Fglobex"),
        find("a NUL", "/systems/%00"),
        find("a line break", "/systems/a%0d%0aX-Evil:%201"),
        find("a long id", &format!("/event-types/{}", "x".repeat(4_000))),
        find("a collection that is none", "/things"),
        case("a path that is not UTF-8", Method::GET, "/systems/%ff", Nothing, MALFORMED),
        case("a tenant that is none", Method::GET, "//api/v1/tenants/none/systems", Nothing, ABSENT),
        case("a tenant that is no id", Method::GET, "//api/v1/tenants/..%2Facme/systems", Nothing, ABSENT),
        case("a tenant that is a wildcard", Method::GET, "//api/v1/tenants/*/audit", Nothing, ABSENT),
        case("POST to one", Method::POST, "/systems/shop", Json(json!({})), (405, "method_not_allowed", "")),
        case("DELETE of all", Method::DELETE, "/systems", Nothing, (405, "method_not_allowed", "")),
        case("PUT of an audit", Method::PUT, "/audit", Json(json!({})), (405, "method_not_allowed", "")),
        case("undeletion of what lives", Method::POST, "/systems/shop/undelete", Nothing, ABSENT),
        case("deletion of nothing", Method::DELETE, "/systems/none", Nothing, ABSENT),
        case("a change of nothing", Method::PATCH, "/systems/none", Merge(json!({})), ABSENT),
        case("one that is there", Method::POST, "/systems", Json(json!({"id": "shop"})), (409, "conflict", "")),
        case("deletion of what is named", Method::DELETE, "/systems/shop", Nothing, (422, "unprocessable", "")),
        list("a limit of nothing", "limit=0", "query:limit"),
        list("a limit over the limit", "limit=1001", "query:limit"),
        list("a limit in words", "limit=ten", "query:limit"),
        list("a negative limit", "limit=-1", "query:limit"),
        list("a cursor that is none", "cursor=%25%25", "query:cursor"),
        list("a cursor of another kind", "cursor=eyJhIjoxfQ", "query:cursor"),
        list("an empty cursor", "cursor=", "query:cursor"),
        list("a sort that is none", "sort=colour", "query:sort"),
        list("a label without a name", "label==x", "query:label"),
        list("a huge list of labels", &"label=a&".repeat(65), "query:label"),
        list("an unknown parameter", "tenant=globex", "query:tenant"),
        list("a parameter twice", "q=a&q=b", "query:q"),
        list("a query that is not UTF-8", "q=%ff", "query:q"),
        case("a parameter of one", Method::GET, "/systems/shop?deleted=true", Nothing, at("query:deleted")),
        case("an audit's outcome", Method::GET, "/audit?outcome=lost", Nothing, at("query:outcome")),
        case("an audit's time", Method::GET, "/audit?since=now", Nothing, at("query:since")),
        case("a permission of nobody", Method::GET, "/permissions?permission=read:event", Nothing, at("query:actor")),
        case("a permission of no kind of actor", Method::GET, "/permissions?actor=x&permission=read:event", Nothing, at("query:actor")),
        case("no permission", Method::GET, "/permissions?actor=user:a", Nothing, at("query:permission")),
        case("several permissions", Method::GET, "/permissions?actor=user:a&permission=*:event", Nothing, at("query:permission")),
        case("an audit's cursor", Method::GET, "/audit?cursor=-1", Nothing, at("query:cursor")),
        changed("a tag without quotes", "if-match", "7", at("header:if-match")),
        changed("half a tag", "if-match", "\"7", at("header:if-match")),
        changed("an empty tag list", "if-match", "", at("header:if-match")),
        changed("a weak tag", "if-match", "W/\"1\"", (412, "precondition_failed", "header:if-match")),
        changed("an old tag", "if-match", "\"1\"", (412, "precondition_failed", "header:if-match")),
        changed("a tag of somebody else's", "if-match", "\"abc\"", (412, "precondition_failed", "header:if-match")),
        changed("a tag over 64 bits", "if-match", "\"99999999999999999999\"", (412, "precondition_failed", "header:if-match")),
        changed("it must not be there", "if-none-match", "*", (412, "precondition_failed", "header:if-none-match")),
        keyed("an empty idempotency key", "\"\"".to_owned()),
        keyed("half an idempotency key", "\"a".to_owned()),
        keyed("a long idempotency key", "x".repeat(256)),
        case("an idempotency key with another body", Method::POST, "/customers", Json(json!({"id": "b"})), (422, "unprocessable", "header:idempotency-key")).with("idempotency-key", "used"),
    ]
}

#[tokio::test]
async fn every_bad_request_is_refused_with_code_and_place() {
    let control = Control::start().await;
    assert_eq!(control.post("/sources", &json!({"id": "hub", "system": "shop"})).await.status, 201);
    let used = control.manage(Method::POST, "/customers").header("idempotency-key", "used");
    assert_eq!(send(used.json(&json!({"id": "a"}))).await.status, 201);
    let only = json!({"id": "only"});
    assert_eq!(
        send(control.operate(Method::POST, "/api/v1/tenants/globex/systems").json(&only)).await.status,
        201
    );
    let before = control.get("/systems").await.json;

    let cases: Vec<Case> =
        [bodies(), members(), kinds(), roles(), reacting(), places()].into_iter().flatten().collect();
    assert!(cases.len() >= 120, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for Case { what, method, path, sent, header, expected } in &cases {
        let mut request = match path.strip_prefix('/').filter(|rest| rest.starts_with('/')) {
            Some(path) => control.operate(method.clone(), path),
            None => control.manage(method.clone(), path),
        };
        if let Some((name, value)) = header {
            request = request.header(*name, value);
        }
        let told = send(match sent {
            Sent::Nothing => request,
            Sent::Json(body) => request.json(body),
            Sent::Merge(body) => super::world::merge(request, body),
            Sent::Raw(media_type, body) => request.header("content-type", *media_type).body(body.clone()),
        })
        .await;
        let (status, code, pointers) = told.refusal();
        let pointer = pointers.first().copied().unwrap_or_default();
        if (status, code, pointer) != *expected || told.header("content-type") != "application/problem+json" {
            wrong.push(format!(
                "{what}: {method} {path}: {:?}, not {expected:?}: {}",
                (status, code, pointer),
                told.json
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(control.get("/systems").await.json, before, "and nothing has changed");
    control.close().await;
}
