//! A catalog of many tenants: how long it takes to write, how soon each service is ready with it, what memory that takes, and
//! how its lists and changes do.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use catalog::{Catalog, Resource};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hdrhistogram::Histogram;
use model::resource::{Action, ApiKey, Subscription, System, Tenant};
use oracle::Access;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{LoadArgs, hundredths, rate};
use crate::{
    faults,
    fleet::{Durability, FleetArgs, Member, Own},
    memory,
};

/// Writes under way.
const IN_FLIGHT: usize = 512;
/// Changes whose way into another process is timed.
const FOLLOWED: usize = 500;
/// How long a process may take to be ready before it is given up.
const READY: Duration = Duration::from_secs(120);
/// Looking costs the process that gets ready too.
const LOOK: Duration = Duration::from_millis(20);

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    fleet: FleetArgs,
    /// What "accepted" promises
    #[arg(long, value_enum, default_value_t = Durability::Process)]
    durability: Durability,
    /// Tenants, each with a system and an action
    #[arg(long, default_value_t = 10_000)]
    tenants: usize,
    /// Subscriptions, dealt to the tenants
    #[arg(long, default_value_t = 100_000)]
    subscriptions: usize,
    /// API keys, dealt to the tenants
    #[arg(long, default_value_t = 50_000)]
    keys: usize,
    /// Lists that are asked for
    #[arg(long, default_value_t = 1_000)]
    lists: usize,
    /// Events sent all the way in each of several runs, in turn on this fleet and on one with hardly anything in its catalog
    #[arg(long, default_value_t = 300_000)]
    events: u64,
    /// Those runs, on each fleet: the median of their pairs counts; 0 to send none
    #[arg(long, default_value_t = 5)]
    paths: usize,
    /// The longest that a service may take to be ready, in seconds
    #[arg(long, default_value_t = 10)]
    ready_seconds_max: u64,
    /// The longest that 99 of 100 lists may take, in milliseconds
    #[arg(long, default_value_t = 100)]
    list_ms_max: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    form: &'static str,
    tenants: usize,
    subscriptions: usize,
    keys: usize,
    entries: usize,
    write_s: u64,
    writes_per_second: u64,
    /// From nothing to a snapshot of all, beside a fleet.
    read_ms: u64,
    /// From the request of a change until another process has it.
    follow_ms_p99: f64,
    /// The slowest service's.
    ready_ms_max: u64,
    /// The largest service's.
    memory_mb_max: u64,
    list_ms_p50: f64,
    list_ms_p99: f64,
    /// The whole path to the bare broker, as in `path`, with a catalog of hardly anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    small_path_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_ratio: Option<f64>,
    /// One to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

/// Runs it. Whether its claims hold.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    ensure!(
        options.fleet.context.is_none(),
        "only a fleet of this scenario's own may be filled so: leave --context out"
    );
    let (mut own, access) = Box::pin(Own::start(&options.fleet, options.durability)).await?;
    let operator = own.operator(&access)?;
    let writer = open(&access).await?;
    let before = Instant::now();
    let entries = fill(&writer, &options).await?;
    let wrote = before.elapsed();
    println!("{entries} entries written in {:.1} s", wrote.as_secs_f64());
    let began = Instant::now();
    let reader = open(&access).await?;
    let read = began.elapsed();
    println!("read by one more process in {} ms", read.as_millis());
    let followed = follow(&writer, &reader).await?;
    drop((writer, reader));
    let ready = ready(&mut own, options.fleet.processes).await?;
    let services: Vec<_> = own.members().into_iter().filter(|m| !m.is_broker()).map(|m| m.name).collect();
    let mut memory_mb_max = 0;
    for (name, megabytes) in memory::held(&own.processes()) {
        let took = ready
            .iter()
            .find(|(who, _)| *who == name)
            .map(|(_, took)| format!("{} ms until ready", took.as_millis()));
        println!("{name:<20} {megabytes:>6} MB  {}", took.unwrap_or_default());
        // `up` of a fleet in processes only watches.
        let counts = if options.fleet.processes { services.contains(&name) } else { name == "fleet" };
        memory_mb_max = memory_mb_max.max(if counts { megabytes } else { 0 });
    }
    let listed = lists(&access, &operator, &options).await?;
    let paths = Box::pin(paths(&own, &access, &options)).await?;
    own.stop().await?;
    let report = Report {
        scenario: "catalog",
        form: options.fleet.form(),
        tenants: options.tenants,
        subscriptions: options.subscriptions,
        keys: options.keys,
        entries,
        write_s: wrote.as_secs(),
        writes_per_second: rate(u64::try_from(entries)?, wrote),
        read_ms: u64::try_from(read.as_millis())?,
        follow_ms_p99: ms(&followed, 0.99),
        ready_ms_max: ready.iter().map(|(_, took)| took.as_millis()).max().unwrap_or_default().try_into()?,
        memory_mb_max,
        list_ms_p50: ms(&listed, 0.5),
        list_ms_p99: ms(&listed, 0.99),
        small_path_ratio: median(paths.iter().map(|(small, _)| *small)),
        path_ratio: median(paths.iter().map(|(_, large)| *large)),
        ratio: median(paths.iter().map(|(small, large)| large / small)),
    };
    println!("{}", serde_json::to_string(&report)?);
    let soon = report.ready_ms_max < options.ready_seconds_max * 1_000;
    Ok(soon && listed.value_at_quantile(0.99) <= options.list_ms_max * 1_000)
}

