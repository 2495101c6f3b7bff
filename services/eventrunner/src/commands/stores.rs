//! `eventrunner stores move`: from an embedded store's folder into the stores that the configuration names.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use model::TenantId;
use serde::{Deserialize, Serialize};
use store::{
    Cursor, EventQuery, METER_BYTES, METER_EVENTS, Order, Stores as Ports, UsageQuery,
    embedded::{Embedded, Options},
};

use super::{
    archive,
    copy::{Loader, bar, of_store},
    progress,
};
use crate::{
    config::{Config, ConfigArgs, StoreKind},
    exit::{Failure, Result},
    output::{Column, Output, item, note},
};

/// Where a move is, in the folder that is moved.
const PROGRESS: &str = "move.json";
const PAGE: u32 = 2_000;

/// The stores of events and usage
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner stores move --from ~/.local/share/eventrunner/store --set store.kind=external")]
pub(crate) struct Stores {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Copy an embedded store into the stores that the configuration names, and compare
    Move(MoveArgs),
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The fleet on the embedded store is stopped first. What is there already stays as it is, and a move that was
interrupted goes on where it was. The folder is left as it is but for move.json; remove it when you are content."
)]
struct MoveArgs {
    /// Folder of the embedded store
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
    /// Only this tenant's; repeatable [default: all]
    #[arg(long = "tenant", short, value_name = "TENANT")]
    tenants: Vec<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Where a move is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Where to: another place begins anew.
    target: String,
    tenants: BTreeMap<TenantId, Part>,
}

/// Where the move of one tenant is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    events: Walk,
    usage: Walk,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Walk {
    cursor: Option<String>,
    done: bool,
}

/// What of a tenant is here and there.
#[derive(Debug, Serialize)]
struct Compared<'a> {
    tenant: &'a TenantId,
    events: [u64; 2],
    used_events: [u64; 2],
    used_bytes: [u64; 2],
}

const COLUMNS: &[Column] = &[
    Column("tenant", "/tenant"),
    Column("events (from, to)", "/events"),
    Column("usage of events", "/used_events"),
    Column("usage of bytes", "/used_bytes"),
];

pub(crate) async fn run(Stores { verb }: Stores, output: Output) -> Result<()> {
    let Verb::Move(args) = verb;
    let config = args.config.load([])?;
    let named =
        args.tenants.iter().map(|t| t.parse().map_err(|e: model::InvalidId| Failure::usage(e.to_string())));
    let named = named.collect::<Result<Vec<TenantId>>>()?;
    if !args.from.is_dir() {
        return Err(Failure::new(
            crate::exit::Code::NotFound,
            format!("there is no folder {}", args.from.display()),
        ));
    }
    let source = Embedded::open(&args.from, config.topology.durability, Options::default()).await;
    let source =
        source.map_err(|e| Failure::failed(e.to_string()).hint("stop the fleet that uses it first"))?;
    let target = archive::open(&config).await?;
    let moved = move_all(&source, &target.stores(), named, &args.from, describe(&config)?, output).await;
    target.close().await;
    source.close().await;
    moved
}

async fn move_all(
    source: &Embedded,
    target: &Ports,
    named: Vec<TenantId>,
    folder: &Path,
    place: String,
    output: Output,
) -> Result<()> {
    let tenants = if named.is_empty() { source.tenants().await.map_err(of_store)? } else { named };
    let path = folder.join(PROGRESS);
    let mut progress =
        progress::read::<Progress>(&path)?.filter(|known| known.target == place).unwrap_or_default();
    progress.target = place;
    let ports = source.stores();
    for tenant in &tenants {
        note(&format!("moving {tenant}"));
        move_events(&ports, target, tenant, &mut progress, &path).await?;
        move_usage(&ports, target, tenant, &mut progress, &path).await?;
    }
    let (mut items, mut less) = (Vec::new(), Vec::new());
    for tenant in &tenants {
        let compared = compare(&ports, target, tenant).await?;
        let Compared { events, used_events, used_bytes, .. } = &compared;
        if [events, used_events, used_bytes].iter().any(|[here, there]| there < here) {
            less.push(tenant.to_string());
        }
        items.push(item(&compared)?);
    }
    output.list(COLUMNS, &items)?;
    if less.is_empty() {
        return Ok(());
    }
    // What is written to usage may be seen a moment later where it is gathered first.
    fs::remove_file(&path).map_err(|e| Failure::file("cannot remove", &path, &e))?;
    Err(Failure::failed(format!("less is there than here, of {}", less.join(", ")))
        .hint("run it again: it begins anew"))
}

