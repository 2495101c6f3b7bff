//! `eventrunner systems`.

use clap::Args;
use model::{
    Clock as _, SystemClock,
    resource::{Meta, System},
};

use super::{CommonArgs, Opened, Verb, delete, get, id, list, write};
use crate::{context::ConnectArgs, exit::Result, output::Output};

/// Systems: what produces or consumes a tenant's events
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner systems create shop --tenant acme")]
pub(crate) struct Systems {
    #[command(subcommand)]
    verb: Verb<Create>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// Its id
    id: String,
    /// For people
    #[arg(long, default_value = "")]
    name: String,
    #[command(flatten)]
    common: CommonArgs,
    /// Write over the one there is
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(Systems { verb }: Systems, output: Output) -> Result<()> {
    match verb {
        Verb::Create(args) => create(args, output).await,
        Verb::List(args) => list::<System>(args, output).await,
        Verb::Get(args) => get::<System>(args, output).await,
        Verb::Delete(args) => delete::<System>(args).await,
    }
}

async fn create(args: Create, output: Output) -> Result<()> {
    let system_id = id(&args.id)?;
    let opened = Opened::open(&args.connect).await?;
    let system = System {
        tenant: opened.context.tenant()?,
        id: system_id,
        name: args.name,
        meta: args.common.meta(Meta::created(SystemClock.now())),
    };
    write(&opened, &system, args.replace, output).await?;
    opened.close().await;
    Ok(())
}
