//! `eventrunner mirror`: a region that could take over from another, and does.

mod standby;

use backup::mirror;
use bus::Bus;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    config::ConfigArgs,
    context::{ConnectArgs, Context},
    exit::{Code, Failure, Result},
    output::{Column, Output, item, note},
};

/// Mirror a fleet in another region, and take over from it
///
/// Every command speaks to the broker of the region that is to take over; that of the origin is reached through it, by its JetStream
/// domain. How the two are joined: docs/operations.md, "Another region".
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner mirror setup --from EAST --nats-url nats://west:4222
  eventrunner mirror run --set nats.url=nats://west:4222       # keeps the stores filled and the queues short
  eventrunner mirror status --nats-url nats://west:4222
  eventrunner mirror promote --nats-url nats://west:4222       # when the origin is gone")]
pub(crate) struct Mirror {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Make a mirror of each stream of the origin; what is mirrored already stays
    Setup(SetupArgs),
    /// Store here what the origin works on, and let the queues' mirrors forget what it has worked off; ends when they are promoted
    Run(RunArgs),
    /// Tell how far each mirror is behind; exit code 1 if one gets nothing
    Status(ConnectArgs),
    /// Turn the mirrors into streams: the fleet can be started here
    Promote(PromoteArgs),
}

#[derive(Debug, Clone, Args)]
struct SetupArgs {
    /// The JetStream domain of the origin's broker
    #[arg(long, value_name = "DOMAIN")]
    from: String,
    /// Copies of each mirror here: 1, or 3 on a broker of three nodes
    #[arg(long, value_name = "N", default_value_t = 1)]
    replicas: usize,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Clone, Args)]
struct RunArgs {
    /// Only keep the queues' mirrors short: the stores are replicated otherwise
    #[arg(long)]
    no_stores: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Clone, Args)]
struct PromoteArgs {
    /// Although the origin's broker answers: then make sure that no fleet works on it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

const COLUMNS: &[Column] = &[
    Column("STREAM", "/name"),
    Column("HERE", "/last_seq"),
    Column("ORIGIN", "/origin_last_seq"),
    Column("LAG", "/lag"),
    Column("SILENT MS", "/silent_ms"),
    Column("ERROR", "/error"),
];

pub(crate) async fn run(args: Mirror, output: Output) -> Result<Code> {
    match args.verb {
        Verb::Run(args) => standby::run(&args.config, !args.no_stores, output).await.map(|()| Code::Done),
        Verb::Setup(args) => {
            let bus = connect(&args.connect).await?;
            let made = mirror::set_up(&bus, &args.from, args.replicas).await?;
            bus.close().await;
            note(&format!(
                "{} mirrors made of the domain {}; how far they are: eventrunner mirror status",
                made.len(),
                args.from
            ));
            output.one(&item(&json!({"made": made}))?)?;
            Ok(Code::Done)
        }
        Verb::Status(connect) => status(&connect, output).await,
        Verb::Promote(args) => {
            let bus = connect(&args.connect).await?;
            let promoted = mirror::promote(&bus, args.force).await.map_err(|error| match error {
                backup::Error::InUse(_) => Failure::from(error)
                    .hint("stop the fleet there and its broker, or cut the line between the two; --force goes on all the same"),
                other => other.into(),
            });
            bus.close().await;
            note("the mirrors are streams now: start the fleet here, with the origin's sealing key");
            output.one(&item(&json!({"promoted": promoted?}))?)?;
            Ok(Code::Done)
        }
    }
}

async fn connect(args: &ConnectArgs) -> Result<Bus> {
    let context = Context::load(args)?;
    Bus::connect(&context.nats()).await.map_err(|e| Failure::from(e).hint(context.start_hint()))
}

async fn status(args: &ConnectArgs, output: Output) -> Result<Code> {
    let bus = connect(args).await?;
    let mirrors = mirror::status(&bus).await?;
    bus.close().await;
    if mirrors.is_empty() {
        return Err(Failure::new(Code::NotFound, "there is no mirror on this broker")
            .hint("make them with: eventrunner mirror setup --from DOMAIN"));
    }
    let stuck = mirrors.iter().any(|mirror| mirror.error.is_some() || mirror.silent_ms.is_none());
    output.list(COLUMNS, &mirrors.iter().map(item).collect::<Result<Vec<_>>>()?)?;
    Ok(if stuck { Code::Failed } else { Code::Done })
}
