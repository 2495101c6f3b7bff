//! A tenant's event stream, from a start and narrowed, as both transports read it.

use std::{collections::VecDeque, fmt, ops::Range, str::FromStr};

use async_nats::jetstream::stream::State;
use auth::Caller;
use bus::topology;
use futures::{StreamExt as _, stream::BoxStream};
use model::{
    CloudEvent, Data, Micros, TenantId, Text, nats, tenant_packed_subject, tenant_subject, tenant_wildcard,
};
use proto::{hops, packed};
use runtime::{otlp, problem::Problem, trace::is_sampled};

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

/// A place in a tenant's stream: after the message with a sequence, and where the one that follows it is packed after so
/// many of its events. Written `<sequence>` or `<sequence>.<events>`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) sequence: u64,
    pub(crate) events: u32,
}

impl From<u64> for Place {
    fn from(sequence: u64) -> Self {
        Self { sequence, events: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.events {
            0 => self.sequence.fmt(f),
            events => write!(f, "{}.{events}", self.sequence),
        }
    }
}

impl FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sequence, events) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Self { sequence: sequence.parse()?, events: events.parse()? })
    }
}

/// Where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With what arrives from now on.
    New,
    /// After this place; 0 is the beginning of what the stream holds.
    After(Place),
    /// At the first event stored at or after this time.
    Since(Micros),
}

impl Start {
    /// `new`, a place, or an RFC 3339 time.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "new" {
            return Ok(Self::New);
        }
        if let Ok(place) = text.parse() {
            return Ok(Self::After(place));
        }
        model::parse_rfc3339(text)
            .map(Self::Since)
            .map_err(|_| "must be new, a position, or a time such as 2026-11-21T10:00:00Z".to_owned())
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
    /// Where one who resumes goes on.
    pub(crate) place: Place,
    /// None where it is one of a source not asked for.
    pub(crate) event: Option<CloudEvent>,
    /// The `traceparent` it was sent with, if it is traced.
    pub(crate) traceparent: Option<Text>,
}

/// A reader of a tenant's stream.
pub(crate) struct Subscription {
    /// Where it stands, if that is a place: resuming after it misses nothing.
    pub(crate) position: Option<Place>,
    /// What it cannot give.
    pub(crate) gap: Option<Gap>,
    /// Events as they come, without end.
    pub(crate) steps: BoxStream<'static, Step>,
}

impl Subscription {
    /// Begins to read the caller's stream.
    pub(crate) async fn open(
        app: &App,
        caller: &Caller,
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
        let begin = match (position, start) {
            // A part of a message only where that message is the next one.
            (Position::After(sequence), Start::After(asked)) if asked.sequence == sequence => Some(asked),
            (Position::After(sequence), _) => Some(sequence.into()),
            (Position::Since(_), _) => None,
        };
        let reader = Reader { follow, narrow, begin: begin.unwrap_or_default(), ready: VecDeque::new() };
        let steps = futures::stream::unfold(reader, |mut reader| async {
            let step = reader.step().await;
            Some((step, reader))
        });
        Ok(Self { position: begin, gap, steps: steps.boxed() })
    }
}

/// Takes messages apart into events.
struct Reader {
    follow: Follow,
    narrow: Narrow,
    /// Where it began.
    begin: Place,
    /// What is left of a packed message.
    ready: VecDeque<Step>,
}

impl Reader {
    async fn step(&mut self) -> Step {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return step;
            }
            let item = self.follow.next().await;
            self.take(&item);
        }
    }

    fn take(&mut self, item: &Item) {
        let place = Place::from(item.sequence);
        let (events, traces) = match decode_traced(item) {
            Ok(decoded) => decoded,
            Err(error) => {
                // Only the fleet may write here; whoever reads must not stop for what somebody else wrote.
                let subject = &item.message.subject;
                tracing::warn!(error, sequence = place.sequence, %subject, "not an event in a tenant stream");
                Default::default()
            }
        };
        let before = item.sequence.saturating_sub(1);
        let told = if self.begin.sequence == before { self.begin.events } else { 0 };
        for (event, number) in events.into_iter().zip(1..) {
            if number > told && self.narrow.leaves(&event) {
                self.ready.push_back(Step {
                    place: Place { sequence: before, events: number },
                    event: Some(event),
                    traceparent: traces.of(number - 1),
                });
            }
        }
        // With the last one the message is done; with none it has gone by.
        match self.ready.back_mut() {
            Some(last) => last.place = place,
            None => self.ready.push_back(Step { place, event: None, traceparent: None }),
        }
    }
}

impl Narrow {
    fn leaves(&self, event: &CloudEvent) -> bool {
        let among = |list: &[Text], value: &Text| list.is_empty() || list.contains(value);
        among(&self.types, event.ty()) && among(&self.sources, event.source())
    }
}

