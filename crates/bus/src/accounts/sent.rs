//! What the broker says it has sent to tenants' clients.

use std::{collections::HashMap, time::Duration};

use async_nats::{Message, StatusCode};
use futures::StreamExt as _;
use model::TenantId;
use serde::Deserialize;
use serde_json::json;

use super::Accounts;
use crate::Error;

/// Where each node tells what it has sent, as the system's account has it.
pub(super) const STATZ: &str = "$SYS.REQ.ACCOUNT.PING.STATZ";
/// And the fleet's. Under the system's subject the broker answers each account of itself alone.
pub(super) const ASK_STATZ: &str = "accounts.sent";
/// Accounts asked for at once: an answer has some 500 bytes of each.
const ACCOUNTS_AT_ONCE: usize = 500;
/// How long one waits for another node to answer. Who answers later is asked again.
const QUIET: Duration = Duration::from_millis(300);

/// What one node of the broker has sent to one tenant's clients since the node began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Whose clients.
    pub tenant: TenantId,
    /// The tenant's account.
    pub account: String,
    /// The node; another one each time that it begins.
    pub node: String,
    /// Payloads and headers of the messages, not what the node gave to other nodes.
    pub bytes: u64,
}

#[derive(Deserialize)]
struct Answer {
    server: Node,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

#[derive(Deserialize)]
struct Data {
    account_statz: Option<Vec<Account>>,
}

#[derive(Deserialize)]
struct Account {
    acc: String,
    sent: Flow,
}

#[derive(Deserialize)]
struct Flow {
    bytes: u64,
    #[serde(default)]
    routes: Bytes,
    #[serde(default)]
    gateways: Bytes,
    #[serde(default)]
    leafs: Bytes,
}

#[derive(Default, Deserialize)]
struct Bytes {
    bytes: u64,
}

impl Flow {
    fn to_clients(&self) -> u64 {
        let to_nodes = [&self.routes, &self.gateways, &self.leafs];
        to_nodes.into_iter().fold(self.bytes, |bytes, other| bytes.saturating_sub(other.bytes))
    }
}

impl Accounts {
    /// What each node of the broker has sent to the clients of each of these tenants, of the nodes that answer within a moment. None
    /// if the broker was set up when the fleet could not ask yet.
    ///
    /// # Errors
    /// If the broker is away, or its answer cannot be read.
    pub async fn sent(&self, tenants: &[TenantId]) -> Result<Option<Vec<Sent>>, Error> {
        let mut sent = Vec::new();
        for some in tenants.chunks(ACCOUNTS_AT_ONCE) {
            let of: HashMap<String, &TenantId> =
                some.iter().map(|tenant| (self.operator.account_of(tenant), tenant)).collect();
            let names: Vec<&String> = of.keys().collect();
            // Also of whom nobody is connected now.
            let body = json!({"accounts": names, "include_unused": true}).to_string();
            let Some(answers) = self.ask_nodes(body).await? else { return Ok(None) };
            for answer in answers {
                let Answer { server, data } =
                    serde_json::from_slice(&answer.payload).map_err(|e| failed(&e))?;
                for account in data.and_then(|data| data.account_statz).into_iter().flatten() {
                    let Some(tenant) = of.get(&account.acc) else { continue };
                    sent.push(Sent {
                        tenant: (*tenant).clone(),
                        account: account.acc,
                        node: server.id.clone(),
                        bytes: account.sent.to_clients(),
                    });
                }
            }
        }
        Ok(Some(sent))
    }

    /// Every node answers once; how many there are, nobody says.
    async fn ask_nodes(&self, body: String) -> Result<Option<Vec<Message>>, Error> {
        let client = self.bus.client();
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|e| failed(&e))?;
        client.publish_with_reply(ASK_STATZ, inbox, body.into()).await.map_err(|e| failed(&e))?;
        let mut patience = self.bus.request_timeout();
        let mut all = Vec::new();
        while let Ok(Some(answer)) = tokio::time::timeout(patience, answers.next()).await {
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                return Ok(None);
            }
            all.push(answer);
            patience = QUIET;
        }
        Ok(Some(all))
    }
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::broker("to tell what it sent to tenants' clients", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_other_nodes_is_not_sent_to_clients() {
        let flow: Flow = serde_json::from_value(json!({
            "msgs": 4, "bytes": 100, "routes": {"msgs": 1, "bytes": 30}, "gateways": {"msgs": 1, "bytes": 20},
        }))
        .unwrap();
        assert_eq!(flow.to_clients(), 50);
    }
}
