//! `eventrunner archive` and `eventrunner restore`: a tenant's events and usage as objects in an object store.
//!
//! An archive is one URL: objects of compressed lines, and a manifest that is written last, so that an archive without one is
//! known to be unfinished. Both commands open the stores themselves: the embedded one belongs to one process, so its fleet is
//! stopped meanwhile.

pub(crate) mod format;
mod places;
mod read;
mod write;

use std::{sync::Arc, time::Duration};

use bus::Bus;
use catalog::Catalog;
use clap::Args;
use model::{Micros, TenantId, parse_rfc3339};
use serde::Serialize;

use self::places::Place;
use crate::{
    commands::backup,
    config::{Config, ConfigArgs},
    exit::{Failure, Result},
    output::{Output, item, note},
    stores::{LateCatalog, OpenStores},
    when,
};

/// How long the broker may take to tell how long events are kept.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Archive a tenant's events and usage in an object store
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner archive acme --to file:///backup/acme-2026
  eventrunner archive acme --to s3://backup/acme-2026 --until 30d

Of s3:// the credentials, region and endpoint are taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and
AWS_ENDPOINT_URL. It reads the stores that the configuration names; a fleet with the embedded store is stopped first.")]
pub(crate) struct ArchiveArgs {
    /// Whose
    tenant: String,
    /// Where to: file:///folder or s3://bucket/folder
    #[arg(long, value_name = "URL")]
    to: String,
    /// Received, or used, at or after: RFC 3339, or how long ago as 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    since: Option<String>,
    /// Received, or used, before [default: now]
    #[arg(long, value_name = "TIME", value_parser = when::moment)]
    until: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Restore a fleet from its backup, or a tenant's archive into the stores
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner restore /backup/2026-11-29 --data-dir /var/lib/eventrunner
  eventrunner restore /backup/2026-11-29 --nats-url nats://nats:4222 --config fleet.toml
  eventrunner restore file:///backup/acme-2026    # an archive

A backup is restored onto an empty broker and empty stores, with the fleet stopped; without --nats-url, onto the data folder of
`eventrunner up`, with a broker that is started there meanwhile. Interrupted, it goes on when it is run again.
Of an archive, what is there already is left as it is, so it may be run again. Events keep the time of their receipt, and
are not metered again. They do not enter tenant streams.")]
pub(crate) struct RestoreArgs {
    /// Where it is: the folder of a backup, or the URL of an archive
    #[arg(value_name = "FOLDER|URL")]
    from: String,
    /// Only compare it with its manifest
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    fleet: backup::FleetArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What an archive, a restore or a move did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) tenant: TenantId,
    /// Events gone through.
    pub(crate) events: u64,
    /// Usage records gone through.
    pub(crate) usage_records: u64,
}

pub(crate) async fn archive(args: ArchiveArgs, output: Output) -> Result<()> {
    let tenant: TenantId =
        args.tenant.parse().map_err(|e: model::InvalidId| Failure::usage(e.to_string()))?;
    let time = |text: Option<String>| -> Result<Option<Micros>> {
        text.map(|text| parse_rfc3339(&text).map_err(|e| Failure::usage(e.to_string()))).transpose()
    };
    let (since_us, until_us) = (time(args.since)?, time(args.until)?);
    let place = Place::parse(&args.to)?;
    let stores = open(&args.config.load([])?).await?;
    let written = write::archive(&stores.stores(), &tenant, (since_us, until_us), &place).await;
    stores.close().await;
    let summary = written?;
    note(&format!(
        "{} events and {} usage records of {tenant} in {}",
        summary.events, summary.usage_records, args.to
    ));
    output.one(&item(&summary)?)
}

pub(crate) async fn restore(args: RestoreArgs, output: Output) -> Result<()> {
    if let Some(folder) = backup::is_backup(&args.from) {
        return Box::pin(backup::restore(&folder, args.check, args.fleet, &args.config, output)).await;
    }
    let place = Place::parse(&args.from)?;
    if args.check {
        let summary = read::check(&place).await?;
        note("the archive is whole");
        return output.one(&item(&summary)?);
    }
    let stores = open(&args.config.load([])?).await?;
    let restored = read::restore(&stores.stores(), &place).await;
    stores.close().await;
    output.one(&item(&restored?)?)
}

/// Opens the stores of a configuration. External ones are told of tenants' retention, if the broker can be asked.
pub(crate) async fn open(config: &Config) -> Result<OpenStores> {
    let late = LateCatalog::default();
    if config.store.kind == crate::config::StoreKind::External {
        match tokio::time::timeout(CATALOG_TIMEOUT, catalog(config)).await {
            Ok(Some(catalog)) => drop(late.set(catalog)),
            _ => note(
                "the broker does not answer: what is written stays until it is erased, whatever its tenant's retention",
            ),
        }
    }
    OpenStores::open(config, &Arc::clone(&late)).await
}

async fn catalog(config: &Config) -> Option<Catalog> {
    let bus = Bus::connect(&config.nats).await.ok()?;
    Some(Catalog::open(bus.jetstream().clone(), config.catalog.clone()).await)
}
