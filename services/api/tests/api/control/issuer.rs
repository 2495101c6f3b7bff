//! An issuer of tokens: a key made afresh, its public half over HTTP, and tokens as they are asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity::{ClaimNames, IssuerOptions, OidcAlgorithm};
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub(super) const AUDIENCE: &str = "eventrunner";

/// A key pair for ES256.
pub(super) struct Pair {
    key: SigningKey,
    kid: &'static str,
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Pair {
    pub(super) fn new(kid: &'static str) -> Self {
        let secret: [u8; 32] = rand::random();
        Self { key: SigningKey::from_slice(&secret).unwrap(), kid }
    }

    pub(super) fn public(&self) -> Value {
        let point = self.key.verifying_key().to_encoded_point(false);
        let (x, y) = (encoded(point.x().unwrap()), encoded(point.y().unwrap()));
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": x, "y": y})
    }

    /// With the private part.
    pub(super) fn private(&self) -> Value {
        let mut jwk = self.public();
        jwk["d"] = encoded(self.key.to_bytes()).into();
        jwk
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.kid});
        let message = message(&header, claims);
        let signature: Signature = self.key.sign(message.as_bytes());
        format!("{message}.{}", encoded(signature.to_bytes()))
    }
}

/// What a signature is over.
pub(super) fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()))
}

pub(super) struct Issuer {
    pub(super) name: &'static str,
    pub(super) pair: Pair,
    pub(super) keys_url: String,
    server: JoinHandle<std::io::Result<()>>,
}

impl Issuer {
    pub(super) async fn start(name: &'static str) -> Self {
        let pair = Pair::new("k1");
        let keys = json!({"keys": [pair.public()]});
        let router = Router::new().route("/keys", get(async move || Json(keys)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let keys_url = format!("http://{}/keys", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { name, pair, keys_url, server }
    }

    /// Nobody answers for its keys from then on.
    pub(super) async fn go_away(&mut self) {
        self.server.abort();
        assert!((&mut self.server).await.is_err());
    }

    pub(super) fn options(&self) -> IssuerOptions {
        trusting(self.name, &self.keys_url)
    }

    /// What a token says that is good.
    pub(super) fn claims(&self, tenant: &str, roles: &[&str]) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        json!({
            "iss": self.name, "aud": [AUDIENCE], "sub": "alice@example.com", "iat": now, "exp": now + 300,
            "tenant_id": tenant, "roles": roles,
        })
    }

    pub(super) fn token(&self, tenant: &str, roles: &[&str]) -> String {
        self.pair.sign(&self.claims(tenant, roles))
    }
}

/// An issuer, as the service is told to trust it.
pub(super) fn trusting(issuer: &str, keys_url: &str) -> IssuerOptions {
    IssuerOptions {
        issuer: issuer.to_owned(),
        keys_url: keys_url.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: vec![OidcAlgorithm::Es256],
        leeway_seconds: 30,
        claims: ClaimNames::default(),
        tenants: vec![],
        fleet_wide: false,
        allow_http: true,
    }
}
