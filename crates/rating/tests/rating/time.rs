//! Parts of months: plans and prices that change, months of every length, time zones.

use model::format_rfc3339;
use rating::{Quantities, Record, segments};
use serde_json::json;

use crate::support::{charge, flat, month, month_of, package, per_unit, tiers};

const HALF: &str = "2026-04-16";

#[test]
fn what_is_said_of_a_month_is_taken_in_proportion() {
    let half = |price| month(&price).on(HALF, None);
    // 49.90 × 15/30
    half(flat("49.90")).comes_to(&["charge/04-16/e 24.95"], "24.95");
    // 10 × 10/30
    month(&flat("10")).on("2026-04-11", Some("2026-04-21")).comes_to(&["charge/04-11/e 3.33"], "3.33");
    // 0.01 × 1/30
    month(&flat("0.01")).on("2026-04-30", None).comes_to(&["charge/04-30/e 0.00"], "0.00");
    // 0.15 × 1/30 = 0.005
    month(&flat("0.15")).on("2026-04-30", None).comes_to(&["charge/04-30/e 0.01"], "0.01");
    // (200 - 300 × 15/30) × 0.10
    let included = charge(&per_unit("0.10"), &json!({"included": "300"}));
    month_of(json!([included])).on(HALF, None).used(200).comes_to(&["charge/04-16/e 5.00"], "5.00");
    // Bounds 5 and 50: 5 × 1 + 1 × 0.50
    half(tiers("graduated", "10:1.00 100:0.50 0.10")).used(6).comes_to(&["charge/04-16/e 5.50"], "5.50");
    // Bound 10/3: 10/3 × 1 + (5 - 10/3) × 0.50 = 4.1666…
    month(&tiers("graduated", "10:1.00 0.50"))
        .on("2026-04-21", None)
        .used(5)
        .comes_to(&["charge/04-21/e 4.17"], "4.17");
    // 5 × 1 + 5 × 15/30
    half(tiers("graduated", "10:1.00+5 0")).used(5).comes_to(&["charge/04-16/e 7.50"], "7.50");
    // Bound 5.
    half(tiers("volume", "10:1.00 0.50")).used(5).comes_to(&["charge/04-16/e 5.00"], "5.00");
    half(tiers("volume", "10:1.00 0.50")).used(6).comes_to(&["charge/04-16/e 3.00"], "3.00");
    // 5 × 15/30 - 1
    let least = charge(&per_unit("0.01"), &json!({"minimum": "5"}));
    let least = month_of(json!([least])).on(HALF, None).used(100);
    least.comes_to(&["charge/04-16/e 1.00", "minimum/04-16/e 1.50"], "2.50");
    // 10 × 15/30 - 1
    let plan = month(&per_unit("0.01")).priced(&json!({"minimum": "10"})).on(HALF, None).used(100);
    plan.comes_to(&["charge/04-16/e 1.00", "minimum/04-16 4.00"], "5.00");
}

#[test]
fn what_a_unit_costs_is_not() {
    month(&per_unit("0.01")).on(HALF, None).used(100).comes_to(&["charge/04-16/e 1.00"], "1.00");
    month(&package("50", "4")).on(HALF, None).used(51).comes_to(&["charge/04-16/e 8.00"], "8.00");
}

#[test]
fn prices_that_change() {
    let e = |price, more| json!([charge(&price, &more)]);
    // 30 × 20/30, 60 × 10/30
    month(&flat("30"))
        .then("2026-04-21", &e(flat("60"), json!({})))
        .comes_to(&["charge/04-01/e 20.00", "charge/04-21/e 20.00"], "40.00");
    // 100 × 0.01, 100 × 0.02
    month(&per_unit("0.01"))
        .then("2026-04-21", &e(per_unit("0.02"), json!({})))
        .used(100)
        .used_from("2026-04-21", "e", 100)
        .comes_to(&["charge/04-01/e 1.00", "charge/04-21/e 2.00"], "3.00");
    // 200 of 300 are free in the first 20 days, 100 in the rest: what is left of the first is not carried over.
    let free = || e(per_unit("0.01"), json!({"included": "300"}));
    month_of(free())
        .then("2026-04-21", &free())
        .used(120)
        .used_from("2026-04-21", "e", 150)
        .comes_to(&["charge/04-01/e 0.00", "charge/04-21/e 0.50"], "0.50");
    // 9 × 10/30 three times
    month(&flat("9"))
        .then("2026-04-11", &e(flat("9"), json!({})))
        .then("2026-04-21", &e(flat("9"), json!({})))
        .comes_to(&["charge/04-01/e 3.00", "charge/04-11/e 3.00", "charge/04-21/e 3.00"], "9.00");
    // On the first day of a month nothing is cut.
    month(&flat("30")).then("2026-04-01", &e(flat("60"), json!({}))).costs("60.00");
    month(&flat("30")).then("2026-05-01", &e(flat("60"), json!({}))).costs("30.00");
    // 30 × 29/30, 60 × 1/30
    month(&flat("30"))
        .then("2026-04-30", &e(flat("60"), json!({})))
        .comes_to(&["charge/04-01/e 29.00", "charge/04-30/e 2.00"], "31.00");
    // Before the first version nothing is charged: 30 × 15/30
    month(&flat("30")).priced(&json!({"effective_from": HALF})).comes_to(&["charge/04-16/e 15.00"], "15.00");
    month(&flat("30")).priced(&json!({"effective_from": "2026-05-01"})).comes_to(&[], "0.00");
}

