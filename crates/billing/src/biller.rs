//! From what is agreed and what was used to an invoice.

use std::sync::Arc;

use model::{Decimal, Micros, TenantId, format_rfc3339, resource::Plan};
use rating::{Basis, Draft, Line, Period, Quantities, Segment, late, rate, segments};
use store::{UsageQuery, UsageStore};

use crate::{CreditNote, Error, History, Invoice, Ledger, Numbered, Terms};

/// How often an invoice is made again over what others wrote meanwhile.
const ATTEMPTS: usize = 8;
/// Invoiced months that are looked at for use that came late.
const LATE_MONTHS: usize = 3;

/// Makes invoices. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Biller {
    ledger: Ledger,
    usage: Arc<dyn UsageStore>,
}

/// An invoice that there is.
#[derive(Debug, Clone)]
pub struct Finalized {
    /// It.
    pub invoice: Numbered<Invoice>,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// A month that is not invoiced yet.
#[derive(Debug, Clone)]
pub struct Preview {
    /// As it would be invoiced now.
    pub draft: Draft,
    /// What it will come to if use goes on as it went until now; none before it begins and after it is over.
    pub forecast: Option<Draft>,
}

/// What was used of a meter in a segment of a month.
struct Used {
    segment: usize,
    meter: String,
    quantity: u64,
}

impl Biller {
    /// Over these.
    #[must_use]
    pub fn new(ledger: Ledger, usage: Arc<dyn UsageStore>) -> Self {
        Self { ledger, usage }
    }

    /// What is kept.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A month as it would be invoiced now.
    ///
    /// # Errors
    /// If the broker or the usage store does not answer, or the month cannot be rated.
    pub async fn preview(&self, terms: &Terms, period: &Period, now_us: Micros) -> Result<Preview, Error> {
        let account = &terms.account;
        let history = self.ledger.history(&account.tenant, &account.id).await?;
        let (late, _) = self.late(&history, period).await?;
        let balances = history.balances(account);
        let segments = cut(terms, period)?;
        let used = self.used(terms, &segments).await?;
        let rated = |used: &[Used]| {
            let quantities = &sum(&segments, used);
            let basis =
                Basis { account, period, segments: &segments, quantities, balances: &balances, late: &late };
            rate(basis).map_err(Error::from)
        };
        let forecast = forecast(period, &segments, &used, now_us).map(|used| rated(&used)).transpose()?;
        Ok(Preview { draft: rated(&used)?, forecast })
    }

    /// Makes the invoice of a month that is over, or gives the one there is: once, whoever else does the same.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the month is not over; else as [`Biller::preview`]. If it is not known whether it was kept, do it
    /// again: there will be one.
    pub async fn finalize(&self, terms: &Terms, period: &Period, now_us: Micros) -> Result<Finalized, Error> {
        let (tenant, account) = (&terms.account.tenant, &terms.account.id);
        if now_us < period.until_us() {
            let end = format_rfc3339(period.until_us());
            return Err(Error::Conflict(format!(
                "{} is over at {end}; until then there is a preview",
                period.id()
            )));
        }
        for _ in 0..ATTEMPTS {
            let history = self.ledger.history(tenant, account).await?;
            if let Some(there) = history.of_month(&period.id()) {
                return Ok(Finalized { invoice: there.clone(), is_new: false });
            }
            let document = self.make(terms, period, &history, now_us).await?;
            let appended = self.ledger.invoices.append(tenant, account, &document, history.last()).await?;
            if let Some(number) = appended {
                let invoice = Numbered { number, document };
                return Ok(Finalized { invoice, is_new: true });
            }
        }
        Err(Error::Unavailable("others keep making invoices of the account".to_owned()))
    }

    async fn make(
        &self,
        terms: &Terms,
        period: &Period,
        history: &History,
        now_us: Micros,
    ) -> Result<Invoice, Error> {
        let account = &terms.account;
        let (late, restated) = self.late(history, period).await?;
        let segments = cut(terms, period)?;
        let quantities = &sum(&segments, &self.used(terms, &segments).await?);
        let balances = &history.balances(account);
        let draft = rate(Basis { account, period, segments: &segments, quantities, balances, late: &late })?;
        let (plans, meters) = (in_force(terms, &segments), terms.meters.clone());
        let terms = Terms { account: account.clone(), plans, meters };
        Ok(Invoice { finalized_at: format_rfc3339(now_us), draft, restated, terms })
    }

