//! Who is calling, and what and how much they may do.
//!
//! [`credentials()`] finds an API key in a request, [`authenticate()`] names its owner, [`Caller`] is who it is and what they may do
//! by the table of roles, [`Authority`] decides whether they may, bindings and all, [`signature::verify`]
//! checks that a webhook comes from its provider, [`quota`] counts what a tenant sends. No I/O, but for the public keys of those whose signed [`Tokens`] are believed: the catalog's
//! snapshot, the time and the source of randomness are parameters.
//!
//! Invariant: secrets are compared in constant time, stored only hashed or sealed, and stand in no error, log
//! or `Debug`. What a caller learns from a refusal does not tell a wrong secret from an unknown key.
//!
//! ```
//! use auth::{NewKey, authenticate, credentials};
//! use catalog::Snapshot;
//! use model::resource::{Scope, Tenant};
//! use secrecy::ExposeSecret as _;
//!
//! let tenant: Tenant = serde_json::from_str(r#"{"id": "acme"}"#)?;
//! let (system, created_at) = ("shop".parse()?, "2026-11-21T10:00:00Z".to_owned());
//! let (name, scopes) = ("till 3".to_owned(), vec![Scope::Publish]);
//! let new = NewKey { tenant: tenant.id.clone(), system, name, scopes, created_at };
//! let (key, shown_once) = auth::generate(&mut rand::rng(), new);
//! let snapshot = Snapshot::default().with(tenant).with(key);
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert("x-api-key", shown_once.expose_secret().parse()?);
//! let caller = authenticate(&snapshot, credentials(&headers)?.ok_or(auth::AuthError::Missing)?)?;
//! assert!(caller.has(Scope::Publish));
//! assert_eq!(caller.tenant.id.as_str(), "acme");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authenticate;
mod authority;
mod caller;
mod clients;
mod credentials;
mod derived;
mod error;
mod key;
mod options;
mod own;
pub mod people;
mod publisher;
pub mod quota;
pub mod scopes;
pub mod signature;
mod tokens;

pub use self::{
    authenticate::{Principal, authenticate},
    authority::Authority,
    caller::{Caller, Held, Who},
    clients::client,
    credentials::credentials,
    derived::{Derived, Snapshots},
    error::AuthError,
    key::{NewKey, generate},
    options::{AuthorizerKind, AuthorizerOptions},
    own::OwnTokenOptions,
    publisher::{NoSystem, Publisher, Publishers, SYSTEM_HEADER},
    tokens::{TokenOptions, Tokens},
};
