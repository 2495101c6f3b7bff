//! The functions of templates: pure, bounded in what they give.

use std::borrow::Cow;

use model::{format_rfc3339_nanos, parse_rfc3339};

use crate::limits::VALUE_BYTES_MAX;

/// A function of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// `concat(a, b, …)`: all of them, or nothing when one of them is missing.
    Concat,
    /// `lower(x)`: in lower case.
    Lower,
    /// `match(x, k1, v1, …, else)`: the `v` whose `k` equals `x`.
    Match,
    /// `replace(x, from, to)`: every `from` in `x` as `to`.
    Replace,
    /// `time(x)`: `x` if it is RFC 3339.
    Time,
    /// `unix(x)`: Unix seconds, with or without a fraction, as RFC 3339.
    Unix,
    /// `unix_ms(x)`: Unix milliseconds as RFC 3339.
    UnixMs,
}

impl Function {
    /// Every function with its name, sorted.
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("concat", Self::Concat),
        ("lower", Self::Lower),
        ("match", Self::Match),
        ("replace", Self::Replace),
        ("time", Self::Time),
        ("unix", Self::Unix),
        ("unix_ms", Self::UnixMs),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
    }

    /// What is wrong with that many arguments.
    pub(crate) const fn check_arguments(self, count: usize) -> Result<(), &'static str> {
        match self {
            Self::Lower | Self::Time | Self::Unix | Self::UnixMs if count != 1 => Err("takes one argument"),
            Self::Replace if count != 3 => Err("takes three arguments: value, from, to"),
            Self::Match if count < 3 => {
                Err("takes a value, then pairs of key and result, then may have a default")
            }
            _ => Ok(()),
        }
    }
}

/// Joins parts; nothing when the whole is too long.
pub(crate) fn join<'a>(parts: impl Iterator<Item = Option<Cow<'a, str>>>) -> Option<Cow<'a, str>> {
    let mut whole = String::new();
    for part in parts {
        let part = part?;
        if whole.len() + part.len() > VALUE_BYTES_MAX {
            return None;
        }
        whole.push_str(&part);
    }
    Some(Cow::Owned(whole))
}

pub(crate) fn lower(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if !value.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        return Some(value);
    }
    // Some letters grow when lowered.
    let lowered = value.to_lowercase();
    (lowered.len() <= VALUE_BYTES_MAX).then_some(Cow::Owned(lowered))
}

pub(crate) fn replace<'a>(value: Cow<'a, str>, from: &str, to: &str) -> Option<Cow<'a, str>> {
    let count = if from.is_empty() { 0 } else { value.matches(from).count() };
    if count == 0 {
        return Some(value);
    }
    // Checked before it is made: nested calls could multiply without end.
    let length = value.len() - count * from.len() + count * to.len();
    (length <= VALUE_BYTES_MAX).then(|| Cow::Owned(value.replace(from, to)))
}

pub(crate) fn time(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    parse_rfc3339(&value).is_ok().then_some(value)
}

/// `scale`: digits after the point that make the number whole nanoseconds (9 for seconds, 6 for milliseconds).
pub(crate) fn unix(value: &str, scale: usize) -> Option<Cow<'static, str>> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let (negative, digits) = whole.strip_prefix('-').map_or((false, whole), |rest| (true, rest));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if digits.is_empty() || digits.len() > 18 || !all_digits(digits) || !all_digits(fraction) {
        return None;
    }
    let mut nanos: i128 = digits.parse().ok()?;
    for i in 0..scale {
        let digit = fraction.as_bytes().get(i).map_or(0, |b| i128::from(b - b'0'));
        nanos = nanos * 10 + digit;
    }
    let nanos = if negative { -nanos } else { nanos };
    // Years 1 to 9999, which is what RFC 3339 can write.
    const SECOND: i128 = 1_000_000_000;
    (-62_135_596_800 * SECOND..253_402_300_800 * SECOND)
        .contains(&nanos)
        .then(|| Cow::Owned(format_rfc3339_nanos(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_times() {
        let cases: [(&str, usize, Option<&str>); 14] = [
            ("0", 9, Some("1970-01-01T00:00:00Z")),
            ("1533048000", 9, Some("2018-07-31T14:40:00Z")),
            ("1355517523.000005", 9, Some("2012-12-14T20:38:43.000005Z")),
            ("1.9999999999", 9, Some("1970-01-01T00:00:01.999999999Z")),
            ("-1.5", 9, Some("1969-12-31T23:59:58.5Z")),
            ("1500", 6, Some("1970-01-01T00:00:01.5Z")),
            ("253402300799", 9, Some("9999-12-31T23:59:59Z")),
            ("253402300800", 9, None),
            ("999999999999999999", 9, None),
            ("9999999999999999999999999", 9, None),
            ("", 9, None),
            ("-", 9, None),
            ("1e9", 9, None),
            ("1.x", 9, None),
        ];
        for (value, scale, expected) in cases {
            assert_eq!(unix(value, scale).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn growth_is_bounded() {
        let long = "a".repeat(VALUE_BYTES_MAX);
        assert_eq!(replace(Cow::Borrowed(&long), "a", "aa"), None);
        assert_eq!(replace(Cow::Borrowed("abc"), "", "x").as_deref(), Some("abc"));
        assert_eq!(join([Some(Cow::Borrowed(&*long)), Some("b".into())].into_iter()), None);
        // U+0130 takes two bytes and its lower case three.
        assert_eq!(lower(Cow::Owned("\u{130}".repeat(VALUE_BYTES_MAX / 2))), None);
    }

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(Function::ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
