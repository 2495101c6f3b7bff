//! `eventrunner up`: the whole fleet in this process, with a broker of its own, in one folder.

mod banner;
pub(crate) mod broker;
mod demo;
mod fleet;
pub(crate) mod folder;
mod plan;
pub(crate) mod ports;
mod room;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use clap::Args;
use model::Durability;
use runtime::{
    admin,
    health::Health,
    lifecycle::{self, Context, Exit, StopOptions},
    telemetry,
};

use self::{banner::Banner, broker::Supervisor, demo::Urls, fleet::Fleet, plan::Plan};
use crate::{
    config::ConfigArgs,
    exit::{Code, Failure, Result},
    output::{Output, note},
};

/// Start the whole fleet on this machine
///
/// One process runs every service on embedded stores, with a nats-server of its own beside it. Everything is kept in one
/// folder, for the next start. Ctrl-C finishes what is in flight and stops; a second Ctrl-C stops at once.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner up
  eventrunner up --port-base 9100 --data-dir /tmp/second
  eventrunner up --durability process
  eventrunner up --nats-url nats://127.0.0.1:4222    # a broker of your own")]
pub(crate) struct Up {
    /// What an accepted event survives: disk (a power cut) or process (the death of any process)
    #[arg(long, value_name = "DURABILITY")]
    durability: Option<Durability>,
    #[command(flatten)]
    ports: PortArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Logs of every service, not only of what goes wrong
    #[arg(long, short)]
    verbose: bool,
}

/// Where to listen, on the loopback interface.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Ports")]
struct PortArgs {
    /// First of six ports in a row: ingest-http, api, ingest-grpc, admin, nats, nats monitoring; 0: any free ones
    #[arg(long, value_name = "PORT", env = "EVENTRUNNER_PORT_BASE")]
    port_base: Option<u16>,
    /// ingest-http [default: 8080]
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// api [default: 8081]
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,
    /// ingest-grpc [default: 9090]
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<u16>,
    /// Metrics and health [default: 9600]
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// nats-server [default: 4222]
    #[arg(long, value_name = "PORT")]
    nats_port: Option<u16>,
    /// Monitoring of nats-server [default: 8222]
    #[arg(long, value_name = "PORT")]
    nats_monitor_port: Option<u16>,
}

/// The broker.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Broker")]
struct BrokerArgs {
    /// The nats-server to run [default: the first on the PATH, or the one `make` installed]
    #[arg(long, value_name = "FILE", env = "EVENTRUNNER_NATS_SERVER")]
    nats_server: Option<PathBuf>,
    /// A broker of your own, instead of one that is started here
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
}

/// Longer than all parts of the fleet may take together.
const STOP: StopOptions =
    StopOptions { drain_timeout: Duration::from_secs(45), abort_timeout: Duration::from_secs(5) };

pub(crate) async fn run(args: Up, output: Output) -> Result<Code> {
    let began = Instant::now();
    // Everything is checked before anything starts.
    let mut plan = Plan::make(&args)?;
    telemetry::init(&plan.config.log).map_err(|e| Failure::config(e.to_string()))?;
    let banner = Banner::new(&plan, output);
    banner.head()?;
    let mut supervisor = plan.start_broker().await?;
    let health = Health::new(Duration::from_secs(plan.config.admin.work_age_seconds_max));
    // What goes wrong at the start has its own code and words; the lifecycle knows only that something did.
    let failed: Arc<OnceLock<Failure>> = Arc::default();
    let exit = lifecycle::run(STOP, health, |context| {
        let failed = Arc::clone(&failed);
        let (plan, banner, supervisor) = (&plan, &banner, supervisor.as_mut());
        async move {
            let started = start(plan, banner, supervisor, &context, began).await;
            started.map_err(|failure| {
                let message = failure.message.clone();
                let _ = failed.set(failure);
                message
            })
        }
    })
    .await;
    if let Some(supervisor) = supervisor {
        supervisor.stop().await;
    }
    match (failed.get(), exit) {
        (Some(failure), _) => Err(failure.clone()),
        (None, Exit::Done) => {
            note("stopped; everything is kept for the next start");
            Ok(Code::Done)
        }
        (None, Exit::Failed) => {
            note("stopped because a service failed; run with --verbose to see more");
            Ok(Code::Failed)
        }
        (None, exit) => Ok(exit.into()),
    }
}

async fn start(
    plan: &Plan,
    banner: &Banner,
    supervisor: Option<&mut Supervisor>,
    context: &Context,
    began: Instant,
) -> Result<()> {
    let pid = match supervisor {
        Some(supervisor) => Some(supervisor.ready().await?),
        None => None,
    };
    banner.broker(pid)?;
    let fleet = Fleet::start(plan.config.clone(), context.health()).await?;
    let admin = admin::spawn(&plan.config.admin.http, context.health())
        .await
        .map_err(|e| Failure::new(Code::CannotTake, e.to_string()))?;
    banner.services(&fleet, admin)?;
    let urls = Urls {
        url: format!("http://{}", reachable(fleet.addresses.http)),
        api_url: format!("http://{}", reachable(fleet.addresses.api)),
        nats_url: plan.config.nats.url.clone(),
        admin_url: format!("http://{}", reachable(admin)),
        nats_monitor_url: plan.config.broker.monitor_url.clone(),
    };
    let key_file = plan.config.sealing_key_file()?;
    let credentials = demo::prepare(&fleet.catalog, plan.folder.path(), &urls, key_file).await?;
    plan.folder.sign(Some(urls.api_url.clone()))?;
    let shutdown = context.shutdown().clone();
    context.spawn_critical("fleet", fleet.run(shutdown));
    banner.ready(&urls, credentials.as_ref(), began.elapsed())
}

/// Where a client on this machine reaches a listener: one on every interface has an address nobody can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    }
}
