//! The CQL adapter: events in ScyllaDB or Cassandra, shared by any number of processes.
//!
//! Invariants:
//! - Of events with one identity the first received is kept, whoever writes what when: each writer says which event it
//!   has, reads who else said so, and all come to the same end (`candidate`). No statement on this way has a condition.
//! - No partition grows without bound: events go to the coarsest partition of their time that is not full (`placing`).
//! - Every statement but those on a schema names its whole partition key, and stands in one list (`statements`).
//!
//! The layout and its reasons are in `docs/adr/0005-cql-layout.md`.
//!
//! ```no_run
//! # async fn example() -> Result<(), store::Error> {
//! use std::{sync::Arc, time::Duration};
//! use store::{cql::{Cql, Options, migrations::migrate}, migration::Mode};
//!
//! let options = Options { nodes: vec!["10.0.0.7:9042".into()], ..Options::default() };
//! migrate(&options, Mode::Apply).await?;
//! let month = Duration::from_secs(30 * 86_400);
//! let events = Cql::open(options, Arc::new(move |_| Some(month))).await?;
//! # Ok(())
//! # }
//! ```

mod candidate;
mod connect;
mod cursor;
mod erase;
mod failure;
mod key;
pub mod migrations;
mod options;
mod placing;
mod read;
mod row;
mod statements;
mod tail;
mod walk;
mod write;

use std::{fmt, ops::ControlFlow, sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{Batch, Clock, Micros, SystemClock, TenantId};
use scylla::{
    client::{execution_profile::ExecutionProfileHandle, session::Session},
    response::{PagingState, query_result::QueryRowsResult},
    serialize::row::SerializeRow,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep},
};
use tracing::info;

pub use self::options::{Consistency, Options};
use self::{
    erase::Heeded,
    placing::Placing,
    statements::{Cql as Statement, Prepared},
};
use crate::{Erasure, Error, EventPage, EventQuery, EventStore, Retention, StoredEvent, TailBatch, Written};

/// The last second a row may expire in: Cassandra 4.1, and 5.0 as long as it may go back to that, counts in 32 bits. A
/// day before, for what must live longer than its events.
const EXPIRES_MAX: i64 = i32::MAX as i64 - 86_400;

/// Between two attempts to open a cluster that is still coming up.
const PAUSE: Duration = Duration::from_millis(500);

/// A connection to a cluster. Clones share it.
#[derive(Clone)]
pub struct Cql {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    session: Session,
    prepared: Prepared,
    write_profile: ExecutionProfileHandle,
    requests: Semaphore,
    placing: Placing,
    heeded: Heeded,
    retention: Retention,
    clock: Arc<dyn Clock>,
}

/// A statement, and how often it was asked for since the store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementUse {
    /// Its text.
    pub text: &'static str,
    /// How often.
    pub uses: u64,
    /// Whether it names the whole partition key, so that a node that has the row is asked at once.
    pub names_its_partition: bool,
}

impl Cql {
    /// Connects to a cluster whose keyspace has this program's schema. Waits for a cluster that is not there yet.
    ///
    /// # Errors
    /// [`Error::Open`] if nobody answers in time, the user is refused or may not write, or the keyspace is missing or of
    /// another version; it says what to do.
    pub async fn open(options: Options, retention: Retention) -> Result<Self, Error> {
        Self::open_with(options, retention, Arc::new(SystemClock)).await
    }

