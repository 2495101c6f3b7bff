//! Content encodings. The size is counted while undoing them, so that a small body cannot become a large one.

use std::io::Read;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
};
use model::ErrorCode;
use runtime::problem::Problem;

/// The largest window a zstd frame may ask for: 8 MiB, which every decoder must support (RFC 8878, section
/// 3.1.1.1.2). Without it a frame of a few bytes could ask for 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// What `Content-Encoding` says.
///
/// # Errors
/// 415 for an encoding that is not read here, or several on top of each other.
pub(crate) fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let mut found = Encoding::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        for coding in value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            let is = |name: &[u8]| coding.eq_ignore_ascii_case(name);
            let next = if is(b"") || is(b"identity") {
                continue;
            } else if is(b"gzip") || is(b"x-gzip") {
                Encoding::Gzip
            } else if is(b"zstd") {
                Encoding::Zstd
            } else {
                return Err(unsupported(&format!(
                    "the content encoding {:?} is not read here; send gzip, zstd or none",
                    String::from_utf8_lossy(&coding[..coding.len().min(32)])
                )));
            };
            if found != Encoding::Identity {
                return Err(unsupported("only one content encoding is undone; send gzip, zstd or none"));
            }
            found = next;
        }
    }
    Ok(found)
}

fn unsupported(detail: &str) -> Problem {
    // RFC 9110, section 15.5.16: says what would have been accepted.
    Problem::new(ErrorCode::UnsupportedMediaType, detail)
        .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"))
        .field("header:content-encoding", "is not supported")
}

/// Undoes the encoding.
///
/// # Errors
/// 413 beyond `limit_bytes`, 400 if the body is not what its encoding says.
pub(crate) fn decode(body: Bytes, encoding: Encoding, limit_bytes: usize) -> Result<Bytes, Problem> {
    match encoding {
        Encoding::Identity => Ok(body),
        Encoding::Gzip => read("gzip", flate2::read::MultiGzDecoder::new(&*body), &body, limit_bytes),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(&*body).map_err(|e| broken("zstd", &e))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|e| broken("zstd", &e))?;
            read("zstd", decoder, &body, limit_bytes)
        }
    }
}

fn read(name: &str, decoder: impl Read, body: &Bytes, limit_bytes: usize) -> Result<Bytes, Problem> {
    let mut out = Vec::with_capacity(body.len().saturating_mul(4).min(limit_bytes));
    // One byte more than allowed tells a body that is too large from one that just fits.
    let past = u64::try_from(limit_bytes).map_or(u64::MAX, |n| n.saturating_add(1));
    decoder.take(past).read_to_end(&mut out).map_err(|e| broken(name, &e))?;
    if out.len() > limit_bytes {
        return Err(Problem::new(
            ErrorCode::TooLarge,
            format!("the body is larger than {limit_bytes} bytes when its {name} is undone"),
        ));
    }
    Ok(out.into())
}

fn broken(name: &str, error: &std::io::Error) -> Problem {
    Problem::new(
        ErrorCode::Malformed,
        format!("the body is not {name}, as its content encoding says: {error}"),
    )
    .field("header:content-encoding", "does not match the body")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|v| (CONTENT_ENCODING, HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn names_of_encodings() {
        let good: [(&[&str], _); 7] = [
            (&[], Encoding::Identity),
            (&[""], Encoding::Identity),
            (&["Identity"], Encoding::Identity),
            (&["gzip"], Encoding::Gzip),
            (&["X-GZIP"], Encoding::Gzip),
            (&["identity, zstd"], Encoding::Zstd),
            (&["identity", "zstd"], Encoding::Zstd),
        ];
        for (values, expected) in good {
            assert_eq!(encoding(&headers(values)).unwrap(), expected, "{values:?}");
        }
        let bad: [&[&str]; 5] = [&["br"], &["deflate"], &["gzip, gzip"], &["gzip", "zstd"], &["\u{7f}"][..0]];
        for values in &bad[..4] {
            let problem = encoding(&headers(values)).unwrap_err();
            assert_eq!(problem.code, ErrorCode::UnsupportedMediaType, "{values:?}");
        }
    }

    #[test]
    fn undoes_what_was_done_up_to_the_limit() {
        let data = vec![b'x'; 10_000];
        for (encoding, packed) in [(Encoding::Gzip, gzip(&data)), (Encoding::Zstd, zstd(&data))] {
            let packed = Bytes::from(packed);
            assert!(packed.len() < 200);
            assert_eq!(decode(packed.clone(), encoding, 10_000).unwrap(), data);
            let over = decode(packed.clone(), encoding, 9_999).unwrap_err();
            assert_eq!(over.code, ErrorCode::TooLarge);
            let cut = decode(packed.slice(..packed.len() - 3), encoding, 10_000).unwrap_err();
            assert_eq!(cut.code, ErrorCode::Malformed);
            let twice = Bytes::from([&packed[..], &packed[..]].concat());
            assert_eq!(decode(twice, encoding, 20_000).unwrap().len(), 20_000);
            let tail = Bytes::from([&packed[..], b"garbage"].concat());
            assert_eq!(decode(tail, encoding, 20_000).unwrap_err().code, ErrorCode::Malformed);
            let plain = decode(Bytes::from_static(b"{}"), encoding, 10).unwrap_err();
            assert_eq!(plain.code, ErrorCode::Malformed);
        }
    }
}
