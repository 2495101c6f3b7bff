//! Arrays.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::{Place, Proof, Proved, scalars::bounded, side::Given};

/// The schema of the item at a place: of `prefixItems`, or of all the others.
fn item(schema: &Map<String, Value>, at: usize) -> Option<&Value> {
    let prefix = schema.get("prefixItems").and_then(Value::as_array);
    prefix.and_then(|prefix| prefix.get(at)).or_else(|| schema.get("items"))
}

fn prefix_len(schema: &Map<String, Value>) -> usize {
    schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len)
}

impl<'a> Proof<'a> {
    pub(crate) fn array(
        &mut self,
        wide: &'a Map<String, Value>,
        keyword: &str,
        value: &'a Value,
        given: &Given<'a>,
        place: &Place,
    ) -> Proved {
        let proved = match keyword {
            "minItems" => value.as_u64() == Some(0) || bounded(value, given, keyword, Ordering::is_ge),
            "maxItems" => bounded(value, given, keyword, Ordering::is_le),
            "uniqueItems" => {
                *value == Value::Bool(false) || given.say(keyword).any(|v| *v == Value::Bool(true))
            }
            "prefixItems" => {
                return (0..prefix_len(wide)).try_for_each(|at| {
                    let deeper = place.at(&at.to_string());
                    item(wide, at).map_or(Ok(()), |schema| self.item(schema, at, given, &deeper))
                });
            }
            // Of every item behind this side's own prefix: those in the other's one by one, and one for all behind that.
            _ => {
                let first = prefix_len(wide);
                let last =
                    given.conjuncts.iter().map(|one| prefix_len(one)).max().unwrap_or_default().max(first);
                return (first..=last).try_for_each(|at| self.item(value, at, given, place));
            }
        };
        if proved { Ok(()) } else { Err(place.fault(format!("of {value} is narrower than the other side"))) }
    }

    fn item(&mut self, wide: &'a Value, at: usize, given: &Given<'a>, place: &Place) -> Proved {
        let theirs: Vec<&Value> = given.conjuncts.iter().filter_map(|one| item(one, at)).collect();
        self.covers(wide, &theirs, place)
    }
}
