//! Exact decimals as JSON has them here: strings.

use std::{borrow::Cow, fmt, ops::Deref, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most digits a decimal has, before and after the point together. As many fit 96 bits, whatever they are.
pub const DECIMAL_DIGITS_MAX: usize = 28;

/// An exact decimal: an amount, a quantity or a percentage. In JSON a string, because the numbers of many readers are binary
/// fractions, which hold no `0.1`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal(rust_decimal::Decimal);

/// Why a string is no decimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a decimal such as \"12.50\": digits, a point and digits, at most {DECIMAL_DIGITS_MAX} in all, without an exponent"
)]
pub struct InvalidDecimal(String);

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(rust_decimal::Decimal::ZERO);

    /// For reckoning.
    #[must_use]
    pub const fn get(self) -> rust_decimal::Decimal {
        self.0
    }

    /// Whether it is more than nothing.
    #[must_use]
    pub fn is_positive(self) -> bool {
        self.0 > rust_decimal::Decimal::ZERO
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.0 < rust_decimal::Decimal::ZERO
    }

    /// The other way round, without a sign at nothing.
    #[must_use]
    pub fn negated(self) -> Self {
        if self.0.is_zero() { self } else { Self(-self.0) }
    }

    /// Digits after the point that say something: of `1.50` it is one.
    #[must_use]
    pub fn decimals(self) -> u32 {
        self.0.normalize().scale()
    }
}

/// A figure for the eye: thousands set apart before the point, such as `-1,234.50`.
#[must_use]
pub fn grouped(figure: &str) -> String {
    let whole = figure.split('.').next().unwrap_or_default();
    let (sign, digits) = whole.split_at(whole.len() - whole.trim_start_matches('-').len());
    let mut text = sign.to_owned();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + &figure[whole.len()..]
}

impl From<rust_decimal::Decimal> for Decimal {
    fn from(value: rust_decimal::Decimal) -> Self {
        Self(value)
    }
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Self {
        Self(value.into())
    }
}

impl Deref for Decimal {
    type Target = rust_decimal::Decimal;

    fn deref(&self) -> &rust_decimal::Decimal {
        &self.0
    }
}

impl FromStr for Decimal {
    type Err = InvalidDecimal;

    /// Reads what JSON would take for a number, without an exponent (RFC 8259, section 6).
    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        let invalid = || InvalidDecimal(text.chars().take(64).collect());
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(invalid()),
            Some((whole, fraction)) => (whole.strip_prefix('-').unwrap_or(whole), fraction),
            None => (text.strip_prefix('-').unwrap_or(text), ""),
        };
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let whole_is_good = digits(whole) && (whole == "0" || !whole.starts_with('0')) && !whole.is_empty();
        if !whole_is_good || !digits(fraction) || whole.len() + fraction.len() > DECIMAL_DIGITS_MAX {
            return Err(invalid());
        }
        rust_decimal::Decimal::from_str_exact(text).map(Self).map_err(|_| invalid())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal as a string, such as \"12.50\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$",
            "maxLength": DECIMAL_DIGITS_MAX + 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_digits_only() {
        let most = format!("0.{}", "9".repeat(DECIMAL_DIGITS_MAX - 1));
        for good in ["0", "12.50", "-0.000000000001", "7", &most, &"9".repeat(DECIMAL_DIGITS_MAX)] {
            let read: Decimal = serde_json::from_str(&format!("{good:?}")).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), format!("{good:?}"), "as it was written");
        }
        let long = format!("{most}9");
        for bad in
            ["", "-", ".5", "5.", "1e3", "+1", "01", "1_000", "1,5", " 1", "NaN", "1.2.3", "--1", &long]
        {
            let error = bad.parse::<Decimal>().unwrap_err().to_string();
            assert!(error.contains("is not a decimal such as"), "{error}");
        }
        for bad in ["1", "1.5", "null", "[\"1\"]"] {
            let error = serde_json::from_str::<Decimal>(bad).unwrap_err().to_string();
            assert!(error.contains("expected a decimal as a string"), "{error}");
        }
        assert_eq!("1.50".parse::<Decimal>().unwrap().decimals(), 1);
    }
}
