//! Numbers and strings.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::{Place, Proof, Proved, side::Given};

/// Numbers compared exactly; none where that cannot be done.
pub(crate) fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => {
            // A whole number that a double does not hold is not compared with a fraction.
            let exact = |n: &Number| {
                let double = n.as_f64()?;
                (whole(n).is_none_or(|n| n.unsigned_abs() <= 1 << 53)).then_some(double)
            };
            exact(a)?.partial_cmp(&exact(b)?)
        }
    }
}

/// Whether some part of the other side has a bound that is `good` beside this one.
pub(crate) fn bounded(
    value: &Value,
    given: &Given<'_>,
    keyword: &str,
    good: impl Fn(Ordering) -> bool,
) -> bool {
    let Value::Number(bound) = value else { return false };
    given
        .say(keyword)
        .filter_map(|theirs| match theirs {
            Value::Number(theirs) => compare(theirs, bound),
            _ => None,
        })
        .any(good)
}

pub(crate) fn number(keyword: &str, value: &Value, given: &Given<'_>, place: &Place) -> Proved {
    let proved = match keyword {
        "minimum" => {
            bounded(value, given, "minimum", Ordering::is_ge)
                || bounded(value, given, "exclusiveMinimum", Ordering::is_ge)
        }
        "maximum" => {
            bounded(value, given, "maximum", Ordering::is_le)
                || bounded(value, given, "exclusiveMaximum", Ordering::is_le)
        }
        "exclusiveMinimum" => {
            bounded(value, given, "minimum", Ordering::is_gt)
                || bounded(value, given, "exclusiveMinimum", Ordering::is_ge)
        }
        "exclusiveMaximum" => {
            bounded(value, given, "maximum", Ordering::is_lt)
                || bounded(value, given, "exclusiveMaximum", Ordering::is_le)
        }
        _ => {
            let multiple = |theirs: &Value| match (value.as_u64(), theirs.as_u64()) {
                (Some(ours), Some(theirs)) if ours > 0 => theirs % ours == 0,
                _ => value == theirs,
            };
            let whole = given.types().iter().all(|ty| *ty != "number");
            (whole && value.as_u64() == Some(1)) || given.say("multipleOf").any(multiple)
        }
    };
    if proved { Ok(()) } else { Err(place.fault(format!("of {value} is narrower than the other side"))) }
}

impl<'a> Proof<'a> {
    pub(crate) fn string(
        &mut self,
        keyword: &str,
        value: &'a Value,
        given: &Given<'a>,
        place: &Place,
    ) -> Proved {
        let proved = match keyword {
            "minLength" => value.as_u64() == Some(0) || bounded(value, given, keyword, Ordering::is_ge),
            "maxLength" => bounded(value, given, keyword, Ordering::is_le),
            _ => given.say(keyword).any(|theirs| theirs == value),
        };
        if proved { Ok(()) } else { Err(place.fault(format!("of {value} is narrower than the other side"))) }
    }
}