async fn move_events(
    source: &Ports,
    target: &Ports,
    tenant: &TenantId,
    progress: &mut Progress,
    path: &Path,
) -> Result<()> {
    let loader = Loader::new(target);
    let bar = bar();
    while let Some(cursor) = progress.part(tenant).events.next() {
        let query = EventQuery { order: Order::OldestFirst, limit: PAGE, cursor, ..EventQuery::default() };
        let page = source.events.page(tenant, &query).await.map_err(of_store)?;
        bar.inc(u64::try_from(page.events.len()).unwrap_or_default());
        loader.events(page.events).await?;
        progress.part(tenant).events = Walk::after(page.next);
        progress::write(path, progress)?;
    }
    bar.finish_and_clear();
    Ok(())
}

async fn move_usage(
    source: &Ports,
    target: &Ports,
    tenant: &TenantId,
    progress: &mut Progress,
    path: &Path,
) -> Result<()> {
    let loader = Loader::new(target);
    while let Some(cursor) = progress.part(tenant).usage.next() {
        let query = UsageQuery { limit: 10 * PAGE, cursor, ..UsageQuery::default() };
        let page = source.usage.list(tenant, &query).await.map_err(of_store)?;
        loader.usage(page.records).await?;
        progress.part(tenant).usage = Walk::after(page.next);
        progress::write(path, progress)?;
    }
    Ok(())
}

async fn compare<'a>(source: &Ports, target: &Ports, tenant: &'a TenantId) -> Result<Compared<'a>> {
    let events =
        async |stores: &Ports| stores.events.count(tenant, &EventQuery::default()).await.map_err(of_store);
    let used = async |stores: &Ports, meter: &str| {
        let sums = stores.usage.sum(tenant, meter, &UsageQuery::default()).await.map_err(of_store)?;
        Ok::<u64, Failure>(sums.iter().map(|bucket| bucket.value).sum())
    };
    Ok(Compared {
        tenant,
        events: [events(source).await?, events(target).await?],
        used_events: [used(source, METER_EVENTS).await?, used(target, METER_EVENTS).await?],
        used_bytes: [used(source, METER_BYTES).await?, used(target, METER_BYTES).await?],
    })
}

/// The place that is moved to, as far as it tells one from another.
fn describe(config: &Config) -> Result<String> {
    Ok(match config.store.kind {
        StoreKind::Embedded => config.store_folder()?.display().to_string(),
        StoreKind::External => format!(
            "{} in {:?}, {} in {}",
            config.store.cql.keyspace,
            config.store.cql.nodes,
            config.store.clickhouse.database,
            config.store.clickhouse.url
        ),
    })
}

impl Walk {
    /// Where the next page begins (none: at the beginning); none if there is none.
    #[expect(clippy::option_option, reason = "whether there is a page, and whether it has a cursor")]
    fn next(&self) -> Option<Option<Cursor>> {
        (!self.done).then(|| self.cursor.clone().map(Cursor))
    }

    fn after(next: Option<Cursor>) -> Self {
        Self { done: next.is_none(), cursor: next.map(|Cursor(text)| text) }
    }
}

impl Progress {
    fn part(&mut self, tenant: &TenantId) -> &mut Part {
        self.tenants.entry(tenant.clone()).or_default()
    }
}
