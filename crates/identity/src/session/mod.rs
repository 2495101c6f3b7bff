//! Sessions: short access tokens that any replica verifies by itself, a refresh token that is changed each time it is used,
//! and the list of what was taken back before its time.

mod access;
mod keys;
mod refresh;
mod revocation;

pub use self::{
    access::{Access, AccessOptions, AccessTokens, Grant, Holder, Purpose},
    keys::{KeyError, SigningKeys},
    refresh::{RefreshError, RefreshPolicy, Session, refresh_id},
    revocation::Revocations,
};
