//! An order to erase a tenant: an entry in the broker, made by whoever may write there, carried out by the engine that keeps
//! house. The entry tells how far it is, and at the end it is the proof.

use std::collections::BTreeMap;

use async_nats::jetstream::kv::{Operation, Store};
use bus::{Bus, Error, topology::ERASURES};
use futures::{StreamExt as _, stream::BoxStream};
use model::{Clock as _, SystemClock, TenantId, format_rfc3339};
use serde::{Deserialize, Serialize};

/// An order, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whom to erase.
    pub tenant: TenantId,
    /// RFC 3339.
    pub asked_at: String,
    /// How far it is.
    pub step: Step,
    /// What it waits for, or why it failed; for people.
    #[serde(default)]
    pub detail: String,
    /// What there was, by place, as far as it is counted.
    #[serde(default)]
    pub removed: BTreeMap<String, u64>,
    /// What was found by place when it was looked for at the end.
    #[serde(default)]
    pub left: BTreeMap<String, u64>,
    /// RFC 3339.
    #[serde(default)]
    pub finished_at: Option<String>,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nobody has taken it up.
    Asked,
    /// Its doors are being closed.
    Disabling,
    /// What is in flight is being worked off.
    Draining,
    /// It is being taken away.
    Erasing,
    /// Nothing is left.
    Erased,
    /// Something is left: order it again.
    Failed,
}

impl Step {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Erased | Self::Failed)
    }
}

impl Order {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Writes how far it is.
    pub(super) async fn write(&self, store: &Store) -> Result<(), Error> {
        let failed = |e: &dyn std::error::Error| Error::broker(format!("bucket {ERASURES}"), e);
        let json = serde_json::to_vec(self).map_err(|e| failed(&e))?;
        store.put(&*self.tenant, json.into()).await.map(drop).map_err(|e| failed(&e))
    }
}

/// The revision of what is said last of a tenant. Asked of the stream's leader: a copy may not have it yet.
pub(super) async fn last_revision(store: &Store, tenant: &str) -> Result<u64, Error> {
    let subject = format!("{}{tenant}", store.prefix);
    let last = store.stream.get_last_raw_message_by_subject(&subject).await;
    last.map(|message| message.sequence).map_err(|e| Error::broker(format!("bucket {ERASURES}"), &e))
}

/// Orders a tenant to be erased, unless that is ordered already, and follows how far it is. The stream ends after a
/// [final](Step::is_final) step; giving it up gives up nothing but the news.
///
/// # Errors
/// If the broker does not answer or has no place for orders.
pub async fn place(bus: &Bus, tenant: &TenantId) -> Result<BoxStream<'static, Result<Order, Error>>, Error> {
    let failed = |e: &dyn std::error::Error| Error::broker(format!("bucket {ERASURES}"), e);
    let store = bus.jetstream().get_key_value(ERASURES).await.map_err(|e| failed(&e))?;
    let found = store.entry(&**tenant).await.map_err(|e| failed(&e))?;
    let found = found.filter(|entry| entry.operation == Operation::Put);
    let under_way =
        found.and_then(|entry| Order::read(&entry.value).ok()).is_some_and(|o| !o.step.is_final());
    if !under_way {
        let order = Order {
            tenant: tenant.clone(),
            asked_at: format_rfc3339(SystemClock.now()),
            step: Step::Asked,
            detail: String::new(),
            removed: BTreeMap::new(),
            left: BTreeMap::new(),
            finished_at: None,
        };
        order.write(&store).await?;
    }
    let entries = store.watch_with_history(&**tenant).await.map_err(|e| failed(&e))?;
    let orders = entries.filter_map(|entry| async move {
        match entry {
            Ok(entry) => Order::read(&entry.value).ok().map(Ok),
            Err(error) => Some(Err(Error::broker(format!("bucket {ERASURES}"), &error))),
        }
    });
    let until_final = futures::stream::unfold(Some(orders.boxed()), |orders| async move {
        let mut orders = orders?;
        let order = orders.next().await?;
        let ended = order.as_ref().is_ok_and(|order| order.step.is_final());
        Some((order, (!ended).then_some(orders)))
    });
    Ok(until_final.boxed())
}
