//! What is wrong with a configuration, said so that it can be corrected.

use std::path::PathBuf;

use figment::{
    Figment,
    error::{Actual, Kind},
};

use super::layers;

/// More edits than this and it is another word.
const EDITS_MAX: usize = 3;

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file cannot be read, or is not TOML.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A key that no section has.
    #[error("{key} ({origin}): there is no such key{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// The layer it stands in.
        origin: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value that its key does not take.
    #[error("{key} ({origin}): {reason}")]
    Value {
        /// The dotted key.
        key: String,
        /// The layer it stands in.
        origin: String,
        /// Why not. Never shows the value: it may be a secret.
        reason: String,
    },
}

impl Error {
    pub(super) fn from_figment(figment: &Figment, error: &figment::Error) -> Self {
        let parent = error.path.join(".");
        let reason = match &error.kind {
            Kind::UnknownField(field, known) => {
                // figment's path ends in the field itself, or not, depending on the depth.
                let parents = error.path.strip_suffix(std::slice::from_ref(field)).unwrap_or(&error.path);
                let parent = parents.join(".");
                let key = join(&parent, field);
                let origin = origin(figment, &key);
                let nearest = nearest(field, known).map(|n| join(&parent, n));
                return Self::UnknownKey { key, origin, nearest };
            }
            Kind::InvalidType(actual, expected) => format!("found {}, expected {expected}", form(actual)),
            Kind::InvalidValue(actual, expected) => format!("{} is not {expected}", form(actual)),
            Kind::UnknownVariant(variant, known) => format!("{variant:?} is none of {}", known.join(", ")),
            other => other.to_string(),
        };
        Self::Value { origin: origin(figment, &parent), key: parent, reason }
    }
}

/// The layer that set a key.
pub(super) fn origin(figment: &Figment, key: &str) -> String {
    figment.find_metadata(key).map_or_else(|| layers::DEFAULT.to_owned(), |m| m.name.clone().into_owned())
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// What was found, without the value itself.
fn form(actual: &Actual) -> &str {
    match actual {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "an integer",
        Actual::Float(_) => "a float",
        Actual::Char(_) | Actual::Str(_) => "a string",
        Actual::Unit | Actual::Option => "nothing",
        Actual::Seq => "an array",
        Actual::Map => "a table",
        _ => "something else",
    }
}

/// The known key that needs the fewest edits, if it looks like the same word.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = |s: &str| s.replace('-', "_").to_ascii_lowercase();
    let key = plain(key);
    known
        .iter()
        .map(|&k| (edits(&key, &plain(k)), k))
        .filter(|(n, k)| *n <= EDITS_MAX && *n * 2 <= k.len())
        .min()
        .map(|(_, k)| k)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_a_likely_typo() {
        let known = &["listen", "connections_max", "idle_timeout_ms"];
        for (typo, meant) in [
            ("lisen", Some("listen")),
            ("Listen", Some("listen")),
            ("connections-max", Some("connections_max")),
            ("idle_timeout", Some("idle_timeout_ms")),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(nearest(typo, known), meant, "{typo}");
        }
        assert_eq!((edits("", "abc"), edits("kitten", "sitting"), edits("same", "same")), (3, 3, 0));
    }
}
