//! Reading a body whole, bounded in bytes and time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use model::ErrorCode;
use tokio::time::{Instant, timeout_at};

use crate::problem::Problem;

/// Reads the whole body: at most `limit_bytes`, within `timeout`, and without a pause longer than half of it.
/// A body that arrives in one piece is not copied.
///
/// # Errors
/// `too_large` (413), `request_timeout` (408), or `malformed` (400) if it ends early or its framing is broken.
pub async fn read_body(mut body: Body, limit_bytes: usize, timeout: Duration) -> Result<Bytes, Problem> {
    // The announced length, where there is one: refuse before reading anything.
    if usize::try_from(body.size_hint().lower()).map_or(true, |n| n > limit_bytes) {
        return Err(too_large(limit_bytes));
    }
    let start = Instant::now();
    let deadline = start + timeout;
    let mut stalled_at = start + timeout / 2;
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let frame = match timeout_at(stalled_at.min(deadline), body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(broken(&error)),
            Err(_) => return Err(too_slow(timeout)),
        };
        let Ok(data) = frame.into_data() else { continue };
        if data.is_empty() {
            continue;
        }
        let so_far = if whole.is_empty() { first.len() } else { whole.len() };
        if so_far + data.len() > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        if so_far == 0 {
            first = data;
        } else {
            if whole.is_empty() {
                let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(limit_bytes);
                whole.reserve(so_far + data.len() + announced);
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
        stalled_at = Instant::now() + timeout / 2;
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn too_large(limit_bytes: usize) -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("the body is larger than {limit_bytes} bytes"))
}

fn too_slow(timeout: Duration) -> Problem {
    Problem::new(
        ErrorCode::RequestTimeout,
        format!("the body did not arrive within {} ms", timeout.as_millis()),
    )
}

fn broken(error: &axum::Error) -> Problem {
    Problem::new(ErrorCode::Malformed, format!("the body cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    fn pieces(pieces: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(
            pieces.iter().map(|p| Ok::<_, Infallible>(Bytes::from_static(p.as_bytes()))),
        ))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_limit_is_exact() {
        for (body, limit, expected) in [
            (&["abc"][..], 3, Ok("abc")),
            (&["abc"][..], 2, Err(ErrorCode::TooLarge)),
            (&["", "ab", "", "c", ""][..], 3, Ok("abc")),
            (&["ab", "c", "d"][..], 3, Err(ErrorCode::TooLarge)),
            (&[][..], 0, Ok("")),
        ] {
            let got = read_body(pieces(body), limit, LONG).await;
            assert_eq!(got.map_err(|p| p.code), expected.map(Bytes::from), "{body:?} {limit}");
        }
        let announced = read_body(Body::from("abcd"), 3, LONG).await;
        assert_eq!(announced.unwrap_err().code, ErrorCode::TooLarge);
    }

    #[tokio::test]
    async fn one_piece_is_not_copied() {
        let bytes = Bytes::from(vec![7; 100]);
        let read = read_body(Body::from(bytes.clone()), 100, LONG).await.unwrap();
        assert_eq!(read.as_ptr(), bytes.as_ptr());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_is_given_up_at_half_time_and_a_trickling_one_at_the_end() {
        let start = Instant::now();
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(read_body(stalled, 10, LONG).await.unwrap_err().code, ErrorCode::RequestTimeout);
        assert_eq!(start.elapsed().as_secs(), 30);

        let start = Instant::now();
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
        });
        assert_eq!(
            read_body(Body::from_stream(drip), 100, LONG).await.unwrap_err().code,
            ErrorCode::RequestTimeout
        );
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_malformed() {
        let broken = Body::from_stream(stream::iter([
            Ok(Bytes::from_static(b"x")),
            Err(std::io::Error::other("reset")),
        ]));
        assert_eq!(read_body(broken, 10, LONG).await.unwrap_err().code, ErrorCode::Malformed);
    }
}
