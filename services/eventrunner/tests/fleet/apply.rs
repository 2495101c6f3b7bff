//! Applying files: what differs is changed, twice is once, a kill is gone on from, two take turns, and what was exported makes the same
//! elsewhere.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Child, Output, Stdio},
    time::Instant,
};

use serde_json::{Value, json};

use crate::support::{Fleet, eventrunner, run, stderr, wait_for};

/// Applies a folder, and gives what it says.
fn apply(fleet: &Fleet, folder: &Path, args: &[&str]) -> Value {
    fleet.json(&[&["apply", "-f", folder.to_str().unwrap()], args].concat())
}

fn try_apply(fleet: &Fleet, folder: &Path, args: &[&str]) -> Output {
    run(fleet.data_dir(), &[&["apply", "-f", folder.to_str().unwrap()], args].concat())
}

fn counts(report: &Value) -> [u64; 6] {
    ["created", "undeleted", "updated", "deleted", "unchanged", "failed"]
        .map(|name| report[name].as_u64().unwrap())
}

/// A folder of so many resources in ten tenants, with references between them.
fn generate(folder: &Path, resources: usize, mark: &str) {
    fs::create_dir_all(folder).unwrap();
    let tenants = 10;
    let each = resources / tenants;
    for t in 0..tenants {
        let mut text = format!("kind: tenant\nid: tenant-{t}\nname: {mark}\n");
        let mut add = |kind: &str, id: String, more: String| {
            writeln!(text, "---\nkind: {kind}\ntenant: tenant-{t}\nid: {id}\nname: {mark}\n{more}").unwrap();
        };
        add("system", "shop".to_owned(), String::new());
        add(
            "action",
            "tell".to_owned(),
            "system: shop\ntarget:\n  type: webhook\n  url: https://x.example/".to_owned(),
        );
        for n in 3..each {
            let more = "system: shop\naction: tell\nfilter: |\n  data.amount > 100\n  && true".to_owned();
            match n % 3 {
                0 => add("customer", format!("c{n}"), String::new()),
                1 => add("subscription", format!("s{n}"), more),
                _ => add(
                    "rule-set",
                    format!("r{n}"),
                    "rules: 'rule A { when true then Retract(\"A\"); }'".to_owned(),
                ),
            }
        }
        fs::write(folder.join(format!("tenant-{t}.yaml")), text).unwrap();
    }
}

#[test]
fn five_hundred_resources_are_applied_once_pruned_and_reproduced() {
    let (fleet, other) = (Fleet::start(&[]), Fleet::start(&[]));
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all");
    generate(&all, 500, "first");
    let timed = |what: &str, args: &[&str]| {
        let began = Instant::now();
        let report = apply(&fleet, &all, args);
        eprintln!("{what}: {:?}", began.elapsed());
        counts(&report)
    };
    let set = ["--set", "all"];
    assert_eq!(timed("dry run", &["--set", "all", "--dry-run"]), [500, 0, 0, 0, 0, 0]);
    assert_eq!(fleet.json(&["tenants", "list", "-q", "tenant-"]), json!([]), "a dry run does nothing");
    assert_eq!(timed("first", &set), [500, 0, 0, 0, 0, 0]);
    assert_eq!(timed("second", &set), [0, 0, 0, 0, 500, 0]);

    // What was exported makes the same in an empty fleet.
    let export = |fleet: &Fleet| fleet.ok(&["export", "-A"]);
    let exported = folder.path().join("exported.yaml");
    let began = Instant::now();
    fs::write(&exported, export(&fleet)).unwrap();
    eprintln!("export: {:?}", began.elapsed());
    apply(&other, &exported, &[]);
    let (mine, theirs) = (export(&fleet), export(&other));
    for (mine, theirs) in mine.split("---").zip(theirs.split("---")) {
        assert_eq!(mine, theirs);
    }
    assert_eq!(mine.len(), theirs.len());
    assert_eq!(counts(&apply(&other, &exported, &[]))[4], counts(&apply(&fleet, &exported, &[]))[4]);

    // What is in no file any more goes, whatever names it; what somebody else made stays.
    fleet.ok(&["customers", "create", "stays", "-t", "tenant-1"]);
    fs::remove_file(all.join("tenant-0.yaml")).unwrap();
    assert_eq!(timed("without one", &set), [0, 0, 0, 0, 450, 0]);
    let prune = ["--set", "all", "--prune"];
    assert_eq!(timed("prune, dry", &["--set", "all", "--prune", "--dry-run"]), [0, 0, 0, 50, 450, 0]);
    assert_eq!(timed("prune", &prune), [0, 0, 0, 50, 450, 0]);
    assert_eq!(timed("pruned", &prune), [0, 0, 0, 0, 450, 0]);
    fleet.ok(&["customers", "get", "stays", "-t", "tenant-1"]);
    generate(&all, 500, "first");
    assert_eq!(timed("back", &set), [0, 50, 0, 0, 450, 0], "what was deleted is brought back");
    generate(&all, 500, "second");
    assert_eq!(timed("changed", &set), [0, 0, 500, 0, 0, 0]);
}

