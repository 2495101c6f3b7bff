//! An event's receipt: the hops its stored form tells of, and the two that must be looked for.

use std::time::Instant;

use auth::Caller;
use bus::topology::{self, EVENTS, RAW};
use model::{Micros, format_rfc3339};
use runtime::{otlp, trace::TraceContext};
use serde::Serialize;
use store::{Origin, Place, StoredEvent, UsageQuery, UsageRecord};
use utoipa::ToSchema;

use crate::{app::App, tenant_stream, views::UsageItem};

/// Usage records of one request share a time; a batch has so many at most.
const RECORD_PAGES_MAX: usize = 12;

/// What happened to an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipt {
    /// The event's `id`.
    id: String,
    /// The event's `source`.
    source: String,
    /// The event's `type`.
    r#type: String,
    /// Whose it is.
    tenant: String,
    /// The system whose key sent it.
    system: String,
    /// The source (door of a system) it came through; absent for the plain events door.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source_id: Option<String>,
    /// `http` or `grpc`; `fleet` for what the fleet itself tells.
    protocol: String,
    /// Trace of the request that brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_id: Option<String>,
    /// Whether that is recorded: one in many is, and those whose callers asked for it.
    trace_sampled: bool,
    /// Where to look at it, if it is recorded and the operator has said where traces are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_url: Option<String>,
    /// In order: `accepted`, `normalized`, `stored`, `metered`, `streamed`.
    hops: Vec<Hop>,
}

/// One hop of an event's way.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Hop {
    /// Its name.
    hop: &'static str,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    at: Option<String>,
    /// The stream it was written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stream: Option<String>,
    /// Which partition of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    partition: Option<u32>,
    /// Sequence of its message in the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sequence: Option<u64>,
    /// Its place within a packed message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    index: Option<u32>,
    /// When the broker stored the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    broker_at: Option<String>,
    /// What was metered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    usage: Option<UsageItem>,
    /// Why this hop cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    missing: Option<Missing>,
}

/// Why a hop cannot be shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Missing {
    /// `not_found` (it has not happened yet, or what it left is gone by age), `not_found_within` (the search
    /// was given up at its limits), `unavailable` (what would know does not answer), `not_metered` (the fleet tells it).
    reason: &'static str,
    /// For a person.
    detail: String,
    /// Messages or records looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    searched: Option<usize>,
}

/// Puts the receipt of an event together.
pub(crate) async fn of(app: &App, caller: &Caller, stored: &StoredEvent) -> Receipt {
    let (metered, streamed) = tokio::join!(metered(app, stored), streamed(app, caller, stored));
    let (stamp, place) = (&stored.stamp, &stored.place);
    let stored_hop = Hop { hop: "stored", at: Some(format_rfc3339(place.stored_at_us)), ..Hop::default() };
    let trace = TraceContext::parse(&stamp.traceparent);
    let [accepted, normalized] = inner(stamp.received_at_us, place);
    Receipt {
        id: stored.event.id().to_string(),
        source: stored.event.source().to_string(),
        r#type: stored.event.ty().to_string(),
        tenant: stamp.tenant.to_string(),
        system: stamp.system.to_string(),
        source_id: stamp.source.as_ref().map(ToString::to_string),
        protocol: stamp.protocol.to_string(),
        trace_id: trace.as_ref().map(TraceContext::trace_id),
        trace_sampled: trace.as_ref().is_some_and(TraceContext::sampled),
        trace_url: trace.as_ref().and_then(otlp::trace_url),
        hops: vec![accepted, normalized, stored_hop, metered, streamed],
    }
}

/// The hops up to the engine. What was normal as it came (no sequence in `RAW`) its door has put into `EVENTS` itself.
fn inner(received_at_us: Micros, place: &Place) -> [Hop; 2] {
    let raw = place.raw_sequence != 0;
    let hop = |hop, at: Micros| Hop { hop, at: Some(format_rfc3339(at)), ..Hop::default() };
    let in_stream = |hop: Hop, stream: &str, sequence, at: Micros| Hop {
        stream: Some(stream.to_owned()),
        partition: Some(place.partition),
        sequence: Some(sequence),
        broker_at: Some(format_rfc3339(at)),
        ..hop
    };
    let in_events = |hop| {
        let hop = in_stream(hop, EVENTS, place.events_sequence, place.events_stored_at_us);
        Hop { index: Some(place.index), ..hop }
    };
    let accepted = hop("accepted", received_at_us);
    if raw {
        let accepted = in_stream(accepted, RAW, place.raw_sequence, place.raw_stored_at_us);
        [accepted, in_events(hop("normalized", place.normalized_at_us))]
    } else {
        [in_events(accepted), hop("normalized", received_at_us)]
    }
}

