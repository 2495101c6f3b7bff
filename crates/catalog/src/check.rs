//! The rules a resource must keep to be written.

mod metering;
mod reacting;

use model::{
    FLEET, TYPE_BYTES_MAX,
    resource::{
        ApiKey, BillingAccount, Customer, EventType, Meta, NatsCredential, Plan, Role, RoleBinding,
        SignatureScheme, Source, System, Tenant, TenantLimits, User,
    },
};
use relations::{Actor, Permission, RoleRef};

pub(crate) use self::{
    metering::{meter, meter_succession, meters},
    reacting::{action, component, feed, rule_set, subscription, workflow},
};
use crate::{FieldError, Snapshot};

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

    /// Why an event type's schema must not take the place of the one before.
    fn succession(&self, new: &EventType, old: &EventType) -> Vec<FieldError> {
        let _ = (new, old);
        Vec::new()
    }
}

/// Longest name or description of anything, in bytes.
const TEXT_MAX: usize = 1024;
/// Largest event a tenant may be allowed, in bytes. The broker's own limit may be lower.
const EVENT_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// Longest address of mail, in bytes (RFC 5321, section 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;
/// Longest retention, in days: a hundred years. Longer is "until erased".
const RETENTION_DAYS_MAX: u32 = 36_500;
/// Largest batch a tenant may be allowed.
const BATCH_EVENTS_MAX: u32 = 100_000;
/// Secrets a source may have at once.
pub const SECRETS_MAX: usize = 8;
/// Headers a source may keep besides those its mapping reads.
const KEEP_HEADERS_MAX: usize = 64;
/// Texts that say what a role may do.
const PERMISSIONS_MAX: usize = 200;
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
            let pointer = format!("/labels/{}", escaped(name));
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

    /// Each other one may be any number.
    fn limits(&mut self, limits: &TenantLimits) {
        let ranges = [
            ("/limits/event_bytes_max", limits.event_bytes_max, 1, EVENT_BYTES_MAX),
            ("/limits/batch_events_max", limits.batch_events_max, 1, BATCH_EVENTS_MAX),
            ("/limits/retention_days_max", limits.retention_days_max, 0, RETENTION_DAYS_MAX),
        ];
        for (pointer, value, min, max) in ranges {
            value.into_iter().for_each(|value| self.range(pointer, value, min, max));
        }
    }

    fn range(&mut self, pointer: &str, value: u32, min: u32, max: u32) {
        self.unless((min..=max).contains(&value), pointer, || format!("must be {min} to {max}"));
    }
}

/// A member's name as a part of a JSON pointer (RFC 6901, section 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
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
    errors.limits(&tenant.limits);
    errors.range("/retention_days", tenant.retention_days, 0, RETENTION_DAYS_MAX);
    errors.0
}

/// Whether a tenant's retention is within its limit. What it has already may stay: a plan that was narrowed must not keep its
/// tenants from being changed in other ways.
pub(crate) fn retention(tenant: &Tenant, snapshot: &Snapshot) -> Vec<FieldError> {
    let max = snapshot.limits(tenant).retention_days_max;
    let days = tenant.retention_days;
    let kept = snapshot.tenant(&tenant.id).is_some_and(|old| old.retention_days == days);
    let mut errors = Errors::default();
    errors.unless(max == 0 || kept || (1..=max).contains(&days), "/retention_days", || {
        format!("must be 1 to {max}: the tenant's limit `retention_days_max`, which an operator can raise in its limits or its plan")
    });
    errors.0
}

pub(crate) fn plan(plan: &Plan) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &plan.name);
    errors.meta(&plan.meta);
    errors.limits(&plan.limits);
    errors.0.extend(plan.faults().into_iter().map(FieldError::from));
    errors.0
}

pub(crate) fn user(user: &User) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &user.name);
    errors.meta(&user.meta);
    if let Some(email) = &user.email {
        // As much of an address as can be said without a letter to it.
        let parts = email.split_once('@').filter(|(local, host)| !local.is_empty() && !host.is_empty());
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        let good = parts.is_some_and(|(_, host)| !host.contains('@')) && email.chars().all(plain);
        errors.unless(good && email.len() <= EMAIL_BYTES_MAX, "/email", || {
            format!("must be an address such as alice@example.com, at most {EMAIL_BYTES_MAX} bytes long")
        });
        errors.unless(*email == email.to_lowercase(), "/email", || "must be in lower case".to_owned());
    }
    let sealed = user.sealed_password.as_deref().is_none_or(crate::sealer::looks_sealed);
    errors.unless(sealed, "/sealed_password", || "must be sealed".to_owned());
    errors.0
}

/// No two users have the same address: it is also what they log in by.
pub(crate) fn email_of_others(user: &User, others: &Snapshot) -> Vec<FieldError> {
    let Some(email) = &user.email else { return Vec::new() };
    let mut all = others.each::<User>(Some(&FLEET)).map(|e| &e.value);
    let taken = all.any(|other| other.id != user.id && other.email.as_ref() == Some(email));
    if taken { vec![FieldError::new("/email", "is the address of another user")] } else { Vec::new() }
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

pub(crate) fn billing_account(account: &BillingAccount) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &account.name);
    errors.meta(&account.meta);
    errors.0.extend(account.faults().into_iter().map(FieldError::from));
    errors.0
}

