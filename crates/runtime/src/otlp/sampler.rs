//! Which requests are traced: decided once, where they come in, and told to every hop after that by a flag.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prometheus::IntCounter;

use crate::metrics::{self, Metric};

/// The bits of a trace id that are random by W3C Trace Context level 2.
const RANDOM_BITS: u32 = 56;

/// Decides.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Trace ids from here on are sampled, as in OpenTelemetry's consistent probability sampling: a process with a larger
    /// ratio traces all that one with a smaller ratio does.
    threshold: u64,
    /// A caller can ask for any number of traces.
    limit: DefaultDirectRateLimiter,
    /// And a reader for the same events any number of times.
    spans: DefaultDirectRateLimiter,
    sampled: IntCounter,
    over_limit: IntCounter,
    spans_over_limit: IntCounter,
}

impl Sampler {
    pub(crate) fn new(ratio: f64, per_second_max: u32, spans_per_second_max: u32) -> Self {
        let all = 1_u64 << RANDOM_BITS;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "2^56 is exact, and the ratio is from 0 to 1"
        )]
        let threshold = ((1.0 - ratio.clamp(0.0, 1.0)) * all as f64) as u64;
        let result = |result| metrics::counter(Metric::TelemetrySampled, &[result]);
        Self {
            threshold,
            limit: limit(per_second_max),
            spans: limit(spans_per_second_max),
            sampled: result("sampled"),
            over_limit: result("over_limit"),
            spans_over_limit: metrics::counter(Metric::TelemetryDropped, &["traces", "over_limit"]),
        }
    }

    /// Whether a request is traced. `caller`: what its caller says of the trace it brings, if it brings one.
    pub(crate) fn decide(&self, caller: Option<bool>, trace_id: u128) -> bool {
        if !caller.unwrap_or_else(|| self.chosen(trace_id)) {
            return false;
        }
        let within = self.limit.check().is_ok();
        if within {
            self.sampled.inc();
        } else {
            self.over_limit.inc();
        }
        within
    }

    /// Whether one more span may be sent.
    pub(crate) fn admits_span(&self) -> bool {
        let within = self.spans.check().is_ok();
        if !within {
            self.spans_over_limit.inc();
        }
        within
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower bits are meant")]
    fn chosen(&self, trace_id: u128) -> bool {
        let random = trace_id as u64 & ((1 << RANDOM_BITS) - 1);
        random >= self.threshold
    }
}

fn limit(per_second: u32) -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_holds_and_a_larger_one_takes_what_a_smaller_one_does() {
        let [none, few, half, all] = [0.0, 0.01, 0.5, 1.0].map(|ratio| Sampler::new(ratio, 1, 1));
        let ids: Vec<u128> = (0..100_000).map(|_| rand::random()).collect();
        let count = |sampler: &Sampler| ids.iter().filter(|id| sampler.chosen(**id)).count();
        assert_eq!((count(&none), count(&all)), (0, ids.len()));
        assert!((850..1_150).contains(&count(&few)), "{}", count(&few));
        assert!((49_000..51_000).contains(&count(&half)), "{}", count(&half));
        assert!(ids.iter().all(|id| !few.chosen(*id) || half.chosen(*id)));
    }

    #[test]
    fn callers_are_followed_up_to_a_limit() {
        let sampler = Sampler::new(1.0, 5, 3);
        assert!(!sampler.decide(Some(false), 1), "who is not traced stays so");
        let followed = (0..100).filter(|_| sampler.decide(Some(true), 1)).count();
        assert!((5..10).contains(&followed), "{followed}");
        assert!(!sampler.decide(None, u128::MAX), "the limit is one for all");
        let sent = (0..100).filter(|_| sampler.admits_span()).count();
        assert!((3..10).contains(&sent), "{sent}");
    }
}
