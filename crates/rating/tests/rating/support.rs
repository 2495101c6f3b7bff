//! A month of one account, said in few words.

use std::collections::BTreeMap;

use model::{
    Decimal, ItemId, PlanId,
    resource::{BillingAccount, Plan},
};
use rating::{Basis, Draft, Error, Line, Period, Quantities, rate, segments};
use serde_json::{Value, json};

/// April 2026 in UTC, 30 days; an account in euros on plan `p`.
#[derive(Clone)]
pub(crate) struct Month {
    account: Value,
    plans: Vec<Value>,
    pub(crate) id: &'static str,
    usage: Vec<(&'static str, &'static str, u64)>,
    balances: Option<BTreeMap<ItemId, Decimal>>,
    pub(crate) late: Vec<Line>,
}

/// What a price is: `e` by meter `e`, or by none if it is flat.
pub(crate) fn charge(price: &Value, more: &Value) -> Value {
    let mut charge = json!({"id": "e", "price": price});
    if price["model"] != "flat" {
        charge["meter"] = json!("e");
    }
    charge.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    charge
}

pub(crate) fn flat(amount: &str) -> Value {
    json!({"model": "flat", "amount": amount})
}

pub(crate) fn per_unit(amount: &str) -> Value {
    json!({"model": "per_unit", "amount": amount})
}

pub(crate) fn package(size: &str, amount: &str) -> Value {
    json!({"model": "package", "size": size, "amount": amount})
}

/// `10:1.00+5 100:0.50 0.10`: to 10 at 1.00 and 5 once, to 100 at 0.50, then at 0.10.
pub(crate) fn tiers(model: &str, tiers: &str) -> Value {
    let tier = |text: &str| {
        let (text, flat) = text.split_once('+').map_or((text, None), |(text, flat)| (text, Some(flat)));
        let (up_to, amount) =
            text.split_once(':').map_or((None, text), |(up_to, amount)| (Some(up_to), amount));
        let mut tier = json!({"amount": amount});
        if let Some(up_to) = up_to {
            tier["up_to"] = json!(up_to);
        }
        if let Some(flat) = flat {
            tier["flat"] = json!(flat);
        }
        tier
    };
    json!({"model": model, "tiers": tiers.split(' ').map(tier).collect::<Vec<_>>()})
}

/// A month with the one charge `e`.
pub(crate) fn month(price: &Value) -> Month {
    month_of(json!([charge(price, &json!({}))]))
}

/// A month with these charges.
pub(crate) fn month_of(charges: Value) -> Month {
    let mut prices = json!([{"effective_from": "2020-01-01", "currency": "EUR"}]);
    prices[0]["charges"] = charges;
    Month {
        account: json!({"tenant": "acme", "id": "main", "currency": "EUR", "plans": [{"plan": "p", "from": "2020-01-01"}]}),
        plans: vec![json!({"id": "p", "prices": prices})],
        id: "2026-04",
        usage: Vec::new(),
        balances: None,
        late: Vec::new(),
    }
}

impl Month {
    /// With something else of the first version of the plan's prices.
    pub(crate) fn priced(mut self, more: &Value) -> Self {
        self.plans[0]["prices"][0].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self
    }

    /// With another version of the plan's prices.
    pub(crate) fn then(mut self, from: &str, charges: &Value) -> Self {
        let version =
            json!({"effective_from": from, "currency": self.account["currency"], "charges": charges});
        self.plans[0]["prices"].as_array_mut().unwrap().push(version);
        self
    }

    /// With another plan.
    pub(crate) fn plan(mut self, id: &str, charges: &Value) -> Self {
        let prices = json!([{"effective_from": "2020-01-01", "currency": self.account["currency"], "charges": charges}]);
        self.plans.push(json!({"id": id, "prices": prices}));
        self
    }

    /// On the plan for a time only.
    pub(crate) fn on(self, from: &str, until: Option<&str>) -> Self {
        let mut assignment = json!({"plan": "p", "from": from});
        if let Some(until) = until {
            assignment["until"] = json!(until);
        }
        self.with(&json!({"plans": [assignment]}))
    }

    /// With something else of the account.
    pub(crate) fn with(mut self, more: &Value) -> Self {
        self.account.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self
    }

    pub(crate) fn currency(mut self, code: &str) -> Self {
        self.account["currency"] = json!(code);
        for plan in &mut self.plans {
            for version in plan["prices"].as_array_mut().unwrap() {
                version["currency"] = json!(code);
            }
        }
        self
    }

