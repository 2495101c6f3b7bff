//! `eventrunner event-types`.

use std::{fs, path::PathBuf};

use clap::Args;
use model::{
    Clock as _, SystemClock,
    resource::{EventType, Meta},
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
    /// Write over the one there is
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    connect: ConnectArgs,
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
    let event_type = EventType {
        tenant: opened.context.tenant()?,
        system,
        name: args.name,
        schema,
        meta: args.common.meta(Meta::created(SystemClock.now())),
    };
    write(&opened, &event_type, args.replace, output).await?;
    opened.close().await;
    Ok(())
}

/// A JSON file.
pub(super) fn read_json(path: &PathBuf) -> Result<Value> {
    let text = fs::read_to_string(path).map_err(|e| Failure::file("cannot read", path, &e))?;
    serde_json::from_str(&text).map_err(|e| Failure::data(format!("{} is not JSON: {e}", path.display())))
}
