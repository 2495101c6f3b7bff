//! Who has something in the store.

use std::collections::BTreeSet;

use fjall::Readable as _;
use model::{TenantId, Text};

use super::{Embedded, disk::Disk, keys::Kind};
use crate::Error;

impl Embedded {
    /// Each tenant that has events or usage here, in order. Takes a lookup or two for each.
    ///
    /// # Errors
    /// If the store cannot answer.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        self.read(|disk, _| tenants(disk)).await
    }
}

fn tenants(disk: &Disk) -> Result<Vec<TenantId>, Error> {
    let snapshot = disk.snapshot();
    let mut tenants = BTreeSet::new();
    for kind in [Kind::Events, Kind::Usage] {
        let mut from = vec![kind.tag()];
        while let Some(entry) = snapshot.range(&disk.data, from.clone()..vec![kind.tag() + 1]).next() {
            let key = entry.key().map_err(Disk::read_error)?;
            let name = key.get(1..).and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default();
            let text = std::str::from_utf8(name).map_err(|e| Error::Corrupt(e.to_string()))?;
            tenants.insert(TenantId::from_text(Text::from(text)).map_err(|e| Error::Corrupt(e.to_string()))?);
            // Past all of this tenant's blocks: an id is ended by a zero byte.
            from.truncate(1);
            from.extend_from_slice(name);
            from.push(1);
        }
    }
    Ok(tenants.into_iter().collect())
}
