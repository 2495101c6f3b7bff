//! Invoices: who may, what they say, and how they are held against what they were made of.

use std::collections::BTreeSet;

use model::parse_rfc3339;
use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Control, Told, assert_answered, send};
use crate::world::{event, stamp};

const ACME: &str = "/api/v1/tenants/acme";

/// 10.00 a month and 0.01 an event, with 19 % of tax.
async fn furnish(control: &Control) {
    let plan = json!({"id": "pro", "prices": [{
        "effective_from": "2026-01-01", "currency": "EUR", "charges": [
            {"id": "base", "name": "Base fee", "price": {"model": "flat", "amount": "10.00"}},
            {"id": "events", "meter": "events", "price": {"model": "per_unit", "amount": "0.01"}},
        ],
    }]});
    let made = send(control.operate(Method::POST, "/api/v1/plans").json(&plan)).await;
    assert_eq!((made.status, &made.json["prices"]), (201, &plan["prices"]), "{made:?}");
    let account = json!({
        "id": "main", "currency": "EUR", "bill_to": {"name": "Acme <Ltd>", "address": ["1 Road"]},
        "plans": [{"plan": "pro", "from": "2026-01-01"}],
        "taxes": [{"id": "vat", "name": "VAT", "percent": "19"}],
    });
    let path = format!("{ACME}/billing-accounts");
    let made = send(control.operate(Method::POST, &path).json(&account)).await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// Whether an answer has each member that the document speaks of, and no other: an invoice is a month and more.
fn assert_invoice(answer: &Value) {
    let document: Value = serde_json::from_str(&api::openapi().to_json().unwrap()).unwrap();
    let schemas = &document["components"]["schemas"];
    let parts = schemas["Invoice"]["allOf"].as_array().unwrap();
    let parts = parts.iter().map(|part| part["$ref"].as_str().map_or(part, |_| &schemas["Month"]));
    let documented: BTreeSet<&String> =
        parts.flat_map(|part| part["properties"].as_object().unwrap().keys()).collect();
    assert_eq!(answer.as_object().unwrap().keys().collect::<BTreeSet<_>>(), documented);
}

async fn finalize(control: &Control, period: &str) -> Told {
    let wish = json!({"account": "main", "period": period});
    send(control.operate(Method::POST, &format!("{ACME}/invoices")).json(&wish)).await
}

async fn credit(control: &Control, wish: &Value) -> Told {
    send(control.operate(Method::POST, &format!("{ACME}/credit-notes")).json(wish)).await
}

/// As acme's manager.
async fn read(control: &Control, path: &str) -> Told {
    send(control.request(&control.keys.acme, Method::GET, path)).await
}

#[tokio::test]
async fn a_month_is_invoiced_read_in_each_form_and_taken_back() {
    let control = Control::start().await;
    furnish(&control).await;
    let at = parse_rfc3339("2026-09-05T12:00:00Z").unwrap();
    let events = (0..250).map(|n| event(&n.to_string(), "/s", "t")).collect();
    control.world.store(stamp("acme", at), events).await;
    assert_eq!(read(&control, "/api/v1/invoice/acme").await.status, 404);

    let made = finalize(&control, "2026-09").await;
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/invoice/acme/1"), "{made:?}");
    assert_invoice(&made.json);
    let sums = ["number", "status", "subtotal", "taxes", "total", "due"].map(|name| made.json[name].clone());
    assert_eq!(json!(sums), json!(["INV-000001", "finalized", "12.50", "2.38", "14.88", "14.88"]));
    // A line that counts something opens to what it counts, and that to the events.
    let links: Vec<_> = made.json["lines"].as_array().unwrap().iter().map(|line| &line["records"]).collect();
    let records =
        "/api/v1/usage/acme/records?meter=events&since=2026-09-01T00:00:00Z&until=2026-10-01T00:00:00Z";
    assert_eq!(json!(links), json!([null, records, null]), "{made:?}");
    let opened = read(&control, &format!("{records}&limit=1000")).await;
    assert_eq!(opened.json["records"].as_array().map(Vec::len), Some(250), "{opened:?}");
    assert_eq!(
        read(&control, opened.json["records"][0]["event"].as_str().unwrap()).await.json["source"],
        "/s"
    );
    let again = finalize(&control, "2026-09").await;
    assert_eq!((again.status, &again.json), (200, &made.json));

    for path in ["/api/v1/invoice/acme", "/api/v1/invoice/acme/1", "/api/v1/invoice/acme?account=main"] {
        let got = read(&control, path).await;
        assert_eq!((got.status, &got.json), (200, &made.json), "{path}");
    }
    let listed = read(&control, &format!("{ACME}/invoices?limit=1")).await.json;
    assert_eq!((&listed["invoices"][0]["id"], &listed["next_cursor"]), (&json!(1), &json!("1")));
    let rest = read(&control, &format!("{ACME}/invoices?cursor=1")).await.json;
    assert_eq!(rest, json!({"invoices": []}));
    for (format, media_type, begins) in [
        ("csv", "text/csv; charset=utf-8", ""),
        ("html", "text/html; charset=utf-8", "<!"),
        ("pdf", "application/pdf", "%PDF-"),
    ] {
        let path = format!("/api/v1/invoice/acme/1?format={format}");
        let answer = control.request(&control.keys.acme, Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], media_type);
        let body = answer.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(text.starts_with(begins), "{format}: {text}");
        assert!(
            format == "pdf" || (text.contains("INV-000001") && text.contains("14.88")),
            "{format}: {text}"
        );
    }

    let preview = read(&control, &format!("{ACME}/billing-accounts/main/preview?period=2026-10")).await;
    assert_eq!((preview.status, &preview.json["subtotal"]), (200, &json!("10.00")), "{preview:?}");
    let running = read(&control, &format!("{ACME}/billing-accounts/main/preview")).await.json;
    assert_eq!(running["forecast"]["subtotal"], "10.00", "{running}");

    let note = credit(&control, &json!({"invoice": 1, "amount": "4.88", "reason": "an outage"})).await;
    assert_eq!((note.status, &note.json["number"]), (201, &json!("CN-000001")), "{note:?}");
    assert_answered("CreditNote", &note.json);
    let void = credit(&control, &json!({"invoice": 1, "void": true, "reason": "wrong address"})).await;
    assert_eq!((void.status, &void.json["amount"]), (201, &json!("10.00")), "{void:?}");
    assert_eq!(read(&control, "/api/v1/invoice/acme/1").await.json["status"], "void");
    let notes = read(&control, &format!("{ACME}/credit-notes")).await.json;
    assert_eq!(notes["credit_notes"].as_array().unwrap().len(), 2);
    let anew = finalize(&control, "2026-09").await;
    assert_eq!((anew.status, &anew.json["id"]), (201, &json!(2)));
    control.close().await;
}

