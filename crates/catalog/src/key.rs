//! Keys of the bucket: `<kind>.<tenant>.<id>`, with the id in base64url where it is no slug (event types), and `-` in place of
//! the tenant where something is the fleet's.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use model::{KeyId, TYPE_BYTES_MAX, TenantId};

use crate::Kind;

/// A key of the bucket, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryKey {
    /// What the entry is.
    pub kind: Kind,
    /// Whose it is; [`model::FLEET`] of what is the fleet's.
    pub tenant: TenantId,
    /// Its id as people write it, not encoded.
    pub id: String,
}

impl EntryKey {
    /// The key of a resource.
    pub fn new(kind: Kind, tenant: &TenantId, id: impl Into<String>) -> Self {
        Self { kind, tenant: tenant.clone(), id: id.into() }
    }

    /// Whether there could be such an entry: an id that is none must not become a part of a key.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        match self.kind {
            Kind::EventType => (1..=TYPE_BYTES_MAX).contains(&self.id.len()),
            // Every other id is of this form.
            _ => self.id.parse::<KeyId>().is_ok(),
        }
    }

    /// Reads a key; none if it is not one of ours.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.split('.');
        let (kind, tenant, id) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let kind = *Kind::ALL.iter().find(|k| k.as_str() == kind)?;
        let id = match kind {
            Kind::EventType => String::from_utf8(URL_SAFE_NO_PAD.decode(id).ok()?).ok()?,
            _ => id.to_owned(),
        };
        let tenant =
            if kind.may_be_the_fleets() { TenantId::kept(tenant).ok()? } else { tenant.parse().ok()? };
        if kind.is_fleet_wide() && !tenant.is_fleet() {
            return None;
        }
        Some(Self { kind, tenant, id })
    }
}

impl fmt::Display for EntryKey {
    /// The key as it stands in the bucket; also the context secrets of the resource are sealed to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.", self.kind.as_str(), self.tenant)?;
        match self.kind {
            Kind::EventType => f.write_str(&URL_SAFE_NO_PAD.encode(&self.id)),
            _ => f.write_str(&self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::FLEET;

    use super::*;

    #[test]
    fn keys_round_trip_and_strangers_are_refused() {
        let acme: TenantId = "acme".parse().unwrap();
        let cases = [
            (EntryKey::new(Kind::Tenant, &acme, "acme"), "tenant.acme.acme"),
            (EntryKey::new(Kind::Source, &acme, "gh-1"), "source.acme.gh-1"),
            (EntryKey::new(Kind::EventType, &acme, "com.x.é>*"), "event-type.acme.Y29tLnguw6k-Kg"),
            (EntryKey::new(Kind::Plan, &FLEET, "gold"), "plan.-.gold"),
        ];
        for (key, text) in cases {
            assert_eq!(key.to_string(), text);
            assert_eq!(EntryKey::parse(text), Some(key));
        }
        for (kind, id, possible) in [
            (Kind::System, "shop", true),
            (Kind::System, "a.b", false),
            (Kind::Key, "*", false),
            (Kind::EventType, "a.* b", true),
            (Kind::EventType, "", false),
            (Kind::EventType, &"x".repeat(TYPE_BYTES_MAX + 1), false),
        ] {
            assert_eq!(EntryKey::new(kind, &acme, id).is_possible(), possible, "{kind} {id}");
        }
        for bad in [
            "",
            "tenant",
            "tenant.acme",
            "tenant.acme.acme.x",
            "thing.acme.x",
            "system.ACME.x",
            "system.-.x",
            "plan.acme.gold",
            "event-type.acme.%",
        ] {
            assert_eq!(EntryKey::parse(bad), None, "{bad}");
        }
    }
}
