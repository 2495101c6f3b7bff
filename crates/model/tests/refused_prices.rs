//! Plans and billing accounts that are refused: where, and why.

#![expect(clippy::unwrap_used, clippy::too_many_lines, reason = "tables of cases")]

use model::resource::{BillingAccount, Fault, Plan};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::Segment;

/// What is said of a resource that was given as JSON: the first fault of its form, or all faults of its content.
fn faults<R: DeserializeOwned>(value: &Value, faults: impl Fn(&R) -> Vec<Fault>) -> Vec<(String, String)> {
    match serde_path_to_error::deserialize(value) {
        Ok(resource) => {
            faults(&resource).into_iter().map(|Fault { pointer, detail }| (pointer, detail)).collect()
        }
        Err(error) => {
            let pointer = error.path().iter().map(|segment| match segment {
                Segment::Seq { index } => format!("/{index}"),
                Segment::Map { key } => format!("/{key}"),
                Segment::Enum { .. } | Segment::Unknown => String::new(),
            });
            vec![(pointer.collect(), error.inner().to_string())]
        }
    }
}

/// A good plan, with the value at a pointer replaced, or taken out if there is no value.
fn changed(mut whole: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = whole.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(members), Some(value)) => drop(members.insert(name.to_owned(), value)),
        (Value::Object(members), None) => drop(members.remove(name)),
        (Value::Array(items), Some(value)) if name == "-" => items.push(value),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
        (parent, _) => panic!("{parent} has no members"),
    }
    whole
}

fn plan() -> Value {
    json!({"id": "pro", "prices": [
        {"effective_from": "2026-01-01", "currency": "EUR", "minimum": "10.00", "charges": [
            {"id": "base", "name": "Base fee", "price": {"model": "flat", "amount": "49.90"}},
            {"id": "events", "name": "Events", "meter": "events", "included": "1000000", "minimum": "5",
             "price": {"model": "per_unit", "amount": "0.000001"}},
            {"id": "bytes", "meter": "bytes", "per": "1000000000", "price": {"model": "graduated", "tiers": [
                {"up_to": "10", "amount": "0.30", "flat": "1.50"}, {"up_to": "100", "amount": "0.20"}, {"amount": "0.10"}]}},
            {"id": "cpu", "meter": "cpu_us", "price": {"model": "volume", "tiers": [
                {"up_to": "1000", "amount": "0.01"}, {"amount": "0.005"}]}},
            {"id": "egress", "meter": "egress_bytes", "per": "1000000000",
             "price": {"model": "package", "size": "50", "amount": "4"}},
        ]},
        {"effective_from": "2026-07-01", "currency": "EUR"},
    ]})
}

fn account() -> Value {
    json!({"tenant": "acme", "id": "main", "currency": "EUR", "time_zone": "Europe/Berlin",
        "bill_to": {"name": "Acme", "address": ["Street 1", "Town"], "tax_id": "DE1", "email": "pay@acme.example"},
        "bill_from": {"name": "Us", "address": ["Road 1"], "tax_id": "US1"},
        "plans": [{"plan": "free", "from": "2026-01-01", "until": "2026-03-15"}, {"plan": "pro", "from": "2026-03-15"}],
        "coupons": [{"id": "start", "name": "Start", "percent": "50", "from": "2026-01-01", "until": "2026-02-01"},
            {"id": "sorry", "amount": "5.00", "from": "2026-01-01"}],
        "commitments": [{"id": "y1", "amount": "100", "from": "2026-01-01", "until": "2027-01-01"},
            {"id": "y2", "amount": "200", "from": "2027-01-01"}],
        "credits": [{"id": "gift", "name": "Gift", "amount": "25.00", "from": "2026-01-01", "expires": "2026-07-01"}],
        "taxes": [{"id": "vat", "name": "VAT", "percent": "19"}],
        "thresholds": ["50", "80.50"],
        "quotas": [{"meter": "events", "quantity": 1000}, {"meter": "events", "quantity": 2000}]})
}

#[test]
fn good_ones_are_taken_and_written_as_they_were_read() {
    assert_eq!(faults(&plan(), Plan::faults), []);
    assert_eq!(faults(&account(), BillingAccount::faults), []);
    let read: Plan = serde_json::from_value(plan()).unwrap();
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["prices"][0]["charges"][2], plan()["prices"][0]["charges"][2]);
    assert_eq!(serde_json::from_value::<Plan>(written).unwrap(), read);
    let read: BillingAccount = serde_json::from_value(account()).unwrap();
    assert_eq!(serde_json::from_value::<BillingAccount>(serde_json::to_value(&read).unwrap()).unwrap(), read);
}

