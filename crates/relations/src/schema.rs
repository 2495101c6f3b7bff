//! What relations there are, and which follow from others: the part of Zanzibar's configuration that roles need.
//! Only unions: a relation that one more tuple could take away would make every cut-off check a guess.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::tuple::{InvalidTuple, Name, SubjectSet, Tuple};

/// Namespaces and their relations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    pub(crate) namespaces: BTreeMap<Name, Namespace>,
}

/// The relations of a namespace. Without any, its objects are subjects only.
pub(crate) type Namespace = BTreeMap<Name, Definition>;

/// A relation: those who have it by a tuple, and those who have it by one of its rewrites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    /// Who is meant to have it by a tuple; told to Keto's type checker, not enforced.
    pub(crate) types: Vec<SubjectType>,
    pub(crate) rewrites: Vec<Rewrite>,
}

/// What kind of subject a relation is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SubjectType {
    Object(Name),
    Set(Name, Name),
}

/// Who else has a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// Whoever has another relation to the same object (a computed subject set).
    Computed(Name),
    /// Whoever has `computed` to an object that `tupleset` leads to (a tuple to subject set).
    Through { tupleset: Name, computed: Name },
}

/// Why a schema makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchema {
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] InvalidTuple),
    /// The same twice.
    #[error("{0} is declared twice")]
    Twice(String),
    /// Nobody is said to have it.
    #[error("{0} has neither types nor rewrites")]
    Nobody(String),
    /// What it names is not there.
    #[error("{relation} refers to {missing}, which is not declared")]
    Missing {
        /// Which relation refers to it.
        relation: String,
        /// What is not there.
        missing: String,
    },
    /// A path leads through a relation that has rewrites, which Keto does not follow.
    #[error("{relation} leads through {through}, which must have tuples only")]
    ThroughRewritten {
        /// The relation with the path.
        relation: String,
        /// What it leads through.
        through: String,
    },
}

impl Schema {
    /// Begins one without namespaces.
    #[must_use]
    pub fn builder() -> Builder {
        Builder { schema: Self { namespaces: BTreeMap::new() }, failed: None }
    }

    pub(crate) fn definition(&self, set: &SubjectSet) -> Option<&Definition> {
        self.namespaces.get(&set.object.namespace)?.get(&set.relation)
    }

    /// Insists that a tuple speaks of what is declared: a slip of the pen is an error, not a "no".
    pub(crate) fn check(&self, tuple: &Tuple) -> Result<(), Undeclared> {
        self.check_relation(&tuple.object.namespace, &tuple.relation)?;
        match &tuple.subject {
            crate::Subject::Id(_) => Ok(()),
            crate::Subject::Object(object) => self.check_namespace(&object.namespace),
            crate::Subject::Set(set) => self.check_relation(&set.object.namespace, &set.relation),
        }
    }

    pub(crate) fn check_namespace(&self, namespace: &Name) -> Result<(), Undeclared> {
        if self.namespaces.contains_key(namespace) {
            Ok(())
        } else {
            Err(Undeclared(format!("the namespace {namespace}")))
        }
    }

    pub(crate) fn check_relation(&self, namespace: &Name, relation: &Name) -> Result<(), Undeclared> {
        self.check_namespace(namespace)?;
        let known = self.namespaces.get(namespace).is_some_and(|n| n.contains_key(relation));
        if known { Ok(()) } else { Err(Undeclared(format!("the relation {namespace}#{relation}"))) }
    }
}

/// A tuple speaks of a namespace or relation that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not declared")]
pub struct Undeclared(String);

/// Puts a schema together; [`build`](Self::build) says what is wrong with it.
#[derive(Debug)]
pub struct Builder {
    schema: Schema,
    failed: Option<InvalidSchema>,
}

impl Builder {
    /// A namespace whose objects are subjects only, such as users.
    #[must_use]
    pub fn namespace(mut self, name: &str) -> Self {
        self.attempt(|schema| {
            if schema.namespaces.insert(name.parse()?, Namespace::new()).is_some() {
                return Err(InvalidSchema::Twice(name.to_owned()));
            }
            Ok(())
        });
        self
    }

    /// A relation to objects of a declared namespace, given by tuples to subjects of `types`: `user`, or
    /// `group#member`.
    #[must_use]
    pub fn relation(self, namespace: &str, relation: &str, types: &[&str]) -> Self {
        self.define(namespace, relation, types, &[])
    }

    /// A relation that follows from others: `viewer` (of the same object), or `parent->viewer` (of whatever `parent`
    /// leads to). Tuples may give it too.
    #[must_use]
    pub fn rewritten(self, namespace: &str, relation: &str, rewrites: &[&str]) -> Self {
        self.define(namespace, relation, &[], rewrites)
    }

