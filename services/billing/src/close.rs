//! Invoices of months that are over.

use std::collections::HashSet;

use billing::Terms;
use model::{BillingAccountId, Micros, TenantId, resource::BillingAccount};
use rand::seq::SliceRandom as _;
use rating::Period;

use crate::{
    error::Error,
    service::{HOUR_US, Worker},
};

/// Months that are looked at: a fleet that was away as long invoices all of them.
const MONTHS: usize = 3;

/// Months that are known to be invoiced.
#[derive(Debug, Default)]
pub(crate) struct Done(HashSet<(TenantId, BillingAccountId, String)>);

impl Worker {
    /// Invoices each month of each account that has been over for long enough. What fails is logged, and done the next time.
    pub(crate) async fn close(&self, done: &mut Done, now_us: Micros) {
        let after_us = Micros::from(self.options.close_after_hours).saturating_mul(HOUR_US);
        if after_us == 0 {
            return;
        }
        let mut accounts = self.catalog.snapshot().list::<BillingAccount>(None);
        // Replicas need not begin with the same one, nor one that dies again and again.
        accounts.shuffle(&mut rand::rng());
        for account in accounts {
            let account = &account.value;
            if let Err(error) = self.close_account(account, done, now_us.saturating_sub(after_us)).await {
                self.failed("invoices").inc();
                tracing::warn!(tenant = %account.tenant, account = %account.id, %error, "account not invoiced");
            }
        }
    }

    async fn close_account(
        &self,
        account: &BillingAccount,
        done: &mut Done,
        until_us: Micros,
    ) -> Result<(), Error> {
        let key = |month: &Period| (account.tenant.clone(), account.id.clone(), month.id());
        let mut months = months(account, until_us)?;
        months.retain(|month| !done.0.contains(&key(month)));
        if months.is_empty() {
            return Ok(());
        }
        let history = self.biller.ledger().history(&account.tenant, &account.id).await?;
        for month in months {
            // One that was taken back is invoiced again by who took it back.
            if history.invoices.iter().all(|invoice| invoice.document.draft.period != month.id()) {
                self.close_month(account, &month).await?;
            }
            done.0.insert(key(&month));
        }
        Ok(())
    }

    async fn close_month(&self, account: &BillingAccount, month: &Period) -> Result<(), Error> {
        let snapshot = self.catalog.snapshot();
        // It is gone meanwhile.
        let Some(terms) = Terms::of(&snapshot, &account.tenant, &account.id) else { return Ok(()) };
        let made = self.biller.finalize(&terms, month, self.clock.now()).await?;
        if made.is_new {
            let number = billing::invoice_number(made.invoice.number);
            tracing::info!(tenant = %account.tenant, account = %account.id, period = month.id(), number, "month invoiced");
            self.done("invoices").inc();
        }
        Ok(())
    }
}

/// The last months that were over at a moment and in which something was agreed, the earliest first.
fn months(account: &BillingAccount, at: Micros) -> Result<Vec<Period>, rating::Error> {
    let mut months = Vec::new();
    let mut month = Period::containing(&account.time_zone, at)?;
    for _ in 0..MONTHS {
        month = Period::containing(&account.time_zone, month.since_us() - 1)?;
        let holds = |from: model::Date, until: Option<model::Date>| {
            from < month.end() && until.is_none_or(|until| until > month.first())
        };
        let agreed = account.plans.iter().any(|plan| holds(plan.from, plan.until))
            || account.commitments.iter().any(|commitment| holds(commitment.from, commitment.until));
        if agreed {
            months.push(month.clone());
        }
    }
    months.reverse();
    Ok(months)
}

#[cfg(test)]
mod tests {
    use model::parse_rfc3339;
    use serde_json::json;

    use super::*;

    #[test]
    fn months_that_are_over_and_agreed() {
        let account = |from: &str, until: Option<&str>| -> BillingAccount {
            serde_json::from_value(json!({
                "tenant": "acme", "id": "main", "currency": "EUR", "time_zone": "Europe/Berlin",
                "plans": [{"plan": "pro", "from": from, "until": until}],
            }))
            .unwrap()
        };
        let of = |account: &BillingAccount, at: &str| -> Vec<String> {
            months(account, parse_rfc3339(at).unwrap()).unwrap().iter().map(Period::id).collect()
        };
        let open = account("2020-01-01", None);
        assert_eq!(of(&open, "2026-11-02T00:00:00Z"), ["2026-08", "2026-09", "2026-10"]);
        // In Berlin November has begun.
        assert_eq!(of(&open, "2026-10-31T23:30:00Z"), ["2026-08", "2026-09", "2026-10"]);
        assert_eq!(of(&open, "2026-10-31T22:30:00Z"), ["2026-07", "2026-08", "2026-09"]);
        assert_eq!(of(&account("2026-10-31", None), "2026-11-02T00:00:00Z"), ["2026-10"]);
        assert_eq!(of(&account("2026-11-01", None), "2026-11-02T00:00:00Z"), [""; 0]);
        assert_eq!(
            of(&account("2020-01-01", Some("2026-10-01")), "2026-11-02T00:00:00Z"),
            ["2026-08", "2026-09"]
        );
    }
}
