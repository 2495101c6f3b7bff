//! What is wrong with a resource, and where.

use crate::{Currency, Decimal};

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the resource, such as `/prices/0/charges/1/meter`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// Longest name of anything, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Longest name of a meter, in bytes: what a usage store takes.
const METER_BYTES_MAX: usize = 255;
/// Digits after the point of unit prices and quantities, at most.
pub const UNIT_DECIMALS_MAX: u32 = 12;

/// All faults of a resource, gathered under the place that is looked at.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0
    }

    pub(super) fn unless(&mut self, holds: bool, pointer: &str, detail: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Fault { pointer: pointer.to_owned(), detail: detail() });
        }
    }

    /// A list's length. What is beyond is not looked at.
    pub(super) fn list<'a, T>(
        &mut self,
        pointer: &str,
        list: &'a [T],
        max: usize,
    ) -> impl Iterator<Item = (String, &'a T)> + use<'a, T> {
        self.unless(list.len() <= max, pointer, || format!("must be at most {max}"));
        let pointer = pointer.to_owned();
        list.iter().take(max).enumerate().map(move |(i, item)| (format!("{pointer}/{i}"), item))
    }

    /// No id twice.
    pub(super) fn unique<'a>(&mut self, pointer: &str, ids: impl Iterator<Item = &'a str>) {
        let mut seen = std::collections::BTreeMap::new();
        for (i, id) in ids.enumerate() {
            if let Some(first) = seen.insert(id, i) {
                let detail = || format!("is the id of {pointer}/{first} too");
                self.unless(false, &format!("{pointer}/{i}/id"), detail);
            }
        }
    }

    pub(super) fn text(&mut self, pointer: &str, text: &str) {
        self.unless(text.len() <= TEXT_BYTES_MAX, pointer, || {
            format!("must be at most {TEXT_BYTES_MAX} bytes long")
        });
        self.unless(!text.chars().any(char::is_control), pointer, || {
            "must not contain control characters".to_owned()
        });
    }

    /// The name of a meter, which need not be there.
    pub(super) fn meter(&mut self, pointer: &str, name: &str) {
        let fits = (1..=METER_BYTES_MAX).contains(&name.len());
        self.unless(fits, pointer, || format!("must be 1 to {METER_BYTES_MAX} bytes long"));
        self.unless(!name.chars().any(char::is_control), pointer, || {
            "must not contain control characters".to_owned()
        });
    }

    /// An amount as an invoice shows it.
    pub(super) fn amount(&mut self, pointer: &str, amount: Decimal, currency: Currency) {
        self.not_negative(pointer, amount);
        let max = currency.decimals();
        self.unless(amount.decimals() <= max, pointer, || match max {
            0 => format!("must be a whole number: {currency} has no decimals"),
            _ => format!("must have at most {max} decimals, as {currency} has"),
        });
    }

    /// An amount that says nothing if it is nothing.
    pub(super) fn positive_amount(&mut self, pointer: &str, amount: Decimal, currency: Currency) {
        self.amount(pointer, amount, currency);
        self.unless(!amount.is_zero(), pointer, || "must be more than 0".to_owned());
    }

    /// The price of a unit, or a quantity.
    pub(super) fn unit(&mut self, pointer: &str, value: Decimal) {
        self.not_negative(pointer, value);
        self.decimals(pointer, value);
    }

    /// What is divided by.
    pub(super) fn divisor(&mut self, pointer: &str, value: Decimal) {
        self.unless(value.is_positive(), pointer, || "must be more than 0".to_owned());
        self.decimals(pointer, value);
    }

    pub(super) fn percent(&mut self, pointer: &str, percent: Decimal) {
        let hundred = Decimal::from(100);
        self.unless((Decimal::ZERO..=hundred).contains(&percent), pointer, || "must be 0 to 100".to_owned());
        self.decimals(pointer, percent);
    }

    fn not_negative(&mut self, pointer: &str, value: Decimal) {
        self.unless(!value.is_negative(), pointer, || "must not be negative".to_owned());
    }

    fn decimals(&mut self, pointer: &str, value: Decimal) {
        self.unless(value.decimals() <= UNIT_DECIMALS_MAX, pointer, || {
            format!("must have at most {UNIT_DECIMALS_MAX} decimals")
        });
    }
}
