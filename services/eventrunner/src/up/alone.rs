//! A broker of a data folder without its fleet: for what is done while the fleet is stopped.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use super::{
    broker::{self, Settings},
    folder::Folder,
    operator,
    ports::{self, Port},
    supervise::Supervisor,
};
use crate::{
    config::Config,
    exit::{Failure, Result},
};

/// The folder, and its broker that runs.
#[derive(Debug)]
pub(crate) struct Alone {
    broker: Supervisor,
    /// Nobody else starts a fleet on it meanwhile.
    _folder: Folder,
}

impl Alone {
    /// Takes the data folder and starts its broker, of one node, on any free port; the configuration says then how it is reached.
    ///
    /// # Errors
    /// If a fleet runs on the folder, its broker has three nodes, or it cannot be started.
    pub(crate) async fn start(config: &mut Config, nats_server: Option<&Path>) -> Result<Self> {
        let program = broker::find(nats_server)?;
        let folder = Folder::take(&config.data_dir()?)?;
        if Settings::nodes_of(folder.path()).is_some_and(|nodes| nodes > 1) {
            return Err(Failure::config(format!(
                "the broker in {} has three nodes, which are not started here",
                folder.path().display()
            ))
            .hint("start them yourself and give their addresses with --nats-url"));
        }
        config.data_dir = Some(folder.path().to_owned());
        let place = folder.subfolder(&Settings::folder_name(1))?;
        if let Some(leftover) = broker::find_leftover(&place) {
            leftover.stop().await?;
        }
        let (operator, files) = operator::of_folder(folder.path())?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (mut listen, mut monitor) = (any, any);
        let mut wanted =
            [("nats-server", &mut listen), ("nats monitoring", &mut monitor)].map(|(name, address)| Port {
                name: name.to_owned(),
                address,
                fixed: true,
                may_move: true,
                flag: "",
            });
        let held = ports::check(&mut wanted, &[])?;
        config.nats = bus::Options {
            url: format!("nats://{listen}"),
            credentials_file: Some(files.fleet_credentials),
            ..bus::Options::default()
        };
        config.broker.monitor_url = Some(format!("http://{monitor}"));
        let settings = Settings {
            node: 1,
            folder: place,
            listen,
            monitor,
            durability: config.topology.durability,
            operator: Arc::new(operator),
            cluster: None,
        };
        drop(held);
        let mut broker = broker::start(&program, &settings, Arc::new(|_| {}))?;
        match broker.ready().await {
            Ok(_) => Ok(Self { broker, _folder: folder }),
            Err(failure) => {
                broker.stop(std::future::pending()).await;
                Err(failure)
            }
        }
    }

    /// Flushes and ends the broker; Ctrl-C on the way kills it. What was written is on the disk then.
    pub(crate) async fn stop(self) {
        self.broker.stop(async { drop(tokio::signal::ctrl_c().await) }).await;
        rustix::fs::sync();
    }
}
