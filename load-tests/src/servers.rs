//! The servers that a fleet of processes keeps events and usage in.

use std::ffi::OsString;

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

    /// What tells `eventrunner up` where they are.
    pub(crate) fn flags(&self) -> Vec<OsString> {
        let replication = if self.nodes.len() >= 3 { 3 } else { 1 };
        vec![
            "--cql".into(),
            self.nodes.join(",").into(),
            "--clickhouse".into(),
            self.url.clone().into(),
            "--set".into(),
            format!("store.cql.replication={replication}").into(),
        ]
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
