//! The rules of what reacts to events, runs, or fetches them.

use std::collections::BTreeSet;

use model::resource::{Action, Component, Feed, Meta, RuleSet, Subscription, Target, Webhook, Workflow};
use url::Url;

use super::Errors;
use crate::FieldError;

/// Longest address, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Headers of a webhook, secret ones included.
const HEADERS_MAX: usize = 32;
/// Longest value of a header, in bytes.
const HEADER_BYTES_MAX: usize = 1_024;
/// Event types of one subscription.
const EVENT_TYPES_MAX: usize = 256;
/// Longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 16 * 1_024;
/// Longest text of rules or of a workflow, in bytes.
const PROGRAM_BYTES_MAX: usize = 128 * 1_024;
/// Headers that whoever sends a request sets itself (RFC 9110, RFC 9112).
const HEADERS_OF_THE_SENDER: [&str; 6] =
    ["connection", "content-length", "host", "te", "transfer-encoding", "upgrade"];
/// Headers whose values are secrets always.
const HEADERS_OF_SECRETS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

impl Errors {
    fn head(&mut self, name: &str, meta: &Meta) {
        self.text("/name", name);
        self.meta(meta);
    }

    /// A text in a language of its own.
    fn program(&mut self, pointer: &str, text: &str, bytes_max: usize) {
        self.unless(text.len() <= bytes_max, pointer, || format!("must be at most {bytes_max} bytes long"));
        self.unless(!text.contains('\0'), pointer, || "must not contain NUL".to_owned());
    }

    fn url(&mut self, pointer: &str, text: &str, schemes: &[&str]) {
        self.unless(text.len() <= URL_BYTES_MAX, pointer, || {
            format!("must be at most {URL_BYTES_MAX} bytes long")
        });
        let Ok(url) = Url::parse(text) else {
            return self.unless(false, pointer, || "must be an absolute URL".to_owned());
        };
        self.unless(schemes.contains(&url.scheme()), pointer, || {
            format!("must begin with {}", schemes.map_joined("://", " or "))
        });
        self.unless(url.has_host(), pointer, || "must name a host".to_owned());
        self.unless(url.username().is_empty() && url.password().is_none(), pointer, || {
            "must not hold a user or password: an address is shown to whoever may read it".to_owned()
        });
    }
}

trait Joined {
    /// `a:// or b://`.
    fn map_joined(&self, after_each: &str, between: &str) -> String;
}

impl Joined for [&str] {
    fn map_joined(&self, after_each: &str, between: &str) -> String {
        self.iter().map(|s| format!("{s}{after_each}")).collect::<Vec<_>>().join(between)
    }
}

pub(crate) fn action(action: &Action) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.head(&action.name, &action.meta);
    match &action.target {
        Target::Webhook(target) => webhook(&mut errors, target),
    }
    errors.0
}

fn webhook(errors: &mut Errors, Webhook { url, method: _, headers, secret_headers }: &Webhook) {
    errors.url("/target/url", url, &["https", "http"]);
    errors.unless(headers.len() + secret_headers.len() <= HEADERS_MAX, "/target/headers", || {
        format!("must be at most {HEADERS_MAX} together")
    });
    for name in headers.keys().chain(secret_headers.keys()).collect::<BTreeSet<_>>() {
        let secret = secret_headers.contains_key(name);
        let member = if secret { "secret_headers" } else { "headers" };
        let pointer = format!("/target/{member}/{}", super::escaped(name));
        errors.header(&pointer, name);
        errors.unless(!HEADERS_OF_THE_SENDER.contains(&&**name), &pointer, || {
            "is set by whoever sends the request".to_owned()
        });
        errors.unless(secret || !HEADERS_OF_SECRETS.contains(&&**name), &pointer, || {
            "is a secret; put it among the secret headers".to_owned()
        });
        errors.unless(!(secret && headers.contains_key(name)), &pointer, || {
            "is among the other headers too".to_owned()
        });
    }
    for (name, value) in headers {
        let good = |b: u8| b == b'\t' || (b' '..=b'~').contains(&b);
        let fits = value.len() <= HEADER_BYTES_MAX && value.bytes().all(good);
        errors.unless(fits, &format!("/target/headers/{}", super::escaped(name)), || {
            format!("must be at most {HEADER_BYTES_MAX} characters of visible ASCII")
        });
    }
    for (name, value) in secret_headers {
        let pointer = format!("/target/secret_headers/{}", super::escaped(name));
        errors.unless(crate::sealer::looks_sealed(value), &pointer, || "must be sealed".to_owned());
    }
}

pub(crate) fn subscription(subscription: &Subscription) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.head(&subscription.name, &subscription.meta);
    let types = &subscription.event_types;
    errors.unless(types.len() <= EVENT_TYPES_MAX, "/event_types", || {
        format!("must be at most {EVENT_TYPES_MAX}")
    });
    let mut seen = BTreeSet::new();
    for (at, name) in types.iter().take(EVENT_TYPES_MAX).enumerate() {
        errors.unless(seen.insert(name), &format!("/event_types/{at}"), || "is there already".to_owned());
    }
    errors.program("/filter", &subscription.filter, FILTER_BYTES_MAX);
    errors.0
}

pub(crate) fn rule_set(rule_set: &RuleSet) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.head(&rule_set.name, &rule_set.meta);
    errors.program("/rules", &rule_set.rules, PROGRAM_BYTES_MAX);
    errors.0
}

