//! Usage in ClickHouse.
//!
//! Invariants:
//! - A record that [`UsageStore::write`] returned `Ok` for is in every sum and list exactly once, however often and by
//!   however many processes it was written, and while any merge is pending: records are rows of a `ReplacingMergeTree`
//!   that every read finishes by itself (ADR 0006).
//! - What is written at a time is bounded in rows, bytes and inserts; who writes more waits.
//! - `open` changes nothing: `eventrunner migrate` makes the schema.
//!
//! ```no_run
//! # async fn example() -> Result<(), store::Error> {
//! use store::clickhouse::{ClickHouse, Options, migrations};
//! use store::{METER_EVENTS, UsageQuery, UsageStore as _, migration::Mode};
//!
//! let options = Options { url: "http://127.0.0.1:8123".into(), ..Options::default() };
//! migrations::migrate(&options, Mode::Apply).await?;
//! let usage = ClickHouse::open(options).await?;
//! let sums = usage.sum(&"acme".parse().unwrap(), METER_EVENTS, &UsageQuery::default()).await?;
//! # Ok(())
//! # }
//! ```

mod aggregate;
mod error;
pub mod migrations;
mod options;
mod read;
mod rollup;
mod row;
pub mod statements;
mod writer;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use clickhouse::{Client, error::Error as ClientError, query::Query};
use model::{Micros, TenantId};
use secrecy::ExposeSecret as _;

use self::{
    aggregate::Asked,
    error::{code, code_of, message_of, within},
    statements::{
        COUNT_CUSTOMER_HOURLY, COUNT_HOURLY, COUNT_ROWS, ERASE_CUSTOMER_HOURLY, ERASE_HOURLY, ERASE_MARKS,
        ERASE_TENANT, MARK_ERASED, MAY_WRITE, Statement,
    },
    writer::Writer,
};
use crate::{
    Aggregation, Erasure, Error, GroupUsage, Grouping, METER_NAME_MAX, UsageBucket, UsagePage, UsageQuery,
    UsageRecord, UsageStore,
};

pub use self::{options::Options, rollup::RolledUp};

/// The usage store on ClickHouse.
#[derive(Clone)]
pub struct ClickHouse {
    client: Client,
    options: Arc<Options>,
    writer: Arc<Writer>,
}

impl fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClickHouse").field("options", &self.options).finish_non_exhaustive()
    }
}

impl ClickHouse {
    /// Connects, and checks that the schema is this program's and that the user may write.
    ///
    /// # Errors
    /// [`Error::Open`] if something must be put right, saying what; [`Error::Unavailable`] if the server does not
    /// answer: try again.
    pub async fn open(options: Options) -> Result<Self, Error> {
        options.check()?;
        let client = client(&options);
        let found = migrations::current(&client, &options).await.map_err(|e| open_error(&options, e))?;
        let (database, target) = (&options.database, migrations::target());
        match found {
            None => {
                return Err(Error::Open(format!(
                    "the ClickHouse database {database} does not exist or has no schema: run `eventrunner migrate`"
                )));
            }
            Some(found) if found > target => return Err(migrations::newer(&options, found)),
            Some(found) if found < target => {
                return Err(Error::Open(format!(
                    "the ClickHouse database {database} has schema version {found}, this program works with {target}: run `eventrunner migrate`"
                )));
            }
            Some(_) => {}
        }
        let may_write = within(options.read_timeout(), query(&client, &MAY_WRITE).execute()).await;
        may_write.map_err(|e| open_error(&options, e))?;
        let kept = migrations::retention(&client, &options).await.map_err(|e| open_error(&options, e))?;
        if kept != options.retention_days.unwrap_or(0) {
            tracing::warn!(
                in_force_days = kept,
                configured_days = options.retention_days,
                "retention of usage is not in force: run `eventrunner migrate`"
            );
        }
        let options = Arc::new(options);
        let writer = Arc::new(Writer::start(client.clone(), Arc::clone(&options)));
        rollup::keep_up(&client, &options, &writer);
        Ok(Self { client, options, writer })
    }

    /// Sums up the hours that are gone, and again those that got records since they were. Runs by itself
    /// ([`Options::rollup_interval_ms`]); any number may run at once.
    ///
    /// # Errors
    /// If it is not done; what is done stays, and no sum is wrong meanwhile.
    pub async fn roll_up(&self, now_us: Micros) -> Result<RolledUp, Error> {
        rollup::roll_up(&self.client, &self.options, now_us).await
    }

