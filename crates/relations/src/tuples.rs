//! An immutable set of tuples, indexed by what they say of each object and relation.

use std::{collections::BTreeSet, fmt};

use rpds::{HashTrieMapSync, HashTrieSetSync, RedBlackTreeSetSync};

use crate::{
    Query,
    tuple::{Subject, SubjectSet, Tuple},
};

/// A set of tuples. To clone it copies a pointer; to add or remove a tuple copies a path of a tree, so that whoever
/// holds an older copy goes on seeing what was.
#[derive(Clone, Default)]
pub struct Tuples {
    members: HashTrieMapSync<SubjectSet, Members>,
    len: usize,
}

/// Who is in a subject set by a tuple.
#[derive(Clone, Default)]
struct Members {
    /// Looked up, never followed.
    alone: HashTrieSetSync<Subject>,
    /// Followed by checks; in order, so that a check cut short is always cut short at the same place.
    sets: RedBlackTreeSetSync<SubjectSet>,
}

impl Members {
    fn contains(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Set(set) => self.sets.contains(set),
            alone => self.alone.contains(alone),
        }
    }

    fn iter(&self) -> impl Iterator<Item = Subject> {
        self.alone.iter().cloned().chain(self.sets.iter().cloned().map(Subject::Set))
    }

    fn is_empty(&self) -> bool {
        self.alone.is_empty() && self.sets.is_empty()
    }
}

impl Tuples {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a tuple; says whether it is new.
    pub fn insert(&mut self, tuple: Tuple) -> bool {
        let set = tuple.set();
        let mut members = self.members.get(&set).cloned().unwrap_or_default();
        if members.contains(&tuple.subject) {
            return false;
        }
        match tuple.subject {
            Subject::Set(inner) => members.sets.insert_mut(inner),
            alone => members.alone.insert_mut(alone),
        }
        self.members.insert_mut(set, members);
        self.len += 1;
        true
    }

    /// Takes a tuple away; says whether it was there.
    pub fn remove(&mut self, tuple: &Tuple) -> bool {
        let set = tuple.set();
        let Some(mut members) = self.members.get(&set).cloned() else { return false };
        let was_there = match &tuple.subject {
            Subject::Set(inner) => members.sets.remove_mut(inner),
            alone => members.alone.remove_mut(alone),
        };
        if !was_there {
            return false;
        }
        if members.is_empty() {
            self.members.remove_mut(&set);
        } else {
            self.members.insert_mut(set, members);
        }
        self.len -= 1;
        true
    }

    /// Whether exactly this tuple is there.
    #[must_use]
    pub fn contains(&self, tuple: &Tuple) -> bool {
        self.holds(&tuple.set(), &tuple.subject)
    }

    pub(crate) fn holds(&self, set: &SubjectSet, subject: &Subject) -> bool {
        self.members.get(set).is_some_and(|members| members.contains(subject))
    }

    /// The subject sets put into a set, in order.
    pub(crate) fn sets_in(&self, set: &SubjectSet) -> impl Iterator<Item = &SubjectSet> {
        self.members.get(set).into_iter().flat_map(|members| members.sets.iter())
    }

    /// Everybody put into a set by a tuple, in order.
    pub(crate) fn members_of(&self, set: &SubjectSet) -> BTreeSet<Subject> {
        self.members.get(set).into_iter().flat_map(Members::iter).collect()
    }

    /// The tuples, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Tuple> + '_ {
        self.members.iter().flat_map(|(set, members)| tuples_of(set, members))
    }

    /// The tuples a query asks for, in no order. One that names object and relation looks them up; any other goes through
    /// all sets.
    pub(crate) fn find(&self, query: &Query) -> Vec<Tuple> {
        let (one, all) = match query.set() {
            Some(set) => (self.members.get_key_value(&set), None),
            None => (None, Some(self.members.iter())),
        };
        let sets = one.into_iter().chain(all.into_iter().flatten());
        let sets = sets.filter(|(set, _)| query.matches_set(set));
        sets.flat_map(|(set, members)| tuples_of(set, members)).filter(|t| query.matches(t)).collect()
    }
}

fn tuples_of(set: &SubjectSet, members: &Members) -> impl Iterator<Item = Tuple> + use<> {
    let SubjectSet { object, relation } = set.clone();
    let members: Vec<Subject> = members.iter().collect();
    members.into_iter().map(move |subject| Tuple {
        object: object.clone(),
        relation: relation.clone(),
        subject,
    })
}

impl FromIterator<Tuple> for Tuples {
    fn from_iter<I: IntoIterator<Item = Tuple>>(tuples: I) -> Self {
        let mut all = Self::default();
        all.extend(tuples);
        all
    }
}

impl Extend<Tuple> for Tuples {
    fn extend<I: IntoIterator<Item = Tuple>>(&mut self, tuples: I) {
        for tuple in tuples {
            self.insert(tuple);
        }
    }
}

impl fmt::Debug for Tuples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tuples({})", self.len)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn tuple(n: u16) -> Tuple {
        let subject = match n % 3 {
            0 => format!("user{n}"),
            1 => format!("user:{n}"),
            _ => format!("group:{n}#member"),
        };
        format!("doc:{}#r{}@{subject}", n % 7, n % 2).parse().unwrap()
    }

    proptest! {
        #[test]
        fn holds_what_a_set_holds(steps in prop::collection::vec((any::<bool>(), 0..60_u16), 0..200)) {
            let mut tuples = Tuples::default();
            let mut expected = BTreeSet::new();
            let mut copies = Vec::new();
            for (insert, n) in steps {
                let tuple = tuple(n);
                if insert {
                    prop_assert_eq!(tuples.insert(tuple.clone()), expected.insert(tuple));
                } else {
                    prop_assert_eq!(tuples.remove(&tuple), expected.remove(&tuple));
                }
                copies.push((tuples.clone(), expected.clone()));
            }
            // Also the copies taken on the way hold what they held then.
            for (tuples, expected) in copies {
                prop_assert_eq!(tuples.len(), expected.len());
                prop_assert_eq!(tuples.is_empty(), expected.is_empty());
                prop_assert_eq!(tuples.iter().collect::<BTreeSet<_>>(), expected.clone());
                for n in 0..60 {
                    prop_assert_eq!(tuples.contains(&tuple(n)), expected.contains(&tuple(n)));
                }
            }
        }
    }
}