pub(crate) fn component(component: &Component) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.head(&component.name, &component.meta);
    let digest = component.digest.strip_prefix("sha256:").unwrap_or_default();
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    errors.unless(digest.len() == 64 && digest.bytes().all(hex), "/digest", || {
        "must be `sha256:` and 64 hexadecimal digits in lower case".to_owned()
    });
    errors.0
}

pub(crate) fn workflow(workflow: &Workflow) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.head(&workflow.name, &workflow.meta);
    errors.program("/definition", &workflow.definition, PROGRAM_BYTES_MAX);
    errors.0
}

pub(crate) fn feed(feed: &Feed) -> Vec<FieldError> {
    let mut errors = Errors::default();
    errors.head(&feed.name, &feed.meta);
    errors.url("/endpoint", &feed.endpoint, &feed.kind.schemes());
    errors.0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Resource;

    fn faults<R: Resource>(mut value: Value) -> Vec<String> {
        for (name, default) in [("tenant", "a"), ("system", "s"), ("id", "x")] {
            value.as_object_mut().unwrap().entry(name).or_insert_with(|| default.into());
        }
        let resource: R = serde_json::from_value(value).unwrap();
        resource.validate().into_iter().map(|e| e.pointer).collect()
    }

    fn webhook_faults(target: Value) -> Vec<String> {
        let mut target = target;
        let members = target.as_object_mut().unwrap();
        members.insert("type".to_owned(), "webhook".into());
        members.entry("url").or_insert_with(|| "https://x.example/hook?a=b".into());
        faults::<Action>(json!({ "target": target }))
    }

    #[test]
    fn actions() {
        let sealed = format!("v1.k.{}", "A".repeat(60));
        assert_eq!(webhook_faults(json!({})), [""; 0]);
        for url in ["", "x", "/hook", "ftp://x/", "https://", "https://u:p@x/", "https://u@x/", "data:,x"] {
            assert_eq!(webhook_faults(json!({ "url": url }))[0], "/target/url", "{url}");
        }
        assert_eq!(
            webhook_faults(json!({ "url": format!("https://x/{}", "y".repeat(2_048)) })),
            ["/target/url"]
        );
        for name in ["", "X-Upper", "a b", "host", "content-length", "authorization", "cookie"] {
            assert_eq!(
                webhook_faults(json!({ "headers": {name: "v"} })),
                [format!("/target/headers/{name}")],
                "{name}"
            );
        }
        for value in ["\n", "é", &"x".repeat(1_025)] {
            assert_eq!(webhook_faults(json!({"headers": {"x-a": value}})), ["/target/headers/x-a"]);
        }
        assert_eq!(
            webhook_faults(json!({"secret_headers": {"authorization": "Bearer x"}})),
            ["/target/secret_headers/authorization"]
        );
        assert_eq!(webhook_faults(json!({"secret_headers": {"authorization": sealed}})), [""; 0]);
        let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("x-{n}"), json!("v"))).collect();
        assert_eq!(webhook_faults(json!({ "headers": many })), ["/target/headers"]);
    }

    #[test]
    fn subscriptions() {
        let with = |more: Value| {
            let mut whole = json!({"action": "a"});
            json_merge(&mut whole, more);
            faults::<Subscription>(whole)
        };
        assert_eq!(with(json!({"event_types": ["a", "b"], "filter": "x > 1", "order": 65_535})), [""; 0]);
        assert_eq!(with(json!({"event_types": ["a", "b", "a"]})), ["/event_types/2"]);
        assert_eq!(
            with(json!({"event_types": (0..257).map(|n| n.to_string()).collect::<Vec<_>>()})).len(),
            1
        );
        assert_eq!(with(json!({"filter": "x".repeat(16 * 1_024 + 1)})), ["/filter"]);
        assert_eq!(with(json!({"filter": "\u{0}"})), ["/filter"]);
    }

    fn json_merge(whole: &mut Value, more: Value) {
        let (Value::Object(whole), Value::Object(more)) = (whole, more) else { unreachable!() };
        whole.extend(more);
    }

    #[test]
    fn programs_and_feeds() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(faults::<Component>(json!({ "digest": digest })), [""; 0]);
        for bad in ["", "sha256:", &digest[7..], &digest.to_uppercase(), &digest[..70]] {
            assert_eq!(faults::<Component>(json!({ "digest": bad })), ["/digest"], "{bad}");
        }
        let long = "x".repeat(128 * 1_024 + 1);
        assert_eq!(faults::<RuleSet>(json!({ "rules": long })), ["/rules"]);
        assert_eq!(faults::<Workflow>(json!({ "definition": long })), ["/definition"]);
        for (ty, endpoint, good) in [
            ("substrate", "wss://node.example", true),
            ("substrate", "https://node.example", false),
            ("ethereum", "ws://localhost:8545", true),
            ("mqtt", "mqtts://broker.example:8883", true),
            ("mqtt", "ws://broker.example", false),
            ("mqtt", "mqtt://user:secret@broker.example", false),
        ] {
            let found = faults::<Feed>(json!({"type": ty, "endpoint": endpoint}));
            assert_eq!(found.is_empty(), good, "{ty} {endpoint}: {found:?}");
        }
    }
}
