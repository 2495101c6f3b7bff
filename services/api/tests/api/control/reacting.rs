//! Actions, subscriptions and the like: what they name, and what they are kept as.

use serde_json::{Value, json};

use super::world::Control;

#[tokio::test]
async fn what_is_named_stays_and_what_is_not_there_cannot_be_named() {
    let control = Control::start().await;
    let webhook = json!({"type": "webhook", "url": "https://erp.example/orders"});
    control.post("/systems", &json!({"id": "erp"})).await;
    control.post("/event-types", &json!({"name": "com.example.order", "system": "shop"})).await;
    control.post("/actions", &json!({"id": "order", "system": "erp", "target": webhook})).await;
    let subscription = json!({
        "id": "orders", "system": "shop", "event_types": ["com.example.order"], "action": "order",
        "filter": "data.amount > 100", "order": 10,
    });
    let made = control.post("/subscriptions", &subscription).await;
    assert_eq!((made.status, &made.json["enabled"]), (201, &json!(true)), "{made:?}");
    for (path, holder) in [
        ("/actions/order", r#"1 subscription ("orders")"#),
        ("/event-types/com.example.order", r#"1 subscription ("orders")"#),
        ("/systems/erp", r#"1 action ("order")"#),
        ("/systems/shop", r#"1 event type ("com.example.order")"#),
    ] {
        let held = control.delete(path).await;
        assert_eq!(held.status, 422, "{path}: {held:?}");
        assert!(held.json["detail"].as_str().unwrap().contains(holder), "{path}: {held:?}");
    }
    let absent = json!({"event_types": ["com.example.order", "com.example.none"]});
    let refused = control.patch("/subscriptions/orders", &absent).await;
    assert_eq!(refused.refusal(), (400, "invalid_argument", vec!["/event_types/1"]));
    assert_eq!(control.delete("/subscriptions/orders").await.status, 204);
    assert_eq!(control.delete("/actions/order").await.status, 204);
    let undeleted = control.post("/subscriptions/orders/undelete", &Value::Null).await;
    assert_eq!(undeleted.refusal(), (400, "invalid_argument", vec!["/action"]), "its action is gone");
    control.close().await;
}

#[tokio::test]
async fn a_text_is_kept_as_it_is() {
    let control = Control::start().await;
    let grl =
        "rule Big \"big orders\" salience 10 {\n  when Order.Amount > 100\n  then Retract(\"Big\");\n}\n";
    let yaml = "tasks:\n- kind: http\nflows: []\n";
    for (collection, member, text) in [("rule-sets", "rules", grl), ("workflows", "definition", yaml)] {
        let made = control.post(&format!("/{collection}"), &json!({"id": "x", member: text})).await;
        assert_eq!((made.status, &made.json[member]), (201, &json!(text)), "{made:?}");
        assert!(made.json.get("system").is_none(), "{made:?}");
        let path = format!("/{collection}/x");
        let bound = control.patch(&path, &json!({"system": "shop", "enabled": false})).await;
        assert_eq!((&bound.json["system"], &bound.json[member]), (&json!("shop"), &json!(text)));
    }
    control.close().await;
}

#[tokio::test]
async fn a_meter_keeps_the_meaning_of_what_it_counted() {
    let control = Control::start().await;
    let meter = json!({"id": "turnover", "aggregation": "sum", "value": "/amount", "scale": 2});
    assert_eq!(control.post("/meters", &meter).await.status, 201);
    for (patch, pointer) in [(json!({"aggregation": "max"}), "/aggregation"), (json!({"scale": 3}), "/scale")]
    {
        let refused = control.patch("/meters/turnover", &patch).await;
        assert_eq!(refused.refusal(), (400, "invalid_argument", vec![pointer]), "{patch}");
    }
    let moved = control.patch("/meters/turnover", &json!({"value": "/total", "event_type": "sale"})).await;
    assert_eq!((moved.status, &moved.json["value"]), (200, &json!("/total")), "{moved:?}");
    let id = |n: usize| json!({"id": format!("m{n}"), "aggregation": "count"});
    for n in 1..64 {
        assert_eq!(control.post("/meters", &id(n)).await.status, 201, "{n}");
    }
    let refused = control.post("/meters", &id(64)).await;
    assert_eq!(refused.refusal(), (400, "invalid_argument", vec!["/id"]));
    assert_eq!(control.delete("/meters/m1").await.status, 204);
    assert_eq!(control.post("/meters", &id(64)).await.status, 201);
    control.close().await;
}
