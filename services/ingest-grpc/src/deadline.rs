//! The caller's deadline.

use std::time::Duration;

use http::HeaderMap;
use model::ErrorCode;
use runtime::problem::Problem;
use tokio::time::Instant;

/// When the caller stops waiting, if it said so; carried with a stream's request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Option<Instant>);

const HEADER: &str = "grpc-timeout";

/// How long the caller waits: up to eight digits and a unit (gRPC over HTTP/2, "Timeout").
///
/// # Errors
/// If the header is there and is no timeout.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    value.to_str().ok().and_then(parse).map(Some).ok_or_else(|| {
        Problem::new(ErrorCode::Malformed, "grpc-timeout must be up to 8 digits and one of H, M, S, m, u, n")
            .field(HEADER, "is no timeout")
    })
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("00000004m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("0m", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            ("123456789S", None),
            ("1 S", None),
            ("1é", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        let mut headers = HeaderMap::new();
        assert!(timeout(&headers).unwrap().is_none());
        headers.insert(HEADER, http::HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(timeout(&headers).is_err());
    }
}
