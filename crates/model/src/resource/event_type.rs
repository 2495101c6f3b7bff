//! What may happen in a system, and the versions of its schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Meta;
use crate::{SystemId, TenantId};

/// Schemas kept of an event type besides the present one, at most; the oldest go first.
pub const OLD_SCHEMAS_MAX: usize = 16;
/// Bytes of them together, at most, as JSON.
pub const OLD_SCHEMAS_BYTES_MAX: usize = 256 * 1024;

/// What may happen in a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventType {
    /// Whose it is.
    pub tenant: TenantId,
    /// The system it happens in.
    pub system: SystemId,
    /// The CloudEvents `type`.
    pub name: String,
    /// JSON Schema 2020-12 of the data; events of the type that break it are dead-lettered.
    #[serde(default)]
    pub schema: Option<Value>,
    /// What another schema must be to take the place of this one.
    #[serde(default, skip_serializing_if = "Compatibility::is_none")]
    pub compatibility: Compatibility,
    /// Which schema it has: the how-many-eth, 0 for none yet. What was written before there were versions says nothing of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    version: u32,
    /// The schemas it had before, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    old_schemas: Vec<SchemaVersion>,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(version: &u32) -> bool {
    *version == 0
}

/// A schema that an event type has or had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaVersion {
    /// The how-many-eth.
    pub version: u32,
    /// It; none where the type had no schema for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// What a schema must be to take the place of another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compatibility {
    /// Anything.
    #[default]
    None,
    /// It takes all that the one before takes: who reads by the new schema understands old events.
    Backward,
    /// The one before takes all that it takes: who reads by the old schema understands new events.
    Forward,
    /// Both.
    Full,
}

impl Compatibility {
    /// Whether the new schema must take all that the one before takes.
    #[must_use]
    pub const fn is_backward(self) -> bool {
        matches!(self, Self::Backward | Self::Full)
    }

    /// Whether the schema before must take all that the new one takes.
    #[must_use]
    pub const fn is_forward(self) -> bool {
        matches!(self, Self::Forward | Self::Full)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl EventType {
    /// Whether it has a schema, or had one.
    #[must_use]
    pub fn ever_had_schema(&self) -> bool {
        self.schema.is_some() || !self.old_schemas.is_empty()
    }

    /// One that is new, with its first schema if it has one.
    #[must_use]
    pub fn new(tenant: TenantId, system: SystemId, name: String, schema: Option<Value>, meta: Meta) -> Self {
        let compatibility = Compatibility::None;
        Self { tenant, system, name, schema, compatibility, version: 0, old_schemas: Vec::new(), meta }
    }

    /// Which schema it has: the how-many-eth; 0 if it never had one.
    #[must_use]
    pub fn version(&self) -> u32 {
        // The first one needs not be counted to be the first.
        if self.version == 0 { self.schema.is_some().into() } else { self.version }
    }

    /// The schemas it had before, oldest first.
    #[must_use]
    pub fn old_schemas(&self) -> &[SchemaVersion] {
        &self.old_schemas
    }

    /// Takes the place of `old`: with its versions, and, if it has another schema, with a new one. Doing it again changes nothing.
    pub fn succeed(&mut self, old: &Self) {
        self.old_schemas.clone_from(&old.old_schemas);
        self.version = old.version;
        if self.schema == old.schema {
            return;
        }
        let before = old.version();
        self.version = before + 1;
        if before > 0 {
            self.old_schemas.push(SchemaVersion { version: before, schema: old.schema.clone() });
        }
        let bytes = |one: &SchemaVersion| one.schema.as_ref().map_or(0, |schema| schema.to_string().len());
        let mut left = OLD_SCHEMAS_BYTES_MAX;
        let kept = self.old_schemas.iter().rev().take(OLD_SCHEMAS_MAX).take_while(|one| {
            let fits = left.checked_sub(bytes(one));
            left = fits.unwrap_or_default();
            fits.is_some()
        });
        let dropped = self.old_schemas.len() - kept.count();
        self.old_schemas.drain(..dropped);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(schema: Option<Value>) -> EventType {
        let of = |text: &str| text.parse().unwrap();
        EventType::new(of("acme"), "shop".parse().unwrap(), "t".to_owned(), schema, Meta::default())
    }

    fn then(old: &EventType, schema: Option<Value>) -> EventType {
        let mut new = with(schema);
        new.succeed(old);
        let again = {
            let mut again = new.clone();
            again.succeed(old);
            again
        };
        assert_eq!(new, again);
        new
    }

    #[test]
    fn another_schema_is_another_version() {
        let none = with(None);
        assert_eq!((none.version(), serde_json::to_string(&none).unwrap().contains("version")), (0, false));
        let first = then(&none, Some(json!({"type": "object"})));
        assert_eq!((first.version(), first.old_schemas().len()), (1, 0));
        let written: EventType = serde_json::from_value(json!({
            "tenant": "acme", "system": "shop", "name": "t", "schema": {"type": "object"},
        }))
        .unwrap();
        assert_eq!(written.version(), 1, "what an older program wrote has its first");
        let second = then(&written, Some(json!(true)));
        assert_eq!(second.version(), 2);
        assert_eq!(second.old_schemas()[0].schema, first.schema);
        let same = then(&second, second.schema.clone());
        assert_eq!((same.version(), same.old_schemas().len()), (2, 1));
        let gone = then(&same, None);
        assert_eq!((gone.version(), gone.old_schemas().len()), (3, 2));
        assert_eq!(
            then(&gone, Some(json!(true))).old_schemas()[2],
            SchemaVersion { version: 3, schema: None }
        );
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut last = with(Some(json!({"$comment": "0"})));
        for n in 1..40 {
            last = then(&last, Some(json!({"$comment": n.to_string()})));
        }
        let numbers: Vec<u32> = last.old_schemas().iter().map(|one| one.version).collect();
        assert_eq!(numbers, (24..40).collect::<Vec<u32>>());
        for n in 0..4 {
            last = then(&last, Some(json!({"$comment": n.to_string().repeat(100_000)})));
        }
        assert_eq!(last.old_schemas().len(), 2, "two of three fit");
    }
}
