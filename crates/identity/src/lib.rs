//! Who somebody is: passwords, sessions, tokens of OpenID Connect, invitations, OAuth clients.
//!
//! What they may do is for the crate `relations`. Everything here is a function or a state machine over values; time and
//! randomness are parameters. Two things reach out: [`Hasher`] uses threads, and [`OidcVerifier`] fetches keys.
//!
//! Invariant: what is kept is never enough to log in by. Secrets are stored hashed, are held in `secrecy` types, and stand
//! in no error, log or `Debug`; they are compared in a time that tells nothing, also not whether there is such a user or
//! client. A token is believed for its signature by a key of its issuer, with an algorithm that the *key* is for, and
//! never for what it says of itself.
//!
//! ```
//! use identity::{AccessOptions, AccessTokens, Grant, Holder, Purpose, RefreshPolicy, Session, SigningKeys};
//! use secrecy::ExposeSecret as _;
//!
//! let (rng, now) = (&mut rand::rng(), 1_767_225_600_000_000);
//! let tokens = AccessTokens::new(AccessOptions::new("https://er.example", "eventrunner"), SigningKeys::generate());
//! let (session, refresh) = Session::begin(rng, "alice", Purpose::All, now);
//! let holder = Holder::User { session: session.id.clone() };
//! let grant = Grant { subject: "alice".into(), holder, purpose: Purpose::All, tenant: None, scopes: vec![] };
//! let (access, _) = tokens.issue(rng, grant, now);
//! assert_eq!(tokens.verify(access.expose_secret(), now)?.grant.subject, "alice");
//!
//! let (session, _next) = session.refresh(rng, refresh.expose_secret(), RefreshPolicy::default(), now)?;
//! assert!(session.refresh(rng, refresh.expose_secret(), RefreshPolicy::default(), now).is_err(), "used");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod invitation;
mod jwt;
pub mod oauth;
mod oidc;
mod password;
mod secret;
mod session;

pub use self::{
    invitation::{OneTimePurpose, OneTimeToken, RedeemError},
    jwt::{TOKEN_BYTES_MAX, TokenError},
    oidc::{
        ClaimNames, IssuerOptions, KeySourceStatus, MAX_KEYS_BYTES, OidcAlgorithm, OidcPrincipal,
        OidcVerifier, SetupError, check_issuers,
    },
    password::{
        Attempts, HashError, HashParams, Hasher, Locked, LockoutPolicy, Lockouts, PasswordHash,
        PasswordRules, RefusedPassword, Verified,
    },
    secret::{Digest, InvalidDigest},
    session::{
        Access, AccessOptions, AccessTokens, Grant, Holder, KeyError, Purpose, RefreshError, RefreshPolicy,
        Session, SigningKeys, refresh_id,
    },
};