#[tokio::test]
async fn an_invoice_is_held_against_its_events() {
    let control = Control::start().await;
    furnish(&control).await;
    let at = parse_rfc3339("2026-09-05T12:00:00Z").unwrap();
    let events = (0..250).map(|n| event(&n.to_string(), "/s", "t")).collect();
    control.world.store(stamp("acme", at), events).await;
    assert_eq!(finalize(&control, "2026-09").await.status, 201);
    let checked = read(&control, "/api/v1/invoice/acme/1/check").await;
    assert_answered("InvoiceCheck", &checked.json);
    let said = ["events", "records", "differences", "sum"].map(|name| checked.json[name].clone());
    let sum = json!({"charged": "12.50", "again": "12.50", "lines": []});
    assert_eq!(json!(said), json!([250, 250, [], sum]), "{checked:?}");
    // A record that nobody's event explains.
    let ghost = store::UsageRecord {
        tenant: "acme".parse().unwrap(),
        id: store::record_id("/s", "ghost"),
        at_us: at,
        origin: store::Origin::Event { source: "/s".into(), id: "ghost".into() },
        customer: None,
        event_type: None,
        meters: vec![(store::METER_EVENTS.into(), 3), (store::METER_BYTES.into(), 1)],
    };
    control.world.stores.usage.write(vec![ghost]).await.unwrap();
    let checked = read(&control, "/api/v1/invoice/acme/1/check").await.json;
    assert_eq!(checked["sum"]["again"], "12.53", "{checked}");
    assert_eq!(checked["sum"]["lines"][0]["amount"], "0.03", "{checked}");
    let difference = &checked["differences"][0];
    assert_eq!((&difference["fault"], &difference["event"]), (&json!("extra"), &json!("ghost")), "{checked}");
    control.close().await;
}

/// Each operation, as the document has it.
fn operations() -> Vec<(String, Method, String)> {
    let document: Value = serde_json::from_str(&api::openapi().to_json().unwrap()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["tags"][0] == "billing" {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                operations.push((id, method.to_uppercase().parse().unwrap(), path.clone()));
            }
        }
    }
    operations
}

fn body(operation: &str) -> Option<Value> {
    match operation {
        "create_invoice" => Some(json!({"account": "main", "period": "2026-09"})),
        "create_credit_note" => Some(json!({"invoice": 1, "amount": "0.01", "reason": "r"})),
        _ => None,
    }
}

