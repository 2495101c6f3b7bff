//! The port: what keeps tuples and answers checks.

use std::{collections::BTreeSet, fmt, time::Duration};

use async_trait::async_trait;

use crate::{
    Schema,
    schema::Undeclared,
    tuple::{Name, Object, Subject, SubjectSet, Tuple},
};

/// The most tuples in one [`Changes`].
pub const CHANGES_MAX: usize = 1_000;
/// The most questions in one [`Authorizer::check_all`]. Keto's own limit is 10 unless its configuration says otherwise;
/// the adapter asks in such portions.
pub const QUESTIONS_MAX: usize = 1_000;
/// The most tuples on one page of [`Authorizer::list`].
pub const PAGE_MAX: usize = 1_000;

/// Keeps relation tuples and says what follows from them. Adapters: [`Embedded`](crate::Embedded), and, with the feature
/// `keto`, `Keto`; one suite of cases holds for both.
#[async_trait]
pub trait Authorizer: Send + Sync + fmt::Debug {
    /// Whether the subject has the relation, by a tuple or by what the schema makes of tuples. A check that a limit cut
    /// short is a "no".
    ///
    /// # Errors
    /// If the question names what the schema does not declare, or cannot be answered now.
    async fn check(&self, question: &Tuple) -> Result<bool, Error>;

    /// As many checks, answered in their order.
    ///
    /// # Errors
    /// As [`check`](Self::check) of any of them, and if there are more than [`QUESTIONS_MAX`].
    async fn check_all(&self, questions: &[Tuple]) -> Result<Vec<bool>, Error>;

    /// The tuples that match, a page at a time: only those that are there, not what follows from them.
    ///
    /// # Errors
    /// If the query names what the schema does not declare, its cursor is none, or it cannot be answered now.
    async fn list(&self, query: &Query, page: Page) -> Result<Listed, Error>;

    /// Who is in a set by tuples, followed through further sets to the depth given (at least 1) or the adapter's own
    /// limit, whichever is less. Rewrites are not followed.
    ///
    /// # Errors
    /// If the set is not declared, or it cannot be answered now.
    async fn expand(&self, set: &SubjectSet, depth: u8) -> Result<Tree, Error>;

    /// Makes changes, all or none. To add what is there, or take away what is not, changes nothing.
    ///
    /// # Errors
    /// If a new tuple names what the schema does not declare, there are more than [`CHANGES_MAX`], or it cannot be done
    /// now.
    async fn apply(&self, changes: Changes) -> Result<(), Error>;

    /// Takes away every tuple that matches; not all at once if there are many.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    async fn delete_all(&self, query: &Query) -> Result<(), Error>;
}

/// Tuples to add and to take away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// To be there.
    pub insert: BTreeSet<Tuple>,
    /// Not to be there. A tuple in both is there afterwards.
    pub delete: BTreeSet<Tuple>,
}

impl Changes {
    /// What makes `new` of `old`.
    #[must_use]
    pub fn between(old: &BTreeSet<Tuple>, new: &BTreeSet<Tuple>) -> Self {
        Self {
            insert: new.difference(old).cloned().collect(),
            delete: old.difference(new).cloned().collect(),
        }
    }

    /// Portions of at most [`CHANGES_MAX`], additions first, so that nobody loses in between what they keep.
    #[must_use]
    pub fn in_portions(self) -> Vec<Self> {
        let portion = |insert: Vec<_>, delete: Vec<_>| Self {
            insert: insert.into_iter().collect(),
            delete: delete.into_iter().collect(),
        };
        let (insert, delete): (Vec<_>, Vec<_>) =
            (self.insert.into_iter().collect(), self.delete.into_iter().collect());
        let inserts = insert.chunks(CHANGES_MAX).map(|chunk| portion(chunk.to_vec(), vec![]));
        let deletes = delete.chunks(CHANGES_MAX).map(|chunk| portion(vec![], chunk.to_vec()));
        inserts.chain(deletes).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.insert.len() + self.delete.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.insert.is_empty() && self.delete.is_empty()
    }
}

/// Which tuples: those in which each part given is equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The object's namespace.
    pub namespace: Option<Name>,
    /// The object's id; its namespace must be given too.
    pub object: Option<crate::Id>,
    /// The relation.
    pub relation: Option<Name>,
    /// The subject.
    pub subject: Option<Subject>,
}

