//! Taking away and taking along, from the command line.

use std::fs;

use serde_json::Value;

use crate::support::{Fleet, run, stderr, wait_for};

/// A tenant with a key, and some events of it stored.
fn tenant_with_events(fleet: &Fleet, tenant: &str, count: usize) -> String {
    fleet.ok(&["tenants", "create", tenant, "--retention-days", "30"]);
    fleet.ok(&["systems", "create", "till", "-t", tenant]);
    let key =
        fleet.json(&["keys", "create", "-t", tenant, "--system", "till", "--scope", "publish,read,write"]);
    let key = key["key"].as_str().unwrap().to_owned();
    for n in 0..count {
        let id = format!("{tenant}-{n}");
        let publish = [
            "publish",
            "--key",
            &key,
            "--type",
            "sale",
            "--source",
            "/till",
            "--id",
            &id,
            "--data",
            "{\"secret\": 7}",
        ];
        fleet.ok(&publish);
    }
    wait_for("its events", || (stored(fleet, &key) == count).then_some(()));
    key
}

fn stored(fleet: &Fleet, key: &str) -> usize {
    fleet.json(&["events", "list", "-n", "1000", "--key", key]).as_array().unwrap().len()
}

#[test]
fn a_tenant_is_erased_and_the_proof_says_so() {
    let mut fleet = Fleet::start(&[]);
    let gone = tenant_with_events(&fleet, "gone", 5);
    let stays = tenant_with_events(&fleet, "stays", 3);
    let updated = fleet.json(&["tenants", "update", "stays", "--retention-days", "90", "--name", "Stays"]);
    assert_eq!((&updated["retention_days"], &updated["name"]), (&90.into(), &"Stays".into()));
    assert_eq!(updated["placement"], "default", "the rest is as it was");
    fleet.ok(&["tenants", "update", "stays", "--subscriptions-max", "7"]);
    let limits = fleet.json(&["tenants", "limits", "stays"]);
    let told = |name: &str| limits.as_array().unwrap().iter().find(|limit| limit["name"] == name).unwrap();
    let subscriptions = told("subscriptions_max");
    assert_eq!((&subscriptions["value"], &subscriptions["origin"]), (&7.into(), &"own".into()));
    assert_eq!(told("retention_days_max")["used"], 90);

    let unsure = run(fleet.data_dir(), &["tenants", "erase", "gone"]);
    assert_eq!(unsure.status.code(), Some(64), "{}", stderr(&unsure));
    assert!(stderr(&unsure).contains("--yes"));
    assert_eq!(stored(&fleet, &gone), 5);

    let proof = fleet.json(&["tenants", "erase", "gone", "--yes"]);
    assert_eq!((&proof["tenant"], &proof["erased"]), (&"gone".into(), &true.into()));
    assert_eq!(
        (&proof["removed"]["stored events"], &proof["removed"]["TENANT-default"]),
        (&5.into(), &5.into())
    );
    let left = proof["left"].as_object().unwrap();
    assert_eq!(left.len(), 7, "its audit and its remembered answers go, too");
    assert!(left.values().all(|left| left == 0), "{proof}");
    let refused = run(fleet.data_dir(), &["events", "list", "--key", &gone]);
    assert_eq!(refused.status.code(), Some(77), "{}", stderr(&refused));
    assert_eq!(run(fleet.data_dir(), &["tenants", "get", "gone"]).status.code(), Some(66));
    assert_eq!(stored(&fleet, &stays), 3);

    // Of the same name, another: the order that was carried out does not strike it. (Orders are carried out in turn: had there
    // been more to do for the first, it would have been done before the second.)
    let again = tenant_with_events(&fleet, "gone", 2);
    assert_eq!(fleet.json(&["tenants", "erase", "stays", "--yes"])["erased"], true);
    assert_eq!(stored(&fleet, &again), 2);

    // Nothing of the first comes back, not after a restart either.
    fleet.up.signal(nix::sys::signal::Signal::SIGTERM);
    fleet.up.wait();
    fleet.start_again(&[]);
    assert_eq!(fleet.json(&["usage", "-t", "gone", "--key", &again])["total"], 2);
}

#[test]
fn events_are_exported_and_one_loses_its_data() {
    let fleet = Fleet::start(&[]);
    let folder = fleet.data_dir();
    let lines: Vec<_> = (0..1_203)
        .map(|n| {
            format!(
                r#"{{"specversion":"1.0","id":"e{n:05}","source":"/s","type":"t{}","data":{{"n": {n}}}}}"#,
                n % 2
            )
        })
        .collect();
    let sent = folder.join("sent.ndjson");
    fs::write(&sent, lines.join("\n")).unwrap();
    fleet.ok(&["publish", sent.to_str().unwrap()]);
    wait_for("all of them", || {
        let listed = fleet.json(&["events", "list", "-n", "2000"]);
        (listed.as_array().unwrap().len() == 1_203).then_some(())
    });
    let file = folder.join("out.ndjson");
    let name = file.to_str().unwrap();
    let summary = fleet.json(&["events", "export", "--file", name]);
    assert_eq!(summary["events"], 1_203);
    let read = |path: &std::path::Path| -> Vec<Value> {
        fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let exported = read(&file);
    let mut ids: Vec<_> = exported.iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..1_203).map(|n| format!("e{n:05}")).collect::<Vec<_>>());
    assert!(exported.iter().all(|e| e["specversion"] == "1.0" && e["data"]["n"].is_u64()));
    assert!(!folder.join("out.ndjson.export").exists());
    let there = run(folder, &["events", "export", "--file", name]);
    assert!(stderr(&there).contains("--resume"), "{}", stderr(&there));

    // Interrupted after its first page, with half a line more on the disk.
    let text = fs::read_to_string(&file).unwrap();
    let first_page: usize = text.lines().take(500).map(|line| line.len() + 1).sum();
    let context: toml::Table =
        toml::from_str(&fs::read_to_string(folder.join("context.toml")).unwrap()).unwrap();
    let url = format!("{}/api/v1/events?order=oldest&limit=500", context["api_url"].as_str().unwrap());
    let page: Value = tokio::runtime::Runtime::new().unwrap().block_on(async {
        testkit::install_tls();
        let request = reqwest::Client::new().get(url).bearer_auth(context["key"].as_str().unwrap());
        request.send().await.unwrap().json().await.unwrap()
    });
    let progress =
        serde_json::json!({"query": [], "cursor": page["next_cursor"], "events": 500, "bytes": first_page});
    fs::write(folder.join("out.ndjson.export"), progress.to_string()).unwrap();
    fs::write(&file, &text[..first_page + 17]).unwrap();
    assert_eq!(fleet.json(&["events", "export", "--file", name, "--resume"])["events"], 1_203);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    let some = fleet.ok(&["events", "export", "--file", "-", "--type", "t1"]);
    assert_eq!(some.lines().count(), 601);
    assert_eq!(fleet.ok(&["events", "export", "--file", "-", "--until", "1h"]), "");

    let erased = fleet.json(&["events", "erase-data", "/s", "e00700"]);
    assert_eq!(erased["stream_messages"], 1);
    let event = fleet.json(&["events", "get", "/s", "e00700"]);
    assert_eq!((event["type"].as_str(), event.get("data")), (Some("t0"), None));
    assert_eq!(run(folder, &["events", "erase-data", "/s", "none"]).status.code(), Some(66));
}
