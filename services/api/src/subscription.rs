//! A tenant's event stream, from a start and narrowed, as both transports read it.

use async_nats::jetstream::stream::State;
use auth::Principal;
use bus::topology;
use futures::{StreamExt as _, stream::BoxStream};
use model::{CloudEvent, Data, Micros, Text, nats, tenant_subject, tenant_wildcard};
use runtime::problem::Problem;

use crate::{
    app::App,
    error,
    follow::{Follow, Item, Position, Selection},
};

/// Which of the tenant's events. Empty lists do not narrow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Narrow {
    pub(crate) types: Vec<Text>,
    pub(crate) sources: Vec<Text>,
}

/// Where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With what arrives from now on.
    New,
    /// After this sequence; 0 is the beginning of what the stream holds.
    After(u64),
    /// At the first event stored at or after this time.
    Since(Micros),
}

impl Start {
    /// `new`, a sequence, or an RFC 3339 time.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "new" {
            return Ok(Self::New);
        }
        if let Ok(sequence) = text.parse() {
            return Ok(Self::After(sequence));
        }
        model::parse_rfc3339(text)
            .map(Self::Since)
            .map_err(|_| "must be new, a sequence, or a time such as 2026-11-21T10:00:00Z".to_owned())
    }
}

/// The stream cannot give everything after the sequence asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The sequence asked for.
    pub(crate) requested: u64,
    /// The first sequence that is still there, and will be read from.
    pub(crate) first: u64,
    /// The last sequence there is.
    pub(crate) last: u64,
}

/// One step along the stream.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) sequence: u64,
    /// None where it is one of a source not asked for.
    pub(crate) event: Option<CloudEvent>,
}

/// A reader of a tenant's stream.
pub(crate) struct Subscription {
    /// Where it stands, if that is a sequence: resuming after it misses nothing.
    pub(crate) position: Option<u64>,
    /// What it cannot give.
    pub(crate) gap: Option<Gap>,
    /// Events as they come, without end.
    pub(crate) steps: BoxStream<'static, Step>,
}

impl Subscription {
    /// Begins to read the caller's stream.
    pub(crate) async fn open(
        app: &App,
        caller: &Principal,
        narrow: Narrow,
        start: Start,
    ) -> Result<Self, Problem> {
        let tenant = &caller.tenant;
        let state = held(app, caller).await?;
        let (position, gap) = resolve(start, state.first_sequence, state.last_sequence);
        let selection = Selection {
            stream: topology::tenant_stream(&tenant.placement),
            subjects: subjects(&tenant.placement, &tenant.id, &narrow.types),
            headers_only: false,
            messages_max: app.options.stream_buffer_events,
            bytes_max: app.options.stream_buffer_bytes.max(app.bus.message_bytes_max() + HEAD_BYTES),
        };
        let follow = Follow::open(&app.bus, selection, position).await.map_err(error::of_broker)?;
        let known = match position {
            Position::After(sequence) => Some(sequence),
            Position::Since(_) => None,
        };
        let steps = futures::stream::unfold((follow, narrow.sources), |(mut follow, sources)| async {
            let step = step(&mut follow, &sources).await;
            Some((step, (follow, sources)))
        });
        Ok(Self { position: known, gap, steps: steps.boxed() })
    }
}

/// What the stream of the caller's tenant holds now.
pub(crate) async fn held(app: &App, caller: &Principal) -> Result<State, Problem> {
    let name = topology::tenant_stream(&caller.tenant.placement);
    let stream = app.bus.jetstream().get_stream(name).await.map_err(error::of_broker)?;
    Ok(stream.cached_info().state.clone())
}

/// What the broker counts besides the message itself.
const HEAD_BYTES: usize = 64 << 10;

async fn step(follow: &mut Follow, sources: &[Text]) -> Step {
    let item = follow.next().await;
    let sequence = item.sequence;
    let event = match decode(&item) {
        Ok(event) => Some(event).filter(|e| sources.is_empty() || sources.contains(e.source())),
        Err(error) => {
            // Only the fleet may write here; whoever reads must not stop for what somebody else wrote.
            tracing::warn!(%error, sequence, subject = %item.message.subject, "not an event in a tenant stream");
            None
        }
    };
    Step { sequence, event }
}

pub(crate) fn decode(item: &Item) -> Result<CloudEvent, model::DecodeError> {
    let headers = item.message.headers.iter().flat_map(|headers| {
        headers.iter().filter_map(|(name, values)| Some((name.as_ref(), values.last()?.as_str())))
    });
    Ok(as_text(nats::decode(headers, &item.message.payload)?))
}

