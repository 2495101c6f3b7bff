//! `eventrunner event-types`.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};
use model::{
    Clock as _, SystemClock,
    resource::{Compatibility, EventType, Meta},
};
use serde_json::Value;

use super::{CommonArgs, Opened, Verb, delete, get, id, list, write};
use crate::{
    context::ConnectArgs,
    exit::{Failure, Result},
    output::Output,
};

/// Event types: what may happen in a system, with an optional JSON Schema
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner event-types create com.acme.sale --system shop --schema sale.schema.json
  eventrunner event-types get com.acme.sale -o json")]
pub(crate) struct EventTypes {
    #[command(subcommand)]
    verb: Verb<Create>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// The CloudEvents type
    name: String,
    /// The system it happens in
    #[arg(long)]
    system: String,
    #[command(flatten)]
    common: CommonArgs,
    /// File with a JSON Schema (2020-12) of the data; events that break it are dead-lettered
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// What another schema must be to take the place of this one
    #[arg(long, value_enum, default_value_t = Rule::None)]
    compatibility: Rule,
    /// Write over the one there is; another schema makes another version
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// What a schema must be to take the place of another one.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rule {
    /// Anything
    None,
    /// It takes all that the one before takes
    Backward,
    /// The one before takes all that it takes
    Forward,
    /// Both
    Full,
}

impl From<Rule> for Compatibility {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::None => Self::None,
            Rule::Backward => Self::Backward,
            Rule::Forward => Self::Forward,
            Rule::Full => Self::Full,
        }
    }
}

pub(crate) async fn run(EventTypes { verb }: EventTypes, output: Output) -> Result<()> {
    match verb {
        Verb::Create(args) => create(args, output).await,
        Verb::List(args) => list::<EventType>(args, output).await,
        Verb::Get(args) => get::<EventType>(args, output).await,
        Verb::Delete(args) => delete::<EventType>(args).await,
    }
}

async fn create(args: Create, output: Output) -> Result<()> {
    let system = id(&args.system)?;
    let schema = args.schema.map(|path| read_json(&path)).transpose()?;
    let opened = Opened::open(&args.connect).await?;
    let meta = args.common.meta(Meta::created(SystemClock.now()));
    let mut event_type = EventType::new(opened.context.tenant()?, system, args.name, schema, meta);
    event_type.compatibility = args.compatibility.into();
    write(&opened, &event_type, args.replace, output).await?;
    opened.close().await;
    Ok(())
}

/// A JSON file.
pub(super) fn read_json(path: &PathBuf) -> Result<Value> {
    let text = fs::read_to_string(path).map_err(|e| Failure::file("cannot read", path, &e))?;
    serde_json::from_str(&text).map_err(|e| Failure::data(format!("{} is not JSON: {e}", path.display())))
}
