//! Which events the normalizer would pass on as they are, so that a door may send them past it
//! (docs/adr/0014-past-the-normalizer.md).

use model::{
    TenantId,
    resource::{EventType, Source},
};

use crate::{Snapshot, kinds::Space, resource::sealed::Place as _};

/// The shortcut past the normalizer, as far as it is open to a tenant's CloudEvents.
#[derive(Debug, Clone, Copy)]
pub struct Shortcut<'a> {
    space: Option<&'a Space>,
    /// Whether it is closed to some.
    partly: bool,
}

impl Snapshot {
    /// The shortcut of a tenant. Costs one look-up.
    #[must_use]
    pub fn shortcut(&self, tenant: &TenantId) -> Shortcut<'_> {
        let space = self.space(tenant);
        Shortcut { space, partly: space.is_some_and(Space::needs_normalizer) }
    }
}

impl Shortcut<'_> {
    /// Whether it is open to a CloudEvent of that type: its type has no schema and, if it has a partition key, nothing with the
    /// same key goes by way of the normalizer, behind which it would have to wait.
    #[must_use]
    pub fn is_open(&self, ty: &str, keyed: bool) -> bool {
        let has_schema = |space: &Space| {
            EventType::table(space).live.get(ty).is_some_and(|entry| entry.value.schema.is_some())
        };
        !self.partly || (!keyed && !self.space.is_some_and(has_schema))
    }
}

impl Space {
    /// Whether any of the tenant's events goes, or went a while ago, by way of the normalizer and may have a partition key:
    /// those of a source, and those of a type with a schema. What was deleted and schemas that were taken away count, as the last
    /// events may still be on their way.
    fn needs_normalizer(&self) -> bool {
        *self.needs_normalizer.get_or_init(|| {
            let types = EventType::table(self);
            Source::table(self).any()
                || types.live.values().any(|entry| entry.value.ever_had_schema())
                || types.deleted.values().any(|entry| entry.value.resource.ever_had_schema())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Deleted, Entry, Resource};

    fn resource<R: Resource>(value: serde_json::Value) -> R {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn it_is_open_to_what_needs_nothing_and_has_nothing_to_wait_for() {
        let acme: TenantId = "acme".parse().unwrap();
        let ty = |name: &str, schema: serde_json::Value| {
            resource::<EventType>(json!({"tenant": "acme", "system": "s", "name": name, "schema": schema}))
        };
        let source = resource::<Source>(json!({"tenant": "acme", "system": "s", "id": "hub"}));
        let empty = Snapshot::default();
        let plain = empty.clone().with(ty("plain", json!(null)));
        let checked = plain.clone().with(ty("checked", json!({})));
        let mapped = plain.clone().with(source.clone());
        let mut was_mapped = mapped.clone();
        let at = "2026-11-21T10:00:00Z".to_owned();
        was_mapped.insert_deleted(Entry {
            revision: 9,
            value: Deleted { deleted_at: at, resource: source }.into(),
        });
        let mut purged = was_mapped.clone();
        purged.remove::<Source>(&acme, "hub");
        // What it is, and whether it is open to: a plain type without key, with key; the checked type without, with.
        let table = [
            (empty, [true, true, true, true]),
            (plain, [true, true, true, true]),
            (checked, [true, false, false, false]),
            (mapped, [true, false, true, false]),
            (was_mapped, [true, false, true, false]),
            (purged, [true, true, true, true]),
        ];
        for (number, (snapshot, expected)) in table.into_iter().enumerate() {
            let shortcut = snapshot.shortcut(&acme);
            let cases = [("plain", false), ("plain", true), ("checked", false), ("checked", true)];
            assert_eq!(cases.map(|(ty, keyed)| shortcut.is_open(ty, keyed)), expected, "{number}");
        }
    }
}
