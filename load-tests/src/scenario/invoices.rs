//! A month of use, invoiced and proved: the invoice beside what was counted while it was made up, and the proof beside records
//! that were tampered with.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use billing::{Biller, Fault, Ledger, Terms, compare};
use bus::{Bus, TopologyOptions, topology};
use clap::{Args, ValueEnum};
use model::{Batch, CloudEvent, Durability, Group, Micros, Stamp, TenantId};
use rating::Period;
use serde::Serialize;
use serde_json::json;
use store::{
    EventStore, METER_BYTES, METER_EVENTS, Origin, UsageRecord, UsageStore, Written,
    clickhouse::{ClickHouse, Options as ClickHouseOptions, migrations},
    embedded::{self, Embedded},
    migration::Mode,
    record_id, records_of,
};
use tempfile::TempDir;
use testkit::NatsServer;

/// Events of a batch.
const PER_BATCH: u64 = 1_000;
/// A batch in so many is told twice.
const TWICE: u64 = 20;
/// A batch in so many is told after the invoice was made.
const LATE: u64 = 100;
/// Records that are written at once: what gathers in the stream of usage under load.
const RECORDS: usize = 50_000;
/// What is compared at once.
const STRETCHES: i64 = 24 * 31;
/// 2026-10-01T00:00:00Z, and the length of October.
const OCTOBER: Micros = 1_790_812_800_000_000;
const MONTH_US: Micros = 31 * 24 * 3_600_000_000;

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where usage is kept
    #[arg(long = "store", value_enum, default_value_t = Kind::Embedded)]
    kind: Kind,
    /// Usage records of the month
    #[arg(long, default_value_t = 5_000_000)]
    events: u64,
    /// Usage records of a tenant whose records are tampered with
    #[arg(long, default_value_t = 500_000)]
    tampered: u64,
    /// Usage records of a tenant that the ClickHouse engine makes up by itself, summed up by hour before they are asked for
    #[arg(long, default_value_t = 0)]
    big: u64,
    /// Folder for the data
    #[arg(long, value_name = "FOLDER", default_value = "target/load")]
    dir: PathBuf,
}

/// A usage store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Embedded,
    Clickhouse,
}

/// The last line.
#[derive(Debug, Default, Serialize)]
struct Report {
    scenario: &'static str,
    store: &'static str,
    events: u64,
    told_twice: u64,
    late: u64,
    invoice_ms: u128,
    invoiced: String,
    counted: String,
    late_invoiced: String,
    late_counted: String,
    verified_per_s: u64,
    differences: usize,
    tampered_found: usize,
    usage_readable_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    big: Option<Big>,
}

/// What a tenant with very many records waits for.
#[derive(Debug, Serialize)]
struct Big {
    records: u64,
    roll_up_s: u64,
    /// A month's sum of events.
    sum_ms: u128,
    invoice_ms: u128,
}

/// What was counted, and what it comes to: 0.0001 an event up to a million, 0.00005 above; 0.02 a gigabyte; 49.00 a month.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    events: u64,
    bytes: u64,
}

impl Count {
    fn take(&mut self, batch: &Batch) {
        for (_, _, event) in batch.events() {
            self.events += 1;
            self.bytes += event.size() as u64;
        }
    }

    /// Cents, each line rounded half up: reckoned with whole numbers, apart from the crate that is tried.
    fn cents(self) -> u128 {
        let first = u128::from(self.events.min(1_000_000));
        let rest = u128::from(self.events) - first;
        // In hundred-thousandths: 10 for each of the first, 5 for each of the rest; a cent is a thousand of them.
        let events = (first * 10 + rest * 5 + 500) / 1_000;
        // Two cents for a thousand million bytes.
        let bytes = (u128::from(self.bytes) * 2 + 500_000_000) / 1_000_000_000;
        4_900 + events + bytes
    }
}

