//! The rules a resource must keep to be written.

use model::{
    TYPE_BYTES_MAX,
    resource::{ApiKey, EventType, SignatureScheme, Source, System, Tenant},
};

use crate::FieldError;

/// Rules of crates the catalog does not know: that a mapping compiles, that a schema is one.
pub trait Check: Send + Sync {
    /// What is wrong with a source's mapping or preset.
    fn source(&self, source: &Source) -> Vec<FieldError> {
        let _ = source;
        Vec::new()
    }

    /// What is wrong with an event type's schema.
    fn event_type(&self, event_type: &EventType) -> Vec<FieldError> {
        let _ = event_type;
        Vec::new()
    }
}

/// Longest name or description of anything, in bytes.
const TEXT_MAX: usize = 1024;
/// Largest event a tenant may be allowed, in bytes. The broker's own limit may be lower.
const EVENT_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// Longest retention, in days: a hundred years. Longer is "until erased".
const RETENTION_DAYS_MAX: u32 = 36_500;
/// Largest batch a tenant may be allowed.
const BATCH_EVENTS_MAX: u32 = 100_000;
/// Secrets a source may have at once.
const SECRETS_MAX: usize = 8;
/// Headers a source may keep besides those its mapping reads.
const KEEP_HEADERS_MAX: usize = 64;
/// Labels of a key.
const LABELS_MAX: usize = 32;
/// Oldest signature a source may accept, in seconds.
const TOLERANCE_MAX: u32 = 24 * 60 * 60;

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn unless(&mut self, holds: bool, pointer: &str, detail: impl FnOnce() -> String) {
        if !holds {
            self.0.push(FieldError::new(pointer, detail()));
        }
    }

    fn text(&mut self, pointer: &str, value: &str) {
        self.unless(value.len() <= TEXT_MAX, pointer, || format!("must be at most {TEXT_MAX} bytes long"));
        self.unless(!value.chars().any(|c| c.is_control() && c != '\n'), pointer, || {
            "must not contain control characters".to_owned()
        });
    }

    fn created_at(&mut self, value: &str) {
        self.unless(value.is_empty() || model::parse_rfc3339(value).is_ok(), "/created_at", || {
            "must be an RFC 3339 time".to_owned()
        });
    }

    fn header(&mut self, pointer: &str, name: &str) {
        let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
        self.unless(!name.is_empty() && name.len() <= 128 && name.bytes().all(token), pointer, || {
            "must be the name of a header in lower case".to_owned()
        });
    }

    fn range(&mut self, pointer: &str, value: u32, min: u32, max: u32) {
        self.unless((min..=max).contains(&value), pointer, || format!("must be {min} to {max}"));
    }
}

pub(crate) fn tenant(tenant: &Tenant) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &tenant.name);
    errors.created_at(&tenant.created_at);
    // A placement is a token of a subject and the tail of a stream's name, as a tenant id is.
    errors.unless(tenant.placement.parse::<model::TenantId>().is_ok(), "/placement", || {
        "must be 1 to 63 characters of a-z, 0-9 and '-', beginning and ending with a letter or digit"
            .to_owned()
    });
    let limits = &tenant.limits;
    errors.range("/limits/event_bytes_max", limits.event_bytes_max, 1, EVENT_BYTES_MAX);
    errors.range("/limits/batch_events_max", limits.batch_events_max, 1, BATCH_EVENTS_MAX);
    errors.range("/retention_days", tenant.retention_days, 0, RETENTION_DAYS_MAX);
    errors.0
}

pub(crate) fn system(system: &System) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &system.name);
    errors.created_at(&system.created_at);
    errors.0
}

