//! What becomes of a subtotal: commitments, coupons, taxes, credits.

use serde_json::{Value, json};

use crate::support::{Month, charge, flat, month, per_unit};

/// A month with a fee and something else of the account.
fn fee(amount: &str, more: &Value) -> Month {
    month(&flat(amount)).with(more)
}

#[test]
fn coupons() {
    let with = |coupons| fee("100", &json!({"coupons": coupons}));
    let percent = |id, percent| json!({"id": id, "percent": percent, "from": "2026-01-01"});
    let amount = |id, amount| json!({"id": id, "amount": amount, "from": "2026-01-01"});
    with(json!([percent("a", "10")])).comes_to(&["charge/04-01/e 100.00", "coupon/a -10.00"], "90.00");
    with(json!([amount("a", "5")])).comes_to(&["charge/04-01/e 100.00", "coupon/a -5.00"], "95.00");
    // 100 × 50 %, (100 - 50) × 50 %
    with(json!([percent("a", "50"), percent("b", "50")]))
        .comes_to(&["charge/04-01/e 100.00", "coupon/a -50.00", "coupon/b -25.00"], "25.00");
    // In their order: (100 - 30) × 10 %
    with(json!([amount("a", "30"), percent("b", "10")]))
        .comes_to(&["charge/04-01/e 100.00", "coupon/a -30.00", "coupon/b -7.00"], "63.00");
    with(json!([percent("b", "10"), amount("a", "30")]))
        .comes_to(&["charge/04-01/e 100.00", "coupon/b -10.00", "coupon/a -30.00"], "60.00");
    // Never more than there is.
    with(json!([amount("a", "150"), amount("b", "1")]))
        .comes_to(&["charge/04-01/e 100.00", "coupon/a -100.00"], "0.00");
    with(json!([percent("a", "100")])).comes_to(&["charge/04-01/e 100.00", "coupon/a -100.00"], "0.00");
    with(json!([percent("a", "0")])).comes_to(&["charge/04-01/e 100.00"], "100.00");
    // 33.333
    with(json!([percent("a", "33.333")])).comes_to(&["charge/04-01/e 100.00", "coupon/a -33.33"], "66.67");
    // 0.20 × 12.5 % = 0.025
    fee("0.20", &json!({"coupons": [percent("a", "12.5")]}))
        .comes_to(&["charge/04-01/e 0.20", "coupon/a -0.03"], "0.17");
}

#[test]
fn a_coupon_holds_in_a_month_that_it_touches() {
    let with = |from: &str, until: &str| {
        fee("100", &json!({"coupons": [{"id": "a", "amount": "5", "from": from, "until": until}]}))
    };
    let taken = ["charge/04-01/e 100.00", "coupon/a -5.00"];
    with("2026-01-01", "2026-04-01").comes_to(&taken[..1], "100.00");
    with("2026-01-01", "2026-04-02").comes_to(&taken, "95.00");
    with("2026-04-30", "2026-05-01").comes_to(&taken, "95.00");
    with("2026-05-01", "2026-06-01").comes_to(&taken[..1], "100.00");
}

#[test]
fn taxes() {
    let with = |amount, taxes| fee(amount, &json!({"taxes": taxes}));
    with("100", json!([{"id": "vat", "percent": "19"}]))
        .comes_to(&["charge/04-01/e 100.00", "tax/vat 19.00"], "119.00");
    // 5 %; 9.975 % = 9.975: each of the subtotal, none of the other.
    with("100", json!([{"id": "gst", "percent": "5"}, {"id": "qst", "percent": "9.975"}]))
        .comes_to(&["charge/04-01/e 100.00", "tax/gst 5.00", "tax/qst 9.98"], "114.98");
    // 0.50 × 19 % = 0.095
    with("0.50", json!([{"id": "vat", "percent": "19"}]))
        .comes_to(&["charge/04-01/e 0.50", "tax/vat 0.10"], "0.60");
    with("100", json!([{"id": "vat", "percent": "0"}]))
        .comes_to(&["charge/04-01/e 100.00", "tax/vat 0.00"], "100.00");
    // (100 - 10) × 19 %
    with("100", json!([{"id": "vat", "percent": "19"}]))
        .with(&json!({"coupons": [{"id": "a", "percent": "10", "from": "2026-01-01"}]}))
        .comes_to(&["charge/04-01/e 100.00", "coupon/a -10.00", "tax/vat 17.10"], "107.10");
    // Of the rounded lines: (0.01 + 0.01) × 50 %, and not of 0.0150.
    let half = charge(&per_unit("0.0075"), &json!({}));
    crate::support::month_of(json!([half, {"id": "f", "meter": "e", "price": per_unit("0.0075")}]))
        .used(1)
        .with(&json!({"taxes": [{"id": "vat", "percent": "50"}]}))
        .comes_to(&["charge/04-01/e 0.01", "charge/04-01/f 0.01", "tax/vat 0.01"], "0.03");
}

