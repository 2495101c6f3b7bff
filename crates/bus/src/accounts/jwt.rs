//! The broker's JWTs (<https://github.com/nats-io/jwt>, version 2): claims about a key that another key has signed.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use nkeys::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Claims about `subject`. `now` is in seconds: of two with the same subject, the broker keeps the later.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    pub(super) subject: &'a str,
    pub(super) name: &'a str,
    pub(super) now: i64,
    /// What is special of an operator, an account or a user.
    pub(super) nats: Value,
}

impl Claims<'_> {
    /// The JWT, signed by its issuer.
    #[expect(clippy::expect_used, reason = "a pair that was made of a seed can sign")]
    pub(super) fn sign(self, issuer: &KeyPair) -> String {
        let Self { subject, name, now, nats } = self;
        let mut claims =
            json!({"iat": now, "iss": issuer.public_key(), "sub": subject, "name": name, "nats": nats});
        // By its id the broker tells whether it has a JWT already.
        claims["jti"] = hex::encode(Sha256::digest(claims.to_string())).into();
        let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
        let said = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = issuer.sign(said.as_bytes()).expect("a private key");
        format!("{said}.{}", BASE64.encode(signature))
    }
}

/// A credentials file, as NATS clients read it.
pub(super) fn credentials(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}
