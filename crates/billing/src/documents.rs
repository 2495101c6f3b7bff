//! What is kept of invoices for ever.

use std::collections::{BTreeMap, BTreeSet};

use bus::{
    Bus,
    topology::{CREDIT_NOTES, INVOICES},
};
use model::{
    BillingAccountId, Currency, Decimal, ItemId, PlanId, TenantId,
    resource::{Aggregation, BillingAccount, OWN_METERS, Plan},
};
use rating::Draft;
use serde::{Deserialize, Serialize};

use crate::{Error, Numbered, Series};

/// An invoice, as it is kept. Its number is its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// When it was made, RFC 3339.
    pub finalized_at: String,
    /// Its lines and sums.
    pub draft: Draft,
    /// Earlier months as they were rated again for the lines that put them right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restated: Vec<Draft>,
    /// What held when it was made: with it the month can be rated again, whatever prices are by then.
    pub terms: Terms,
}

/// What an account has agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The account.
    pub account: BillingAccount,
    /// The plans it is or was on.
    pub plans: Vec<Plan>,
    /// How the tenant's own meters that are charged or watched are put together; those of the fleet say so themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meters: BTreeMap<String, Aggregation>,
}

impl Terms {
    /// What holds by the catalog; none if there is no such account.
    #[must_use]
    pub fn of(snapshot: &catalog::Snapshot, tenant: &TenantId, account: &BillingAccountId) -> Option<Self> {
        let account = BillingAccount::clone(snapshot.billing_account(tenant, account)?);
        let named: BTreeSet<&PlanId> = account.plans.iter().map(|assignment| &assignment.plan).collect();
        let plans: Vec<_> =
            named.into_iter().filter_map(|id| snapshot.plan(id)).map(|plan| Plan::clone(plan)).collect();
        let charges = plans.iter().flat_map(|plan| &plan.prices).flat_map(|version| &version.charges);
        let charged = charges.filter_map(|charge| charge.meter.as_deref());
        let watched = account.quotas.iter().map(|quota| quota.meter.as_str());
        let own = charged.chain(watched).filter_map(|name| {
            let meter = snapshot.meter(tenant, name.strip_prefix(OWN_METERS)?)?;
            Some((name.to_owned(), meter.aggregation))
        });
        let meters = own.collect();
        Some(Self { account, plans, meters })
    }

    /// How a meter is put together over a span of time.
    pub(crate) fn aggregation(&self, meter: &str) -> Aggregation {
        let fleets = || store::meter(meter).map_or(Aggregation::Sum, |meter| meter.aggregation);
        self.meters.get(meter).copied().unwrap_or_else(fleets)
    }

    pub(crate) fn plan(&self, id: &PlanId) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == *id)
    }
}

/// What takes an invoice back, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNote {
    /// Whose.
    pub tenant: TenantId,
    /// The invoice's number.
    pub invoice: u64,
    /// The invoice counts as never made: its month can be invoiced again.
    #[serde(default)]
    pub void: bool,
    /// Why.
    pub reason: String,
    /// What is given back.
    pub amount: Decimal,
    /// Of what currency.
    pub currency: Currency,
    /// When it was made, RFC 3339.
    pub made_at: String,
}

/// All invoices and credit notes.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Invoices.
    pub invoices: Series<Invoice>,
    /// Credit notes.
    pub credit_notes: Series<CreditNote>,
}

impl Ledger {
    /// Of this broker.
    #[must_use]
    pub fn new(bus: &Bus) -> Self {
        Self {
            invoices: Series::new(bus.clone(), INVOICES, "invoices"),
            credit_notes: Series::new(bus.clone(), CREDIT_NOTES, "credit-notes"),
        }
    }

    /// A tenant's last invoice that counts, of all its accounts or of one.
    ///
    /// # Errors
    /// If the broker does not answer, or what it holds cannot be read.
    pub async fn latest(
        &self,
        tenant: &TenantId,
        account: Option<&BillingAccountId>,
    ) -> Result<Option<Numbered<Invoice>>, Error> {
        let invoices = match account {
            Some(account) => self.invoices.of_account(tenant, account).await?,
            None => self.invoices.page(tenant, 0, usize::MAX).await?,
        };
        let credit_notes = self.credit_notes.page(tenant, 0, usize::MAX).await?;
        let history = History { invoices, credit_notes };
        Ok(history.live().last().cloned())
    }

    /// All that was made for an account.
    ///
    /// # Errors
    /// If the broker does not answer, or what it holds cannot be read.
    pub async fn history(&self, tenant: &TenantId, account: &BillingAccountId) -> Result<History, Error> {
        // In this order: an invoice that is taken back between the two reads is known to be.
        let invoices = self.invoices.of_account(tenant, account).await?;
        let credit_notes = self.credit_notes.of_account(tenant, account).await?;
        Ok(History { invoices, credit_notes })
    }
}

/// What was made for one account, ascending.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Its invoices, those that were taken back among them.
    pub invoices: Vec<Numbered<Invoice>>,
    /// Its credit notes.
    pub credit_notes: Vec<Numbered<CreditNote>>,
}

impl History {
    /// The number of its last invoice; 0: it has none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.invoices.last().map_or(0, |invoice| invoice.number)
    }

    /// The credit notes of an invoice.
    pub fn notes(&self, invoice: u64) -> impl Iterator<Item = &Numbered<CreditNote>> {
        self.credit_notes.iter().filter(move |note| note.document.invoice == invoice)
    }

    /// Whether an invoice was taken back.
    #[must_use]
    pub fn is_void(&self, invoice: u64) -> bool {
        self.notes(invoice).any(|note| note.document.void)
    }

    /// The invoices that count.
    pub fn live(&self) -> impl Iterator<Item = &Numbered<Invoice>> {
        self.invoices.iter().filter(|invoice| !self.is_void(invoice.number))
    }

    /// The invoice of a month.
    #[must_use]
    pub fn of_month(&self, period: &str) -> Option<&Numbered<Invoice>> {
        self.live().find(|invoice| invoice.document.draft.period == period)
    }

    /// A month as it was charged last: as its invoice says, or as a later one has put it right.
    #[must_use]
    pub fn charged<'a>(&'a self, invoice: &'a Numbered<Invoice>) -> &'a Draft {
        let original = &invoice.document.draft;
        let same = |draft: &&Draft| draft.period == original.period;
        let later = self.live().filter(|later| later.number > invoice.number);
        later.flat_map(|later| &later.document.restated).filter(same).last().unwrap_or(original)
    }

    /// What earlier invoices have left of each credit.
    #[must_use]
    pub fn balances(&self, account: &BillingAccount) -> BTreeMap<ItemId, Decimal> {
        let used = |id: &ItemId| -> rust_decimal::Decimal {
            self.live()
                .filter_map(|invoice| invoice.document.draft.credits.get(id))
                .map(|paid| paid.get())
                .sum()
        };
        let left = account.credits.iter().map(|credit| {
            // One that was lowered after it was used up has nothing left.
            let left = (credit.amount.get() - used(&credit.id)).max(rust_decimal::Decimal::ZERO);
            (credit.id.clone(), left.into())
        });
        left.collect()
    }
}
