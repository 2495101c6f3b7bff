//! Who keeps house: an entry in the broker that its holder renews, and that lapses when it does not.

use std::{convert::Infallible, time::Duration};

use async_nats::jetstream::kv::Store;
use bus::{Bus, topology::MEMBERS};

use super::Error;

/// The entry. Entries of this bucket lapse after half a minute.
const KEY: &str = "housekeeper";
const RENEW: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(2);

/// Held until dropped; freed at once if there is time for it.
#[derive(Debug)]
pub(super) struct Lease {
    store: Store,
    revision: u64,
}

impl Lease {
    /// Waits until nobody else holds it.
    pub(super) async fn take(bus: &Bus) -> Result<Self, Error> {
        let store = bus.jetstream().get_key_value(MEMBERS).await.map_err(Error::broker)?;
        loop {
            // Another one's, or the broker does not answer: either way, look again.
            if let Ok(revision) = store.create(KEY, "".into()).await {
                return Ok(Self { store, revision });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Renews it until it is lost.
    pub(super) async fn keep(mut self) -> Result<Infallible, Error> {
        loop {
            tokio::time::sleep(RENEW).await;
            self.revision = self.store.update(KEY, "".into(), self.revision).await.map_err(Error::broker)?;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (store, revision) = (self.store.clone(), self.revision);
        // Another replica need not wait for it to lapse. In a process that ends, it lapses.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { store.delete_expect_revision(KEY, Some(revision)).await });
        }
    }
}
