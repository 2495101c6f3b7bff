//! Taking away, from the command line.

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
    assert_eq!(updated["limits"]["batch_events_max"], 10_000, "the rest is as it was");

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
    assert_eq!(left.len(), 5);
    assert!(left.values().all(|left| left == 0), "{proof}");
    let refused = run(fleet.data_dir(), &["events", "list", "--key", &gone]);
    assert_eq!(refused.status.code(), Some(77), "{}", stderr(&refused));
    assert_eq!(run(fleet.data_dir(), &["tenants", "get", "gone"]).status.code(), Some(66));
    assert_eq!(stored(&fleet, &stays), 3);

    // Of the same name, another: nothing of the first comes back, not after a restart either.
    fleet.up.signal(nix::sys::signal::Signal::SIGTERM);
    fleet.up.wait();
    fleet.start_again(&[]);
    let again = tenant_with_events(&fleet, "gone", 2);
    assert_eq!(fleet.json(&["usage", "-t", "gone", "--key", &again])["total"], 2);
}
