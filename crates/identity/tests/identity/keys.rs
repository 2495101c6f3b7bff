//! Keys made afresh, and tokens signed by them in any way, also wrong ones.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto, jwk::Jwk};
use p256::pkcs8::EncodePrivateKey as _;
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey as _, rand_core::OsRng};
use serde_json::{Value, json};

pub(crate) struct Pair {
    pub(crate) signing: EncodingKey,
    pub(crate) jwk: Value,
}

impl Pair {
    fn new(signing: EncodingKey, algorithm: Algorithm, kid: &str) -> Self {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&signing, algorithm).unwrap()).unwrap();
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        Self { signing, jwk }
    }

    /// The public key with other members; null takes one away.
    pub(crate) fn jwk_with(&self, members: &[(&str, Value)]) -> Value {
        let mut jwk = self.jwk.clone();
        for (name, value) in members {
            if value.is_null() {
                jwk.as_object_mut().unwrap().remove(*name);
            } else {
                jwk[*name] = value.clone();
            }
        }
        jwk
    }
}

fn rsa(bits: usize, kid: &str) -> Pair {
    let key = RsaPrivateKey::new(&mut OsRng, bits).unwrap();
    let der = key.to_pkcs1_der().unwrap();
    Pair::new(EncodingKey::from_rsa_der(der.as_bytes()), Algorithm::RS256, kid)
}

fn ed(kid: &str) -> Pair {
    let seed: [u8; 32] = rand::random();
    let prefix = hex::decode("302e020100300506032b657004220420").unwrap();
    Pair::new(EncodingKey::from_ed_der(&[prefix, seed.to_vec()].concat()), Algorithm::EdDSA, kid)
}

pub(crate) static RSA: LazyLock<Pair> = LazyLock::new(|| rsa(2048, "rsa"));
/// Somebody else's, by the name of ours.
pub(crate) static STRANGER: LazyLock<Pair> = LazyLock::new(|| rsa(2048, "rsa"));
pub(crate) static SHORT: LazyLock<Pair> = LazyLock::new(|| rsa(1024, "short"));
pub(crate) static ED: LazyLock<Pair> = LazyLock::new(|| ed("ed"));
pub(crate) static EC: LazyLock<Pair> = LazyLock::new(|| {
    let key = p256::SecretKey::random(&mut OsRng);
    let der = key.to_pkcs8_der().unwrap();
    Pair::new(EncodingKey::from_ec_der(der.as_bytes()), Algorithm::ES256, "ec")
});

pub(crate) fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token of these parts, as they are given.
pub(crate) fn signed_text(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

pub(crate) fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    signed_text(&header.to_string(), &claims.to_string(), key, algorithm)
}

/// What a good token's header says.
pub(crate) fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": "rsa"})
}

/// Members changed; null takes one away.
pub(crate) fn with(mut value: Value, members: &[(&str, Value)]) -> Value {
    for (name, member) in members {
        if member.is_null() {
            value.as_object_mut().unwrap().remove(*name);
        } else {
            value[*name] = member.clone();
        }
    }
    value
}
