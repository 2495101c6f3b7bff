//! Telling the broker which accounts there are and who reads, and making readers' consumers.

use std::{collections::BTreeSet, fmt};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures::TryStreamExt as _;
use model::{TenantId, resource::Begin, tenant_wildcard};
use serde::Deserialize;

use super::{LIST, Operator, Options, UPDATE};
use crate::{Bus, Error, topology};

/// Who may read a tenant's stream: a credentials file, and the consumer it is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// What the tenant calls it.
    pub id: String,
    /// The public half of the key that vouches for its credentials file.
    pub signing_key: String,
    /// Whether it reads what the stream holds already.
    pub begin: Begin,
}

/// The broker's accounts, as somebody keeps them who holds the operator's seed.
pub struct Accounts {
    pub(super) bus: Bus,
    pub(super) operator: Operator,
    options: Options,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What the broker answers.
#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    description: String,
}

impl Accounts {
    /// None where no operator is configured.
    ///
    /// # Errors
    /// If the seed is none.
    pub fn new(bus: &Bus, options: &Options) -> Result<Option<Self>, Error> {
        let Some(seed) = options.operator_seed.expose() else { return Ok(None) };
        let operator = Operator::from_seed(seed)?;
        Ok(Some(Self { bus: bus.clone(), operator, options: options.clone() }))
    }

    /// Who signs.
    #[must_use]
    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Makes the broker let exactly these readers of a tenant in, and gives each its consumer. Consumers of others that the
    /// tenant has had are taken away, and whoever reads by them is cut off.
    ///
    /// # Errors
    /// If the broker is away, or does not know the operator.
    pub async fn set(
        &self,
        tenant: &TenantId,
        placement: &str,
        readers: &[Reader],
        now: i64,
    ) -> Result<(), Error> {
        let account = self.operator.tenant_account((tenant, placement), readers, &self.options, now);
        self.ask::<serde_json::Value>(UPDATE, account).await?;
        let failed = |e: &dyn std::error::Error| Error::broker("a consumer of a tenant", e);
        let name = topology::tenant_stream(placement);
        let stream = self.bus.jetstream().get_stream_no_info(&name).await.map_err(|e| failed(&e))?;
        let there: BTreeSet<String> = stream.consumer_names().try_collect().await.map_err(|e| failed(&e))?;
        let wanted: BTreeSet<String> = readers.iter().map(|reader| reader.consumer(tenant)).collect();
        for reader in readers.iter().filter(|reader| !there.contains(&reader.consumer(tenant))) {
            let config = pull::Config {
                durable_name: Some(reader.consumer(tenant)),
                description: Some(format!("a reader of tenant {tenant}")),
                filter_subject: tenant_wildcard(placement, tenant),
                deliver_policy: match reader.begin {
                    Begin::Start => DeliverPolicy::All,
                    Begin::New => DeliverPolicy::New,
                },
                ack_policy: AckPolicy::Explicit,
                max_ack_pending: self.options.unacknowledged_max.into(),
                ..pull::Config::default()
            };
            stream.create_consumer(config).await.map_err(|e| failed(&e))?;
        }
        let own = format!("{tenant}~");
        for name in there.iter().filter(|name| name.starts_with(&own) && !wanted.contains(*name)) {
            stream.delete_consumer(name).await.map_err(|e| failed(&e))?;
        }
        Ok(())
    }

    /// Shuts out every account that the broker has and that is of none of these tenants: what was taken away while nobody was there
    /// to tell it.
    ///
    /// # Errors
    /// If the broker is away, or does not know the operator.
    pub async fn keep_only(&self, tenants: &[TenantId], now: i64) -> Result<(), Error> {
        let mut kept: BTreeSet<String> =
            tenants.iter().map(|tenant| self.operator.account_of(tenant)).collect();
        kept.insert(self.operator.fleet_account().public_key());
        kept.insert(self.operator.system_account().public_key());
        let there: Vec<String> = self.ask(LIST, String::new()).await?;
        for account in there.iter().filter(|account| !kept.contains(*account)) {
            let claims = super::account_claims(0, 0, 0);
            let empty = self.operator.account("nobody", account, claims, now);
            self.ask::<serde_json::Value>(UPDATE, empty).await?;
        }
        Ok(())
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        subject: &'static str,
        body: String,
    ) -> Result<T, Error> {
        let refused = |reason: String| Error::Broker { what: "an account".to_owned(), reason };
        let answer = self.bus.client().request(subject, body.into()).await;
        let answer = answer.map_err(|e| Error::broker("an account", &e))?;
        let answer: Answer<T> =
            serde_json::from_slice(&answer.payload).map_err(|e| refused(e.to_string()))?;
        match answer {
            Answer { error: Some(fault), .. } => Err(refused(fault.description)),
            Answer { data: Some(data), .. } => Ok(data),
            Answer { .. } => Err(refused("it says nothing".to_owned())),
        }
    }
}
