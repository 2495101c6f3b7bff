//! An event of a client of the seed, EventRunner in Go, on its whole way.

use serde_json::{Value, json};

use crate::support::{Fleet, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_received_by_the_seeds_route_is_stored_counted_and_told() {
    let fleet = Fleet::start(&[]);
    let context = std::fs::read_to_string(fleet.data_dir().join("context.toml")).unwrap();
    let context: toml::Table = toml::from_str(&context).unwrap();
    let [url, key] = ["url", "key"].map(|name| context[name].as_str().unwrap());
    testkit::install_tls();
    let post = async |body: &'static str| {
        let request = reqwest::Client::new().post(format!("{url}/events")).header("x-api-key", key);
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let received = json!({"data": {"status": "received"}});
    let own =
        r#"{"specversion": "1.0", "id": "sale-1", "source": "/till", "type": "sale", "data": {"order": 8}}"#;
    for body in [r#"{"order": 7}"#, own] {
        assert_eq!(post(body).await, (201, received.clone()));
    }
    let refused = post("order 9").await;
    assert_eq!(refused.0, 400);
    assert_eq!(refused.1["error"]["message"], "Failed to process event: Invalid request body");

    let listed = wait_for("both events", || {
        fleet.json(&["events", "list"]).as_array().filter(|events| events.len() == 2).cloned()
    });
    let event = |ty: &str| listed.iter().map(|e| &e["event"]).find(|e| e["type"] == ty).unwrap().clone();
    let wrapped = event("com.example.event");
    assert_eq!(
        (&wrapped["source"], &wrapped["datacontenttype"]),
        (&json!("eventrunner"), &json!("application/json"))
    );
    let stored = fleet.json(&["events", "get", "eventrunner", wrapped["id"].as_str().unwrap()]);
    assert_eq!(stored["data"], json!({"order": 7}));
    assert_eq!((&event("sale")["id"], &event("sale")["source"]), (&json!("sale-1"), &json!("/till")));
    assert_eq!(fleet.json(&["usage"])["total"], 2);
    let tailed = fleet.ok(&["tail", "--from-start", "-n", "2", "-o", "jsonl"]);
    assert!(tailed.contains(r#""com.example.event""#) && tailed.contains(r#""sale-1""#), "{tailed}");
}