impl Query {
    /// All that is said of an object.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        Self { namespace: Some(object.namespace.clone()), object: Some(object.id.clone()), ..Self::default() }
    }

    /// Who is in a set.
    #[must_use]
    pub fn in_set(set: &SubjectSet) -> Self {
        Self { relation: Some(set.relation.clone()), ..Self::of(&set.object) }
    }

    /// All that is said about a subject.
    #[must_use]
    pub fn about(subject: Subject) -> Self {
        Self { subject: Some(subject), ..Self::default() }
    }

    /// The set it is about, where it names object and relation.
    pub(crate) fn set(&self) -> Option<SubjectSet> {
        let object = Object { namespace: self.namespace.clone()?, id: self.object.clone()? };
        Some(SubjectSet { object, relation: self.relation.clone()? })
    }

    pub(crate) fn matches_set(&self, set: &SubjectSet) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == set.object.namespace)
            && self.object.as_ref().is_none_or(|id| *id == set.object.id)
            && self.relation.as_ref().is_none_or(|relation| *relation == set.relation)
    }

    pub(crate) fn matches(&self, tuple: &Tuple) -> bool {
        self.matches_set(&tuple.set())
            && self.subject.as_ref().is_none_or(|subject| *subject == tuple.subject)
    }
}

impl Schema {
    pub(crate) fn check_query(&self, query: &Query) -> Result<(), Error> {
        match (&query.namespace, &query.relation) {
            (Some(namespace), Some(relation)) => self.check_relation(namespace, relation)?,
            (Some(namespace), None) => self.check_namespace(namespace)?,
            (None, _) if query.object.is_some() => return Err(Error::ObjectWithoutNamespace),
            (None, _) => {}
        }
        Ok(())
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Where to go on; from the beginning when absent. Only the adapter that gave it understands it.
    pub cursor: Option<String>,
    /// At most so many tuples; 0, or more than [`PAGE_MAX`]: [`PAGE_MAX`].
    pub limit: usize,
}

impl Page {
    pub(crate) fn size(&self) -> usize {
        if self.limit == 0 { PAGE_MAX } else { self.limit.min(PAGE_MAX) }
    }
}

/// A page of tuples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The tuples, in the adapter's order.
    pub tuples: Vec<Tuple>,
    /// Where the next page begins, if there may be more.
    pub next: Option<String>,
}

/// Who is in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The set itself, or one of its members.
    pub subject: Subject,
    /// Its members; none for one who is no set, for an empty set, for one that stands above itself, and where the depth
    /// was reached.
    pub children: Vec<Tree>,
}

impl Tree {
    /// Everybody in it who is no set.
    #[must_use]
    pub fn leaves(&self) -> BTreeSet<Subject> {
        let mut leaves = BTreeSet::new();
        self.gather(&mut leaves);
        leaves
    }

    fn gather(&self, leaves: &mut BTreeSet<Subject>) {
        if !matches!(self.subject, Subject::Set(_)) {
            leaves.insert(self.subject.clone());
        }
        for child in &self.children {
            child.gather(leaves);
        }
    }
}

/// Why an authorizer gives no answer. It is never a "yes", nor is it a "no" to be remembered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The tuple or query speaks of what the schema does not have.
    #[error(transparent)]
    Undeclared(#[from] Undeclared),
    /// More at once than is taken.
    #[error("{given} {what} at once are more than {max}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        given: usize,
        /// The most.
        max: usize,
    },
    /// A cursor that no list gave.
    #[error("the cursor is not one that a list of this authorizer gave")]
    Cursor,
    /// An object id without the namespace it is in.
    #[error("a query that names an object's id must name its namespace")]
    ObjectWithoutNamespace,
    /// The server cannot be reached, or is too slow; it was asked again until the time was up.
    #[error("the authorization server did not answer within {}: {why}", seconds(*.within))]
    Unavailable {
        /// How long it was tried.
        within: Duration,
        /// The last answer.
        why: String,
    },
    /// The server answered that it will not.
    #[error("the authorization server refused: {0}")]
    Refused(String),
    /// The server's answer makes no sense.
    #[error("the authorization server's answer is not understood: {0}")]
    Answer(String),
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

pub(crate) fn at_most(what: &'static str, given: usize, max: usize) -> Result<(), Error> {
    if given > max { Err(Error::TooMany { what, given, max }) } else { Ok(()) }
}
