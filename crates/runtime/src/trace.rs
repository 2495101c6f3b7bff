//! W3C trace context: which trace a request belongs to, carried through every hop.
//!
//! Source: <https://www.w3.org/TR/trace-context/>. Two contexts travel: the `traceparent` extension of a
//! CloudEvent is the origin of the event and never changes; the one here is this hop's.

use std::cell::Cell;

use http::HeaderMap;
use model::Text;

use crate::otlp;

/// The caller knows that somebody records this trace (`sampled`).
pub const FLAG_SAMPLED: u8 = 0b1;

/// Longest `tracestate` carried on; longer ones are dropped whole (W3C, section 3.3.1.5, asks for at least 512).
const STATE_BYTES_MAX: usize = 512;

/// One hop of a trace: the trace it belongs to and its own span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    state: Option<Text>,
}

impl TraceContext {
    /// A new trace with random ids, not sampled.
    #[must_use]
    pub fn random() -> Self {
        Self {
            trace_id: nonzero(rand::random::<u128>),
            span_id: nonzero(rand::random::<u64>),
            flags: 0,
            state: None,
        }
    }

    /// The trace the caller is in, or a new one if there is no valid `traceparent`.
    /// The span is the caller's own: take a [`child`](Self::child) for what happens here.
    #[must_use]
    pub fn from_headers(traceparent: Option<&str>) -> Self {
        traceparent.and_then(Self::parse).unwrap_or_else(Self::random)
    }

    /// The trace the caller is in, from HTTP headers, with `tracestate`.
    /// A `traceparent` that is there twice is none (W3C, section 3.2.1).
    #[must_use]
    pub fn of_caller(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all("traceparent").iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(only), None) => only.to_str().ok().and_then(Self::parse)?,
            _ => return None,
        };
        let state: Vec<&str> = headers.get_all("tracestate").iter().filter_map(|v| v.to_str().ok()).collect();
        Some(if state.is_empty() { parent } else { parent.with_state(Some(state.join(",").into())) })
    }

    /// What begins here, in the caller's trace or a new one. It is decided here whether it is traced
    /// (`telemetry.sample_ratio`); where nothing is traced, the caller's word is passed on.
    #[must_use]
    pub fn arriving(caller: Option<&Self>) -> Self {
        let mut own = caller.map_or_else(Self::random, Self::child);
        if let Some(sampler) = otlp::sampler() {
            own.flags = u8::from(sampler.decide(caller.map(Self::sampled), own.trace_id));
        }
        own
    }

    /// Reads a `traceparent`. All-zero ids and version `ff` are invalid; later versions are read as far as
    /// version 00 defines them (W3C, section 3.2.4).
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let text = traceparent.trim_matches([' ', '\t']);
        let (head, rest) = text.split_at_checked(55)?;
        let bytes = head.as_bytes();
        if bytes[2] != b'-' || bytes[35] != b'-' || bytes[52] != b'-' {
            return None;
        }
        let version = hex(&bytes[..2])?;
        let rest_ok = if version == 0 { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
        if version == 0xff || !rest_ok {
            return None;
        }
        let trace_id = hex(&bytes[3..35])?;
        let span_id = u64::try_from(hex(&bytes[36..52])?).ok()?;
        let flags = u8::try_from(hex(&bytes[53..55])?).ok()?;
        // Flags that version 00 does not define must not be passed on (W3C, section 3.2.2.5.2).
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            flags: flags & FLAG_SAMPLED,
            state: None,
        })
    }

    /// The next hop of the same trace, with a span of its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: nonzero(rand::random::<u64>), ..self.clone() }
    }

    /// The same hop with this `tracestate`, carried as it is; one over 512 bytes is dropped.
    #[must_use]
    pub fn with_state(mut self, state: Option<Text>) -> Self {
        self.state = state.filter(|s| !s.is_empty() && s.len() <= STATE_BYTES_MAX);
        self
    }

    /// The `traceparent` that the next hop gets, version 00.
    #[must_use]
    pub fn to_traceparent(&self) -> Text {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &self.trace_id.to_be_bytes());
        text.push('-');
        push_hex(&mut text, &self.span_id.to_be_bytes());
        text.push('-');
        push_hex(&mut text, &[self.flags]);
        text.into()
    }

    /// The `tracestate` that the next hop gets.
    #[must_use]
    pub fn state(&self) -> Option<&Text> {
        self.state.as_ref()
    }

    /// The trace id: 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        let mut text = String::with_capacity(32);
        push_hex(&mut text, &self.trace_id.to_be_bytes());
        text
    }

    /// This hop's span id: 16 lower-case hex digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// The bytes of the trace id and of this hop's span id.
    pub(crate) fn ids(&self) -> ([u8; 16], [u8; 8]) {
        (self.trace_id.to_be_bytes(), self.span_id.to_be_bytes())
    }

    /// Whether the caller said that somebody records this trace.
    #[must_use]
    pub fn sampled(&self) -> bool {
        self.flags & FLAG_SAMPLED != 0
    }

    /// Runs `f` with this trace as the thread's current one, so that a panic inside is logged with its id.
    pub(crate) fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        let _reset = Reset(CURRENT.replace((self.trace_id, self.span_id)));
        f()
    }

    /// The trace id of the request this thread is working on, if any.
    pub(crate) fn current_id() -> Option<String> {
        Self::current_ids().map(|(trace, _)| format!("{:032x}", u128::from_be_bytes(trace)))
    }

    /// The bytes of the ids of the request this thread is working on, if any.
    pub(crate) fn current_ids() -> Option<([u8; 16], [u8; 8])> {
        let (trace, span) = CURRENT.get();
        (trace != 0).then(|| (trace.to_be_bytes(), span.to_be_bytes()))
    }
}