fn shown(cents: u128) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn terms(tenant: &TenantId) -> anyhow::Result<Terms> {
    let tiers = json!([{"up_to": "1000000", "amount": "0.0001"}, {"amount": "0.00005"}]);
    let plan = json!({"id": "pro", "prices": [{"effective_from": "2026-01-01", "currency": "EUR", "charges": [
        {"id": "base", "price": {"model": "flat", "amount": "49.00"}},
        {"id": "events", "meter": "events", "price": {"model": "graduated", "tiers": tiers}},
        {"id": "traffic", "meter": "bytes", "per": "1000000000", "price": {"model": "per_unit", "amount": "0.02"}},
    ]}]});
    let account = json!({
        "tenant": tenant, "id": "main", "currency": "EUR", "plans": [{"plan": "pro", "from": "2026-01-01"}],
    });
    Ok(Terms {
        account: serde_json::from_value(account)?,
        plans: vec![serde_json::from_value(plan)?],
        meters: BTreeMap::new(),
    })
}

fn batch(tenant: &TenantId, number: u64, batches: u64) -> anyhow::Result<Batch> {
    let at = OCTOBER + MONTH_US / Micros::try_from(batches.max(1))? * Micros::try_from(number)?;
    let stamp = Stamp {
        tenant: tenant.clone(),
        system: "load".parse()?,
        source: None,
        customer: None,
        received_at_us: at,
        traceparent: "".into(),
        protocol: "http".into(),
    };
    let event = |n: u64| {
        let (id, data) =
            (format!("{:08x}-{n}", number.wrapping_mul(0x9e37_79b9)), "x".repeat(20 + (n % 60) as usize));
        CloudEvent::builder(id, "/eventrunner-load", "order.placed").text("text/plain", data).build()
    };
    let events = (number * PER_BATCH..(number + 1) * PER_BATCH).map(event).collect::<Result<_, _>>()?;
    Ok(Batch {
        partition: 0,
        sequence: number + 1,
        stored_at_us: at,
        raw_sequence: 0,
        raw_stored_at_us: 0,
        normalized_at_us: 0,
        groups: vec![Group { stamp: Arc::new(stamp), events }],
        streamed: Vec::new(),
        metered: Vec::new(),
    })
}

/// The stores, with the servers behind them.
struct World {
    events: Embedded,
    usage: Arc<dyn UsageStore>,
    biller: Biller,
    clickhouse: Option<(testkit::ClickHouse, ClickHouse)>,
    _nats: NatsServer,
    _folder: TempDir,
}

impl World {
    async fn new(options: &Options) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.dir)?;
        let folder = TempDir::with_prefix_in("invoices-", std::fs::canonicalize(&options.dir)?)?;
        let open = async |name: &str| {
            Embedded::open(folder.path().join(name), Durability::Process, embedded::Options::default()).await
        };
        let (usage, clickhouse): (Arc<dyn UsageStore>, _) = match options.kind {
            Kind::Embedded => (Arc::new(open("usage").await?), None),
            Kind::Clickhouse => {
                let server = testkit::ClickHouse::start();
                let settings = ClickHouseOptions { url: server.url(), ..ClickHouseOptions::default() };
                migrations::migrate(&settings, Mode::Apply).await?;
                let store = ClickHouse::open(settings).await?;
                (Arc::new(store.clone()), Some((server, store)))
            }
        };
        let nats = NatsServer::start();
        let bus = Bus::connect(&bus::Options { url: nats.url(), ..Default::default() }).await?;
        topology::ensure(&bus, &TopologyOptions { partitions: 1, ..Default::default() }).await?;
        let biller = Biller::new(Ledger::new(&bus), Arc::clone(&usage));
        Ok(Self { events: open("events").await?, usage, biller, clickhouse, _nats: nats, _folder: folder })
    }

    /// Stores and meters batches; of every twentieth, the records come twice. Gives what was counted.
    async fn tell(
        &self,
        tenant: &TenantId,
        numbers: Range<u64>,
        batches: u64,
        late: bool,
    ) -> anyhow::Result<Count> {
        let mut count = Count::default();
        let mut told = Vec::new();
        for number in numbers {
            if (number % LATE == LATE - 1) != late {
                continue;
            }
            let batch = batch(tenant, number, batches)?;
            count.take(&batch);
            let records: Vec<_> = records_of(&batch, &Written::default()).collect();
            EventStore::write(&self.events, Arc::new(batch)).await?;
            if number % TWICE == 0 {
                self.usage.write(records.clone()).await?;
            }
            told.extend(records);
            if told.len() >= RECORDS {
                self.usage.write(std::mem::take(&mut told)).await?;
            }
        }
        self.usage.write(told).await?;
        Ok(count)
    }

    /// Compares the whole month. Gives the events, and what differs.
    async fn prove(&self, tenant: &TenantId) -> anyhow::Result<(u64, Vec<billing::Difference>)> {
        let (mut events, mut differences) = (0, Vec::new());
        for stretch in 0..STRETCHES {
            let width = MONTH_US / STRETCHES;
            let since = OCTOBER + stretch * width;
            let found = compare(&self.events, &*self.usage, tenant, &[], (since, since + width)).await?;
            events += found.events;
            differences.extend(found.differences);
        }
        Ok((events, differences))
    }
}

