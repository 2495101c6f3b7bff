//! Where there is no invoice.

use rating::{Basis, Error, Quantities, rate, segments};
use serde_json::json;

use crate::support::{charge, flat, month, month_of, per_unit, tiers};

#[test]
fn what_is_not_known_is_not_guessed() {
    let unknown = month(&flat("1")).with(&json!({"plans": [{"plan": "q", "from": "2026-01-01"}]}));
    assert_eq!(unknown.try_rated(), Err(Error::NoPlan("q".parse().unwrap())));
    let before = json!({"plans": [{"plan": "q", "from": "2026-01-01", "until": "2026-04-01"}]});
    assert!(month(&flat("1")).with(&before).try_rated().is_ok(), "it is of no matter in April");

    let e = month(&per_unit("1")).used(1);
    let (account, plans, period) = (e.account(), e.plans(), e.period());
    let segments = segments(&account, |id| plans.get(id), &period).unwrap();
    let (quantities, balances) = (Quantities::default(), std::collections::BTreeMap::new());
    let basis = Basis {
        account: &account,
        period: &period,
        segments: &segments,
        quantities: &quantities,
        balances: &balances,
        late: &[],
    };
    let missing = Error::NoQuantity { from: "2026-04-01".parse().unwrap(), meter: "e".to_owned() };
    assert_eq!(rate(basis), Err(missing));

    let mut quantities = quantities.clone();
    quantities.add(&segments[0], "e", 0);
    let credit = json!({"credits": [{"id": "c", "amount": "1", "from": "2026-01-01"}]});
    let account = e.with(&credit).account();
    assert_eq!(
        rate(Basis { account: &account, quantities: &quantities, ..basis }),
        Err(Error::NoBalance("c".parse().unwrap()))
    );
}

#[test]
fn currencies_are_not_mixed() {
    let account = json!({"currency": "USD"});
    let [theirs, ours] = ["EUR", "USD"].map(|code| code.parse().unwrap());
    let error = Error::Currency { plan: "p".parse().unwrap(), theirs, ours };
    assert_eq!(month(&flat("1")).with(&account).try_rated(), Err(error.clone()));
    assert_eq!(error.to_string(), "plan p is in EUR, and the account in USD");
}

#[test]
fn too_many_digits_are_an_error_and_no_panic() {
    let most = "9999999999999999999999999999";
    let unit = "9999999999999999.999999999999";
    let overflows = [
        month(&per_unit(most)).used(u64::MAX),
        month(&tiers("graduated", &format!("{most}:{most} 1"))).used(u64::MAX),
        month(&tiers("volume", &format!("{most}:{most}+{most} 1"))).used(u64::MAX),
        // Two decimals more than there is room for.
        month(&flat(most)),
        month(&flat(&most[..26])).priced(&json!({"minimum": most})),
        month(&per_unit(unit)).used(u64::MAX),
        // Each line fits, and their sum does not.
        month_of(json!([charge(&flat(&most[..26]), &json!({})), {"id": "f", "price": flat(&most[..26])}])),
        month(&flat(&most[..26])).with(&json!({"taxes": [{"id": "t", "percent": "100"}]})),
        month(&flat("1")).with(&json!({"commitments": [{"id": "c", "amount": most, "from": "2026-01-01"}]})),
        month_of(json!([charge(&per_unit("1"), &json!({"per": "0.000000000001"}))])).used(u64::MAX),
    ];
    for month in overflows {
        assert_eq!(month.try_rated(), Err(Error::Overflow));
    }
    month(&flat(&most[..26])).costs(&format!("{}.00", &most[..26]));
    // 10^16 units of no price, with as many decimals shown as there is room for.
    month_of(json!([charge(&per_unit("0"), &json!({"included": "0.000000000001"}))]))
        .used(u64::MAX)
        .costs("0.00");
}
