//! `eventrunner audit`: what was done to a tenant's resources, and what was refused.

use clap::{Args, Subcommand, ValueEnum};
use model::TenantId;

use crate::{
    client::{Api, segment},
    context::{ConnectArgs, Context},
    exit::Result,
    output::{Column, Output, note},
    when,
};

/// The audit: who changed what through the API, and who was refused
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner audit list --since 1d --outcome refused
  eventrunner audit list --kind key --action create,delete -o jsonl
The key needs the scope manage, or operate for another tenant's.")]
pub(crate) struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List records, oldest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// Only of these kinds: system, key, ...; repeatable, or separated by commas
    #[arg(long, value_delimiter = ',')]
    kind: Vec<String>,
    /// Only of resources of these ids; repeatable
    #[arg(long)]
    id: Vec<String>,
    /// Only these actions; repeatable, or separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    action: Vec<Action>,
    /// Only these outcomes; repeatable, or separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    outcome: Vec<Outcome>,
    /// Only by these: `key:ID`, `user:SUBJECT`, or the id alone; repeatable
    #[arg(long)]
    actor: Vec<String>,
    /// At or after: RFC 3339, or how long ago as 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    since: Option<String>,
    /// Before
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    until: Option<String>,
    /// Most records to show
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    Read,
    Create,
    Replace,
    Change,
    Delete,
    Undelete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    /// About to be done
    Announced,
    /// Done
    Done,
    /// Refused
    Refused,
}

const COLUMNS: &[Column] = &[
    Column("time", "/time"),
    Column("actor", "/data/actor/id"),
    Column("address", "/data/address"),
    Column("action", "/data/action"),
    Column("kind", "/data/kind"),
    Column("id", "/data/id"),
    Column("outcome", "/data/outcome"),
    Column("code", "/data/code"),
];

pub(crate) async fn run(Audit { verb: Verb::List(args) }: Audit, output: Output) -> Result<()> {
    let context = Context::load(&args.connect)?;
    let tenant: TenantId = context.tenant()?;
    let api = Api::managing(context)?;
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(args.kind.into_iter().map(|v| ("kind", v)));
    query.extend(args.id.into_iter().map(|v| ("id", v)));
    query.extend(args.action.iter().map(|v| ("action", word(v))));
    query.extend(args.outcome.iter().map(|v| ("outcome", word(v))));
    query.extend(args.actor.into_iter().map(|v| ("actor", v)));
    query.extend(args.since.map(|v| ("since", v)));
    query.extend(args.until.map(|v| ("until", v)));
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let path = format!("/api/v1/tenants/{}/audit", segment(&tenant));
    let (items, more) = api.list(&path, &query, limit).await?;
    output.list(COLUMNS, &items)?;
    if more {
        note(&format!("there are more than {limit}: raise --limit or narrow the list"));
    }
    Ok(())
}

/// As the API spells it.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}
