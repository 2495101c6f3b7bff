//! Reckoning without loss, and the one place where anything is rounded.

use model::{Currency, DECIMAL_DIGITS_MAX, Decimal, resource::UNIT_DECIMALS_MAX};
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use crate::Error;

/// A figure as long as it is reckoned with: a fraction. A third of a month is a third here, and no product is too long.
pub(crate) type Exact = BigRational;

pub(crate) fn exact(value: Decimal) -> Exact {
    let ten = Exact::from_integer(10.into());
    Exact::from_integer(value.mantissa().into()) / num_traits::pow(ten, value.scale() as usize)
}

pub(crate) fn whole(value: u128) -> Exact {
    Exact::from_integer(value.into())
}

/// Rounds an amount to its currency's decimals, half away from zero: 0.125 to 0.13, -0.125 to -0.13.
pub(crate) fn round(amount: &Exact, currency: Currency) -> Result<Decimal, Error> {
    to_decimals(amount, currency.decimals())
}

/// Writes a figure that is shown and not reckoned with: to 12 decimals, or as many as there is room for.
pub(crate) fn shown(value: &Exact) -> Result<Decimal, Error> {
    let fits = (0..=UNIT_DECIMALS_MAX).rev().find_map(|decimals| to_decimals(value, decimals).ok());
    fits.map(|decimal| decimal.normalize().into()).ok_or(Error::Overflow)
}

/// The sum of amounts of one currency.
pub(crate) fn sum(amounts: impl IntoIterator<Item = Decimal>, currency: Currency) -> Result<Decimal, Error> {
    let sum = amounts.into_iter().fold(Exact::zero(), |sum, amount| sum + exact(amount));
    round(&sum, currency)
}

fn to_decimals(value: &Exact, decimals: u32) -> Result<Decimal, Error> {
    let ten = Exact::from_integer(10.into());
    let steps = (value * num_traits::pow(ten, decimals as usize)).round().to_integer();
    let bound = 10_i128.pow(DECIMAL_DIGITS_MAX as u32);
    let steps = steps.to_i128().filter(|steps| steps.abs() < bound).ok_or(Error::Overflow)?;
    let decimal = rust_decimal::Decimal::try_from_i128_with_scale(steps, decimals);
    decimal.map(Decimal::from).map_err(|_| Error::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn half_goes_away_from_zero() {
        let cases = [
            ("0.005", "EUR", "0.01"),
            ("0.004999999999", "EUR", "0.00"),
            ("-0.005", "EUR", "-0.01"),
            ("-0.004", "EUR", "0.00"),
            ("0.125", "EUR", "0.13"),
            ("0.135", "EUR", "0.14"),
            ("1.5", "EUR", "1.50"),
            ("0.5", "JPY", "1"),
            ("2.5", "JPY", "3"),
            ("-2.5", "JPY", "-3"),
            ("0.49", "JPY", "0"),
            ("0.0005", "KWD", "0.001"),
            ("0.0004", "KWD", "0.000"),
        ];
        for (value, currency, rounded) in cases {
            let got = round(&exact(decimal(value)), currency.parse().unwrap()).unwrap();
            assert_eq!(got.to_string(), rounded, "{value} {currency}");
        }
    }

    #[test]
    fn too_long_is_an_error() {
        let most = decimal(&"9".repeat(DECIMAL_DIGITS_MAX));
        let [yen, euro] = ["JPY", "EUR"].map(|code| code.parse().unwrap());
        assert_eq!(sum([most], yen), Ok(most));
        assert_eq!(sum([most, decimal("1")], yen), Err(Error::Overflow));
        assert_eq!(sum([most, decimal("1"), decimal("-1")], yen), Ok(most), "only what comes out has an end");
        assert_eq!(round(&exact(most), euro), Err(Error::Overflow), "two more digits");
        assert_eq!(shown(&exact(most)), Ok(most), "with as many decimals as there is room for");
        let third = Exact::new(1.into(), 3.into());
        assert_eq!(shown(&third).unwrap().to_string(), "0.333333333333");
        assert_eq!(shown(&exact(decimal("1.50"))).unwrap().to_string(), "1.5");
    }
}
