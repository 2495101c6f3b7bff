//! A configuration as text, without its secrets.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;

/// Stands for a secret wherever one would be shown.
pub const REDACTED: &str = "[REDACTED]";

/// The configuration as TOML. [`super::Secret`]s and the passwords of URLs are redacted.
///
/// # Errors
/// If a value has no form in TOML; a mistake of a section's type.
pub fn print(config: &impl Serialize) -> Result<String, super::Error> {
    let invalid = |reason: String| super::Error::Value {
        key: "the configuration".to_owned(),
        origin: super::layers::DEFAULT.to_owned(),
        reason,
    };
    let mut table = toml::Table::try_from(config).map_err(|e| invalid(e.to_string()))?;
    table.iter_mut().for_each(|(_, value)| redact(value));
    toml::to_string_pretty(&table).map_err(|e| invalid(e.to_string()))
}

/// The dotted keys of the values that show themselves as [`REDACTED`].
pub(super) fn redacted_keys(config: &impl Serialize) -> Vec<String> {
    fn collect(value: &toml::Value, key: &str, keys: &mut Vec<String>) {
        match value {
            toml::Value::String(text) if text == REDACTED => keys.push(key.to_owned()),
            toml::Value::Table(table) => {
                for (name, value) in table {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    collect(value, &key, keys);
                }
            }
            _ => {}
        }
    }
    let mut keys = Vec::new();
    if let Ok(value) = toml::Value::try_from(config) {
        collect(&value, "", &mut keys);
    }
    keys
}

fn redact(value: &mut toml::Value) {
    match value {
        toml::Value::String(text) if text.contains("://") => *text = without_passwords(text),
        toml::Value::Array(items) => items.iter_mut().for_each(redact),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, value)| redact(value)),
        _ => {}
    }
}

/// URLs, several separated by commas, as they may be shown.
#[must_use]
pub fn without_passwords(urls: &str) -> String {
    // Lists of URLs are one text in many clients: `nats://a:b@one,nats://c@two`.
    urls.split(',').map(redact_url).collect::<Vec<_>>().join(",")
}

/// `scheme://[REDACTED]@host`: a NATS token stands where others have a user, so all of it goes.
fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{REDACTED}{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// The JSON Schema (2020-12) of a configuration.
#[must_use]
pub fn schema<T: JsonSchema>() -> serde_json::Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_redacted() {
        for (url, printed) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://user:p@ss@host:1/x", "nats://[REDACTED]@host:1/x"),
            ("nats://token@a,nats://b", "nats://[REDACTED]@a,nats://b"),
            ("https://host/path@v1?q=a@b", "https://host/path@v1?q=a@b"),
            ("mail@example.com", "mail@example.com"),
        ] {
            let mut value = toml::Value::from(vec![url]);
            redact(&mut value);
            assert_eq!(value, toml::Value::from(vec![printed]));
        }
    }
}
