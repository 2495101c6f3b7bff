//! The tuples in memory, and what follows from them.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;

use crate::{
    Authorizer, Changes, Error, Listed, Page, Query, Schema, Tree, Tuples,
    authorizer::{CHANGES_MAX, QUESTIONS_MAX, at_most},
    schema::Rewrite,
    tuple::{Subject, SubjectSet, Tuple},
};

/// How far a check may go. What lies beyond is a "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sets followed one after the other, each by a tuple or a rewrite.
    pub depth_max: u8,
    /// Subject sets followed out of one set; those first in order are.
    pub breadth_max: usize,
    /// Sets looked at in one check.
    pub visits_max: usize,
}

impl Default for Limits {
    /// 16 deep, 1,000 wide, 10,000 in all: some milliseconds at worst. The roles need a depth of 3.
    fn default() -> Self {
        Self { depth_max: 16, breadth_max: 1_000, visits_max: 10_000 }
    }
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It follows from the tuples.
    Allowed,
    /// It does not.
    Denied,
    /// It does not follow from as much as a limit let be seen.
    DeniedAtLimit,
}

impl Schema {
    /// Whether a tuple is there or follows from those that are: pure, and as fast as the paths are short. Breadth
    /// first: each set is looked at once, by the shortest path to it, so that cycles end and what is
    /// found never depends on the order of tuples.
    ///
    /// # Errors
    /// If the question names what the schema does not declare.
    pub fn decide(&self, tuples: &Tuples, question: &Tuple, limits: Limits) -> Result<Decision, Error> {
        self.check(question)?;
        let mut search = Search { limits, seen: HashSet::new(), queue: VecDeque::new(), cut: false };
        search.visit(question.set(), 0);
        while let Some((set, depth)) = search.queue.pop_front() {
            if tuples.holds(&set, &question.subject) {
                return Ok(Decision::Allowed);
            }
            let next = depth.saturating_add(1);
            for rewrite in self.definition(&set).map(|d| d.rewrites.as_slice()).unwrap_or_default() {
                match rewrite {
                    Rewrite::Computed(relation) => {
                        search.visit(
                            SubjectSet { object: set.object.clone(), relation: relation.clone() },
                            next,
                        );
                    }
                    Rewrite::Through { tupleset, computed } => {
                        let path = SubjectSet { object: set.object.clone(), relation: tupleset.clone() };
                        let members = tuples.members_of(&path);
                        let objects = members.iter().filter_map(Subject::object);
                        let sets =
                            objects.map(|o| SubjectSet { object: o.clone(), relation: computed.clone() });
                        search.visit_all(sets, next);
                    }
                }
            }
            search.visit_all(tuples.sets_in(&set).cloned(), next);
        }
        Ok(if search.cut { Decision::DeniedAtLimit } else { Decision::Denied })
    }
}

struct Search {
    limits: Limits,
    seen: HashSet<SubjectSet>,
    queue: VecDeque<(SubjectSet, u8)>,
    /// Something was left out.
    cut: bool,
}

impl Search {
    fn visit(&mut self, set: SubjectSet, depth: u8) {
        if self.seen.contains(&set) {
            return;
        }
        if depth > self.limits.depth_max || self.seen.len() >= self.limits.visits_max {
            self.cut = true;
            return;
        }
        self.seen.insert(set.clone());
        self.queue.push_back((set, depth));
    }

    fn visit_all(&mut self, sets: impl Iterator<Item = SubjectSet>, depth: u8) {
        for (n, set) in sets.enumerate() {
            if n == self.limits.breadth_max {
                self.cut = true;
                return;
            }
            self.visit(set, depth);
        }
    }
}

/// Who is in a set by tuples. A set that stands above itself is not followed again.
fn expand(
    tuples: &Tuples,
    set: &SubjectSet,
    depth: u8,
    visits_left: &mut usize,
    above: &mut Vec<SubjectSet>,
) -> Tree {
    let mut children = Vec::new();
    if depth > 0 && !above.contains(set) {
        above.push(set.clone());
        for member in tuples.members_of(set) {
            if *visits_left == 0 {
                break;
            }
            *visits_left -= 1;
            children.push(match member {
                Subject::Set(inner) => expand(tuples, &inner, depth - 1, visits_left, above),
                alone => Tree { subject: alone, children: vec![] },
            });
        }
        above.pop();
    }
    Tree { subject: Subject::Set(set.clone()), children }
}