#[test]
fn old_entries_stay_as_they_are() {
    let old = r#"{"id":"pro","name":"Pro","limits":{},"created_at":""}"#;
    let read: Plan = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), old);
    let least = r#"{"tenant":"a","id":"b","currency":"JPY","time_zone":"UTC","created_at":""}"#;
    let read: BillingAccount = serde_json::from_str(r#"{"tenant":"a","id":"b","currency":"JPY"}"#).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), least);
    assert_eq!(read.faults(), []);
}

/// Replaces what is at the first pointer; the second pointer is at fault, for a reason that holds this text.
type Case = (&'static str, Option<Value>, &'static str, &'static str);

fn refused<R: DeserializeOwned>(good: &Value, check: impl Fn(&R) -> Vec<Fault>, cases: Vec<Case>) {
    for (place, value, pointer, reason) in cases {
        let told = faults(&changed(good.clone(), place, value.clone()), &check);
        let [(at, why)] = &told[..] else { panic!("{place} = {value:?}: {told:?}") };
        assert_eq!(at, pointer, "{place} = {value:?}: {why}");
        assert!(why.contains(reason), "{place} = {value:?}: {why:?} does not say {reason:?}");
    }
}

const EVENTS: &str = "/prices/0/charges/1";

#[test]
fn plans_that_are_refused() {
    let tiers = "/prices/0/charges/2/price/tiers";
    let many = |n: usize, item: Value| Some(Value::Array(vec![item; n]));
    let at = |prefix: &str, rest: &str| -> &'static str { format!("{prefix}{rest}").leak() };
    let cases: Vec<Case> = vec![
        // Forms.
        ("/prices/0/effective_from", Some(json!("2026-02-30")), "/prices/0/effective_from", "is not a day"),
        (
            "/prices/0/effective_from",
            Some(json!("2026-01-01T00:00:00Z")),
            "/prices/0/effective_from",
            "is not a day",
        ),
        ("/prices/0/effective_from", None, "/prices/0", "missing field `effective_from`"),
        ("/prices/0/currency", Some(json!("EURO")), "/prices/0/currency", "write its ISO 4217 code"),
        ("/prices/0/currency", Some(json!("eur")), "/prices/0/currency", "in capitals"),
        ("/prices/0/currency", None, "/prices/0", "missing field `currency`"),
        ("/prices/0/minimum", Some(json!(10)), "/prices/0/minimum", "expected a decimal as a string"),
        ("/prices/0/minimum", Some(json!(10.5)), "/prices/0/minimum", "expected a decimal as a string"),
        ("/prices/0/minimum", Some(json!("1e3")), "/prices/0/minimum", "without an exponent"),
        (
            "/prices/0/minimum",
            Some(json!("12345678901234567890123456789")),
            "/prices/0/minimum",
            "at most 28 in all",
        ),
        (at(EVENTS, "/included"), Some(json!("1,000")), at(EVENTS, "/included"), "is not a decimal"),
        (at(EVENTS, "/included"), Some(json!("1_000")), at(EVENTS, "/included"), "is not a decimal"),
        (at(EVENTS, "/id"), Some(json!("Events")), at(EVENTS, "/id"), "must be 1 to 63 characters"),
        (at(EVENTS, "/id"), None, EVENTS, "missing field `id`"),
        (
            at(EVENTS, "/price"),
            Some(json!({"model": "auction"})),
            at(EVENTS, "/price/model"),
            "unknown variant `auction`",
        ),
        (at(EVENTS, "/price"), Some(json!({"amount": "1"})), at(EVENTS, "/price"), "missing field `model`"),
        (
            at(EVENTS, "/price/amount"),
            Some(json!(0.5)),
            at(EVENTS, "/price"),
            "expected a decimal as a string",
        ),
        // Versions.
        (
            "/prices/1/currency",
            Some(json!("USD")),
            "/prices/1/currency",
            "must be EUR, as in the first version",
        ),
        (
            "/prices/1/effective_from",
            Some(json!("2026-01-01")),
            "/prices/1/effective_from",
            "must be after 2026-01-01",
        ),
        (
            "/prices/1/effective_from",
            Some(json!("2025-12-31")),
            "/prices/1/effective_from",
            "must be after 2026-01-01",
        ),
        ("/prices/0/minimum", Some(json!("-1")), "/prices/0/minimum", "must not be negative"),
        ("/prices/0/minimum", Some(json!("0.00")), "/prices/0/minimum", "must be more than 0"),
        ("/prices/0/minimum", Some(json!("1.001")), "/prices/0/minimum", "at most 2 decimals, as EUR has"),
        // Charges.
        (at(EVENTS, "/id"), Some(json!("base")), at(EVENTS, "/id"), "is the id of /prices/0/charges/0 too"),
        (at(EVENTS, "/name"), Some(json!("x".repeat(1025))), at(EVENTS, "/name"), "at most 1024 bytes"),
        (at(EVENTS, "/name"), Some(json!("a\u{7}")), at(EVENTS, "/name"), "control characters"),
        (at(EVENTS, "/meter"), None, at(EVENTS, "/meter"), "only a flat fee has none"),
        (at(EVENTS, "/meter"), Some(json!("")), at(EVENTS, "/meter"), "1 to 255 bytes"),
        (at(EVENTS, "/meter"), Some(json!("x".repeat(256))), at(EVENTS, "/meter"), "1 to 255 bytes"),
        (at(EVENTS, "/meter"), Some(json!("a\nb")), at(EVENTS, "/meter"), "control characters"),
        (at(EVENTS, "/included"), Some(json!("-1")), at(EVENTS, "/included"), "must not be negative"),
        (
            at(EVENTS, "/included"),
            Some(json!("0.1234567890123")),
            at(EVENTS, "/included"),
            "at most 12 decimals",
        ),
        (at(EVENTS, "/minimum"), Some(json!("0")), at(EVENTS, "/minimum"), "must be more than 0"),
        (at(EVENTS, "/minimum"), Some(json!("0.005")), at(EVENTS, "/minimum"), "at most 2 decimals"),
        (at(EVENTS, "/per"), Some(json!("0")), at(EVENTS, "/per"), "must be more than 0"),
        (at(EVENTS, "/per"), Some(json!("-1000")), at(EVENTS, "/per"), "must be more than 0"),
        (at(EVENTS, "/per"), Some(json!("0.0000000000001")), at(EVENTS, "/per"), "at most 12 decimals"),
        (
            at(EVENTS, "/price/amount"),
            Some(json!("-0.01")),
            at(EVENTS, "/price/amount"),
            "must not be negative",
        ),
        (
            at(EVENTS, "/price/amount"),
            Some(json!("0.0000000000001")),
            at(EVENTS, "/price/amount"),
            "at most 12 decimals",
        ),
        ("/prices/0/charges/0/meter", Some(json!("events")), "/prices/0/charges/0/meter", "must be left out"),
        ("/prices/0/charges/0/per", Some(json!("10")), "/prices/0/charges/0/per", "must be left out"),
        (
            "/prices/0/charges/0/included",
            Some(json!("10")),
            "/prices/0/charges/0/included",
            "must be left out",
        ),
        ("/prices/0/charges/0/minimum", Some(json!("10")), "/prices/0/charges/0/minimum", "must be left out"),
        (
            "/prices/0/charges/0/price/amount",
            Some(json!("-1")),
            "/prices/0/charges/0/price/amount",
            "negative",
        ),
        (
            "/prices/0/charges/0/price/amount",
            Some(json!("1.005")),
            "/prices/0/charges/0/price/amount",
            "at most 2",
        ),
        // Tiers and packages.
        (tiers, Some(json!([])), tiers, "at least one tier"),
        (tiers, many(51, json!({"amount": "1"})), tiers, "must be at most 50"),
        (
            at(tiers, "/1/up_to"),
            Some(json!("10")),
            at(tiers, "/1/up_to"),
            "must be more than 10, where the tier begins",
        ),
        (at(tiers, "/1/up_to"), Some(json!("9")), at(tiers, "/1/up_to"), "must be more than 10"),
        (at(tiers, "/1/up_to"), None, at(tiers, "/1/up_to"), "only the last has no end"),
        (
            at(tiers, "/2/up_to"),
            Some(json!("1000")),
            at(tiers, "/2/up_to"),
            "must be left out in the last tier",
        ),
        (at(tiers, "/0/up_to"), Some(json!("0")), at(tiers, "/0/up_to"), "must be more than 0"),
        (at(tiers, "/0/amount"), Some(json!("-0.3")), at(tiers, "/0/amount"), "must not be negative"),
        (at(tiers, "/0/flat"), Some(json!("-1")), at(tiers, "/0/flat"), "must not be negative"),
        (at(tiers, "/0/flat"), Some(json!("0.125")), at(tiers, "/0/flat"), "at most 2 decimals"),
        (
            "/prices/0/charges/3/price/tiers",
            Some(json!([])),
            "/prices/0/charges/3/price/tiers",
            "at least one tier",
        ),
        (
            "/prices/0/charges/4/price/size",
            Some(json!("0")),
            "/prices/0/charges/4/price/size",
            "must be more than 0",
        ),
        (
            "/prices/0/charges/4/price/size",
            Some(json!("-5")),
            "/prices/0/charges/4/price/size",
            "more than 0",
        ),
        (
            "/prices/0/charges/4/price/amount",
            Some(json!("-4")),
            "/prices/0/charges/4/price/amount",
            "negative",
        ),
        ("/prices/0/charges/4/price/size", None, "/prices/0/charges/4/price", "missing field `size`"),
    ];
    assert!(cases.len() >= 55, "{}", cases.len());
    let (lists, others): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| case.3 == "must be at most 50");
    refused(&plan(), Plan::faults, others);
    // Of a list that is too long more may be wrong.
    for (place, value, pointer, reason) in lists {
        let told = faults(&changed(plan(), place, value), Plan::faults);
        assert!(told.iter().any(|(at, why)| at == pointer && why.contains(reason)), "{told:?}");
    }
}

