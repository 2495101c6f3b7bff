//! Signatures of webhook providers.
//!
//! Each scheme says what is signed, where the signatures stand, and whether a time is signed too. Any of a
//! source's secrets may match any of a request's signatures, so that either side can rotate.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use model::{
    ErrorCode, Micros,
    resource::{HmacAlgorithm, SignatureEncoding, SignatureScheme, Verification},
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

/// Oldest, and furthest ahead, a signed time may be where a source does not say, in seconds.
pub const TOLERANCE_SECONDS: u32 = 300;
/// The most signatures of one request that are tried.
const SIGNATURES_MAX: usize = 16;
/// The longest header that is read, in bytes.
const HEADER_BYTES_MAX: usize = 4 * 1024;

/// Padded or not: providers differ, and the bytes are what is compared.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a request is not taken to be its provider's. The text is safe to show to the caller: it holds no
/// secret and nothing computed from one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The source has no secret that can be used: nothing can be verified.
    #[error("the source has no usable signing secret")]
    NoSecret,
    /// A header of the scheme is missing.
    #[error("the header {0} is missing")]
    Missing(String),
    /// A header of the scheme cannot be read.
    #[error("the header {header} {problem}")]
    Malformed {
        /// Which header, lower case.
        header: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Signed too long ago.
    #[error("signed {age_seconds}s ago; {tolerance_seconds}s are accepted")]
    TooOld {
        /// By this server's clock.
        age_seconds: u64,
        /// What the source accepts.
        tolerance_seconds: u32,
    },
    /// Signed in the future: one of the clocks is wrong.
    #[error("signed {ahead_seconds}s in the future; {tolerance_seconds}s are accepted")]
    InFuture {
        /// By this server's clock.
        ahead_seconds: u64,
        /// What the source accepts.
        tolerance_seconds: u32,
    },
    /// No secret gives any of the signatures.
    #[error("no signature matches")]
    Mismatch,
}

impl SignatureError {
    /// The code callers see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::BadSignature
    }

    fn malformed(header: &str, problem: &'static str) -> Self {
        Self::Malformed { header: header.to_owned(), problem }
    }
}

/// Whether a request comes from whoever has one of the secrets. `body` is what the provider signed: the bytes that
/// arrived. `now_us` is the time.
///
/// # Errors
/// The first thing that is wrong, in the order of [`SignatureError`].
pub fn verify(
    verification: &Verification,
    secrets: &[SecretString],
    headers: &HeaderMap,
    body: &[u8],
    now_us: Micros,
) -> Result<(), SignatureError> {
    // An empty key would let everybody sign.
    let secrets: Vec<&str> =
        secrets.iter().map(|s| s.expose_secret()).filter(|secret| !secret.is_empty()).collect();
    if secrets.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let tolerance = verification.tolerance_seconds.unwrap_or(TOLERANCE_SECONDS);
    let clock = Clock { now_seconds: now_us.div_euclid(1_000_000), tolerance };
    let plain = |signed: Signed| check(&signed, secrets.iter().map(|s| Some(s.as_bytes().to_vec())), body);
    match &verification.scheme {
        SignatureScheme::Github => plain(prefixed(headers, "x-hub-signature-256", "sha256=", hex_bytes)?),
        SignatureScheme::Shopify => plain(prefixed(headers, "x-shopify-hmac-sha256", "", base64_bytes)?),
        SignatureScheme::Stripe => plain(stripe(headers, &clock)?),
        SignatureScheme::Slack => plain(slack(headers, &clock)?),
        SignatureScheme::StandardWebhooks => {
            let signed = standard_webhooks(headers, &clock)?;
            check(&signed, secrets.iter().map(|s| base64_bytes(s.strip_prefix("whsec_").unwrap_or(s))), body)
        }
        SignatureScheme::Hmac { header, algorithm, encoding, prefix } => {
            let decode = match encoding {
                SignatureEncoding::Hex => hex_bytes,
                SignatureEncoding::Base64 => base64_bytes,
            };
            let signed = prefixed(headers, header, prefix, decode)?;
            plain(Signed { algorithm: *algorithm, ..signed })
        }
        SignatureScheme::Token { header } => token(headers, header, &secrets),
    }
}

