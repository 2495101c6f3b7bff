//! `eventrunner tenants`.

use clap::{Args, Subcommand, ValueEnum};
use model::{
    Clock as _, PlanId, SystemClock,
    resource::{DEFAULT_PLACEMENT, Meta, Tenant, TenantLimits, TenantStream},
};

use super::{CommonArgs, ListArgs, OneArgs, Opened, delete, erase, get, id, limits, list, write};
use crate::{
    context::ConnectArgs,
    exit::Result,
    output::{Output, item},
};

/// Tenants: the customers whose data is isolated
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner tenants create acme --name 'Acme Inc.' --events-per-second 1000
  eventrunner tenants update acme --retention-days 90
  eventrunner tenants update acme --tenant-stream packed
  eventrunner tenants update acme --plan gold --bytes-per-second 1000000
  eventrunner tenants limits acme
  eventrunner tenants erase acme
  eventrunner tenants list")]
pub(crate) struct Tenants {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Create one, or with --replace change it as a whole
    #[command(visible_alias = "add")]
    Create(Create),
    /// Change what is given and leave the rest as it is
    Update(Update),
    /// List them
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one
    Get(OneArgs),
    /// Show its limits: what holds, where it comes from, how much is used
    Limits(OneArgs),
    /// Delete one that has no systems; its events stay
    #[command(visible_alias = "rm")]
    Delete(OneArgs),
    /// Take away everything there is of one: events, usage, streams, dead letters, catalog entries
    Erase(erase::EraseArgs),
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
    /// The plan it is on
    #[arg(long)]
    plan: Option<PlanId>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Which tenant stream holds its events
    #[arg(long, default_value = DEFAULT_PLACEMENT)]
    placement: String,
    /// Days for which its events are kept; 0: until erased
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    retention_days: u32,
    /// How its stream holds its events
    #[arg(long, value_enum, default_value_t = StreamForm::Single)]
    tenant_stream: StreamForm,
    /// Its keys and doors answer 403
    #[arg(long)]
    disabled: bool,
    /// Write over the one there is
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Update {
    /// Its id
    id: String,
    /// For people
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
    /// The plan it is on
    #[arg(long)]
    plan: Option<PlanId>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Days for which its events are kept; 0: until erased
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<u32>,
    /// How its stream holds its events from now on
    #[arg(long, value_enum)]
    tenant_stream: Option<StreamForm>,
    /// Whether its keys and doors answer 403
    #[arg(long, value_name = "BOOL")]
    disabled: Option<bool>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Limits of its own, which go before its plan's.
#[derive(Debug, Clone, Args)]
struct LimitArgs {
    /// Events a second, sustained; 0: no limit
    #[arg(long)]
    events_per_second: Option<u32>,
    /// Events that may come at once before the rate is enforced; 0: a second's
    #[arg(long)]
    events_burst: Option<u32>,
    /// Bytes of attributes and data a second, sustained; 0: no limit
    #[arg(long)]
    bytes_per_second: Option<u32>,
    /// Bytes that may come at once before the rate is enforced; 0: a second's
    #[arg(long)]
    bytes_burst: Option<u32>,
    /// The largest event, in bytes of attributes and data
    #[arg(long)]
    event_bytes_max: Option<u32>,
    /// The most events in one batch request
    #[arg(long)]
    batch_events_max: Option<u32>,
    /// The most resources of all kinds; 0: no limit
    #[arg(long)]
    resources_max: Option<u32>,
    /// The most subscriptions; 0: no limit
    #[arg(long)]
    subscriptions_max: Option<u32>,
    /// The longest retention, in days; 0: no limit
    #[arg(long)]
    retention_days_max: Option<u32>,
}

impl LimitArgs {
    /// What there was, with what is given in its place.
    fn over(self, old: &TenantLimits) -> TenantLimits {
        TenantLimits {
            events_per_second: self.events_per_second.or(old.events_per_second),
            events_burst: self.events_burst.or(old.events_burst),
            bytes_per_second: self.bytes_per_second.or(old.bytes_per_second),
            bytes_burst: self.bytes_burst.or(old.bytes_burst),
            event_bytes_max: self.event_bytes_max.or(old.event_bytes_max),
            batch_events_max: self.batch_events_max.or(old.batch_events_max),
            resources_max: self.resources_max.or(old.resources_max),
            subscriptions_max: self.subscriptions_max.or(old.subscriptions_max),
            retention_days_max: self.retention_days_max.or(old.retention_days_max),
        }
    }
}

/// How a tenant's stream holds its events.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StreamForm {
    /// An event a message, for any NATS client
    Single,
    /// What came together as one message, cheaper, for who reads through SSE or gRPC
    Packed,
}

impl From<StreamForm> for TenantStream {
    fn from(form: StreamForm) -> Self {
        match form {
            StreamForm::Single => Self::Single,
            StreamForm::Packed => Self::Packed,
        }
    }
}

pub(crate) async fn run(Tenants { verb }: Tenants, output: Output) -> Result<()> {
    match verb {
        Verb::Create(args) => create(args, output).await,
        Verb::Update(args) => update(args, output).await,
        Verb::List(args) => list::<Tenant>(args, output).await,
        Verb::Get(args) => get::<Tenant>(args, output).await,
        Verb::Limits(args) => limits::run(args, output).await,
        Verb::Delete(args) => delete::<Tenant>(args).await,
        Verb::Erase(args) => erase::run(args, output).await,
    }
}

async fn create(args: Create, output: Output) -> Result<()> {
    let tenant = Tenant {
        id: id(&args.id)?,
        name: args.name,
        disabled: args.disabled,
        placement: args.placement,
        plan: args.plan,
        limits: args.limits.over(&TenantLimits::default()),
        retention_days: args.retention_days,
        tenant_stream: args.tenant_stream.into(),
        meta: args.common.meta(Meta::created(SystemClock.now())),
    };
    let opened = Opened::open(&args.connect).await?;
    write(&opened, &tenant, args.replace, output).await?;
    opened.close().await;
    Ok(())
}

async fn update(args: Update, output: Output) -> Result<()> {
    let tenant_id = id(&args.id)?;
    let opened = Opened::open(&args.connect).await?;
    let found = opened.catalog.get::<Tenant>(&tenant_id, &args.id).await?;
    let Tenant { id, name, disabled, placement, plan, limits, retention_days, tenant_stream, meta } =
        found.value;
    let tenant = Tenant {
        id,
        name: args.name.unwrap_or(name),
        disabled: args.disabled.unwrap_or(disabled),
        placement,
        plan: args.plan.or(plan),
        limits: args.limits.over(&limits),
        retention_days: args.retention_days.unwrap_or(retention_days),
        tenant_stream: args.tenant_stream.map_or(tenant_stream, Into::into),
        meta: args.common.meta(meta),
    };
    // At the revision that was read: a change made meanwhile is not written over.
    let written = opened.catalog.put(&tenant, Some(found.revision)).await?;
    output.one(&item(&written.value)?)?;
    opened.close().await;
    Ok(())
}
