//! Subjects of the tenant streams.

use std::fmt::Write as _;

use crate::TenantId;

/// `tenant.<placement>.<tenant>.<event type>`: where one event type of a tenant is read.
#[must_use]
pub fn tenant_subject(placement: &str, tenant: &TenantId, event_type: &str) -> String {
    let mut subject = String::with_capacity(16 + placement.len() + tenant.len() + event_type.len());
    subject.push_str("tenant.");
    subject.push_str(placement);
    subject.push('.');
    subject.push_str(tenant);
    subject.push('.');
    push_type_token(&mut subject, event_type);
    subject
}

/// `tenant.<placement>.<tenant>.$packed`: where a tenant's packed messages are. No event type has this token.
#[must_use]
pub fn tenant_packed_subject(placement: &str, tenant: &TenantId) -> String {
    format!("tenant.{placement}.{tenant}.$packed")
}

/// `tenant.<placement>.<tenant>.>`: everything of one tenant.
#[must_use]
pub fn tenant_wildcard(placement: &str, tenant: &TenantId) -> String {
    format!("tenant.{placement}.{tenant}.>")
}

/// An event type as subject tokens. The dots of `com.example.order` become token separators; what a
/// subject cannot hold (white space, control characters, `*`, `>`, an empty token) is percent-encoded, as is `%` itself,
/// so that two types never share a subject.
#[must_use]
pub fn type_token(event_type: &str) -> String {
    let mut out = String::with_capacity(event_type.len());
    push_type_token(&mut out, event_type);
    out
}

fn push_type_token(out: &mut String, event_type: &str) {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/' | b':' | b'+' | b'=' | b'@' | b'~')
    };
    let bytes = event_type.as_bytes();
    for (i, &b) in bytes.iter().enumerate() {
        let separates = b == b'.' && i > 0 && i + 1 < bytes.len() && bytes.get(i + 1) != Some(&b'.');
        if plain(b) || separates {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_valid_and_distinct() {
        let cases = [
            ("com.example.order", "com.example.order"),
            ("a b", "a%20b"),
            ("a.*.>", "a.%2A.%3E"),
            (".a", "%2Ea"),
            ("a.", "a%2E"),
            ("a..b", "a%2E.b"),
            ("a%2Eb", "a%252Eb"),
            ("é", "%C3%A9"),
        ];
        for (ty, token) in cases {
            assert_eq!(type_token(ty), token);
        }
    }
}
