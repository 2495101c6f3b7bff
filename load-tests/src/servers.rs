//! The servers that a fleet of processes keeps events and usage in.

use std::{ffi::OsString, path::Path};

use testkit::{Cassandra, CassandraOptions, ClickHouse};
use tokio::task::spawn_blocking;

/// A CQL cluster and a ClickHouse server, on loopback and in folders of their own. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    cql: Option<Cassandra>,
    clickhouse: Option<ClickHouse>,
    nodes: Vec<String>,
    url: String,
}

impl Servers {
    /// Starts them and waits until they answer.
    pub(crate) async fn start(cql_nodes: u8) -> anyhow::Result<Self> {
        eprintln!("starting {cql_nodes} CQL node(s) and ClickHouse");
        let cql =
            spawn_blocking(move || Cassandra::start_with(cql_nodes.max(1), &CassandraOptions::default()));
        let clickhouse = spawn_blocking(ClickHouse::start);
        let (cql, clickhouse) = (cql.await?, clickhouse.await?);
        let (nodes, url) = (cql.nodes(), clickhouse.url());
        Ok(Self { cql: Some(cql), clickhouse: Some(clickhouse), nodes, url })
    }

    /// Their processes, by what they are.
    pub(crate) fn processes(&self) -> Vec<(String, u32)> {
        let nodes = u8::try_from(self.nodes.len()).unwrap_or_default();
        let cql =
            (0..nodes).filter_map(|node| self.cql.as_ref()?.pid(node)).map(|pid| ("CQL".to_owned(), pid));
        let clickhouse = self.clickhouse.as_ref().and_then(ClickHouse::pid);
        cql.chain(clickhouse.map(|pid| ("ClickHouse".to_owned(), pid))).collect()
    }

    /// Bytes that they hold on disk, events and usage; `size` tells a folder's.
    pub(crate) async fn disk(&mut self, size: fn(&Path) -> u64) -> anyhow::Result<(u64, u64)> {
        let nodes = u8::try_from(self.nodes.len()).unwrap_or_default();
        let events = self.cql.as_ref().map(|cql| (0..nodes).map(|node| size(&cql.folder(node))).sum());
        let (told, parts) = tokio::sync::oneshot::channel();
        self.clickhouse(move |clickhouse| {
            let asked = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database != 'system'";
            let _ = told.send(clickhouse.query("default", asked));
        })
        .await?;
        Ok((events.unwrap_or_default(), parts.await?.trim().parse().unwrap_or_default()))
    }

    /// Others of the same number, which hold nothing; these are killed, and what they held is deleted.
    pub(crate) async fn replaced(self) -> anyhow::Result<Self> {
        let nodes = u8::try_from(self.nodes.len())?;
        spawn_blocking(move || drop(self)).await?;
        Self::start(nodes).await
    }

    /// What tells the fleet's own command line where they are.
    pub(crate) fn settings(&self) -> Vec<OsString> {
        let replication = if self.nodes.len() >= 3 { 3 } else { 1 };
        let settings = [
            "store.kind=external".to_owned(),
            format!("store.cql.nodes={:?}", self.nodes),
            format!("store.cql.replication={replication}"),
            format!("store.clickhouse.url={}", self.url),
        ];
        settings.into_iter().flat_map(|setting| ["--set".into(), setting.into()]).collect()
    }

    /// Does something that blocks to a CQL node, from 0 on.
    pub(crate) async fn cql(
        &mut self,
        change: impl FnOnce(&mut Cassandra) + Send + 'static,
    ) -> anyhow::Result<()> {
        if let Some(mut cql) = self.cql.take() {
            self.cql = Some(
                spawn_blocking(move || {
                    change(&mut cql);
                    cql
                })
                .await?,
            );
        }
        Ok(())
    }

    /// Does something that blocks to ClickHouse.
    pub(crate) async fn clickhouse(
        &mut self,
        change: impl FnOnce(&mut ClickHouse) + Send + 'static,
    ) -> anyhow::Result<()> {
        if let Some(mut clickhouse) = self.clickhouse.take() {
            self.clickhouse = Some(
                spawn_blocking(move || {
                    change(&mut clickhouse);
                    clickhouse
                })
                .await?,
            );
        }
        Ok(())
    }
}
