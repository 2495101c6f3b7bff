//! A signed token → who it speaks of.

use std::sync::Arc;

use catalog::Snapshot;
use identity::{
    Access, AccessTokens, Holder, IssuerOptions, OidcPrincipal, OidcVerifier, SetupError, TokenError,
};
use model::{Clock, CustomerId, Micros, SystemClock, SystemId};
use relations::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AuthError, Caller, OwnTokenOptions, Principal, Who, authenticate, clients, people};

/// Whose signed tokens are believed: our own, and those of issuers that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenOptions {
    /// The tokens that this fleet issues itself.
    pub own: OwnTokenOptions,
    /// The issuers: of each `issuer` (`iss`), `keys_url` (its JSON Web Key Set), `audiences`, `algorithms`, and optionally
    /// `leeway_seconds`, `claims` (`subject`, `email`, `tenant`, `roles`: names of claims, or JSON pointers into them),
    /// `tenants` (the only ones it speaks for), `fleet_wide` (it may make superusers), `allow_http`.
    pub issuers: Vec<IssuerOptions>,
}

/// Who may come by a signed token, besides by a key.
#[derive(Debug, Default)]
pub struct Tokens {
    others: Option<OidcVerifier>,
    own: Option<Arc<AccessTokens>>,
}

impl Tokens {
    /// Believes these issuers. The process must have its TLS provider if there is one.
    ///
    /// # Errors
    /// If an issuer is described twice or not well.
    pub fn new(options: TokenOptions, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        if options.issuers.is_empty() {
            return Ok(Self::default());
        }
        let others = OidcVerifier::new(options.issuers, clock)?;
        Ok(Self { others: Some(others), own: None })
    }

    /// The same, believing tokens of our own too.
    #[must_use]
    pub fn with_own(self, own: Arc<AccessTokens>) -> Self {
        Self { own: Some(own), ..self }
    }

    /// What makes tokens of our own, if this fleet has any.
    #[must_use]
    pub fn issuing(&self) -> Option<&AccessTokens> {
        self.own.as_deref()
    }

    /// What our own tokens call us; empty if there are none.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.own.as_deref().map(AccessTokens::issuer).unwrap_or_default()
    }

    /// What a token of our own says; none of what says that it is another's, or is no token.
    #[must_use]
    pub fn own(&self, presented: &str, now: Micros) -> Option<Result<Access, AuthError>> {
        let own = self.own.as_deref().filter(|_| presented.contains('.'))?;
        match own.verify(presented, now) {
            Err(
                TokenError::Issuer
                | TokenError::Algorithm
                | TokenError::Header("typ")
                | TokenError::UnknownKey,
            ) if self.others.is_some() => None,
            verified => Some(verified.map_err(AuthError::Token)),
        }
    }

    /// Whoever presents this: the holder of an API key or, if it is a token, whom that speaks of. The catalog is looked at last, as
    /// the issuer's keys may take their time.
    ///
    /// # Errors
    /// That of [`authenticate()`] for keys. For tokens [`AuthError::Token`] if it is not believed, or cannot be judged;
    /// [`AuthError::NoTenant`] or [`AuthError::TenantDisabled`] if it is.
    pub async fn caller(
        &self,
        presented: &str,
        snapshot: impl FnOnce() -> Arc<Snapshot>,
    ) -> Result<Caller, AuthError> {
        self.bearer(presented, snapshot).await.map(|bearer| bearer.caller)
    }

    /// The same, with what a door asks besides.
    pub(crate) async fn bearer(
        &self,
        presented: &str,
        snapshot: impl FnOnce() -> Arc<Snapshot>,
    ) -> Result<Bearer, AuthError> {
        // A token is three parts with dots between; a key has no dot.
        if let Some(access) = self.own(presented, SystemClock.now()) {
            let access = access?;
            let until = Some(access.expires_at);
            return Ok(match access.grant.holder {
                Holder::Client => Bearer::of_key(clients::client(&snapshot(), &access)?, until),
                Holder::User { .. } => Bearer {
                    caller: people::caller(&snapshot(), self.issuer(), &access)?,
                    system: None,
                    customer: None,
                    until,
                },
            });
        }
        let Some(verifier) = self.others.as_ref().filter(|_| presented.contains('.')) else {
            return Ok(Bearer::of_key(authenticate(&snapshot(), presented)?, None));
        };
        let said = verifier.verify(presented).await.map_err(AuthError::Token)?;
        let until = Some(said.expires_at);
        Ok(Bearer { caller: spoken_of(&snapshot(), said)?, system: None, customer: None, until })
    }
}