#[test]
fn commitments() {
    let with = |commitments| fee("100", &json!({"commitments": commitments}));
    let from = |amount, from: &str| json!({"id": amount, "amount": amount, "from": from});
    // 150 - 100
    with(json!([from("150", "2026-01-01")]))
        .comes_to(&["charge/04-01/e 100.00", "commitment 50.00"], "150.00");
    with(json!([from("100", "2026-01-01")])).costs("100.00");
    with(json!([from("99", "2026-01-01")])).costs("100.00");
    // 300 × 15/30 - 100
    with(json!([from("300", "2026-04-16")]))
        .comes_to(&["charge/04-01/e 100.00", "commitment 50.00"], "150.00");
    // 100 × 15/30 + 250 × 15/30 - 100
    with(json!([{"id": "a", "amount": "100", "from": "2026-01-01", "until": "2026-04-16"}, from("250", "2026-04-16")]))
        .comes_to(&["charge/04-01/e 100.00", "commitment 75.00"], "175.00");
    with(json!([from("300", "2026-05-01")])).costs("100.00");
    with(json!([{"id": "a", "amount": "300", "from": "2026-01-01", "until": "2026-04-01"}])).costs("100.00");
    // Without a plan, too; before coupons: 150 - 100 = 50, 150 × 10 %
    with(json!([from("150", "2026-01-01")]))
        .with(&json!({"plans": []}))
        .comes_to(&["commitment 150.00"], "150.00");
    with(json!([from("150", "2026-01-01")]))
        .with(&json!({"coupons": [{"id": "c", "percent": "10", "from": "2026-01-01"}]}))
        .comes_to(&["charge/04-01/e 100.00", "commitment 50.00", "coupon/c -15.00"], "135.00");
    // A plan's minimum counts: 150 - 100 - 20
    with(json!([from("150", "2026-01-01")]))
        .priced(&json!({"minimum": "120"}))
        .comes_to(&["charge/04-01/e 100.00", "minimum/04-01 20.00", "commitment 30.00"], "150.00");
}

#[test]
fn credits() {
    let with = |amount, credits| fee(amount, &json!({"credits": credits}));
    let lasting = |id, amount| json!({"id": id, "amount": amount, "from": "2026-01-01"});
    let until =
        |id, amount, expires| json!({"id": id, "amount": amount, "from": "2026-01-01", "expires": expires});
    with("100", json!([lasting("a", "25")])).comes_to(&["charge/04-01/e 100.00", "credit/a -25.00"], "75.00");
    // Used up in the middle of the month: what is left of it pays, the rest is due.
    with("100", json!([lasting("a", "25")]))
        .left("a", "0.50")
        .comes_to(&["charge/04-01/e 100.00", "credit/a -0.50"], "99.50");
    with("100", json!([lasting("a", "25")])).left("a", "0").costs("100.00");
    // It pays no more than there is, and taxes as well.
    with("100", json!([lasting("a", "500")]))
        .comes_to(&["charge/04-01/e 100.00", "credit/a -100.00"], "0.00");
    with("100", json!([lasting("a", "500")]))
        .with(&json!({"taxes": [{"id": "vat", "percent": "19"}]}))
        .comes_to(&["charge/04-01/e 100.00", "tax/vat 19.00", "credit/a -119.00"], "0.00");
    // First what expires first, last what never does: 10 + 3 of 10
    with("13", json!([lasting("a", "10"), until("b", "10", "2026-07-01"), until("c", "10", "2026-05-01")]))
        .comes_to(&["charge/04-01/e 13.00", "credit/c -10.00", "credit/b -3.00"], "0.00");
    with("25", json!([lasting("a", "10"), until("b", "10", "2026-07-01"), until("c", "10", "2026-05-01")]))
        .comes_to(&["charge/04-01/e 25.00", "credit/c -10.00", "credit/b -10.00", "credit/a -5.00"], "0.00");
    // Then by id.
    with("13", json!([until("z", "10", "2026-07-01"), until("y", "10", "2026-07-01")]))
        .comes_to(&["charge/04-01/e 13.00", "credit/y -10.00", "credit/z -3.00"], "0.00");
    // Only what holds in the month.
    with("100", json!([until("a", "10", "2026-04-01")])).costs("100.00");
    with("100", json!([until("a", "10", "2026-04-02")]))
        .comes_to(&["charge/04-01/e 100.00", "credit/a -10.00"], "90.00");
    with("100", json!([{"id": "a", "amount": "10", "from": "2026-05-01"}])).costs("100.00");
    with("100", json!([{"id": "a", "amount": "10", "from": "2026-04-30"}]))
        .comes_to(&["charge/04-01/e 100.00", "credit/a -10.00"], "90.00");
    // Nothing to pay.
    with("0", json!([lasting("a", "10")])).costs("0.00");
    let draft = with("30", json!([lasting("a", "10"), lasting("b", "5")])).rated();
    assert_eq!(serde_json::to_value(&draft.credits).unwrap(), json!({"a": "10.00", "b": "5.00"}));
    assert_eq!((draft.total.to_string(), draft.due.to_string()), ("30.00".to_owned(), "15.00".to_owned()));
}

#[test]
fn all_together() {
    // 40 + 1234 × 0.05 = 101.70; committed are 120; 10 % off; 19 %; 50 paid before.
    let base = json!({"id": "base", "price": flat("40")});
    crate::support::month_of(json!([base, charge(&per_unit("0.05"), &json!({}))]))
        .used(1_234)
        .with(&json!({
            "commitments": [{"id": "c", "amount": "120", "from": "2026-01-01"}],
            "coupons": [{"id": "o", "percent": "10", "from": "2026-01-01"}],
            "taxes": [{"id": "vat", "percent": "19"}],
            "credits": [{"id": "p", "amount": "50", "from": "2026-01-01"}],
        }))
        .comes_to(
            &[
                "charge/04-01/base 40.00",
                "charge/04-01/e 61.70",
                "commitment 18.30",
                "coupon/o -12.00",
                "tax/vat 20.52",
                "credit/p -50.00",
            ],
            "78.52",
        );
}