/// Runs it. Whether all was as counted.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    let world = World::new(&options).await?;
    let tenant: TenantId = "month".parse()?;
    let batches = options.events.div_ceil(PER_BATCH).max(LATE);
    let mut report = Report {
        scenario: "invoices",
        store: if options.kind == Kind::Embedded { "embedded" } else { "clickhouse" },
        events: batches * PER_BATCH,
        told_twice: batches.div_ceil(TWICE) * PER_BATCH,
        ..Report::default()
    };
    // First: once the store has rolled a month up by itself, it does not see what comes without a mark.
    report.big = big(&world, options.big).await?;
    eprintln!("making up a month of {} usage records", report.events);
    let counted = world.tell(&tenant, 0..batches, batches, false).await?;
    let (terms, october) = (terms(&tenant)?, Period::named("UTC", "2026-10")?);
    let at = Instant::now();
    let made = world.biller.finalize(&terms, &october, OCTOBER + MONTH_US).await?;
    report.invoice_ms = at.elapsed().as_millis();
    report.invoiced = made.invoice.document.draft.due.to_string();
    report.counted = shown(counted.cents());

    eprintln!("telling what is late, and the next invoice");
    let late = world.tell(&tenant, 0..batches, batches, true).await?;
    report.late = late.events;
    let all = Count { events: counted.events + late.events, bytes: counted.bytes + late.bytes };
    let november = world.biller.finalize(&terms, &october.next()?, OCTOBER + 2 * MONTH_US).await?;
    report.late_invoiced = november.invoice.document.draft.late.to_string();
    report.late_counted = shown(all.cents() - counted.cents());

    eprintln!("holding each record against its event");
    let at = Instant::now();
    let (events, differences) = world.prove(&tenant).await?;
    report.verified_per_s = super::rate(events, at.elapsed());
    report.differences = differences.len();
    ensure!(events == report.events, "{events} events of {} were looked at", report.events);
    report.tampered_found = tampered(&world, options.tampered).await?;
    report.usage_readable_ms = readable(&*world.usage).await?.as_millis();
    let good = report.invoiced == report.counted
        && report.late_invoiced == report.late_counted
        && report.differences == 0
        && report.tampered_found == 3;
    println!(
        "invoiced {} of {} counted, late {} of {}",
        report.invoiced, report.counted, report.late_invoiced, report.late_counted
    );
    println!("{}", serde_json::to_string(&report)?);
    Ok(good)
}

