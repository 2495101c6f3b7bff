//! Invoices over a real broker and the embedded store.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "billing/compared.rs"]
mod compared;

use std::{collections::BTreeMap, sync::Arc};

use billing::{Biller, CreditWish, Error, Ledger, Terms};
use bus::{
    Bus, TopologyOptions,
    topology::{self, INVOICES},
};
use futures::future::join_all;
use model::{
    Decimal, Durability, Micros, TenantId, parse_rfc3339,
    resource::{BillingAccount, Plan},
};
use rating::{LineKind, Period};
use serde_json::{Value, json};
use store::{METER_BYTES, METER_EVENTS, Origin, UsageRecord, UsageStore, embedded::Embedded, record_id};
use testkit::NatsServer;

struct World {
    _nats: NatsServer,
    bus: Bus,
    biller: Biller,
    usage: Embedded,
    folder: tempfile::TempDir,
}

async fn embedded(folder: &std::path::Path) -> Embedded {
    Embedded::open(folder, Durability::Process, store::embedded::Options::default()).await.unwrap()
}

impl World {
    async fn new() -> Self {
        let nats = NatsServer::start();
        let bus = Bus::connect(&bus::Options { url: nats.url(), ..Default::default() }).await.unwrap();
        let options = TopologyOptions { partitions: 1, ..Default::default() };
        topology::ensure(&bus, &options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let usage = embedded(&folder.path().join("usage")).await;
        let biller = Biller::new(Ledger::new(&bus), Arc::new(usage.clone()));
        Self { _nats: nats, bus, biller, usage, folder }
    }

    async fn use_events(&self, tenant: &str, ids: std::ops::Range<u32>, at: &str) {
        let at_us = at_us(at);
        UsageStore::write(&self.usage, ids.map(|id| record(tenant, &id.to_string(), at_us, 100)).collect())
            .await
            .unwrap();
    }
}

fn at_us(text: &str) -> Micros {
    parse_rfc3339(text).unwrap()
}

fn record(tenant: &str, id: &str, at_us: Micros, bytes: u64) -> UsageRecord {
    UsageRecord {
        tenant: tenant.parse().unwrap(),
        id: record_id("/s", id),
        at_us,
        origin: Origin::Event { source: "/s".into(), id: id.into() },
        customer: None,
        event_type: None,
        meters: vec![(METER_EVENTS.into(), 1), (METER_BYTES.into(), bytes)],
    }
}

fn account(tenant: &str, more: &Value) -> BillingAccount {
    let mut account = json!({
        "tenant": tenant, "id": "main", "currency": "EUR", "plans": [{"plan": "pro", "from": "2026-01-01"}],
    });
    account.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(account).unwrap()
}

/// 10.00 a month and 0.01 an event.
fn terms(tenant: &str, more: &Value) -> Terms {
    let plan: Plan = serde_json::from_value(json!({"id": "pro", "prices": [{
        "effective_from": "2026-01-01", "currency": "EUR", "charges": [
            {"id": "base", "price": {"model": "flat", "amount": "10.00"}},
            {"id": "events", "meter": "events", "price": {"model": "per_unit", "amount": "0.01"}},
        ],
    }]}))
    .unwrap();
    Terms { account: account(tenant, more), plans: vec![plan], meters: BTreeMap::new() }
}

fn month(id: &str) -> Period {
    Period::named("UTC", id).unwrap()
}

fn amount(text: &str) -> Decimal {
    text.parse().unwrap()
}

const NOVEMBER: &str = "2026-11-02T00:00:00Z";
const DECEMBER: &str = "2026-12-02T00:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_invoiced_once_and_numbers_have_no_gap() {
    let world = World::new().await;
    let tenants: Vec<_> = (0..20).map(|n| terms(&format!("t{n}"), &json!({}))).collect();
    for n in 0..20 {
        world.use_events(&format!("t{n}"), 0..n, "2026-10-05T00:00:00Z").await;
    }
    let october = month("2026-10");
    // Eight at once for each tenant.
    let all = tenants.iter().flat_map(|terms| std::iter::repeat_n(terms, 8));
    let made = join_all(all.map(|terms| world.biller.finalize(terms, &october, at_us(NOVEMBER)))).await;
    let made: Vec<_> = made.into_iter().map(Result::unwrap).collect();
    assert_eq!(made.iter().filter(|made| made.is_new).count(), 20);
    let mut numbers: Vec<_> =
        made.iter().filter(|made| made.is_new).map(|made| made.invoice.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    for (n, made) in made.chunks(8).enumerate() {
        for one in made {
            assert_eq!(one.invoice.number, made[0].invoice.number);
            let expected = rust_decimal::Decimal::new(1000 + i64::try_from(n).unwrap(), 2);
            assert_eq!(one.invoice.document.draft.due.get(), expected);
        }
    }
    // Nobody can take one out.
    let stream = world.bus.jetstream().get_stream(INVOICES).await.unwrap();
    assert!(stream.delete_message(1).await.is_err());
    assert!(stream.purge().await.is_err());
    // Another tenant's number is no number.
    let of = |tenant: &str| tenant.parse::<TenantId>().unwrap();
    let (mine, invoices) = (made[0].invoice.number, &world.biller.ledger().invoices);
    assert!(invoices.get(&of("t0"), mine).await.unwrap().is_some());
    assert!(invoices.get(&of("t1"), mine).await.unwrap().is_none());
    assert_eq!(invoices.page(&of("t0"), 0, 10).await.unwrap().len(), 1);
    assert!(invoices.get(&of("t0"), 21).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_pays_its_part_and_the_tenant_the_whole() {
    let world = World::new().await;
    let at = at_us("2026-10-05T00:00:00Z");
    let of = |id: u32, customer: Option<&str>| UsageRecord {
        customer: customer.map(|id| id.parse().unwrap()),
        ..record("acme", &id.to_string(), at, 100)
    };
    let customers = [Some("jane"), Some("jane"), Some("joe"), None];
    let records = (0..40).map(|id| of(id, customers[id as usize % 4])).collect();
    UsageStore::write(&world.usage, records).await.unwrap();
    for (id, customer, due) in [
        ("main", None, "10.40"),
        ("jane", Some("jane"), "10.20"),
        ("joe", Some("joe"), "10.10"),
        ("new", Some("new"), "10.00"),
    ] {
        let terms = terms("acme", &json!({"id": id, "customer": customer}));
        let made = world.biller.finalize(&terms, &month("2026-10"), at_us(NOVEMBER)).await.unwrap();
        assert_eq!(made.invoice.document.draft.due, amount(due), "{id}");
        assert_eq!(world.biller.again(&made.invoice.document).await.unwrap(), made.invoice.document.draft);
    }
    // What nobody knows of customers is not charged them.
    let mut terms = terms("acme", &json!({"id": "stores", "customer": "jane"}));
    terms.plans[0].prices[0].charges[1].meter = Some("stored_byte_hours".to_owned());
    let refused = world.biller.preview(&terms, &month("2026-10"), at_us(NOVEMBER)).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict(why) if why.contains("stored_byte_hours")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_over_is_previewed_with_a_forecast() {
    let world = World::new().await;
    let terms = terms("acme", &json!({}));
    world.use_events("acme", 0..100, "2026-10-05T00:00:00Z").await;
    let (october, eleventh) = (month("2026-10"), at_us("2026-10-11T00:00:00Z"));
    let refused = world.biller.finalize(&terms, &october, eleventh).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict(reason) if reason.contains("2026-11-01")), "{refused}");
    let seen = world.biller.preview(&terms, &october, eleventh).await.unwrap();
    assert_eq!(seen.draft.due, amount("11.00"));
    // 100 in ten days are 310 in 31.
    assert_eq!(seen.forecast.unwrap().due, amount("13.10"));
    let over = world.biller.preview(&terms, &october, at_us(NOVEMBER)).await.unwrap();
    assert!(over.forecast.is_none());
    assert_eq!(world.biller.ledger().latest(&terms.account.tenant, None).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_late_is_in_the_next_invoice_and_in_no_other() {
    let world = World::new().await;
    let terms = terms("acme", &json!({}));
    world.use_events("acme", 0..100, "2026-09-05T00:00:00Z").await;
    let september = world.biller.finalize(&terms, &month("2026-09"), at_us(NOVEMBER)).await.unwrap();
    assert_eq!(september.invoice.document.draft.due, amount("11.00"));
    // Fifty more, and ten that were told before.
    world.use_events("acme", 90..150, "2026-09-05T00:00:00Z").await;
    let again = world.biller.finalize(&terms, &month("2026-09"), at_us(NOVEMBER)).await.unwrap();
    assert_eq!((again.is_new, &again.invoice.document), (false, &september.invoice.document));

    let october = world.biller.finalize(&terms, &month("2026-10"), at_us(NOVEMBER)).await.unwrap();
    let draft = &october.invoice.document.draft;
    let late: Vec<_> = draft.lines.iter().filter(|line| line.kind == LineKind::Late).collect();
    assert_eq!(late.len(), 1);
    assert_eq!((late[0].quantity, late[0].amount), (Some(amount("50")), amount("0.50")));
    assert_eq!((draft.subtotal, draft.late, draft.due), (amount("10.00"), amount("0.50"), amount("10.50")));
    // It is charged now; what comes even later is the difference to that.
    world.use_events("acme", 150..157, "2026-09-06T00:00:00Z").await;
    let november = world.biller.finalize(&terms, &month("2026-11"), at_us(DECEMBER)).await.unwrap();
    assert_eq!(november.invoice.document.draft.late, amount("0.07"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_change_touches_no_invoice() {
    let world = World::new().await;
    let mut terms = terms("acme", &json!({}));
    world.use_events("acme", 0..100, "2026-10-05T00:00:00Z").await;
    let made = world.biller.finalize(&terms, &month("2026-10"), at_us(NOVEMBER)).await.unwrap();
    let dearer = json!([{"effective_from": "2026-01-01", "currency": "EUR", "charges": [
        {"id": "events", "meter": "events", "price": {"model": "per_unit", "amount": "9.99"}}]}]);
    terms.plans[0].prices = serde_json::from_value(dearer).unwrap();
    let there = world.biller.finalize(&terms, &month("2026-10"), at_us(NOVEMBER)).await.unwrap();
    assert_eq!(there.invoice.document, made.invoice.document);
    assert_eq!(world.biller.again(&made.invoice.document).await.unwrap(), made.invoice.document.draft);
    // Nor does it come back as something late.
    let next = world.biller.finalize(&terms, &month("2026-11"), at_us(DECEMBER)).await.unwrap();
    assert_eq!(next.invoice.document.draft.late, amount("0.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_are_used_up_over_months() {
    let world = World::new().await;
    let credits =
        json!({"credits": [{"id": "gift", "name": "Gift", "amount": "15.00", "from": "2026-01-01"}]});
    let terms = terms("acme", &credits);
    let due = async |period: &str, now: &str| {
        let made = world.biller.finalize(&terms, &month(period), at_us(now)).await.unwrap();
        (made.invoice.number, made.invoice.document.draft.due)
    };
    let (september, paid) = due("2026-09", NOVEMBER).await;
    assert_eq!(paid, amount("0.00"));
    assert_eq!(due("2026-10", NOVEMBER).await.1, amount("5.00"));
    assert_eq!(due("2026-11", DECEMBER).await.1, amount("10.00"));
    // What a void invoice used is there again.
    let void = CreditWish { invoice: september, amount: None, reason: "wrong".into() };
    world.biller.credit(&terms.account.tenant, &void, at_us(DECEMBER)).await.unwrap();
    let (again, paid) = due("2026-09", DECEMBER).await;
    assert_eq!((again, paid), (4, amount("0.00")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_taken_back_once() {
    let world = World::new().await;
    let terms = terms("acme", &json!({}));
    let tenant = &terms.account.tenant;
    let made = world.biller.finalize(&terms, &month("2026-10"), at_us(NOVEMBER)).await.unwrap();
    let credit = async |amount: Option<&str>| {
        let amount = amount.map(|text| text.parse().unwrap());
        let wish = CreditWish { invoice: made.invoice.number, amount, reason: "r".into() };
        world.biller.credit(tenant, &wish, at_us(NOVEMBER)).await
    };
    for (wrong, why) in
        [("10.01", "at most 10.00"), ("0", "more than 0"), ("-1", "more than 0"), ("1.001", "2 decimals")]
    {
        let error = credit(Some(wrong)).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid { detail, .. } if detail.contains(why)), "{wrong}: {error}");
    }
    assert_eq!(credit(Some("4.00")).await.unwrap().number, 1);
    assert!(credit(Some("6.01")).await.is_err());
    // Ten at once: one is first.
    let voids = join_all((0..10).map(|_| credit(None))).await;
    let done: Vec<_> = voids.into_iter().filter_map(Result::ok).collect();
    assert_eq!(done.len(), 1);
    assert_eq!((done[0].number, done[0].document.void, done[0].document.amount), (2, true, amount("6.00")));
    assert!(matches!(credit(Some("1.00")).await, Err(Error::Conflict(_))));
    assert_eq!(world.biller.ledger().latest(tenant, None).await.unwrap(), None);
    let again = world.biller.finalize(&terms, &month("2026-10"), at_us(NOVEMBER)).await.unwrap();
    assert_eq!((again.is_new, again.invoice.number), (true, 2));
    let nobodys = CreditWish { invoice: 99, amount: None, reason: "r".into() };
    assert!(matches!(world.biller.credit(tenant, &nobodys, 0).await, Err(Error::NotFound(_))));
}