/// What a scheme found in the headers.
#[derive(Default)]
struct Signed {
    algorithm: HmacAlgorithm,
    /// Signed before the body.
    before_body: String,
    signatures: Vec<Vec<u8>>,
}

/// Computes one MAC a secret and compares it with every signature. `None` stands for a secret that cannot be decoded.
fn check(
    signed: &Signed,
    secrets: impl Iterator<Item = Option<Vec<u8>>>,
    body: &[u8],
) -> Result<(), SignatureError> {
    let mut usable = false;
    for secret in secrets.flatten().filter(|secret| !secret.is_empty()) {
        usable = true;
        let mac = mac(signed, &secret, body);
        if signed.signatures.iter().any(|signature| bool::from(signature.as_slice().ct_eq(&mac))) {
            return Ok(());
        }
    }
    Err(if usable { SignatureError::Mismatch } else { SignatureError::NoSecret })
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104, section 3)")]
fn mac(signed: &Signed, secret: &[u8], body: &[u8]) -> Vec<u8> {
    let before = signed.before_body.as_bytes();
    match signed.algorithm {
        HmacAlgorithm::Sha256 => {
            let mac = Hmac::<Sha256>::new_from_slice(secret).expect("any key");
            mac.chain_update(before).chain_update(body).finalize().into_bytes().to_vec()
        }
        HmacAlgorithm::Sha512 => {
            let mac = Hmac::<Sha512>::new_from_slice(secret).expect("any key");
            mac.chain_update(before).chain_update(body).finalize().into_bytes().to_vec()
        }
    }
}

/// Signatures of the body alone, each with a prefix; several may stand in one header, or in several of the name.
fn prefixed(
    headers: &HeaderMap,
    header: &str,
    prefix: &str,
    decode: fn(&str) -> Option<Vec<u8>>,
) -> Result<Signed, SignatureError> {
    let mut signatures = Vec::new();
    for value in values(headers, header)? {
        // A prefix may hold a separator itself (`v1,`); then the header holds one signature.
        let parts: Vec<&str> =
            if prefix.contains([',', ' ']) { vec![value] } else { value.split([',', ' ']).collect() };
        signatures.extend(parts.iter().filter_map(|part| decode(part.trim().strip_prefix(prefix)?)));
    }
    at_least_one(header, signatures, "", "holds no signature of this scheme")
}

/// `t=<Unix seconds>,v1=<hex>[,v1=<hex>]`: signed is `<t>.<body>` (docs.stripe.com/webhooks, "Verify manually").
fn stripe(headers: &HeaderMap, clock: &Clock) -> Result<Signed, SignatureError> {
    let header = "stripe-signature";
    let (mut times, mut signatures) = (Vec::new(), Vec::new());
    for item in values(headers, header)?.iter().flat_map(|value| value.split(',')) {
        match item.trim().split_once('=') {
            Some(("t", time)) => times.push(time),
            Some(("v1", signature)) => signatures.extend(hex_bytes(signature)),
            // Other schemes of other times.
            _ => {}
        }
    }
    let [time] = times[..] else { return Err(SignatureError::malformed(header, "must hold t once")) };
    clock.check(header, time)?;
    at_least_one(header, signatures, &format!("{time}."), "holds no v1 signature")
}

/// `v0=<hex>`: signed is `v0:<timestamp>:<body>` (Slack, "Verifying requests from Slack").
fn slack(headers: &HeaderMap, clock: &Clock) -> Result<Signed, SignatureError> {
    let signed = prefixed(headers, "x-slack-signature", "v0=", hex_bytes)?;
    let time = single(headers, "x-slack-request-timestamp")?;
    clock.check("x-slack-request-timestamp", time)?;
    Ok(Signed { before_body: format!("v0:{time}:"), ..signed })
}

