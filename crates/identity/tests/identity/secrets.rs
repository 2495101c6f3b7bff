//! No secret shows: not in `Debug`, not in errors, not in logs.

use std::{
    fmt::Debug,
    io,
    sync::{Arc, Mutex},
};

use axum::http::{HeaderMap, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use identity::{
    AccessOptions, AccessTokens, Digest, Grant, HashParams, Hasher, Holder, OneTimePurpose, OneTimeToken,
    PasswordRules, Purpose, RefreshPolicy, Session, SigningKeys, oauth,
};
use secrecy::{ExposeSecret as _, SecretString};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    NOW,
    keys::{RSA, header, with},
    oidc::{claims, good, options, verifier},
    server::KeyServer,
};

const PLANTED: &str = "planted-sw0rdfish-XYZZY";

/// All that is written for people.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    fn debug(&self, value: &impl Debug) {
        self.text(&format!("{value:?} {value:#?}\n"));
    }

    fn error<E: std::error::Error>(&self, error: &E) {
        self.text(&format!("{error} {error:?}\n"));
    }

    fn text(&self, text: &str) {
        self.0.lock().unwrap().extend(text.as_bytes());
    }

    fn all(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Seen {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn planted_secrets_are_nowhere() {
    let seen = Seen::default();
    let logs =
        tracing_subscriber::fmt().with_writer(seen.clone()).with_max_level(tracing::Level::TRACE).finish();
    let _logging = tracing::subscriber::set_default(logs);
    let mut secrets: Vec<String> = vec![PLANTED.to_owned()];
    passwords(&seen, &mut secrets).await;
    tokens(&seen, &mut secrets);
    oauth_clients(&seen, &mut secrets);
    foreign_tokens(&seen, &mut secrets).await;

    let all = seen.all();
    assert!(all.len() > 2_000 && all.contains("cannot get the keys of an issuer"), "{all}");
    for secret in &secrets {
        assert!(secret.len() >= 12, "{secret}");
        // Any part of it is too much.
        for part in secret.as_bytes().windows(12).step_by(6) {
            let part = String::from_utf8_lossy(part);
            assert!(!all.contains(&*part), "{part:?} of {secret:?} in\n{all}");
        }
    }
}

async fn passwords(seen: &Seen, secrets: &mut Vec<String>) {
    let hasher = Hasher::new(HashParams { memory_kib: 256, passes: 1, lanes: 1 }, 1, 1).unwrap();
    let password = SecretString::from(PLANTED);
    let hash = hasher.hash(password.clone()).await.unwrap();
    let other = Hasher::new(HashParams { memory_kib: 512, passes: 1, lanes: 1 }, 1, 1).unwrap();
    let verified = other.verify(Some(&hash), password.clone()).await.unwrap();
    // From the salt on.
    for hash in [&hash, verified.rehashed.as_ref().unwrap()] {
        secrets.extend(hash.expose().rsplit('$').take(2).map(str::to_owned));
    }
    seen.debug(&(&password, &hash, &verified, &hasher));
    let refused = PasswordRules::default().check(&password, &[&PLANTED[8..]]).unwrap_err();
    seen.error(&refused);
}

fn tokens(seen: &Seen, secrets: &mut Vec<String>) {
    let rng = &mut rand::rng();
    let seed = STANDARD.encode(*b"planted-seed-of-32-bytes-0123456");
    let keys = SigningKeys::from_base64(&[SecretString::from(seed.as_str())]).unwrap();
    secrets.push(seed);
    seen.debug(&keys);
    seen.error(&SigningKeys::from_base64(&[SecretString::from(PLANTED)]).unwrap_err());
    let tokens = AccessTokens::new(AccessOptions::new("issuer", "audience"), keys);
    let (session, refresh) = Session::begin(rng, "alice", Purpose::All, NOW);
    let grant = Grant {
        subject: "alice".into(),
        holder: Holder::User { session: session.id.clone() },
        purpose: Purpose::All,
        tenant: None,
        scopes: vec![],
    };
    let (access, said) = tokens.issue(rng, grant, NOW);
    seen.debug(&(&tokens, &access, &said, &session, &refresh));
    seen.error(&tokens.verify(&format!("{}x", access.expose_secret()), NOW).unwrap_err());
    let text = refresh.expose_secret().to_owned();
    let (next, token) = session.refresh(rng, &text, RefreshPolicy::default(), NOW).unwrap();
    seen.error(&next.refresh(rng, &text, RefreshPolicy::default(), NOW).unwrap_err());
    let (stored, link) = OneTimeToken::issue(
        rng,
        OneTimePurpose::PasswordReset,
        OneTimePurpose::PasswordReset.lifetime(),
        NOW,
    );
    seen.debug(&(&next, &token, &stored, &link, Digest::of(PLANTED)));
    seen.error(&stored.redeem(PLANTED, OneTimePurpose::PasswordReset, NOW).unwrap_err());
    for secret in [&refresh, &token, &link] {
        // The id before it is public; the secret begins after it.
        secrets.push(secret.expose_secret()[21..].to_owned());
        secrets.push(serde_json::to_string(&Digest::of(secret.expose_secret())).unwrap().replace('"', ""));
    }
    let (header, rest) = access.expose_secret().split_once('.').unwrap();
    assert!(!header.is_empty());
    secrets.extend(rest.split('.').map(str::to_owned));
}

fn oauth_clients(seen: &Seen, secrets: &mut Vec<String>) {
    let secret = SecretString::from(format!("{PLANTED}-of-a-client"));
    let form = "application/x-www-form-urlencoded";
    let mut headers = HeaderMap::new();
    headers.insert("content-type", form.parse().unwrap());
    let body = format!("grant_type=client_credentials&client_id=c&client_secret={}", secret.expose_secret());
    let request = oauth::read_token_request(&headers, body.as_bytes()).unwrap();
    seen.debug(&(&request, &secret));
    let twice = format!("{body}&client_secret={PLANTED}");
    seen.error(&oauth::read_token_request(&headers, twice.as_bytes()).unwrap_err());
    let lifetime = std::time::Duration::from_secs(1);
    seen.debug(&oauth::TokenAnswer { access_token: PLANTED.into(), lifetime, scope: None });
    let basic = STANDARD.encode(format!("{PLANTED}:"));
    headers.insert("authorization", format!("Basic {basic}").parse().unwrap());
    seen.error(&oauth::read_token_request(&headers, b"grant_type=client_credentials").unwrap_err());
    secrets.push(basic);
}

async fn foreign_tokens(seen: &Seen, secrets: &mut Vec<String>) {
    let server = KeyServer::start(std::slice::from_ref(&RSA.jwk)).await;
    server.change(|answer| answer.status = StatusCode::BAD_GATEWAY);
    let (verifier, _) = verifier(vec![options(&server)]);
    for members in [vec![], vec![("sub", PLANTED.into())], vec![("kid", PLANTED.into())]] {
        let token = crate::keys::signed(
            &with(header(), &members),
            &with(claims(), &members),
            &RSA.signing,
            jsonwebtoken::Algorithm::RS256,
        );
        seen.error(&verifier.verify(&token).await.unwrap_err());
        secrets.push(token.rsplit_once('.').unwrap().1.to_owned());
    }
    seen.debug(&verifier);
    seen.debug(&verifier.status());
    secrets.push(good().rsplit_once('.').unwrap().1.to_owned());
}
