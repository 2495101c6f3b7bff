//! Tuples are written, listed, expanded and deleted alike by both adapters.

use std::collections::BTreeSet;

use relations::{
    Authorizer, CHANGES_MAX, Changes, Error, Page, QUESTIONS_MAX, Query, Subject, SubjectSet, Tuple,
};

use crate::wait;

type Test = fn(&'static dyn Authorizer);

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a change is seen at once, and to make it twice changes nothing", changes),
    ("changes are made all or none", atomic),
    ("lists come in pages without gaps", pages),
    ("lists are of what is asked", queries),
    ("what matches is deleted, and nothing else", deletes),
    ("a set is expanded to its depth", expands),
    ("what nobody declared is an error, not a no", undeclared),
    ("too much at once is refused", too_much),
    ("many questions are answered in order", in_order),
];

fn tuple(text: &str) -> Tuple {
    text.parse().unwrap()
}

fn set(text: &str) -> SubjectSet {
    text.parse().unwrap()
}

fn insert(texts: &[&str]) -> Changes {
    Changes { insert: texts.iter().map(|text| tuple(text)).collect(), ..Changes::default() }
}

fn delete(texts: &[&str]) -> Changes {
    Changes { delete: texts.iter().map(|text| tuple(text)).collect(), ..Changes::default() }
}

fn list(authorizer: &dyn Authorizer, query: &Query) -> Vec<Tuple> {
    let listed = wait(authorizer.list(query, Page::default())).unwrap();
    assert_eq!(listed.next, None);
    let mut tuples = listed.tuples;
    tuples.sort();
    tuples
}

fn changes(authorizer: &'static dyn Authorizer) {
    let question = tuple("resource:door#access@user:dora");
    let asked = || wait(authorizer.check(&question)).unwrap();
    assert!(!asked());
    for _ in 0..2 {
        wait(authorizer.apply(insert(&["resource:door#access@group:door#member"]))).unwrap();
        wait(authorizer.apply(insert(&["group:door#member@user:dora"]))).unwrap();
        assert!(asked());
    }
    assert_eq!(list(authorizer, &Query::in_set(&set("group:door#member"))).len(), 1, "there once");
    for _ in 0..2 {
        wait(authorizer.apply(delete(&["group:door#member@user:dora"]))).unwrap();
        assert!(!asked());
    }
    let both = Changes {
        insert: insert(&["group:door#member@user:dora"]).insert,
        delete: delete(&["group:door#member@user:dora", "group:door#member@user:never"]).delete,
    };
    for _ in 0..2 {
        wait(authorizer.apply(both.clone())).unwrap();
        assert!(asked(), "in both: there afterwards");
    }
    wait(authorizer.apply(Changes::default())).unwrap();
}

fn atomic(authorizer: &'static dyn Authorizer) {
    let mut bad = insert(&["resource:atom#access@user:ann"]);
    bad.insert.insert(tuple("nowhere:x#access@user:ann"));
    assert!(matches!(wait(authorizer.apply(bad)), Err(Error::Undeclared(_))));
    assert_eq!(list(authorizer, &Query::in_set(&set("resource:atom#access"))), []);
    let swap = Changes {
        insert: insert(&["resource:atom#access@user:new"]).insert,
        delete: delete(&["resource:atom#access@user:old"]).delete,
    };
    wait(authorizer.apply(insert(&["resource:atom#access@user:old"]))).unwrap();
    wait(authorizer.apply(swap)).unwrap();
    assert_eq!(
        list(authorizer, &Query::in_set(&set("resource:atom#access"))),
        [tuple("resource:atom#access@user:new")]
    );
}

