//! One charge over a whole month: each model at its edges, rounding, currencies, minimums.

use serde_json::json;

use crate::support::{charge, flat, month, month_of, package, per_unit, tiers};

#[test]
fn flat_fees() {
    month(&flat("49.90")).costs("49.90");
    month(&flat("0")).costs("0.00");
    month(&flat("7")).costs("7.00");
}

#[test]
fn each_unit() {
    month(&per_unit("0.002")).used(0).costs("0.00");
    // 0.002
    month(&per_unit("0.002")).used(1).costs("0.00");
    // 0.006
    month(&per_unit("0.002")).used(3).costs("0.01");
    // 0.005: half goes up.
    month(&per_unit("0.005")).used(1).costs("0.01");
    // 0.0049
    month(&per_unit("0.0049")).used(1).costs("0.00");
    // 0.015; as a binary fraction it would be less.
    month(&per_unit("0.005")).used(3).costs("0.02");
    // 1234 × 0.0125 = 15.425
    month(&per_unit("0.0125")).used(1_234).costs("15.43");
    // 1005 × 0.001 = 1.005; as a binary fraction it would be less.
    month(&per_unit("0.001")).used(1_005).costs("1.01");
    // 10^6 × 10^-12 = 10^-6
    month(&per_unit("0.000000000001")).used(1_000_000).costs("0.00");
    // 5 × 10^9 × 10^-12 = 0.005
    month(&per_unit("0.000000000001")).used(5_000_000_000).costs("0.01");
    // 2^64 - 1
    month(&per_unit("1")).used(u64::MAX).costs("18446744073709551615.00");
}

#[test]
fn units_of_many() {
    let per = |per: &str, price: &str| month_of(json!([charge(&per_unit(price), &json!({"per": per}))]));
    // 2.5 GB × 0.09 = 0.225
    per("1000000000", "0.09").used(2_500_000_000).costs("0.23");
    // 10^-9 × 0.09
    per("1000000000", "0.09").used(1).costs("0.00");
    // 10/3 × 0.30 = 1 exactly: no digits are lost on the way.
    per("3", "0.30").used(10).costs("1.00");
    // 1/7 × 0.035 = 0.005 exactly, and half goes up.
    per("7", "0.035").used(1).costs("0.01");
    // 3 / 0.5 × 0.10 = 0.60
    per("0.5", "0.10").used(3).costs("0.60");
    let both = json!({"per": "1000", "included": "0.5"});
    // (1000 / 1000 - 0.5) × 0.03 = 0.015
    month_of(json!([charge(&per_unit("0.03"), &both)])).used(1_000).costs("0.02");
}

#[test]
fn included_units() {
    let included = || month_of(json!([charge(&per_unit("0.01"), &json!({"included": "1000"}))]));
    included().used(0).costs("0.00");
    included().used(999).costs("0.00");
    included().used(1_000).costs("0.00");
    included().used(1_001).costs("0.01");
    // 500 × 0.01
    included().used(1_500).costs("5.00");
}

#[test]
fn graduated() {
    let plain = |used| month(&tiers("graduated", "10:1.00 100:0.50 0.10")).used(used);
    plain(0).costs("0.00");
    plain(1).costs("1.00");
    plain(10).costs("10.00");
    // 10 + 0.50
    plain(11).costs("10.50");
    // 10 + 90 × 0.50
    plain(100).costs("55.00");
    // 55 + 0.10
    plain(101).costs("55.10");
    // 55 + 900 × 0.10
    plain(1_000).costs("145.00");
    let flats = |used| month(&tiers("graduated", "10:1.00+5 0.50+20")).used(used);
    flats(0).costs("0.00");
    // 1 + 5
    flats(1).costs("6.00");
    // 10 + 5
    flats(10).costs("15.00");
    // 15 + 0.50 + 20
    flats(11).costs("35.50");
    month(&tiers("graduated", "0.10")).used(7).costs("0.70");
    // Bounds are in units of 1000: 0.5 × 2 + 0.001 × 1 = 1.001; and 0.5 × 2 + 0.1 = 1.10
    let small =
        |used| month_of(json!([charge(&tiers("graduated", "0.5:2 1"), &json!({"per": "1000"}))])).used(used);
    small(501).costs("1.00");
    small(600).costs("1.10");
    let free = month_of(json!([charge(&tiers("graduated", "10:1.00 0.50"), &json!({"included": "5"}))]));
    // What is included is taken off first: 10 × 1.00 + 1 × 0.50
    free.used(16).costs("10.50");
    // Rounded once, at the end: 0.004 + 0.004 = 0.008
    month(&tiers("graduated", "1:0.004 0.004")).used(2).costs("0.01");
}

#[test]
fn volume() {
    let plain = |used| month(&tiers("volume", "10:1.00 100:0.50 0.10")).used(used);
    plain(0).costs("0.00");
    plain(10).costs("10.00");
    // 11 × 0.50
    plain(11).costs("5.50");
    plain(100).costs("50.00");
    // 101 × 0.10
    plain(101).costs("10.10");
    let flats = |used| month(&tiers("volume", "10:0+5 0.10+1")).used(used);
    flats(0).costs("0.00");
    flats(1).costs("5.00");
    flats(10).costs("5.00");
    // 11 × 0.10 + 1
    flats(11).costs("2.10");
}

