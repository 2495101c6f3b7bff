//! `eventrunner customers`.

use clap::Args;
use model::{
    Clock as _, PlanId, SystemClock,
    resource::{Customer, Meta},
};

use super::{CommonArgs, Opened, Verb, delete, get, id, list, write};
use crate::{context::ConnectArgs, exit::Result, output::Output};

/// Customers: a tenant's own, on whose behalf keys are used
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner customers create jane --name 'Jane Doe' --label plan=gold
  eventrunner keys create --system shop --customer jane")]
pub(crate) struct Customers {
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
    /// The plan it is on
    #[arg(long)]
    plan: Option<PlanId>,
    #[command(flatten)]
    common: CommonArgs,
    /// Write over the one there is
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(Customers { verb }: Customers, output: Output) -> Result<()> {
    match verb {
        Verb::Create(args) => create(args, output).await,
        Verb::List(args) => list::<Customer>(args, output).await,
        Verb::Get(args) => get::<Customer>(args, output).await,
        Verb::Delete(args) => delete::<Customer>(args).await,
    }
}

async fn create(args: Create, output: Output) -> Result<()> {
    let customer_id = id(&args.id)?;
    let opened = Opened::open(&args.connect).await?;
    let customer = Customer {
        tenant: opened.context.tenant()?,
        id: customer_id,
        name: args.name,
        plan: args.plan,
        meta: args.common.meta(Meta::created(SystemClock.now())),
    };
    write(&opened, &customer, args.replace, output).await?;
    opened.close().await;
    Ok(())
}
