//! Which sealing keys a catalog needs: every sealed secret names its key.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::kv::{Operation, Store};
use bus::Bus;
use futures::StreamExt as _;
use serde_json::Value;

use crate::Error;

/// What is told of a catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Ids of the keys that its secrets are sealed by.
    pub sealing_keys: BTreeSet<String>,
    /// Entries by kind.
    pub resources: BTreeMap<String, u64>,
}

/// Goes through a catalog's entries.
///
/// # Errors
/// If the broker does not answer.
pub async fn content(bus: &Bus, bucket: &str) -> Result<Content, Error> {
    let failed = |e: &dyn std::error::Error| Error::Bus(bus::Error::broker(format!("bucket {bucket}"), e));
    let store: Store = bus.jetstream().get_key_value(bucket).await.map_err(|e| failed(&e))?;
    let mut content = Content::default();
    if store.status().await.map_err(|e| failed(&e))?.values() == 0 {
        return Ok(content);
    }
    let mut entries = store.watch_with_history(">").await.map_err(|e| failed(&e))?;
    while let Some(entry) = entries.next().await {
        let entry = entry.map_err(|e| failed(&e))?;
        if entry.operation == Operation::Put {
            let kind = entry.key.split('.').next().unwrap_or_default().to_owned();
            *content.resources.entry(kind).or_default() += 1;
            if let Ok(value) = serde_json::from_slice::<Value>(&entry.value) {
                gather(&value, &mut content.sealing_keys);
            }
        }
        if entry.seen_current || entry.delta == 0 {
            break;
        }
    }
    Ok(content)
}

fn gather(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => keys.extend(catalog::sealing_key_id(text).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| gather(item, keys)),
        Value::Object(members) => members.values().for_each(|member| gather(member, keys)),
        _ => {}
    }
}
