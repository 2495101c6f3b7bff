//! What a backup holds. Written last: a backup without it is not finished.

use std::collections::BTreeMap;

use model::{Micros, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error,
    files::{Digested, Folder},
    wire::State,
};

/// The file.
pub const MANIFEST: &str = "backup.json";
/// What this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the format.
    pub format: u32,
    /// Which backup it is.
    pub id: String,
    /// Version of the program that wrote it.
    pub program: String,
    /// RFC 3339. What was accepted before is in it.
    pub began_at: String,
    /// RFC 3339.
    pub ended_at: String,
    /// Partitions of the streams `RAW` and `EVENTS`.
    pub partitions: u32,
    /// Whether the queues stood still while they were copied: then nothing is in the tenant streams twice after a restore.
    pub still: bool,
    /// Where the cut through the events goes; none where only the stores were backed up.
    pub cut: Option<Cut>,
    /// Ids of the sealing keys that secrets of the catalog are sealed by. None of the keys is in here.
    pub sealing_keys: Vec<String>,
    /// Entries of the catalog by kind.
    pub resources: BTreeMap<String, u64>,
    /// In the order in which they were copied.
    pub streams: Vec<StreamPart>,
    /// What was stored.
    pub stored: Vec<StoredPart>,
}

/// Up to where events belong to a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Last sequence of `EVENTS`.
    pub events_sequence: u64,
    /// When the broker stored that; of what was stored before, sequences may be another broker's.
    pub events_stored_at_us: Micros,
}

impl Cut {
    /// Whether an event at this place in `EVENTS` came after the cut: then it is in no part of the backup.
    #[must_use]
    pub fn is_beyond(&self, sequence: u64, stored_at_us: Micros) -> bool {
        sequence > self.events_sequence && stored_at_us >= self.events_stored_at_us
    }
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPart {
    /// Its name.
    pub name: String,
    /// All of its configuration.
    pub config: Value,
    /// What it held.
    pub state: State,
    /// The broker's snapshot of it.
    #[serde(flatten)]
    pub file: Digested,
}

/// Lines of one kind and tenant, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPart {
    /// What the lines are.
    pub kind: Stored,
    /// Whose.
    pub tenant: TenantId,
    /// Lines.
    pub records: u64,
    /// The file.
    #[serde(flatten)]
    pub file: Digested,
}

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// Events.
    Events,
    /// Usage records.
    Usage,
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// If there is none, or a newer program wrote it.
    pub async fn read(folder: &Folder) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let shown = folder.path().display();
        let bytes = folder.get(MANIFEST).await?.ok_or_else(|| {
            Error::Damaged(format!("{shown} is no backup, or an unfinished one: it has no {MANIFEST}"))
        })?;
        let wrong = |e: serde_json::Error| Error::Damaged(format!("{shown}/{MANIFEST} is not ours: {e}"));
        let Format { format } = serde_json::from_slice(&bytes).map_err(wrong)?;
        if format > FORMAT {
            return Err(Error::Damaged(format!(
                "the backup has format {format}, this program knows up to {FORMAT}: use a newer one"
            )));
        }
        serde_json::from_slice(&bytes).map_err(wrong)
    }

    /// Writes it: the backup is finished.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub async fn write(&self, folder: &Folder) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::Damaged(e.to_string()))?;
        folder.put(MANIFEST, &json).await
    }

    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = &Digested> {
        let streams = self.streams.iter().map(|part| &part.file);
        streams.chain(self.stored.iter().map(|part| &part.file))
    }

    /// Records of a kind.
    #[must_use]
    pub fn records(&self, kind: Stored) -> u64 {
        self.stored.iter().filter(|part| part.kind == kind).map(|part| part.records).sum()
    }

    /// Compares every file with what was written.
    ///
    /// # Errors
    /// If one is another, or not there.
    pub async fn check(&self, folder: &Folder) -> Result<(), Error> {
        for file in self.files() {
            folder.check(file).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unfinished_backup_and_one_of_a_newer_program_are_told() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::at(base.path());
        let none = Manifest::read(&folder).await.unwrap_err().to_string();
        assert!(none.contains("unfinished"), "{none}");
        folder.put(MANIFEST, br#"{"format": 2, "more": true}"#).await.unwrap();
        let newer = Manifest::read(&folder).await.unwrap_err().to_string();
        assert!(newer.contains("format 2") && newer.contains("newer"), "{newer}");
    }

    #[test]
    fn the_cut_is_by_sequence_and_knows_those_of_other_brokers_by_their_time() {
        let cut = Cut { events_sequence: 10, events_stored_at_us: 1_000 };
        for (sequence, at_us, beyond) in
            [(10, 1_000, false), (11, 1_000, true), (11, 999, false), (9, 2_000, false)]
        {
            assert_eq!(cut.is_beyond(sequence, at_us), beyond, "{sequence} at {at_us}");
        }
    }
}
