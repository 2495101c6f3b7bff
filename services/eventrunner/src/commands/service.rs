//! `eventrunner <service>`: one service in a process of its own, as the Helm chart runs them.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use runtime::{
    admin,
    health::Health,
    lifecycle::{self, Context, StopOptions},
    telemetry,
};
use store::migration::Mode;

use crate::{
    config::{Config, ConfigArgs},
    durability,
    exit::{Code, Failure, Result},
    output::{item, note, print},
    presence,
    services::{self, Ground},
    stores::{self, LateCatalog, OpenStores},
    watch,
};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    IngestHttp,
    IngestGrpc,
    Normalizer,
    Engine,
    Api,
    Billing,
}

impl Service {
    pub(crate) const ALL: [Self; 6] =
        [Self::IngestHttp, Self::IngestGrpc, Self::Normalizer, Self::Engine, Self::Api, Self::Billing];

    /// The subcommand.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::IngestHttp => "ingest-http",
            Self::IngestGrpc => "ingest-grpc",
            Self::Normalizer => "normalizer",
            Self::Engine => "engine",
            Self::Api => "api",
            Self::Billing => "billing",
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ServiceArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Drain and stop when stdin ends: whoever started this process holds the other end
    #[arg(long, hide = true)]
    supervised: bool,
}

pub(crate) async fn run(service: Service, args: ServiceArgs) -> Result<Code> {
    let config = args.config.load([])?;
    let telemetry = telemetry::init(&config.log, &config.telemetry, service.name());
    let telemetry = telemetry.map_err(|e| Failure::config(e.to_string()))?;
    let supervised = args.supervised;
    // Before anything else: it is what an operator can set right at once.
    let catalog = LateCatalog::default();
    let store = match service {
        Service::Engine | Service::Api | Service::Billing => Some(OpenStores::open(&config, &catalog).await?),
        _ => None,
    };
    let health = Health::new(Duration::from_secs(config.admin.work_age_seconds_max));
    let failed: Arc<OnceLock<Failure>> = Arc::default();
    let exit = lifecycle::run(StopOptions::default(), health, |context| {
        let (failed, store) = (Arc::clone(&failed), store.clone());
        // Not before: the signal it sends must find somebody who listens.
        if supervised {
            stop_when_alone();
        }
        async move {
            Box::pin(start(service, config, (store.as_ref(), &catalog), &context)).await.map_err(|failure| {
                let message = failure.message.clone();
                let _ = failed.set(failure);
                message
            })
        }
    })
    .await;
    if let Some(store) = store {
        store.close().await;
    }
    telemetry.shutdown().await;
    // The lifecycle has logged what went wrong; the exit code says of which kind it was.
    Ok(failed.get().map_or_else(|| exit.into(), |failure| failure.code))
}

async fn start(
    service: Service,
    config: Config,
    (store, catalog): (Option<&OpenStores>, &LateCatalog),
    context: &Context,
) -> Result<()> {
    let address = admin::spawn(&config.admin.http, context.health())
        .await
        .map_err(|e| Failure::new(Code::CannotTake, e.to_string()))?;
    tracing::info!(address = %address, "metrics and health are served");
    let embedded = match store {
        Some(OpenStores::Embedded(embedded)) => Some(embedded.clone()),
        _ => None,
    };
    watch::start(&config, embedded, context);
    // Until the service's own components are there.
    let streams = context.health().component("streams");
    streams.ready(false, "waits for the broker, the streams and the catalog");
    let ground = Ground::wait_for(config).await?;
    if matches!(service, Service::Engine | Service::Api) {
        watch::start_broker(ground.bus.clone(), &ground.config, context);
    }
    // Nobody else sets it.
    let _ = catalog.set(ground.catalog.clone());
    presence::start(&ground, service.name(), context);
    match (service, store) {
        (Service::IngestHttp, _) => {
            let sealer = Arc::new(ground.config.sealer()?);
            let door = services::start_door(&ground);
            let address = services::start_ingest_http(&ground, &door, sealer, context).await?;
            tracing::info!(address = %address, "ingest-http listens");
        }
        (Service::IngestGrpc, _) => {
            let door = services::start_door(&ground);
            let address = services::start_ingest_grpc(&ground, &door, context).await?;
            tracing::info!(address = %address, "ingest-grpc listens");
        }
        (Service::Normalizer, _) => services::start_normalizer(&ground, context).await?,
        (Service::Engine, Some(store)) => services::start_engine(&ground, &store.stores(), context).await?,
        (Service::Api, Some(store)) => {
            let sealer = Arc::new(ground.config.sealer()?);
            let address = services::start_api(&ground, &store.stores(), sealer, context).await?;
            tracing::info!(address = %address, "api listens");
        }
        (Service::Billing, Some(store)) => {
            let door = services::start_door(&ground);
            services::start_billing(&ground, &store.stores(), &door, context)?;
        }
        (Service::Engine | Service::Api | Service::Billing, None) => {
            return Err(Failure::failed("there is no store"));
        }
    }
    streams.started();
    streams.ready(true, "");
    Ok(())
}