#[tokio::test]
async fn every_operation_is_refused_who_may_not_and_recorded_for_who_may() {
    let control = Control::start().await;
    furnish(&control).await;
    assert_eq!(finalize(&control, "2026-08").await.status, 201);
    let operations = operations();
    assert_eq!(operations.len(), 8, "the document is whole");
    for (name, method, path) in operations {
        let id = if path.contains("billing-accounts") { "main" } else { "1" };
        let path_of = |tenant: &str| path.replace("{tenant}", tenant).replace("{id}", id);
        let ask = async |path: &str, key: Option<&str>| {
            let request = control.world.http.request(method.clone(), control.world.url(path));
            let request = if let Some(body) = body(&name) { request.json(&body) } else { request };
            send(if let Some(key) = key { request.bearer_auth(key) } else { request }).await
        };
        let path = path_of("acme");
        assert_eq!(ask(&path, None).await.status, 401, "{name}");
        for key in [&control.keys.small, &control.keys.disabled] {
            assert_eq!(ask(&path, Some(key)).await.refusal().0, 403, "{name}");
        }
        let (hidden, nothing) = (
            ask(&path, Some(&control.keys.globex)).await,
            ask(&path_of("nobody"), Some(&control.keys.globex)).await,
        );
        let lesson = |told: &Told, tenant: &str| {
            let mut json = told.json.clone();
            json.as_object_mut().unwrap().remove("trace_id");
            (told.status, json.to_string().replace(tenant, ""))
        };
        assert_eq!(hidden.status, 404, "{name}");
        assert_eq!(lesson(&hidden, "acme"), lesson(&nothing, "nobody"), "{name}: told apart");
        let managers = ask(&path, Some(&control.keys.acme)).await;
        if body(&name).is_none() {
            assert_eq!(managers.status, 200, "{name}: {managers:?}");
            continue;
        }
        assert_eq!(managers.status, 403, "{name}: only operators make invoices");
        let made = ask(&path, Some(&control.keys.operator)).await;
        assert_eq!(made.status, 201, "{name}: {made:?}");
        let records = control.audit("acme", "kind=invoice").await;
        let [.., announced, done] = &records[..] else { panic!("{name}: {records:?}") };
        assert_eq!(
            (&announced["outcome"], &done["outcome"]),
            (&json!("announced"), &json!("done")),
            "{name}"
        );
    }
    control.close().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_said_where() {
    let control = Control::start().await;
    furnish(&control).await;
    assert_eq!(finalize(&control, "2026-08").await.status, 201);
    let invoice = |account: &str, period: &str| json!({"account": account, "period": period});
    let invoices = [
        (invoice("main", "2999-01"), 409, ""),
        (invoice("main", "2026-13"), 400, "/period"),
        (invoice("main", "October"), 400, "/period"),
        (invoice("other", "2026-08"), 404, "/account"),
        (json!({"account": "main"}), 400, ""),
        (json!({"account": "main", "period": "2026-08", "x": 1}), 400, "/x"),
    ];
    for (wish, status, pointer) in invoices {
        let told = send(control.operate(Method::POST, &format!("{ACME}/invoices")).json(&wish)).await;
        let pointers = told.refusal().2;
        assert_eq!(told.status, status, "{wish}: {told:?}");
        assert!(pointer.is_empty() || pointers == [pointer], "{wish}: {told:?}");
    }
    let notes = [
        (json!({"invoice": 1, "amount": "11.91", "reason": "r"}), 400, "/amount"),
        (json!({"invoice": 1, "amount": "0", "reason": "r"}), 400, "/amount"),
        (json!({"invoice": 1, "amount": "0.001", "reason": "r"}), 400, "/amount"),
        (json!({"invoice": 1, "amount": 1.5, "reason": "r"}), 400, "/amount"),
        (json!({"invoice": 1, "reason": "r"}), 400, "/amount"),
        (json!({"invoice": 1, "void": true, "amount": "1", "reason": "r"}), 400, "/amount"),
        (json!({"invoice": 1, "void": true, "reason": " "}), 400, "/reason"),
        (json!({"invoice": 9, "void": true, "reason": "r"}), 404, ""),
    ];
    for (wish, status, pointer) in notes {
        let told = credit(&control, &wish).await;
        assert_eq!(told.status, status, "{wish}: {told:?}");
        assert!(pointer.is_empty() || told.refusal().2 == [pointer], "{wish}: {told:?}");
    }
    for (path, status) in [
        ("/api/v1/invoice/acme/x", 404),
        ("/api/v1/invoice/acme/0", 404),
        ("/api/v1/invoice/acme/2", 404),
        ("/api/v1/invoice/acme/1?format=doc", 400),
        ("/api/v1/invoice/acme/1/check?cursor=x", 400),
        ("/api/v1/tenants/acme/billing-accounts/main/preview?period=2026", 400),
        ("/api/v1/tenants/acme/billing-accounts/none/preview", 404),
        ("/api/v1/tenants/acme/invoices?cursor=x", 400),
    ] {
        assert_eq!(read(&control, path).await.status, status, "{path}");
    }
    control.close().await;
}
