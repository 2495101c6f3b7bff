//! Invoices and what takes them back.

mod check;
mod credit_note_create;
mod credit_note_list;
mod finalize;
mod get;
mod list;
mod preview;
mod view;

use billing::{Biller, Error, History, Invoice, Ledger, Numbered, Terms};
use model::{ErrorCode, Micros, TenantId};
use rating::{Draft, Period};
use runtime::problem::Problem;
use store::{METER_EVENTS, UsageQuery};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::get::FORMATS;
use crate::{app::App, control::Call, error::not_found, params::Params};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list::handle, finalize::handle))
        .routes(routes!(get::latest))
        .routes(routes!(get::one))
        .routes(routes!(check::handle))
        .routes(routes!(preview::handle))
        .routes(routes!(credit_note_list::handle, credit_note_create::handle))
}

fn biller(app: &App) -> Biller {
    Biller::new(Ledger::new(&app.bus), app.stores.usage.clone())
}

/// What went wrong with an invoice, as the caller sees it.
fn of_billing(error: Error) -> Problem {
    match error {
        Error::Unavailable(reason) => {
            Problem::unavailable("the broker or the usage store does not answer", reason)
        }
        Error::Document(reason) => Problem::internal(reason),
        Error::Invalid { pointer, detail } => {
            Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value")
                .field(pointer, detail)
        }
        error => Problem::new(error.code(), error.to_string()),
    }
}

/// What an account has agreed to now.
fn terms(app: &App, tenant: &TenantId, account: &str, pointer: &str) -> Result<Terms, Problem> {
    let known = account.parse().ok().and_then(|id| Terms::of(&app.catalog.snapshot(), tenant, &id));
    known.ok_or_else(|| {
        let problem = not_found(format!("there is no billing account {account:?}"));
        if pointer.is_empty() {
            problem
        } else {
            problem.field(pointer, "must be the id of a billing account")
        }
    })
}

/// A month of an account.
fn month(terms: &Terms, id: &str, pointer: &str) -> Result<Period, Problem> {
    Period::named(&terms.account.time_zone, id).map_err(|error| {
        Problem::new(ErrorCode::InvalidArgument, "there is no such month").field(pointer, error.to_string())
    })
}

/// The invoice of the path.
async fn find(call: &Call) -> Result<Numbered<Invoice>, Problem> {
    let none = || not_found(format!("there is no invoice {:?}", call.id()));
    let number = call.id().parse().map_err(|_| none())?;
    let found = Ledger::new(&call.app.bus).invoices.get(call.tenant()?, number).await;
    found.map_err(of_billing)?.ok_or_else(none)
}

/// What was taken back of an invoice's account: of its history, all that showing the invoice takes.
async fn taken_back(app: &App, invoice: &Invoice) -> Result<History, Problem> {
    let Draft { tenant, account, .. } = &invoice.draft;
    let credit_notes = Ledger::new(&app.bus).credit_notes.of_account(tenant, account).await;
    Ok(History { credit_notes: credit_notes.map_err(of_billing)?, ..History::default() })
}

/// Where a page begins, and how long it is.
fn page(params: &mut Params) -> Result<(u64, usize), Problem> {
    let limit = params.limit(100, 1_000);
    let cursor = |v: &str| v.parse().map_err(|_| "use the next_cursor of a previous page".to_owned());
    let after = params.read("cursor", cursor).unwrap_or(0);
    std::mem::take(params).finish()?;
    Ok((after, usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// Where the next page begins, if there may be one.
fn next<T>(found: &[Numbered<T>], limit: usize) -> Option<String> {
    found.last().filter(|_| found.len() == limit).map(|last| last.number.to_string())
}

async fn events_used(call: &Call, tenant: &TenantId, since: Micros, until: Micros) -> Result<u64, Problem> {
    let query = UsageQuery { since_us: Some(since), until_us: Some(until), ..UsageQuery::default() };
    let sums = call.app.ask(call.app.stores.usage.sum(tenant, METER_EVENTS, &query)).await?;
    Ok(sums.iter().map(|sum| sum.value).sum())
}
