//! The schema, version by version.
//!
//! The version is the highest row of `migration`. Whoever migrates holds a lock in the same table, a row that expires,
//! put there with a condition and renewed; each statement may run again, so that a runner that died in the middle is
//! followed by another. Where the answer to a condition is lost, as a busy server loses them, nobody knows whether it
//! held: it is told again, and the runner knows its own lock by the name in it. The one table that must be there before
//! the lock has an id made of the keyspace's name: two runners that create it at once, on nodes that do not yet know of
//! each other's, create the same.

use std::{hash::Hasher as _, time::Duration};

use scylla::{
    client::session::Session,
    serialize::row::SerializeRow,
    statement::{Consistency, unprepared::Statement},
    value::Row,
};
use tokio::time::{Instant, sleep};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::{Options, connect::connect, failure};
use crate::{
    Error,
    migration::{Migration, Mode, Report},
};

/// Every version. What is released is never changed.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "events, by time and by identity",
    statements: &[
        // Time windows: rows of one day are compacted among themselves, and leave together when they expire.
        "CREATE TABLE IF NOT EXISTS {ks}.events (tenant text, level tinyint, window bigint, shard tinyint, \
         received_at bigint, stream_partition bigint, stream_sequence bigint, idx int, type text, source text, \
         subject text, id text, envelope blob, receipt blob, data blob, superseded boolean, erased boolean, \
         PRIMARY KEY ((tenant, level, window, shard), received_at, stream_partition, stream_sequence, idx)) \
         WITH compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS', \
         'compaction_window_size': 1}",
        // Levels: small rows under random keys, each read when it is written: few files to look into, and a filter that
        // seldom sends a read of a new identity to one in vain.
        "CREATE TABLE IF NOT EXISTS {ks}.events_by_id (tenant text, source text, id text, received_at bigint, \
         stream_partition bigint, stream_sequence bigint, idx int, stored_at bigint, level tinyint, shard tinyint, \
         erased boolean, PRIMARY KEY ((tenant, source, id), received_at, stream_partition, stream_sequence, idx, \
         stored_at, level, shard)) \
         WITH compaction = {'class': 'LeveledCompactionStrategy'} AND bloom_filter_fp_chance = 0.01",
        "CREATE TABLE IF NOT EXISTS {ks}.event_days (tenant text, day int, level tinyint, \
         PRIMARY KEY ((tenant), day, level))",
        "CREATE TABLE IF NOT EXISTS {ks}.event_buckets (tenant text, day int, level tinyint, window bigint, \
         shard tinyint, fill bigint, PRIMARY KEY ((tenant, day, level), window, shard))",
        "CREATE TABLE IF NOT EXISTS {ks}.stream_tail (stream_partition bigint, minute bigint, written_at bigint, \
         stream_sequence bigint, places blob, PRIMARY KEY ((stream_partition, minute), written_at, stream_sequence)) \
         WITH CLUSTERING ORDER BY (written_at DESC, stream_sequence DESC) AND compaction = {'class': \
         'TimeWindowCompactionStrategy', 'compaction_window_unit': 'HOURS', 'compaction_window_size': 1}",
        "CREATE TABLE IF NOT EXISTS {ks}.stream_tail_minutes (stream_partition bigint, minute bigint, \
         PRIMARY KEY ((stream_partition), minute)) WITH CLUSTERING ORDER BY (minute DESC)",
        "CREATE TABLE IF NOT EXISTS {ks}.erasures (day int, erased_at bigint, tenant text, \
         PRIMARY KEY ((day), erased_at, tenant))",
    ],
}];

const CREATE_MIGRATION: &str = "CREATE TABLE IF NOT EXISTS {ks}.migration (kind text, version int, name text, \
     PRIMARY KEY ((kind), version)) WITH id = '{id}'";
const KEYSPACE: &str = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
const TABLE: &str =
    "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'migration'";
const VERSION: &str =
    "SELECT version FROM {ks}.migration WHERE kind = 'schema' ORDER BY version DESC LIMIT 1";
const INSERT_VERSION: &str =
    "INSERT INTO {ks}.migration (kind, version, name) VALUES ('schema', ?, ?) IF NOT EXISTS";
const LOCK: &str =
    "INSERT INTO {ks}.migration (kind, version, name) VALUES ('lock', 0, ?) IF NOT EXISTS USING TTL 60";
