//! The cases: worlds of tuples that know nothing of each other, and what follows from them.

use std::collections::BTreeSet;

use libtest_mimic::Failed;
use relations::{Authorizer, Tuple};

use crate::{
    product::{custom_roles, every_role, roles},
    wait,
};

pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) tuples: BTreeSet<Tuple>,
    pub(crate) cases: Vec<Case>,
}

pub(crate) struct Case {
    pub(crate) title: String,
    question: Tuple,
    expected: bool,
}

impl Case {
    pub(crate) fn new(question: Tuple, expected: bool) -> Self {
        Self { title: format!("{question} {}", if expected { "yes" } else { "no" }), question, expected }
    }

    pub(crate) fn run(&self, authorizer: &dyn Authorizer) -> Result<(), Failed> {
        let alone = wait(authorizer.check(&self.question)).map_err(|e| e.to_string())?;
        let together = wait(authorizer.check_all(&[self.question.clone(), self.question.clone()]));
        let together = together.map_err(|e| e.to_string())?;
        if alone != self.expected || together != [self.expected; 2] {
            return Err(format!("alone {alone}, among others {together:?}").into());
        }
        Ok(())
    }
}

pub(crate) fn all() -> Vec<World> {
    let mut worlds: Vec<World> = PLAIN.iter().map(plain).collect();
    worlds.extend([many(), chains(), roles(), custom_roles(), every_role()]);
    worlds
}