fn spawn(fleet: &Fleet, folder: &Path, args: &[&str]) -> Child {
    let mut command = eventrunner(fleet.data_dir());
    command.args(["apply", "-f", folder.to_str().unwrap(), "-o", "json"]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_killed_apply_is_gone_on_from() {
    let fleet = Fleet::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), 500, "first");
    let set = ["--set", "all"];
    let made = || fleet.json(&["customers", "list", "-A"]).as_array().unwrap().len();
    let mut child = spawn(&fleet, folder.path(), &set);
    wait_for("some are made", || (made() > 5).then_some(()));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let report = apply(&fleet, folder.path(), &set);
    let [created, _, updated, _, unchanged, failed] = counts(&report);
    assert!(created > 0 && unchanged > 0, "it was killed in the midst: {report}");
    assert_eq!((created + unchanged, updated, failed), (500, 0, 0));
    assert_eq!(counts(&apply(&fleet, folder.path(), &set)), [0, 0, 0, 0, 500, 0]);
}

/// Each resource says whose it is: two at once leave those of one.
#[test]
fn two_who_apply_the_same_set_take_turns_or_say_so() {
    let fleet = Fleet::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let both = ["alice", "bob"].map(|name| folder.path().join(name));
    generate(&both[0], 200, "alice");
    generate(&both[1], 200, "bob");
    let first = spawn(&fleet, &both[0], &["--set", "all"]);
    wait_for("it has begun", || {
        let tenants = fleet.json(&["tenants", "list", "-q", "tenant-"]);
        (!tenants.as_array().unwrap().is_empty()).then_some(())
    });
    let refused = try_apply(&fleet, &both[1], &["--set", "all", "--wait", "0"]);
    let first_ended = run(fleet.data_dir(), &["tenants", "list"]);
    assert!(first_ended.status.success());
    if !refused.status.success() {
        assert_eq!(refused.status.code(), Some(73), "{}", stderr(&refused));
        let said = stderr(&refused);
        assert!(said.contains("is held by") && said.contains(&format!("process {}", first.id())), "{said}");
    }
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{}", stderr(&first));

    // Both wait for their turn: what is there then is of one of them.
    let children = both.each_ref().map(|folder| spawn(&fleet, folder, &["--set", "all", "--wait", "100"]));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let mut names = Vec::new();
    for noun in ["tenants", "systems", "customers", "subscriptions", "rule-sets", "actions"] {
        let list = fleet.json(&[noun, "list", "-A", "-l", "eventrunner.dev/set=all"]);
        names.extend(list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()));
    }
    assert_eq!(names.len(), 200);
    names.dedup();
    assert_eq!(names.len(), 1, "a mixture: {names:?}");
}