    /// What earlier months came to more or less than they were charged: the lines that put them right, and the months as they are
    /// then.
    async fn late(&self, history: &History, period: &Period) -> Result<(Vec<Line>, Vec<Draft>), Error> {
        let (mut lines, mut restated) = (Vec::new(), Vec::new());
        let earlier = history.live().filter(|invoice| invoice.document.draft.period < period.id());
        let earlier: Vec<_> = earlier.collect();
        for invoice in earlier.iter().rev().take(LATE_MONTHS).rev() {
            let (charged, now) = (history.charged(invoice), self.again(&invoice.document).await?);
            let differences = late(charged, &now)?;
            if !differences.is_empty() {
                lines.extend(differences);
                restated.push(now);
            }
        }
        Ok((lines, restated))
    }

    /// An invoiced month, rated again by the prices it had and the use that is known now.
    ///
    /// # Errors
    /// As [`Biller::preview`].
    pub async fn again(&self, invoice: &Invoice) -> Result<Draft, Error> {
        let Invoice { draft, terms, .. } = invoice;
        let account = &terms.account;
        let period = Period::named(&account.time_zone, &draft.period)?;
        let segments = cut(terms, &period)?;
        let quantities = &sum(&segments, &self.used(terms, &segments).await?);
        // What was paid stays what it was: a credit may be gone by now.
        let balances = account
            .credits
            .iter()
            .map(|credit| (credit.id.clone(), draft.credits.get(&credit.id).copied().unwrap_or_default()));
        let (balances, late) = (&balances.collect(), &Vec::new());
        Ok(rate(Basis { account, period: &period, segments: &segments, quantities, balances, late })?)
    }

    async fn used(&self, terms: &Terms, segments: &[Segment<'_>]) -> Result<Vec<Used>, Error> {
        let mut used = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            for meter in segment.meters() {
                let quantity = self.quantity(terms, meter, segment.since_us, segment.until_us).await?;
                used.push(Used { segment: at, meter: meter.to_owned(), quantity });
            }
        }
        Ok(used)
    }

    /// What was used of a meter from one moment until another: by the account's customer, or, if it is the tenant's own, by all.
    ///
    /// # Errors
    /// If the usage store does not answer; [`Error::Conflict`] if the account is a customer's and nobody knows which customer
    /// used of the meter.
    pub async fn quantity(
        &self,
        terms: &Terms,
        meter: &str,
        since_us: Micros,
        until_us: Micros,
    ) -> Result<u64, Error> {
        let customer = terms.account.customer.clone();
        if customer.is_some() && store::meter(meter).is_some_and(|meter| !meter.by_customer) {
            return Err(Error::Conflict(format!(
                "{meter} is not counted by customer: a customer's account cannot be charged for it"
            )));
        }
        let (since_us, until_us) = (Some(since_us), Some(until_us));
        let span = UsageQuery { since_us, until_us, customer, ..UsageQuery::default() };
        let (tenant, how) = (&terms.account.tenant, terms.aggregation(meter));
        let sums =
            self.usage.aggregate(tenant, meter, how, &span).await.map_err(|e| Error::unavailable(&e))?;
        Ok(sums.iter().fold(0, |sum: u64, bucket| sum.saturating_add(bucket.value)))
    }

