//! Clients of OAuth 2.0: holders of an API key who come by a short-lived token instead (RFC 6749, section 4.4).
//!
//! A key is such a client's credentials: its id is the `client_id`, the whole key the `client_secret`. So a client that is taken
//! back is a key that is taken back, and two secrets at a time are two keys.

use catalog::Snapshot;
use identity::{Access, Holder, TokenError};

use crate::{AuthError, Principal, authenticate::holder};

/// The holder of the key that a client's token was given for, with those of its scopes that the token has and the key still has.
///
/// # Errors
/// [`AuthError::Token`] if the key is gone or it is no client's token; [`AuthError::TenantDisabled`] if its tenant is disabled.
pub fn client(snapshot: &Snapshot, access: &Access) -> Result<Principal, AuthError> {
    let revoked = AuthError::Token(TokenError::Revoked);
    let key = match &access.grant.holder {
        Holder::Client => snapshot.key(&access.grant.subject).ok_or(revoked)?,
        Holder::User { .. } => return Err(revoked),
    };
    let mut principal = holder(snapshot, key)?;
    principal.scopes.retain(|scope| access.grant.scopes.iter().any(|name| name == scope.as_str()));
    Ok(principal)
}

#[cfg(test)]
mod tests {
    use identity::{Grant, Purpose};
    use model::resource::{ApiKey, Scope, Tenant};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_worth_what_its_key_is_still_worth() {
        let tenant =
            |disabled| serde_json::from_value::<Tenant>(json!({"id": "acme", "disabled": disabled})).unwrap();
        let key = |scopes: &[&str]| {
            serde_json::from_value::<ApiKey>(json!({
                "tenant": "acme", "system": "shop", "id": "k1", "hash": "", "scopes": scopes,
            }))
            .unwrap()
        };
        let access = |subject: &str, holder, scopes: &[&str]| {
            let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            let grant =
                Grant { subject: subject.to_owned(), holder, purpose: Purpose::All, tenant: None, scopes };
            Access { grant, id: "t1".to_owned(), issued_at: 1, expires_at: 2 }
        };
        let revoked = Err(AuthError::Token(TokenError::Revoked));
        let both = access("k1", Holder::Client, &["publish", "read", "sing"]);
        let scopes = |snapshot: Snapshot, access: &Access| {
            client(&snapshot, access).map(|p| (p.system.to_string(), p.scopes))
        };
        let there = Snapshot::default().with(tenant(false));
        let found = scopes(there.clone().with(key(&["read", "manage"])), &both);
        assert_eq!(found, Ok(("shop".to_owned(), vec![Scope::Read])));
        let narrow = access("k1", Holder::Client, &[]);
        assert_eq!(scopes(there.clone().with(key(&["read"])), &narrow), Ok(("shop".to_owned(), vec![])));
        assert_eq!(scopes(there.clone(), &both), revoked, "a key that was taken back");
        let session = access("k1", Holder::User { session: "s".to_owned() }, &["read"]);
        assert_eq!(scopes(there.with(key(&["read"])), &session), revoked, "a person's token is no client's");
        let disabled = scopes(Snapshot::default().with(tenant(true)).with(key(&["read"])), &both);
        assert!(matches!(disabled, Err(AuthError::TenantDisabled(_))));
    }
}