/// Who presents a key or a token.
pub(crate) struct Bearer {
    pub(crate) caller: Caller,
    /// The system that its key is bound to; people have none.
    pub(crate) system: Option<SystemId>,
    /// The customer on whose behalf its key is used.
    pub(crate) customer: Option<CustomerId>,
    /// When a token ends.
    pub(crate) until: Option<Micros>,
}

impl Bearer {
    fn of_key(principal: Principal, until: Option<Micros>) -> Self {
        let (system, customer) = (Some(principal.system.clone()), principal.customer.clone());
        Self { system, customer, caller: principal.into(), until }
    }
}

fn spoken_of(snapshot: &Snapshot, said: OidcPrincipal) -> Result<Caller, AuthError> {
    let OidcPrincipal { issuer, subject, tenant, roles, expires_at, fleet_wide, .. } = said;
    if fleet_wide && snapshot.user(&subject).is_some_and(|user| user.disabled) {
        return Err(AuthError::Token(TokenError::Revoked));
    }
    let tenant =
        tenant.and_then(|id| snapshot.tenant(&id.parse().ok()?).cloned()).ok_or(AuthError::NoTenant)?;
    if tenant.disabled {
        return Err(AuthError::TenantDisabled(tenant.id.clone()));
    }
    // A role that nobody knows gives nothing; nor does the fleet's from an issuer that may not give it.
    let roles = roles.iter().filter_map(|role| role.parse().ok());
    let roles = roles.filter(|role| fleet_wide || *role != Role::Superuser).collect();
    Ok(Caller::new(tenant, Who::User { issuer, subject, roles, fleet_wide, expires_at, access: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tenant: Option<&str>, roles: &[&str], fleet_wide: bool) -> OidcPrincipal {
        OidcPrincipal {
            issuer: "https://issuer.example".to_owned(),
            subject: "alice".to_owned(),
            email: None,
            tenant: tenant.map(str::to_owned),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            fleet_wide,
            expires_at: 7,
            token_id: None,
        }
    }

    #[test]
    fn a_token_says_whose_and_what_and_no_more_than_its_issuer_may() {
        let tenant = |id: &str, disabled| {
            serde_json::from_value::<model::resource::Tenant>(
                serde_json::json!({"id": id, "disabled": disabled}),
            )
            .unwrap()
        };
        let snapshot = Snapshot::default().with(tenant("acme", false)).with(tenant("gone", true));
        let roles_of = |names: &[&str], fleet_wide| {
            let caller = spoken_of(&snapshot, said(Some("acme"), names, fleet_wide)).unwrap();
            let Who::User { roles, .. } = caller.who else { panic!("a key") };
            roles
        };
        assert_eq!(roles_of(&["viewer", "emperor", "Admin", ""], true), [Role::Viewer]);
        assert_eq!(roles_of(&["superuser", "viewer"], false), [Role::Viewer]);
        assert_eq!(roles_of(&["superuser"], true), [Role::Superuser]);
        for nobodys in [None, Some("nowhere"), Some(""), Some("ACME")] {
            assert_eq!(spoken_of(&snapshot, said(nobodys, &["viewer"], true)), Err(AuthError::NoTenant));
        }
        let disabled = spoken_of(&snapshot, said(Some("gone"), &["superuser"], true));
        assert!(matches!(disabled, Err(AuthError::TenantDisabled(_))));
    }

    #[tokio::test]
    async fn without_issuers_a_token_is_no_key_and_nothing_else() {
        let tokens = Tokens::new(TokenOptions::default(), Arc::new(SystemClock)).unwrap();
        let refused = tokens.caller("e30.e30.e30", || Arc::new(Snapshot::default())).await;
        assert_eq!(refused, Err(AuthError::Unknown));
    }
}
