//! Finding an event's messages in its tenant's stream, which has no index by identity: it is read from the moment the event
//! was in `EVENTS`, which is before it can have been published, along its type's subject and without payloads.

use auth::Principal;
use bus::topology;
use model::Micros;
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
pub(crate) async fn search(
    app: &App,
    caller: &Principal,
    stored: &StoredEvent,
) -> Result<Follow, bus::Error> {
    let placement = &caller.tenant.placement;
    let ty = std::slice::from_ref(stored.event.ty());
    let selection = Selection {
        stream: topology::tenant_stream(placement),
        subjects: subscription::subjects(placement, &caller.tenant.id, ty),
        headers_only: true,
        messages_max: 1_000,
        bytes_max: app.options.stream_buffer_bytes.max(app.bus.message_bytes_max() * 2),
    };
    let since = Position::Since(stored.place.events_stored_at_us.saturating_sub(CLOCK_SKEW_US));
    Follow::open(&app.bus, selection, since).await
}

/// Whether a message is the event's. Without its payload a message is still an event.
pub(crate) fn is_of(item: &Item, stored: &StoredEvent) -> bool {
    subscription::decode(item)
        .is_ok_and(|event| event.id() == stored.event.id() && event.source() == stored.event.source())
}

/// Takes an event's messages out of its tenant's stream, their bytes written over. Says how many there were; more than one
/// where it was published again.
pub(crate) async fn forget(app: &App, caller: &Principal, stored: &StoredEvent) -> Result<u64, Problem> {
    let find = async {
        let mut follow = search(app, caller, stored).await.map_err(of_broker)?;
        let mut left = follow.pending_at_open();
        let mut found = Vec::new();
        while left > 0 {
            let item = follow.next().await;
            left = item.pending;
            if is_of(&item, stored) {
                found.push(item.sequence);
            }
        }
        Ok::<Vec<u64>, Problem>(found)
    };
    let limit = app.options.erase_scan_ms.duration();
    let Ok(found) = tokio::time::timeout(limit, find).await else {
        let detail = format!("not all of it was read within {} ms", limit.as_millis());
        return Err(Problem::unavailable("the tenant stream could not be searched to its end", detail));
    };
    let found = found?;
    let stream = topology::tenant_stream(&caller.tenant.placement);
    for sequence in &found {
        letters::delete_message(app, &stream, *sequence).await?;
    }
    Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
}
