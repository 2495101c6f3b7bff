//! Sums by hour never differ from their records, whatever comes late, is taken back or erased, and when.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future::join_all;
use model::{Micros, TenantId};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use store::{
    Erasure as _, METER_BYTES, METER_EVENTS, UsageBucket, UsageQuery, UsageRecord, UsageStore as _,
    clickhouse::{ClickHouse, Options, RolledUp, migrations},
    migration::Mode,
};
use testkit::ClickHouse as Server;

use crate::world::{HOUR, MINUTE, NOON, options, record, tenant, total};

const DAY: i64 = 24 * HOUR;

/// Rolls up when the test says so, whatever is an hour old.
async fn open_still() -> (ClickHouse, Options) {
    let options = Options { rollup_interval_ms: 0, rollup_delay_ms: 3_600_000, ..options(Server::shared()) };
    migrations::migrate(&options, Mode::Apply).await.unwrap();
    (ClickHouse::open(options.clone()).await.unwrap(), options)
}

/// What the store ought to hold.
#[derive(Default)]
struct Model(BTreeMap<(TenantId, String, Micros), Option<UsageRecord>>);

impl Model {
    fn write(&mut self, record: &UsageRecord) {
        let key = (record.tenant.clone(), record.id.to_string(), record.at_us);
        let kept = self.0.entry(key).or_insert_with(|| Some(record.clone()));
        if record.is_void() {
            *kept = None;
        }
    }

    fn sum(&self, tenant: &TenantId, meter: &str, query: &UsageQuery) -> Vec<UsageBucket> {
        let (since, until) = (query.since_us.unwrap_or(Micros::MIN), query.until_us.unwrap_or(Micros::MAX));
        let inside = self.0.values().flatten().filter(|r| {
            r.tenant == *tenant
                && (since..until).contains(&r.at_us)
                && (query.customer.is_none() || r.customer == query.customer)
        });
        let with = inside.filter_map(|r| Some((r.at_us, r.meters.iter().find(|(name, _)| name == meter)?.1)));
        let mut sums = BTreeMap::new();
        let mut first = None;
        for (at, value) in with {
            first = Some(first.unwrap_or(at).min(at));
            let start =
                if query.bucket_us == 0 { 0 } else { at.div_euclid(query.bucket_us) * query.bucket_us };
            *sums.entry(start).or_insert(0) += value;
        }
        let start =
            |start| if query.bucket_us == 0 { first.unwrap().div_euclid(MINUTE) * MINUTE } else { start };
        sums.into_iter().map(|(at, value)| UsageBucket { start_us: start(at), value }).collect()
    }
}

async fn same(usage: &ClickHouse, model: &Model, tenants: &[TenantId], rng: &mut StdRng, step: usize) {
    let odd = NOON + rng.random_range(0..6 * DAY);
    let ranges = [
        (None, None),
        (Some(NOON), Some(NOON + 5 * DAY)),
        (Some(odd), None),
        (None, Some(odd)),
        (Some(NOON + 1), Some(odd)),
    ];
    let mut asked = Vec::new();
    for t in tenants {
        for (since_us, until_us) in ranges {
            for bucket_us in [0, HOUR, 7 * HOUR] {
                for (meter, customer) in [(METER_EVENTS, None), ("calls", None), (METER_BYTES, Some("jane"))]
                {
                    let customer = customer.map(|id: &str| id.parse().unwrap());
                    let query =
                        UsageQuery { since_us, until_us, bucket_us, customer, ..UsageQuery::default() };
                    asked.push(async move {
                        let want = model.sum(t, meter, &query);
                        let sums = usage.sum(t, meter, &query).await.unwrap();
                        assert_eq!(sums, want, "step {step}: {t} {meter} {query:?}");
                    });
                }
            }
        }
    }
    join_all(asked).await;
}