/// Whether a `traceparent` that the fleet wrote says that its trace is recorded. A look at one byte.
#[must_use]
pub fn is_sampled(traceparent: &[u8]) -> bool {
    traceparent.ends_with(b"-01")
}

thread_local! {
    /// Zero when the thread is not inside a request.
    static CURRENT: Cell<(u128, u64)> = const { Cell::new((0, 0)) };
}

/// Puts the trace that was current before back, also when the code in between panics.
struct Reset((u128, u64));

impl Drop for Reset {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Lower-case hex only: the specification forbids upper case.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |n: u128, d| {
        let d = match d {
            b'0'..=b'9' => d - b'0',
            b'a'..=b'f' => d - b'a' + 10,
            _ => return None,
        };
        Some((n << 4) | u128::from(d))
    })
}

/// Of what every request has written: the standard formatter takes several times as long.
fn push_hex(text: &mut String, bytes: &[u8]) {
    let digit = |half: u8| char::from(if half < 10 { b'0' + half } else { b'a' - 10 + half });
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0xf));
    }
}

fn nonzero<T: Default + PartialEq>(next: impl Fn() -> T) -> T {
    loop {
        let id = next();
        if id != T::default() {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn valid_traceparents_are_continued() {
        for (given, sampled) in [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", false),
            (" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff\t", true),
            // later versions: known part read, rest ignored
            ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future", true),
        ] {
            let hop = TraceContext::parse(given).unwrap_or_else(|| panic!("{given}"));
            assert_eq!(
                (hop.trace_id(), hop.span_id(), hop.sampled()),
                (TRACE.into(), "b7ad6b7169203331".into(), sampled),
                "{given}"
            );
            let child = hop.child();
            assert_eq!((child.trace_id(), child.sampled()), (hop.trace_id(), sampled));
            assert_ne!(child.span_id(), hop.span_id());
            assert_eq!(is_sampled(child.to_traceparent().as_bytes()), sampled);
            assert_eq!(TraceContext::parse(&child.to_traceparent()), Some(child));
        }
    }

    #[test]
    fn invalid_traceparents_start_a_new_trace() {
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "é0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0é",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
            assert_ne!(TraceContext::from_headers(Some(bad)).trace_id(), TRACE);
        }
    }

    #[test]
    fn tracestate_is_carried_as_it_is() {
        let mut headers = HeaderMap::new();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", parent.parse().unwrap());
        headers.append("tracestate", "a=1".parse().unwrap());
        headers.append("tracestate", "b=2,c=3".parse().unwrap());
        let hop = TraceContext::of_caller(&headers).unwrap();
        assert_eq!(hop.child().state().map(|s| &**s), Some("a=1,b=2,c=3"));
        assert_eq!(hop.with_state(Some("x".repeat(513).into())).state(), None);
        headers.append("traceparent", parent.parse().unwrap());
        assert_eq!(TraceContext::of_caller(&headers), None, "twice is none");
    }

    #[test]
    fn the_current_trace_is_reset_even_by_a_panic() {
        let hop = TraceContext::random();
        let inside = std::panic::catch_unwind(|| {
            hop.enter(|| {
                assert_eq!(TraceContext::current_id(), Some(hop.trace_id()));
                panic!("on purpose");
            });
        });
        assert!(inside.is_err());
        assert_eq!(TraceContext::current_id(), None);
    }
}
