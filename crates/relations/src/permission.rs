//! What may be done: a verb and a kind of thing.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPermission {
    /// Not of the form `verb:kind`.
    #[error("{0:?} is no permission: it must be a verb and a kind, such as read:event or *:source")]
    Form(String),
    /// No such verb.
    #[error("there is no verb {verb:?}; there are {}", names(Verb::ALL, Verb::as_str))]
    Verb {
        /// What was given.
        verb: String,
    },
    /// No such kind.
    #[error("there is no kind {kind:?}; there are {}", names(Kind::ALL, Kind::as_str))]
    Kind {
        /// What was given.
        kind: String,
    },
    /// Nobody can be given it: the kind has no such verb.
    #[error("nothing can be given by {0:?}: the kind does not know the verb")]
    Nothing(String),
}

fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> String {
    all.iter().map(|item| name(*item)).collect::<Vec<_>>().join(", ")
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$item_doc])* $item,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$item),*];

            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$item => $text,)*
                }
            }

            fn named(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|item| item.as_str() == text)
            }
        }
    };
}

words! {
    /// What is done.
    Verb {
        /// Get, list, watch, stream.
        Read = "read",
        /// Make a new one; of credentials, hand them out.
        Create = "create",
        /// Replace, patch, undelete; of dead letters, redrive.
        Update = "update",
        /// Delete; of dead letters, purge; of sessions, end; of events, erase their data.
        Delete = "delete",
        /// Send events.
        Publish = "publish",
    }
}

words! {
    /// To what kind of thing.
    Kind {
        /// The settings, health and work of the fleet itself.
        Fleet = "fleet",
        /// Tenants.
        Tenant = "tenant",
        /// What a tenant may use at most.
        Limit = "limit",
        /// Plans, which bundle limits and prices.
        Plan = "plan",
        /// What is agreed with who pays.
        BillingAccount = "billing_account",
        /// Invoices and credit notes.
        Invoice = "invoice",
        /// A tenant's customers.
        Customer = "customer",
        /// People, and their invitations.
        User = "user",
        /// Sessions of people.
        Session = "session",
        /// Custom roles.
        Role = "role",
        /// Who has which role.
        RoleBinding = "role_binding",
        /// API keys.
        ApiKey = "api_key",
        /// OAuth clients.
        OauthClient = "oauth_client",
        /// Credentials for the broker.
        NatsCredential = "nats_credential",
        /// The record of who changed what.
        Audit = "audit",
        /// Systems.
        System = "system",
        /// Event types and their schemas.
        EventType = "event_type",
        /// Sources.
        Source = "source",
        /// Actions.
        Action = "action",
        /// Subscriptions.
        Subscription = "subscription",
        /// Rule sets.
        RuleSet = "rule_set",
        /// Components.
        Component = "component",
        /// Workflows.
        Workflow = "workflow",
        /// Feeds.
        Feed = "feed",
        /// What tenants count for themselves.
        Meter = "meter",
        /// Events: stored, streamed, with their receipts.
        Event = "event",
        /// Dead letters.
        DeadLetter = "dead_letter",
        /// What has been used.
        Usage = "usage",
    }
}

/// A verb and a kind: `read:event`. As a relation its name is `read_event`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permission {
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub kind: Kind,
}

impl Permission {
    /// Puts one together.
    #[must_use]
    pub const fn new(verb: Verb, kind: Kind) -> Self {
        Self { verb, kind }
    }

    /// Every permission that there is: those that the superuser has ([`crate::Role`]).
    pub fn all() -> impl Iterator<Item = Self> {
        crate::Role::Superuser.permissions()
    }

    /// The relation that stands for it.
    #[must_use]
    pub fn relation(self) -> String {
        format!("{}_{}", self.verb.as_str(), self.kind.as_str())
    }

    /// Those that a text means: `read:event`, `*:source`, `read:*` or `*:*`.
    ///
    /// # Errors
    /// If it names no verb or kind, or a verb that its kind does not know.
    pub fn meant_by(text: &str) -> Result<BTreeSet<Self>, InvalidPermission> {
        let (verb, kind) = text.split_once(':').ok_or_else(|| InvalidPermission::Form(shown(text)))?;
        let wanted = |word: &str, own: &str| word == "*" || word == own;
        if verb != "*" && Verb::named(verb).is_none() {
            return Err(InvalidPermission::Verb { verb: shown(verb) });
        }
        if kind != "*" && Kind::named(kind).is_none() {
            return Err(InvalidPermission::Kind { kind: shown(kind) });
        }
        let meant: BTreeSet<_> =
            Self::all().filter(|p| wanted(verb, p.verb.as_str()) && wanted(kind, p.kind.as_str())).collect();
        if meant.is_empty() { Err(InvalidPermission::Nothing(shown(text))) } else { Ok(meant) }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl FromStr for Permission {
    type Err = InvalidPermission;

    /// One permission, without `*`.
    fn from_str(text: &str) -> Result<Self, InvalidPermission> {
        if text.contains('*') {
            return Err(InvalidPermission::Form(shown(text)));
        }
        Self::meant_by(text)?.pop_first().ok_or_else(|| InvalidPermission::Nothing(shown(text)))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.verb.as_str(), self.kind.as_str())
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_mean_all_that_there_is() {
        let meant = |text| Permission::meant_by(text).map(|found| found.len());
        assert_eq!(meant("read:event"), Ok(1));
        assert_eq!(meant("*:event"), Ok(3));
        assert_eq!(meant("*:source"), Ok(4));
        assert_eq!(meant("publish:*"), Ok(1));
        assert_eq!(meant("*:*"), Ok(Permission::all().count()));
        assert_eq!("read:api_key".parse(), Ok(Permission::new(Verb::Read, Kind::ApiKey)));
        for permission in Permission::all() {
            assert_eq!(permission.to_string().parse(), Ok(permission));
            let json = serde_json::to_string(&permission).unwrap();
            assert_eq!(serde_json::from_str::<Permission>(&json).unwrap(), permission);
        }
        let bad = [
            ("", "is no permission"),
            ("read", "is no permission"),
            ("read:", "there is no kind"),
            (":event", "there is no verb"),
            ("Read:event", "there is no verb"),
            ("read:events", "there is no kind"),
            ("read:event:x", "there is no kind"),
            ("publish:source", "nothing can be given"),
            ("delete:audit", "nothing can be given"),
            ("*:x", "there is no kind"),
        ];
        for (text, expected) in bad {
            let error = Permission::meant_by(text).unwrap_err().to_string();
            assert!(error.starts_with(expected) || error.contains(expected), "{text:?}: {error}");
        }
        assert!("*:event".parse::<Permission>().is_err());
    }
}
