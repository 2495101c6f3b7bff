//! The accounts of the broker: the fleet's, with every stream, and one for each tenant that reads its stream with a NATS
//! client. What is in one account cannot be seen from another, but for what the one exports and the operator's signature lets
//! the other import (ADR 0013).
//!
//! Invariant: a tenant's account imports the tenant's own subjects and the delivery of its own consumers, and nothing else;
//! who logs in to it holds a JWT of a key that the account lists.

mod jwt;
mod keeper;
mod sent;

use std::{
    fmt::{self, Write as _},
    path::Path,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use model::{TenantId, resource::Begin, tenant_wildcard};
use nkeys::{KeyPair, KeyPairType};
use runtime::config::Secret;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use self::{
    jwt::Claims,
    sent::{ASK_STATZ, STATZ},
};
pub use self::{
    keeper::{Accounts, Reader},
    sent::Sent,
};
use crate::{Error, topology};

/// Letting tenants read their streams with NATS clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The seed of the broker's operator (`SO…`), which signs accounts: `eventrunner nats init` makes one. Without it no tenant
    /// gets in.
    pub operator_seed: Secret,
    /// Connections that one tenant's clients may have together.
    pub connections_max: u32,
    /// Subscriptions on each of them.
    pub subscriptions_max: u32,
    /// Messages that one reader may have without acknowledging them.
    pub unacknowledged_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            operator_seed: Secret::default(),
            connections_max: 64,
            subscriptions_max: 64,
            unacknowledged_max: 10_000,
        }
    }
}

/// What tenants' clients give as their JetStream domain. Under the API's own subjects each account of the broker has an API
/// already, which answers that there is no JetStream in it.
pub const DOMAIN: &str = "eventrunner";

/// The largest message of a tenant's client: it asks and acknowledges.
const SAID_BYTES_MAX: u32 = 4 << 10;
/// No limit, as the broker's JWTs write it.
const NO_LIMIT: i64 = -1;
/// Where the broker takes accounts.
const UPDATE: &str = "$SYS.REQ.CLAIMS.UPDATE";
/// Where it tells which it has.
const LIST: &str = "$SYS.REQ.CLAIMS.LIST";

/// Who the broker believes about its accounts.
pub struct Operator {
    key: KeyPair,
    raw: [u8; 32],
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("key", &self.key.public_key()).finish_non_exhaustive()
    }
}

impl Operator {
    /// A new one's seed.
    ///
    /// # Errors
    /// Never, of a pair that was just made; the library knows pairs without a private half.
    pub fn generate() -> Result<SecretString, Error> {
        let pair = pair(KeyPairType::Operator, rand::random())?;
        pair.seed().map(SecretString::from).map_err(|e| Error::Login(e.to_string()))
    }

    /// The one of a seed.
    ///
    /// # Errors
    /// If it is none of an operator.
    pub fn from_seed(seed: &str) -> Result<Self, Error> {
        let none = || Error::Login("the operator's seed is none: it begins with SO".to_owned());
        let key = KeyPair::from_seed(seed).map_err(|_| none())?;
        let (_, raw) = nkeys::decode_seed(seed).map_err(|_| none())?;
        if !matches!(key.key_pair_type(), KeyPairType::Operator) {
            return Err(none());
        }
        Ok(Self { key, raw })
    }

