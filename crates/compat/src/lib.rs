//! Whether one JSON Schema (2020-12) takes everything that another one takes. Pure.
//!
//! Invariant: what [`takes_all`] proves is so. What it cannot prove is refused with its place, although it may be so: a
//! keyword that it does not know has to be the same on both sides, and so has everything that it depends on.
//!
//! ```
//! use serde_json::json;
//!
//! let old = json!({"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]});
//! let new = json!({"type": "object", "properties": {"amount": {"type": "number"}}});
//! assert!(compat::takes_all(&new, &old).is_ok());
//! let fault = compat::takes_all(&old, &new).unwrap_err();
//! assert_eq!(fault.pointer, "/properties/amount/type");
//! assert_eq!(fault.reason, "takes no number, and the other side does");
//! ```

mod arrays;
mod keywords;
mod objects;
mod scalars;
mod side;

use serde_json::{Map, Value};

use self::side::{Given, Side};

/// How deep schemas may lie in each other, references included, before nothing is proved of them.
const DEPTH_MAX: usize = 48;
/// How many steps one proof may take: alternatives within alternatives multiply.
const STEPS_MAX: usize = 20_000;

const TOO_DEEP: &str = "is too deep, refers to itself or has too many alternatives to be compared";

/// The first place at which nothing could be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer into the schema that should take everything.
    pub pointer: String,
    /// Why, as the end of a sentence that begins with that place.
    pub reason: String,
}

/// Proves that whatever is valid by `narrow` is valid by `wide`.
///
/// # Errors
/// The first place of `wide` of which that is not so, or cannot be told.
pub fn takes_all(wide: &Value, narrow: &Value) -> Result<(), Fault> {
    let (wide, narrow) = (Side::new(wide), Side::new(narrow));
    let roots_are_same = wide.root == narrow.root;
    let definitions_are_same = wide.has_definitions_of(&narrow);
    let mut proof = Proof { wide, narrow, roots_are_same, definitions_are_same, steps: 0 };
    proof.covers(wide.root, &[narrow.root], &Place { pointer: String::new(), depth: 0 })
}

/// Where in the wide schema the proof is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pointer: String,
    depth: usize,
}

impl Place {
    /// A member further down.
    pub(crate) fn at(&self, member: &str) -> Self {
        let member = member.replace('~', "~0").replace('/', "~1");
        Self { pointer: format!("{}/{member}", self.pointer), depth: self.depth + 1 }
    }

    /// Whether it is a member of the whole schema.
    pub(crate) fn is_at_root(&self) -> bool {
        self.depth <= 1
    }

    pub(crate) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault { pointer: self.pointer.clone(), reason: reason.into() }
    }
}

pub(crate) type Proved = Result<(), Fault>;

pub(crate) struct Proof<'a> {
    wide: Side<'a>,
    narrow: Side<'a>,
    roots_are_same: bool,
    definitions_are_same: bool,
    steps: usize,
}

impl<'a> Proof<'a> {
    /// That `wide` takes all that every one of `narrow` takes.
    pub(crate) fn covers(&mut self, wide: &'a Value, narrow: &[&'a Value], place: &Place) -> Proved {
        if place.depth > DEPTH_MAX {
            return Err(place.fault(TOO_DEEP));
        }
        let takes_anything = match wide {
            Value::Bool(takes) => *takes,
            Value::Object(schema) => schema.is_empty(),
            _ => false,
        };
        if takes_anything || narrow.iter().any(|one| self.are_same(wide, one)) {
            return Ok(());
        }
        let given = self.narrow.given(narrow, place)?;
        self.covers_given(wide, &given, place)
    }

    /// The same, of what is known already.
    pub(crate) fn covers_given(&mut self, wide: &'a Value, given: &Given<'a>, place: &Place) -> Proved {
        self.steps += 1;
        if place.depth > DEPTH_MAX || self.steps > STEPS_MAX {
            return Err(place.fault(TOO_DEEP));
        }
        if given.is_nothing() {
            return Ok(());
        }
        let direct = match wide {
            Value::Bool(true) => return Ok(()),
            Value::Object(schema) => self.covers_object(schema, given, place),
            _ => Err(place.fault("takes nothing, where the other side takes something")),
        };
        let Err(fault) = direct else { return Ok(()) };
        // Whatever the narrow side takes is taken by one of its alternatives: each may be proved for itself.
        let Some((at, alternatives)) = given.split() else { return Err(fault) };
        let deeper = Place { depth: place.depth + 1, ..place.clone() };
        for alternative in alternatives {
            let mut one = given.without_split(at);
            self.narrow.gather(alternative, &mut one, 0, place)?;
            self.covers_given(wide, &one, &deeper)?;
        }
        Ok(())
    }

    fn covers_object(&mut self, wide: &'a Map<String, Value>, given: &Given<'a>, place: &Place) -> Proved {
        for (keyword, value) in wide {
            self.keyword(wide, keyword, value, given, &place.at(keyword))?;
        }
        Ok(())
    }

    /// Whether two schemas are the same text, and so is whatever they refer to.
    pub(crate) fn are_same(&self, wide: &Value, narrow: &Value) -> bool {
        wide == narrow
            && (self.roots_are_same
                || !side::refers(wide)
                || (self.definitions_are_same && side::refers_only_to_definitions(wide)))
    }
}