    /// Takes an invoice back: all that is left of it with `void`, or an amount.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such invoice of the tenant's; [`Error::Conflict`] if it was taken back already;
    /// [`Error::Invalid`] if the amount is more than is left of it.
    pub async fn credit(
        &self,
        tenant: &TenantId,
        wish: &CreditWish,
        now_us: Micros,
    ) -> Result<Numbered<CreditNote>, Error> {
        let found = self.ledger.invoices.get(tenant, wish.invoice).await?;
        let invoice =
            found.ok_or_else(|| Error::NotFound(format!("there is no invoice {}", wish.invoice)))?;
        let draft = &invoice.document.draft;
        for _ in 0..ATTEMPTS {
            let history = self.ledger.history(tenant, &draft.account).await?;
            let document = note(&history, &invoice, wish, now_us)?;
            let after = history.credit_notes.last().map_or(0, |note| note.number);
            let notes = &self.ledger.credit_notes;
            if let Some(number) = notes.append(tenant, &draft.account, &document, after).await? {
                return Ok(Numbered { number, document });
            }
        }
        Err(Error::Unavailable("others keep making credit notes of the account".to_owned()))
    }
}

/// What is to be taken back.
#[derive(Debug, Clone)]
pub struct CreditWish {
    /// The invoice's number.
    pub invoice: u64,
    /// How much; none: all of it, and the invoice counts as never made.
    pub amount: Option<Decimal>,
    /// Why.
    pub reason: String,
}

fn note(
    history: &History,
    invoice: &Numbered<Invoice>,
    wish: &CreditWish,
    now_us: Micros,
) -> Result<CreditNote, Error> {
    let draft = &invoice.document.draft;
    if history.is_void(invoice.number) {
        return Err(Error::Conflict(format!("invoice {} was taken back already", invoice.number)));
    }
    let given: rust_decimal::Decimal =
        history.notes(invoice.number).map(|note| note.document.amount.get()).sum();
    let left = draft.total.get() - given;
    let amount = match wish.amount {
        None => left,
        Some(amount) => {
            let wrong = |detail: String| Error::Invalid { pointer: "/amount", detail };
            if !amount.is_positive() || amount.get() > left {
                return Err(wrong(format!(
                    "must be more than 0 and at most {left}, which is left of the invoice"
                )));
            }
            if amount.decimals() > draft.currency.decimals() {
                let most = draft.currency.decimals();
                return Err(wrong(format!("must have at most {most} decimals, as {} has", draft.currency)));
            }
            amount.get()
        }
    };
    Ok(CreditNote {
        tenant: draft.tenant.clone(),
        invoice: invoice.number,
        void: wish.amount.is_none(),
        reason: wish.reason.clone(),
        amount: amount.into(),
        currency: draft.currency,
        made_at: format_rfc3339(now_us),
    })
}

fn cut<'a>(terms: &'a Terms, period: &Period) -> Result<Vec<Segment<'a>>, Error> {
    Ok(segments(&terms.account, |id| terms.plan(id), period)?)
}

/// The plans with the versions that the month was rated by, and no others.
fn in_force(terms: &Terms, segments: &[Segment<'_>]) -> Vec<Plan> {
    let held = |plan: &Plan| {
        let mut plan = plan.clone();
        plan.prices.retain(|version| {
            segments.iter().any(|segment| *segment.plan == plan.id && segment.prices == version)
        });
        plan
    };
    terms.plans.iter().map(held).collect()
}

fn sum(segments: &[Segment<'_>], used: &[Used]) -> Quantities {
    let mut quantities = Quantities::default();
    for Used { segment, meter, quantity } in used {
        quantities.add(&segments[*segment], meter, *quantity);
    }
    quantities
}

/// What will be used by the end of the month: what was, and as much again for each moment that is left.
fn forecast(period: &Period, segments: &[Segment<'_>], used: &[Used], now_us: Micros) -> Option<Vec<Used>> {
    if now_us <= period.since_us() || now_us >= period.until_us() {
        return None;
    }
    let passed = u128::try_from(now_us - period.since_us()).ok()?;
    let total = |meter: &str| -> u128 {
        used.iter().filter(|one| one.meter == meter).map(|one| u128::from(one.quantity)).sum()
    };
    let goes_on = used.iter().map(|one| {
        let segment = &segments[one.segment];
        let left = u128::try_from(segment.until_us - segment.since_us.max(now_us)).unwrap_or(0);
        let more = total(&one.meter).saturating_mul(left) / passed;
        let quantity = one.quantity.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        Used { segment: one.segment, meter: one.meter.clone(), quantity }
    });
    Some(goes_on.collect())
}
