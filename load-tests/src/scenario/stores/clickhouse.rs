//! The usage store on ClickHouse, beside one native insert of the same rows into a table of the same form.

use std::{ops::Range, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use clickhouse::{Client, Row};
use model::{Batch, Durability};
use serde::Serialize;
use store::{
    Sink, Stores, UsageStore, Written,
    clickhouse::{ClickHouse, Options, migrations},
    embedded::{self, Embedded},
    migration::Mode,
    records_of,
};
use tempfile::TempDir;

use super::{Subject, rows::Rows};

#[derive(Default)]
pub(super) struct OfClickHouse {
    server: Option<testkit::ClickHouse>,
    /// The events' side of the ports, which stays empty.
    empty: Option<(Embedded, TempDir)>,
}

/// The columns of `usage_records` that an event's record fills.
#[derive(Debug, Row, Serialize)]
struct BareRow<'a> {
    tenant: &'a str,
    at_us: i64,
    id: String,
    void: u8,
    origin: i8,
    kind: &'a str,
    source: &'a str,
    reference: &'a str,
    events: u64,
    bytes: u64,
    meters: Vec<(&'a str, u64)>,
}

/// Meters batches and stores none.
#[derive(Debug)]
struct Meter(Arc<dyn UsageStore>);

#[async_trait]
impl Sink for Meter {
    async fn write(&self, batch: Arc<Batch>) -> Result<(), store::Error> {
        self.0.write(records_of(&batch, &Written::default()).collect()).await
    }
}

impl OfClickHouse {
    fn client(&self) -> anyhow::Result<Client> {
        let server = self.server.as_ref().context("there is no server")?;
        Ok(Client::default().with_url(server.url()).with_database("eventrunner"))
    }
}

#[async_trait]
impl Subject for OfClickHouse {
    fn name(&self) -> &'static str {
        "clickhouse"
    }

    /// As many messages of usage as the engine has under way: a message is a batch.
    fn under_way(&self) -> usize {
        2_048
    }

    fn keeps_events(&self) -> bool {
        false
    }

    async fn open(&mut self) -> anyhow::Result<Stores> {
        let server = tokio::task::spawn_blocking(testkit::ClickHouse::start).await?;
        let options = Options { url: server.url(), ..Options::default() };
        self.server = Some(server);
        migrations::migrate(&options, Mode::Apply).await?;
        self.client()?.query("CREATE TABLE bare AS usage_records").execute().await?;
        let usage: Arc<dyn UsageStore> = Arc::new(ClickHouse::open(options).await?);
        let folder = TempDir::new()?;
        let empty = Embedded::open(folder.path(), Durability::Process, embedded::Options::default()).await?;
        let stores = empty.stores();
        self.empty = Some((empty, folder));
        Ok(Stores { sink: Arc::new(Meter(Arc::clone(&usage))), usage, ..stores })
    }

    async fn bare(&mut self, rows: &Rows, batches: Range<u64>) -> anyhow::Result<()> {
        let mut insert = self.client()?.insert::<BareRow<'_>>("bare").await?;
        for batch in batches {
            let batch = rows.batch(batch);
            for (_, stamp, event) in batch.events() {
                let row = BareRow {
                    tenant: stamp.tenant.as_str(),
                    at_us: stamp.received_at_us,
                    id: format!("{} {}", event.source(), event.id()),
                    void: 0,
                    origin: 1,
                    kind: "",
                    source: "",
                    reference: "",
                    events: 1,
                    bytes: u64::try_from(event.size())?,
                    meters: Vec::new(),
                };
                insert.write(&row).await?;
            }
        }
        Ok(insert.end().await?)
    }

    async fn close(&mut self) {
        if let Some((empty, _)) = &self.empty {
            empty.close().await;
        }
        self.server = None;
    }
}