/// The binding has one kind of payload. What its type calls text is given on as text, so that it can be read in
/// JSON; the bytes are the same.
fn as_text(event: CloudEvent) -> CloudEvent {
    let media_type = event.datacontenttype().map(|t| t.to_ascii_lowercase()).unwrap_or_default();
    let says_utf8 = !media_type.contains("charset") || media_type.contains("utf-8");
    match event.data() {
        Some(Data::Binary(bytes)) if media_type.starts_with("text/") && says_utf8 => {
            match Text::try_from(bytes.clone()) {
                Ok(text) => event.with_data(Some(Data::Text(text))),
                Err(_) => event,
            }
        }
        _ => event,
    }
}

pub(crate) fn subjects(placement: &str, tenant: &model::TenantId, types: &[Text]) -> Vec<String> {
    if types.is_empty() {
        return vec![tenant_wildcard(placement, tenant)];
    }
    // The broker refuses subjects that overlap; those of two types never do.
    let mut subjects: Vec<String> = types.iter().map(|t| tenant_subject(placement, tenant, t)).collect();
    subjects.sort();
    subjects.dedup();
    subjects
}

/// "New" becomes a sequence at once, so that nothing is missed should the consumer have to be made again.
fn resolve(start: Start, first: u64, last: u64) -> (Position, Option<Gap>) {
    match start {
        Start::New => (Position::After(last), None),
        Start::Since(at_us) => (Position::Since(at_us), None),
        // Nothing is promised of what was before the beginning.
        Start::After(0) => (Position::After(0), None),
        // From a stream that was made anew, or lost its tail: what it holds now may all be unseen.
        Start::After(requested) if requested > last => {
            (Position::After(0), Some(Gap { requested, first, last }))
        }
        Start::After(requested) => {
            let gap = (requested.saturating_add(1) < first).then_some(Gap { requested, first, last });
            (Position::After(requested), gap)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_words_sequences_or_times() {
        assert_eq!(Start::parse("new"), Ok(Start::New));
        assert_eq!(Start::parse("42"), Ok(Start::After(42)));
        assert_eq!(Start::parse("1970-01-01T00:00:01Z"), Ok(Start::Since(1_000_000)));
        for bad in ["", "old", "-1", "1.5", "2026-11-21"] {
            assert!(Start::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_given_is_said() {
        let gap = |requested| Some(Gap { requested, first: 10, last: 20 });
        let cases = [
            (Start::New, Position::After(20), None),
            (Start::After(0), Position::After(0), None),
            (Start::After(8), Position::After(8), gap(8)),
            (Start::After(9), Position::After(9), None),
            (Start::After(20), Position::After(20), None),
            (Start::After(21), Position::After(0), gap(21)),
            (Start::Since(5), Position::Since(5), None),
        ];
        for (start, position, gap) in cases {
            assert_eq!(resolve(start, 10, 20), (position, gap), "{start:?}");
        }
        assert_eq!(resolve(Start::After(0), 1, 0), (Position::After(0), None), "an empty stream");
    }

    #[test]
    fn text_is_text_again() {
        let data = |media_type: &str, bytes: &'static [u8]| {
            let event = CloudEvent::builder("1", "/s", "t")
                .datacontenttype(media_type)
                .data(Data::Binary(bytes.into()))
                .build()
                .unwrap();
            as_text(event).data().cloned().unwrap()
        };
        for media_type in ["text/plain", "TEXT/csv", "text/plain; charset=UTF-8"] {
            assert_eq!(data(media_type, b"a"), Data::Text("a".into()), "{media_type}");
        }
        let kept = [("text/plain", &b"\xff"[..]), ("text/plain;charset=latin1", b"a"), ("image/png", b"a")];
        for (media_type, bytes) in kept {
            assert_eq!(data(media_type, bytes), Data::Binary(bytes.into()), "{media_type}");
        }
    }

    #[test]
    fn types_are_subjects_once_each() {
        let tenant = "acme".parse().unwrap();
        assert_eq!(subjects("p", &tenant, &[]), ["tenant.p.acme.>"]);
        assert_eq!(
            subjects("p", &tenant, &["b".into(), "a.c".into(), "b".into()]),
            ["tenant.p.acme.a.c", "tenant.p.acme.b"]
        );
    }
}
