//! Versions of an event type's schema.

use serde_json::{Value, json};

use super::world::{Control, Told};

async fn change(control: &Control, patch: Value) -> Told {
    control.patch("/event-types/com.acme.sale", &patch).await
}

#[tokio::test]
async fn another_schema_is_another_version_and_must_keep_the_rule() {
    let control = Control::start().await;
    let first = json!({
        "type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"],
    });
    let sale =
        json!({"name": "com.acme.sale", "system": "shop", "schema": first, "compatibility": "backward"});
    let made = control.post("/event-types", &sale).await;
    assert_eq!((made.status, &made.json["version"]), (201, &json!(1)), "{made:?}");

    let narrower = change(&control, json!({"schema": {"required": ["amount", "currency"]}})).await;
    assert_eq!(narrower.refusal(), (400, "invalid_argument", vec!["/schema/required"]));
    let detail = narrower.json["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("`currency` is required") && detail.contains("version 1"), "{detail}");
    let other = json!({"schema": {"properties": {"amount": {"type": "string"}}}});
    let other = change(&control, other).await;
    assert_eq!(other.refusal().2, ["/schema/properties/amount/type"]);

    let wider = change(&control, json!({"schema": {"properties": {"amount": {"type": "number"}}}})).await;
    assert_eq!((wider.status, &wider.json["version"]), (200, &json!(2)), "{wider:?}");
    let renamed = change(&control, json!({"description": "a sale"})).await;
    assert_eq!(renamed.json["version"], 2, "another description is no other version");
    let sent_back = control.put("/event-types/com.acme.sale", &renamed.json).await;
    assert_eq!((sent_back.status, &sent_back.json["version"]), (200, &json!(2)), "{sent_back:?}");

    let free = change(&control, json!({"compatibility": "none", "schema": {"required": ["currency"]}})).await;
    let told = control.get("/event-types/com.acme.sale/versions").await.json;
    let versions = told["versions"].as_array().unwrap();
    let numbers: Vec<_> = versions.iter().map(|one| (&one["version"], &one["current"])).collect();
    assert_eq!(numbers, [(&json!(3), &json!(true)), (&json!(2), &json!(false)), (&json!(1), &json!(false))]);
    assert_eq!((&versions[0]["schema"], &versions[2]["schema"]), (&free.json["schema"], &first));

    // What is deleted and brought back has its versions.
    assert_eq!(control.delete("/event-types/com.acme.sale").await.status, 204);
    assert_eq!(control.get("/event-types/com.acme.sale/versions").await.status, 404);
    control.post("/event-types/com.acme.sale/undelete", &Value::Null).await;
    assert_eq!(control.get("/event-types/com.acme.sale/versions").await.json, told);
    control.close().await;
}