pub(crate) fn source(source: &Source) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &source.name);
    errors.created_at(&source.created_at);
    errors.unless(source.keep_headers.len() <= KEEP_HEADERS_MAX, "/keep_headers", || {
        format!("must be at most {KEEP_HEADERS_MAX}")
    });
    for (i, header) in source.keep_headers.iter().enumerate() {
        errors.header(&format!("/keep_headers/{i}"), header);
    }
    let Some(verification) = &source.verification else { return errors.0 };
    let secrets = &verification.sealed_secrets;
    errors.unless((1..=SECRETS_MAX).contains(&secrets.len()), "/verification/sealed_secrets", || {
        format!("must be 1 to {SECRETS_MAX}")
    });
    for (i, secret) in secrets.iter().enumerate() {
        // A secret in the clear here would be a secret in every backup.
        errors.unless(
            crate::sealer::looks_sealed(secret),
            &format!("/verification/sealed_secrets/{i}"),
            || "must be sealed".to_owned(),
        );
    }
    if let Some(tolerance) = verification.tolerance_seconds {
        errors.range("/verification/tolerance_seconds", tolerance, 1, TOLERANCE_MAX);
    }
    match &verification.scheme {
        SignatureScheme::Hmac { header, .. } | SignatureScheme::Token { header } => {
            errors.header("/verification/scheme/header", header);
        }
        SignatureScheme::Github
        | SignatureScheme::Stripe
        | SignatureScheme::Slack
        | SignatureScheme::Shopify
        | SignatureScheme::StandardWebhooks => {}
    }
    errors.0
}

pub(crate) fn event_type(event_type: &EventType) -> Vec<FieldError> {
    let mut errors = Errors::default();
    let name = &event_type.name;
    errors.unless((1..=TYPE_BYTES_MAX).contains(&name.len()), "/name", || {
        format!("must be 1 to {TYPE_BYTES_MAX} bytes long")
    });
    errors.unless(!name.chars().any(char::is_control), "/name", || {
        "must not contain control characters".to_owned()
    });
    errors.text("/description", &event_type.description);
    errors.created_at(&event_type.created_at);
    let is_schema = |v: &serde_json::Value| v.is_object() || v.is_boolean();
    errors.unless(event_type.schema.as_ref().is_none_or(is_schema), "/schema", || {
        "must be a JSON Schema: an object, true or false".to_owned()
    });
    errors.0
}

pub(crate) fn api_key(key: &ApiKey) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &key.name);
    errors.created_at(&key.created_at);
    errors.unless(key.hash.len() == 64 && key.hash.bytes().all(|b| b.is_ascii_hexdigit()), "/hash", || {
        "must be a SHA-256 in hexadecimal".to_owned()
    });
    errors.unless(!key.scopes.is_empty(), "/scopes", || "must name at least one scope".to_owned());
    errors.unless(key.labels.len() <= LABELS_MAX, "/labels", || format!("must be at most {LABELS_MAX}"));
    for (name, value) in &key.labels {
        errors.text(&format!("/labels/{}", name.replace('~', "~0").replace('/', "~1")), value);
    }
    errors.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Resource;

    fn faults<R: Resource>(value: serde_json::Value) -> Vec<String> {
        let resource: R = serde_json::from_value(value).unwrap();
        resource.validate().into_iter().map(|e| e.pointer).collect()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(faults::<Tenant>(json!({"id": "a"})), [""; 0]);
        assert_eq!(
            faults::<Tenant>(json!({
                "id": "a", "placement": "a.b", "name": "x\u{7}", "created_at": "now",
                "limits": {"event_bytes_max": 0, "batch_events_max": 100_001},
            })),
            ["/name", "/created_at", "/placement", "/limits/event_bytes_max", "/limits/batch_events_max"]
        );
        assert_eq!(faults::<System>(json!({"tenant": "a", "id": "s", "name": "x".repeat(1025)})), ["/name"]);
        assert_eq!(
            faults::<Source>(json!({
                "tenant": "a", "system": "s", "id": "d", "keep_headers": ["x-ok", "X-Upper", ""],
                "verification": {
                    "scheme": {"type": "token", "header": "X Y"},
                    "sealed_secrets": ["in the clear"], "tolerance_seconds": 0,
                },
            })),
            [
                "/keep_headers/1",
                "/keep_headers/2",
                "/verification/sealed_secrets/0",
                "/verification/tolerance_seconds",
                "/verification/scheme/header"
            ]
        );
        assert_eq!(
            faults::<EventType>(json!({"tenant": "a", "system": "s", "name": "", "schema": []})),
            ["/name", "/schema"]
        );
        assert_eq!(
            faults::<ApiKey>(json!({
                "tenant": "a", "system": "s", "id": "k", "hash": "zz", "scopes": [], "labels": {"a/b": "\u{0}"},
            })),
            ["/hash", "/scopes", "/labels/a~1b"]
        );
    }
}
