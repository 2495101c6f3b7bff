//! Keys that sign access tokens: Ed25519, so that whoever verifies cannot sign.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, Jwk, ThumbprintHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

const SEED_BYTES: usize = 32;
/// PKCS #8 around an Ed25519 seed (RFC 8410, section 7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Why signing keys cannot be had. Never says a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key is not 32 bytes in base64.
    #[error("a signing key must be 32 bytes in base64")]
    Form,
    /// No key at all.
    #[error("there is no signing key")]
    None,
}

/// Signs with the first key, verifies by any: an old one stays behind the new until the tokens it signed have expired.
pub struct SigningKeys {
    keys: Vec<Key>,
}

pub(super) struct Key {
    pub(super) id: String,
    signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    public: Value,
}

impl Key {
    fn from_seed(seed: &[u8; SEED_BYTES]) -> Result<Self, KeyError> {
        let signing = EncodingKey::from_ed_der(&[PKCS8.as_slice(), seed].concat());
        let jwk = Jwk::from_encoding_key(&signing, Algorithm::EdDSA).map_err(|_| KeyError::Form)?;
        let verifying = DecodingKey::from_jwk(&jwk).map_err(|_| KeyError::Form)?;
        let id = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError::Form)?;
        let AlgorithmParameters::OctetKeyPair(public) = jwk.algorithm else { return Err(KeyError::Form) };
        let public =
            json!({"kty": "OKP", "crv": "Ed25519", "x": public.x, "kid": id, "use": "sig", "alg": "EdDSA"});
        Ok(Self { id, signing, verifying, public })
    }
}

impl SigningKeys {
    /// From keys of 32 bytes in base64, standard or URL-safe, with or without padding: the one that signs comes first.
    ///
    /// # Errors
    /// If there is none, or one has another form.
    pub fn from_base64<'k>(keys: impl IntoIterator<Item = &'k SecretString>) -> Result<Self, KeyError> {
        let keys: Vec<Key> = keys.into_iter().map(read_key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self { keys }) }
    }

    /// One new random key.
    #[must_use]
    pub fn generate() -> Self {
        #[expect(clippy::expect_used, reason = "any 32 bytes are a seed")]
        let key = Key::from_seed(&rand::random()).expect("a seed");
        Self { keys: vec![key] }
    }

    /// The public halves, as a JSON Web Key Set (RFC 7517, section 5), for whoever else verifies our tokens.
    #[must_use]
    pub fn public(&self) -> Value {
        json!({"keys": self.keys.iter().map(|key| &key.public).collect::<Vec<_>>()})
    }

    /// The one that signs: its id, and itself.
    pub(super) fn signing(&self) -> Option<(&str, &EncodingKey)> {
        self.keys.first().map(|key| (key.id.as_str(), &key.signing))
    }

    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }
}

fn read_key(text: &SecretString) -> Result<Key, KeyError> {
    let text = text.expose_secret().trim();
    let seed = [STANDARD.decode(text), STANDARD_NO_PAD.decode(text), URL_SAFE_NO_PAD.decode(text)];
    let seed = seed.into_iter().find_map(Result::ok).ok_or(KeyError::Form)?;
    Key::from_seed(&seed.try_into().map_err(|_| KeyError::Form)?)
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}
