//! Calendar days, and the time zones in which they begin.

use std::{borrow::Cow, fmt, ops::Deref, str::FromStr, sync::LazyLock};

use jiff::{
    civil,
    tz::{TimeZone, TimeZoneDatabase},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A day of the calendar, from 1970-01-01 to 2999-12-31; where it begins is a time zone's to say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(civil::Date);

/// Why something is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a day such as \"2026-10-01\", from 1970-01-01 to 2999-12-31")]
pub struct InvalidDate(String);

impl TryFrom<civil::Date> for Date {
    type Error = InvalidDate;

    fn try_from(date: civil::Date) -> Result<Self, InvalidDate> {
        let known = (1970..3000).contains(&date.year());
        if known { Ok(Self(date)) } else { Err(InvalidDate(date.to_string())) }
    }
}

impl Deref for Date {
    type Target = civil::Date;

    fn deref(&self) -> &civil::Date {
        &self.0
    }
}

impl FromStr for Date {
    type Err = InvalidDate;

    /// Reads a `full-date` (RFC 3339, section 5.6).
    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let invalid = || InvalidDate(text.chars().take(64).collect());
        let shape = |(i, b): (usize, u8)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() };
        if text.len() != 10 || !text.bytes().enumerate().all(shape) {
            return Err(invalid());
        }
        let date: civil::Date = text.parse().map_err(|_| invalid())?;
        date.try_into().map_err(|_| invalid())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date" })
    }
}

/// The time zone of that IANA name, spelt as IANA spells it. The database is part of the program, so that a day begins at the
/// same moment on every machine.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    DATABASE.get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_as_rfc_3339_writes_them() {
        for good in ["1970-01-01", "2024-02-29", "2999-12-31"] {
            let read: Date = serde_json::from_str(&format!("{good:?}")).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), format!("{good:?}"));
        }
        for bad in [
            "",
            "2026-02-29",
            "2026-13-01",
            "1969-12-31",
            "3000-01-01",
            "20261001",
            "2026-10-01T00",
            "2026-1-01",
        ] {
            assert!(bad.parse::<Date>().unwrap_err().to_string().contains("is not a day such as"), "{bad}");
        }
    }

    #[test]
    fn zones_by_their_names() {
        for good in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(time_zone(good).is_some(), "{good}");
        }
        for bad in ["", "europe/berlin", "Berlin", "+02:00", "../etc/passwd"] {
            assert!(time_zone(bad).is_none(), "{bad}");
        }
    }
}