    /// How many rows there are of a tenant, void ones, duplicates that are not merged yet and sums of hours among them: 0
    /// proves that nothing is left.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub async fn rows(&self, tenant: &TenantId) -> Result<u64, Error> {
        let mut rows = 0;
        for statement in [&COUNT_ROWS, &COUNT_CUSTOMER_HOURLY, &COUNT_HOURLY] {
            let count = query(&self.client, statement).param("tenant", tenant.as_str());
            rows += within(self.options.read_timeout(), count.fetch_one::<u64>()).await?;
        }
        Ok(rows)
    }
}

#[async_trait]
impl UsageStore for ClickHouse {
    async fn write(&self, records: Vec<UsageRecord>) -> Result<(), Error> {
        let long = records.iter().flat_map(|r| &r.meters).find(|(name, _)| name.len() > METER_NAME_MAX);
        if let Some((name, _)) = long {
            return Err(Error::Invalid(format!(
                "a meter's name has {} bytes; at most {METER_NAME_MAX} are allowed",
                name.len()
            )));
        }
        if records.is_empty() {
            return Ok(());
        }
        self.writer.write(records).await
    }

    async fn aggregate(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        query: &UsageQuery,
    ) -> Result<Vec<UsageBucket>, Error> {
        let Self { client, options, .. } = self;
        if aggregation == Aggregation::Sum {
            return read::sum(client, options, tenant, meter, query).await;
        }
        aggregate::aggregate(Asked { client, options, tenant, meter, aggregation }, query).await
    }

    async fn grouped(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        by: Grouping,
        query: &UsageQuery,
    ) -> Result<Vec<GroupUsage>, Error> {
        let Self { client, options, .. } = self;
        aggregate::grouped(Asked { client, options, tenant, meter, aggregation }, by, query).await
    }

    async fn list(&self, tenant: &TenantId, query: &UsageQuery) -> Result<UsagePage, Error> {
        read::list(&self.client, &self.options, tenant, query).await
    }
}

#[async_trait]
impl Erasure for ClickHouse {
    /// Also from the disk, once the server has removed the files it replaced, which takes it eight minutes. What stays is a
    /// mark that a tenant of this name was erased.
    async fn erase_tenant(&self, tenant: &TenantId) -> Result<(), Error> {
        // In this order: a roll-up under way has read its hour before the records were gone, and comes too late to be believed.
        for statement in [&ERASE_TENANT, &MARK_ERASED, &ERASE_HOURLY, &ERASE_CUSTOMER_HOURLY, &ERASE_MARKS] {
            let erase = query(&self.client, statement).param("tenant", tenant.as_str());
            within(self.options.write_timeout(), erase.execute()).await?;
        }
        match self.rows(tenant).await? {
            0 => Ok(()),
            left => Err(Error::Unavailable(format!(
                "{left} usage records of tenant {tenant} came while it was erased"
            ))),
        }
    }

    /// Usage holds no data of events.
    async fn erase_data(&self, _: &TenantId, _: &str, _: &str) -> Result<bool, Error> {
        Ok(false)
    }

    /// Usage outlives the events it counts; it has a retention of its own ([`Options::retention_days`]).
    async fn expire(&self, _: &TenantId, _: Micros) -> Result<(), Error> {
        Ok(())
    }
}

fn client(options: &Options) -> Client {
    let client = Client::default()
        .with_url(&options.url)
        .with_database(&options.database)
        .with_user(&options.user)
        .with_product_info("eventrunner", env!("CARGO_PKG_VERSION"));
    match &options.password {
        Some(password) => client.with_password(password.expose_secret()),
        None => client,
    }
}

/// A statement, by its name in the server's query log.
fn query(client: &Client, statement: &Statement) -> Query {
    client.query_raw(statement.text).with_setting("log_comment", statement.name)
}

/// What an operator can do about a refusal at the start; what may pass by itself stays [`Error::Unavailable`].
fn open_error(options: &Options, error: ClientError) -> Error {
    let Options { url, database, user, .. } = options;
    let said = message_of(&error);
    let what = match code_of(&error) {
        Some(
            code::AUTHENTICATION_FAILED | code::WRONG_PASSWORD | code::REQUIRED_PASSWORD | code::UNKNOWN_USER,
        ) => format!("refuses the user {user}: set store.clickhouse.user and its password"),
        Some(code::READONLY) => {
            format!("lets the user {user} only read: give it a profile without readonly")
        }
        Some(code::ACCESS_DENIED) => {
            format!(
                "denies the user {user} something: grant it SELECT, INSERT, ALTER and CREATE on {database}.*"
            )
        }
        Some(code::UNKNOWN_DATABASE | code::UNKNOWN_TABLE) => {
            format!("lacks a table of the database {database}: run `eventrunner migrate`")
        }
        _ => return error.into(),
    };
    Error::Open(format!("ClickHouse at {url} {what}; it says: {said}"))
}