const RENEW_LOCK: &str =
    "UPDATE {ks}.migration USING TTL 60 SET name = ? WHERE kind = 'lock' AND version = 0 IF name = ?";
const UNLOCK: &str = "DELETE FROM {ks}.migration WHERE kind = 'lock' AND version = 0 IF name = ?";

/// How long to wait for another runner.
const LOCK_TIMEOUT: Duration = Duration::from_secs(330);
const LOCK_PAUSE: Duration = Duration::from_millis(200);
/// How often the lock is renewed. Together with `CONDITION_PATIENCE` and a request's own time, well within its life.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a condition is told again whose outcome is not known.
const CONDITION_PATIENCE: Duration = Duration::from_secs(30);
/// Creating a table takes a cluster of many nodes its time.
const DDL_TIMEOUT: Duration = Duration::from_secs(60);

/// Brings the schema to the version this program works with, or says what that would take. Makes the keyspace where
/// there is none. Any number of runners may do so at once.
///
/// # Errors
/// [`Error::Open`] if the cluster cannot be reached, refuses the user, or holds a schema of a newer program.
pub async fn migrate(options: &Options, mode: Mode) -> Result<Report, Error> {
    let session = connect(options).await?.session;
    let schema = Schema { session: &session, options };
    let report = schema.look(mode).await?;
    if mode == Mode::Apply && !report.pending.is_empty() { schema.apply(report).await } else { Ok(report) }
}

/// Refuses a schema that is not of this program's version.
pub(super) async fn check(session: &Session, options: &Options) -> Result<(), Error> {
    let schema = Schema { session, options };
    let keyspace = &options.keyspace;
    if !schema.exists(KEYSPACE).await? {
        return Err(Error::Open(format!("there is no keyspace {keyspace}: run `eventrunner migrate`")));
    }
    let Report { current, target, .. } = schema.look(Mode::Check).await?;
    match current {
        _ if current == target => Ok(()),
        0 => Err(Error::Open(format!("keyspace {keyspace} is empty: run `eventrunner migrate`"))),
        _ => Err(Error::Open(format!(
            "keyspace {keyspace} has version {current} of the schema, this program needs {target}: \
             run `eventrunner migrate`"
        ))),
    }
}

/// What a condition came to.
#[derive(Debug)]
struct Outcome {
    applied: bool,
    /// Of the row that stood against it.
    holder: Option<String>,
}

struct Schema<'a> {
    session: &'a Session,
    options: &'a Options,
}

