//! What the broker's consumers wait for, told when a run has come to a stand.

use serde_json::Value;

use crate::fleet::Own;

/// Of a consumer, what tells who has what is not done.
const TOLD: [&str; 8] = [
    "num_pending",
    "num_ack_pending",
    "num_redelivered",
    "num_waiting",
    "delivered",
    "ack_floor",
    "priority_groups",
    "cluster",
];

/// Prints every consumer that has something left, as each node of the broker that leads it has it.
pub(crate) async fn tell(own: &Own) {
    for node in own.members().into_iter().filter(|member| member.is_broker()) {
        let name = &node.name;
        match consumers(&format!("{}/jsz?consumers=true", node.admin_url)).await {
            Ok(consumers) => consumers.iter().for_each(|line| eprintln!("{name}: {line}")),
            Err(error) => eprintln!("{name} does not say what its consumers have: {error}"),
        }
    }
}

async fn consumers(url: &str) -> Result<Vec<String>, reqwest::Error> {
    let told: Value = reqwest::get(url).await?.json().await?;
    let list =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let streams =
        list(&told, "account_details").into_iter().flat_map(|account| list(&account, "stream_detail"));
    let consumers = streams.flat_map(|stream| list(&stream, "consumer_detail"));
    let left = |consumer: &Value| ["num_pending", "num_ack_pending"].iter().any(|field| consumer[field] != 0);
    Ok(consumers.filter(left).map(|consumer| line(&consumer)).collect())
}

fn line(consumer: &Value) -> String {
    let text = |field: &str| consumer[field].as_str().unwrap_or_default().to_owned();
    let rest = TOLD.iter().filter_map(|field| Some(format!("{field} {}", consumer.get(field)?)));
    format!("{} of {}: {}", text("name"), text("stream_name"), rest.collect::<Vec<_>>().join(", "))
}
