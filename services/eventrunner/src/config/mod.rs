//! The configuration of every service: one struct, a section for each.

pub(crate) mod reference;

use std::path::PathBuf;

use catalog::{Sealer, SealingKey};
use clap::{Args, ValueEnum};
use runtime::{
    admin,
    config::{Secret, Sources},
    http::ServerOptions,
    otlp::TelemetryOptions,
    telemetry::LogOptions,
};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    exit::{Failure, Result},
    up::folder,
};

/// The configuration of EventRunner. Every key has a default; a file, `EVENTRUNNER_<SECTION>__<KEY>` and
/// `--set <section>.<key>=<value>` override it, in this order.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Folder for what is kept on this machine; `${XDG_DATA_HOME:-~/.local/share}/eventrunner` when absent.
    pub(crate) data_dir: Option<PathBuf>,
    /// Logs.
    pub(crate) log: LogOptions,
    /// Traces, metrics and logs for an OpenTelemetry collector.
    pub(crate) telemetry: TelemetryOptions,
    /// The listener for operators: `/metrics` and `/healthz`.
    pub(crate) admin: Admin,
    /// The connection to the broker.
    pub(crate) nats: bus::Options,
    /// What else is to be known of the broker.
    pub(crate) broker: Broker,
    /// What is expected of backups.
    pub(crate) backup: Backups,
    /// Letting tenants read their streams with NATS clients.
    pub(crate) accounts: bus::accounts::Options,
    /// The streams: read when they are made, by `up` and `migrate`.
    pub(crate) topology: bus::TopologyOptions,
    /// The catalog of tenants, systems, sources, event types and keys.
    pub(crate) catalog: catalog::Options,
    /// The keys that signing secrets in the catalog are sealed with.
    pub(crate) sealing: Sealing,
    /// Whose signed tokens are believed.
    pub(crate) tokens: auth::TokenOptions,
    /// Who is asked whether somebody has been given what they need.
    pub(crate) authorizer: auth::AuthorizerOptions,
    /// How the doors pack events for the broker.
    pub(crate) door: bus::DoorOptions,
    /// The HTTP door.
    pub(crate) ingest_http: ingest_http::Options,
    /// The gRPC door.
    pub(crate) ingest_grpc: ingest_grpc::Options,
    /// Raw events to CloudEvents.
    pub(crate) normalizer: normalizer::Options,
    /// Storing, metering, tenant streams.
    pub(crate) engine: engine::Options,
    /// Reading back.
    pub(crate) api: api::Options,
    /// When bills are made.
    pub(crate) billing: billing_service::Options,
    /// Where events and usage are kept.
    pub(crate) store: Store,
}

/// The listener for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// The listener.
    pub(crate) http: ServerOptions,
    /// Age in seconds of the oldest unprocessed work from which a process counts as stuck.
    pub(crate) work_age_seconds_max: u64,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            http: ServerOptions::on_port(admin::PORT),
            work_age_seconds_max: runtime::health::WORK_AGE_MAX_DEFAULT.as_secs(),
        }
    }
}

/// What else is to be known of the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Broker {
    /// Its monitoring (`http` in its configuration), such as `http://127.0.0.1:8222`. With it, a start that promises more
    /// durability than the broker keeps is refused; without it, only warned of.
    pub(crate) monitor_url: Option<String>,
}

/// What is expected of backups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Backups {
    /// How old the last whole backup may be, in hours; when it is older, the alert `EventRunnerBackupOld` fires. 0: none is expected.
    pub(crate) age_hours_max: u32,
}

/// The keys that signing secrets in the catalog are sealed with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sealing {
    /// 32 bytes in base64. Several, one a line: the first seals, all open.
    pub(crate) key: Secret,
    /// File with the same; `secret.key` in the data folder when neither is given, made if need be.
    pub(crate) key_file: Option<PathBuf>,
}

/// What kind of stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoreKind {
    /// A folder of one process.
    #[default]
    Embedded,
    /// ScyllaDB or Cassandra for events, ClickHouse for usage, shared by any number of processes.
    External,
}

impl std::fmt::Display for StoreKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::External => "external",
        })
    }
}

/// Where events and usage are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// `embedded`: a folder of one process. `external`: `cql` for events and `clickhouse` for usage, shared by any number of
    /// processes.
    pub(crate) kind: StoreKind,
    /// Folder of the embedded store, for one process at a time; `store` in the data folder when absent.
    pub(crate) folder: Option<PathBuf>,
    /// Limits of the embedded store.
    pub(crate) embedded: store::embedded::Options,
    /// Where external events are.
    pub(crate) cql: store::cql::Options,
    /// The password of `cql.user`.
    pub(crate) cql_password: Secret,
    /// Where external usage is.
    pub(crate) clickhouse: store::clickhouse::Options,
    /// The password of `clickhouse.user`.
    pub(crate) clickhouse_password: Secret,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// Configuration file, TOML
    #[arg(long, short = 'c', value_name = "FILE", env = "EVENTRUNNER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// A value of the configuration; repeatable
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Folder for what is kept on this machine [default: ${XDG_DATA_HOME:-~/.local/share}/eventrunner]
    #[arg(long, value_name = "FOLDER", env = "EVENTRUNNER_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

