//! Tokens of others: OpenID Connect providers, and the identity token of an Oathkeeper in front of us.

mod keys;
mod source;
mod verifier;

pub use self::{
    source::{KeySourceStatus, MAX_KEYS_BYTES},
    verifier::{
        ClaimNames, IssuerOptions, OidcAlgorithm, OidcPrincipal, OidcVerifier, SetupError, check_issuers,
    },
};