/// A month in which a record was altered, one removed and one added. How many of them were found, by name; none if others were.
async fn tampered(world: &World, events: u64) -> anyhow::Result<usize> {
    let tenant: TenantId = "tampered".parse()?;
    let batches = events.div_ceil(PER_BATCH).max(3);
    for number in 0..batches {
        let batch = batch(&tenant, number, batches)?;
        let mut records: Vec<_> = records_of(&batch, &Written::default()).collect();
        let at_us = records.first().context("a batch has events")?.at_us;
        match number {
            0 => records.push(ghost(&tenant, at_us)),
            1 => drop(records.remove(7)),
            2 => records[11].meters = vec![(METER_EVENTS.into(), 1), (METER_BYTES.into(), 1_000_000)],
            _ => {}
        }
        EventStore::write(&world.events, Arc::new(batch)).await?;
        world.usage.write(records).await?;
    }
    let (_, differences) = world.prove(&tenant).await?;
    let named =
        |number: u64, n: u64| format!("{:08x}-{}", number.wrapping_mul(0x9e37_79b9), number * PER_BATCH + n);
    let expected =
        [(Fault::Extra, "ghost".to_owned()), (Fault::Missing, named(1, 7)), (Fault::Altered, named(2, 11))];
    let found = differences.iter().filter(|d| expected.contains(&(d.fault, d.event.to_string()))).count();
    Ok(if differences.len() == expected.len() { found } else { 0 })
}

fn ghost(tenant: &TenantId, at_us: Micros) -> UsageRecord {
    UsageRecord {
        tenant: tenant.clone(),
        id: record_id("/eventrunner-load", "ghost"),
        at_us,
        origin: Origin::Event { source: "/eventrunner-load".into(), id: "ghost".into() },
        customer: None,
        event_type: None,
        meters: vec![(METER_EVENTS.into(), 1), (METER_BYTES.into(), 9)],
    }
}

/// A month of very many records, made up by the engine itself: writing them through the port is measured elsewhere.
async fn big(world: &World, records: u64) -> anyhow::Result<Option<Big>> {
    let Some((server, store)) = world.clickhouse.as_ref().filter(|_| records > 0) else { return Ok(None) };
    eprintln!("making up {records} records of one tenant");
    let step = MONTH_US / Micros::try_from(records)?;
    let database = ClickHouseOptions::default().database;
    server.run(
        &database,
        &format!(
            "INSERT INTO usage_records (tenant, at_us, id, origin, events, bytes)
             SELECT 'big', {OCTOBER} + number * {step}, toString(number), 1, 1, 600 FROM numbers({records})"
        ),
    );
    let at = Instant::now();
    store.roll_up(OCTOBER + MONTH_US + 24 * 3_600_000_000).await?;
    let rolled_up = at.elapsed();
    let tenant: TenantId = "big".parse()?;
    let query = store::UsageQuery {
        since_us: Some(OCTOBER),
        until_us: Some(OCTOBER + MONTH_US),
        ..store::UsageQuery::default()
    };
    let at = Instant::now();
    let sum: u64 = store.sum(&tenant, METER_EVENTS, &query).await?.iter().map(|sum| sum.value).sum();
    let summed = at.elapsed();
    ensure!(sum == records, "{sum} of {records} records were summed up");
    let at = Instant::now();
    world.biller.finalize(&terms(&tenant)?, &Period::named("UTC", "2026-10")?, OCTOBER + MONTH_US).await?;
    let (sum_ms, invoice_ms) = (summed.as_millis(), at.elapsed().as_millis());
    Ok(Some(Big { records, roll_up_s: rolled_up.as_secs(), sum_ms, invoice_ms }))
}

/// From the writing of a record until it is in the sum: the longest of a hundred.
async fn readable(usage: &dyn UsageStore) -> anyhow::Result<Duration> {
    let tenant: TenantId = "soon".parse()?;
    let mut longest = Duration::ZERO;
    for n in 0..100_u64 {
        let at = Instant::now();
        let mut record = ghost(&tenant, OCTOBER);
        record.id = record_id("/eventrunner-load", &n.to_string());
        usage.write(vec![record]).await?;
        while usage
            .sum(&tenant, METER_EVENTS, &store::UsageQuery::default())
            .await?
            .iter()
            .map(|sum| sum.value)
            .sum::<u64>()
            <= n
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        longest = longest.max(at.elapsed());
    }
    Ok(longest)
}
