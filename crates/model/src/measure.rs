//! What a tenant's own meter counts of an event. A pure step: of the same event it is the same for ever.

use std::hash::Hasher as _;

use serde_json::{Number, Value};
use siphasher::sip::SipHasher24;

use crate::{
    CloudEvent,
    resource::{Aggregation, Meter},
};

/// Why a value is not metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmetered {
    /// The data is not JSON.
    NotJson,
    /// There is nothing where it should be.
    Missing,
    /// It is no number; of [`Aggregation::Unique`], it is an object or a list.
    WrongKind,
    /// It is below 0.
    Negative,
    /// With its decimals it has more than 64 bits.
    TooLarge,
}

/// What meters count of one event. Its data is read once, and only if one of them looks into it.
#[derive(Debug)]
pub struct Measuring<'a> {
    event: &'a CloudEvent,
    read: Option<Result<Value, Unmetered>>,
}

impl<'a> Measuring<'a> {
    /// Of this event.
    #[must_use]
    pub fn new(event: &'a CloudEvent) -> Self {
        Self { event, read: None }
    }

    /// What a meter counts of it that counts events of its type.
    ///
    /// # Errors
    /// Why it is nothing.
    pub fn value(&mut self, meter: &Meter) -> Result<u64, Unmetered> {
        let Some(pointer) = &meter.value else { return Ok(1) };
        match self.read.get_or_insert_with(|| data(self.event)) {
            Ok(data) => {
                let value = data.pointer(pointer).ok_or(Unmetered::Missing)?;
                measured(value, meter.aggregation, meter.scale)
            }
            Err(why) => Err(*why),
        }
    }
}

fn data(event: &CloudEvent) -> Result<Value, Unmetered> {
    // Data without a media type is JSON (CloudEvents JSON format, section 3.1).
    if !event.has_json_content_type() && event.datacontenttype().is_some() {
        return Err(Unmetered::NotJson);
    }
    let data = event.data().ok_or(Unmetered::Missing)?;
    serde_json::from_slice(data.as_bytes()).map_err(|_| Unmetered::NotJson)
}

fn measured(value: &Value, aggregation: Aggregation, scale: u8) -> Result<u64, Unmetered> {
    match aggregation {
        Aggregation::Count => Ok(1),
        Aggregation::Unique => fingerprint(value),
        Aggregation::Sum | Aggregation::Max | Aggregation::Latest => match value {
            Value::Number(number) => scaled(number, scale),
            Value::Null => Err(Unmetered::Missing),
            _ => Err(Unmetered::WrongKind),
        },
    }
}

/// Stands for a value. Two of 64 bits are the same by accident once in some 10^19 pairs. The kinds are told apart: `"1"` is not
/// `1`. The key is no secret: a tenant that makes its values collide counts itself less.
fn fingerprint(value: &Value) -> Result<u64, Unmetered> {
    let mut hasher = SipHasher24::new();
    match value {
        Value::String(text) => {
            hasher.write_u8(b's');
            hasher.write(text.as_bytes());
        }
        Value::Number(number) => {
            hasher.write_u8(b'n');
            hasher.write(number.to_string().as_bytes());
        }
        Value::Bool(bit) => hasher.write(if *bit { b"bt" } else { b"bf" }),
        Value::Null => return Err(Unmetered::Missing),
        Value::Array(_) | Value::Object(_) => return Err(Unmetered::WrongKind),
    }
    Ok(hasher.finish())
}

/// A number times ten to the power of `scale`, the rest cut off. By its decimal digits, so that 0.29 with two decimals is 29: as a
/// binary fraction it is a little less.
fn scaled(number: &Number, scale: u8) -> Result<u64, Unmetered> {
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| Unmetered::TooLarge)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_zero = mantissa.bytes().all(|b| matches!(b, b'-' | b'.' | b'0'));
    if is_zero {
        return Ok(0);
    }
    if whole.starts_with('-') {
        return Err(Unmetered::Negative);
    }
    let digits = whole.bytes().chain(fraction.bytes()).map(|b| u64::from(b - b'0'));
    // Digits that stand before the point, once it is moved.
    let kept =
        i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent).saturating_add(scale.into());
    if kept > 400 {
        return Err(Unmetered::TooLarge);
    }
    let kept = usize::try_from(kept).unwrap_or(0);
    let all = digits.chain(std::iter::repeat(0)).take(kept);
    all.into_iter()
        .try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(digit))
        .ok_or(Unmetered::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str, scale: u8) -> Result<u64, Unmetered> {
        measured(&serde_json::from_str(text).unwrap(), Aggregation::Sum, scale)
    }

    #[test]
    fn numbers_keep_their_decimals_and_no_more() {
        for (text, scale, want) in [
            ("0", 0, 0),
            ("-0", 2, 0),
            ("-0.0", 6, 0),
            ("12", 0, 12),
            ("12", 6, 12_000_000),
            ("12.345", 2, 1_234),
            ("12.999", 0, 12),
            ("0.29", 2, 29),
            ("1.005", 3, 1_005),
            ("0.009", 2, 0),
            ("1e3", 0, 1_000),
            ("1.5e-3", 4, 15),
            ("1e-300", 6, 0),
            ("18446744073709551615", 0, u64::MAX),
            ("1e19", 0, 10_000_000_000_000_000_000),
        ] {
            assert_eq!(number(text, scale), Ok(want), "{text} with {scale}");
        }
        for (text, scale, why) in [
            ("-1", 0, Unmetered::Negative),
            ("-0.001", 0, Unmetered::Negative),
            ("18446744073709551616", 0, Unmetered::TooLarge),
            ("18446744073709551615", 1, Unmetered::TooLarge),
            ("1e300", 0, Unmetered::TooLarge),
            ("\"12\"", 0, Unmetered::WrongKind),
            ("true", 0, Unmetered::WrongKind),
            ("[1]", 0, Unmetered::WrongKind),
            ("null", 0, Unmetered::Missing),
        ] {
            assert_eq!(number(text, scale), Err(why), "{text} with {scale}");
        }
    }

    #[test]
    fn values_are_told_apart_and_known_again() {
        let of = |text: &str| fingerprint(&serde_json::from_str(text).unwrap());
        let all = ["\"1\"", "1", "\"\"", "true", "false", "\"true\"", "1.5", "-1", "\"n1\""];
        let prints: std::collections::BTreeSet<_> = all.iter().map(|text| of(text).unwrap()).collect();
        assert_eq!(prints.len(), all.len());
        assert_eq!(of("\"\\u0061\""), of("\"a\""));
        // What records hold must mean the same for ever.
        assert_eq!(of("\"a\"").unwrap(), 18_000_073_569_580_711_833);
        assert_eq!(of("{}"), Err(Unmetered::WrongKind));
        assert_eq!(of("null"), Err(Unmetered::Missing));
    }
}