    pub(crate) fn of(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    /// So much of meter `e` in the first segment.
    pub(crate) fn used(self, quantity: u64) -> Self {
        self.used_from("", "e", quantity)
    }

    /// So much of a meter in the segment that begins on that day.
    pub(crate) fn used_from(mut self, from: &'static str, meter: &'static str, quantity: u64) -> Self {
        self.usage.push((from, meter, quantity));
        self
    }

    /// With so much left of a credit; of the others nothing has been used.
    pub(crate) fn left(mut self, credit: &str, balance: &str) -> Self {
        let mut balances = self.balances.take().unwrap_or_else(|| self.granted());
        balances.insert(credit.parse().unwrap(), balance.parse().unwrap());
        self.balances = Some(balances);
        self
    }

    pub(crate) fn late(mut self, late: Vec<Line>) -> Self {
        self.late = late;
        self
    }

    fn granted(&self) -> BTreeMap<ItemId, Decimal> {
        self.account().credits.into_iter().map(|credit| (credit.id, credit.amount)).collect()
    }

    pub(crate) fn account(&self) -> BillingAccount {
        let account: BillingAccount = serde_json::from_value(self.account.clone()).unwrap();
        assert_eq!(account.faults(), []);
        account
    }

    pub(crate) fn plans(&self) -> BTreeMap<PlanId, Plan> {
        let plans = self.plans.iter().map(|plan| serde_json::from_value::<Plan>(plan.clone()).unwrap());
        plans.inspect(|plan| assert_eq!(plan.faults(), [])).map(|plan| (plan.id.clone(), plan)).collect()
    }

    pub(crate) fn period(&self) -> Period {
        Period::named(&self.account().time_zone, self.id).unwrap()
    }

    pub(crate) fn try_rated(&self) -> Result<Draft, Error> {
        let (account, plans, period) = (self.account(), self.plans(), self.period());
        let segments = segments(&account, |id| plans.get(id), &period)?;
        let mut quantities = Quantities::default();
        for segment in &segments {
            segment.meters().for_each(|meter| quantities.add(segment, meter, 0));
        }
        for (from, meter, quantity) in &self.usage {
            let mut all = segments.iter();
            let segment = all.find(|s| from.is_empty() || s.from.to_string() == *from).expect("a segment");
            quantities.add(segment, meter, *quantity);
        }
        let balances = self.balances.clone().unwrap_or_else(|| self.granted());
        rate(Basis {
            account: &account,
            period: &period,
            segments: &segments,
            quantities: &quantities,
            balances: &balances,
            late: &self.late,
        })
    }

    pub(crate) fn rated(&self) -> Draft {
        let draft = self.try_rated().unwrap();
        check_sums(&draft);
        draft
    }

    /// Rates it and compares all lines, as `charge/04-01/e 12.50`, and what is due.
    #[track_caller]
    pub(crate) fn comes_to(&self, lines: &[&str], due: &str) {
        let draft = self.rated();
        let year = format!("/{}-", &self.id[..4]);
        let told: Vec<_> = draft
            .lines
            .iter()
            .map(|line| format!("{} {}", line.id.replace(&year, "/"), line.amount))
            .collect();
        assert_eq!(
            (&told[..], draft.due.to_string().as_str()),
            (&lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()[..], due)
        );
    }

    /// The same for a month whose one line is charge `e`.
    #[track_caller]
    pub(crate) fn costs(&self, amount: &str) {
        self.comes_to(&[&format!("charge/{}-01/e {amount}", &self.id[5..])], amount);
    }
}

/// The totals are the sums of the lines; and a draft is read as it was written.
#[track_caller]
pub(crate) fn check_sums(draft: &Draft) {
    use rating::LineKind::{Charge, Commitment, Coupon, Credit, Late, Minimum, Tax};
    let sum = |kinds: &[rating::LineKind]| -> Decimal {
        let of = draft.lines.iter().filter(|line| kinds.contains(&line.kind));
        of.map(|line| line.amount.get()).sum::<rust_decimal::Decimal>().into()
    };
    let minus = |amount: Decimal| Decimal::from(-amount.get());
    assert_eq!(draft.subtotal, sum(&[Charge, Minimum, Commitment]));
    assert_eq!(draft.discounts, minus(sum(&[Coupon])));
    assert_eq!((draft.late, draft.taxes), (sum(&[Late]), sum(&[Tax])));
    assert_eq!(draft.total, sum(&[Charge, Minimum, Commitment, Coupon, Late, Tax]));
    assert_eq!(draft.due, sum(&[Charge, Minimum, Commitment, Coupon, Late, Tax, Credit]));
    let credits: rust_decimal::Decimal = draft.credits.values().map(|amount| amount.get()).sum();
    assert_eq!(Decimal::from(credits), minus(sum(&[Credit])));
    let decimals = draft.currency.decimals();
    let amounts = draft.lines.iter().map(|line| line.amount);
    let totals = [draft.subtotal, draft.discounts, draft.late, draft.taxes, draft.total, draft.due];
    assert!(amounts.chain(totals).all(|amount| amount.scale() == decimals), "as the currency writes them");
    let ids: std::collections::BTreeSet<_> = draft.lines.iter().map(|line| &line.id).collect();
    assert_eq!(ids.len(), draft.lines.len(), "no id twice");
    assert_eq!(serde_json::from_str::<Draft>(&serde_json::to_string(draft).unwrap()).unwrap(), *draft);
}
