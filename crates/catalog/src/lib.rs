//! The control-plane resources (tenant, system, source, event type, API key) in a JetStream key-value bucket,
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
//! let revision = catalog.create(&acme).await?;
//! assert!(catalog.snapshot().tenant(&acme.id).is_some());
//! catalog.delete::<Tenant>(&acme.id, "acme", Some(revision)).await?;
//! # Ok(()) }
//! ```

mod catalog;
mod check;
mod error;
mod key;
mod messages;
mod resource;
mod sealer;
mod shards;
mod snapshot;
mod watch;

pub use self::{
    catalog::{Catalog, Options, Status, Versioned, ensure_bucket},
    check::Check,
    error::{Error, FieldError},
    key::{EntryKey, Kind},
    resource::Resource,
    sealer::{SealError, Sealer, SealingKey},
    snapshot::{Entry, Snapshot},
};
