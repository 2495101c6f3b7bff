//! What an invoiced month came to more or less.

use rating::{Error, late};
use serde_json::json;

use crate::support::{Month, charge, flat, month, month_of, per_unit, tiers};

/// Id, name and amount of the lines that put `before` right.
#[track_caller]
fn puts_right(before: &Month, now: &Month, lines: &[(&str, &str, &str)]) {
    let late = late(&before.rated(), &now.rated()).unwrap();
    let told: Vec<_> = late.iter().map(|line| (&*line.id, &*line.name, line.amount.to_string())).collect();
    let lines: Vec<_> = lines.iter().map(|(id, name, amount)| (*id, *name, (*amount).to_owned())).collect();
    assert_eq!(told, lines);
}

const ID: &str = "late/2026-04/meter/e";

#[test]
fn more_or_less_of_a_meter() {
    let e = |used| month(&per_unit("0.001")).used(used);
    // 11.234 -> 11.23 - 10.00
    puts_right(&e(10_000), &e(11_234), &[(ID, "late: 2026-04 e +1,234 units", "1.23")]);
    puts_right(&e(11_234), &e(10_000), &[(ID, "late: 2026-04 e -1,234 units", "-1.23")]);
    puts_right(&e(7), &e(7), &[]);
    // 0.01 - 0.01: it is told even if it costs nothing.
    puts_right(&e(6), &e(7), &[(ID, "late: 2026-04 e +1 units", "0.00")]);
    // 10 × 1 + 5 × 0.50 - 8
    let t = |used| month(&tiers("graduated", "10:1.00 0.50")).used(used);
    puts_right(&t(8), &t(15), &[(ID, "late: 2026-04 e +7 units", "4.50")]);
    // A charge's minimum goes with it: 1 + 4 before, 6 now.
    let least = |used| month_of(json!([charge(&per_unit("0.01"), &json!({"minimum": "5"}))])).used(used);
    puts_right(&least(100), &least(600), &[(ID, "late: 2026-04 e +500 units", "1.00")]);
    puts_right(&least(100), &least(200), &[(ID, "late: 2026-04 e +100 units", "0.00")]);
}

#[test]
fn one_line_for_a_meter() {
    let two = |used| {
        month_of(
            json!([charge(&per_unit("1"), &json!({})), {"id": "f", "meter": "e", "price": per_unit("2")}]),
        )
        .used(used)
    };
    // 2 × (1 + 2), and two units, not four.
    puts_right(&two(1), &two(3), &[(ID, "late: 2026-04 e +2 units", "6.00")]);
    let cut = |first, second| {
        month(&per_unit("1"))
            .then("2026-04-16", &json!([charge(&per_unit("2"), &json!({}))]))
            .used(first)
            .used_from("2026-04-16", "e", second)
    };
    // 3 × 1 + 4 × 2
    puts_right(&cut(1, 1), &cut(4, 5), &[(ID, "late: 2026-04 e +7 units", "11.00")]);
}

#[test]
fn what_follows_from_it() {
    let with = |used, more| month(&per_unit("1")).used(used).with(&more);
    let half =
        || json!({"coupons": [{"id": "half", "percent": "50", "from": "2026-01-01", "until": "2026-05-01"}]});
    puts_right(
        &with(10, half()),
        &with(14, half()),
        &[
            (ID, "late: 2026-04 e +4 units", "4.00"),
            ("late/2026-04/coupon/half", "late: 2026-04 coupon half", "-2.00"),
        ],
    );
    // It was paid for already.
    let committed = || json!({"commitments": [{"id": "c", "amount": "12", "from": "2026-01-01"}]});
    puts_right(
        &with(10, committed()),
        &with(14, committed()),
        &[
            (ID, "late: 2026-04 e +4 units", "4.00"),
            ("late/2026-04/commitment", "late: 2026-04 commitment", "-2.00"),
        ],
    );
    let least = |used| month(&per_unit("1")).used(used).priced(&json!({"minimum": "12"}));
    puts_right(
        &least(10),
        &least(14),
        &[
            (ID, "late: 2026-04 e +4 units", "4.00"),
            ("late/2026-04/minimum", "late: 2026-04 minimum", "-2.00"),
        ],
    );
    // A fee that was changed after all.
    puts_right(
        &month(&flat("30")),
        &month(&flat("20")),
        &[("late/2026-04/fee/e", "late: 2026-04 e", "-10.00")],
    );
    // Taxes and credits are the next invoice's own.
    let paid = || json!({"taxes": [{"id": "vat", "percent": "19"}], "credits": [{"id": "c", "amount": "5", "from": "2026-01-01"}]});
    puts_right(&with(1, paid()), &with(3, paid()), &[(ID, "late: 2026-04 e +2 units", "2.00")]);
}

#[test]
fn it_goes_into_the_next_invoice() {
    let e = |used| month(&per_unit("0.001")).used(used);
    let lines = late(&e(10_000).rated(), &e(11_200).rated()).unwrap();
    let may = month(&flat("100")).of("2026-05").with(&json!({
        "coupons": [{"id": "ten", "percent": "10", "from": "2026-05-01"}], "taxes": [{"id": "vat", "percent": "19"}]}));
    // The coupon of May takes nothing off April: 100 - 10 + 1.20 = 91.20, × 19 % = 17.328
    let may = may.late(lines);
    may.comes_to(
        &["charge/05-01/e 100.00", "coupon/ten -10.00", "late/04/meter/e 1.20", "tax/vat 17.33"],
        "108.53",
    );
    let draft = may.rated();
    assert_eq!(
        (draft.subtotal.to_string(), draft.late.to_string()),
        ("100.00".to_owned(), "1.20".to_owned())
    );
    assert_eq!(late(&draft, &draft), Ok(vec![]), "late lines are none of May's own");
}

#[test]
fn more_may_be_given_back_than_is_charged() {
    let e = |used| month(&per_unit("1")).used(used);
    let lines = late(&e(100).rated(), &e(40).rated()).unwrap();
    let may = month(&flat("10")).of("2026-05").late(lines).with(&json!({
        "taxes": [{"id": "vat", "percent": "19"}], "credits": [{"id": "c", "amount": "5", "from": "2026-01-01"}]}));
    // (10 - 60) × 19 % = -9.50; no credit pays what is given back.
    let draft = may.rated();
    let told: Vec<_> = draft.lines.iter().map(|line| line.amount.to_string()).collect();
    assert_eq!(told, ["10.00", "-60.00", "-9.50"]);
    assert_eq!((draft.due.to_string(), draft.credits.len()), ("-59.50".to_owned(), 0));
}

#[test]
fn each_time_from_what_was_charged_last() {
    let drafts = [10, 14, 11].map(|used| month(&per_unit("1")).used(used).rated());
    let [first, second] = [0, 1].map(|i| late(&drafts[i], &drafts[i + 1]).unwrap()[0].amount.to_string());
    assert_eq!([first, second], ["4.00", "-3.00"]);
}

#[test]
fn only_of_the_same_month() {
    let april = month(&flat("1"));
    for other in [
        april.clone().of("2026-05"),
        april.clone().currency("USD"),
        april.clone().with(&json!({"id": "other"})),
        april.clone().with(&json!({"tenant": "other"})),
        april.clone().with(&json!({"time_zone": "Europe/Berlin"})),
    ] {
        assert_eq!(late(&april.rated(), &other.rated()), Err(Error::Unlike));
    }
}
