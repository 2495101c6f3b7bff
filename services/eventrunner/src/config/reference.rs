//! The reference of all keys, made from the JSON Schema: `docs/configuration.md` and `docs/config.schema.json`.

use std::fmt::Write as _;

use serde_json::Value;

use super::Config;
use crate::exit::{Failure, Result};

/// The JSON Schema of the configuration, indented, with a line break at its end.
pub(crate) fn schema_text() -> Result<String> {
    let schema = runtime::config::schema::<Config>();
    let text = serde_json::to_string_pretty(&schema);
    Ok(text.map_err(|e| Failure::failed(format!("the schema cannot be written: {e}")))? + "\n")
}

/// `docs/configuration.md`.
pub(crate) fn markdown() -> Result<String> {
    let schema = runtime::config::schema::<Config>();
    let defaults = serde_json::to_value(Config::default())
        .map_err(|e| Failure::failed(format!("the defaults cannot be shown: {e}")))?;
    let mut text = String::from(HEAD);
    let properties = schema.get("properties").and_then(Value::as_object);
    // Top-level values first, then sections in the order of their names.
    let mut loose = Vec::new();
    let mut sections = Vec::new();
    for (name, property) in properties.into_iter().flatten() {
        let resolved = resolve(&schema, property);
        let list = if resolved.get("properties").is_some() { &mut sections } else { &mut loose };
        list.push((name, property));
    }
    text.push_str("\n## General\n\n");
    text.push_str(TABLE);
    for (name, property) in loose {
        row(&mut text, &schema, name, property, defaults.get(name));
    }
    for (name, property) in sections {
        let _ = write!(text, "\n## {name}\n\n{}\n\n{TABLE}", description(&schema, property));
        rows(&mut text, &schema, name, property, defaults.get(name));
    }
    Ok(text)
}

const HEAD: &str = "# Configuration

<!-- Made by `eventrunner docs`; a test fails when it is stale. -->

Every key has a default. A TOML file (`--config FILE` or `EVENTRUNNER_CONFIG`) overrides the defaults, the environment
overrides the file, and the command line overrides both:

```sh
eventrunner up --config eventrunner.toml
EVENTRUNNER_TOPOLOGY__PARTITIONS=8 eventrunner migrate
eventrunner up --set topology.partitions=8
```

`eventrunner config print` shows what is in force, `eventrunner config check` what is wrong and where it stands. The
JSON Schema for editors is `docs/config.schema.json`. A secret may be given as `file:<path>`.
";

const TABLE: &str = "| key | default | meaning |\n|---|---|---|\n";

fn rows(text: &mut String, schema: &Value, prefix: &str, property: &Value, default: Option<&Value>) {
    let resolved = resolve(schema, property);
    for (name, inner) in resolved.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let key = format!("{prefix}.{name}");
        let default = default.and_then(|d| d.get(name));
        if resolve(schema, inner).get("properties").is_some() {
            rows(text, schema, &key, inner, default);
        } else {
            row(text, schema, &key, inner, default);
        }
    }
}

fn row(text: &mut String, schema: &Value, key: &str, property: &Value, default: Option<&Value>) {
    let default = match default {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(value) => format!("`{value}`"),
    };
    let meaning = description(schema, property);
    let _ = writeln!(text, "| `{key}` | {default} | {} |", meaning.replace('|', "\\|"));
}

/// What a property is for, on one line: its own words, or its type's.
fn description(schema: &Value, property: &Value) -> String {
    let own = property.get("description").or_else(|| resolve(schema, property).get("description"));
    own.and_then(Value::as_str).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Follows a reference to where it is defined, also the one of an optional value.
fn resolve<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    let reference = property.get("$ref").and_then(Value::as_str);
    match reference.and_then(|r| r.strip_prefix('#')).and_then(|pointer| schema.pointer(pointer)) {
        Some(defined) => defined,
        None => property,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_row_that_says_what_it_means() {
        let text = markdown().unwrap();
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        let mut keys = Vec::new();
        leaves(&mut keys, "", &toml::Value::Table(defaults));
        assert!(keys.len() > 60, "{}", keys.len());
        for key in keys {
            let row = text.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
            let row = row.unwrap_or_else(|| panic!("{key} has no row"));
            assert!(row.split('|').nth(3).is_some_and(|m| m.trim().len() > 3), "{key} says nothing: {row}");
        }
    }

    fn leaves(keys: &mut Vec<String>, prefix: &str, value: &toml::Value) {
        match value {
            toml::Value::Table(table) => {
                for (name, inner) in table {
                    let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    leaves(keys, &key, inner);
                }
            }
            _ => keys.push(prefix.to_owned()),
        }
    }
}
