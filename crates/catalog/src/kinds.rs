//! Every kind of resource, in one place. To add one: its type in `model::resource`, its rules in `resource.rs`, and a
//! line here. Keys, snapshots, the feed, references and what is deleted follow from it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use model::{
    Text,
    resource::{
        Action, ApiKey, BillingAccount, Component, Customer, EventType, Feed, Meter, NatsCredential, Plan,
        Role, RoleBinding, RuleSet, Source, Subscription, System, Tenant, User, Workflow,
    },
};

use crate::{
    EntryKey, Metering, Resource, Snapshot,
    messages::Change,
    resource::{Deleted, named, sealed::Place},
    shards::Shards,
    snapshot::Entry,
};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($resource:ident) = $name:literal, $noun:literal, $table:ident;)*) => {
        /// The kinds of resource.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Each kind, those that others depend on first.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// As it stands in keys.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// As people say it.
            #[must_use]
            pub const fn noun(self) -> &'static str {
                match self { $(Self::$kind => $noun),* }
            }
        }

        /// Everything of one tenant. Public only because a sealed trait speaks of it.
        #[derive(Clone, Default, Debug)]
        pub struct Space {
            $(pub(crate) $table: Table<$resource>,)*
            /// See [`crate::Shortcut`]; forgotten at each change.
            pub(crate) needs_normalizer: OnceLock<bool>,
            /// See [`Metering`]; forgotten at each change.
            pub(crate) metering: OnceLock<Option<Arc<Metering>>>,
        }

        $(impl Place for $resource {
            fn table(space: &Space) -> &Table<Self> {
                &space.$table
            }

            fn table_mut(space: &mut Space) -> &mut Table<Self> {
                &mut space.$table
            }
        })*

        impl Space {
            /// Resources of all kinds.
            pub(crate) fn len(&self) -> usize {
                0 $(+ self.$table.live.len())*
            }

            pub(crate) fn is_empty(&self) -> bool {
                self.len() == 0 $(&& self.$table.deleted.len() == 0)*
            }

            /// Whether there is one that is not deleted.
            pub(crate) fn has(&self, kind: Kind, id: &str) -> bool {
                match kind { $(Kind::$kind => self.$table.live.get(id).is_some(),)* }
            }

            /// What refers to an entry and is not deleted.
            pub(crate) fn holders(&self, held: &EntryKey) -> Vec<EntryKey> {
                let mut holders = Vec::new();
                $(holders.extend(
                    self.$table.live.values().filter(|e| holds(&*e.value, held)).map(|e| e.value.entry_key()),
                );)*
                holders
            }

            /// What is deleted, with its revision and when that was.
            pub(crate) fn deleted(&self) -> Vec<(EntryKey, u64, &str)> {
                let mut deleted = Vec::new();
                $(deleted.extend(self.$table.deleted.values().map(|e| {
                    (e.value.resource.entry_key(), e.revision, &*e.value.deleted_at)
                }));)*
                deleted
            }
        }

        /// Puts one change into the snapshot.
        pub(crate) fn apply(
            snapshot: &mut Snapshot,
            old: Option<&Snapshot>,
            key: &EntryKey,
            change: &Change,
        ) -> Result<(), String> {
            match key.kind {
                $(Kind::$kind => crate::watch::apply::<$resource>(snapshot, old, key, change),)*
            }
        }
    };
}

kinds! {
    /// [`model::resource::Plan`].
    Plan(Plan) = "plan", "plan", plans;
    /// [`model::resource::User`].
    User(User) = "user", "user", users;
    /// [`model::resource::Tenant`].
    Tenant(Tenant) = "tenant", "tenant", tenants;
    /// [`model::resource::System`].
    System(System) = "system", "system", systems;
    /// [`model::resource::Customer`].
    Customer(Customer) = "customer", "customer", customers;
    /// [`model::resource::BillingAccount`].
    BillingAccount(BillingAccount) = "billing-account", "billing account", billing_accounts;
    /// [`model::resource::Source`].
    Source(Source) = "source", "source", sources;
    /// [`model::resource::EventType`].
    EventType(EventType) = "event-type", "event type", event_types;
    /// [`model::resource::ApiKey`].
    Key(ApiKey) = "key", "key", keys;
    /// [`model::resource::NatsCredential`].
    NatsCredential(NatsCredential) = "nats-credential", "NATS credential", nats_credentials;
    /// [`model::resource::Action`].
    Action(Action) = "action", "action", actions;
    /// [`model::resource::Subscription`].
    Subscription(Subscription) = "subscription", "subscription", subscriptions;
    /// [`model::resource::RuleSet`].
    RuleSet(RuleSet) = "rule-set", "rule set", rule_sets;
    /// [`model::resource::Component`].
    Component(Component) = "component", "component", components;
    /// [`model::resource::Workflow`].
    Workflow(Workflow) = "workflow", "workflow", workflows;
    /// [`model::resource::Feed`].
    Feed(Feed) = "feed", "feed", feeds;
    /// [`model::resource::Meter`].
    Meter(Meter) = "meter", "meter", meters;
    /// [`model::resource::Role`].
    Role(Role) = "role", "role", roles;
    /// [`model::resource::RoleBinding`].
    RoleBinding(RoleBinding) = "role-binding", "role binding", role_bindings;
}

impl Kind {
    /// Whether such resources belong to the fleet, and to no tenant: [`model::FLEET`] stands in their keys.
    #[must_use]
    pub const fn is_fleet_wide(self) -> bool {
        matches!(self, Self::Plan | Self::User)
    }

    /// Whether such resources may belong to the fleet.
    #[must_use]
    pub const fn may_be_the_fleets(self) -> bool {
        self.is_fleet_wide() || matches!(self, Self::Role | Self::RoleBinding)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

/// Whether a resource would be left dangling without that entry.
fn holds<R: Resource>(resource: &R, held: &EntryKey) -> bool {
    match held.kind {
        // Looked for among its own only.
        Kind::Tenant => R::KIND != Kind::Tenant,
        _ => named(resource).iter().any(|(_, key)| key == held),
    }
}

/// Where the resources of one kind of one tenant are. Public only because a sealed trait speaks of it.
pub struct Table<R> {
    pub(crate) live: Shards<Text, Entry<R>>,
    pub(crate) deleted: Shards<Text, Entry<Deleted<R>>>,
}

impl<R> Table<R> {
    /// Whether there is any, deleted or not.
    pub(crate) fn any(&self) -> bool {
        self.live.len() + self.deleted.len() > 0
    }
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Self { live: self.live.clone(), deleted: self.deleted.clone() }
    }
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self { live: Shards::default(), deleted: Shards::default() }
    }
}

impl<R> fmt::Debug for Table<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.live)
    }
}
