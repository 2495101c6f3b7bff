//! A subscription that begins before what the tenant's stream still holds: first from the event store, then from the
//! stream, as one sequence of events with one kind of position.
//!
//! What the stream has let go of was received before the first message it holds was stored, so the store is read up to that
//! time and the stream from that message on: nothing is missed. Events that were on their way at that moment are in both;
//! those are told once.

use std::collections::HashSet;

use auth::Caller;
use futures::{StreamExt as _, stream::BoxStream};
use model::{Clock as _, CloudEvent, Micros, SystemClock, TenantId, Text};
use runtime::problem::Problem;
use store::{Cursor, EventQuery, Order};

use crate::{
    app::App,
    subscription::{Gap, Narrow, Place, Start, Subscription, held},
};

/// Events read from the store at a time: what may come again after a disconnect.
const PAGE: u32 = 100;
/// Longer than any event is on its way but in an outage.
const ON_THEIR_WAY: Micros = 60_000_000;
/// Events that may have been on their way: those beyond are told twice.
const REMEMBERED_MAX: usize = 100_000;
/// What positions in the store begin with.
const STORED: &str = "stored.";

/// Where a reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Position {
    /// In the stream.
    Streamed(Place),
    /// In the store.
    Stored(Cursor),
}

impl Position {
    /// As [`Position`]'s `Display` wrote it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(STORED) {
            Some(cursor) => cursor.parse().ok().map(Self::Stored),
            None => text.parse().ok().map(Self::Streamed),
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Streamed(place) => place.fmt(f),
            Self::Stored(cursor) => write!(f, "{STORED}{cursor}"),
        }
    }
}

/// One step along the events.
#[derive(Debug)]
pub(crate) struct Step {
    /// Where one who resumes goes on; none in the middle of what is read at once.
    pub(crate) position: Option<Position>,
    /// None where there is none to tell.
    pub(crate) event: Option<CloudEvent>,
    /// The `traceparent` it was sent with, if it is traced and comes from the stream.
    pub(crate) traceparent: Option<Text>,
}

/// A reader of a tenant's events, old and new.
pub(crate) struct History {
    /// Where it stands, if that is known before the first event.
    pub(crate) position: Option<Position>,
    /// What it cannot give.
    pub(crate) gap: Option<Gap>,
    /// Events as they come, without end.
    pub(crate) steps: BoxStream<'static, Result<Step, Problem>>,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Anew.
    At(Start),
    /// Where one left off.
    After(Position),
}

impl History {
    /// Begins to read the caller's events.
    pub(crate) async fn open(
        app: &App,
        caller: &Caller,
        narrow: Narrow,
        begin: Begin,
    ) -> Result<Self, Problem> {
        let (start, old) = match begin {
            Begin::After(Position::Streamed(place)) => (Start::After(place), None),
            Begin::After(Position::Stored(cursor)) => {
                (Start::After(Place::default()), Some((None, Some(cursor))))
            }
            Begin::At(Start::Since(at_us)) => (Start::Since(at_us), Some((Some(at_us), None))),
            Begin::At(start) => (start, None),
        };
        let Some((since_us, cursor)) = old else { return Self::of_stream(app, caller, narrow, start).await };
        let state = held(app, caller).await?;
        let begins_us = if state.messages == 0 {
            SystemClock.now()
        } else {
            crate::follow::micros(state.first_timestamp)
        };
        if since_us.is_some_and(|since| since >= begins_us) {
            return Self::of_stream(app, caller, narrow, start).await;
        }
        let walk = Walk {
            app: app.clone(),
            tenant: caller.tenant.id.clone(),
            query: EventQuery {
                since_us,
                until_us: Some(begins_us),
                types: narrow.types.clone(),
                sources: narrow.sources.clone(),
                order: Order::OldestFirst,
                limit: PAGE,
                cursor: cursor.clone(),
                ..EventQuery::default()
            },
            begins_us,
            remembered: HashSet::new(),
        };
        // Opened now: what arrives meanwhile waits in the stream.
        let before = state.first_sequence.saturating_sub(1);
        let stream = Subscription::open(app, caller, narrow, Start::After(before.into())).await?;
        Ok(Self { position: cursor.map(Position::Stored), gap: None, steps: walk.then(stream) })
    }

    async fn of_stream(app: &App, caller: &Caller, narrow: Narrow, start: Start) -> Result<Self, Problem> {
        let Subscription { position, gap, steps } = Subscription::open(app, caller, narrow, start).await?;
        let steps = steps.map(|step| {
            let position = Some(Position::Streamed(step.place));
            Ok(Step { position, event: step.event, traceparent: step.traceparent })
        });
        Ok(Self { position: position.map(Position::Streamed), gap, steps: steps.boxed() })
    }
}

/// The way through the store.
struct Walk {
    app: App,
    tenant: TenantId,
    query: EventQuery,
    /// When the first message of the stream was stored.
    begins_us: Micros,
    /// Events that may be in the stream too.
    remembered: HashSet<(Text, Text)>,
}

impl Walk {
    /// The store's events, then the stream's.
    fn then(self, stream: Subscription) -> BoxStream<'static, Result<Step, Problem>> {
        futures::stream::unfold(Some((self, stream)), |state| async move {
            let (mut walk, stream) = state?;
            match walk.page().await {
                Ok((steps, true)) => Some((futures::stream::iter(steps).boxed(), Some((walk, stream)))),
                Ok((steps, false)) => {
                    let steps = futures::stream::iter(steps);
                    Some((steps.chain(walk.without_remembered(stream)).boxed(), None))
                }
                Err(problem) => Some((futures::stream::iter([Err(problem)]).boxed(), None)),
            }
        })
        .flatten()
        .boxed()
    }

    /// The next page, and whether there are more.
    async fn page(&mut self) -> Result<(Vec<Result<Step, Problem>>, bool), Problem> {
        let page = self.app.ask(self.app.stores.events.page(&self.tenant, &self.query)).await?;
        for stored in &page.events {
            if stored.stamp.received_at_us >= self.begins_us - ON_THEIR_WAY
                && self.remembered.len() < REMEMBERED_MAX
            {
                self.remembered.insert((stored.event.source().clone(), stored.event.id().clone()));
            }
        }
        let more = page.next.is_some();
        let mut steps: Vec<_> = page
            .events
            .into_iter()
            .map(|s| Ok(Step { position: None, event: Some(s.event), traceparent: None }))
            .collect();
        if let Some(next) = page.next {
            steps.push(Ok(Step {
                position: Some(Position::Stored(next.clone())),
                event: None,
                traceparent: None,
            }));
            self.query.cursor = Some(next);
        }
        Ok((steps, more))
    }

    fn without_remembered(self, stream: Subscription) -> BoxStream<'static, Result<Step, Problem>> {
        let mut remembered = self.remembered;
        let steps = stream.steps.map(move |step| {
            let is_new = |event: &CloudEvent| {
                remembered.is_empty() || !remembered.remove(&(event.source().clone(), event.id().clone()))
            };
            Ok(Step {
                position: Some(Position::Streamed(step.place)),
                event: step.event.filter(is_new),
                traceparent: step.traceparent,
            })
        });
        steps.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        for text in ["0", "17", "17.3", "stored.a-b_c"] {
            assert_eq!(Position::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "x", "-1", "1.x", "stored.", "stored.a b"] {
            assert_eq!(Position::parse(bad), None, "{bad}");
        }
    }
}
