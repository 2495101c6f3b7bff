//! `eventrunner events`: stored events and their receipts.

mod export;

use clap::{Args, Subcommand};

use crate::{
    client::{Api, segment},
    context::{ConnectArgs, Context},
    exit::Result,
    output::{Column, Item, Output, note},
    when,
};

/// Stored events
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner events list --since 1h --type com.acme.sale
  eventrunner events list --since 1d --data /order/id=42
  eventrunner events get /demo hello-1
  eventrunner events receipt /demo hello-1
  eventrunner events erase-data /demo hello-1
  eventrunner events export --since 7d --file events.ndjson")]
pub(crate) struct Events {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List events, the latest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one event in the CloudEvents JSON format
    Get(OneArgs),
    /// Show what happened to one event, hop by hop
    Receipt(OneArgs),
    /// Take one event's data away for good; its attributes and its receipt stay
    EraseData(OneArgs),
    /// Write events to a file, one CloudEvent in JSON a line, the earliest first
    Export(export::ExportArgs),
}

/// Which events.
#[derive(Debug, Clone, Args)]
struct Filter {
    /// Only of this type; repeatable
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only of this source; repeatable
    #[arg(long = "source", short, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Only of this subject; repeatable
    #[arg(long = "subject", value_name = "SUBJECT")]
    subjects: Vec<String>,
    /// Received at or after: RFC 3339, or how long ago as 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    since: Option<String>,
    /// Received before
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    until: Option<String>,
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// Only with JSON data in which the scalar at a JSON pointer has this value; repeatable, all must hold
    #[arg(long = "data", value_name = "POINTER=VALUE")]
    data: Vec<String>,
    /// The earliest first
    #[arg(long)]
    oldest: bool,
    /// Most events to show
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct OneArgs {
    /// Its source attribute
    source: String,
    /// Its id attribute
    id: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

const COLUMNS: &[Column] = &[
    Column("received", "/received_at"),
    Column("type", "/event/type"),
    Column("source", "/event/source"),
    Column("id", "/event/id"),
    Column("subject", "/event/subject"),
];

pub(crate) async fn run(Events { verb }: Events, output: Output) -> Result<()> {
    match verb {
        Verb::List(args) => list(args, output).await,
        Verb::Get(args) => output.one(&one(&args, "").await?),
        Verb::Receipt(args) => output.one(&one(&args, "/receipt").await?),
        Verb::EraseData(args) => output.one(&erase_data(&args).await?),
        Verb::Export(args) => export::run(args, output).await,
    }
}

impl Filter {
    /// As the API is asked.
    fn query(&self) -> Vec<(&'static str, String)> {
        let each = |name, values: &[String]| values.iter().map(|v| (name, v.clone())).collect::<Vec<_>>();
        let mut query = each("type", &self.types);
        query.extend(each("source", &self.sources));
        query.extend(each("subject", &self.subjects));
        query.extend(self.since.clone().map(|v| ("since", v)));
        query.extend(self.until.clone().map(|v| ("until", v)));
        query
    }
}

async fn list(args: ListArgs, output: Output) -> Result<()> {
    let api = Api::new(Context::load(&args.connect)?)?;
    let mut query = args.filter.query();
    query.extend(args.data.into_iter().map(|v| ("data", v)));
    if args.oldest {
        query.push(("order", "oldest".to_owned()));
    }
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (items, more) = api.list("/api/v1/events", &query, limit).await?;
    output.list(COLUMNS, &items)?;
    if more {
        note(&format!("there are more than {limit}: raise --limit or narrow the list"));
    }
    Ok(())
}

async fn erase_data(args: &OneArgs) -> Result<Item> {
    let api = Api::new(Context::load(&args.connect)?)?;
    let path = format!("/api/v1/events/{}/{}/data", segment(&args.source), segment(&args.id));
    api.json(api.request(reqwest::Method::DELETE, &path)?).await
}

async fn one(args: &OneArgs, what: &str) -> Result<Item> {
    let api = Api::new(Context::load(&args.connect)?)?;
    api.get(&format!("/api/v1/events/{}/{}{what}", segment(&args.source), segment(&args.id)), &[]).await
}
