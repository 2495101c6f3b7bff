//! `eventrunner invoices`: what a tenant owes, and the proof of it.

use std::{fs, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use model::TenantId;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    client::{Api, segment},
    commands::service::{self, Service, ServiceArgs},
    context::{ConnectArgs, Context},
    exit::{Code, Failure, Result},
    output::{Column, Format, Item, Output, item, note, print},
};

/// Invoices: what a tenant owes, and the proof of it
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner invoices preview main                       # the running month, and what it will come to
  eventrunner invoices create main 2026-10 -t acme        # makes the invoice of a month that is over
  eventrunner invoices list
  eventrunner invoices get 42 --format pdf --file 42.pdf
  eventrunner invoices verify 42                          # of usage records and of events, again
  eventrunner invoices credit 42 --amount 10.00 --reason 'outage of 3 October'
  eventrunner invoices void 42 --reason 'wrong address'
Making and taking back takes an operator's key; reading, that of whoever runs the tenant.")]
pub(crate) struct Invoices {
    #[command(subcommand)]
    verb: Verb,
}

/// Run billing: meter storage, invoice months that are over, tell invoices as events
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BillingArgs {
    #[command(subcommand)]
    verb: Option<BillingVerb>,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum BillingVerb {
    /// The same as `eventrunner invoices verify`
    VerifyInvoice(VerifyArgs),
}

/// The service, or its proof.
pub(crate) async fn billing(args: BillingArgs, output: Output) -> Result<Code> {
    match args.verb {
        Some(BillingVerb::VerifyInvoice(args)) => verify(args, output).await.map(|()| Code::Done),
        None => service::run(Service::Billing, args.service).await,
    }
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List invoices, oldest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Get an invoice: by its number, or the latest
    Get(GetArgs),
    /// See a month before it is invoiced
    Preview(PreviewArgs),
    /// Make the invoice of a month that is over; once, however often it is asked for
    Create(CreateArgs),
    /// Give back a part of an invoice
    Credit(CreditArgs),
    /// Take an invoice back whole: its month can be invoiced again
    Void(VoidArgs),
    /// List credit notes, oldest first
    CreditNotes(ListArgs),
    /// Hold an invoice against its usage records, and those against their events; exit code 1 if anything differs
    Verify(VerifyArgs),
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// Most to show
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct GetArgs {
    /// Its number [default: the latest]
    number: Option<u64>,
    /// As what
    #[arg(long, value_enum, default_value = "json")]
    format: InvoiceFormat,
    /// Where to write it [default: the terminal, but a PDF]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InvoiceFormat {
    Json,
    Csv,
    Html,
    Pdf,
}

#[derive(Debug, Clone, Args)]
struct PreviewArgs {
    /// The billing account
    account: String,
    /// The month, such as 2026-10 [default: the running one]
    period: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct CreateArgs {
    /// The billing account
    account: String,
    /// The month, such as 2026-10
    period: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct CreditArgs {
    /// The invoice's number
    number: u64,
    /// How much, such as 10.00
    #[arg(long)]
    amount: String,
    /// Why, for who reads the credit note
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct VoidArgs {
    /// The invoice's number
    number: u64,
    /// Why, for who reads the credit note
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct VerifyArgs {
    /// The invoice's number
    number: u64,
    #[command(flatten)]
    connect: ConnectArgs,
}

const INVOICES: &[Column] = &[
    Column("id", "/id"),
    Column("number", "/number"),
    Column("account", "/account"),
    Column("period", "/period"),
    Column("total", "/total"),
    Column("due", "/due"),
    Column("currency", "/currency"),
    Column("finalized at", "/finalized_at"),
];
const NOTES: &[Column] = &[
    Column("id", "/id"),
    Column("number", "/number"),
    Column("invoice", "/invoice"),
    Column("void", "/void"),
    Column("amount", "/amount"),
    Column("currency", "/currency"),
    Column("reason", "/reason"),
    Column("made at", "/made_at"),
];
const DIFFERENCES: &[Column] = &[
    Column("fault", "/fault"),
    Column("received at", "/received_at"),
    Column("source", "/source"),
    Column("event", "/event"),
    Column("meter", "/meter"),
    Column("recorded", "/recorded"),
    Column("expected", "/expected"),
];

pub(crate) async fn run(Invoices { verb }: Invoices, output: Output) -> Result<()> {
    match verb {
        Verb::List(args) => list(args, "invoices", INVOICES, output).await,
        Verb::CreditNotes(args) => list(args, "credit-notes", NOTES, output).await,
        Verb::Get(args) => get(args, output).await,
        Verb::Preview(args) => preview(args, output).await,
        Verb::Create(args) => {
            let body = json!({"account": args.account, "period": args.period});
            post(&args.connect, "invoices", &body, output).await
        }
        Verb::Credit(args) => {
            let body = json!({"invoice": args.number, "amount": args.amount, "reason": args.reason});
            post(&args.connect, "credit-notes", &body, output).await
        }
        Verb::Void(args) => {
            let body = json!({"invoice": args.number, "void": true, "reason": args.reason});
            post(&args.connect, "credit-notes", &body, output).await
        }
        Verb::Verify(args) => verify(args, output).await,
    }
}

fn open(connect: &ConnectArgs) -> Result<(Api, TenantId)> {
    let context = Context::load(connect)?;
    let tenant = context.tenant()?;
    Ok((Api::managing(context)?, tenant))
}

async fn list(args: ListArgs, what: &str, columns: &[Column], output: Output) -> Result<()> {
    let (api, tenant) = open(&args.connect)?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let path = format!("/api/v1/tenants/{}/{what}", segment(&tenant));
    let (items, more) = api.list(&path, &[], limit).await?;
    output.list(columns, &items)?;
    if more {
        note(&format!("there are more than {limit}: raise --limit"));
    }
    Ok(())
}

async fn get(args: GetArgs, output: Output) -> Result<()> {
    let (api, tenant) = open(&args.connect)?;
    let number = args.number.map(|number| format!("/{number}")).unwrap_or_default();
    let path = format!("/api/v1/invoice/{}{number}", segment(&tenant));
    if args.format == InvoiceFormat::Json && args.file.is_none() {
        return output.one(&api.get(&path, &[]).await?);
    }
    if args.format == InvoiceFormat::Pdf && args.file.is_none() {
        return Err(Failure::usage("a PDF is not for a terminal: name a --file"));
    }
    let format = args.format.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
    let request = api.request(Method::GET, &path)?.query(&[("format", format)]);
    let body = api.answer(request).await?.bytes().await;
    let body = body.map_err(|e| Failure::unavailable(format!("the answer broke off: {e}")))?;
    match args.file {
        Some(file) => {
            fs::write(&file, &body).map_err(|e| Failure::file("cannot write", &file, &e))?;
            note(&format!("wrote {}", file.display()));
            Ok(())
        }
        None => print(String::from_utf8_lossy(&body).trim_end()),
    }
}

async fn preview(args: PreviewArgs, output: Output) -> Result<()> {
    let (api, tenant) = open(&args.connect)?;
    let (tenant, account) = (segment(&tenant), segment(&args.account));
    let path = format!("/api/v1/tenants/{tenant}/billing-accounts/{account}/preview");
    let query: Vec<_> = args.period.map(|period| ("period", period)).into_iter().collect();
    output.one(&api.get(&path, &query).await?)
}

async fn post(connect: &ConnectArgs, what: &str, body: &Value, output: Output) -> Result<()> {
    let (api, tenant) = open(connect)?;
    let path = format!("/api/v1/tenants/{}/{what}", segment(&tenant));
    let request = api.request(Method::POST, &path)?.json(body);
    let made: Item = api.json(request).await?;
    output.one(&made)
}

/// A part of a month, compared.
#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    sum: Option<Sum>,
    since: String,
    events: u64,
    records: u64,
    without_data: u64,
    differences: Vec<Item>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sum {
    charged: String,
    again: String,
    lines: Vec<Value>,
}

async fn verify(args: VerifyArgs, output: Output) -> Result<()> {
    let (api, tenant) = open(&args.connect)?;
    let path = format!("/api/v1/invoice/{}/{}/check", segment(&tenant), args.number);
    let (mut query, mut sum, mut since) = (Vec::new(), None, None);
    let (mut events, mut records, mut without_data, mut differences) = (0, 0, 0, Vec::new());
    loop {
        let answer = api.get(&path, &query).await?;
        let part: Part = serde_json::from_str(answer.get())
            .map_err(|e| Failure::failed(format!("the API answered something that is not ours: {e}")))?;
        (events, records) = (events + part.events, records + part.records);
        without_data += part.without_data;
        differences.extend(part.differences);
        (sum, since) = (sum.or(part.sum), since.or(Some(part.since)));
        match part.next_cursor {
            Some(cursor) => query = vec![("cursor", cursor)],
            None => break,
        }
    }
    let Some(sum) = sum else { return Err(Failure::failed("the API said nothing of the sum")) };
    let equal = sum.lines.is_empty() && differences.is_empty();
    if output.format == Format::Table {
        if !differences.is_empty() {
            output.list(DIFFERENCES, &differences)?;
        }
        print(&format!(
            "charged {}, again {}; {records} usage records held against {events} events since {}{}: {}",
            sum.charged,
            sum.again,
            since.unwrap_or_default(),
            if without_data > 0 {
                format!(", {without_data} of them without their data")
            } else {
                String::new()
            },
            if equal { "equal" } else { "NOT equal" }
        ))?;
    } else {
        output.one(&item(&json!({
            "equal": equal, "charged": sum.charged, "again": sum.again, "lines": sum.lines, "events": events,
            "records": records, "without_data": without_data, "since": since, "differences": differences,
        }))?)?;
    }
    if equal {
        return Ok(());
    }
    let count = differences.len();
    Err(Failure::new(Code::Failed, format!("{count} usage records and {} sums differ", sum.lines.len())))
}
