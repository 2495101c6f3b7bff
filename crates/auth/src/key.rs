//! API keys: `er_<key id>_<secret>`, 63 characters. The id is public and 16 characters of `a-z0-9`; the
//! secret is 32 random bytes in base64url.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use model::{
    KeyId, SystemId, TenantId,
    resource::{ApiKey, Meta, Scope},
};
use rand::{CryptoRng, RngExt as _};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "er_";
const ID_LENGTH: usize = 16;
const SECRET_BYTES: usize = 32;
/// Base64url of [`SECRET_BYTES`] without padding.
const SECRET_LENGTH: usize = 43;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// What is chosen about a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The tenant it is bound to.
    pub tenant: TenantId,
    /// The system it is bound to.
    pub system: SystemId,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// RFC 3339.
    pub created_at: String,
}

/// Makes a key: the resource to store, which holds only a hash, and the key itself, to be shown once.
#[must_use]
pub fn generate(rng: &mut impl CryptoRng, new: NewKey) -> (ApiKey, SecretString) {
    let id: String =
        (0..ID_LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
    let mut secret = [0_u8; SECRET_BYTES];
    rng.fill_bytes(&mut secret);
    let key = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    #[expect(clippy::expect_used, reason = "sixteen letters and digits are a slug")]
    let id: KeyId = id.parse().expect("a slug");
    let resource = ApiKey {
        tenant: new.tenant,
        system: new.system,
        id,
        name: new.name,
        hash: hex::encode(hash(&key)),
        scopes: new.scopes,
        customer: None,
        meta: Meta { created_at: new.created_at, ..Meta::default() },
    };
    (resource, key.into())
}

/// SHA-256 of the whole key.
pub(crate) fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// The id in a key of the right form. Positions are fixed because the secret may contain `_` too.
pub(crate) fn id_of(key: &str) -> Option<&str> {
    let (id, rest) = key.strip_prefix(PREFIX)?.split_at_checked(ID_LENGTH)?;
    let secret = rest.strip_prefix('_')?;
    let formed = id.bytes().all(|b| ALPHABET.contains(&b))
        && secret.len() == SECRET_LENGTH
        && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    formed.then_some(id)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn keys_have_their_form() {
        let mut rng = rand::rng();
        for _ in 0..100 {
            let new = NewKey {
                tenant: "t".parse().unwrap(),
                system: "s".parse().unwrap(),
                name: String::new(),
                scopes: vec![],
                created_at: String::new(),
            };
            let (stored, key) = generate(&mut rng, new);
            let key = key.expose_secret();
            assert_eq!(key.len(), 63);
            assert_eq!(id_of(key), Some(stored.id.as_str()));
            assert_eq!(stored.hash, hex::encode(Sha256::digest(key)));
        }
    }

    #[test]
    fn anything_else_has_no_id() {
        let id = "abcdefghij012345";
        let secret = "x".repeat(43);
        assert_eq!(id_of(&format!("er_{id}_{}_-", &secret[2..])), Some(id));
        let bad = [
            String::new(),
            "er_".to_owned(),
            format!("er_{id}"),
            format!("er_{id}_"),
            format!("er_{id}_{}", &secret[1..]),
            format!("er_{id}_{secret}x"),
            format!("er_{id}-{secret}"),
            format!("ER_{id}_{secret}"),
            format!("er_{}_{secret}", id.to_uppercase()),
            format!("er_{}_{secret}", &id[1..]),
            format!("er_{id}_{}+", &secret[1..]),
            format!("er_{}é_{secret}", &id[1..]),
            format!(" er_{id}_{secret}"),
        ];
        for key in bad {
            assert_eq!(id_of(&key), None, "{key:?}");
        }
    }
}