fn any_record(rng: &mut StdRng, tenants: &[TenantId], latest: i64) -> UsageRecord {
    let t = &tenants[rng.random_range(0..tenants.len())];
    // Few ids at few times, so that many come again; some hours are left out.
    let hour = rng.random_range(0..latest.max(1)) * 5 / 4;
    let at = NOON + hour * HOUR + rng.random_range(0..4) * 15 * MINUTE;
    let mut record = record(t, rng.random_range(0..6), at);
    match rng.random_range(0..8) {
        0 => record.meters = Vec::new(),
        // What a record of this key always says, whoever writes it again.
        _ if at % HOUR == 0 => {
            record.meters = vec![("calls".into(), u64::try_from(hour).unwrap()), (METER_BYTES.into(), 3)];
        }
        _ => {}
    }
    record.customer = [None, Some("jane"), Some("joe")][usize::try_from(hour).unwrap() % 3]
        .filter(|_| !record.is_void())
        .map(|id| id.parse().unwrap());
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_equal_their_records_through_late_ones_voids_erasures_and_restarts() {
    for seed in 0..2 {
        let (mut usage, options) = open_still().await;
        let (mut rng, mut model) = (StdRng::seed_from_u64(seed), Model::default());
        let tenants = ["a", "b", "c"].map(tenant);
        let mut now = NOON;
        for step in 0..24 {
            now += rng.random_range(0..8) * HOUR;
            match rng.random_range(0..10) {
                0 => usage = ClickHouse::open(options.clone()).await.unwrap(),
                1 if step > 10 => {
                    let gone = &tenants[rng.random_range(0..tenants.len())];
                    usage.erase_tenant(gone).await.unwrap();
                    assert_eq!(usage.rows(gone).await.unwrap(), 0);
                    model.0.retain(|(t, _, _), _| t != gone);
                }
                2..=5 => drop(usage.roll_up(now).await.unwrap()),
                _ => {
                    let latest = (now - NOON) / HOUR;
                    let records: Vec<_> = (0..60).map(|_| any_record(&mut rng, &tenants, latest)).collect();
                    records.iter().for_each(|r| model.write(r));
                    usage.write(records).await.unwrap();
                }
            }
            if step % 6 == 5 {
                same(&usage, &model, &tenants, &mut rng, step).await;
            }
        }
        usage.roll_up(now + 30 * DAY).await.unwrap();
        same(&usage, &model, &tenants, &mut rng, 1_000).await;
    }
}

/// Takes the records away behind the store's back: what is still known is what was rolled up.
#[tokio::test(flavor = "multi_thread")]
async fn whole_hours_come_from_the_roll_up_and_late_ones_from_records() {
    let (usage, options) = open_still().await;
    let t = tenant("t");
    let hours =
        |hours: std::ops::Range<i64>| (hours.map(|n| record(&t, n, NOON + n * HOUR))).collect::<Vec<_>>();
    usage.write(hours(0..48)).await.unwrap();
    assert_eq!(usage.roll_up(NOON + 48 * HOUR).await.unwrap(), RolledUp { days: 3, again: 0 });
    assert_eq!(usage.roll_up(NOON + 48 * HOUR).await.unwrap(), RolledUp::default(), "nothing is new");
    // One late record makes its hour be read again.
    usage.write(vec![record(&t, "late", NOON + 5 * HOUR)]).await.unwrap();
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 49);
    Server::shared().run(&options.database, "TRUNCATE TABLE usage_records");
    // 47 hours were gone for an hour when they were rolled up; one of those is outdated.
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 46);
    usage.write(hours(5..6)).await.unwrap();
    assert_eq!(usage.roll_up(NOON + 48 * HOUR).await.unwrap(), RolledUp { days: 0, again: 1 });
    Server::shared().run(&options.database, "TRUNCATE TABLE usage_records");
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 47);
    // Minutes are not rolled up.
    let minutes = UsageQuery { bucket_us: MINUTE, ..UsageQuery::default() };
    assert_eq!(usage.sum(&t, METER_EVENTS, &minutes).await.unwrap(), []);
}

/// A roll-up that read its hours before a tenant was erased, and writes them after.
#[tokio::test(flavor = "multi_thread")]
async fn a_roll_up_that_comes_after_an_erasure_is_not_believed() {
    let (usage, options) = open_still().await;
    let t = tenant("t");
    let all: Vec<_> = (0..48).map(|n| record(&t, n, NOON + n * HOUR)).collect();
    usage.write(all.clone()).await.unwrap();
    usage.roll_up(NOON + 50 * HOUR).await.unwrap();
    let run = |statement: &str| Server::shared().run(&options.database, statement);
    run("CREATE TABLE under_way AS usage_hourly");
    run("INSERT INTO under_way SELECT * FROM usage_hourly");
    usage.erase_tenant(&t).await.unwrap();
    run("INSERT INTO usage_hourly SELECT * FROM under_way");
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 0);
    usage.write(all[..5].to_vec()).await.unwrap();
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 5);
    usage.roll_up(NOON + 50 * HOUR).await.unwrap();
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 5);
    run("TRUNCATE TABLE usage_records");
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 5, "rolled up again, and believed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_roll_ups_that_meet_lose_nothing() {
    let (usage, _) = open_still().await;
    let t = tenant("t");
    let stop = Arc::new(AtomicBool::new(false));
    // Two at once, each a little further in time with every run.
    let rollers: Vec<_> = (0..2)
        .map(|_| {
            let (usage, stop) = (usage.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut now = NOON;
                while !stop.load(Ordering::Relaxed) {
                    now = (now + HOUR).min(NOON + 60 * HOUR);
                    usage.roll_up(now).await.unwrap();
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..4u32)
        .map(|writer| {
            let (usage, t) = (usage.clone(), t.clone());
            tokio::spawn(async move {
                for n in 0..60i64 {
                    // Each into another hour, all over the range.
                    let hour = (n * 37 + i64::from(writer) * 11) % 60;
                    usage.write(vec![record(&t, format!("{writer}-{n}"), NOON + hour * HOUR)]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 240, "as soon as they are acknowledged");
    stop.store(true, Ordering::Relaxed);
    for roller in rollers {
        roller.await.unwrap();
    }
    usage.roll_up(NOON + 90 * HOUR).await.unwrap();
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 240, "from roll-ups");
}