type Plain = (&'static str, &'static [&'static str], &'static [(&'static str, bool)]);

fn plain((name, tuples, cases): &Plain) -> World {
    let parse = |text: &str| text.parse::<Tuple>().unwrap();
    World {
        name,
        tuples: tuples.iter().map(|text| parse(text)).collect(),
        cases: cases.iter().map(|(text, expected)| Case::new(parse(text), *expected)).collect(),
    }
}

const PLAIN: &[Plain] = &[
    (
        "the seed's tuple",
        &["api:resource:usage#access@user:alice@example.com", "resource:usage#access@user:alice@example.com"],
        &[
            ("resource:usage#access@user:alice@example.com", true),
            ("resource:usage#access@user:bob@example.com", false),
            ("resource:usage#access@user:alice@example.org", false),
            ("resource:usage#access@user:alice", false),
            ("resource:usage#access@alice@example.com", false),
            ("resource:usages#access@user:alice@example.com", false),
            ("api:resource:usage#access@user:alice@example.com", true),
            ("api:resource:usage#access@user:bob@example.com", false),
            ("api:usage#access@user:alice@example.com", false),
            ("api:resource#access@user:alice@example.com", false),
        ],
    ),
    (
        "subjects of each form",
        &[
            "resource:forms#access@bare",
            "resource:forms#access@user:named",
            "resource:forms#access@group:set#member",
            "resource:forms#access@mail@example.com",
            "resource:forms#access@user:urn:example:a@b",
            "resource:forms#access@user:Ünïcode",
            "resource:forms#access@user:it's-\"quoted\"%",
        ],
        &[
            ("resource:forms#access@bare", true),
            ("resource:forms#access@user:bare", false),
            ("resource:forms#access@named", false),
            ("resource:forms#access@user:named", true),
            ("resource:forms#access@group:named", false),
            ("resource:forms#access@group:set#member", true),
            ("resource:forms#access@group:set", false),
            ("resource:forms#access@set", false),
            ("resource:forms#access@mail@example.com", true),
            ("resource:forms#access@user:urn:example:a@b", true),
            ("resource:forms#access@user:urn:example:a", false),
            ("resource:forms#access@user:Ünïcode", true),
            ("resource:forms#access@user:ünïcode", false),
            ("resource:forms#access@user:it's-\"quoted\"%", true),
            ("resource:forms#access@user:BARE", false),
            ("resource:Forms#access@bare", false),
        ],
    ),
    (
        "groups in groups",
        &[
            "resource:plant#access@group:staff#member",
            "group:staff#member@group:night#member",
            "group:night#member@group:guards#member",
            "group:guards#member@user:gus",
            "group:night#member@user:nora",
            "group:staff#member@user:stan",
            "group:empty#member@group:void#member",
            "resource:vault#access@group:empty#member",
            "resource:gate#access@group:staff",
        ],
        &[
            ("resource:plant#access@user:stan", true),
            ("resource:plant#access@user:nora", true),
            ("resource:plant#access@user:gus", true),
            ("resource:plant#access@user:eve", false),
            ("resource:plant#access@group:guards#member", true),
            ("resource:plant#access@group:guards", false),
            ("group:staff#member@user:gus", true),
            ("group:guards#member@user:stan", false),
            ("resource:vault#access@user:stan", false),
            ("resource:gate#access@user:stan", false),
            ("resource:gate#access@group:staff", true),
        ],
    ),
    (
        "cycles",
        &[
            "group:a#member@group:b#member",
            "group:b#member@group:c#member",
            "group:c#member@group:a#member",
            "group:b#member@user:bea",
            "group:self#member@group:self#member",
            "group:self#member@user:sam",
            "folder:egg#parent@folder:hen",
            "folder:hen#parent@folder:egg",
            "folder:hen#viewer@user:henry",
        ],
        &[
            ("group:a#member@user:bea", true),
            ("group:c#member@user:bea", true),
            ("group:a#member@user:eve", false),
            ("group:self#member@user:sam", true),
            ("group:self#member@user:eve", false),
            ("folder:egg#read@user:henry", true),
            ("folder:hen#read@user:henry", true),
            ("folder:egg#read@user:eve", false),
        ],
    ),
    (
        "rewrites",
        &[
            "doc:plan#owner@user:olga",
            "doc:plan#viewer@group:readers#member",
            "group:readers#member@user:rita",
            "doc:plan#parent@folder:inner",
            "folder:inner#parent@folder:outer",
            "folder:inner#viewer@user:ines",
            "folder:outer#viewer@group:outsiders#member",
            "group:outsiders#member@user:otto",
            "doc:plan#edit@user:direct",
            "doc:other#viewer@user:victor",
        ],
        &[
            ("doc:plan#owner@user:olga", true),
            ("doc:plan#edit@user:olga", true),
            ("doc:plan#read@user:olga", true),
            ("doc:plan#viewer@user:olga", false),
            ("doc:plan#read@user:rita", true),
            ("doc:plan#edit@user:rita", false),
            ("doc:plan#read@user:ines", true),
            ("doc:plan#viewer@user:ines", false),
            ("doc:plan#read@user:otto", true),
            ("doc:plan#edit@user:otto", false),
            ("folder:inner#read@user:otto", true),
            ("folder:outer#read@user:ines", false),
            ("doc:plan#edit@user:direct", true),
            ("doc:plan#read@user:direct", true),
            ("doc:plan#owner@user:direct", false),
            ("doc:plan#read@user:victor", false),
            ("doc:plan#read@group:readers#member", true),
            ("doc:plan#parent@folder:inner", true),
            ("doc:plan#parent@folder:outer", false),
            ("doc:nowhere#read@user:olga", false),
        ],
    ),
];

/// A group of many, and many groups on one resource.
fn many() -> World {
    let mut tuples = BTreeSet::new();
    for n in 0..150 {
        tuples.insert(format!("group:many#member@user:m{n}").parse().unwrap());
        tuples.insert(format!("resource:hall#access@group:g{n}#member").parse().unwrap());
        tuples.insert(format!("group:g{n}#member@user:h{n}").parse().unwrap());
    }
    let cases = [
        ("group:many#member@user:m0", true),
        ("group:many#member@user:m149", true),
        ("group:many#member@user:m150", false),
        ("resource:hall#access@user:h0", true),
        ("resource:hall#access@user:h149", true),
        ("resource:hall#access@user:m1", false),
    ];
    let cases = cases.map(|(text, expected)| Case::new(text.parse().unwrap(), expected));
    World { name: "many", tuples, cases: cases.into() }
}

/// Chains that end before any limit, and one that goes beyond each.
fn chains() -> World {
    let mut tuples = BTreeSet::new();
    for (name, length) in [("short", 3), ("long", 10), ("endless", 60)] {
        for n in 0..length {
            tuples.insert(format!("group:{name}{n}#member@group:{name}{}#member", n + 1).parse().unwrap());
        }
        tuples.insert(format!("group:{name}{length}#member@user:last").parse().unwrap());
    }
    let cases = [
        ("group:short0#member@user:last", true),
        ("group:long0#member@user:last", true),
        ("group:endless0#member@user:last", false),
        ("group:endless55#member@user:last", true),
    ];
    let cases = cases.map(|(text, expected)| Case::new(text.parse().unwrap(), expected));
    World { name: "chains", tuples, cases: cases.into() }
}
