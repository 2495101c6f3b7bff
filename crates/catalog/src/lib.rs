//! The control-plane resources (tenants, and what is theirs; plans, which are the fleet's) in a JetStream key-value bucket,
//! typed, and watched into an immutable [`Snapshot`] that readers take without a lock.
//!
//! Invariant: a snapshot holds only what parses, checks out and stands under its own key; an entry that does not is
//! left out, counted and logged once. A change is in every process's snapshot as soon as the broker has
//! told it: within milliseconds while the broker is there, and after an outage of any length without
//! missing one. How old the news is can always be asked ([`Catalog::status`]).
//!
//! ```no_run
//! # async fn example(js: async_nats::jetstream::Context) -> Result<(), Box<dyn std::error::Error>> {
//! use catalog::{Catalog, Options};
//! use model::resource::Tenant;
//!
//! catalog::ensure_bucket(&js, &Options::default(), 1).await?;
//! let catalog = Catalog::open(js, Options::default()).await;
//! let acme: Tenant = serde_json::from_str(r#"{"id": "acme"}"#)?;
//! let created = catalog.create(&acme).await?;
//! assert!(catalog.snapshot().tenant(&acme.id).is_some());
//! catalog.delete::<Tenant>(&acme.id, "acme", Some(created.revision)).await?;
//! catalog.undelete::<Tenant>(&acme.id, "acme", None).await?;
//! # Ok(()) }
//! ```

mod bucket;
mod catalog;
mod check;
mod entry;
mod erase;
mod error;
mod key;
mod kinds;
mod messages;
mod metering;
mod resource;
mod sealer;
mod shards;
mod shortcut;
mod snapshot;
pub mod tuples;
mod watch;
mod write;

pub use self::{
    bucket::{Options, ensure_bucket},
    catalog::{Catalog, Status, Versioned},
    check::{Check, SECRETS_MAX},
    error::{Error, FieldError},
    key::EntryKey,
    kinds::Kind,
    metering::{Metering, OwnMeter},
    resource::{Deleted, Reference, Resource},
    sealer::{SealError, Sealer, SealingKey, sealing_key_id},
    shortcut::Shortcut,
    snapshot::{Counts, Entry, Snapshot},
};
