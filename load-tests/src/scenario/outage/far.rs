//! A broker that somebody else runs, at the end of a line that can be cut and made slow.

use std::{net::SocketAddr, path::Path, time::Duration};

use testkit::{NatsOptions, NatsServer};
use tokio::task::spawn_blocking;

use crate::{
    fleet::Durability,
    proxy::{Link, Proxy},
    trial::Prepare,
};

/// Stops when dropped.
#[derive(Debug)]
pub(super) struct Far {
    line: Proxy,
    _broker: NatsServer,
}

impl Far {
    /// Starts it, with its streams in a folder that nobody else uses.
    pub(super) async fn start(folder: &Path, durability: Durability) -> anyhow::Result<Self> {
        let options = NatsOptions {
            sync_always: durability == Durability::Disk,
            store_dir: Some(folder.to_owned()),
            ..NatsOptions::default()
        };
        let broker = spawn_blocking(|| NatsServer::start_with(options)).await?;
        let line = Proxy::start(SocketAddr::from(([127, 0, 0, 1], broker.port()))).await?;
        Ok(Self { line, _broker: broker })
    }

    /// What makes a fleet use it.
    pub(super) fn prepare(&self) -> Prepare {
        let url = format!("nats://{}", self.line.address());
        Box::new(move |_| Ok(vec!["--nats-url".into(), url.into()]))
    }

    /// Connections are cut, and no new ones come about, for so long.
    pub(super) async fn cut(&self, span: Duration) {
        self.during(Link { cut: true, ..Link::default() }, span).await;
    }

    /// Each byte is late, for so long.
    pub(super) async fn slow(&self, delay: Duration, span: Duration) {
        self.during(Link { delay, ..Link::default() }, span).await;
    }

    async fn during(&self, link: Link, span: Duration) {
        self.line.set(link);
        tokio::time::sleep(span).await;
        self.line.set(Link::default());
    }
}