/// Months that were invoiced, and what comes late of them, have the currency and the days of those that follow.
pub(crate) fn same_account(account: &BillingAccount, old: &BillingAccount) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.unless(account.currency == old.currency, "/currency", || {
        format!("must stay {}: make another account for another currency", old.currency)
    });
    errors.unless(account.time_zone == old.time_zone, "/time_zone", || {
        format!("must stay {:?}: make another account for another time zone", old.time_zone)
    });
    errors.0
}

/// An invoice has one currency.
pub(crate) fn currencies(account: &BillingAccount, others: &Snapshot) -> Vec<FieldError> {
    let mut errors = Errors::default();
    for (at, assignment) in account.plans.iter().enumerate() {
        let prices = others.plan(&assignment.plan).and_then(|plan| plan.prices.first());
        let Some(other) = prices.map(|prices| prices.currency) else { continue };
        errors.unless(other == account.currency, &format!("/plans/{at}/plan"), || {
            format!("has prices in {other}, and the account is in {}", account.currency)
        });
    }
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

pub(crate) fn nats_credential(credential: &NatsCredential) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &credential.name);
    errors.meta(&credential.meta);
    errors.0
}

pub(crate) fn role(role: &Role) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &role.name);
    errors.meta(&role.meta);
    let named = relations::check_role_name(&role.id);
    errors.unless(named.is_ok(), "/id", || format!("{:?} is the name of a built-in role", role.id.as_str()));
    let count = role.permissions.len();
    errors.unless((1..=PERMISSIONS_MAX).contains(&count), "/permissions", || {
        format!("must be 1 to {PERMISSIONS_MAX}")
    });
    for (i, text) in role.permissions.iter().enumerate().take(PERMISSIONS_MAX) {
        if let Err(error) = Permission::meant_by(text) {
            errors.0.push(FieldError::new(format!("/permissions/{i}"), error.to_string()));
        }
    }
    errors.0
}

pub(crate) fn role_binding(binding: &RoleBinding) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.text("/name", &binding.name);
    errors.meta(&binding.meta);
    let place = crate::tuples::place(&binding.tenant);
    if let Err(error) = Actor::named(&binding.actor, &place) {
        errors.0.push(FieldError::new("/actor", error.to_string()));
    }
    match RoleRef::named(&binding.role, &place) {
        Err(error) => errors.0.push(FieldError::new("/role", error.to_string())),
        Ok(RoleRef::BuiltIn(relations::Role::Superuser)) if !binding.tenant.is_fleet() => {
            let error = relations::InvalidBinding::SuperuserOfTenant;
            errors.0.push(FieldError::new("/role", error.to_string()));
        }
        Ok(_) => {}
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
            ["/labels/a~1b", "/hash", "/scopes"]
        );
        let many: serde_json::Map<_, _> = (0..=LABELS_MAX).map(|n| (format!("l{n}"), json!("x"))).collect();
        assert_eq!(
            faults::<Customer>(json!({
                "tenant": "a", "id": "c", "description": "x".repeat(1025), "labels": many,
            })),
            ["/description", "/labels"]
        );
        assert_eq!(
            faults::<Role>(json!({
                "tenant": "a", "id": "viewer",
                "permissions": ["read:event", "*:*", "read", "burn:event", "read:money", "publish:source"],
            })),
            ["/id", "/permissions/2", "/permissions/3", "/permissions/4", "/permissions/5"]
        );
        assert_eq!(faults::<Role>(json!({"tenant": "-", "id": "r", "permissions": []})), ["/permissions"]);
        let binding = |tenant: &str, actor: &str, role: &str| {
            faults::<RoleBinding>(json!({"tenant": tenant, "id": "b", "actor": actor, "role": role}))
        };
        assert_eq!(binding("a", "user:alice@example.com", "viewer"), [""; 0]);
        assert_eq!(binding("a", "role:fleet/auditor", "fleet/helper"), [""; 0]);
        assert_eq!(binding("-", "service:billing", "superuser"), [""; 0]);
        assert_eq!(binding("a", "alice", "superuser"), ["/actor", "/role"]);
        assert_eq!(binding("a", "role:viewer", "Viewer"), ["/actor", "/role"]);
        assert_eq!(binding("a", "user:a b", "fleet/viewer"), ["/actor", "/role"]);
        assert_eq!(binding("a", "group:x", ""), ["/actor", "/role"]);
        for name in ["", "a b", "a=b", "!a", "é", &"x".repeat(64)] {
            let labels = json!({name: "v"});
            assert_eq!(
                faults::<Customer>(json!({"tenant": "a", "id": "c", "labels": labels})),
                [format!("/labels/{name}")]
            );
        }
    }
}