    /// A key that follows from the operator's: there is one secret to keep, and nothing to keep beside it.
    #[expect(clippy::expect_used, reason = "32 bytes are a key, and HMAC takes any")]
    fn derived(&self, kind: KeyPairType, what: &str) -> KeyPair {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.raw).expect("a key of any length");
        mac.update(what.as_bytes());
        pair(kind, mac.finalize().into_bytes().into()).expect("32 bytes")
    }

    fn system_account(&self) -> KeyPair {
        self.derived(KeyPairType::Account, "account system")
    }

    fn fleet_account(&self) -> KeyPair {
        self.derived(KeyPairType::Account, "account fleet")
    }

    fn account_of(&self, tenant: &TenantId) -> String {
        self.derived(KeyPairType::Account, &format!("account tenant {tenant}")).public_key()
    }

    /// The name of the fleet's account, which is that of its folder among the broker's streams.
    #[must_use]
    pub fn fleet_account_name(&self) -> String {
        self.fleet_account().public_key()
    }

    /// The credentials file of the fleet's own processes.
    #[must_use]
    pub fn fleet_credentials(&self, now: i64) -> SecretString {
        let user = self.derived(KeyPairType::User, "user fleet");
        let nats = json!({
            "type": "user", "version": 2, "pub": {}, "sub": {},
            "subs": NO_LIMIT, "data": NO_LIMIT, "payload": NO_LIMIT,
        });
        let claims = Claims { subject: &user.public_key(), name: "fleet", now, nats };
        let seed = user.seed().unwrap_or_default();
        jwt::credentials(&claims.sign(&self.fleet_account()), &seed).into()
    }

    /// What a broker's configuration says of its operator and accounts; each node keeps what it is told of accounts in `folder`.
    #[must_use]
    pub fn broker_config(&self, folder: &Path, now: i64) -> String {
        let (system, fleet) = (self.system_account(), self.fleet_account());
        let public = self.key.public_key();
        let nats = json!({"type": "operator", "version": 2, "system_account": system.public_key()});
        let operator = Claims { subject: &public, name: "eventrunner", now, nats }.sign(&self.key);
        let accounts = [
            (system.public_key(), self.account("system", &system.public_key(), system_claims(), now)),
            (fleet.public_key(), self.account("fleet", &fleet.public_key(), self.fleet_claims(), now)),
        ];
        let mut text = format!("operator: {operator}\nsystem_account: {}\n", system.public_key());
        let _ = write!(
            text,
            "resolver {{\n  type: full\n  dir: {:?}\n}}\nresolver_preload {{\n",
            folder.display().to_string()
        );
        for (name, jwt) in accounts {
            let _ = writeln!(text, "  {name}: {jwt}");
        }
        text.push_str("}\n");
        text
    }

    /// The fleet has every stream, lets tenants have what is theirs, tells the broker of their accounts, and asks what their clients
    /// were sent.
    fn fleet_claims(&self) -> Value {
        let system = self.system_account().public_key();
        let imports: Vec<_> = [(UPDATE, UPDATE), (LIST, LIST), (STATZ, ASK_STATZ)]
            .map(|(there, here)| service(&system, there, here))
            .into();
        let mut claims = account_claims(NO_LIMIT, NO_LIMIT, NO_LIMIT);
        claims["imports"] = imports.into();
        claims["exports"] = json!([
            {"name": "events", "subject": "tenant.>", "type": "stream"},
            {"name": "next", "subject": "$JS.API.CONSUMER.MSG.NEXT.*.*", "type": "service", "response_type": "Stream"},
            {"name": "info", "subject": "$JS.API.CONSUMER.INFO.*.*", "type": "service"},
            {"name": "ack", "subject": "$JS.ACK.>", "type": "service"},
        ]);
        for storage in ["mem_storage", "disk_storage", "streams", "consumer"] {
            claims["limits"][storage] = NO_LIMIT.into();
        }
        claims
    }

    /// A tenant's account. Who reads may do what its own key's scope says; the account itself has no more than all of them.
    fn tenant_account(
        &self,
        (tenant, placement): (&TenantId, &str),
        readers: &[Reader],
        options: &Options,
        now: i64,
    ) -> String {
        let fleet = self.fleet_account().public_key();
        let own = tenant_wildcard(placement, tenant);
        let connections = i64::from(options.connections_max);
        let mut claims = account_claims(connections, NO_LIMIT, SAID_BYTES_MAX.into());
        let events = json!({"name": own, "subject": own, "account": fleet, "type": "stream"});
        let services = readers.iter().flat_map(|reader| reader.services(tenant, placement));
        let services = services.map(|(there, here)| service(&fleet, &there, &here));
        claims["imports"] = std::iter::once(events).chain(services).collect();
        claims["signing_keys"] = readers
            .iter()
            .map(|reader| {
                json!({
                    "kind": "user_scope",
                    "key": reader.signing_key,
                    "role": reader.id,
                    "template": {
                        "pub": {"allow": reader.services(tenant, placement).map(|(_, here)| here)},
                        "sub": {"allow": ["_INBOX.>", own]},
                        "subs": options.subscriptions_max,
                        "data": NO_LIMIT,
                        "payload": SAID_BYTES_MAX,
                        "allowed_connection_types": ["STANDARD", "WEBSOCKET"],
                    },
                })
            })
            .collect();
        self.account(tenant, &self.account_of(tenant), claims, now)
    }

    fn account(&self, name: &str, subject: &str, nats: Value, now: i64) -> String {
        Claims { subject, name, now, nats }.sign(&self.key)
    }

    /// A new reader of a tenant, and the credentials file with which its client logs in. The key that vouches for the file is
    /// forgotten: no other file can be made that the account takes for this reader's.
    ///
    /// # Errors
    /// Never, of keys that were just made; the library knows pairs without a private half.
    pub fn new_reader(
        &self,
        tenant: &TenantId,
        id: &str,
        begin: Begin,
        now: i64,
    ) -> Result<(Reader, SecretString), Error> {
        let signing = pair(KeyPairType::Account, rand::random())?;
        let user = pair(KeyPairType::User, rand::random())?;
        let nats = json!({"type": "user", "version": 2, "issuer_account": self.account_of(tenant)});
        let reader = Reader { id: id.to_owned(), signing_key: signing.public_key(), begin };
        let name = reader.consumer(tenant);
        let jwt = Claims { subject: &user.public_key(), name: &name, now, nats }.sign(&signing);
        let seed = user.seed().map_err(|e| Error::Login(e.to_string()))?;
        Ok((reader, jwt::credentials(&jwt, &seed).into()))
    }
}

