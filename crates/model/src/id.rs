//! Typed ids. One macro, so that each has the same shape: 1 to 63 characters of `a-z`, `0-9` and `-`,
//! beginning and ending with a letter or digit. Such an id may stand in a NATS subject token, a KV key,
//! a URL path and a metric label as it is.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use crate::Text;

/// Why a string is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} id {value:?} must be 1 to 63 characters of a-z, 0-9 and '-', and begin and end with a letter or digit"
)]
pub struct InvalidId {
    kind: &'static str,
    value: String,
}

fn is_slug(s: &str) -> bool {
    let b = s.as_bytes();
    let alnum = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    matches!((b.first(), b.last()), (Some(first), Some(last)) if alnum(first) && alnum(last))
        && b.len() <= 63
        && b.iter().all(|c| alnum(c) || *c == b'-')
}

macro_rules! slug_ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Text);

        impl $name {
            /// Checks a shared string without copying it.
            ///
            /// # Errors
            /// If it is not a slug.
            pub fn from_text(text: Text) -> Result<Self, InvalidId> {
                if is_slug(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { kind: $kind, value: text.to_string() })
                }
            }

            /// The id as a string.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as a shared string: no copy.
            #[must_use]
            pub fn as_text(&self) -> &Text {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(s: &str) -> Result<Self, InvalidId> {
                Self::from_text(s.into())
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
                })
            }
        }
    )*};
}

slug_ids! {
    /// The customer whose data is isolated: part of every key and every subject.
    TenantId = "tenant";
    /// Something of the tenant's that produces or consumes events.
    SystemId = "system";
    /// One of a tenant's own customers.
    CustomerId = "customer";
    /// A door of a system.
    SourceId = "source";
    /// The public part of an API key, by which it is found and named in lists and logs.
    KeyId = "key";
    /// What NATS clients of a tenant log in with.
    NatsCredentialId = "NATS credential";
    /// What is to be done in a system.
    ActionId = "action";
    /// What is to follow on an event.
    SubscriptionId = "subscription";
    /// Rules of a tenant.
    RuleSetId = "rule set";
    /// A tenant's Wasm component.
    ComponentId = "component";
    /// A tenant's workflow.
    WorkflowId = "workflow";
    /// What a tenant counts for itself.
    MeterId = "meter";
    /// Where events are fetched from.
    FeedId = "feed";
    /// What tenants are sold; the fleet's.
    PlanId = "plan";
    /// What is agreed with one party about money.
    BillingAccountId = "billing account";
    /// Something within a resource: a charge of a plan, a coupon or credit of a billing account.
    ItemId = "item";
    /// A role that a tenant, or the fleet, has made.
    RoleId = "role";
    /// A role given to somebody.
    RoleBindingId = "role binding";
    /// A person; the fleet's.
    UserId = "user";
}

/// Stands where a tenant's id stands, for what is the fleet's as a whole. No tenant can have it: it is no slug, and is read
/// from nowhere.
pub static FLEET: TenantId = TenantId(Text::from_static("-"));

impl TenantId {
    /// Whether it stands for the fleet.
    #[must_use]
    pub fn is_fleet(&self) -> bool {
        *self == FLEET
    }

    /// Reads what is kept by us and may be the fleet. What others send is read as a tenant only.
    ///
    /// # Errors
    /// If it is neither.
    pub fn kept(text: &str) -> Result<Self, InvalidId> {
        if *text == *FLEET { Ok(FLEET.clone()) } else { text.parse() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for good in ["a", "acme", "a-1", "0", &"x".repeat(63)] {
            assert_eq!(good.parse::<TenantId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "a*", ">", "ä", &"x".repeat(64)] {
            let error = bad.parse::<TenantId>().unwrap_err().to_string();
            assert!(error.starts_with("tenant id"), "{error}");
        }
        assert!(FLEET.parse::<TenantId>().is_err(), "no tenant is the fleet");
    }
}