    fn define(mut self, namespace: &str, relation: &str, types: &[&str], rewrites: &[&str]) -> Self {
        self.attempt(|schema| {
            let types = types.iter().map(|text| match text.split_once('#') {
                None => Ok(SubjectType::Object(text.parse()?)),
                Some((namespace, relation)) => Ok(SubjectType::Set(namespace.parse()?, relation.parse()?)),
            });
            let rewrites = rewrites.iter().map(|text| match text.split_once("->") {
                None => Ok(Rewrite::Computed(text.parse()?)),
                Some((tupleset, computed)) => {
                    Ok(Rewrite::Through { tupleset: tupleset.parse()?, computed: computed.parse()? })
                }
            });
            let definition = Definition {
                types: types.collect::<Result<_, InvalidTuple>>()?,
                rewrites: rewrites.collect::<Result<_, InvalidTuple>>()?,
            };
            let full = format!("{namespace}#{relation}");
            if definition.types.is_empty() && definition.rewrites.is_empty() {
                return Err(InvalidSchema::Nobody(full));
            }
            let Some(relations) = schema.namespaces.get_mut(&namespace.parse()?) else {
                return Err(InvalidSchema::Missing { relation: full, missing: namespace.to_owned() });
            };
            if relations.insert(relation.parse()?, definition).is_some() {
                return Err(InvalidSchema::Twice(full));
            }
            Ok(())
        });
        self
    }

    fn attempt(&mut self, step: impl FnOnce(&mut Schema) -> Result<(), InvalidSchema>) {
        if self.failed.is_none() {
            self.failed = step(&mut self.schema).err();
        }
    }

    /// The schema, once all it names is there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn build(self) -> Result<Schema, InvalidSchema> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        for (namespace, relations) in &self.schema.namespaces {
            for (relation, definition) in relations {
                self.schema.check_definition(namespace, relation, definition)?;
            }
        }
        Ok(self.schema)
    }
}

impl Schema {
    fn check_definition(
        &self,
        namespace: &Name,
        relation: &Name,
        definition: &Definition,
    ) -> Result<(), InvalidSchema> {
        let full = || format!("{namespace}#{relation}");
        let missing =
            |what: &dyn fmt::Display| InvalidSchema::Missing { relation: full(), missing: what.to_string() };
        for kind in &definition.types {
            match kind {
                SubjectType::Object(name) => self.check_namespace(name).map_err(|_| missing(name))?,
                SubjectType::Set(name, set) => {
                    self.check_relation(name, set).map_err(|_| missing(&format_args!("{name}#{set}")))?;
                }
            }
        }
        for rewrite in &definition.rewrites {
            match rewrite {
                Rewrite::Computed(other) => {
                    self.check_relation(namespace, other).map_err(|_| missing(other))?;
                }
                Rewrite::Through { tupleset, computed } => {
                    let leads = self.namespaces.get(namespace).and_then(|n| n.get(tupleset));
                    let leads = leads.ok_or_else(|| missing(tupleset))?;
                    if !leads.rewrites.is_empty() {
                        let through = tupleset.to_string();
                        return Err(InvalidSchema::ThroughRewritten { relation: full(), through });
                    }
                    for target in leads.targets() {
                        self.check_relation(target, computed)
                            .map_err(|_| missing(&format_args!("{target}#{computed}")))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Definition {
    /// The namespaces that its tuples lead to.
    pub(crate) fn targets(&self) -> BTreeSet<&Name> {
        let target = |t| match t {
            &SubjectType::Object(ref name) | &SubjectType::Set(ref name, _) => name,
        };
        self.types.iter().map(target).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_names_only_what_it_declares() {
        let good = || {
            Schema::builder()
                .namespace("user")
                .namespace("folder")
                .namespace("doc")
                .relation("folder", "reader", &["user"])
                .relation("doc", "parent", &["folder"])
        };
        assert!(good().rewritten("doc", "read", &["parent->reader"]).build().is_ok());
        let bad = [
            (good().namespace("user"), "user is declared twice"),
            (good().relation("doc", "parent", &["folder"]), "doc#parent is declared twice"),
            (good().relation("page", "parent", &["folder"]), "page#parent refers to page"),
            (good().relation("doc", "owner", &["person"]), "doc#owner refers to person"),
            (good().relation("doc", "owner", &["folder#owner"]), "doc#owner refers to folder#owner"),
            (good().rewritten("doc", "read", &["owner"]), "doc#read refers to owner"),
            (good().rewritten("doc", "read", &["owner->reader"]), "doc#read refers to owner"),
            (good().rewritten("doc", "read", &["parent->owner"]), "doc#read refers to folder#owner"),
            (
                good().rewritten("doc", "read", &["parent->reader"]).rewritten("doc", "edit", &["read->x"]),
                "doc#edit leads through read",
            ),
            (good().rewritten("doc", "re ad", &["parent"]), "namespace or relation"),
            (good().rewritten("doc", "read", &[]), "doc#read has neither"),
        ];
        for (builder, expected) in bad {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
