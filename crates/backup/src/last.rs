//! What a fleet knows of its last backup, for whoever watches over it.

use bus::{Bus, topology::BACKUPS};
use serde::{Deserialize, Serialize};

use crate::{Error, Manifest};

/// The one entry of the bucket.
const KEY: &str = "last";

/// The last whole backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Which it is.
    pub backup: String,
    /// RFC 3339. What was accepted before is in it.
    pub began_at: String,
    /// RFC 3339.
    pub ended_at: String,
    /// Of its files.
    pub bytes: u64,
}

impl Last {
    /// What is told of a backup.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            backup: manifest.id.clone(),
            began_at: manifest.began_at.clone(),
            ended_at: manifest.ended_at.clone(),
            bytes: manifest.files().map(|file| file.bytes).sum(),
        }
    }

    /// What the fleet was told last; none if it never was.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn read(bus: &Bus) -> Result<Option<Self>, Error> {
        let store = bus.jetstream().get_key_value(BACKUPS).await.map_err(|e| failed(&e))?;
        let entry = store.get(KEY).await.map_err(|e| failed(&e))?;
        let read = |bytes: bytes::Bytes| serde_json::from_slice(&bytes).map_err(|e| failed(&e));
        entry.map(read).transpose()
    }

    /// Tells the fleet.
    ///
    /// # Errors
    /// If the broker does not answer, or its streams are older than this program.
    pub async fn write(&self, bus: &Bus) -> Result<(), Error> {
        let store = bus.jetstream().get_key_value(BACKUPS).await.map_err(|e| failed(&e))?;
        let json = serde_json::to_vec(self).map_err(|e| failed(&e))?;
        store.put(KEY, json.into()).await.map(drop).map_err(|e| failed(&e))
    }
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::Bus(bus::Error::broker(format!("bucket {BACKUPS}"), error))
}
