//! Sessions: short access tokens that any replica verifies by itself, and a refresh token that is changed each time it is used.

mod access;
mod keys;
mod refresh;

pub use self::{
    access::{Access, AccessOptions, AccessTokens, Grant, Holder, Purpose},
    keys::{KeyError, SigningKeys},
    refresh::{RefreshError, RefreshPolicy, Session, refresh_id},
};
