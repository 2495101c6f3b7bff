//! The embedded authorizer answers as a naive evaluator does, which derives every fact there is.

use std::collections::BTreeSet;

use proptest::prelude::*;
use relations::{Decision, Limits, Object, Schema, Subject, SubjectSet, Tuple, Tuples};

use crate::SCHEMA;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("embedded: answers as a naive evaluator does", answers_as_the_naive_one),
    ("embedded: a limit takes away and never gives", limits_never_give),
    ("embedded: more tuples never take away", tuples_never_take_away),
];

/// What follows from what, said a second time: namespace, relation, and the relations (of the object itself, or of those
/// another one leads to) that it follows from.
type Rule = (&'static str, &'static str, &'static [(Option<&'static str>, &'static str)]);

const RULES: &[Rule] = &[
    ("folder", "read", &[(None, "viewer"), (Some("parent"), "read")]),
    ("doc", "edit", &[(None, "owner")]),
    (
        "doc",
        "read",
        &[(None, "edit"), (None, "viewer"), (Some("parent"), "viewer"), (Some("parent"), "read")],
    ),
];

const SETS: &[(&str, &[&str])] = &[
    ("group", &["member"]),
    ("folder", &["parent", "viewer", "read"]),
    ("doc", &["parent", "owner", "viewer", "edit", "read"]),
];

const IDS: [&str; 3] = ["1", "2", "3"];

fn set() -> impl Strategy<Value = SubjectSet> {
    let sets = SETS.iter().flat_map(|(namespace, relations)| {
        IDS.iter().flat_map(move |id| {
            relations.iter().map(move |relation| format!("{namespace}:{id}#{relation}").parse().unwrap())
        })
    });
    prop::sample::select(sets.collect::<Vec<SubjectSet>>())
}

fn subject() -> impl Strategy<Value = Subject> {
    let alone = ["bare", "user:1", "user:2", "folder:1", "folder:2", "folder:3", "group:1"];
    let alone: Vec<Subject> = alone.iter().map(|text| text.parse().unwrap()).collect();
    prop_oneof![prop::sample::select(alone), set().prop_map(Subject::Set)]
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let any = (set(), subject()).prop_map(|(SubjectSet { object, relation }, subject)| Tuple {
        object,
        relation,
        subject,
    });
    // Parents that lead somewhere, which chance alone seldom makes.
    let parents = (prop::sample::select(vec!["doc", "folder"]), 0..3_usize, 0..3_usize).prop_map(
        |(namespace, child, parent)| {
            format!("{namespace}:{}#parent@folder:{}", IDS[child], IDS[parent]).parse().unwrap()
        },
    );
    prop_oneof![3 => any, 1 => parents]
}

/// All sets that a subject is in, derived until nothing new follows.
fn naive(tuples: &BTreeSet<Tuple>, subject: &Subject) -> BTreeSet<SubjectSet> {
    let mut found: BTreeSet<SubjectSet> =
        tuples.iter().filter(|t| t.subject == *subject).map(Tuple::set).collect();
    loop {
        let before = found.len();
        for tuple in tuples {
            if matches!(&tuple.subject, Subject::Set(inner) if found.contains(inner)) {
                found.insert(tuple.set());
            }
        }
        for (namespace, relation, follows) in RULES {
            for id in IDS {
                let object = Object::new(namespace, id).unwrap();
                let of = |object: &Object, relation: &str| SubjectSet {
                    object: object.clone(),
                    relation: relation.parse().unwrap(),
                };
                let has = follows.iter().any(|(path, other)| match path {
                    None => found.contains(&of(&object, other)),
                    Some(path) => tuples.iter().any(|t| {
                        t.set() == of(&object, path)
                            && t.subject.object().is_some_and(|o| found.contains(&of(o, other)))
                    }),
                });
                if has {
                    found.insert(of(&object, relation));
                }
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn schema() -> &'static Schema {
    &SCHEMA
}

const UNLIMITED: Limits = Limits { depth_max: u8::MAX, breadth_max: usize::MAX, visits_max: usize::MAX };

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    fn answers_as_the_naive_one(
        given in prop::collection::btree_set(tuple(), 0..25),
        asked in prop::collection::vec((set(), subject()), 1..12),
    ) {
        let tuples: Tuples = given.iter().cloned().collect();
        for (SubjectSet { object, relation }, subject) in asked {
            let question = Tuple { object, relation, subject };
            let expected = naive(&given, &question.subject).contains(&question.set());
            let expected = if expected { Decision::Allowed } else { Decision::Denied };
            prop_assert_eq!(schema().decide(&tuples, &question, UNLIMITED), Ok(expected), "{}", question);
        }
    }

    fn limits_never_give(
        given in prop::collection::btree_set(tuple(), 0..25),
        question in tuple(),
        depth_max in 0..4_u8,
        breadth_max in 0..3_usize,
        visits_max in 0..6_usize,
    ) {
        let tuples: Tuples = given.into_iter().collect();
        let limited = schema().decide(&tuples, &question, Limits { depth_max, breadth_max, visits_max });
        let whole = schema().decide(&tuples, &question, UNLIMITED);
        match limited.unwrap() {
            Decision::DeniedAtLimit => {}
            seen_whole => prop_assert_eq!(Ok(seen_whole), whole),
        }
    }

    fn tuples_never_take_away(
        given in prop::collection::btree_set(tuple(), 0..25),
        more in tuple(),
        question in tuple(),
    ) {
        let mut tuples: Tuples = given.into_iter().collect();
        let before = schema().decide(&tuples, &question, UNLIMITED).unwrap();
        tuples.insert(more);
        let after = schema().decide(&tuples, &question, UNLIMITED).unwrap();
        prop_assert!(before != Decision::Allowed || after == Decision::Allowed);
    }
}