#[test]
fn plans_that_change() {
    let q = json!([{"id": "e", "price": flat("60")}]);
    let both = |plans| month(&flat("30")).plan("q", &q).with(&json!({"plans": plans}));
    // 30 × 15/30, 60 × 15/30
    both(json!([{"plan": "p", "from": "2020-01-01", "until": HALF}, {"plan": "q", "from": HALF}]))
        .comes_to(&["charge/04-01/e 15.00", "charge/04-16/e 30.00"], "45.00");
    // 9 and 11 days, and ten without a plan.
    both(json!([{"plan": "p", "from": "2020-01-01", "until": "2026-04-10"}, {"plan": "q", "from": "2026-04-20"}]))
        .comes_to(&["charge/04-01/e 9.00", "charge/04-20/e 22.00"], "31.00");
    // The same plan again, with the same prices, is one stretch.
    both(json!([{"plan": "p", "from": "2020-01-01", "until": HALF}, {"plan": "p", "from": HALF}]))
        .costs("30.00");
    // There and back.
    both(json!([{"plan": "p", "from": "2020-01-01", "until": "2026-04-11"},
        {"plan": "q", "from": "2026-04-11", "until": "2026-04-21"}, {"plan": "p", "from": "2026-04-21"}]))
    .comes_to(&["charge/04-01/e 10.00", "charge/04-11/e 20.00", "charge/04-21/e 10.00"], "40.00");
    both(json!([{"plan": "p", "from": "2020-01-01", "until": "2026-04-01"}])).comes_to(&[], "0.00");
    both(json!([{"plan": "p", "from": "2026-05-01"}])).comes_to(&[], "0.00");
    both(json!([])).comes_to(&[], "0.00");
}

#[test]
fn months_of_every_length() {
    let of = |id, fee: &str, from: &str| month(&flat(fee)).of(id).on(from, None);
    // 29 × 15/29 in a leap year, 29 × 14/28 in another.
    of("2024-02", "29", "2024-02-15").comes_to(&["charge/02-15/e 15.00"], "15.00");
    of("2026-02", "29", "2026-02-15").comes_to(&["charge/02-15/e 14.50"], "14.50");
    // The 29th alone.
    of("2024-02", "29", "2024-02-29").comes_to(&["charge/02-29/e 1.00"], "1.00");
    // 2100 is none: 28 × 14/28.
    of("2100-02", "28", "2100-02-15").comes_to(&["charge/02-15/e 14.00"], "14.00");
    // 31 × 16/31
    of("2026-01", "31", "2026-01-16").comes_to(&["charge/01-16/e 16.00"], "16.00");
    // Across the year: 10 × 1/31 and the whole.
    of("2026-12", "10", "2026-12-31").comes_to(&["charge/12-31/e 0.32"], "0.32");
    of("2027-01", "10", "2026-12-31").costs("10.00");
}

#[test]
fn summer_time_changes_no_proportion() {
    let berlin = json!({"time_zone": "Europe/Berlin"});
    // 15 of 31 days each, whatever their hours.
    month(&flat("31"))
        .of("2026-10")
        .on("2026-10-17", None)
        .with(&berlin)
        .comes_to(&["charge/10-17/e 15.00"], "15.00");
    month(&flat("31"))
        .of("2026-03")
        .on("2026-03-17", None)
        .with(&berlin)
        .comes_to(&["charge/03-17/e 15.00"], "15.00");
    let e = json!([charge(&flat("62"), &json!({}))]);
    let cut = month(&flat("31")).of("2026-10").then("2026-10-25", &e).with(&berlin);
    // 31 × 24/31, 62 × 7/31
    cut.comes_to(&["charge/10-01/e 24.00", "charge/10-25/e 14.00"], "38.00");
    let (account, plans, period) = (cut.account(), cut.plans(), cut.period());
    let segments = segments(&account, |id| plans.get(id), &period).unwrap();
    let bounds: Vec<_> = segments.iter().map(|s| [s.since_us, s.until_us].map(format_rfc3339)).collect();
    // The day on which clocks go back begins in summer time; the month ends in winter time.
    assert_eq!(
        bounds,
        [["2026-09-30T22:00:00Z", "2026-10-24T22:00:00Z"], ["2026-10-24T22:00:00Z", "2026-10-31T23:00:00Z"]]
    );
}

#[test]
fn use_counts_where_its_day_is() {
    let e = json!([charge(&per_unit("2"), &json!({}))]);
    let at = |text: &str| model::parse_rfc3339(text).unwrap();
    let records = [
        ("a", at("2026-03-31T22:00:00Z"), 1),
        ("b", at("2026-04-15T21:59:59.999999Z"), 10),
        ("c", at("2026-04-15T22:00:00Z"), 100),
        ("d", at("2026-04-30T21:59:59.999999Z"), 1_000),
        ("before", at("2026-03-31T21:59:59.999999Z"), 7),
        ("after", at("2026-04-30T22:00:00Z"), 7),
    ];
    let month = month(&per_unit("1")).then(HALF, &e).with(&json!({"time_zone": "Europe/Berlin"}));
    let (account, plans, period) = (month.account(), month.plans(), month.period());
    let segments = segments(&account, |id| plans.get(id), &period).unwrap();
    let records = records.map(|(id, at_us, quantity)| Record { id, at_us, meter: "e", quantity });
    let counted = Quantities::of_records(&segments, records);
    let mut expected = Quantities::default();
    expected.add(&segments[0], "e", 11);
    expected.add(&segments[1], "e", 1_100);
    assert_eq!(counted, expected);
}
