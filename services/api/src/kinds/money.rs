//! What the model says of money, for the document: its own types describe themselves.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};

/// The schema of a type of the model, with those of its members in their places.
pub(crate) fn schema<T: JsonSchema>() -> RefOr<Schema> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    spell(&mut schema);
    serde_json::from_value(schema).map_or_else(|_| RefOr::T(Schema::default()), RefOr::T)
}

/// Says in `enum` what the document's types cannot say in `const`.
fn spell(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(only) = members.remove("const") {
                members.insert("enum".to_owned(), Value::Array(vec![only]));
            }
            members.remove("title");
            members.values_mut().for_each(spell);
        }
        Value::Array(items) => items.iter_mut().for_each(spell),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use model::resource::Prices;
    use serde_json::json;

    use super::*;

    #[test]
    fn prices_are_described_down_to_the_words_of_their_models() {
        let schema = serde_json::to_value(schema::<Vec<Prices>>()).unwrap();
        let prices = &schema["items"]["properties"]["charges"]["items"]["properties"]["price"];
        let models: Vec<_> = prices["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["properties"]["model"]["enum"][0])
            .collect();
        assert_eq!(json!(models), json!(["flat", "per_unit", "graduated", "volume", "package"]));
        assert!(!schema.to_string().contains("$ref"), "{schema}");
    }
}
