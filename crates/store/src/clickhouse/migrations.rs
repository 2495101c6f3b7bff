//! The schema, step by step.

use clickhouse::{Client, error::Error as ClientError};

use super::{
    Options, client,
    error::{code, code_of, within},
    open_error, query,
    statements::{
        ADD_CUSTOMERS_DONE, ADD_WHOSE, ALL, BEGIN_CUSTOMERS, CREATE_CUSTOMER_HOURLY, CREATE_DATABASE,
        CREATE_HORIZON, CREATE_HOURLY, CREATE_MARKS, CREATE_RECORDS, CREATE_SCHEMA_VERSIONS,
        CREATE_TENANT_USAGE, RECORD_VERSION, REMOVE_CUSTOMER_HOURLY_RETENTION, REMOVE_HOURLY_RETENTION,
        REMOVE_RETENTION, RETENTION, SCHEMA_VERSION, SET_CUSTOMER_HOURLY_RETENTION, SET_HOURLY_RETENTION,
        SET_RETENTION, Statement,
    },
};
use crate::{
    Error,
    migration::{Migration, Mode, Pending, Report},
};

/// In order of their versions.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "usage records, their sums by hour, and usage by minute for dashboards",
        statements: &[
            CREATE_DATABASE.text,
            CREATE_SCHEMA_VERSIONS.text,
            CREATE_RECORDS.text,
            CREATE_HOURLY.text,
            CREATE_MARKS.text,
            CREATE_HORIZON.text,
            CREATE_TENANT_USAGE.text,
        ],
    },
    Migration {
        version: 2,
        name: "whose usage it is: customers with their sums by hour, and event types",
        statements: &[
            ADD_WHOSE.text,
            CREATE_CUSTOMER_HOURLY.text,
            ADD_CUSTOMERS_DONE.text,
            BEGIN_CUSTOMERS.text,
        ],
    },
];

/// The version that made the last of the tables with a retention.
const CUSTOMERS_SINCE: u32 = 2;

/// The version this program works with.
#[must_use]
pub fn target() -> u32 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

/// Brings the schema up to [`target`], and the retention to the options'; or says what is missing.
///
/// # Errors
/// [`Error::Open`] if the server refuses the user or a statement, or the schema is newer than this program;
/// [`Error::Unavailable`] if it does not answer.
pub async fn migrate(options: &Options, mode: Mode) -> Result<Report, Error> {
    options.check()?;
    let runner = Runner { options, client: client(options) };
    let current = current(&runner.client, options).await.map_err(|e| open_error(options, e))?.unwrap_or(0);
    if current > target() {
        return Err(newer(options, current));
    }
    let database = format!("`{}`", options.database);
    let mut report =
        Report::new(current, MIGRATIONS, mode, |s| s.replace("{database:Identifier}", &database));
    if mode == Mode::Apply {
        for migration in MIGRATIONS.iter().filter(|m| m.version > current) {
            runner.apply(migration).await?;
        }
    }
    report.pending.extend(runner.retention(current, mode).await?);
    Ok(report)
}

pub(super) fn newer(options: &Options, found: u32) -> Error {
    Error::Open(format!(
        "the ClickHouse database {} has schema version {found}, made by a newer eventrunner; this one knows {}: run the newer one",
        options.database,
        target()
    ))
}

/// The version in the database; `None` when there is no database, or no schema in it.
pub(super) async fn current(client: &Client, options: &Options) -> Result<Option<u32>, ClientError> {
    let answer = query(client, &SCHEMA_VERSION).fetch_one::<u32>();
    match within(options.read_timeout(), answer).await {
        Ok(version) => Ok(Some(version)),
        Err(error) if matches!(code_of(&error), Some(code::UNKNOWN_TABLE | code::UNKNOWN_DATABASE)) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Days after which the table forgets; 0 for never.
pub(super) async fn retention(client: &Client, options: &Options) -> Result<u32, ClientError> {
    within(options.read_timeout(), query(client, &RETENTION).fetch_one::<u32>()).await
}

/// A migration's statement with its name.
fn named(text: &'static str) -> Statement {
    ALL.iter().find(|s| s.text == text).copied().unwrap_or(Statement { name: "migration", text })
}

struct Runner<'a> {
    options: &'a Options,
    client: Client,
}

impl Runner<'_> {
    async fn apply(&self, migration: &Migration) -> Result<(), Error> {
        for text in migration.statements {
            let statement = &named(text);
            // The database need not be there yet.
            let database = if *statement == CREATE_DATABASE { "default" } else { &self.options.database };
            let client = self.client.clone().with_database(database);
            let run = query(&client, statement).param("database", &self.options.database).execute();
            self.answered(statement, within(self.options.write_timeout(), run).await)?;
        }
        let record = query(&self.client, &RECORD_VERSION);
        let record = record.param("version", migration.version).param("name", migration.name);
        self.answered(&RECORD_VERSION, within(self.options.write_timeout(), record.execute()).await)
    }

    /// Gives the tables the TTL that the options want. A schema that is not there yet has none.
    async fn retention(&self, current: u32, mode: Mode) -> Result<Option<Pending>, Error> {
        let wanted = self.options.retention_days.unwrap_or(0);
        let kept = if current == 0 && mode != Mode::Apply { 0 } else { self.kept().await? };
        // A table that was made just now has none, though the others may.
        let is_older = current < CUSTOMERS_SINCE && wanted > 0;
        if kept == wanted && !is_older {
            return Ok(None);
        }
        // The records last: it is their TTL that says whether it is done.
        let alters = if wanted == 0 {
            [&REMOVE_CUSTOMER_HOURLY_RETENTION, &REMOVE_HOURLY_RETENTION, &REMOVE_RETENTION]
        } else {
            [&SET_CUSTOMER_HOURLY_RETENTION, &SET_HOURLY_RETENTION, &SET_RETENTION]
        };
        let mut statements = Vec::new();
        for statement in alters {
            if mode != Mode::Check {
                statements.push(statement.text.replace("{days:UInt32}", &wanted.to_string()));
            }
            if mode == Mode::Apply {
                let alter = query(&self.client, statement).param("days", wanted).execute();
                let altered = within(self.options.write_timeout(), alter).await;
                // Another runner may have been first, and there is no "remove if it exists".
                let nothing_to_remove = matches!(&altered, Err(e) if code_of(e) == Some(code::BAD_ARGUMENTS));
                if !(wanted == 0 && nothing_to_remove) {
                    self.answered(statement, altered)?;
                }
            }
        }
        Ok(Some(Pending { version: target(), name: "retention of usage", statements }))
    }

    async fn kept(&self) -> Result<u32, Error> {
        retention(&self.client, self.options).await.map_err(|e| open_error(self.options, e))
    }

    fn answered(&self, statement: &Statement, answer: Result<(), ClientError>) -> Result<(), Error> {
        answer.map_err(|error| match open_error(self.options, error) {
            Error::Open(text) => Error::Open(format!("{text} (running the statement {})", statement.name)),
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_without_gaps() {
        let versions: Vec<_> = MIGRATIONS.iter().map(|m| m.version).collect();
        assert_eq!(versions, (1..=target()).collect::<Vec<_>>());
        assert!(MIGRATIONS.iter().all(|m| !m.statements.is_empty() && !m.name.is_empty()));
    }
}
