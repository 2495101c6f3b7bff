//! Times on the command line: RFC 3339, or how long ago.

use model::{Clock as _, Micros, SystemClock, format_rfc3339, parse_rfc3339};

/// Reads `2026-11-21T10:00:00Z`, or `90s`, `15m`, `2h`, `7d` ago, and gives RFC 3339.
pub(crate) fn moment(text: &str) -> Result<String, String> {
    moment_at(text, SystemClock.now())
}

fn moment_at(text: &str, now: Micros) -> Result<String, String> {
    if parse_rfc3339(text).is_ok() {
        return Ok(text.to_owned());
    }
    let ago = span_seconds(text).map_err(|_| {
        "write a time as 2026-11-21T10:00:00Z, or how long ago as 90s, 15m, 2h or 7d".to_owned()
    })?;
    let ago_us = i64::try_from(ago).ok().and_then(|s| s.checked_mul(1_000_000)).ok_or("too long ago")?;
    Ok(format_rfc3339(now - ago_us))
}

/// Reads `90s`, `15m`, `2h`, `7d`.
pub(crate) fn span_seconds(text: &str) -> Result<u64, String> {
    let wrong = || "write a length of time as 90s, 15m, 2h or 7d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    count.checked_mul(seconds).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_how_long_ago() {
        let now = parse_rfc3339("2026-11-21T10:00:00Z").unwrap();
        for (text, meant) in [
            ("2026-11-21T09:00:00+01:00", "2026-11-21T09:00:00+01:00"),
            ("90s", "2026-11-21T09:58:30Z"),
            ("15m", "2026-11-21T09:45:00Z"),
            ("2h", "2026-11-21T08:00:00Z"),
            ("7d", "2026-11-14T10:00:00Z"),
        ] {
            assert_eq!(moment_at(text, now).unwrap(), meant, "{text}");
        }
        for bad in ["", "now", "5", "m", "-5m", "5w", "5é", "99999999999999999999d"] {
            assert!(moment_at(bad, now).is_err(), "{bad}");
        }
    }
}
