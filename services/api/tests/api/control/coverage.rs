//! Every operation of the control plane in the OpenAPI document, for everybody who may not and for who may: an operation
//! that has no row here fails the test.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::world::{Control, MERGE_PATCH, Told, assert_documented, send};

/// What a kind's operations are tried with.
struct Row {
    singular: &'static str,
    plural: &'static str,
    schema: &'static str,
    collection: &'static str,
    /// The id of one that exists; keys have another each time.
    id: Option<&'static str>,
    body: fn(&str) -> Value,
    /// Who has the right to change one: an operator, where a manager has not.
    operators_only: bool,
}

static KINDS: [Row; 21] = [
    Row {
        singular: "tenant",
        plural: "tenants",
        schema: "Tenant",
        collection: "/api/v1/tenants",
        id: Some("covered"),
        body: |id| json!({"id": id}),
        operators_only: true,
    },
    Row {
        singular: "system",
        plural: "systems",
        schema: "System",
        collection: "/api/v1/tenants/acme/systems",
        id: Some("covered"),
        body: |id| json!({"id": id}),
        operators_only: false,
    },
    Row {
        singular: "customer",
        plural: "customers",
        schema: "Customer",
        collection: "/api/v1/tenants/acme/customers",
        id: Some("covered"),
        body: |id| json!({"id": id}),
        operators_only: false,
    },
    Row {
        singular: "billing_account",
        plural: "billing_accounts",
        schema: "BillingAccount",
        collection: "/api/v1/tenants/acme/billing-accounts",
        id: Some("covered"),
        body: |id| json!({"id": id, "currency": "EUR"}),
        operators_only: true,
    },
    Row {
        singular: "source",
        plural: "sources",
        schema: "Source",
        collection: "/api/v1/tenants/acme/sources",
        id: Some("covered"),
        body: |id| json!({"id": id, "system": "shop"}),
        operators_only: false,
    },
    Row {
        singular: "event_type",
        plural: "event_types",
        schema: "EventType",
        collection: "/api/v1/tenants/acme/event-types",
        id: Some("covered"),
        body: |id| json!({"name": id, "system": "shop"}),
        operators_only: false,
    },
    Row {
        singular: "key",
        plural: "keys",
        schema: "ApiKey",
        collection: "/api/v1/tenants/acme/keys",
        id: None,
        body: |_| json!({"system": "shop", "scopes": ["read"]}),
        operators_only: false,
    },
    Row {
        singular: "nats_credential",
        plural: "nats_credentials",
        schema: "NatsCredential",
        collection: "/api/v1/tenants/acme/nats-credentials",
        id: None,
        body: |_| json!({"begin": "new"}),
        operators_only: false,
    },
    Row {
        singular: "action",
        plural: "actions",
        schema: "Action",
        collection: "/api/v1/tenants/acme/actions",
        id: Some("covered"),
        body: |id| json!({"id": id, "system": "shop", "target": {"type": "webhook", "url": "https://x.example/"}}),
        operators_only: false,
    },
    Row {
        singular: "subscription",
        plural: "subscriptions",
        schema: "Subscription",
        collection: "/api/v1/tenants/acme/subscriptions",
        id: Some("covered"),
        body: |id| json!({"id": id, "system": "shop", "action": "do"}),
        operators_only: false,
    },
    Row {
        singular: "rule_set",
        plural: "rule_sets",
        schema: "RuleSet",
        collection: "/api/v1/tenants/acme/rule-sets",
        id: Some("covered"),
        body: |id| json!({"id": id, "rules": "rule A { when true then Retract(\"A\"); }"}),
        operators_only: false,
    },
    Row {
        singular: "component",
        plural: "components",
        schema: "Component",
        collection: "/api/v1/tenants/acme/components",
        id: Some("covered"),
        body: |id| json!({"id": id, "system": "shop", "digest": format!("sha256:{}", "0a".repeat(32))}),
        operators_only: false,
    },
    Row {
        singular: "workflow",
        plural: "workflows",
        schema: "Workflow",
        collection: "/api/v1/tenants/acme/workflows",
        id: Some("covered"),
        body: |id| json!({"id": id, "definition": "tasks: []"}),
        operators_only: false,
    },
    Row {
        singular: "feed",
        plural: "feeds",
        schema: "Feed",
        collection: "/api/v1/tenants/acme/feeds",
        id: Some("covered"),
        body: |id| json!({"id": id, "system": "shop", "type": "mqtt", "endpoint": "mqtts://b.example"}),
        operators_only: false,
    },
    Row {
        singular: "meter",
        plural: "meters",
        schema: "Meter",
        collection: "/api/v1/tenants/acme/meters",
        id: Some("covered"),
        body: |id| json!({"id": id, "aggregation": "sum", "value": "/amount", "scale": 2}),
        operators_only: false,
    },
    Row {
        singular: "plan",
        plural: "plans",
        schema: "Plan",
        collection: "/api/v1/plans",
        id: Some("covered"),
        body: |id| json!({"id": id, "limits": {"events_per_second": 10}}),
        operators_only: true,
    },
    Row {
        singular: "role",
        plural: "roles",
        schema: "Role",
        collection: "/api/v1/tenants/acme/roles",
        id: Some("covered"),
        body: |id| json!({"id": id, "permissions": ["read:event", "*:system"]}),
        operators_only: false,
    },
    Row {
        singular: "role_binding",
        plural: "role_bindings",
        schema: "RoleBinding",
        collection: "/api/v1/tenants/acme/role-bindings",
        id: Some("covered"),
        body: |id| json!({"id": id, "actor": "user:alice@example.com", "role": "viewer"}),
        operators_only: false,
    },
    Row {
        singular: "user",
        plural: "users",
        schema: "User",
        collection: "/api/v1/users",
        id: Some("covered"),
        body: |id| json!({"id": id, "email": format!("{id}@example.com")}),
        operators_only: true,
    },
    Row {
        singular: "fleet_role",
        plural: "fleet_roles",
        schema: "Role",
        collection: "/api/v1/fleet/roles",
        id: Some("covered"),
        body: |id| json!({"id": id, "permissions": ["*:tenant"]}),
        operators_only: true,
    },
    Row {
        singular: "fleet_role_binding",
        plural: "fleet_role_bindings",
        schema: "RoleBinding",
        collection: "/api/v1/fleet/role-bindings",
        id: Some("covered"),
        body: |id| json!({"id": id, "actor": "service:billing", "role": "viewer"}),
        operators_only: true,
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    List,
    Get,
    Replace,
    Change,
    Delete,
    Undelete,
    Audit,
    Check,
}

/// One operation, with its row.
struct Operation {
    id: String,
    method: Method,
    action: Action,
    row: &'static Row,
}

/// Where an operation is tried that only reads; the rest of the row is not used.
const fn reading(collection: &'static str) -> Row {
    let (singular, plural, schema, id) = ("", "", "", Some(""));
    Row { singular, plural, schema, collection, id, body: |_| Value::Null, operators_only: false }
}

static AUDIT: Row = reading("/api/v1/tenants/acme/audit");
static FLEET_AUDIT: Row = Row { operators_only: true, ..reading("/api/v1/fleet/audit") };
static VERSIONS: Row = reading("/api/v1/tenants/acme/event-types/versioned/versions");
static LIMITS: Row = reading("/api/v1/tenants/acme/limits");

/// Where leases are tried.
const fn lease(singular: &'static str, collection: &'static str, operators_only: bool) -> Row {
    let body: fn(&str) -> Value = |_| json!({"holder": "somebody", "ttl_seconds": 300});
    Row { singular, plural: "", schema: "Lease", collection, id: Some("covered"), body, operators_only }
}

static LEASE: Row = lease("lease", "/api/v1/tenants/acme/leases", false);
static FLEET_LEASE: Row = lease("fleet_lease", "/api/v1/fleet/leases", true);

/// Where the question whether somebody may do something is tried.
static CHECK: Row = Row {
    singular: "check",
    plural: "check",
    schema: "PermissionCheck",
    collection: "/api/v1/tenants/acme/permissions?actor=user:alice&permission=read:event",
    id: Some(""),
    body: |_| Value::Null,
    operators_only: false,
};

fn row_of(id: &str) -> Option<(Action, &'static Row)> {
    match id {
        "list_audit" => return Some((Action::Audit, &AUDIT)),
        "list_fleet_audit" => return Some((Action::Audit, &FLEET_AUDIT)),
        "list_event_type_versions" => return Some((Action::Audit, &VERSIONS)),
        "list_limits" => return Some((Action::Audit, &LIMITS)),
        _ => {}
    }
    if id == "check_permission" {
        return Some((Action::Check, &CHECK));
    }
    let (verb, noun) = id.split_once('_')?;
    let action = match verb {
        "create" => Action::Create,
        "list" => Action::List,
        "get" => Action::Get,
        "replace" => Action::Replace,
        "change" => Action::Change,
        "delete" => Action::Delete,
        "undelete" => Action::Undelete,
        _ => return None,
    };
    match noun {
        "lease" => return Some((action, &LEASE)),
        "fleet_lease" => return Some((action, &FLEET_LEASE)),
        _ => {}
    }
    let named = |row: &&Row| noun == if action == Action::List { row.plural } else { row.singular };
    KINDS.iter().find(named).map(|row| (action, row))
}

/// The operations of the document that are the control plane's.
fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&api::openapi().to_json().unwrap()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !["resources", "audit"].contains(&operation["tags"][0].as_str().unwrap()) {
                continue;
            }
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let (action, row) =
                row_of(&id).unwrap_or_else(|| panic!("{method} {path}: {id} has no row in this test"));
            let method = method.to_uppercase().parse().unwrap();
            operations.push(Operation { id, method, action, row });
        }
    }
    assert_eq!(operations.len(), KINDS.len() * 7 + 11, "the document is whole");
    operations
}

