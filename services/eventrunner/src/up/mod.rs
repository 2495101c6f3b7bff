//! `eventrunner up`: the whole fleet in this process or in processes of its own, with a broker of its own, in one folder.

pub(crate) mod alone;
mod banner;
pub(crate) mod broker;
pub(crate) mod demo;
mod fleet;
pub(crate) mod folder;
mod interior;
pub(crate) mod operator;
mod plan;
pub(crate) mod ports;
pub(crate) mod processes;
mod room;
mod supervise;

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
    otlp, telemetry,
};

pub(crate) use self::banner::first_curl;
use self::{
    banner::Banner,
    demo::Urls,
    fleet::Fleet,
    plan::{Brokers, Plan},
    ports::Held,
    processes::{Processes, Replica, Roster},
};
use crate::{
    config::{ConfigArgs, StoreKind},
    exit::{Code, Failure, Result},
    output::{Output, note},
    watch,
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
  eventrunner up --nats-url nats://127.0.0.1:4222    # a broker of your own
  eventrunner up --processes --replicas normalizer=3,engine=0,api=0 --nats-nodes 3")]
pub(crate) struct Up {
    /// What an accepted event survives: disk (a power cut) or process (the death of any process)
    #[arg(long, value_name = "DURABILITY")]
    durability: Option<Durability>,
    #[command(flatten)]
    processes: ProcessArgs,
    #[command(flatten)]
    stores: StoreArgs,
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

/// Each service in a process of its own.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Processes")]
struct ProcessArgs {
    /// Run each service in a process of its own, started again when it dies; fleet.json in the data folder lists them
    #[arg(long)]
    processes: bool,
    /// How many processes of a service, such as engine=3,normalizer=3; 0 leaves it out [default: 1 of each]
    #[arg(long, value_name = "SERVICE=N", value_delimiter = ',', requires = "processes")]
    replicas: Vec<Replica>,
}

/// Where events and usage are kept.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Stores")]
struct StoreArgs {
    /// embedded, in the data folder, for the fleet in one process; or external: servers that you run [default: embedded]
    #[arg(long, value_name = "KIND", value_enum)]
    stores: Option<StoreKind>,
    /// Nodes of the ScyllaDB or Cassandra cluster [default: 127.0.0.1:9042]
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    cql: Vec<String>,
    /// HTTP interface of the ClickHouse server [default: http://127.0.0.1:8123]
    #[arg(long, value_name = "URL")]
    clickhouse: Option<String>,
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
    /// How many nodes the broker has: 1, or 3 that keep each stream three times [default: what the data folder has, or 1]
    #[arg(long, value_name = "N", value_parser = one_or_three, conflicts_with = "nats_url")]
    nats_nodes: Option<u8>,
}

fn one_or_three(text: &str) -> std::result::Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("1 or 3".to_owned()),
    }
}

/// Longer than all parts of the fleet may take together.
const STOP: StopOptions =
    StopOptions { drain_timeout: Duration::from_secs(45), abort_timeout: Duration::from_secs(5) };

pub(crate) async fn run(args: Up, output: Output) -> Result<Code> {
    let began = Instant::now();
    // Everything is checked before anything starts.
    let mut plan = Plan::make(&args)?;
    let telemetry = telemetry::init(&plan.config.log, &plan.config.telemetry, otlp::SERVICE);
    let telemetry = telemetry.map_err(|e| Failure::config(e.to_string()))?;
    let banner = Banner::new(&plan, output);
    banner.head()?;
    let roster = plan.roster();
    let mut brokers = plan.start_broker(&roster).await?;
    let held = plan.take_held();
    let health = Health::new(Duration::from_secs(plan.config.admin.work_age_seconds_max));
    // What goes wrong at the start has its own code and words; the lifecycle knows only that something did.
    let failed: Arc<OnceLock<Failure>> = Arc::default();
    let exit = lifecycle::run(STOP, health, |context| {
        let (failed, roster) = (Arc::clone(&failed), Arc::clone(&roster));
        let (plan, banner, brokers) = (&plan, &banner, &mut brokers);
        async move {
            let started = Box::pin(start(plan, banner, brokers, (held, roster), &context, began)).await;
            started.map_err(|failure| {
                let message = failure.message.clone();
                let _ = failed.set(failure);
                message
            })
        }
    })
    .await;
    brokers.stop().await;
    roster.remove();
    telemetry.shutdown().await;
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
    brokers: &mut Brokers,
    (held, roster): (Vec<Held>, Arc<Roster>),
    context: &Context,
    began: Instant,
) -> Result<()> {
    let pids = brokers.ready().await?;
    banner.broker(&pids)?;
    let config = &plan.config;
    let shutdown = context.shutdown().clone();
    let started = match &plan.processes {
        None => Started::Here(Box::pin(Fleet::start(config.clone(), context.health())).await?.into()),
        Some(plan) => {
            let processes = Processes::start(config, plan, held, roster, context.health());
            Started::Processes(Box::pin(processes).await?.into())
        }
    };
    let admin = admin::spawn(&config.admin.http, context.health())
        .await
        .map_err(|e| Failure::new(Code::CannotTake, e.to_string()))?;
    let embedded = match &started {
        Started::Here(fleet) => fleet.embedded(),
        Started::Processes(_) => None,
    };
    watch::start(config, embedded, context);
    let (http, api, catalog) = match &started {
        Started::Here(fleet) => {
            watch::start_broker(fleet.bus.clone(), config, context);
            banner.services(fleet, admin)?;
            (fleet.addresses.http, fleet.addresses.api, fleet.catalog.clone())
        }
        Started::Processes(processes) => {
            banner.processes(&processes.members(), admin)?;
            (config.ingest_http.server.listen, config.api.http.listen, processes.catalog.clone())
        }
    };
    let urls = Urls {
        url: format!("http://{}", reachable(http)),
        api_url: format!("http://{}", reachable(api)),
        nats_url: config.nats.url.clone(),
        nats_credentials_file: config.nats.credentials_file.clone(),
        nats_ca_file: config.nats.tls_ca_file.clone(),
        admin_url: format!("http://{}", reachable(admin)),
        nats_monitor_url: config.broker.monitor_url.clone(),
    };
    let credentials = demo::prepare(&catalog, plan.folder.path(), &urls, config.sealing_key_file()?).await?;
    let first = api::first_superuser(&catalog, &config.sealer()?).await;
    let first = first.map_err(|e| Failure::failed(format!("the first superuser cannot be made: {e}")))?;
    plan.folder.sign(Some(urls.api_url.clone()))?;
    match started {
        Started::Here(fleet) => context.spawn_critical("fleet", fleet.run(shutdown)),
        Started::Processes(processes) => context.spawn_critical("fleet", processes.run(shutdown)),
    }
    banner.ready(&urls, credentials.as_ref(), began.elapsed())?;
    first.map_or(Ok(()), |superuser| banner.superuser(&urls, &superuser))
}

/// The running services.
enum Started {
    Here(Box<Fleet>),
    Processes(Box<Processes>),
}

/// Where a client on this machine reaches a listener: one on every interface has an address nobody can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    }
}