fn setting(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as section.key=value")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl ConfigArgs {
    /// All layers; `flags` are a command's own, below `--set`.
    pub(crate) fn load(&self, flags: impl IntoIterator<Item = (&'static str, String)>) -> Result<Config> {
        self.load_with_origins(flags).map(|loaded| loaded.value)
    }

    /// All layers, and where each value comes from.
    pub(crate) fn load_with_origins(
        &self,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<runtime::config::Loaded<Config>> {
        let data_dir = self.data_dir.as_ref().map(|path| ("data_dir", path.display().to_string()));
        let sources = Sources::from_process(self.config.clone())
            .with_overrides(data_dir)
            .with_overrides(flags)
            .with_overrides(self.settings.iter().cloned());
        let loaded = runtime::config::load::<Config>(&sources).map_err(|e| {
            Failure::config(e.to_string())
                .hint("every key is in docs/configuration.md; check with: eventrunner config check")
        })?;
        loaded.value.check()?;
        Ok(loaded)
    }
}

impl Config {
    /// What no single section can know.
    fn check(&self) -> Result<()> {
        self.telemetry.check().map_err(Failure::config)?;
        self.api.check().map_err(Failure::config)?;
        self.authorizer.check().map_err(Failure::config)?;
        identity::check_issuers(&self.tokens.issuers)
            .map_err(|e| Failure::config(format!("tokens.issuers: {e}")))?;
        self.tokens.own.check().map_err(Failure::config)?;
        if self.admin.work_age_seconds_max == 0 {
            return Err(Failure::config("admin.work_age_seconds_max must be at least 1"));
        }
        if self.sealing.key.is_set() && self.sealing.key_file.is_some() {
            return Err(Failure::config("give sealing.key or sealing.key_file, not both"));
        }
        if !(1..=1_024).contains(&self.topology.partitions) {
            return Err(Failure::config("topology.partitions must be from 1 to 1024"));
        }
        Ok(())
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        self.data_dir.clone().map_or_else(folder::default_path, Ok)
    }

    /// The folder of the embedded store.
    pub(crate) fn store_folder(&self) -> Result<PathBuf> {
        self.store.folder.clone().map_or_else(|| Ok(self.data_dir()?.join("store")), Ok)
    }

    /// The file the sealing key is in, if it is in one.
    pub(crate) fn sealing_key_file(&self) -> Result<Option<PathBuf>> {
        if self.sealing.key.is_set() {
            return Ok(None);
        }
        let file = self.sealing.key_file.clone();
        file.map_or_else(|| Ok(self.data_dir()?.join("secret.key")), Ok).map(Some)
    }

    /// What opens the signing secrets of sources.
    pub(crate) fn sealer(&self) -> Result<Sealer> {
        let failed = |e: catalog::SealError| Failure::config(e.to_string());
        if let Some(text) = self.sealing.key.expose() {
            let keys = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let keys = keys.map(|line| SealingKey::from_base64(&SecretString::from(line)));
            let keys = keys.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
            return Sealer::from_keys(keys).map_err(failed);
        }
        let Some(file) = self.sealing_key_file()? else {
            return Err(Failure::config("there is no sealing key"));
        };
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Failure::file("cannot make", parent, &e))?;
        }
        Sealer::load_or_create(&file).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Code;

    fn load(settings: &[(&str, &str)]) -> Result<Config> {
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        ConfigArgs { settings, ..ConfigArgs::default() }.load([])
    }

    #[test]
    fn settings_override_and_mistakes_are_named() {
        let config =
            load(&[("topology.partitions", "8"), ("ingest_http.server.listen", "127.0.0.1:1")]).unwrap();
        assert_eq!((config.topology.partitions, config.ingest_http.server.listen.port()), (8, 1));
        for (key, value, named) in [
            ("topology.partition", "8", "did you mean topology.partitions?"),
            ("topology.partitions", "0", "topology.partitions"),
            ("topology.partitions", "many", "topology.partitions"),
            ("sealing.key", "file:/no/such/file", "sealing.key"),
            ("api.letters_scan_max", "0", "api.letters_scan_max"),
            ("telemetry.sample_ratio", "2", "telemetry.sample_ratio"),
            ("telemetry.otlp_protocol", "http", "telemetry.otlp_protocol"),
            ("authorizer.kind", "keto", "authorizer.read_url"),
        ] {
            let failure = load(&[(key, value)]).unwrap_err();
            assert_eq!(failure.code, Code::Config, "{key}");
            assert!(failure.message.contains(named), "{failure}");
        }
    }

    #[test]
    fn the_defaults_print_and_load_again() {
        let printed = runtime::config::print(&Config::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, &printed).unwrap();
        let args = ConfigArgs { config: Some(file), ..ConfigArgs::default() };
        assert_eq!(runtime::config::print(&args.load([]).unwrap()).unwrap(), printed);
    }
}
