//! Passwords: what may be one, how one is kept and compared, and what failures lead to.

mod hash;
mod lockout;
mod rules;

pub use self::{
    hash::{HashError, HashParams, Hasher, PasswordHash, Verified},
    lockout::{Attempts, Locked, LockoutPolicy, Lockouts},
    rules::{PasswordRules, RefusedPassword},
};
