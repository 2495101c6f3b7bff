//! Each keyword of the wide schema, proved from what is given.

use serde_json::{Map, Value};

use crate::{
    Place, Proof, Proved,
    side::{Given, named_types},
};

impl<'a> Proof<'a> {
    pub(crate) fn keyword(
        &mut self,
        wide: &'a Map<String, Value>,
        keyword: &str,
        value: &'a Value,
        given: &Given<'a>,
        place: &Place,
    ) -> Proved {
        match keyword {
            "$id" if !place.is_at_root() => {
                Err(place.fault("is a base of its own, so that it cannot be compared"))
            }
            // What says nothing about values (JSON Schema Core, section 8; Validation, section 9).
            "$schema" | "$id" | "$anchor" | "$dynamicAnchor" | "$comment" | "$defs" | "definitions"
            | "$vocabulary" | "title" | "description" | "default" | "deprecated" | "readOnly"
            | "writeOnly" | "examples" => Ok(()),
            "type" => types(value, given, place),
            "enum" => enumerated(value.as_array().map_or(&[], Vec::as_slice), given, place),
            "const" => enumerated(std::slice::from_ref(value), given, place),
            "$ref" => self.reference(value, given, place),
            "allOf" => self.all_of(value, given, place),
            "anyOf" => self.any_of(value, given, place),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                if given.may_be("number") {
                    crate::scalars::number(keyword, value, given, place)
                } else {
                    Ok(())
                }
            }
            "minLength" | "maxLength" | "pattern" => {
                if given.may_be("string") {
                    self.string(keyword, value, given, place)
                } else {
                    Ok(())
                }
            }
            "items" | "prefixItems" | "minItems" | "maxItems" | "uniqueItems" => {
                if given.may_be("array") {
                    self.array(wide, keyword, value, given, place)
                } else {
                    Ok(())
                }
            }
            "properties"
            | "patternProperties"
            | "additionalProperties"
            | "required"
            | "minProperties"
            | "maxProperties"
            | "propertyNames" => {
                if given.may_be("object") {
                    self.object(wide, keyword, value, given, place)
                } else {
                    Ok(())
                }
            }
            annotation if annotation.starts_with("x-") => Ok(()),
            _ => self.whole(wide, keyword, given, place),
        }
    }

    fn reference(&mut self, value: &'a Value, given: &Given<'a>, place: &Place) -> Proved {
        let found = value.as_str().and_then(|name| self.wide.find(name));
        match found {
            Some(schema) => self.covers_given(schema, given, place),
            None => Err(place.fault("refers to what is not in the schema, so that it cannot be compared")),
        }
    }

    fn all_of(&mut self, value: &'a Value, given: &Given<'a>, place: &Place) -> Proved {
        for (at, one) in value.as_array().into_iter().flatten().enumerate() {
            self.covers_given(one, given, &place.at(&at.to_string()))?;
        }
        Ok(())
    }

    fn any_of(&mut self, value: &'a Value, given: &Given<'a>, place: &Place) -> Proved {
        for (at, one) in value.as_array().into_iter().flatten().enumerate() {
            if self.covers_given(one, given, &place.at(&at.to_string())).is_ok() {
                return Ok(());
            }
        }
        Err(place.fault("has no alternative that takes all that the other side takes"))
    }

    /// What cannot be taken apart: some part of the other side must have the same, with whatever it depends on.
    fn whole(&self, wide: &Map<String, Value>, keyword: &str, given: &Given<'_>, place: &Place) -> Proved {
        let same = |other: &Map<String, Value>| match beside(keyword) {
            [] => {
                wide == other
                    && wide
                        .iter()
                        .all(|(name, value)| other.get(name).is_some_and(|o| self.are_same(value, o)))
            }
            together => together.iter().all(|name| match (wide.get(*name), other.get(*name)) {
                (None, None) => true,
                (Some(wide), Some(other)) => self.are_same(wide, other),
                _ => false,
            }),
        };
        if given.conjuncts.iter().any(|other| same(other)) {
            return Ok(());
        }
        Err(place.fault("is not on the other side in the same form, so that it cannot be compared"))
    }
}

/// The keywords on which one depends, itself included; none: on any.
fn beside(keyword: &str) -> &'static [&'static str] {
    match keyword {
        "contains" | "minContains" | "maxContains" => &["contains", "minContains", "maxContains"],
        "if" | "then" | "else" => &["if", "then", "else"],
        "not" => &["not"],
        "oneOf" => &["oneOf"],
        "format" => &["format"],
        "dependentRequired" => &["dependentRequired"],
        "dependentSchemas" => &["dependentSchemas"],
        "contentEncoding" => &["contentEncoding"],
        "contentMediaType" => &["contentMediaType"],
        _ => &[],
    }
}

fn types(value: &Value, given: &Given<'_>, place: &Place) -> Proved {
    let wide = named_types(value);
    let taken = |ty: &str| wide.contains(&ty) || (ty == "integer" && wide.contains(&"number"));
    match given.types().into_iter().find(|ty| !taken(ty)) {
        None => Ok(()),
        Some(ty) => Err(place.fault(format!("takes no {ty}, and the other side does"))),
    }
}

fn enumerated(values: &[Value], given: &Given<'_>, place: &Place) -> Proved {
    let Some(theirs) = given.values() else {
        return Err(place.fault("takes these values only, and the other side takes others"));
    };
    match theirs.into_iter().find(|value| !values.contains(value)) {
        None => Ok(()),
        Some(value) => Err(place.fault(format!("does not take {value}, and the other side does"))),
    }
}