/// Runs all the way, in turn on a fleet with hardly anything in its catalog and on the one that is filled: what the machine does
/// meanwhile, it does to both.
async fn paths(filled: &Own, access: &Access, options: &Options) -> anyhow::Result<Vec<(f64, f64)>> {
    let mut ratios = Vec::new();
    if options.paths == 0 {
        return Ok(ratios);
    }
    let (empty, its_access) = Box::pin(Own::start(&options.fleet, options.durability)).await?;
    for run in 0..options.paths {
        let mut pair = [0.0; 2];
        for (at, (own, access)) in [(&empty, &its_access), (filled, access)].into_iter().enumerate() {
            let tenant = own.tenant(access, &format!("path-{run}"), 0)?;
            pair[at] = super::path::ratio(&tenant, &LoadArgs::batches(), options.events).await?;
        }
        let [small, large] = pair;
        println!("path {small:.3} with a small catalog, {large:.3} with this one");
        ratios.push((small, large));
    }
    empty.stop().await?;
    Ok(ratios)
}

fn median(ratios: impl Iterator<Item = f64>) -> Option<f64> {
    let mut ratios: Vec<_> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().map(hundredths)
}

/// Milliseconds of a histogram of microseconds.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    (times.value_at_quantile(quantile) as f64 / 100.0).round() / 10.0
}

/// The catalog, as a service would open it.
async fn open(access: &Access) -> anyhow::Result<Catalog> {
    let client = access.broker(async_nats::ConnectOptions::new()).await?;
    let js = async_nats::jetstream::new(client);
    Ok(Catalog::open(js, catalog::Options::default()).await)
}

fn made<R: DeserializeOwned>(value: Value) -> anyhow::Result<R> {
    serde_json::from_value(value).context("a resource of this scenario")
}

fn tenant(number: usize) -> String {
    format!("t{number}")
}

/// Writes everything, what is named first. How many entries that is.
async fn fill(catalog: &Catalog, options: &Options) -> anyhow::Result<usize> {
    let Options { tenants, subscriptions, keys, .. } = *options;
    write::<Tenant>(
        catalog,
        tenants,
        |n| json!({"id": tenant(n), "name": format!("Tenant {n}"), "labels": {"tier": (n % 3).to_string()}}),
    )
    .await?;
    write::<System>(catalog, tenants, |n| json!({"tenant": tenant(n), "id": "shop"})).await?;
    write::<Action>(catalog, tenants, |n| {
        let target =
            json!({"type": "webhook", "url": "https://erp.example/orders", "headers": {"x-team": "erp"}});
        json!({"tenant": tenant(n), "id": "order", "system": "shop", "target": target})
    })
    .await?;
    write::<ApiKey>(catalog, keys, |n| {
        let (tenant, hash) = (tenant(n % tenants), format!("{n:064x}"));
        json!({"tenant": tenant, "id": format!("k{n}"), "system": "shop", "hash": hash, "scopes": ["publish"]})
    })
    .await?;
    write::<Subscription>(catalog, subscriptions, |n| subscription(n, tenants)).await?;
    Ok(3 * tenants + keys + subscriptions)
}

