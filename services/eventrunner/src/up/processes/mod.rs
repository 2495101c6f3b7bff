//! A fleet of processes: each service is `eventrunner <service>` in a process of its own, as many as asked for, started,
//! watched and stopped from here.

mod child;
mod handed;
mod replicas;
pub(crate) mod roster;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bus::Bus;
use catalog::Catalog;
use futures::future::join_all;
use runtime::{
    health::Health,
    lifecycle::{Failure as TaskFailure, Shutdown},
    telemetry::LogOptions,
};
use store::migration::Mode;

pub(crate) use self::{
    child::Child,
    handed::GivenSecret,
    replicas::{Replica, Replicas},
    roster::{Member, Roster},
};
use super::{ports::Held, supervise::Supervisor};
use crate::{
    commands::service::Service,
    config::{Config, StoreKind},
    durability,
    exit::{Failure, Result},
    services, stores,
};

/// Name of the configuration that the processes are given, in the data folder.
pub(crate) const CONFIG_FILE: &str = "processes.toml";

/// The order in which services stop: that in which events flow. They start the other way round.
const STAGES: [&[Service]; 4] = [
    &[Service::IngestHttp, Service::IngestGrpc],
    &[Service::Normalizer],
    &[Service::Engine],
    &[Service::Api, Service::Billing],
];

/// Which processes, and what they are given.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) children: Vec<Child>,
    /// Each secret of the configuration as it was given.
    pub(crate) secrets: Vec<GivenSecret>,
    /// Theirs go to files and are not for a terminal.
    pub(crate) log: LogOptions,
}

impl Plan {
    /// Puts together which processes there will be.
    ///
    /// # Errors
    /// If several of them would need the store that belongs to one.
    pub(crate) fn new(
        config: &Config,
        replicas: &Replicas,
        secrets: Vec<GivenSecret>,
        log: LogOptions,
    ) -> Result<Self> {
        let children: Vec<Child> = Service::ALL
            .iter()
            .flat_map(|&service| {
                (1..=replicas.of(service)).map(move |replica| Child::new(service, replica, config))
            })
            .collect();
        let with_store: Vec<String> = children
            .iter()
            .filter(|child| matches!(child.service, Service::Engine | Service::Api | Service::Billing))
            .map(Child::name)
            .collect();
        if with_store.len() > 1 && config.store.kind == StoreKind::Embedded {
            return Err(Failure::config(format!(
                "the embedded stores belong to one process, and these would be several: {}",
                with_store.join(", ")
            ))
            .hint(
                "run the fleet in one process: eventrunner up\n\
                 or on stores that can be shared: --stores external --cql HOST:PORT --clickhouse URL\n\
                 or leave services out: --replicas engine=0,api=0",
            ));
        }
        if children.is_empty() {
            return Err(Failure::usage("--replicas leaves no process"));
        }
        Ok(Self { children, secrets, log })
    }

    /// Whether each service is there.
    pub(crate) fn is_whole(&self) -> bool {
        Service::ALL.iter().all(|service| self.children.iter().any(|child| child.service == *service))
    }

    /// Once the ports are chosen: clients go to the first of each service.
    pub(crate) fn take_addresses(&self, config: &mut Config) {
        for child in self.children.iter().filter(|child| child.replica == 1) {
            let Some(address) = child.listen else { continue };
            match child.service {
                Service::IngestHttp => config.ingest_http.server.listen = address,
                Service::IngestGrpc => config.ingest_grpc.server.listen = address,
                Service::Api => config.api.http.listen = address,
                Service::Normalizer | Service::Engine | Service::Billing => {}
            }
        }
    }
}

/// The running processes.
pub(crate) struct Processes {
    /// By stage, in the order in which they stop.
    stages: [Vec<Supervisor>; STAGES.len()],
    roster: Arc<Roster>,
    pub(crate) catalog: Catalog,
    bus: Bus,
}

impl Processes {
    /// Makes the streams and the catalog, then starts each process and waits until it is ready.
    pub(crate) async fn start(
        config: &Config,
        plan: &Plan,
        mut held: Vec<Held>,
        roster: Arc<Roster>,
        health: &Health,
    ) -> Result<Self> {
        let data_dir = config.data_dir()?;
        let file = data_dir.join(CONFIG_FILE);
        handed::write(&file, &Config { log: plan.log.clone(), ..config.clone() }, &plan.secrets)?;
        // Made now, so that no two doors make one each.
        config.sealer()?;
        let bus = services::connect(&config.nats).await?;
        durability::check(config).await?;
        services::make_streams(&bus, config).await?;
        stores::migrate(config, Mode::Apply).await?;
        let catalog = Catalog::open(bus.jetstream().clone(), config.catalog.clone()).await;
        let mut processes = Self { stages: Default::default(), roster, catalog, bus };
        match processes.start_stages(plan, &file, &mut held, health).await {
            Ok(()) => Ok(processes),
            Err(failure) => {
                processes.stop(&Shutdown::new()).await;
                Err(failure)
            }
        }
    }

    /// Back to front: when a door opens, what comes through finds everything there.
    async fn start_stages(
        &mut self,
        plan: &Plan,
        file: &Path,
        held: &mut Vec<Held>,
        health: &Health,
    ) -> Result<()> {
        let run = rand::random::<u32>();
        for (stage, services) in STAGES.iter().enumerate().rev() {
            let children = plan.children.iter().filter(|child| services.contains(&child.service));
            for child in children {
                let name = child.name();
                held.retain(|port| port.name != name);
                let job = child.job(file, run, &self.roster, health)?;
                self.stages[stage].push(Supervisor::start(job));
            }
            for supervisor in &mut self.stages[stage] {
                supervisor.ready().await?;
            }
        }
        Ok(())
    }

    /// All of them.
    pub(crate) fn members(&self) -> Vec<Member> {
        self.roster.members()
    }

    /// Runs until `shutdown` drains, then stops all.
    pub(crate) async fn run(self, shutdown: Shutdown) -> std::result::Result<(), TaskFailure> {
        shutdown.draining.cancelled().await;
        self.stop(&shutdown).await;
        Ok(())
    }

    /// One stage after the other; all at once when asked to hurry.
    async fn stop(self, shutdown: &Shutdown) {
        for stage in self.stages {
            let stops = stage.into_iter().map(|supervisor| supervisor.stop(shutdown.aborting.cancelled()));
            join_all(stops).await;
        }
        self.bus.close().await;
    }
}

/// What `fleet.json` says of a process before it runs.
pub(crate) fn member(child: &Child, data_dir: &Path) -> Member {
    Member {
        name: child.name(),
        service: child.service.name().to_owned(),
        replica: child.replica,
        pid: None,
        address: child.listen.map(|address| address.to_string()),
        admin_url: format!("http://{}", child.admin),
        log: log_file(data_dir, &child.name()),
        restarts: 0,
    }
}

fn log_file(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join("logs").join(format!("{name}.log"))
}
