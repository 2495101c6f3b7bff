//! `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10): a policy `events` and a policy `bytes`, of a tenant
//! that has such limits.

use auth::quota::{Exceeded, Left, QuotaState, Unit};
use http::{HeaderMap, HeaderName, HeaderValue};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What a limited tenant is told with every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told(Left);

impl Told {
    /// None, if the tenant has no such limits.
    pub(crate) fn left(left: Left) -> Option<Self> {
        (left != Left::default()).then_some(Self(left))
    }

    /// Refused: nothing is left as far as this request is concerned.
    pub(crate) fn exceeded(error: &Exceeded) -> Self {
        Self(match error.state() {
            (Unit::Events, state) => Left { events: Some(state), bytes: None },
            (Unit::Bytes, state) => Left { events: None, bytes: Some(state) },
        })
    }

    pub(crate) fn put(self, headers: &mut HeaderMap) {
        let Self(Left { events, bytes }) = self;
        let (mut policies, mut limits) = (String::new(), String::new());
        for (unit, state) in [(Unit::Events, events), (Unit::Bytes, bytes)] {
            let Some(QuotaState { limit, remaining, reset_s, window_s }) = state else { continue };
            let (name, comma) = (unit.as_str(), if policies.is_empty() { "" } else { ", " });
            policies += &format!(r#"{comma}"{name}";q={limit};w={window_s};qu="{name}""#);
            limits += &format!(r#"{comma}"{name}";r={remaining};t={reset_s}"#);
        }
        for (name, value) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, limits)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_structured_fields() {
        let mut headers = HeaderMap::new();
        let state = |limit| Some(QuotaState { limit, remaining: 60, reset_s: 4, window_s: 10 });
        Told::left(Left { events: state(100), bytes: None }).unwrap().put(&mut headers);
        assert_eq!(headers[RATE_LIMIT_POLICY], r#""events";q=100;w=10;qu="events""#);
        assert_eq!(headers[RATE_LIMIT], r#""events";r=60;t=4"#);
        Told::left(Left { events: state(100), bytes: state(2_000) }).unwrap().put(&mut headers);
        let policies = r#""events";q=100;w=10;qu="events", "bytes";q=2000;w=10;qu="bytes""#;
        assert_eq!(headers[RATE_LIMIT_POLICY], policies);
        assert_eq!(headers[RATE_LIMIT], r#""events";r=60;t=4, "bytes";r=60;t=4"#);
        let retry_after = std::time::Duration::from_millis(2_500);
        let later = Exceeded::Later { unit: Unit::Bytes, rate: 30, limit: 100, retry_after };
        Told::exceeded(&later).put(&mut headers);
        assert_eq!(headers[RATE_LIMIT_POLICY], r#""bytes";q=100;w=4;qu="bytes""#);
        assert_eq!(headers[RATE_LIMIT], r#""bytes";r=0;t=3"#);
        assert_eq!(Told::left(Left::default()), None);
    }
}
