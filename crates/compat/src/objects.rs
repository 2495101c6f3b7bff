//! Objects.

use std::{cmp::Ordering, collections::BTreeSet, sync::LazyLock};

use serde_json::{Map, Value};

use crate::{Place, Proof, Proved, scalars::bounded, side::Given};

static STRING: LazyLock<Value> = LazyLock::new(|| serde_json::json!({"type": "string"}));

fn members<'a>(schema: &'a Map<String, Value>, keyword: &str) -> Option<&'a Map<String, Value>> {
    schema.get(keyword).and_then(Value::as_object)
}

fn has_patterns(schema: &Map<String, Value>) -> bool {
    members(schema, "patternProperties").is_some_and(|patterns| !patterns.is_empty())
}

fn required<'a>(given: &Given<'a>) -> BTreeSet<&'a str> {
    given.say("required").filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect()
}

impl<'a> Proof<'a> {
    pub(crate) fn object(
        &mut self,
        wide: &'a Map<String, Value>,
        keyword: &str,
        value: &'a Value,
        given: &Given<'a>,
        place: &Place,
    ) -> Proved {
        match keyword {
            "required" => {
                let theirs = required(given);
                let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                match names.into_iter().find(|name| !theirs.contains(name)) {
                    None => Ok(()),
                    Some(name) => Err(place.fault(format!("`{name}` is required on this side only"))),
                }
            }
            "minProperties" | "maxProperties" => count(keyword, value, given, place),
            "propertyNames" => {
                // Names are strings, whatever else is said of them.
                let theirs: Vec<&Value> = given.say(keyword).chain([&*STRING]).collect();
                self.covers(value, &theirs, place)
            }
            "properties" => members(wide, keyword).into_iter().flatten().try_for_each(|(name, schema)| {
                self.covers(schema, &of_property(given, name), &place.at(name))
            }),
            "patternProperties" => {
                let same = |theirs: &Value| self.are_same(value, theirs);
                if !has_patterns(wide) || given.say(keyword).any(same) {
                    return Ok(());
                }
                Err(place.fault("is not on the other side in the same form, so that it cannot be compared"))
            }
            _ => self.additional(wide, value, given, place),
        }
    }

    /// `additionalProperties`: of each name that this side does not know, and the other side does; of what matches a pattern of
    /// the other side; and of all others.
    fn additional(
        &mut self,
        wide: &'a Map<String, Value>,
        value: &'a Value,
        given: &Given<'a>,
        place: &Place,
    ) -> Proved {
        let known = members(wide, "properties");
        let theirs = given.conjuncts.iter().filter_map(|one| members(one, "properties"));
        let names: BTreeSet<&String> = theirs.flat_map(Map::keys).collect();
        for name in names.into_iter().filter(|name| known.is_none_or(|known| !known.contains_key(*name))) {
            self.covers(value, &of_property(given, name), place).map_err(|fault| crate::Fault {
                reason: format!(
                    "`{name}`, which is known on the other side only, is not taken: {}",
                    fault.reason
                ),
                ..fault
            })?;
        }
        let patterns = given.conjuncts.iter().filter_map(|one| members(one, "patternProperties"));
        for schema in patterns.flat_map(Map::values) {
            self.covers(value, &[schema], place)?;
        }
        let others: Vec<&Value> = given.say("additionalProperties").collect();
        // Names that match a pattern were looked at; what has none is no other's.
        self.covers(value, &others, place)
    }
}

fn count(keyword: &str, value: &Value, given: &Given<'_>, place: &Place) -> Proved {
    let at_least = u64::try_from(required(given).len()).unwrap_or_default();
    let proved = match keyword {
        "minProperties" => {
            value.as_u64().is_some_and(|least| least <= at_least)
                || bounded(value, given, keyword, Ordering::is_ge)
        }
        _ => bounded(value, given, keyword, Ordering::is_le),
    };
    if proved { Ok(()) } else { Err(place.fault(format!("of {value} is narrower than the other side"))) }
}

/// What the other side says of a property of that name, whatever patterns it may match.
fn of_property<'a>(given: &Given<'a>, name: &str) -> Vec<&'a Value> {
    let each = given.conjuncts.iter().filter_map(|one| {
        let own = members(one, "properties").and_then(|known| known.get(name));
        // Whether a pattern matches is not looked at: only without patterns the others' schema holds.
        own.or_else(|| one.get("additionalProperties").filter(|_| !has_patterns(one)))
    });
    each.collect()
}