/// Asks this process to drain as soon as its stdin ends. A pipe's other end closes with the process that holds it, however
/// that one dies.
fn stop_when_alone() {
    // A thread of its own: a read of stdin cannot be cancelled, and must not keep the process from ending.
    std::thread::spawn(|| {
        let ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
        tracing::warn!(error = ?ended.err(), "whoever started this process is gone");
        let _ = kill(Pid::this(), Signal::SIGTERM);
    });
}

/// Make or change the streams, the catalog's bucket and the schemas of external stores, as the configuration has them
///
/// Safe to run again, and by several at once. Services wait until it has been run. Schemas only grow before what needs them
/// is rolled out, and shrink a release later, so that it may run while the release before is still there.
#[derive(Debug, Clone, Args)]
pub(crate) struct Migrate {
    /// Only say whether the stores' schemas are as this program needs them; exit code 1 if they are not
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Only say what would be run on the stores
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the broker, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) async fn migrate(args: Migrate) -> Result<Code> {
    let config = args.config.load([])?;
    let telemetry = telemetry::init(&config.log, &config.telemetry, "migrate");
    let telemetry = telemetry.map_err(|e| Failure::config(e.to_string()))?;
    let done = migrated(args, &config).await;
    telemetry.shutdown().await;
    done
}

async fn migrated(args: Migrate, config: &Config) -> Result<Code> {
    let mode = match (args.check, args.dry_run) {
        (true, _) => Mode::Check,
        (_, true) => Mode::DryRun,
        _ => Mode::Apply,
    };
    let reports = stores::migrate(config, mode).await?;
    let stores: Vec<_> = reports.iter().map(|(name, report)| stores::report_json(name, report)).collect();
    if mode != Mode::Apply {
        let behind = reports.iter().any(|(_, report)| !report.pending.is_empty());
        note(if behind {
            "the stores' schemas are behind"
        } else {
            "the stores' schemas are as this program needs them"
        });
        print(item(&serde_json::json!({"stores": stores}))?.get())?;
        return Ok(if behind && mode == Mode::Check { Code::Failed } else { Code::Done });
    }
    let partitions = migrate_streams(config, args.timeout).await?;
    note("streams, consumers, the catalog and the stores are as configured");
    print(item(&serde_json::json!({"partitions": partitions, "stores": stores}))?.get())?;
    Ok(Code::Done)
}

/// The streams; gives the number of partitions.
async fn migrate_streams(config: &Config, seconds: u64) -> Result<u32> {
    let made = async {
        let bus = services::connect(&config.nats).await?;
        durability::check(config).await?;
        let topology = services::make_streams(&bus, config).await?;
        Ok::<_, Failure>((bus, topology))
    };
    let late = || {
        Failure::unavailable(format!(
            "the broker at {} did not do it within {seconds} s",
            config.nats.shown_url()
        ))
    };
    let (bus, topology) =
        tokio::time::timeout(Duration::from_secs(seconds), made).await.map_err(|_| late())??;
    bus.close().await;
    Ok(topology.partitions)
}