/// `v1,<base64> v1,<base64>`: signed is `<id>.<timestamp>.<body>` (Standard Webhooks 1.0, "Signature
/// scheme"). Svix sends the same under names of its own. `v1a` (ed25519) needs a public key, which is no
/// secret of ours.
fn standard_webhooks(headers: &HeaderMap, clock: &Clock) -> Result<Signed, SignatureError> {
    let names = if headers.contains_key("svix-id") && !headers.contains_key("webhook-id") {
        ["svix-id", "svix-timestamp", "svix-signature"]
    } else {
        ["webhook-id", "webhook-timestamp", "webhook-signature"]
    };
    let id = single(headers, names[0])?;
    let time = single(headers, names[1])?;
    let lists = values(headers, names[2])?;
    clock.check(names[1], time)?;
    let entries = lists.iter().flat_map(|list| list.split(' '));
    let signatures = entries.filter_map(|entry| base64_bytes(entry.strip_prefix("v1,")?)).collect();
    at_least_one(names[2], signatures, &format!("{id}.{time}."), "holds no v1 signature")
}

/// A shared token. Hashed before it is compared, so that the time does not tell its length.
fn token(headers: &HeaderMap, header: &str, secrets: &[&str]) -> Result<(), SignatureError> {
    let presented = Sha256::digest(single(headers, header)?);
    let matches =
        secrets.iter().any(|s| bool::from(Sha256::digest(s).as_slice().ct_eq(presented.as_slice())));
    if matches { Ok(()) } else { Err(SignatureError::Mismatch) }
}

fn at_least_one(
    header: &str,
    mut signatures: Vec<Vec<u8>>,
    before_body: &str,
    problem: &'static str,
) -> Result<Signed, SignatureError> {
    signatures.retain(|signature| !signature.is_empty());
    signatures.truncate(SIGNATURES_MAX);
    if signatures.is_empty() {
        return Err(SignatureError::malformed(header, problem));
    }
    Ok(Signed { signatures, before_body: before_body.to_owned(), ..Signed::default() })
}

/// Every value of a header that must be there.
fn values<'h>(headers: &'h HeaderMap, header: &str) -> Result<Vec<&'h str>, SignatureError> {
    let mut found = Vec::new();
    for value in headers.get_all(header) {
        if value.len() > HEADER_BYTES_MAX {
            return Err(SignatureError::malformed(header, "is too long"));
        }
        let value = value.to_str().map_err(|_| SignatureError::malformed(header, "must be visible ASCII"))?;
        found.push(value.trim());
    }
    if found.is_empty() { Err(SignatureError::Missing(header.to_owned())) } else { Ok(found) }
}

/// The only value of a header that must be there once: what is signed must not be ambiguous.
fn single<'h>(headers: &'h HeaderMap, header: &str) -> Result<&'h str, SignatureError> {
    match values(headers, header)?[..] {
        [value] if !value.is_empty() => Ok(value),
        [_] => Err(SignatureError::malformed(header, "is empty")),
        _ => Err(SignatureError::malformed(header, "is given more than once")),
    }
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok()
}

fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

struct Clock {
    now_seconds: i64,
    tolerance: u32,
}

impl Clock {
    /// Whether a signed time, in Unix seconds, is near enough.
    fn check(&self, header: &str, time: &str) -> Result<(), SignatureError> {
        let digits = time.bytes().all(|b| b.is_ascii_digit());
        let Some(time) = time.parse::<i64>().ok().filter(|_| digits) else {
            return Err(SignatureError::malformed(header, "must hold a time in Unix seconds"));
        };
        let tolerance_seconds = self.tolerance;
        let apart = self.now_seconds.abs_diff(time);
        if apart <= u64::from(tolerance_seconds) {
            Ok(())
        } else if time < self.now_seconds {
            Err(SignatureError::TooOld { age_seconds: apart, tolerance_seconds })
        } else {
            Err(SignatureError::InFuture { ahead_seconds: apart, tolerance_seconds })
        }
    }
}
