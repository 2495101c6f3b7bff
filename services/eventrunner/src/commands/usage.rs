//! `eventrunner usage`: what a tenant has used.

use clap::{Args, ValueEnum};
use model::{CustomerId, TenantId, resource::OWN_METERS};
use serde::Deserialize;
use store::METERS;

use crate::{
    client::{Api, segment},
    context::{ConnectArgs, Context},
    exit::{Failure, Result},
    output::{Column, Format, Item, Output, note},
    when,
};

/// What a tenant has used
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner usage
  eventrunner usage --meter bytes --bucket day --since 30d
  eventrunner usage --meter own/turnover --bucket month --time-zone Europe/Berlin
  eventrunner usage --by-source --since 7d
  eventrunner usage --by-customer --bucket month
  eventrunner usage --customer jane --meter bytes
  eventrunner usage --records --since 1h -o jsonl")]
pub(crate) struct Usage {
    /// What was counted: events, bytes, another meter of the fleet's, or own/ID for a meter of the tenant's own
    #[arg(long, default_value = "events", value_parser = meter)]
    meter: String,
    /// How it is put together [default: as the meter says]
    #[arg(long, value_enum)]
    aggregation: Option<Aggregation>,
    /// Width of the sums
    #[arg(long, value_enum, default_value = "total")]
    bucket: Bucket,
    /// Whose days and months, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "NAME")]
    time_zone: Option<String>,
    /// Apart for each source of events
    #[arg(long, conflicts_with_all = ["by_type", "by_customer"])]
    by_source: bool,
    /// Apart for each type of events
    #[arg(long, conflicts_with = "by_customer")]
    by_type: bool,
    /// Apart for each of the tenant's customers
    #[arg(long)]
    by_customer: bool,
    /// Only what this customer used
    #[arg(long, value_name = "ID")]
    customer: Option<CustomerId>,
    /// Used at or after: RFC 3339, or how long ago as 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    since: Option<String>,
    /// Used before
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    until: Option<String>,
    /// The records the sums are made of
    #[arg(long, conflicts_with_all = ["meter", "aggregation", "bucket", "time_zone", "by_source", "by_type", "by_customer"])]
    records: bool,
    /// Most records to show
    #[arg(long, short = 'n', default_value_t = 50, requires = "records")]
    limit: u32,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Aggregation {
    Sum,
    Count,
    Unique,
    Max,
    Latest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bucket {
    Minute,
    Hour,
    Day,
    Month,
    Total,
}

#[derive(Deserialize)]
struct Sums {
    #[serde(default)]
    total: u64,
    #[serde(default)]
    buckets: Vec<Item>,
    #[serde(default)]
    groups: Vec<Item>,
}

/// A name that may be one of a meter's; whether a tenant has it the API knows.
fn meter(name: &str) -> std::result::Result<String, String> {
    if store::meter(name).is_some() || name.starts_with(OWN_METERS) {
        return Ok(name.to_owned());
    }
    let names: Vec<_> = METERS.iter().map(|meter| meter.name).collect();
    Err(format!("there are {}, and {OWN_METERS}ID", names.join(", ")))
}

const BUCKETS: &[Column] = &[Column("from", "/start"), Column("value", "/value")];
static GROUPS: [(&str, &[Column]); 3] = [
    ("source", &[Column("source", "/source"), Column("total", "/total")]),
    ("type", &[Column("type", "/type"), Column("total", "/total")]),
    ("customer", &[Column("customer", "/customer"), Column("total", "/total")]),
];
const RECORDS: &[Column] = &[
    Column("at", "/at"),
    Column("events", "/meters/events"),
    Column("bytes", "/meters/bytes"),
    Column("kind", "/origin/kind"),
    Column("source", "/origin/source"),
    Column("id", "/origin/id"),
];

pub(crate) async fn run(args: Usage, output: Output) -> Result<()> {
    let context = Context::load(&args.connect)?;
    let tenant: TenantId = context.tenant()?;
    let api = Api::new(context)?;
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(args.since.map(|v| ("since", v)));
    query.extend(args.until.map(|v| ("until", v)));
    query.extend(args.customer.map(|v| ("customer", v.to_string())));
    let path = format!("/api/v1/usage/{}", segment(&tenant));
    if args.records {
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let (items, more) = api.list(&format!("{path}/records"), &query, limit).await?;
        output.list(RECORDS, &items)?;
        if more {
            note(&format!("there are more than {limit}: raise --limit or narrow the list"));
        }
        return Ok(());
    }
    let word = |value: Option<clap::builder::PossibleValue>| {
        value.map(|v| v.get_name().to_owned()).unwrap_or_default()
    };
    query.push(("meter", args.meter));
    query.extend(args.aggregation.map(|v| ("aggregation", word(v.to_possible_value()))));
    query.extend(args.time_zone.map(|v| ("time_zone", v)));
    let asked = [args.by_source, args.by_type, args.by_customer];
    let group = GROUPS.iter().zip(asked).find(|(_, asked)| *asked).map(|(group, _)| group);
    query.extend(group.map(|(name, _)| ("group_by", (*name).to_owned())));
    query.push(("bucket", word(args.bucket.to_possible_value())));
    let answer = api.get(&path, &query).await?;
    if output.format != Format::Table {
        return output.one(&answer);
    }
    let sums: Sums = serde_json::from_str(answer.get())
        .map_err(|e| Failure::failed(format!("the API answered something that is not ours: {e}")))?;
    if let Some((_, columns)) = group {
        return output.list(columns, &sums.groups);
    }
    if args.bucket != Bucket::Total {
        output.list(BUCKETS, &sums.buckets)?;
    }
    crate::output::print(&format!("total  {}", sums.total))
}
