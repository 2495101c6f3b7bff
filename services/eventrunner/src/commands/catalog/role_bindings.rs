//! `eventrunner role-bindings`.

use clap::Args;
use model::{
    Clock as _, SystemClock,
    resource::{Meta, RoleBinding},
};

use super::{
    CommonArgs, Opened, Verb, delete, get, id, list,
    resource::{owner, without_owner},
    write,
};
use crate::{context::ConnectArgs, exit::Result, output::Output};

/// Role bindings: who has which role, in a tenant or fleet-wide
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner role-bindings create alice --actor user:alice@example.com --role viewer --tenant acme
  eventrunner role-bindings create tills --actor key:k3jq2m5tnv8wxz0a --role fleet/helper
  eventrunner role-bindings create fleet/root --actor user:root@example.com --role superuser

A binding of the fleet's is called fleet/<id>, and counts in every tenant.")]
pub(crate) struct RoleBindings {
    #[command(subcommand)]
    verb: Verb<Create>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Create {
    /// Its id; fleet/ID for one of the fleet's
    id: String,
    /// To whom: user:ID, key:ID, client:ID, service:NAME, or role:ID for all who have that custom role
    #[arg(long)]
    actor: String,
    /// Which role: superuser (fleet-wide), tenant_admin, admin, user, event_publisher, viewer, a custom one, or fleet/ID
    #[arg(long)]
    role: String,
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

pub(crate) async fn run(RoleBindings { verb }: RoleBindings, output: Output) -> Result<()> {
    match verb {
        Verb::Create(args) => create(args, output).await,
        Verb::List(args) => list::<RoleBinding>(args, output).await,
        Verb::Get(args) => get::<RoleBinding>(args, output).await,
        Verb::Delete(args) => delete::<RoleBinding>(args).await,
    }
}

async fn create(args: Create, output: Output) -> Result<()> {
    let binding_id = id(without_owner(&args.id))?;
    let opened = Opened::open(&args.connect).await?;
    let binding = RoleBinding {
        tenant: owner(&args.id, &opened.context)?,
        id: binding_id,
        name: args.name,
        actor: args.actor,
        role: args.role,
        meta: args.common.meta(Meta::created(SystemClock.now())),
    };
    write(&opened, &binding, args.replace, output).await?;
    opened.close().await;
    Ok(())
}