fn missing(hop: &'static str, reason: &'static str, detail: String, searched: Option<usize>) -> Hop {
    Hop { hop, missing: Some(Missing { reason, detail, searched }), ..Hop::default() }
}

/// Usage is counted at the time of receipt under the event's identity.
async fn metered(app: &App, stored: &StoredEvent) -> Hop {
    if !stored.stamp.is_metered() {
        return missing("metered", "not_metered", "the fleet tells it: nobody is charged".to_owned(), None);
    }
    let at_us = stored.stamp.received_at_us;
    let mut query = UsageQuery {
        since_us: Some(at_us),
        until_us: Some(at_us.saturating_add(1)),
        limit: 1_000,
        ..Default::default()
    };
    let mut searched = 0;
    for _ in 0..RECORD_PAGES_MAX {
        let page = match app.ask(app.stores.usage.list(&stored.stamp.tenant, &query)).await {
            Ok(page) => page,
            Err(problem) => return missing("metered", "unavailable", problem.detail, None),
        };
        searched += page.records.len();
        if let Some(record) = page.records.iter().find(|record| counts(record, stored)) {
            let at = Some(format_rfc3339(record.at_us));
            return Hop { hop: "metered", at, usage: Some(record.into()), ..Hop::default() };
        }
        match page.next {
            Some(cursor) => query.cursor = Some(cursor),
            None => {
                let detail = "the usage store has no record of it yet".to_owned();
                return missing("metered", "not_found", detail, Some(searched));
            }
        }
    }
    let detail = "too many usage records of the same moment".to_owned();
    missing("metered", "not_found_within", detail, Some(searched))
}

fn counts(record: &UsageRecord, stored: &StoredEvent) -> bool {
    match &record.origin {
        Origin::Event { source, id } => source == stored.event.source() && id == stored.event.id(),
        Origin::Other { .. } => false,
    }
}

/// Where it is in its tenant's stream.
async fn streamed(app: &App, caller: &Caller, stored: &StoredEvent) -> Hop {
    let stream = topology::tenant_stream(&caller.tenant.placement);
    let limit = app.options.receipt_scan_ms.duration();
    let began = Instant::now();
    let mut searched = 0;
    let search = async {
        let mut follow = tenant_stream::search(app, caller, stored).await?;
        let mut left = follow.pending_at_open();
        while left > 0 && searched < app.options.receipt_scan_events_max {
            let item = follow.next().await;
            left = item.pending;
            searched += 1;
            if let Some(index) = tenant_stream::find(&item, stored) {
                return Ok(Some((item, index)));
            }
        }
        Ok::<_, bus::Error>(None)
    };
    let outcome = tokio::time::timeout(limit, search).await;
    let given_up = searched >= app.options.receipt_scan_events_max;
    match outcome {
        Ok(Ok(Some((item, index)))) => {
            let at = Some(format_rfc3339(item.stored_at_us));
            let sequence = Some(item.sequence);
            Hop {
                hop: "streamed",
                broker_at: at.clone(),
                at,
                stream: Some(stream),
                sequence,
                index,
                ..Hop::default()
            }
        }
        Ok(Ok(None)) if !given_up => {
            let detail = "the tenant stream does not hold it: not published yet, or gone by age".to_owned();
            missing("streamed", "not_found", detail, Some(searched))
        }
        Ok(Ok(None)) | Err(_) => {
            let detail = format!(
                "not among the first {searched} messages after it, within {} ms",
                began.elapsed().as_millis()
            );
            missing("streamed", "not_found_within", detail, Some(searched))
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "receipt without its place in the tenant stream");
            missing("streamed", "unavailable", "the broker does not answer".to_owned(), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_normal_as_it_came_was_accepted_into_events() {
        let place = Place {
            partition: 1,
            raw_sequence: 0,
            raw_stored_at_us: 0,
            normalized_at_us: 0,
            events_sequence: 22,
            events_stored_at_us: 1_000_003,
            index: 4,
            stored_at_us: 1_000_009,
        };
        let [accepted, normalized] = inner(1_000_000, &place);
        let events = Some(EVENTS.to_owned());
        assert_eq!((accepted.stream, accepted.sequence, accepted.index), (events.clone(), Some(22), Some(4)));
        assert_eq!(accepted.broker_at, Some(format_rfc3339(1_000_003)));
        assert_eq!((normalized.at, normalized.stream), (Some(format_rfc3339(1_000_000)), None));
        let [accepted, normalized] = inner(1_000_000, &Place { raw_sequence: 7, ..place });
        assert_eq!((accepted.stream, accepted.sequence), (Some(RAW.to_owned()), Some(7)));
        assert_eq!((normalized.stream, normalized.sequence), (events, Some(22)));
    }
}
