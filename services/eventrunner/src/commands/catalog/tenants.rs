//! `eventrunner tenants`.

use clap::Args;
use model::{
    Clock as _, SystemClock, format_rfc3339,
    resource::{DEFAULT_PLACEMENT, Tenant, TenantLimits},
};

use super::{Opened, Verb, delete, get, id, list, write};
use crate::{context::ConnectArgs, exit::Result, output::Output};

/// Tenants: the customers whose data is isolated
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner tenants create acme --name 'Acme Inc.' --events-per-second 1000
  eventrunner tenants list")]
pub(crate) struct Tenants {
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
    /// Events a second, sustained; 0: no limit
    #[arg(long, default_value_t = TenantLimits::default().events_per_second)]
    events_per_second: u32,
    /// Events that may come at once before the rate is enforced
    #[arg(long, default_value_t = TenantLimits::default().events_burst)]
    events_burst: u32,
    /// The largest event, in bytes of attributes and data
    #[arg(long, default_value_t = TenantLimits::default().event_bytes_max)]
    event_bytes_max: u32,
    /// The most events in one batch request
    #[arg(long, default_value_t = TenantLimits::default().batch_events_max)]
    batch_events_max: u32,
    /// Which tenant stream holds its events
    #[arg(long, default_value = DEFAULT_PLACEMENT)]
    placement: String,
    /// Its keys and doors answer 403
    #[arg(long)]
    disabled: bool,
    /// Write over the one there is
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(Tenants { verb }: Tenants, output: Output) -> Result<()> {
    match verb {
        Verb::Create(args) => create(args, output).await,
        Verb::List(args) => list::<Tenant>(args, output).await,
        Verb::Get(args) => get::<Tenant>(args, output).await,
        Verb::Delete(args) => delete::<Tenant>(args).await,
    }
}

async fn create(args: Create, output: Output) -> Result<()> {
    let tenant = Tenant {
        id: id(&args.id)?,
        name: args.name,
        disabled: args.disabled,
        placement: args.placement,
        limits: TenantLimits {
            events_per_second: args.events_per_second,
            events_burst: args.events_burst,
            event_bytes_max: args.event_bytes_max,
            batch_events_max: args.batch_events_max,
        },
        created_at: format_rfc3339(SystemClock.now()),
    };
    let opened = Opened::open(&args.connect).await?;
    write(&opened, &tenant, args.replace, output).await?;
    opened.close().await;
    Ok(())
}