#[test]
fn lists_have_an_end_and_all_faults_are_told() {
    let versions =
        json!({"id": "p", "prices": vec![json!({"effective_from": "2026-01-01", "currency": "EUR"}); 101]});
    assert_eq!(faults(&versions, Plan::faults)[0], ("/prices".to_owned(), "must be at most 100".to_owned()));
    let charge = json!({"id": "a", "price": {"model": "flat", "amount": "1"}});
    let charges = changed(plan(), "/prices/0/charges", Some(json!(vec![charge; 51])));
    let told = faults(&charges, Plan::faults);
    assert_eq!(told[0], ("/prices/0/charges".to_owned(), "must be at most 50".to_owned()));
    assert_eq!(told.len(), 1 + 49, "and each id that is there twice");
    let yen = json!({"id": "p", "prices": [{"effective_from": "2026-01-01", "currency": "JPY", "minimum": "1.5",
        "charges": [{"id": "a", "price": {"model": "flat", "amount": "0.5"}}]}]});
    let told = faults(&yen, Plan::faults);
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|(_, why)| why == "must be a whole number: JPY has no decimals"), "{told:?}");
    let dinars = json!({"id": "p", "prices": [{"effective_from": "2026-01-01", "currency": "KWD", "minimum": "1.005"}]});
    assert_eq!(faults(&dinars, Plan::faults), []);
}