impl Operation {
    fn changes(&self) -> bool {
        !matches!(self.action, Action::List | Action::Get | Action::Audit | Action::Check)
    }

    /// Puts there what the operation needs, and gives the path of it.
    async fn prepare(&self, control: &Control, id: &str) -> String {
        let Row { collection, body, .. } = self.row;
        if matches!(self.action, Action::Create | Action::List | Action::Audit | Action::Check) {
            return (*collection).to_owned();
        }
        if self.row.schema == "Lease" {
            let path = format!("{collection}/{id}");
            // One that is held could not be taken.
            if self.action != Action::Replace {
                assert_eq!(send(control.operate(Method::PUT, &path).json(&body(id))).await.status, 200);
            }
            return path;
        }
        let made = send(control.operate(Method::POST, collection).json(&body(id))).await;
        assert_eq!(made.status, 201, "{}: {made:?}", self.id);
        let path = made.header("location").to_owned();
        if self.action == Action::Undelete {
            assert_eq!(send(control.operate(Method::DELETE, &path)).await.status, 204, "{}", self.id);
            return format!("{path}/undelete");
        }
        path
    }

    /// The request, as nobody yet.
    fn request(&self, control: &Control, path: &str, id: &str) -> RequestBuilder {
        let request = control.world.http.request(self.method.clone(), control.world.url(path));
        let mut body = (self.row.body)(id);
        match self.action {
            Action::Create => request.json(&body),
            Action::Replace if self.row.schema == "Lease" => request.json(&body),
            Action::Replace => {
                // Something new, as the id stands in the path.
                body.as_object_mut().unwrap().insert("description".to_owned(), json!("replaced"));
                request.json(&body)
            }
            Action::Change => {
                request.header("content-type", MERGE_PATCH).body(r#"{"description": "changed"}"#)
            }
            _ => request,
        }
    }

    /// Whether the audit has its announcement and that it was done.
    async fn assert_recorded(&self, control: &Control, id: &str) {
        let Self { id: name, row, .. } = self;
        let records = control.audit(row.audited(id), "").await;
        let [.., announced, done] = &records[..] else { panic!("{name}: {records:?}") };
        let kind = row.singular.trim_start_matches("fleet_").replace('_', "-");
        for (record, outcome) in [(announced, "announced"), (done, "done")] {
            let said = [&record["outcome"], &record["action"], &record["kind"]];
            let expected = [outcome, self.action.word(), &*kind].map(Value::from);
            assert_eq!(said, expected.each_ref(), "{name}");
        }
    }
}

fn assert_refused(told: &Told, expected: (u16, &str), what: &str) {
    let (status, code, _) = told.refusal();
    assert_eq!((status, code), expected, "{what}: {told:?}");
}

/// What a caller learns, without what it said itself.
fn lesson(told: &Told, path: &str, named: &str) -> (u16, String) {
    let mut json = told.json.clone();
    json.as_object_mut().unwrap().remove("trace_id");
    (told.status, json.to_string().replace(path, "").replace(named, ""))
}

impl Row {
    /// In whose audit changes are.
    fn audited<'a>(&self, id: &'a str) -> &'a str {
        match self.singular {
            "tenant" => id,
            // What is no tenant's is in the audit of who did it.
            "plan" | "user" | "fleet_role" | "fleet_role_binding" | "fleet_lease" => "ops",
            _ => "acme",
        }
    }
}

