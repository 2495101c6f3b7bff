//! Between our tuples and Keto's.

use super::wire;
use crate::{
    Error, Query, Tree,
    tuple::{InvalidTuple, Object, Subject, SubjectSet, Tuple},
};

impl From<&Subject> for wire::Subject {
    fn from(subject: &Subject) -> Self {
        let set = |object: &Object, relation: String| {
            let (namespace, object) = (object.namespace.to_string(), object.id.to_string());
            wire::subject::Ref::Set(wire::SubjectSet { namespace, object, relation })
        };
        let subject = match subject {
            Subject::Id(id) => wire::subject::Ref::Id(id.to_string()),
            Subject::Object(object) => set(object, String::new()),
            Subject::Set(inner) => set(&inner.object, inner.relation.to_string()),
        };
        Self { r#ref: Some(subject) }
    }
}

impl From<&Tuple> for wire::RelationTuple {
    fn from(tuple: &Tuple) -> Self {
        Self {
            namespace: tuple.object.namespace.to_string(),
            object: tuple.object.id.to_string(),
            relation: tuple.relation.to_string(),
            subject: Some((&tuple.subject).into()),
        }
    }
}

impl From<&Query> for wire::RelationQuery {
    fn from(query: &Query) -> Self {
        Self {
            namespace: query.namespace.as_ref().map(ToString::to_string),
            object: query.object.as_ref().map(ToString::to_string),
            relation: query.relation.as_ref().map(ToString::to_string),
            subject: query.subject.as_ref().map(Into::into),
        }
    }
}

/// Others may have written tuples that are none of ours.
fn foreign(error: &InvalidTuple) -> Error {
    Error::Answer(error.to_string())
}

impl TryFrom<wire::Subject> for Subject {
    type Error = Error;

    fn try_from(subject: wire::Subject) -> Result<Self, Error> {
        let parse = || match subject.r#ref {
            // Keto lets a bare subject hold a colon, which reads as an object everywhere else.
            Some(wire::subject::Ref::Id(id)) => Self::bare(&id),
            Some(wire::subject::Ref::Set(set)) => {
                let object = Object::new(&set.namespace, &set.object)?;
                if set.relation.is_empty() {
                    return Ok(Self::Object(object));
                }
                Ok(Self::Set(SubjectSet { object, relation: set.relation.parse()? }))
            }
            None => Self::bare(""),
        };
        parse().map_err(|error| foreign(&error))
    }
}

impl TryFrom<wire::RelationTuple> for Tuple {
    type Error = Error;

    fn try_from(tuple: wire::RelationTuple) -> Result<Self, Error> {
        let subject = tuple.subject.unwrap_or_default().try_into()?;
        let object = Object::new(&tuple.namespace, &tuple.object).map_err(|error| foreign(&error))?;
        let relation = tuple.relation.parse().map_err(|error| foreign(&error))?;
        Ok(Self { object, relation, subject })
    }
}

impl TryFrom<wire::SubjectTree> for Tree {
    type Error = Error;

    fn try_from(tree: wire::SubjectTree) -> Result<Self, Error> {
        // Only its subject says something.
        let subject = tree.tuple.and_then(|tuple| tuple.subject).unwrap_or_default().try_into()?;
        let children = tree.children.into_iter().map(Self::try_from).collect::<Result<_, _>>()?;
        Ok(Self { subject, children })
    }
}