/// Tuples in the memory of this process. Readers take a snapshot without a lock; whoever derives the tuples from the
/// catalog [replaces](Self::replace) them, and each check sees one state or the other, never a mixture.
#[derive(Debug)]
pub struct Embedded {
    schema: Arc<Schema>,
    limits: Limits,
    tuples: ArcSwap<Tuples>,
    /// Held by whoever changes them.
    writing: Mutex<()>,
}

impl Embedded {
    /// One without tuples.
    #[must_use]
    pub fn new(schema: Arc<Schema>, limits: Limits) -> Self {
        Self { schema, limits, tuples: ArcSwap::default(), writing: Mutex::new(()) }
    }

    /// The tuples as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Tuples> {
        self.tuples.load_full()
    }

    /// Other tuples from now on. Those that name what the schema does not declare never answer a check.
    pub fn replace(&self, tuples: Tuples) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.tuples.store(Arc::new(tuples));
    }

    /// Makes changes of any number, without looking whether the schema declares what they name: what it does not never
    /// answers a check.
    pub fn update(&self, changes: Changes) {
        self.change(|tuples| {
            for tuple in &changes.delete {
                tuples.remove(tuple);
            }
            tuples.extend(changes.insert);
        });
    }

    /// What a check finds, without waiting.
    ///
    /// # Errors
    /// If the question names what the schema does not declare.
    pub fn decide(&self, question: &Tuple) -> Result<Decision, Error> {
        self.schema.decide(&self.tuples.load(), question, self.limits)
    }

    fn change(&self, change: impl FnOnce(&mut Tuples)) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tuples = Tuples::clone(&self.tuples.load());
        change(&mut tuples);
        self.tuples.store(Arc::new(tuples));
    }

    fn find(&self, query: &Query) -> Result<Vec<Tuple>, Error> {
        self.schema.check_query(query)?;
        Ok(self.tuples.load().find(query))
    }
}

#[async_trait]
impl Authorizer for Embedded {
    async fn check(&self, question: &Tuple) -> Result<bool, Error> {
        Ok(self.decide(question)? == Decision::Allowed)
    }

    async fn check_all(&self, questions: &[Tuple]) -> Result<Vec<bool>, Error> {
        at_most("questions", questions.len(), QUESTIONS_MAX)?;
        let tuples = self.tuples.load();
        let decide = |question| self.schema.decide(&tuples, question, self.limits);
        questions.iter().map(|question| Ok(decide(question)? == Decision::Allowed)).collect()
    }

    /// In the tuples' order. A query without object and relation goes through all tuples: for people, not for requests.
    async fn list(&self, query: &Query, page: Page) -> Result<Listed, Error> {
        let size = page.size();
        let after =
            page.cursor.map(|cursor| cursor.parse::<Tuple>().map_err(|_| Error::Cursor)).transpose()?;
        let found: BTreeSet<Tuple> = self.find(query)?.into_iter().collect();
        let rest = found.into_iter().filter(|tuple| after.as_ref().is_none_or(|after| tuple > after));
        let mut tuples: Vec<Tuple> = rest.take(size + 1).collect();
        let more = tuples.len() > size;
        tuples.truncate(size);
        let next = tuples.last().filter(|_| more).map(Tuple::to_string);
        Ok(Listed { tuples, next })
    }

    async fn expand(&self, set: &SubjectSet, depth: u8) -> Result<Tree, Error> {
        self.schema.check_relation(&set.object.namespace, &set.relation)?;
        let depth = depth.clamp(1, self.limits.depth_max);
        let mut visits_left = self.limits.visits_max;
        Ok(expand(&self.tuples.load(), set, depth, &mut visits_left, &mut Vec::new()))
    }

    async fn apply(&self, changes: Changes) -> Result<(), Error> {
        at_most("changes", changes.len(), CHANGES_MAX)?;
        changes.insert.iter().try_for_each(|tuple| self.schema.check(tuple))?;
        self.update(changes);
        Ok(())
    }

    async fn delete_all(&self, query: &Query) -> Result<(), Error> {
        self.schema.check_query(query)?;
        self.change(|tuples| {
            for tuple in tuples.find(query) {
                tuples.remove(&tuple);
            }
        });
        Ok(())
    }
}
