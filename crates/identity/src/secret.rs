//! Secrets that we hand out: `<prefix>_<id>_<secret>`, of which only a digest is kept.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{CryptoRng, RngExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const ID_LENGTH: usize = 16;
const SECRET_BYTES: usize = 32;
/// Base64url of [`SECRET_BYTES`] without padding.
const SECRET_LENGTH: usize = 43;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// The SHA-256 of a secret of 256 random bits. A slow hash would add nothing to so many.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a secret as it is presented.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether it is that of the secret presented; in a time that does not depend on either.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        self.0.ct_eq(&Self::of(presented).0).into()
    }
}

/// In constant time.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// Not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest must be 64 hexadecimal digits")]
pub struct InvalidDigest;

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidDigest)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A new secret: its public id, and the whole, to be shown once. The prefix tells people and scanners what they found.
pub(crate) fn generate(rng: &mut impl CryptoRng, prefix: &str) -> (String, SecretString) {
    let id = generate_id(rng);
    let secret = generate_for(rng, prefix, &id);
    (id, secret)
}

/// Another secret for the same id.
pub(crate) fn generate_for(rng: &mut impl CryptoRng, prefix: &str, id: &str) -> SecretString {
    let mut secret = [0_u8; SECRET_BYTES];
    rng.fill_bytes(&mut secret);
    format!("{prefix}_{id}_{}", URL_SAFE_NO_PAD.encode(secret)).into()
}

pub(crate) fn generate_id(rng: &mut impl CryptoRng) -> String {
    (0..ID_LENGTH).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// The digest of a secret that was just made.
pub(crate) fn digest(secret: &SecretString) -> Digest {
    Digest::of(secret.expose_secret())
}

/// The id in a secret of the right form. Positions are fixed because the secret may contain `_` too.
pub(crate) fn id_of<'t>(prefix: &str, presented: &'t str) -> Option<&'t str> {
    let rest = presented.strip_prefix(prefix)?.strip_prefix('_')?;
    let (id, rest) = rest.split_at_checked(ID_LENGTH)?;
    let secret = rest.strip_prefix('_')?;
    let formed = id.bytes().all(|b| ALPHABET.contains(&b))
        && secret.len() == SECRET_LENGTH
        && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    formed.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_their_form() {
        let mut rng = rand::rng();
        for _ in 0..50 {
            let (id, secret) = generate(&mut rng, "eri");
            let text = secret.expose_secret();
            assert_eq!(text.len(), 3 + 1 + 16 + 1 + 43);
            assert_eq!(id_of("eri", text), Some(id.as_str()));
            assert_eq!(id_of("erp", text), None);
            assert!(digest(&secret).matches(text) && !digest(&secret).matches(&text[1..]));
        }
        let good = format!("eri_{}_{}", "a".repeat(16), "x".repeat(43));
        assert!(id_of("eri", &good).is_some());
        for bad in ["", "eri", "eri_", &good[..62], &good[1..], &format!("{good}x"), &good.replace('x', "+")]
        {
            assert_eq!(id_of("eri", bad), None, "{bad:?}");
        }
        let digest = Digest::of("x");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!("zz".parse::<Digest>().is_err() && "ab".parse::<Digest>().is_err());
    }
}
