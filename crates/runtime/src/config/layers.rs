//! The layers, as figment sees them.

use std::{fs, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};
use serde::Serialize;

use super::{ENV_PREFIX, Error, Sources};

/// Name of the lowest layer.
pub(super) const DEFAULT: &str = "default";

/// Name of the highest layer.
pub(super) const COMMAND_LINE: &str = "command line";

/// Values with the name of where they stand.
struct Layer {
    name: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

pub(super) fn figment(defaults: &impl Serialize, sources: &Sources) -> Result<Figment, Error> {
    let defaults = dict(defaults).map_err(|reason| Error::Value {
        key: "the defaults".to_owned(),
        origin: DEFAULT.to_owned(),
        reason,
    })?;
    let mut figment = Figment::from(Layer { name: DEFAULT.to_owned(), values: defaults.clone() });
    if let Some(path) = &sources.file {
        figment = figment.merge(Layer { name: path.display().to_string(), values: read(path)? });
    }
    for (name, text) in &sources.env {
        let key = name.strip_prefix(ENV_PREFIX).unwrap_or(name).to_ascii_lowercase();
        let path: Vec<&str> = key.split("__").collect();
        figment =
            figment.merge(Layer { name: name.clone(), values: nested(&path, typed(&defaults, &path, text)) });
    }
    for (key, text) in &sources.overrides {
        let path: Vec<&str> = key.split('.').collect();
        let values = nested(&path, typed(&defaults, &path, text));
        figment = figment.merge(Layer { name: COMMAND_LINE.to_owned(), values });
    }
    Ok(figment)
}

fn read(path: &Path) -> Result<Dict, Error> {
    let unreadable = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        // Not the error's own rendering: it quotes the line, which may hold a secret.
        let line =
            error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        unreadable(format!("line {line}: {}", error.message()))
    })?;
    dict(&table).map_err(unreadable)
}

fn dict(values: &impl Serialize) -> Result<Dict, String> {
    match Value::serialize(values) {
        Ok(Value::Dict(_, dict)) => Ok(dict),
        Ok(_) => Err("is not a table".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn nested(path: &[&str], value: Value) -> Dict {
    match path {
        [] => Dict::new(),
        [key] => Dict::from([((*key).to_owned(), value)]),
        [key, rest @ ..] => Dict::from([((*key).to_owned(), Value::from(nested(rest, value)))]),
    }
}

/// Text as a value: where the default is text it stays text, so that a secret made of digits is not a number;
/// elsewhere it is read as a TOML value, and is text if it is none (`127.0.0.1:80`).
fn typed(defaults: &Dict, path: &[&str], text: &str) -> Value {
    if matches!(find(defaults, path), Some(Value::String(..))) {
        return Value::from(text);
    }
    let parsed =
        toml::from_str::<toml::Table>(&format!("value = {text}")).ok().filter(|table| table.len() == 1);
    match parsed.and_then(|mut table| table.remove("value")) {
        None | Some(toml::Value::Datetime(_)) => Value::from(text),
        Some(value) => Value::serialize(value).unwrap_or_else(|_| Value::from(text)),
    }
}

fn find<'a>(values: &'a Dict, path: &[&str]) -> Option<&'a Value> {
    let (key, rest) = path.split_first()?;
    let value = values.get(*key)?;
    if rest.is_empty() {
        return Some(value);
    }
    match value {
        Value::Dict(_, inner) => find(inner, rest),
        _ => None,
    }
}