#[test]
fn packages() {
    let fifty = |used| month(&package("50", "4")).used(used);
    fifty(0).costs("0.00");
    fifty(1).costs("4.00");
    fifty(50).costs("4.00");
    fifty(51).costs("8.00");
    fifty(500).costs("40.00");
    let free = |used| month_of(json!([charge(&package("50", "4"), &json!({"included": "10"}))])).used(used);
    free(10).costs("0.00");
    free(60).costs("4.00");
    free(61).costs("8.00");
    // 0.501 of size 0.5 are two.
    month_of(json!([charge(&package("0.5", "4"), &json!({"per": "1000"}))])).used(501).costs("8.00");
    // 3 × 0.335 = 1.005
    month(&package("1", "0.335")).used(3).costs("1.01");
}

#[test]
fn minimums() {
    let least = |used| month_of(json!([charge(&per_unit("0.01"), &json!({"minimum": "5"}))])).used(used);
    // 5 - 1
    least(100).comes_to(&["charge/04-01/e 1.00", "minimum/04-01/e 4.00"], "5.00");
    least(0).comes_to(&["charge/04-01/e 0.00", "minimum/04-01/e 5.00"], "5.00");
    least(500).costs("5.00");
    least(501).costs("5.01");
    let fee = json!({"id": "base", "price": flat("3")});
    let plan =
        month_of(json!([fee, charge(&per_unit("0.01"), &json!({}))])).priced(&json!({"minimum": "10"}));
    // 10 - 3 - 1
    plan.clone()
        .used(100)
        .comes_to(&["charge/04-01/base 3.00", "charge/04-01/e 1.00", "minimum/04-01 6.00"], "10.00");
    plan.used(700).comes_to(&["charge/04-01/base 3.00", "charge/04-01/e 7.00"], "10.00");
    // A charge's goes first: 10 - (1 + 4)
    least(100)
        .priced(&json!({"minimum": "10"}))
        .comes_to(&["charge/04-01/e 1.00", "minimum/04-01/e 4.00", "minimum/04-01 5.00"], "10.00");
}

#[test]
fn currencies() {
    // 1.5
    month(&per_unit("0.5")).currency("JPY").used(3).costs("2");
    month(&per_unit("0.49")).currency("JPY").used(1).costs("0");
    // 2.5
    month(&per_unit("2.5")).currency("KRW").used(1).costs("3");
    // 7 × 0.0005 = 0.0035
    month(&per_unit("0.0005")).currency("KWD").used(7).costs("0.004");
    // 7 × 0.00049 = 0.00343
    month(&per_unit("0.00049")).currency("TND").used(7).costs("0.003");
    // 980 × 15/30
    month(&flat("980")).currency("JPY").on("2026-04-16", None).comes_to(&["charge/04-16/e 490"], "490");
    // 1.250 × 10/30 = 0.41666…
    month(&flat("1.250")).currency("KWD").on("2026-04-21", None).comes_to(&["charge/04-21/e 0.417"], "0.417");
    // 0.335 × 5 % = 0.01675
    month(&flat("0.335"))
        .currency("BHD")
        .with(&json!({"taxes": [{"id": "vat", "percent": "5"}]}))
        .comes_to(&["charge/04-01/e 0.335", "tax/vat 0.017"], "0.352");
    // 999 × 10 % = 99.9
    month(&flat("999"))
        .currency("JPY")
        .with(&json!({"taxes": [{"id": "ct", "percent": "10"}]}))
        .comes_to(&["charge/04-01/e 999", "tax/ct 100"], "1099");
}

#[test]
fn each_step_is_shown() {
    let charge = charge(
        &tiers("graduated", "10:1.00+5 0.50"),
        &json!({"per": "1000", "included": "2", "name": "Events"}),
    );
    let draft = month_of(json!([charge])).on("2026-04-16", None).used(8_500).rated();
    // Half a month: 1 of 2 is included, the first tier ends at 5 and costs 2.50 besides. 8.5 - 1 = 7.5 = 5 + 2.5.
    let line = serde_json::to_value(&draft.lines[0]).unwrap();
    let expected = json!({
        "id": "charge/2026-04-16/e", "kind": "charge", "name": "Events", "from": "2026-04-16", "until": "2026-05-01",
        "share": {"days": 15, "of": 30}, "plan": "p", "charge": "e", "meter": "e",
        "quantity": "8500", "per": "1000", "included": "1", "amount": "8.75",
        "parts": [
            {"quantity": "5", "up_to": "5", "unit_amount": "1.00", "flat": "2.5", "amount": "7.5"},
            {"quantity": "2.5", "unit_amount": "0.50", "amount": "1.25"},
        ],
    });
    assert_eq!(line, expected);
    let draft = month(&package("50", "4")).used(51).rated();
    let part = serde_json::to_value(&draft.lines[0].parts).unwrap();
    assert_eq!(part, json!([{"quantity": "2", "size": "50", "unit_amount": "4", "amount": "8"}]));
}
