//! The keys of an issuer: a JSON Web Key Set (RFC 7517), of which only what may sign is kept.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, crypto,
    jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

/// The most keys of one issuer that are kept.
const KEYS_MAX: usize = 100;
/// Shorter RSA keys are no proof any more (RFC 7518, section 3.3), longer ones a burden.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 2048 / 8..=8192 / 8;
const ED25519_BYTES: usize = 32;

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// A key and what it may sign.
#[derive(Debug, Clone)]
struct Key {
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

/// Keys by their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySet {
    keys: HashMap<String, Vec<Key>>,
}

impl KeySet {
    /// Reads a key set. Keys that are not for us (to encrypt, symmetric, of kinds or sizes we do not take) are passed over.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let set: Value = serde_json::from_slice(body).map_err(|_| "it is not JSON")?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or("it has no list of keys")?;
        let mut keys: HashMap<String, Vec<Key>> = HashMap::new();
        for value in listed.iter().take(KEYS_MAX) {
            if let Some((id, key)) = read_key(value) {
                keys.entry(id).or_default().push(key);
            }
        }
        if keys.is_empty() { Err("none of its keys can be used") } else { Ok(Self { keys }) }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.keys.contains_key(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of this id that signs with this algorithm: an algorithm is the key's, never the token's to choose.
    pub(super) fn find(&self, id: &str, algorithm: Algorithm) -> Option<&DecodingKey> {
        let key = self.keys.get(id)?.iter().find(|key| key.algorithms.contains(&algorithm))?;
        Some(&key.decoding)
    }
}

fn read_key(value: &Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let id = jwk.common.key_id.clone()?;
    if !is_for_signatures(&jwk.common) {
        return None;
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
            let length = modulus.iter().skip_while(|byte| **byte == 0).count();
            RSA_BYTES.contains(&length).then(|| RSA.to_vec())?
        }
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            // Its verifier counts on this length.
            (URL_SAFE_NO_PAD.decode(&pair.x).ok()?.len() == ED25519_BYTES).then(|| vec![Algorithm::EdDSA])?
        }
        // A symmetric key that is published is no secret.
        _ => return None,
    };
    if let Some(only) = jwk.common.key_algorithm {
        let only = Algorithm::try_from(only).ok()?;
        algorithms.retain(|algorithm| *algorithm == only);
    }
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    // A key that is none (a point beside its curve) says so when it is first used: now. The signature is wrong either way.
    let usable = crypto::verify("AA", b"", &decoding, *algorithms.first()?).is_ok();
    usable.then_some((id, Key { algorithms, decoding }))
}

fn is_for_signatures(common: &CommonParameters) -> bool {
    let by_use = common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let by_operations = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    by_use && by_operations
}
