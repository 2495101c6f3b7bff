//! Who is calling, and what and how much they may do.
//!
//! [`credentials`] finds an API key in a request, [`authenticate`] names its owner, [`signature::verify`] checks that a webhook
//! comes from its provider, [`quota`] counts what a tenant sends. No I/O: the catalog's snapshot, the time and
//! the source of randomness are parameters.
//!
//! Invariant: secrets are compared in constant time, stored only hashed or sealed, and stand in no error, log or `Debug`. What a
//! caller learns from a refusal does not tell a wrong secret from an unknown key.
//!
//! ```
//! use auth::{NewKey, credentials};
//! use model::resource::Scope;
//! use secrecy::ExposeSecret as _;
//!
//! let new = NewKey { tenant: "acme".parse()?, system: "shop".parse()?, name: String::new(), scopes: vec![Scope::Publish],
//!     created_at: "2026-11-21T10:00:00Z".into() };
//! let (key, shown_once) = auth::generate(&mut rand::rng(), new);
//! assert!(shown_once.expose_secret().starts_with(&format!("er_{}_", key.id)));
//! let mut headers = http::HeaderMap::new();
//! headers.insert("x-api-key", shown_once.expose_secret().parse()?);
//! assert_eq!(credentials(&headers)?, Some(shown_once.expose_secret()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authenticate;
mod credentials;
mod error;
mod key;
pub mod quota;
pub mod signature;

pub use self::{
    authenticate::{Keys, Principal, authenticate},
    credentials::credentials,
    error::AuthError,
    key::{NewKey, generate},
};