fn pair(kind: KeyPairType, raw: [u8; 32]) -> Result<KeyPair, Error> {
    KeyPair::new_from_raw(kind, raw).map_err(|e| Error::Login(e.to_string()))
}

/// An account without streams of its own.
fn account_claims(connections: i64, subscriptions: i64, payload: i64) -> Value {
    json!({
        "type": "account",
        "version": 2,
        "limits": {
            "conn": connections, "subs": subscriptions, "payload": payload, "data": NO_LIMIT,
            "leaf": 0, "imports": NO_LIMIT, "exports": NO_LIMIT, "wildcards": true,
        },
        "default_permissions": {"pub": {}, "sub": {}},
    })
}

fn system_claims() -> Value {
    let mut claims = account_claims(NO_LIMIT, NO_LIMIT, NO_LIMIT);
    claims["exports"] = json!([
        {"name": UPDATE, "subject": UPDATE, "type": "service"},
        {"name": LIST, "subject": LIST, "type": "service"},
        {"name": STATZ, "subject": STATZ, "type": "service", "response_type": "Stream"},
    ]);
    claims
}

/// A service of another account, by its subject there and the one it gets here.
fn service(account: &str, there: &str, here: &str) -> Value {
    json!({"name": here, "subject": there, "local_subject": here, "account": account, "type": "service"})
}

impl Reader {
    /// The name of its consumer.
    #[must_use]
    pub fn consumer(&self, tenant: &TenantId) -> String {
        // No id has this sign, so that no two tenants' readers have one name.
        format!("{tenant}~{}", self.id)
    }

    /// What its clients speak to: the subjects of the fleet's account, and those they have in the tenant's.
    fn services(&self, tenant: &TenantId, placement: &str) -> [(String, String); 3] {
        let at = format!("{}.{}", topology::tenant_stream(placement), self.consumer(tenant));
        let api = |what: &str| {
            let of = |prefix: &str| format!("$JS.{prefix}CONSUMER.{what}.{at}");
            (of("API."), of(&format!("{DOMAIN}.API.")))
        };
        let ack = format!("$JS.ACK.{at}.>");
        [api("MSG.NEXT"), api("INFO"), (ack.clone(), ack)]
    }
}
