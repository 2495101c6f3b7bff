//! `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): one policy, `events`.

use auth::quota::{Exceeded, QuotaState};
use http::{HeaderMap, HeaderName, HeaderValue};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What a limited tenant is told with every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    limit: u32,
    window_s: u32,
    remaining: u32,
    reset_s: u32,
}

impl Told {
    pub(crate) fn state(state: QuotaState) -> Self {
        Self {
            limit: state.limit,
            window_s: state.window_s,
            remaining: state.remaining,
            reset_s: state.reset_s,
        }
    }

    /// Refused: nothing is left as far as this request is concerned. The window is what the burst takes to fill.
    pub(crate) fn exceeded(error: &Exceeded, events_per_second: u32) -> Self {
        let limit = error.limit();
        Self {
            limit,
            window_s: limit.div_ceil(events_per_second.max(1)).max(1),
            remaining: 0,
            reset_s: error.retry_after_s(),
        }
    }

    pub(crate) fn put(self, headers: &mut HeaderMap) {
        let Self { limit, window_s, remaining, reset_s } = self;
        let mut put = |name, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        put(RATE_LIMIT_POLICY, format!(r#""events";q={limit};w={window_s};qu="events""#));
        put(RATE_LIMIT, format!(r#""events";r={remaining};t={reset_s}"#));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_structured_fields() {
        let mut headers = HeaderMap::new();
        Told::state(QuotaState { limit: 100, remaining: 60, reset_s: 4, window_s: 10 }).put(&mut headers);
        assert_eq!(headers[RATE_LIMIT_POLICY], r#""events";q=100;w=10;qu="events""#);
        assert_eq!(headers[RATE_LIMIT], r#""events";r=60;t=4"#);
        let later = Exceeded::Later { limit: 100, retry_after: std::time::Duration::from_millis(2_500) };
        Told::exceeded(&later, 30).put(&mut headers);
        assert_eq!(headers[RATE_LIMIT_POLICY], r#""events";q=100;w=4;qu="events""#);
        assert_eq!(headers[RATE_LIMIT], r#""events";r=0;t=3"#);
    }
}