/// What the stream of the caller's tenant holds now.
pub(crate) async fn held(app: &App, caller: &Caller) -> Result<State, Problem> {
    let name = topology::tenant_stream(&caller.tenant.placement);
    let stream = app.bus.jetstream().get_stream(name).await.map_err(error::of_broker)?;
    Ok(stream.cached_info().state.clone())
}

/// What the broker counts besides the message itself.
const HEAD_BYTES: usize = 64 << 10;

/// Which events of a message are traced, and what they were sent with. Most messages have none.
#[derive(Debug, Default)]
pub(crate) struct Traces(Vec<(Range<usize>, Text)>);

impl Traces {
    fn add(&mut self, traceparent: &[u8], events: Range<usize>) {
        if is_sampled(traceparent)
            && otlp::is_tracing()
            && let Ok(traceparent) = std::str::from_utf8(traceparent)
        {
            self.0.push((events, traceparent.into()));
        }
    }

    fn of(&self, index: u32) -> Option<Text> {
        let index = usize::try_from(index).ok()?;
        self.0.iter().find(|(events, _)| events.contains(&index)).map(|(_, traceparent)| traceparent.clone())
    }
}

/// The events of a message, packed or not.
pub(crate) fn decode(item: &Item) -> Result<Vec<CloudEvent>, String> {
    decode_traced(item).map(|(events, _)| events)
}

fn decode_traced(item: &Item) -> Result<(Vec<CloudEvent>, Traces), String> {
    let mut traces = Traces::default();
    if is_packed(item) {
        let told = |stamp: hops::Stamp, events| traces.add(&stamp.traceparent, events);
        let events = packed::unpack_with(item.message.payload.clone(), told).map_err(|e| e.to_string())?;
        return Ok((events, traces));
    }
    if let Some(traceparent) = item.message.headers.as_ref().and_then(|h| h.get("traceparent")) {
        traces.add(traceparent.as_str().as_bytes(), 0..1);
    }
    let headers = item.message.headers.iter().flat_map(|headers| {
        headers.iter().filter_map(|(name, values)| Some((name.as_ref(), values.last()?.as_str())))
    });
    let event = nats::decode(headers, &item.message.payload).map_err(|e| e.to_string())?;
    Ok((vec![as_text(event)], traces))
}

/// Whether a message is a packed one.
pub(crate) fn is_packed(item: &Item) -> bool {
    let headers = item.message.headers.as_ref();
    headers.and_then(|h| h.get("content-type")).is_some_and(|v| v.as_str() == packed::CONTENT_TYPE)
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

/// Where a tenant's events of these types are: packed messages hold any.
pub(crate) fn subjects(placement: &str, tenant: &TenantId, types: &[Text]) -> Vec<String> {
    if types.is_empty() {
        return vec![tenant_wildcard(placement, tenant)];
    }
    // The broker refuses subjects that overlap; those of two types never do.
    let mut subjects: Vec<String> = types.iter().map(|t| tenant_subject(placement, tenant, t)).collect();
    subjects.push(tenant_packed_subject(placement, tenant));
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
        Start::After(Place { sequence: 0, .. }) => (Position::After(0), None),
        // From a stream that was made anew, or lost its tail: what it holds now may all be unseen.
        Start::After(Place { sequence: requested, .. }) if requested > last => {
            (Position::After(0), Some(Gap { requested, first, last }))
        }
        Start::After(Place { sequence: requested, .. }) => {
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
        assert_eq!(Start::parse("42"), Ok(Start::After(42.into())));
        assert_eq!(Start::parse("42.7"), Ok(Start::After(Place { sequence: 42, events: 7 })));
        assert_eq!(Start::parse("1970-01-01T00:00:01Z"), Ok(Start::Since(1_000_000)));
        for bad in ["", "old", "-1", "1.", "1.5.2", "2026-11-21"] {
            assert!(Start::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_given_is_said() {
        let gap = |requested| Some(Gap { requested, first: 10, last: 20 });
        let cases = [
            (Start::New, Position::After(20), None),
            (Start::After(0.into()), Position::After(0), None),
            (Start::After(8.into()), Position::After(8), gap(8)),
            (Start::After(9.into()), Position::After(9), None),
            (Start::After(20.into()), Position::After(20), None),
            (Start::After(21.into()), Position::After(0), gap(21)),
            (Start::Since(5), Position::Since(5), None),
        ];
        for (start, position, gap) in cases {
            assert_eq!(resolve(start, 10, 20), (position, gap), "{start:?}");
        }
        assert_eq!(resolve(Start::After(0.into()), 1, 0), (Position::After(0), None), "an empty stream");
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
            ["tenant.p.acme.$packed", "tenant.p.acme.a.c", "tenant.p.acme.b"]
        );
    }
}
