//! An API key → its owner.

use std::sync::Arc;

use model::{
    KeyId, SystemId, TenantId,
    resource::{ApiKey, Scope, Tenant},
};
use subtle::ConstantTimeEq as _;

use crate::{AuthError, key};

/// Where keys and tenants are looked up: the catalog's snapshot, or a table in a test.
pub trait Keys {
    /// The key of that id, if it exists and is not revoked.
    fn key(&self, id: &str) -> Option<&Arc<ApiKey>>;

    /// The tenant of that id.
    fn tenant(&self, id: &TenantId) -> Option<&Arc<Tenant>>;
}

/// Who is calling: a key of a tenant that is not disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant the key is bound to, as of this request.
    pub tenant: Arc<Tenant>,
    /// The system the key is bound to.
    pub system: SystemId,
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

    /// Insists on a scope.
    ///
    /// # Errors
    /// [`AuthError::ScopeNeeded`] if the key lacks it.
    pub fn require(&self, scope: Scope) -> Result<(), AuthError> {
        if self.has(scope) { Ok(()) } else { Err(AuthError::ScopeNeeded(scope)) }
    }
}

/// Whose key that is.
///
/// # Errors
/// [`AuthError::Unknown`] if nobody has it, [`AuthError::TenantDisabled`] if its tenant is disabled: only the right key learns that.
pub fn authenticate(keys: &impl Keys, presented: &str) -> Result<Principal, AuthError> {
    let id = key::id_of(presented).ok_or(AuthError::Unknown)?;
    // Hashed before the lookup, so that the time says nothing about which ids exist.
    let hash = key::hash(presented);
    let stored = keys.key(id).ok_or(AuthError::Unknown)?;
    let mut expected = [0_u8; 32];
    hex::decode_to_slice(&stored.hash, &mut expected).map_err(|_| AuthError::Unknown)?;
    if !bool::from(hash.ct_eq(&expected)) {
        return Err(AuthError::Unknown);
    }
    let tenant = keys.tenant(&stored.tenant).ok_or(AuthError::Unknown)?;
    if tenant.disabled {
        return Err(AuthError::TenantDisabled(tenant.id.clone()));
    }
    Ok(Principal {
        tenant: tenant.clone(),
        system: stored.system.clone(),
        key: stored.id.clone(),
        scopes: stored.scopes.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::{NewKey, generate};

    #[derive(Default)]
    struct Table {
        keys: HashMap<String, Arc<ApiKey>>,
        tenants: HashMap<TenantId, Arc<Tenant>>,
    }

    impl Keys for Table {
        fn key(&self, id: &str) -> Option<&Arc<ApiKey>> {
            self.keys.get(id)
        }

        fn tenant(&self, id: &TenantId) -> Option<&Arc<Tenant>> {
            self.tenants.get(id)
        }
    }

    fn table(tenant: &str, disabled: bool) -> (Table, ApiKey, String) {
        let id: TenantId = tenant.parse().unwrap();
        let tenant = serde_json::json!({"id": tenant, "disabled": disabled});
        let new = NewKey {
            tenant: id.clone(),
            system: "shop".parse().unwrap(),
            name: "till".into(),
            scopes: vec![Scope::Publish],
            created_at: String::new(),
        };
        let (key, shown) = generate(&mut rand::rng(), new);
        let mut table = Table::default();
        table.keys.insert(key.id.to_string(), Arc::new(key.clone()));
        table.tenants.insert(id, Arc::new(serde_json::from_value(tenant).unwrap()));
        (table, key, shown.expose_secret().to_owned())
    }

    #[test]
    fn the_right_key_names_its_owner() {
        let (table, key, shown) = table("acme", false);
        let principal = authenticate(&table, &shown).unwrap();
        assert_eq!((&*principal.tenant.id, &*principal.system, &principal.key), ("acme", "shop", &key.id));
        assert!(principal.require(Scope::Publish).is_ok());
        assert_eq!(principal.require(Scope::Read), Err(AuthError::ScopeNeeded(Scope::Read)));
    }

    #[test]
    fn anything_else_is_unknown() {
        let (mut table, key, shown) = table("acme", false);
        // The first character of a secret carries six bits, the last one fewer.
        let flipped = if &shown[20..21] == "A" { "B" } else { "A" };
        let wrong_secret = format!("{}{flipped}{}", &shown[..20], &shown[21..]);
        let other_id = format!("er_{}{}", "z".repeat(16), &shown[19..]);
        for presented in ["", "er_", &shown[1..], &shown[..62], &wrong_secret, &other_id] {
            assert_eq!(authenticate(&table, presented), Err(AuthError::Unknown), "{presented}");
        }
        // A hash that cannot be read matches nothing.
        table.keys.insert(key.id.to_string(), Arc::new(ApiKey { hash: String::new(), ..key.clone() }));
        assert_eq!(authenticate(&table, &shown), Err(AuthError::Unknown));
        // A revoked key, and a key whose tenant is gone.
        table.keys.insert(key.id.to_string(), Arc::new(key));
        table.tenants.clear();
        assert_eq!(authenticate(&table, &shown), Err(AuthError::Unknown));
        table.keys.clear();
        assert_eq!(authenticate(&table, &shown), Err(AuthError::Unknown));
    }

    #[test]
    fn only_the_right_key_learns_that_its_tenant_is_disabled() {
        let (table, _, shown) = table("acme", true);
        let error = authenticate(&table, &shown).unwrap_err();
        assert_eq!(error.code(), model::ErrorCode::Forbidden);
        let wrong = format!("{}{}", &shown[..20], "x".repeat(43));
        assert_eq!(authenticate(&table, &wrong), Err(AuthError::Unknown));
    }
}