/// Puts there what the rows name.
async fn furnish(control: &Control) {
    let webhook = json!({"type": "webhook", "url": "https://x.example/"});
    let action = json!({"id": "do", "system": "shop", "target": webhook});
    assert_eq!(control.post("/actions", &action).await.status, 201);
    let versioned = json!({"name": "versioned", "system": "shop"});
    assert_eq!(control.post("/event-types", &versioned).await.status, 201);
}

#[tokio::test]
async fn every_operation_is_refused_who_may_not_and_recorded_for_who_may() {
    let control = Control::start().await;
    furnish(&control).await;
    for operation in operations() {
        let name = &*operation.id;
        // One for each operation, as what was deleted keeps its id.
        let id = operation.row.id.map_or_else(String::new, |id| format!("{id}-{}", name.replace('_', "-")));
        let path = operation.prepare(&control, &id).await;
        let ask = async |path: &str, key: Option<&str>| {
            let request = operation.request(&control, path, &id);
            send(if let Some(key) = key { request.bearer_auth(key) } else { request }).await
        };
        let nobodys = format!("er_{}_{}", "a".repeat(16), "A".repeat(43));
        assert_refused(&ask(&path, None).await, (401, "unauthenticated"), name);
        assert_refused(&ask(&path, Some(&nobodys)).await, (401, "unauthenticated"), name);
        assert_refused(&ask(&path, Some(&control.keys.small)).await, (403, "forbidden"), name);
        assert_refused(&ask(&path, Some(&control.keys.disabled)).await, (403, "forbidden"), name);
        let refused = control.audit("acme", "outcome=refused").await;
        assert_eq!(refused.last().unwrap()["code"], "forbidden", "{name}: the refusal is recorded");

        let is_the_fleets = path.starts_with("/api/v1/plans");
        if path.starts_with("/api/v1/fleet") || path.starts_with("/api/v1/users") {
            // That there is a fleet is no secret.
            for manager in [&control.keys.acme, &control.keys.globex] {
                assert_refused(&ask(&path, Some(manager)).await, (403, "forbidden"), name);
            }
        } else if path == "/api/v1/tenants" || is_the_fleets {
            // The list of tenants is everybody's own, and plans are for all to see; changing them is an operator's.
            if operation.changes() {
                assert_refused(&ask(&path, Some(&control.keys.globex)).await, (403, "forbidden"), name);
            } else {
                let told = ask(&path, Some(&control.keys.globex)).await.json;
                assert!(!told.to_string().contains("acme"), "{name}: {told}");
            }
        } else {
            let hidden = ask(&path, Some(&control.keys.globex)).await;
            assert_refused(&hidden, (404, "not_found"), name);
            let tenant = path.split('/').nth(4).unwrap();
            let nowhere = path.replacen(tenant, "nobody", 1);
            let nothing = ask(&nowhere, Some(&control.keys.globex)).await;
            assert_eq!(
                lesson(&hidden, &path, tenant),
                lesson(&nothing, &nowhere, "nobody"),
                "{name}: told apart"
            );
            let refused = control.audit("globex", "outcome=refused").await;
            assert_eq!(refused.last().unwrap()["code"], "not_found", "{name}: the refusal is recorded");
        }

        let own_manager = !operation.row.operators_only
            || (!operation.changes() && (is_the_fleets || path == "/api/v1/tenants"));
        let key = if own_manager { &control.keys.acme } else { &control.keys.operator };
        let told = ask(&path, Some(key)).await;
        assert!((200..300).contains(&told.status), "{name}: {told:?}");
        match operation.action {
            Action::Delete | Action::Audit | Action::Check => {}
            Action::List => told.json[operation.row.plural.trim_start_matches("fleet_")]
                .as_array()
                .unwrap()
                .iter()
                .for_each(|one| assert_documented(operation.row.schema, one)),
            _ => assert_documented(operation.row.schema, &told.json),
        }
        if operation.changes() {
            operation.assert_recorded(&control, &id).await;
        }
    }
    control.close().await;
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::List | Self::Get | Self::Audit | Self::Check => "read",
        }
    }
}

/// A manager's own tenant is not its to change, and an operator's reach ends nowhere.
#[tokio::test]
async fn tenants_are_changed_by_operators() {
    let control = Control::start().await;
    let tenant = "/api/v1/tenants/acme";
    for request in [
        super::world::merge(
            control.request(&control.keys.acme, Method::PATCH, tenant),
            &json!({"retention_days": 1}),
        ),
        control.request(&control.keys.acme, Method::PUT, tenant).json(&json!({})),
        control.request(&control.keys.acme, Method::DELETE, tenant),
        control.request(&control.keys.acme, Method::POST, &format!("{tenant}/undelete")),
    ] {
        assert_refused(&send(request).await, (403, "forbidden"), "a manager");
    }
    let own = send(control.request(&control.keys.acme, Method::GET, tenant)).await;
    assert_eq!((own.status, &own.json["id"]), (200, &json!("acme")));
    let patch = super::world::merge(control.operate(Method::PATCH, tenant), &json!({"disabled": true}));
    assert_eq!(send(patch).await.status, 200);
    assert_refused(&control.get("/systems").await, (403, "forbidden"), "of a disabled tenant");
    control.close().await;
}
