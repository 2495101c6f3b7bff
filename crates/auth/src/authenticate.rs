//! An API key → its owner.

use std::sync::Arc;

use catalog::Snapshot;
use model::{
    CustomerId, KeyId, SystemId,
    resource::{ApiKey, Limits, Scope, Tenant},
};
use subtle::ConstantTimeEq as _;

use crate::{AuthError, key};

/// Who is calling: a key of a tenant that is not disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant the key is bound to, as of this request.
    pub tenant: Arc<Tenant>,
    /// What holds for the tenant, as of this request.
    pub limits: Limits,
    /// The system the key is bound to.
    pub system: SystemId,
    /// The tenant's customer on whose behalf the key is used, if it is used on one's.
    pub customer: Option<CustomerId>,
    /// The key's id.
    pub key: KeyId,
    /// What the key may do.
    pub scopes: Vec<Scope>,
}

impl Principal {
    /// Whether the key has a scope.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Whose key that is.
///
/// # Errors
/// [`AuthError::Unknown`] if nobody has it, [`AuthError::TenantDisabled`] if its tenant is disabled: only the
/// right key learns that.
pub fn authenticate(snapshot: &Snapshot, presented: &str) -> Result<Principal, AuthError> {
    let id = key::id_of(presented).ok_or(AuthError::Unknown)?;
    // Hashed before the lookup, so that the time says nothing about which ids exist.
    let hash = key::hash(presented);
    let stored = snapshot.key(id).ok_or(AuthError::Unknown)?;
    let mut expected = [0_u8; 32];
    hex::decode_to_slice(&stored.hash, &mut expected).map_err(|_| AuthError::Unknown)?;
    if !bool::from(hash.ct_eq(&expected)) {
        return Err(AuthError::Unknown);
    }
    holder(snapshot, stored)
}

/// Whoever holds that key, whatever shows that they do.
pub(crate) fn holder(snapshot: &Snapshot, stored: &ApiKey) -> Result<Principal, AuthError> {
    let tenant = snapshot.tenant(&stored.tenant).ok_or(AuthError::Unknown)?;
    if tenant.disabled {
        return Err(AuthError::TenantDisabled(tenant.id.clone()));
    }
    Ok(Principal {
        tenant: tenant.clone(),
        limits: snapshot.limits(tenant),
        system: stored.system.clone(),
        customer: stored.customer.clone(),
        key: stored.id.clone(),
        scopes: stored.scopes.clone(),
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::{NewKey, generate};

    fn tenant(disabled: bool) -> Tenant {
        serde_json::from_value(serde_json::json!({"id": "acme", "disabled": disabled})).unwrap()
    }

    fn key() -> (ApiKey, String) {
        let new = NewKey {
            tenant: "acme".parse().unwrap(),
            system: "shop".parse().unwrap(),
            name: "till".into(),
            scopes: vec![Scope::Publish],
            created_at: String::new(),
        };
        let (key, shown) = generate(&mut rand::rng(), new);
        (key, shown.expose_secret().to_owned())
    }

    #[test]
    fn the_right_key_names_its_owner() {
        let (key, shown) = key();
        let snapshot = Snapshot::default().with(tenant(false)).with(key.clone());
        let principal = authenticate(&snapshot, &shown).unwrap();
        assert_eq!((&*principal.tenant.id, &*principal.system, &principal.key), ("acme", "shop", &key.id));
        assert!(principal.has(Scope::Publish) && !principal.has(Scope::Read));
    }

    #[test]
    fn anything_else_is_unknown() {
        let (key, shown) = key();
        let snapshot = Snapshot::default().with(tenant(false)).with(key.clone());
        let flipped = if &shown[20..21] == "A" { "B" } else { "A" };
        let wrong_secret = format!("{}{flipped}{}", &shown[..20], &shown[21..]);
        let other_id = format!("er_{}{}", "z".repeat(16), &shown[19..]);
        for presented in ["", "er_", &shown[1..], &shown[..62], &wrong_secret, &other_id] {
            assert_eq!(authenticate(&snapshot, presented), Err(AuthError::Unknown), "{presented}");
        }
        let others = [
            ("a revoked key", Snapshot::default().with(tenant(false))),
            ("a key whose tenant is gone", Snapshot::default().with(key.clone())),
            ("a hash nobody can read", snapshot.with(ApiKey { hash: String::new(), ..key })),
        ];
        for (case, snapshot) in others {
            assert_eq!(authenticate(&snapshot, &shown), Err(AuthError::Unknown), "{case}");
        }
    }

    #[test]
    fn only_the_right_key_learns_that_its_tenant_is_disabled() {
        let (key, shown) = key();
        let snapshot = Snapshot::default().with(tenant(true)).with(key);
        let error = authenticate(&snapshot, &shown).unwrap_err();
        assert_eq!(error.code(), model::ErrorCode::Forbidden);
        let wrong = format!("{}{}", &shown[..20], "x".repeat(43));
        assert_eq!(authenticate(&snapshot, &wrong), Err(AuthError::Unknown));
    }
}
