//! Runs the example of `docs/billing.md`.

use std::collections::BTreeMap;

use model::resource::{BillingAccount, Plan};
use rating::{Basis, Period, Quantities, rate, segments};
use serde::de::DeserializeOwned;

const PAGE: &str = include_str!("../../../../docs/billing.md");

fn block<T: DeserializeOwned>(name: &str) -> T {
    let (_, rest) = PAGE.split_once(&format!("```json {name}\n")).expect("the block");
    serde_json::from_str(rest.split_once("```").expect("its end").0).unwrap()
}

#[test]
fn the_example_is_so() {
    let (account, plan): (BillingAccount, Plan) = (block("account"), block("plan"));
    assert_eq!((account.faults(), plan.faults()), (vec![], vec![]));
    let usage: BTreeMap<String, BTreeMap<String, u64>> = block("usage");
    let period = Period::named(&account.time_zone, "2026-04").unwrap();
    let segments = segments(&account, |_| Some(&plan), &period).unwrap();
    let mut quantities = Quantities::default();
    for segment in &segments {
        for meter in segment.meters() {
            quantities.add(segment, meter, usage[&segment.from.to_string()][meter]);
        }
    }
    let balances = account.credits.iter().map(|credit| (credit.id.clone(), credit.amount)).collect();
    let basis = Basis {
        account: &account,
        period: &period,
        segments: &segments,
        quantities: &quantities,
        balances: &balances,
        late: &[],
    };
    let draft = rate(basis).unwrap();
    crate::support::check_sums(&draft);
    let (_, table) =
        PAGE.split_once("| line | how it comes about | amount |\n|---|---|---|\n").expect("the table");
    let rows = table.lines().take_while(|row| row.starts_with('|')).map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        (cells[1].trim_matches(['`', '*']).to_owned(), cells[3].to_owned())
    });
    let lines = draft.lines.iter().map(|line| (line.id.clone(), line.amount.to_string()));
    let told: Vec<_> = lines.chain([("due".to_owned(), draft.due.to_string())]).collect();
    assert_eq!(told, rows.collect::<Vec<_>>());
}
