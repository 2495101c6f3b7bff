//! `eventrunner dead-letters`: events that could not go on.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{
    client::{Api, segment},
    context::{ConnectArgs, Context},
    exit::{Failure, Result},
    output::{Column, Output, item, note},
    when,
};

/// Dead letters: events that could not go on
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner dead-letters list
  eventrunner dead-letters get 17
  eventrunner dead-letters redrive 17
  eventrunner dead-letters redrive --all --code schema_violation --since 1d
  eventrunner dead-letters purge --all --until 7d")]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List dead letters, the earliest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one, with the bytes that came
    Get(GetArgs),
    /// Send some on their way again
    Redrive(SomeArgs),
    /// Delete some
    Purge(SomeArgs),
}

#[derive(Debug, Clone, Args)]
struct FilterArgs {
    /// Given up by this stage: normalizer or engine
    #[arg(long)]
    stage: Option<String>,
    /// For this error code, such as schema_violation
    #[arg(long)]
    code: Option<String>,
    /// Of this source
    #[arg(long, short)]
    source: Option<String>,
    /// Given up at or after: RFC 3339, or how long ago as 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    since: Option<String>,
    /// Given up before
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    until: Option<String>,
}

impl FilterArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let Self { stage, code, source, since, until } = self;
        [("stage", stage), ("code", code), ("source", source), ("since", since), ("until", until)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect()
    }
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Most dead letters to show
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct GetArgs {
    /// Its id
    id: u64,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct SomeArgs {
    /// Their ids
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<u64>,
    /// All that the filters leave
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

const COLUMNS: &[Column] = &[
    Column("id", "/id"),
    Column("at", "/at"),
    Column("stage", "/stage"),
    Column("code", "/code"),
    Column("source", "/event_source"),
    Column("event id", "/event_id"),
    Column("reason", "/reason"),
];

const PATH: &str = "/api/v1/dead-letters";

pub(crate) async fn run(DeadLetters { verb }: DeadLetters, output: Output) -> Result<()> {
    match verb {
        Verb::List(args) => list(args, output).await,
        Verb::Get(args) => {
            let api = Api::new(Context::load(&args.connect)?)?;
            output.one(&api.get(&format!("{PATH}/{}", args.id), &[]).await?)
        }
        Verb::Redrive(args) => redrive(args, output).await,
        Verb::Purge(args) => purge(args, output).await,
    }
}

async fn list(args: ListArgs, output: Output) -> Result<()> {
    let api = Api::new(Context::load(&args.connect)?)?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (items, more) = api.list(PATH, &args.filter.query(), limit).await?;
    output.list(COLUMNS, &items)?;
    if more {
        note(&format!("there are more than {limit}: raise --limit or narrow the list"));
    }
    Ok(())
}

/// What one request of many changed.
#[derive(Deserialize)]
struct Changed {
    #[serde(alias = "redriven", alias = "deleted")]
    count: u64,
    more: bool,
    stopped: Option<Stopped>,
}

#[derive(Deserialize)]
struct Stopped {
    code: String,
    detail: String,
}

#[derive(Serialize)]
struct Redriven {
    redriven: u64,
}

#[derive(Serialize)]
struct Deleted {
    deleted: u64,
}

async fn redrive(args: SomeArgs, output: Output) -> Result<()> {
    let api = Api::new(Context::load(&args.connect)?)?;
    let mut redriven = 0;
    for id in &args.ids {
        let path = format!("{PATH}/{}/redrive", segment(&id.to_string()));
        let changed: Changed = api.json(api.request(Method::POST, &path)?).await?;
        redriven += changed.count;
    }
    if args.all {
        let path = format!("{PATH}/redrive");
        redriven += all(&api, Method::POST, &path, &args.filter.query(), redriven).await?;
    }
    output.one(&item(&Redriven { redriven })?)
}

async fn purge(args: SomeArgs, output: Output) -> Result<()> {
    let api = Api::new(Context::load(&args.connect)?)?;
    let mut deleted = 0;
    for id in &args.ids {
        api.answer(api.request(Method::DELETE, &format!("{PATH}/{id}"))?).await?;
        deleted += 1;
    }
    if args.all {
        let mut query = args.filter.query();
        if query.is_empty() {
            query.push(("all", "true".to_owned()));
        }
        deleted += all(&api, Method::DELETE, PATH, &query, deleted).await?;
    }
    output.one(&item(&Deleted { deleted })?)
}

/// Repeats a request until there are no more. Redriven letters that fail again come back as new ones; the
/// time at which we began keeps them out.
async fn all(
    api: &Api,
    method: Method,
    path: &str,
    filter: &[(&'static str, String)],
    mut done: u64,
) -> Result<u64> {
    let mut query = filter.to_vec();
    if !query.iter().any(|(name, _)| *name == "until") {
        query.push(("until", when::moment("0s").map_err(Failure::failed)?));
    }
    let mut count = 0;
    loop {
        let changed: Changed = api.json(api.request(method.clone(), path)?.query(&query)).await?;
        count += changed.count;
        done += changed.count;
        if let Some(Stopped { code, detail }) = changed.stopped {
            return Err(Failure::unavailable(format!("stopped after {done}: {detail} ({code})")));
        }
        if !changed.more || changed.count == 0 {
            return Ok(count);
        }
    }
}