#[test]
fn accounts_that_are_refused() {
    let cases: Vec<Case> = vec![
        ("/id", Some(json!("Main")), "/id", "must be 1 to 63 characters"),
        ("/currency", None, "", "missing field `currency`"),
        ("/currency", Some(json!("BTC")), "/currency", "is no currency in use"),
        ("/customer", Some(json!("a.b")), "/customer", "must be 1 to 63 characters"),
        ("/time_zone", Some(json!("Mars/Olympus")), "/time_zone", "IANA time zone database"),
        ("/time_zone", Some(json!("europe/berlin")), "/time_zone", "such as \"Europe/Berlin\""),
        ("/time_zone", Some(json!("+02:00")), "/time_zone", "IANA"),
        ("/bill_to/name", Some(json!("x".repeat(1025))), "/bill_to/name", "at most 1024 bytes"),
        ("/bill_to/address", Some(json!(vec!["x"; 9])), "/bill_to/address", "must be at most 8"),
        ("/bill_to/address/1", Some(json!("a\nb")), "/bill_to/address/1", "control characters"),
        ("/bill_to/tax_id", Some(json!("\u{0}")), "/bill_to/tax_id", "control characters"),
        ("/bill_to/email", Some(json!("nobody")), "/bill_to/email", "must be an address such as"),
        ("/bill_from/tax_id", Some(json!("\u{0}")), "/bill_from/tax_id", "control characters"),
        ("/bill_to/email", Some(json!("a@b@c")), "/bill_to/email", "must be an address such as"),
        (
            "/plans/0/until",
            Some(json!("2026-01-01")),
            "/plans/0/until",
            "must be after 2026-01-01, where it begins",
        ),
        ("/plans/0/until", Some(json!("2025-01-01")), "/plans/0/until", "must be after 2026-01-01"),
        ("/plans/0/until", Some(json!("2026-03-16")), "/plans/1/from", "must be 2026-03-16 or later"),
        ("/plans/0/until", None, "/plans/1/from", "must not come after /plans/0, which has no end"),
        ("/plans/1/from", Some(json!("2025-06-01")), "/plans/1/from", "must be 2026-03-15 or later"),
        ("/plans/0/plan", Some(json!("")), "/plans/0/plan", "must be 1 to 63 characters"),
        ("/plans/0/from", Some(json!("yesterday")), "/plans/0/from", "is not a day"),
        ("/coupons/0/percent", Some(json!("100.01")), "/coupons/0/percent", "must be 0 to 100"),
        ("/coupons/0/percent", Some(json!("-1")), "/coupons/0/percent", "must be 0 to 100"),
        ("/coupons/0/percent", Some(json!(50)), "/coupons/0/percent", "expected a decimal as a string"),
        ("/coupons/0/percent", None, "/coupons/0", "either a percent or an amount"),
        ("/coupons/0/amount", Some(json!("5")), "/coupons/0", "either a percent or an amount"),
        ("/coupons/0/until", Some(json!("2026-01-01")), "/coupons/0/until", "must be after 2026-01-01"),
        ("/coupons/1/amount", Some(json!("0")), "/coupons/1/amount", "must be more than 0"),
        ("/coupons/1/amount", Some(json!("-5")), "/coupons/1/amount", "must not be negative"),
        ("/coupons/1/amount", Some(json!("5.001")), "/coupons/1/amount", "at most 2 decimals"),
        ("/coupons/1/id", Some(json!("start")), "/coupons/1/id", "is the id of /coupons/0 too"),
        ("/commitments/0/amount", Some(json!("0")), "/commitments/0/amount", "must be more than 0"),
        ("/commitments/0/amount", Some(json!("-1")), "/commitments/0/amount", "must not be negative"),
        ("/commitments/0/amount", Some(json!("1.234")), "/commitments/0/amount", "at most 2 decimals"),
        (
            "/commitments/0/until",
            Some(json!("2025-01-01")),
            "/commitments/0/until",
            "must be after 2026-01-01",
        ),
        ("/commitments/0/until", None, "/commitments/1/from", "which has no end"),
        (
            "/commitments/1/from",
            Some(json!("2026-12-31")),
            "/commitments/1/from",
            "must be 2027-01-01 or later",
        ),
        ("/commitments/1/id", Some(json!("y1")), "/commitments/1/id", "is the id of /commitments/0 too"),
        ("/credits/0/amount", Some(json!("0")), "/credits/0/amount", "must be more than 0"),
        ("/credits/0/amount", Some(json!("-25")), "/credits/0/amount", "must not be negative"),
        ("/credits/0/amount", Some(json!("25.005")), "/credits/0/amount", "at most 2 decimals"),
        ("/credits/0/expires", Some(json!("2026-01-01")), "/credits/0/expires", "must be after 2026-01-01"),
        ("/credits/0/expires", Some(json!("2025-12-31")), "/credits/0/expires", "where it begins"),
        ("/credits/0/from", None, "/credits/0", "missing field `from`"),
        (
            "/credits/-",
            Some(json!({"id": "gift", "amount": "1", "from": "2026-01-01"})),
            "/credits/1/id",
            "is the id of",
        ),
        ("/taxes/0/percent", Some(json!("101")), "/taxes/0/percent", "must be 0 to 100"),
        ("/taxes/0/percent", Some(json!("-19")), "/taxes/0/percent", "must be 0 to 100"),
        ("/taxes/0/percent", Some(json!("0.0000000000001")), "/taxes/0/percent", "at most 12 decimals"),
        ("/taxes/-", Some(json!({"id": "vat", "percent": "1"})), "/taxes/1/id", "is the id of /taxes/0 too"),
        ("/thresholds/0", Some(json!("0")), "/thresholds/0", "must be more than 0"),
        ("/thresholds/1", Some(json!("50")), "/thresholds/1", "must be more than 50"),
        ("/thresholds/1", Some(json!("80.505")), "/thresholds/1", "at most 2 decimals"),
        ("/quotas/0/quantity", Some(json!(0)), "/quotas/0/quantity", "at least 1"),
        ("/quotas/0/quantity", Some(json!(2000)), "/quotas/1", "is there before"),
        ("/quotas/1/meter", Some(json!("")), "/quotas/1/meter", "must be 1 to"),
        ("/thresholds/0", Some(json!(50)), "/thresholds/0", "expected a decimal as a string"),
    ];
    assert!(cases.len() >= 50, "{}", cases.len());
    refused(&account(), BillingAccount::faults, cases);
    let yen = json!({"tenant": "a", "id": "b", "currency": "JPY", "thresholds": ["1.5"],
        "credits": [{"id": "c", "amount": "0.5", "from": "2026-01-01"}]});
    assert_eq!(faults(&yen, BillingAccount::faults).len(), 2);
}
