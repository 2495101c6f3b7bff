//! Spend and use that cross what an account has set for them, told once a month each.

use std::collections::HashSet;

use billing::Terms;
use model::{Micros, resource::BillingAccount};
use rating::Period;
use serde_json::{Value, json};

use crate::{error::Error, service::Worker, tell::SOURCE};

/// What is known to be told.
#[derive(Debug, Default)]
pub(crate) struct Crossed(HashSet<String>);

impl Worker {
    /// Looks at each account that has thresholds or quotas. What fails is logged, and looked at the next time.
    pub(crate) async fn watch_accounts(&self, crossed: &mut Crossed, now_us: Micros) {
        for account in self.catalog.snapshot().list::<BillingAccount>(None) {
            let account = &account.value;
            if account.thresholds.is_empty() && account.quotas.is_empty() {
                continue;
            }
            if let Err(error) = self.watch_account(account, crossed, now_us).await {
                self.failed("thresholds").inc();
                tracing::warn!(tenant = %account.tenant, account = %account.id, %error, "spend or use not known");
            }
        }
    }

    async fn watch_account(
        &self,
        account: &BillingAccount,
        crossed: &mut Crossed,
        now_us: Micros,
    ) -> Result<(), Error> {
        let snapshot = self.catalog.snapshot();
        let Some(terms) = Terms::of(&snapshot, &account.tenant, &account.id) else { return Ok(()) };
        let month = Period::containing(&account.time_zone, now_us)?;
        if !account.thresholds.is_empty() {
            let spent = self.biller.preview(&terms, &month, now_us).await?.draft.total;
            for threshold in account.thresholds.iter().filter(|threshold| **threshold <= spent) {
                let data = json!({
                    "account": account.id, "period": month.id(), "threshold": threshold,
                    "total": spent, "currency": account.currency,
                });
                let id = format!("{}/{}/{threshold}", account.id, month.id());
                self.tell_once(account, crossed, "threshold.crossed", &id, &data).await?;
            }
        }
        for quota in &account.quotas {
            let (since, until) = (month.since_us(), month.until_us());
            let used = self.biller.quantity(&terms, &quota.meter, since, until).await?;
            if used >= quota.quantity {
                let data = json!({
                    "account": account.id, "period": month.id(), "meter": quota.meter,
                    "quota": quota.quantity, "used": used,
                });
                let id = format!("{}/{}/{}/{}", account.id, month.id(), quota.meter, quota.quantity);
                self.tell_once(account, crossed, "quota.crossed", &id, &data).await?;
            }
        }
        Ok(())
    }

    async fn tell_once(
        &self,
        account: &BillingAccount,
        crossed: &mut Crossed,
        ty: &str,
        id: &str,
        data: &Value,
    ) -> Result<(), Error> {
        let known = format!("{}/{id}", account.tenant);
        if crossed.0.contains(&known) {
            return Ok(());
        }
        // Another replica has told it, or this one before it was started again.
        if self.events.get(&account.tenant, SOURCE, id).await?.is_none() {
            self.publish(&account.tenant, ty, id, data).await?;
        }
        crossed.0.insert(known);
        Ok(())
    }
}