    /// Connects with a clock of the caller's, which says when an event was stored.
    ///
    /// # Errors
    /// As [`Cql::open`].
    pub async fn open_with(
        options: Options,
        retention: Retention,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + Duration::from_millis(options.open_timeout_ms);
        let connect::Connected { session, read, write } = connect::connect(&options).await?;
        let prepared = loop {
            // Nodes may answer before there are enough of them.
            match prepare(&session, &options, &read, &write).await {
                Ok(prepared) => break prepared,
                Err(Error::Unavailable(why)) if Instant::now() < deadline => {
                    info!(error = why, "waiting for the CQL cluster");
                    sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        };
        let requests = usize::try_from(options.requests_max).unwrap_or(usize::MAX);
        let inner = Inner {
            requests: Semaphore::new(requests.min(Semaphore::MAX_PERMITS)),
            options,
            session,
            prepared,
            write_profile: write,
            placing: Placing::default(),
            heeded: Heeded::default(),
            retention,
            clock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Every statement the store can make.
    #[must_use]
    pub fn statements(&self) -> Vec<StatementUse> {
        let all = self.inner.prepared.uses();
        let all = all.map(|(text, prepared, uses)| StatementUse {
            text,
            uses,
            names_its_partition: prepared.is_token_aware() || text.contains("tenant = ''"),
        });
        all.collect()
    }
}

async fn prepare(
    session: &Session,
    options: &Options,
    read: &ExecutionProfileHandle,
    write: &ExecutionProfileHandle,
) -> Result<Prepared, Error> {
    migrations::check(session, options).await?;
    let prepared = Prepared::new(session, &options.keyspace, read, write).await?;
    let probe = prepared.get(Statement::Probe);
    session.execute_unpaged(probe, ()).await.map_err(|e| failure::of(&e))?;
    Ok(prepared)
}

impl Inner {
    fn write_requests_max(&self) -> usize {
        usize::try_from(self.options.write_requests_max).unwrap_or(usize::MAX)
    }

    /// How long a tenant's rows live from now on, seconds; 0 for ever.
    fn ttl(&self, tenant: &TenantId) -> i32 {
        let now = SystemClock.now() / 1_000_000;
        let kept = (self.retention)(tenant).and_then(|kept| i64::try_from(kept.as_secs()).ok());
        // What cannot be told to expire is taken away by `expire`.
        let kept = kept.filter(|kept| *kept <= EXPIRES_MAX - now);
        kept.map_or(0, |kept| i32::try_from(kept).unwrap_or_default().max(1))
    }

    /// What was received before is not kept any more, expired or not.
    fn kept_since(&self, tenant: &TenantId) -> Micros {
        let kept = (self.retention)(tenant).and_then(|kept| i64::try_from(kept.as_micros()).ok());
        kept.map_or(Micros::MIN, |kept| SystemClock.now().saturating_sub(kept))
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.requests.acquire().await.map_err(|_| Error::Unavailable("the store is closed".into()))
    }

    /// Runs a statement that gives no rows.
    async fn run(&self, statement: Statement, values: impl SerializeRow) -> Result<(), Error> {
        let _permit = self.permit().await?;
        let prepared = self.prepared.get(statement);
        self.session.execute_unpaged(prepared, values).await.map_err(|e| failure::of(&e)).map(drop)
    }

    /// Runs a statement that gives few rows.
    async fn rows(&self, statement: Statement, values: impl SerializeRow) -> Result<QueryRowsResult, Error> {
        let _permit = self.permit().await?;
        let prepared = self.prepared.get(statement);
        let result = self.session.execute_unpaged(prepared, values).await.map_err(|e| failure::of(&e))?;
        result.into_rows_result().map_err(failure::unreadable)
    }

    /// Runs a statement that may give many rows, page by page.
    fn pages(&self, statement: Statement) -> Pages<'_> {
        Pages { inner: self, statement, state: Some(PagingState::start()) }
    }
}

/// Where the reading of many rows has got to.
struct Pages<'a> {
    inner: &'a Inner,
    statement: Statement,
    state: Option<PagingState>,
}

impl Pages<'_> {
    async fn next(&mut self, values: &impl SerializeRow) -> Result<Option<QueryRowsResult>, Error> {
        let Some(state) = self.state.take() else { return Ok(None) };
        let _permit = self.inner.permit().await?;
        let prepared = self.inner.prepared.get(self.statement);
        let session = &self.inner.session;
        let (result, next) =
            session.execute_single_page(prepared, values, state).await.map_err(|e| failure::of(&e))?;
        self.state = match next.into_paging_control_flow() {
            ControlFlow::Continue(state) => Some(state),
            ControlFlow::Break(()) => None,
        };
        result.into_rows_result().map_err(failure::unreadable).map(Some)
    }
}

impl fmt::Debug for Cql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { nodes, keyspace, .. } = &self.inner.options;
        f.debug_struct("Cql").field("nodes", nodes).field("keyspace", keyspace).finish_non_exhaustive()
    }
}

#[async_trait]
impl EventStore for Cql {
    async fn write(&self, batch: Arc<Batch>) -> Result<Written, Error> {
        self.inner.write(&batch).await
    }

    async fn get(&self, tenant: &TenantId, source: &str, id: &str) -> Result<Option<StoredEvent>, Error> {
        self.inner.get(tenant, source, id).await
    }

    async fn page(&self, tenant: &TenantId, query: &EventQuery) -> Result<EventPage, Error> {
        self.inner.page(tenant, query).await
    }

    async fn tail(&self, partition: u32, skip: u64, limit: u32) -> Result<Vec<TailBatch>, Error> {
        self.inner.tail(partition, skip, limit).await
    }

    async fn count(&self, tenant: &TenantId, query: &EventQuery) -> Result<u64, Error> {
        self.inner.count(tenant, query).await
    }
}

#[async_trait]
impl Erasure for Cql {
    async fn erase_tenant(&self, tenant: &TenantId) -> Result<(), Error> {
        self.inner.erase_tenant(tenant).await
    }

    async fn erase_data(&self, tenant: &TenantId, source: &str, id: &str) -> Result<bool, Error> {
        self.inner.erase_data(tenant, source, id).await
    }

    async fn expire(&self, tenant: &TenantId, before_us: Micros) -> Result<(), Error> {
        self.inner.expire(tenant, before_us).await
    }
}
