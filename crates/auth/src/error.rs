//! Why a caller is refused.

use identity::TokenError;
use model::{ErrorCode, TenantId, resource::Scope};
use relations::{Permission, Role};

/// Why a caller is refused. The text is safe to show to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No credentials where they are needed.
    #[error("an API key is needed: send it as \"Authorization: Bearer <key>\" or in X-API-Key")]
    Missing,
    /// A header that cannot hold an API key.
    #[error("{header} {problem}")]
    MalformedHeader {
        /// Which header.
        header: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two different keys: which is meant is not for us to guess.
    #[error("the request carries two different API keys; send one")]
    Conflicting,
    /// Not of the form of a key, not known, revoked, or wrong.
    #[error("the API key is not valid")]
    Unknown,
    /// The key is right and its tenant is disabled.
    #[error("the tenant {0} is disabled")]
    TenantDisabled(TenantId),
    /// The key is right and lacks a scope.
    #[error("the API key lacks the scope {}", (*.0).as_str())]
    ScopeNeeded(Scope),
    /// A token that is not believed, and why, which is for the operator; or that cannot be judged.
    #[error("{}", told(*.0))]
    Token(TokenError),
    /// The token is right, and whose it is must set another password first.
    #[error("another password must be set first: PUT /api/v1/me/password")]
    PasswordNeeded,
    /// Whoever it is, it is no person with a session here.
    #[error("this is for people who have logged in here, by their token")]
    NoPerson,
    /// The token is right and of nobody's tenant.
    #[error("the token names no tenant that is here")]
    NoTenant,
    /// The token is right and none of its roles may do that.
    #[error("{_0} takes one of the roles {roles}", roles = roles(*_0))]
    RoleNeeded(Permission),
    /// The token is right and none of its roles may do that for the whole fleet.
    #[error("{_0} takes one of the roles {roles}, fleet-wide", roles = roles(*_0))]
    FleetRoleNeeded(Permission),
    /// Nobody can say whether the caller may: the authorizer does not answer.
    #[error("it cannot be decided now whether that is allowed: the authorizer does not answer")]
    Undecided(relations::Error),
}

const fn told(why: TokenError) -> &'static str {
    match why {
        TokenError::KeysUnavailable => "the token cannot be judged: the keys of its issuer are not at hand",
        _ => "the token is not valid",
    }
}

fn roles(permission: Permission) -> String {
    Role::that_may(permission).map(Role::as_str).collect::<Vec<_>>().join(", ")
}

impl AuthError {
    /// The code callers see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Missing | Self::MalformedHeader { .. } | Self::Unknown => ErrorCode::Unauthenticated,
            Self::Token(TokenError::KeysUnavailable) | Self::Undecided(_) => ErrorCode::Unavailable,
            Self::Token(_) => ErrorCode::Unauthenticated,
            Self::Conflicting => ErrorCode::Malformed,
            Self::TenantDisabled(_)
            | Self::NoTenant
            | Self::NoPerson
            | Self::PasswordNeeded
            | Self::ScopeNeeded(_)
            | Self::RoleNeeded(_)
            | Self::FleetRoleNeeded(_) => ErrorCode::Forbidden,
        }
    }
}