#[test]
fn documents_say_what_is_and_mistakes_change_nothing() {
    let fleet = Fleet::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("secret", "a secret in a file\n");
    write(
        "globex.yaml",
        "kind: tenant\nid: globex\n---\nkind: system\ntenant: globex\nid: shop\n---\n\
         kind: source\ntenant: globex\nid: hub\nsystem: shop\npreset: github\nverification:\n  scheme: {type: github}\n  \
         secrets: ['${file:secret}', '${GLOBEX_SECRET}']\n---\n\
         kind: key\ntenant: globex\nname: till\nsystem: shop\nscopes: [publish]\n---\n\
         kind: role-binding\ntenant: globex\nid: till\nactor: 'key:${key:globex/till}'\nrole: viewer\n",
    );
    let missing = try_apply(&fleet, folder.path(), &[]);
    assert_eq!(missing.status.code(), Some(65));
    assert!(
        stderr(&missing).contains("source globex/hub: the variable GLOBEX_SECRET"),
        "{}",
        stderr(&missing)
    );
    assert_eq!(fleet.json(&["tenants", "list", "-q", "globex"]), json!([]));
    let with_secret = |args: &[&str]| {
        let mut command = eventrunner(fleet.data_dir());
        command.env("GLOBEX_SECRET", "hidden").args(["apply", "-f", folder.path().to_str().unwrap()]);
        command.args(args).output().unwrap()
    };
    let dry = with_secret(&["--dry-run"]);
    assert!(dry.status.success(), "{}", stderr(&dry));
    let diff = String::from_utf8(dry.stdout).unwrap();
    assert!(diff.contains("+++ would be source globex/hub") && diff.contains("+preset: github"), "{diff}");
    assert!(!diff.contains("hidden") && !diff.contains("a secret"), "{diff}");
    let made = with_secret(&[]);
    assert!(made.status.success(), "{}", stderr(&made));
    let made = String::from_utf8(made.stdout).unwrap();
    assert!(made.lines().any(|line| line.starts_with("er_")), "the key is told: {made}");
    assert_eq!(fleet.json(&["sources", "get", "hub", "-t", "globex"])["verification"]["secret_count"], 2);
    let bound = fleet.json(&["role-bindings", "get", "till", "-t", "globex"]);
    let key = fleet.json(&["keys", "list", "-t", "globex"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(bound["actor"], format!("key:{key}"));
    assert_eq!(
        counts(&apply(&fleet, folder.path(), &[])),
        [0, 0, 0, 0, 5, 0],
        "secrets stay, and are not needed"
    );

    let exported = run(fleet.data_dir(), &["export", "-t", "globex"]);
    let text = String::from_utf8(exported.stdout.clone()).unwrap();
    assert!(text.contains("${GLOBEX_HUB_SECRET_1}") && text.contains("key:${key:globex/till}"), "{text}");
    assert!(stderr(&exported).contains("missing: source globex/hub"), "{}", stderr(&exported));

    // Another set's is nobody else's, and a wrong document keeps the rest from nothing but what follows it.
    fs::remove_file(folder.path().join("globex.yaml")).unwrap();
    write("a.yaml", "kind: customer\ntenant: globex\nid: jane\nname: Jane\n");
    assert_eq!(counts(&apply(&fleet, folder.path(), &["--set", "one"])), [1, 0, 0, 0, 0, 0]);
    let others = try_apply(&fleet, folder.path(), &["--set", "two"]);
    assert!(stderr(&others).contains("belongs to the set one"), "{}", stderr(&others));
    assert_eq!(counts(&apply(&fleet, folder.path(), &["--set", "two", "--take-over"])), [0, 0, 1, 0, 0, 0]);
    assert_eq!(counts(&apply(&fleet, folder.path(), &[])), [0, 0, 0, 0, 1, 0], "the set stays");
    write("b.yaml", "kind: customer\ntenant: globex\nid: joe\nplan: nowhere\n");
    let wrong = try_apply(&fleet, folder.path(), &["--set", "two"]);
    assert_eq!(wrong.status.code(), Some(65));
    assert!(
        stderr(&wrong).contains("customer globex/joe: ") && stderr(&wrong).contains("/plan"),
        "{}",
        stderr(&wrong)
    );
    let dry = try_apply(&fleet, folder.path(), &["--set", "two", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(65), "a dry run finds it, too");
}
