//! Which headers stay with a raw event.

/// Kept for every source: what says how to read the body and who sent it.
pub(crate) const KEPT: [&str; 7] = [
    "content-language",
    "content-type",
    "date",
    "idempotency-key",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
];

/// Parts of names of headers that carry credentials or what proves them. Matched anywhere in the name: a header
/// that is lost can be asked for under another name, a secret that is stored cannot be taken back.
const SECRET_PARTS: [&str; 11] = [
    "apikey",
    "api-key",
    "authorization",
    "authentication",
    "cookie",
    "credential",
    "hmac",
    "password",
    "secret",
    "signature",
    "token",
];

/// Whether a header may carry a secret, and so is never kept nor read, whoever asks.
#[must_use]
pub fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

/// RFC 9110, section 5.1: a token.
pub(crate) fn is_header_name(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_recognized_by_name() {
        let secret = [
            "authorization",
            "Proxy-Authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "x-hub-signature",
            "x-hub-signature-256",
            "stripe-signature",
            "x-slack-signature",
            "x-shopify-hmac-sha256",
            "webhook-signature",
            "svix-signature",
            "x-gitlab-token",
            "x-amz-security-token",
            "x-client-secret",
        ];
        for name in secret {
            assert!(is_secret_header(name), "{name}");
        }
        for name in KEPT {
            assert!(!is_secret_header(name), "{name}");
        }
        assert!(KEPT.is_sorted());
    }
}