fn subscription(number: usize, tenants: usize) -> Value {
    json!({
        "tenant": tenant(number % tenants), "id": format!("s{number}"), "system": "shop", "action": "order",
        "filter": format!("data.amount > {number}"),
    })
}

async fn write<R: Resource>(
    catalog: &Catalog,
    count: usize,
    resource: impl Fn(usize) -> Value,
) -> anyhow::Result<()> {
    let began = Instant::now();
    stream::iter(0..count)
        .map(|n| {
            let resource = made::<R>(resource(n));
            async move { catalog.create(&resource?).await.map(drop).map_err(anyhow::Error::from) }
        })
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await?;
    let per_second = rate(u64::try_from(count)?, began.elapsed());
    eprintln!("{count} of kind {} written, {per_second} a second", R::KIND);
    Ok(())
}

/// How long changes take from one process into another, one after the other.
async fn follow(writer: &Catalog, reader: &Catalog) -> anyhow::Result<Histogram<u64>> {
    let mut times = Histogram::new(3)?;
    let all = writer.list::<Subscription>(None);
    ensure!(!all.is_empty(), "there are no subscriptions to change");
    for entry in all.iter().cycle().step_by(7).take(FOLLOWED) {
        let mut changed = Subscription::clone(&entry.value);
        changed.order = changed.order.wrapping_add(1);
        let began = Instant::now();
        let written = writer.put(&changed, None).await?;
        reader.caught_up(written.revision).await;
        times.record(micros(began.elapsed()))?;
    }
    println!("a change is in another process in {} ms (p99)", ms(&times, 0.99));
    Ok(times)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// How long each service takes from its start until it is ready, the others being there.
async fn ready(own: &mut Own, processes: bool) -> anyhow::Result<Vec<(String, Duration)>> {
    if !processes {
        own.terminate().await?;
        let began = Instant::now();
        own.restart().await?;
        return Ok(vec![("fleet".to_owned(), began.elapsed())]);
    }
    let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
    let mut all = Vec::new();
    for Member { name, pid, admin_url, .. } in own.members().into_iter().filter(|member| !member.is_broker())
    {
        faults::signal(pid.with_context(|| format!("{name} does not run"))?, "KILL")?;
        while faults::is_running(pid.unwrap_or_default()) {
            tokio::time::sleep(LOOK).await;
        }
        faults::running(own, &name).await?;
        let (began, url) = (Instant::now(), format!("{admin_url}/healthz/ready"));
        while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            ensure!(began.elapsed() < READY, "{name} does not get ready");
            tokio::time::sleep(LOOK).await;
        }
        all.push((name, began.elapsed()));
    }
    Ok(all)
}

/// Lists of all tenants and of one, one after the other.
async fn lists(access: &Access, operator: &str, options: &Options) -> anyhow::Result<Histogram<u64>> {
    let http = reqwest::Client::new();
    let mut times = Histogram::new(3)?;
    for number in 0..options.lists {
        let of = tenant(number * 37 % options.tenants.max(1));
        let path = match number % 6 {
            0 => "/tenants".to_owned(),
            1 => "/tenants?sort=-created_at&limit=1000".to_owned(),
            2 => format!("/tenants?q={of}"),
            3 => "/tenants?label=tier=1&sort=name".to_owned(),
            4 => format!("/tenants/{of}/keys"),
            _ => format!("/tenants/{of}/subscriptions"),
        };
        let began = Instant::now();
        let answer =
            http.get(format!("{}/api/v1{path}", access.api_url)).bearer_auth(operator).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        times.record(micros(began.elapsed()))?;
        ensure!(
            status.is_success() && body.len() > 20,
            "{path}: {status} {}",
            String::from_utf8_lossy(&body)
        );
    }
    Ok(times)
}
