//! Presets of providers: data in `presets/*.toml`, written in the language tenants use.

use std::sync::LazyLock;

use model::resource::SignatureScheme;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::MappingSpec;

/// What a source of a well-known provider needs, but its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name in `Source.preset`.
    pub name: String,
    /// For people: what of the provider it covers.
    pub description: String,
    /// How the provider signs; the default of a source's `verification`.
    pub scheme: SignatureScheme,
    /// How its requests become CloudEvents; a source's own `mapping` goes before it, field by field.
    pub mapping: MappingSpec,
    /// Headers kept besides those the mapping reads.
    pub keep_headers: Vec<String>,
}

const FILES: [&str; 5] = [
    include_str!("../presets/github.toml"),
    include_str!("../presets/shopify.toml"),
    include_str!("../presets/slack.toml"),
    include_str!("../presets/standard-webhooks.toml"),
    include_str!("../presets/stripe.toml"),
];

#[expect(clippy::expect_used, reason = "the files are part of the program, and a test compiles each")]
static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    FILES.iter().map(|file| toml::from_str(file).expect("a preset is a valid Preset")).collect()
});

/// Every preset, by name.
#[must_use]
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// The preset of that name.
#[must_use]
pub fn preset(name: &str) -> Option<&'static Preset> {
    presets().iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mapping;

    #[test]
    fn every_preset_compiles() {
        assert!(presets().is_sorted_by_key(|p| &p.name));
        for preset in presets() {
            let source = serde_json::json!({"tenant": "t", "system": "s", "id": "i", "preset": preset.name});
            let mapping = Mapping::compile(&serde_json::from_value(source).unwrap()).unwrap();
            for header in &preset.keep_headers {
                assert!(mapping.keeps(header), "{}: {header}", preset.name);
            }
        }
    }
}
