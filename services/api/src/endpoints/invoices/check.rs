//! `GET /api/v1/invoice/{tenant}/{id}/check`.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use billing::{Difference, Fault, Invoice, Numbered};
use model::{Micros, format_rfc3339, resource::Meter};
use rating::{Line, late};
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{biller, of_billing};
use crate::{
    app::App,
    control::{Call, Thing, Verb},
    kinds::money::schema,
};

/// How long one request compares.
const WORK: Duration = Duration::from_secs(2);
/// Records that are compared at once: what memory holds of them.
const RECORDS_MAX: u64 = 20_000;
/// Differences of one answer, more or less.
const DIFFERENCES_MAX: usize = 1_000;
/// Retention takes events away by whole blocks: so much later than it says, at most.
const MARGIN_US: Micros = 24 * 3_600 * 1_000_000;

/// An invoice held against what it was made of: a part of its month, and with the first part its sum.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct InvoiceCheck {
    /// Whether the month comes to the same again; only with the first part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sum: Option<SumCheck>,
    /// Since when events were compared in this part. Before it, retention has taken them.
    #[schema(format = DateTime)]
    since: String,
    /// Until when.
    #[schema(format = DateTime)]
    until: String,
    /// Events that were looked at.
    events: u64,
    /// Usage records that were looked at.
    records: u64,
    /// Events whose data was erased: their bytes cannot be counted again.
    without_data: u64,
    /// Usage records that are not as their events are.
    differences: Vec<DifferenceView>,
    /// For the next part; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// The sum, made again of usage records by the prices that held.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SumCheck {
    /// What was invoiced, with what later invoices have put right.
    charged: String,
    /// What it comes to now.
    again: String,
    /// Where they differ: the lines that the next invoice would have.
    #[schema(schema_with = schema::<Vec<Line>>)]
    lines: Vec<Line>,
}

/// A usage record that is not as its event is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DifferenceView {
    /// `missing`: an event has no record. `extra`: a record has no event. `altered`: it says another quantity.
    fault: &'static str,
    /// The event's `source`.
    source: String,
    /// The event's `id`.
    event: String,
    /// When it was received.
    #[schema(format = DateTime)]
    received_at: String,
    /// What is altered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    meter: Option<String>,
    /// The quantity in the record.
    recorded: u64,
    /// The quantity by the event.
    expected: u64,
}

impl From<Difference> for DifferenceView {
    fn from(found: Difference) -> Self {
        Self {
            fault: match found.fault {
                Fault::Missing => "missing",
                Fault::Extra => "extra",
                Fault::Altered => "altered",
            },
            source: found.source.to_string(),
            event: found.event.to_string(),
            received_at: format_rfc3339(found.at_us),
            meter: found.meter.map(|meter| meter.to_string()),
            recorded: found.recorded,
            expected: found.expected,
        }
    }
}

/// Hold an invoice against what it was made of
///
/// The sum is made again of the usage records by the prices that held, and each usage record of the month is compared with its event, also in what
/// the tenant's own meters count. A request does a part of the month; go on with `next_cursor` until there is none, as `eventrunner invoices verify` does.
#[utoipa::path(
    get, path = "/api/v1/invoice/{tenant}/{id}/check", tag = "billing", operation_id = "check_invoice",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("id" = String, Path, description = "The invoice's number."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before."),
    ),
    responses((status = 200, description = "A part of the month.", body = InvoiceCheck))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Invoice, request).await?;
    let outcome = check(&call).await;
    call.finish(outcome).await
}

async fn check(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params();
    let cursor = params.read("cursor", |v| {
        v.parse::<Micros>().map_err(|_| "use the next_cursor of the part before".to_owned())
    });
    params.finish()?;
    let invoice = super::find(call).await?;
    let draft = &invoice.document.draft;
    let month = rating::Period::named(&draft.time_zone, &draft.period).map_err(|e| of_billing(e.into()))?;
    let first = month.since_us().max(kept_since(call)).min(month.until_us());
    let since = cursor.unwrap_or(first).clamp(first, month.until_us());
    let mut part = InvoiceCheck { since: format_rfc3339(since), ..InvoiceCheck::default() };
    if cursor.is_none() {
        part.sum = Some(sum(call, &invoice).await?);
    }
    let until = compare(call, &mut part, since, month.until_us()).await?;
    part.until = format_rfc3339(until);
    part.next_cursor = (until < month.until_us()).then(|| until.to_string());
    Ok(Json(part).into_response())
}

/// Since when there may be no events any more.
fn kept_since(call: &Call) -> Micros {
    let snapshot = call.app.catalog.snapshot();
    let kept = call.tenant().ok().and_then(|tenant| snapshot.tenant(tenant)?.retention());
    kept.map_or(Micros::MIN, |kept| {
        let kept = Micros::try_from(kept.as_micros()).unwrap_or(Micros::MAX);
        call.app.clock.now().saturating_sub(kept).saturating_add(MARGIN_US)
    })
}

async fn sum(call: &Call, invoice: &Numbered<Invoice>) -> Result<SumCheck, Problem> {
    let biller = biller(&call.app);
    let draft = &invoice.document.draft;
    let history = biller.ledger().history(&draft.tenant, &draft.account).await.map_err(of_billing)?;
    let (charged, now) =
        (history.charged(invoice), biller.again(&invoice.document).await.map_err(of_billing)?);
    let lines = late(charged, &now).map_err(|e| of_billing(e.into()))?;
    let shown = |subtotal: model::Decimal, discounts: model::Decimal| {
        model::Decimal::from(subtotal.get() - discounts.get()).to_string()
    };
    Ok(SumCheck {
        charged: shown(charged.subtotal, charged.discounts),
        again: shown(now.subtotal, now.discounts),
        lines,
    })
}

/// Compares as far as the time goes. Says how far that was.
async fn compare(
    call: &Call,
    part: &mut InvoiceCheck,
    mut since: Micros,
    end: Micros,
) -> Result<Micros, Problem> {
    let (tenant, stores) = (call.tenant()?, &call.app.stores);
    let snapshot = call.app.catalog.snapshot();
    let own: Vec<_> = snapshot.each::<Meter>(Some(tenant)).map(|entry| Meter::clone(&entry.value)).collect();
    let begun = Instant::now();
    let mut width: Micros = 3_600_000_000;
    while since < end && begun.elapsed() < WORK && part.differences.len() < DIFFERENCES_MAX {
        let until = since.saturating_add(width).min(end);
        let count = super::events_used(call, tenant, since, until).await?;
        if count > RECORDS_MAX && until - since > 1 {
            width = (until - since) / 2;
            continue;
        }
        let compared = billing::compare(&*stores.events, &*stores.usage, tenant, &own, (since, until));
        let compared = compared.await.map_err(of_billing)?;
        part.events += compared.events;
        part.records += compared.records;
        part.without_data += compared.without_data;
        part.differences.extend(compared.differences.into_iter().map(DifferenceView::from));
        if count < RECORDS_MAX / 4 {
            width = width.saturating_mul(2);
        }
        since = until;
    }
    Ok(since)
}
