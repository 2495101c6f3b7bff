//! Remembers which partitions' tenant streams are whole, for as long as the broker cannot have lost anything: in a
//! bucket that is in the broker's memory, so that whatever takes the tail of a stream takes the marks with it.

use async_nats::jetstream::kv::Store;
use bus::{Bus, topology};
use model::resource::DEFAULT_PLACEMENT;
use serde::{Deserialize, Serialize};

use super::Error;

/// What was true when a partition's streams were found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// When the bucket was made. One that was lost and made anew says by this which marks it was never given: a comparison
    /// may have begun before the loss and have ended after it.
    bucket: i128,
    /// When the stream was made: one that was made anew is not whole.
    stream: i128,
    /// Where the stream ended: one that was restored from a copy ends before.
    end: u64,
}

/// The mark of one partition, to be set when the comparison has been made.
#[derive(Debug)]
pub(super) struct Unmarked {
    bucket: Store,
    key: String,
    mark: Mark,
}

/// Whether a partition need be compared.
#[derive(Debug)]
pub(super) enum Look {
    Whole,
    Compare(Option<Box<Unmarked>>),
}

/// Looks at a partition's mark. Where the broker's nodes can lose streams one without the other, there is none.
pub(super) async fn look(bus: &Bus, partition: u32) -> Result<Look, Error> {
    let broker = |error: &dyn std::error::Error| Error::Broker(error.to_string());
    let Some(bucket) = topology::mended(bus).await.map_err(|e| broker(&e))? else {
        return Ok(Look::Compare(None));
    };
    let key = topology::consumer_name(partition);
    let found = bucket.get(&key).await.map_err(|e| broker(&e))?;
    let name = topology::tenant_stream(DEFAULT_PLACEMENT);
    let stream = bus.jetstream().get_stream(name).await.map_err(|e| broker(&e))?;
    let (made, info) = (bucket.stream.cached_info().created, stream.cached_info());
    let now = Mark {
        bucket: made.unix_timestamp_nanos(),
        stream: info.created.unix_timestamp_nanos(),
        end: info.state.last_sequence,
    };
    let whole = found.and_then(|found| serde_json::from_slice(&found).ok()).is_some_and(|mark: Mark| {
        mark.bucket == now.bucket && mark.stream == now.stream && mark.end <= now.end
    });
    Ok(if whole { Look::Whole } else { Look::Compare(Some(Box::new(Unmarked { bucket, key, mark: now }))) })
}

impl Unmarked {
    /// The partition's streams are whole. Not being able to say so costs the next owner a comparison.
    pub(super) async fn set(self) {
        let Self { bucket, key, mark } = self;
        let Ok(mark) = serde_json::to_vec(&mark) else { return };
        if let Err(error) = bucket.put(&key, mark.into()).await {
            tracing::debug!(key, %error, "could not remember that tenant streams are whole");
        }
    }
}
