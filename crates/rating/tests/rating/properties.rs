//! What holds of all invoices; and the same prices reckoned a second time, in whole numbers, by other means.

use model::Decimal;
use proptest::prelude::*;
use rating::{Basis, Draft, Quantities, Record, rate, segments};
use serde_json::{Value, json};

use crate::support::{Month, charge, check_sums, month, month_of};

/// A price in millionths, bounds in whole units.
#[derive(Debug, Clone)]
enum Price {
    Flat(u64),
    PerUnit(u64),
    Graduated(Vec<(u64, u64)>, u64),
    Volume(Vec<(u64, u64)>, u64),
    Package(u64, u64),
}

fn millionths(amount: u64) -> String {
    format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000)
}

fn cents(amount: u64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

impl Price {
    fn json(&self) -> Value {
        let tiers = |model: &str, bounded: &[(u64, u64)], last: u64| {
            let bounded = bounded
                .iter()
                .map(|(end, amount)| json!({"up_to": end.to_string(), "amount": millionths(*amount)}));
            let last = json!({"amount": millionths(last)});
            json!({"model": model, "tiers": bounded.chain([last]).collect::<Vec<_>>()})
        };
        match self {
            Self::Flat(cents_a_month) => json!({"model": "flat", "amount": cents(*cents_a_month)}),
            Self::PerUnit(amount) => json!({"model": "per_unit", "amount": millionths(*amount)}),
            Self::Graduated(bounded, last) => tiers("graduated", bounded, *last),
            Self::Volume(bounded, last) => tiers("volume", bounded, *last),
            Self::Package(size, amount) => {
                json!({"model": "package", "size": size.to_string(), "amount": millionths(*amount)})
            }
        }
    }

    /// Cents for a quantity used in `days` of `of`, of which `included` a month are free. All in units of 1/`of`, so that nothing is
    /// ever divided before the end.
    fn cents(&self, quantity: u64, included: u64, days: u64, of: u64) -> u128 {
        let [quantity, included, days, of] = [quantity, included, days, of].map(u128::from);
        let billable = (quantity * of).saturating_sub(included * days);
        let bounds = |bounded: &[(u64, u64)], last: u64| -> Vec<(u128, u128, u128)> {
            let ends = bounded.iter().map(|(end, amount)| (u128::from(*end) * days, u128::from(*amount)));
            let ends: Vec<_> = ends.chain([(u128::MAX, last.into())]).collect();
            let begins = [0].into_iter().chain(ends.iter().map(|(end, _)| *end));
            begins.zip(&ends).map(|(begin, (end, amount))| (begin, *end, *amount)).collect()
        };
        // In millionths of a unit of money, times `of`.
        let amount = match self {
            Self::Flat(cents) => u128::from(*cents) * 10_000 * days,
            Self::PerUnit(amount) => billable * u128::from(*amount),
            Self::Graduated(bounded, last) => bounds(bounded, *last)
                .into_iter()
                .map(|(begin, end, amount)| billable.min(end).saturating_sub(begin) * amount)
                .sum(),
            Self::Volume(bounded, last) => {
                let (.., amount) =
                    bounds(bounded, *last).into_iter().find(|(_, end, _)| billable <= *end).unwrap();
                billable * amount
            }
            Self::Package(size, amount) => {
                billable.div_ceil(u128::from(*size) * of) * u128::from(*amount) * of
            }
        };
        let of_a_cent = 10_000 * of;
        (2 * amount + of_a_cent) / (2 * of_a_cent)
    }
}

fn tiers() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::btree_map(1_u64..2_000, 0_u64..3_000_000, 0..4)
        .prop_map(|tiers| tiers.into_iter().collect())
}

fn price() -> impl Strategy<Value = Price> {
    let amount = 0_u64..3_000_000;
    prop_oneof![
        (0_u64..100_000).prop_map(Price::Flat),
        amount.clone().prop_map(Price::PerUnit),
        (tiers(), amount.clone()).prop_map(|(tiers, last)| Price::Graduated(tiers, last)),
        (tiers(), amount.clone()).prop_map(|(tiers, last)| Price::Volume(tiers, last)),
        (1_u64..500, amount).prop_map(|(size, amount)| Price::Package(size, amount)),
    ]
}

/// A month with that price, from a day on.
fn priced(price: &Price, included: u64, id: &'static str, from: u64) -> Month {
    let more =
        if matches!(price, Price::Flat(_)) { json!({}) } else { json!({"included": included.to_string()}) };
    month_of(json!([charge(&price.json(), &more)])).of(id).on(&format!("{id}-{from:02}"), None)
}

const MONTHS: [(&str, u64); 4] = [("2026-04", 30), ("2026-10", 31), ("2026-02", 28), ("2024-02", 29)];

/// Everything at once: prices that change on the 11th, minimum, commitment, coupons, taxes, credits.
fn full(prices: &[Price; 2], first: u64, second: u64, (percent, tax): (u64, u64), credit: u64) -> Month {
    let [one, two] = prices.each_ref().map(|price| json!([charge(&price.json(), &json!({}))]));
    month_of(one)
        .then("2026-04-11", &two)
        .priced(&json!({"minimum": "12.34"}))
        .with(&json!({
            "commitments": [{"id": "c", "amount": "33.33", "from": "2026-04-07"}],
            "coupons": [{"id": "a", "percent": percent.to_string(), "from": "2026-01-01"},
                {"id": "b", "amount": "3.21", "from": "2026-01-01"}],
            "taxes": [{"id": "t", "percent": tax.to_string()}, {"id": "u", "percent": "9.975"}],
            "credits": [{"id": "p", "amount": cents(credit + 1), "from": "2026-01-01", "expires": "2026-05-05"},
                {"id": "q", "amount": "7.77", "from": "2026-01-01"}],
        }))
        .used_from("2026-04-01", "e", first)
        .used_from("2026-04-11", "e", second)
}