impl Schema<'_> {
    fn fill(&self, text: &str) -> String {
        text.replace("{ks}", &self.options.keyspace)
    }

    fn create_keyspace(&self) -> String {
        let Options { keyspace, datacenter, replication, .. } = self.options;
        let where_to = if datacenter.is_empty() { "replication_factor" } else { datacenter };
        format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', '{where_to}': {replication}}}"
        )
    }

    fn table_id(&self) -> String {
        let mut hasher = SipHasher13::new();
        hasher.write(self.options.keyspace.as_bytes());
        let hash = hasher.finish128();
        uuid::Builder::from_custom_bytes(
            [hash.h1.to_be_bytes(), hash.h2.to_be_bytes()].concat().try_into().unwrap_or_default(),
        )
        .into_uuid()
        .to_string()
    }

    async fn look(&self, mode: Mode) -> Result<Report, Error> {
        let there = self.exists(KEYSPACE).await?;
        let current = if there && self.exists(TABLE).await? { self.version().await? } else { 0 };
        let target = MIGRATIONS.last().map_or(0, |m| m.version);
        if current > target {
            return Err(Error::Open(format!(
                "keyspace {} has version {current} of the schema, which is newer than this program ({target}): \
                 run a newer one",
                self.options.keyspace
            )));
        }
        let mut report = Report::new(current, MIGRATIONS, mode, |text| self.fill(text));
        if let (false, Some(first)) = (there || mode == Mode::Check, report.pending.first_mut()) {
            first.statements.insert(0, self.create_keyspace());
        }
        Ok(report)
    }

    async fn apply(&self, report: Report) -> Result<Report, Error> {
        self.ddl(&self.create_keyspace()).await?;
        self.ddl(&self.fill(CREATE_MIGRATION).replace("{id}", &self.table_id())).await?;
        let owner = uuid::Uuid::new_v4().to_string();
        let applied = match self.lock(&owner).await {
            Ok(()) => tokio::select! {
                applied = self.apply_locked(&owner) => applied,
                lost = self.keep_locked(&owner) => Err(lost),
            },
            Err(error) => Err(error),
        };
        // What is not unlocked expires.
        let unlocked = self.condition(UNLOCK, (owner.as_str(),)).await;
        applied?;
        unlocked?;
        Ok(report)
    }

    async fn lock(&self, owner: &str) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            let outcome = self.condition(LOCK, (owner,)).await?;
            if outcome.applied || outcome.holder.is_some_and(|holder| holder == owner) {
                return Ok(());
            }
            if begin.elapsed() > LOCK_TIMEOUT {
                return Err(Error::Unavailable("another runner migrates the keyspace; try again".into()));
            }
            sleep(LOCK_PAUSE).await;
        }
    }

    /// Renews the lock while statements take their time; returns when it is lost.
    async fn keep_locked(&self, owner: &str) -> Error {
        loop {
            sleep(RENEW_EVERY).await;
            if let Err(lost) = self.renew(owner).await {
                return lost;
            }
        }
    }

    async fn renew(&self, owner: &str) -> Result<(), Error> {
        match self.condition(RENEW_LOCK, (owner, owner)).await?.applied {
            true => Ok(()),
            false => Err(Error::Unavailable("the lock on the keyspace expired; migrate again".into())),
        }
    }

    async fn apply_locked(&self, owner: &str) -> Result<(), Error> {
        // Again, now that nobody else changes it.
        let current = self.version().await?;
        for migration in MIGRATIONS.iter().filter(|m| m.version > current) {
            for statement in migration.statements {
                self.renew(owner).await?;
                self.ddl(&self.fill(statement)).await?;
            }
            let version = i32::try_from(migration.version).map_err(failure::unreadable)?;
            self.condition(INSERT_VERSION, (version, migration.name)).await?;
        }
        Ok(())
    }

    fn statement(&self, text: &str) -> Statement {
        let mut statement = Statement::new(self.fill(text));
        statement.set_is_idempotent(true);
        statement
    }

    async fn ddl(&self, text: &str) -> Result<(), Error> {
        let mut statement = self.statement(text);
        statement.set_request_timeout(Some(DDL_TIMEOUT));
        self.session.query_unpaged(statement, ()).await.map_err(|e| failure::of(&e)).map(drop)
    }

    /// Runs a statement with a condition, again while its outcome is not known.
    async fn condition(&self, text: &str, values: impl SerializeRow) -> Result<Outcome, Error> {
        let begin = Instant::now();
        loop {
            match self.condition_once(text, &values).await {
                Err(Error::Unavailable(_)) if begin.elapsed() < CONDITION_PATIENCE => sleep(LOCK_PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    async fn condition_once(&self, text: &str, values: impl SerializeRow) -> Result<Outcome, Error> {
        let mut statement = Statement::new(self.fill(text));
        // Told twice by the driver, the second would not hold.
        statement.set_is_idempotent(false);
        let result = self.session.query_unpaged(statement, values).await.map_err(|e| failure::of(&e))?;
        let rows = result.into_rows_result().map_err(failure::unreadable)?;
        let name = rows.column_specs().get_by_name("name").map(|(at, _)| at);
        let row = rows.first_row::<Row>().map_err(failure::unreadable)?;
        let column = |at: usize| row.columns.get(at).and_then(Option::as_ref);
        let applied = column(0).and_then(|value| value.as_boolean());
        let applied = applied.ok_or_else(|| failure::unreadable("a condition without an outcome"))?;
        let holder = name.and_then(column).and_then(|value| value.as_text()).cloned();
        Ok(Outcome { applied, holder })
    }

    async fn exists(&self, text: &str) -> Result<bool, Error> {
        let mut statement = self.statement(text);
        statement.set_consistency(Consistency::One);
        let values = (self.options.keyspace.as_str(),);
        let result = self.session.query_unpaged(statement, values).await.map_err(|e| failure::of(&e))?;
        Ok(result.into_rows_result().map_err(failure::unreadable)?.rows_num() > 0)
    }

    async fn version(&self) -> Result<u32, Error> {
        let result =
            self.session.query_unpaged(self.statement(VERSION), ()).await.map_err(|e| failure::of(&e))?;
        let rows = result.into_rows_result().map_err(failure::unreadable)?;
        let row = rows.maybe_first_row::<(i32,)>().map_err(failure::unreadable)?;
        row.map_or(Ok(0), |(version,)| u32::try_from(version).map_err(failure::unreadable))
    }
}
