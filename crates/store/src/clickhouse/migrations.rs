//! The schema, step by step.

use clickhouse::{Client, error::Error as ClientError};
use secrecy::SecretString;

use super::{
    Options, client,
    error::{code, code_of, within},
    open_error,
    statements::{
        CREATE_DATABASE, CREATE_RECORDS, CREATE_SCHEMA_VERSIONS, CREATE_TENANT_USAGE, RECORD_VERSION,
        REMOVE_RETENTION, RETENTION, SCHEMA_VERSION, SET_RETENTION,
    },
};
use crate::{Error, Migration, Mode, Report};

/// In order of their versions.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "usage records, and usage by minute for dashboards",
    statements: &[CREATE_RECORDS, CREATE_TENANT_USAGE],
}];

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
pub async fn migrate(
    options: &Options,
    password: Option<&SecretString>,
    mode: Mode,
) -> Result<Report, Error> {
    options.check()?;
    let runner = Runner { options, client: client(options, password) };
    let current = runner.current().await?;
    let mut report = Report { current: current.unwrap_or(0), target: target(), pending: Vec::new() };
    if report.current > report.target {
        return Err(newer(options, report.current));
    }
    if current.is_none() {
        runner.prepare(mode, &mut report).await?;
    }
    for migration in MIGRATIONS.iter().filter(|m| m.version > report.current) {
        for statement in migration.statements {
            report.pending.push((*statement).to_owned());
            if mode == Mode::Apply {
                runner.run(statement).await?;
            }
        }
        if mode == Mode::Apply {
            runner.record(migration).await?;
        }
    }
    runner.retention(mode, &mut report).await?;
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
    let answer = client.query_raw(SCHEMA_VERSION).fetch_one::<u32>();
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
    within(options.read_timeout(), client.query_raw(RETENTION).fetch_one::<u32>()).await
}

struct Runner<'a> {
    options: &'a Options,
    client: Client,
}

impl Runner<'_> {
    async fn current(&self) -> Result<Option<u32>, Error> {
        current(&self.client, self.options).await.map_err(|e| open_error(self.options, e))
    }

    /// The database and the table of versions.
    async fn prepare(&self, mode: Mode, report: &mut Report) -> Result<(), Error> {
        let database = &self.options.database;
        report.pending.push(CREATE_DATABASE.replace("{database:Identifier}", &format!("`{database}`")));
        report.pending.push(CREATE_SCHEMA_VERSIONS.to_owned());
        if mode == Mode::Apply {
            // Not in the database: it may not exist yet.
            let create = self.client.clone().with_database("default").query_raw(CREATE_DATABASE);
            let create = create.param("database", database);
            self.answered(CREATE_DATABASE, within(self.options.write_timeout(), create.execute()).await)?;
            self.run(CREATE_SCHEMA_VERSIONS).await?;
        }
        Ok(())
    }

    async fn run(&self, statement: &str) -> Result<(), Error> {
        let done = self.client.query_raw(statement).execute();
        self.answered(statement, within(self.options.write_timeout(), done).await)
    }

    async fn record(&self, migration: &Migration) -> Result<(), Error> {
        let record = self.client.query_raw(RECORD_VERSION);
        let record = record.param("version", migration.version).param("name", migration.name);
        self.answered(RECORD_VERSION, within(self.options.write_timeout(), record.execute()).await)
    }

    /// The table's TTL as the options have it.
    async fn retention(&self, mode: Mode, report: &mut Report) -> Result<(), Error> {
        let wanted = self.options.retention_days.unwrap_or(0);
        let has_table = mode == Mode::Apply || report.current > 0;
        if self.kept(has_table).await? == wanted {
            return Ok(());
        }
        let statement = if wanted == 0 { REMOVE_RETENTION } else { SET_RETENTION };
        report.pending.push(statement.replace("{days:UInt32}", &wanted.to_string()));
        if mode != Mode::Apply {
            return Ok(());
        }
        let alter = self.client.query_raw(statement).param("days", wanted).execute();
        let altered = within(self.options.write_timeout(), alter).await;
        // Another runner may have been first, and there is no "remove if it exists".
        if altered.is_err() && self.kept(true).await? == wanted {
            return Ok(());
        }
        self.answered(statement, altered)
    }

    async fn kept(&self, has_table: bool) -> Result<u32, Error> {
        if !has_table {
            return Ok(0);
        }
        retention(&self.client, self.options).await.map_err(|e| open_error(self.options, e))
    }

    fn answered(&self, statement: &str, answer: Result<(), ClientError>) -> Result<(), Error> {
        answer.map_err(|error| match open_error(self.options, error) {
            Error::Open(text) => {
                let first = statement.lines().next().unwrap_or_default();
                Error::Open(format!("{text} (running: {first})"))
            }
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
