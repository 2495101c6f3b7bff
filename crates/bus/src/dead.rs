//! Dead letters: events that could not go on, kept untouched with the reason.

use async_nats::HeaderMap;
use model::{Clock as _, ErrorCode, SystemClock, Text};
use prost::Message as _;
use proto::hops;
use runtime::metrics::{self, Metric};

use crate::{Bus, Outgoing, reader::Incoming};

/// Stands for the tenant in the subject of a letter nobody's tenant could be read from.
pub const NO_TENANT: &str = "_";

/// `dead.<stage>.<tenant>`.
#[must_use]
pub fn subject(stage: &str, tenant: &str) -> String {
    format!("dead.{stage}.{tenant}")
}

/// Sends a letter. The same event failing again at the same place is one letter. Counted.
pub async fn send(bus: &Bus, letter: &hops::DeadLetter) -> Outgoing {
    let (stage, code) = (text(&letter.stage), text(&letter.code));
    metrics::counter(Metric::DeadLettersWritten, &[&stage, &code]).inc();
    let tenant = letter.stamp.as_ref().map_or_else(|| NO_TENANT.into(), |s| text(&s.tenant));
    let mut headers = HeaderMap::new();
    let id = format!("{stage}.{}.{}.{}", letter.partition, letter.sequence, letter.index);
    headers.insert("Nats-Msg-Id", id.as_str());
    Outgoing::send(bus, subject(&stage, &tenant), headers, letter.encode_to_vec().into()).await
}

/// Puts a message aside that the fleet itself wrote and cannot read: a fault of ours. It is kept whole for an
/// operator, and does not stop its partition.
pub async fn bury(bus: &Bus, stage: &'static str, message: Incoming, reason: String) -> Outgoing {
    let Incoming { partition, sequence, payload, .. } = message;
    tracing::error!(stage, partition, sequence, reason, "message cannot be decoded");
    let raw = hops::RawEvent { body: payload, ..Default::default() };
    let letter = hops::DeadLetter {
        item: Some(hops::RawItem { item: Some(hops::raw_item::Item::Raw(raw)) }),
        stage: stage.into(),
        code: ErrorCode::Internal.as_str().into(),
        reason: reason.into(),
        at_us: SystemClock.now(),
        sequence,
        partition,
        ..Default::default()
    };
    send(bus, &letter).await
}

/// The text of a field of the wire form, as far as it is text.
#[must_use]
pub fn text(field: &bytes::Bytes) -> Text {
    Text::try_from(field.clone()).unwrap_or_else(|_| String::from_utf8_lossy(field).into_owned().into())
}