fn pages(authorizer: &'static dyn Authorizer) {
    let all: BTreeSet<Tuple> = (0..25).map(|n| tuple(&format!("resource:book#access@user:p{n}"))).collect();
    wait(authorizer.apply(Changes { insert: all.clone(), ..Changes::default() })).unwrap();
    let query = Query::in_set(&set("resource:book#access"));
    for limit in [1, 10, 24, 25, 26, 0] {
        let (mut found, mut cursor, mut count) = (Vec::new(), None, 0);
        loop {
            let page = Page { cursor: cursor.take(), limit };
            let listed = wait(authorizer.list(&query, page)).unwrap();
            assert!(limit == 0 || listed.tuples.len() <= limit);
            found.extend(listed.tuples);
            count += 1;
            cursor = listed.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), 25, "none twice with pages of {limit}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all);
        assert!(limit != 10 || count == 3);
    }
    let nonsense = Page { cursor: Some("nonsense".into()), limit: 10 };
    assert_eq!(wait(authorizer.list(&query, nonsense)), Err(Error::Cursor));
}

fn queries(authorizer: &'static dyn Authorizer) {
    let texts = [
        "doc:q1#owner@user:quinn",
        "doc:q1#viewer@user:quentin",
        "doc:q1#viewer@group:q#member",
        "doc:q2#viewer@user:quinn",
        "folder:q1#viewer@quinn",
    ];
    wait(authorizer.apply(insert(&texts))).unwrap();
    let sorted = |picked: &[usize]| {
        let mut tuples: Vec<Tuple> = picked.iter().map(|n| tuple(texts[*n])).collect();
        tuples.sort();
        tuples
    };
    let doc = || Query::of(&"doc:q1".parse().unwrap());
    let about = |text: &str| Query::about(text.parse().unwrap());
    let cases = [
        (doc(), sorted(&[0, 1, 2])),
        (Query::in_set(&set("doc:q1#viewer")), sorted(&[1, 2])),
        (Query { subject: Some("user:quinn".parse().unwrap()), ..doc() }, sorted(&[0])),
        (about("user:quinn"), sorted(&[0, 3])),
        (about("quinn"), sorted(&[4])),
        (about("group:q#member"), sorted(&[2])),
        (about("user:nobody-q"), vec![]),
        (Query { namespace: Some("doc".parse().unwrap()), ..about("user:quinn") }, sorted(&[0, 3])),
        (Query { relation: Some("owner".parse().unwrap()), ..about("user:quinn") }, sorted(&[0])),
        (Query { namespace: Some("folder".parse().unwrap()), ..about("user:quinn") }, vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(list(authorizer, &query), expected, "{query:?}");
    }
    let without = Query { object: Some("q1".parse().unwrap()), ..Query::default() };
    assert_eq!(wait(authorizer.list(&without, Page::default())), Err(Error::ObjectWithoutNamespace));
}

fn deletes(authorizer: &'static dyn Authorizer) {
    let texts = [
        "doc:d1#owner@user:dan",
        "doc:d1#viewer@user:dan",
        "doc:d1#viewer@user:dirk",
        "doc:d2#viewer@user:dan",
    ];
    wait(authorizer.apply(insert(&texts))).unwrap();
    wait(authorizer.delete_all(&Query::in_set(&set("doc:d1#viewer")))).unwrap();
    assert_eq!(list(authorizer, &Query::of(&"doc:d1".parse().unwrap())), [tuple(texts[0])]);
    wait(authorizer.delete_all(&Query::about("user:dan".parse().unwrap()))).unwrap();
    for object in ["doc:d1", "doc:d2"] {
        assert_eq!(list(authorizer, &Query::of(&object.parse().unwrap())), []);
    }
    wait(authorizer.delete_all(&Query::about("user:dan".parse().unwrap()))).unwrap();
}

fn expands(authorizer: &'static dyn Authorizer) {
    let texts = [
        "resource:tree#access@user:trunk",
        "resource:tree#access@group:branch#member",
        "group:branch#member@user:twig",
        "group:branch#member@group:leaf#member",
        "group:leaf#member@leaf",
        "group:leaf#member@group:branch#member",
    ];
    wait(authorizer.apply(insert(&texts))).unwrap();
    let expand = |text: &str, depth: u8| wait(authorizer.expand(&set(text), depth)).unwrap();
    let leaves = |depth: u8| -> Vec<String> {
        let mut names: Vec<_> =
            expand("resource:tree#access", depth).leaves().iter().map(Subject::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(leaves(1), ["user:trunk"]);
    assert_eq!(leaves(2), ["user:trunk", "user:twig"]);
    assert_eq!(leaves(5), ["leaf", "user:trunk", "user:twig"]);
    assert_eq!(leaves(0), leaves(1));
    let tree = expand("resource:tree#access", 1);
    assert_eq!(tree.subject.to_string(), "resource:tree#access");
    let children: BTreeSet<_> = tree.children.iter().map(|child| child.subject.to_string()).collect();
    assert_eq!(children, ["group:branch#member".to_owned(), "user:trunk".to_owned()].into());
    let empty = expand("resource:bush#access", 3);
    assert_eq!((empty.subject.to_string().as_str(), empty.children.len()), ("resource:bush#access", 0));
}

fn undeclared(authorizer: &'static dyn Authorizer) {
    let undeclared = [
        "nowhere:x#access@user:a",
        "resource:x#acces@user:a",
        "user:x#access@user:a",
        "resource:x#access@person:a",
        "resource:x#access@group:a#members",
        "resource:x#access@user:a#member",
        "tenant:x#superuser@user:a",
        "tenant:x#publish_source@user:a",
    ];
    for text in undeclared {
        let answers = [
            wait(authorizer.check(&tuple(text))).map(drop),
            wait(authorizer.check_all(&[tuple("resource:x#access@user:a"), tuple(text)])).map(drop),
            wait(authorizer.apply(insert(&[text]))),
        ];
        for answer in answers {
            let error = answer.unwrap_err();
            assert!(matches!(error, Error::Undeclared(_)), "{text}: {error}");
            assert!(error.to_string().ends_with("is not declared"), "{error}");
        }
    }
    let query = Query { namespace: Some("nowhere".parse().unwrap()), ..Query::default() };
    assert!(matches!(wait(authorizer.list(&query, Page::default())), Err(Error::Undeclared(_))));
    assert!(matches!(wait(authorizer.delete_all(&query)), Err(Error::Undeclared(_))));
    assert!(matches!(wait(authorizer.expand(&set("resource:x#nothing"), 3)), Err(Error::Undeclared(_))));
}

fn too_much(authorizer: &'static dyn Authorizer) {
    let many = |count: usize| -> BTreeSet<Tuple> {
        (0..count).map(|n| tuple(&format!("resource:heap#access@user:t{n}"))).collect()
    };
    let changes = |count| Changes { insert: many(count), ..Changes::default() };
    assert!(matches!(wait(authorizer.apply(changes(CHANGES_MAX + 1))), Err(Error::TooMany { .. })));
    let questions: Vec<Tuple> = many(QUESTIONS_MAX + 1).into_iter().collect();
    assert!(matches!(wait(authorizer.check_all(&questions)), Err(Error::TooMany { .. })));
    let portions = changes(CHANGES_MAX + 1).in_portions();
    assert_eq!(portions.iter().map(Changes::len).collect::<Vec<_>>(), [CHANGES_MAX, 1]);
    for portion in portions {
        wait(authorizer.apply(portion)).unwrap();
    }
    assert!(wait(authorizer.check(&tuple("resource:heap#access@user:t1000"))).unwrap());
}

fn in_order(authorizer: &'static dyn Authorizer) {
    wait(authorizer.apply(insert(&["resource:row#access@user:r7", "resource:row#access@user:r31"]))).unwrap();
    let questions: Vec<Tuple> = (0..42).map(|n| tuple(&format!("resource:row#access@user:r{n}"))).collect();
    let answers = wait(authorizer.check_all(&questions)).unwrap();
    let yes: Vec<usize> = answers.iter().enumerate().filter_map(|(n, yes)| yes.then_some(n)).collect();
    assert_eq!((answers.len(), yes), (42, vec![7, 31]));
    assert_eq!(wait(authorizer.check_all(&[])), Ok(vec![]));
}
