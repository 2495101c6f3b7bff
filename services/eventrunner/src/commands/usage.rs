//! `eventrunner usage`: what a tenant has used.

use clap::{Args, ValueEnum};
use model::TenantId;
use serde::Deserialize;

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
  eventrunner usage --records --since 1h -o jsonl")]
pub(crate) struct Usage {
    /// What was counted
    #[arg(long, value_enum, default_value = "events")]
    meter: Meter,
    /// Width of the sums
    #[arg(long, value_enum, default_value = "total")]
    bucket: Bucket,
    /// Used at or after: RFC 3339, or how long ago as 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    since: Option<String>,
    /// Used before
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    until: Option<String>,
    /// The records the sums are made of
    #[arg(long, conflicts_with_all = ["meter", "bucket"])]
    records: bool,
    /// Most records to show
    #[arg(long, short = 'n', default_value_t = 50, requires = "records")]
    limit: u32,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Meter {
    /// Events
    Events,
    /// Bytes of attributes and data
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bucket {
    Minute,
    Hour,
    Day,
    Total,
}

#[derive(Deserialize)]
struct Sums {
    total: u64,
    buckets: Vec<Item>,
}

const BUCKETS: &[Column] = &[Column("from", "/start"), Column("value", "/value")];
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
    query.push(("meter", word(args.meter.to_possible_value())));
    query.push(("bucket", word(args.bucket.to_possible_value())));
    let answer = api.get(&path, &query).await?;
    if output.format != Format::Table {
        return output.one(&answer);
    }
    let sums: Sums = serde_json::from_str(answer.get())
        .map_err(|e| Failure::failed(format!("the API answered something that is not ours: {e}")))?;
    if args.bucket != Bucket::Total {
        output.list(BUCKETS, &sums.buckets)?;
    }
    crate::output::print(&format!("total  {}", sums.total))
}
