//! The rules a resource must keep to be written.

use model::{
    TYPE_BYTES_MAX,
    resource::{ApiKey, Customer, EventType, Meta, SignatureScheme, Source, System, Tenant},
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
pub const SECRETS_MAX: usize = 8;
/// Headers a source may keep besides those its mapping reads.
const KEEP_HEADERS_MAX: usize = 64;
/// Labels of a resource.
const LABELS_MAX: usize = 32;
/// Longest name of a label, in bytes.
const LABEL_NAME_BYTES_MAX: usize = 63;
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

    /// What every resource has.
    fn meta(&mut self, meta: &Meta) {
        self.text("/description", &meta.description);
        for (pointer, time) in [("/created_at", &meta.created_at), ("/updated_at", &meta.updated_at)] {
            self.unless(time.is_empty() || model::parse_rfc3339(time).is_ok(), pointer, || {
                "must be an RFC 3339 time".to_owned()
            });
        }
        self.unless(meta.labels.len() <= LABELS_MAX, "/labels", || format!("must be at most {LABELS_MAX}"));
        for (name, value) in &meta.labels {
            let pointer = format!("/labels/{}", name.replace('~', "~0").replace('/', "~1"));
            let good = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
            let fits = (1..=LABEL_NAME_BYTES_MAX).contains(&name.len());
            self.unless(fits && name.bytes().all(good), &pointer, || {
                format!("the name must be 1 to {LABEL_NAME_BYTES_MAX} letters, digits, '.', '_', '-' and '/'")
            });
            self.text(&pointer, value);
        }
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
    errors.meta(&tenant.meta);
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
    errors.meta(&system.meta);
    errors.0
}

pub(crate) fn customer(customer: &Customer) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &customer.name);
    errors.meta(&customer.meta);
    errors.0
}

pub(crate) fn source(source: &Source) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &source.name);
    errors.meta(&source.meta);
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
    errors.meta(&event_type.meta);
    let is_schema = |v: &serde_json::Value| v.is_object() || v.is_boolean();
    errors.unless(event_type.schema.as_ref().is_none_or(is_schema), "/schema", || {
        "must be a JSON Schema: an object, true or false".to_owned()
    });
    errors.0
}

pub(crate) fn api_key(key: &ApiKey) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &key.name);
    errors.meta(&key.meta);
    errors.unless(key.hash.len() == 64 && key.hash.bytes().all(|b| b.is_ascii_hexdigit()), "/hash", || {
        "must be a SHA-256 in hexadecimal".to_owned()
    });
    errors.unless(!key.scopes.is_empty(), "/scopes", || "must name at least one scope".to_owned());
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
            ["/labels/a~1b", "/hash", "/scopes"]
        );
        let many: serde_json::Map<_, _> = (0..=LABELS_MAX).map(|n| (format!("l{n}"), json!("x"))).collect();
        assert_eq!(
            faults::<Customer>(json!({
                "tenant": "a", "id": "c", "description": "x".repeat(1025), "labels": many,
            })),
            ["/description", "/labels"]
        );
        for name in ["", "a b", "a=b", "!a", "é", &"x".repeat(64)] {
            let labels = json!({name: "v"});
            assert_eq!(
                faults::<Customer>(json!({"tenant": "a", "id": "c", "labels": labels})),
                [format!("/labels/{name}")]
            );
        }
    }
}
