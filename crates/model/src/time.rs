//! Time as a parameter, and RFC 3339.

use std::time::{SystemTime, UNIX_EPOCH};

use ::time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Microseconds since the Unix epoch, negative before 1970.
pub type Micros = i64;

/// Where the time comes from, so that tests need not sleep.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch.
    fn now(&self) -> Micros;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        }
    }
}

/// Why a string is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time such as 2026-11-21T10:00:00Z")]
pub struct InvalidTime(String);

/// Reads an RFC 3339 time with any offset (RFC 3339, section 5.6; CloudEvents 1.0, "Timestamp").
///
/// # Errors
/// If it is not one.
pub fn parse_rfc3339(text: &str) -> Result<Micros, InvalidTime> {
    i64::try_from(parse_rfc3339_nanos(text)?.div_euclid(1_000)).map_err(|_| InvalidTime(text.to_owned()))
}

/// Reads an RFC 3339 time to the nanosecond.
///
/// # Errors
/// If it is not one.
pub fn parse_rfc3339_nanos(text: &str) -> Result<i128, InvalidTime> {
    // The `time` crate wants the upper case that RFC 3339 only recommends.
    let parse = |s: &str| OffsetDateTime::parse(s, &Rfc3339);
    let parsed = parse(text).or_else(|e| {
        if text.bytes().any(|b| matches!(b, b't' | b'z')) {
            parse(&text.to_ascii_uppercase())
        } else {
            Err(e)
        }
    });
    Ok(parsed.map_err(|_| InvalidTime(text.chars().take(64).collect()))?.unix_timestamp_nanos())
}

/// Writes a time in UTC, as `2026-11-21T10:00:00.000001Z`; whole seconds without a fraction.
#[must_use]
pub fn format_rfc3339(at: Micros) -> String {
    format_rfc3339_nanos(i128::from(at) * 1_000)
}

/// Writes nanoseconds since the Unix epoch in UTC.
#[must_use]
pub fn format_rfc3339_nanos(at: i128) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(at)
        .ok()
        .and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{at}ns"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_writes_utc() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01Z").unwrap(), 1_000_000);
        assert_eq!(parse_rfc3339("1970-01-01T01:00:00.5+01:00").unwrap(), 500_000);
        assert_eq!(parse_rfc3339("1969-12-31t23:59:59z").unwrap(), -1_000_000);
        assert!(parse_rfc3339("2100-02-28T23:59:60Z").is_ok());
        assert_eq!(format_rfc3339(500_000), "1970-01-01T00:00:00.5Z");
        for bad in
            ["", "now", "2026-11-21", "2026-11-21T10:00:00", "2026-13-01T00:00:00Z", "2026-11-21 10:00", "1"]
        {
            assert!(parse_rfc3339(bad).is_err(), "{bad}");
        }
    }
}
