//! The event store on a CQL server, beside a loader that puts the same rows into tables of the same form, each row with a
//! prepared insert of its own, many at once.

use std::{ops::Range, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use model::{Batch, Durability};
use prost::Message as _;
use proto::hops;
use scylla::{
    client::session::Session, client::session_builder::SessionBuilder, statement::prepared::PreparedStatement,
};
use store::{
    EventStore, Sink, Stores,
    cql::{Cql, Options, migrations},
    embedded::{self, Embedded},
    migration::Mode,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{Subject, rows::Rows};

/// Inserts of the bare loader under way at once.
const UNDER_WAY: usize = 256;
/// Its partitions hold as many rows as ours do at most.
const WINDOW_US: i64 = 5_000_000;

#[derive(Default)]
pub(super) struct OfCql {
    server: Option<testkit::Cassandra>,
    bare: Option<Arc<Bare>>,
    /// The usage's side of the ports, which stays empty.
    empty: Option<(Embedded, TempDir)>,
}

/// The loader's own session and statements.
struct Bare {
    session: Session,
    event: PreparedStatement,
    identity: PreparedStatement,
}

/// Stores batches and meters none.
#[derive(Debug)]
struct Store(Arc<dyn EventStore>);

#[async_trait]
impl Sink for Store {
    async fn write(&self, batch: Arc<Batch>) -> Result<(), store::Error> {
        self.0.write(batch).await.map(drop)
    }
}

impl Bare {
    async fn open(nodes: &[String]) -> anyhow::Result<Self> {
        let session = SessionBuilder::new().known_nodes(nodes).build().await?;
        for statement in [
            "CREATE KEYSPACE bare WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE bare.events (tenant text, level tinyint, window bigint, shard tinyint, received_at bigint, \
             stream_partition bigint, stream_sequence bigint, idx int, type text, source text, subject text, id text, \
             envelope blob, receipt blob, data blob, superseded boolean, \
             PRIMARY KEY ((tenant, level, window, shard), received_at, stream_partition, stream_sequence, idx))",
            "CREATE TABLE bare.events_by_id (tenant text, source text, id text, received_at bigint, \
             stream_partition bigint, stream_sequence bigint, idx int, level tinyint, shard tinyint, \
             PRIMARY KEY ((tenant, source, id), received_at, stream_partition, stream_sequence, idx, level, shard))",
        ] {
            session.query_unpaged(statement, ()).await?;
        }
        let event = "INSERT INTO bare.events (tenant, level, window, shard, received_at, stream_partition, \
                     stream_sequence, idx, type, source, id, envelope, receipt, data) \
                     VALUES (?, 1, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let identity = "INSERT INTO bare.events_by_id (tenant, source, id, received_at, stream_partition, \
                        stream_sequence, idx, level, shard) VALUES (?, ?, ?, ?, ?, ?, ?, 1, 0)";
        let (event, identity) = (session.prepare(event).await?, session.prepare(identity).await?);
        Ok(Self { session, event, identity })
    }

    /// Both rows of an event.
    async fn insert(&self, batch: &Batch, index: usize) -> anyhow::Result<()> {
        let (n, stamp, event) = batch.events().nth(index).context("no such event")?;
        let (partition, sequence, n) =
            (i64::from(batch.partition), i64::try_from(batch.sequence)?, i32::try_from(n)?);
        let (tenant, at, id, source) =
            (stamp.tenant.as_str(), stamp.received_at_us, &**event.id(), &**event.source());
        let mut wire = hops::Event::from(event);
        let data = hops::Event { data: wire.data.take(), ..hops::Event::default() }.encode_to_vec();
        (wire.id, wire.source, wire.r#type) = Default::default();
        let receipt = hops::Stamp::from(&**stamp).encode_to_vec();
        let window = at.div_euclid(WINDOW_US);
        let ty = &**event.ty();
        let row =
            (tenant, window, at, partition, sequence, n, ty, source, id, wire.encode_to_vec(), receipt, data);
        let identity = (tenant, source, id, at, partition, sequence, n);
        tokio::try_join!(
            self.session.execute_unpaged(&self.event, row),
            self.session.execute_unpaged(&self.identity, identity)
        )?;
        Ok(())
    }
}

#[async_trait]
impl Subject for OfCql {
    fn name(&self) -> &'static str {
        "cql"
    }

    /// Four partitions of the stream, eight messages each.
    fn under_way(&self) -> usize {
        32
    }

    async fn open(&mut self) -> anyhow::Result<Stores> {
        let server = tokio::task::spawn_blocking(testkit::Cassandra::start).await?;
        let options = Options { nodes: server.nodes(), replication: 1, ..Options::default() };
        self.bare = Some(Arc::new(Bare::open(&options.nodes).await?));
        self.server = Some(server);
        migrations::migrate(&options, Mode::Apply).await?;
        let events: Arc<dyn EventStore> = Arc::new(Cql::open(options, Arc::new(|_| None)).await?);
        let folder = TempDir::new()?;
        let empty = Embedded::open(folder.path(), Durability::Process, embedded::Options::default()).await?;
        let stores = empty.stores();
        self.empty = Some((empty, folder));
        Ok(Stores { sink: Arc::new(Store(Arc::clone(&events))), events, ..stores })
    }

    async fn bare(&mut self, rows: &Rows, batches: Range<u64>) -> anyhow::Result<()> {
        let bare = self.bare.as_ref().context("there is no server")?;
        let mut inserts = JoinSet::new();
        for batch in batches {
            let batch = rows.batch(batch);
            for index in 0..batch.len() {
                if inserts.len() >= UNDER_WAY
                    && let Some(done) = inserts.join_next().await
                {
                    done??;
                }
                let (bare, batch) = (Arc::clone(bare), Arc::clone(&batch));
                inserts.spawn(async move { bare.insert(&batch, index).await });
            }
        }
        while let Some(done) = inserts.join_next().await {
            done??;
        }
        Ok(())
    }

    async fn close(&mut self) {
        self.bare = None;
        if let Some((empty, _)) = &self.empty {
            empty.close().await;
        }
        self.server = None;
    }
}