/// Rates records instead of sums.
fn of_records(month: &Month, records: &[(String, i64, u64)]) -> Draft {
    let (account, plans, period) = (month.account(), month.plans(), month.period());
    let segments = segments(&account, |id| plans.get(id), &period).unwrap();
    let records = records.iter().map(|(id, at_us, quantity)| Record {
        id,
        at_us: *at_us,
        meter: "e",
        quantity: *quantity,
    });
    let quantities = Quantities::of_records(&segments, records);
    let balances = account.credits.iter().map(|credit| (credit.id.clone(), credit.amount)).collect();
    let late = &month.late;
    let basis = Basis {
        account: &account,
        period: &period,
        segments: &segments,
        quantities: &quantities,
        balances: &balances,
        late,
    };
    rate(basis).unwrap()
}

proptest! {
    #[test]
    fn a_second_reckoning_agrees(
        price in price(), quantity in 0_u64..10_000, included in 0_u64..1_000, month in 0_usize..4, from in 1_u64..29,
    ) {
        let (id, of) = MONTHS[month];
        let draft = priced(&price, included, id, from).try_used(&price, quantity).rated();
        let expected = price.cents(quantity, included, of + 1 - from, of);
        prop_assert_eq!(draft.due.to_string(), cents(u64::try_from(expected).unwrap()));
    }

    #[test]
    fn lines_add_up(
        prices in [metered(), metered()], first in 0_u64..3_000, second in 0_u64..3_000,
        rates in (0_u64..=100, 0_u64..=100), credit in 0_u64..20_000,
    ) {
        let draft = full(&prices, first, second, rates, credit).rated();
        check_sums(&draft);
        prop_assert!(!draft.due.is_negative() && draft.discounts <= draft.subtotal);
        prop_assert!(draft.total.get() - draft.credits.values().map(|c| c.get()).sum::<rust_decimal::Decimal>() == draft.due.get());
    }

    #[test]
    fn order_pieces_and_repetitions_change_nothing(
        prices in [metered(), metered()],
        records in proptest::collection::vec((0_i64..31 * 86_400, 0_u64..500), 0..40)
            .prop_flat_map(|records| (Just(records.clone()), Just(records).prop_shuffle())),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let month = full(&prices, 0, 0, (10, 19), 500);
        let begin = month.period().since_us();
        // A record is known by its time here: two of the same time would be one.
        let named = |(at, quantity): &(i64, u64)| (format!("r{at}-{quantity}"), begin + at * 1_000_000, *quantity);
        let (records, shuffled) = records;
        let whole = of_records(&month, &records.iter().map(named).collect::<Vec<_>>());
        let mut others: Vec<_> = shuffled.iter().map(named).collect();
        let repeated: Vec<_> = again.iter().filter(|_| !others.is_empty()).map(|i| i.get(&others).clone()).collect();
        others.extend(repeated);
        prop_assert_eq!(&of_records(&month, &others), &whole);
        let once: std::collections::BTreeSet<_> = others.into_iter().collect();
        let pieces = once.into_iter().flat_map(|(id, at, quantity)| {
            [(format!("{id}/a"), at, quantity / 3), (format!("{id}/b"), at, quantity - quantity / 3)]
        });
        prop_assert_eq!(&of_records(&month, &pieces.collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn more_use_never_costs_less(
        graduated in any::<bool>(), tiers in tiers(), last in 0_u64..3_000_000, less in 0_u64..5_000, more in 0_u64..5_000,
    ) {
        let price = if graduated { Price::Graduated(tiers, last) } else { Price::PerUnit(last) };
        let cost = |used| month(&price.json()).used(used).rated().due;
        prop_assert!(cost(less) <= cost(less + more));
    }

    #[test]
    fn a_cut_between_equal_prices_costs_no_more_than_its_rounding(
        price in price().prop_filter("a package may be begun on both sides", |price| !matches!(price, Price::Package(..))),
        day in 2_u64..=30, included in 0_u64..30,
    ) {
        // As much each day as on any other: otherwise what is free, or cheap, on one side would not be used up.
        let (a_day, included) = (17, included * 10);
        let flat = matches!(price, Price::Flat(_));
        let from: &'static str = format!("2026-04-{day:02}").leak();
        let whole = priced(&price, included, "2026-04", 1);
        let charges = json!([charge(&price.json(), &if flat { json!({}) } else { json!({"included": included.to_string()}) })]);
        let mut cut = whole.clone().then(from, &charges);
        let mut whole = whole;
        if !flat {
            whole = whole.used(30 * a_day);
            cut = cut.used((day - 1) * a_day).used_from(from, "e", (31 - day) * a_day);
        }
        let (whole, cut) = (whole.rated(), cut.rated());
        prop_assert_eq!(cut.lines.len(), 2);
        let difference = (whole.due.get() - cut.due.get()).abs();
        prop_assert!(difference <= *"0.01".parse::<Decimal>().unwrap(), "{} {}", whole.due, cut.due);
    }
}

fn metered() -> impl Strategy<Value = Price> {
    price().prop_filter("of a meter", |price| !matches!(price, Price::Flat(_)))
}

impl Month {
    /// Uses the meter, if there is one.
    fn try_used(self, price: &Price, quantity: u64) -> Self {
        if matches!(price, Price::Flat(_)) { self } else { self.used(quantity) }
    }
}
