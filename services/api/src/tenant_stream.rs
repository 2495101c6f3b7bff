//! Finding an event's messages in its tenant's stream, which has no index by identity: it is read from the moment the event
//! was in `EVENTS`, which is before it can have been published, along its type's subject and that of packed messages.

use auth::Caller;
use bus::topology;
use model::{CloudEvent, Group, Micros};
use proto::packed;
use runtime::problem::Problem;
use store::StoredEvent;

use crate::{
    app::App,
    error::of_broker,
    follow::{Follow, Item, Position, Selection},
    letters, subscription,
};

/// The broker's own clocks may differ by this much between its nodes.
const CLOCK_SKEW_US: Micros = 20_000;

/// Reads the messages among which the event's own are.
pub(crate) async fn search(app: &App, caller: &Caller, stored: &StoredEvent) -> Result<Follow, bus::Error> {
    let placement = &caller.tenant.placement;
    let ty = std::slice::from_ref(stored.event.ty());
    let selection = Selection {
        stream: topology::tenant_stream(placement),
        subjects: subscription::subjects(placement, &caller.tenant.id, ty),
        headers_only: false,
        messages_max: 1_000,
        bytes_max: app.options.stream_buffer_bytes.max(app.bus.message_bytes_max() * 2),
    };
    let since = Position::Since(stored.place.events_stored_at_us.saturating_sub(CLOCK_SKEW_US));
    Follow::open(&app.bus, selection, since).await
}

/// Whether a message holds the event; its index if the message is packed.
pub(crate) fn find(item: &Item, stored: &StoredEvent) -> Option<Option<u32>> {
    let events = subscription::decode(item).ok()?;
    let index = (0u32..).zip(&events).find_map(|(index, event)| is(event, stored).then_some(index))?;
    Some(subscription::is_packed(item).then_some(index))
}

fn is(event: &CloudEvent, stored: &StoredEvent) -> bool {
    event.id() == stored.event.id() && event.source() == stored.event.source()
}

/// Takes an event's messages out of its tenant's stream, their bytes written over. Says how many there were; more than one
/// where it was published again.
pub(crate) async fn forget(app: &App, caller: &Caller, stored: &StoredEvent) -> Result<u64, Problem> {
    let find = async {
        let mut follow = search(app, caller, stored).await.map_err(of_broker)?;
        let mut left = follow.pending_at_open();
        let mut found = Vec::new();
        while left > 0 {
            let item = follow.next().await;
            left = item.pending;
            if find(&item, stored).is_some() {
                found.push(item);
            }
        }
        Ok::<Vec<Item>, Problem>(found)
    };
    let limit = app.options.erase_scan_ms.duration();
    let Ok(found) = tokio::time::timeout(limit, find).await else {
        let detail = format!("not all of it was read within {} ms", limit.as_millis());
        return Err(Problem::unavailable("the tenant stream could not be searched to its end", detail));
    };
    let found = found?;
    let stream = topology::tenant_stream(&caller.tenant.placement);
    for item in &found {
        // First, so that nobody's event is lost: who has read the message gets the others a second time.
        publish_others(app, item, stored).await?;
        letters::delete_message(app, &stream, item.sequence).await?;
    }
    Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
}

/// Puts what a packed message holds besides an event at the end of the stream.
async fn publish_others(app: &App, item: &Item, stored: &StoredEvent) -> Result<(), Problem> {
    if !subscription::is_packed(item) {
        return Ok(());
    }
    let all = subscription::decode(item).unwrap_or_default();
    let events: Vec<CloudEvent> = all.into_iter().filter(|event| !is(event, stored)).collect();
    if events.is_empty() {
        return Ok(());
    }
    let payload = packed::pack([&Group { stamp: stored.stamp.clone(), events }]);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("content-type", packed::CONTENT_TYPE);
    let subject = item.message.subject.clone();
    let ack = app.bus.jetstream().publish_with_headers(subject, headers, payload).await.map_err(of_broker)?;
    ack.await.map(drop).map_err(of_broker)
}
