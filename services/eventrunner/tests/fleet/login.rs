//! A person on the command line.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use crate::support::{Fleet, eventrunner, stderr};

/// The one-time password that `up` shows at its first start.
fn shown(fleet: &Fleet) -> String {
    let said = fleet.up.said();
    let from = said.find("one-time password ").unwrap_or_else(|| panic!("no password in:\n{said}"));
    said[from..].split_whitespace().nth(2).unwrap().trim_end_matches(':').to_owned()
}

#[test]
fn who_logs_in_is_that_user_until_they_log_out() {
    let mut fleet = Fleet::start(&[]);
    let config = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = config.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    fleet.up.wait_until_said("If it gets lost");
    let one_time = file("one-time", &(shown(&fleet) + "\n"));
    let run_as = |home: &Path, args: &[&str]| {
        eventrunner(fleet.data_dir()).env("XDG_CONFIG_HOME", home).args(args).output().unwrap()
    };
    let run = |args: &[&str]| run_as(config.path(), args);
    let ok = |args: &[&str]| {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let wrong = file("wrong", "not it");
    let refused = run(&["login", "admin", "--password-file", &wrong]);
    assert_eq!(refused.status.code(), Some(77), "{}", stderr(&refused));
    let new = file("new", "four words with a staple\n");
    ok(&["login", "admin", "--password-file", &one_time, "--new-password-file", &new]);
    let sessions = config.path().join("eventrunner/sessions.toml");
    assert_eq!(fs::metadata(&sessions).unwrap().permissions().mode() & 0o777, 0o600);

    // What only a superuser may, and it is the user who did it.
    ok(&["tenants", "create", "initech"]);
    let audit = ok(&["audit", "list", "--tenant", "initech", "-o", "jsonl"]);
    assert!(audit.contains(r#""kind":"user""#) && audit.contains(r#""id":"admin""#), "{audit}");
    assert!(ok(&["users", "list"]).contains("admin"));
    ok(&["users", "bootstrap", "spare"]);

    // An access token that has expired is made anew, once for all who ask at the same time.
    let text = fs::read_to_string(&sessions).unwrap();
    let stale: String =
        text.lines()
            .map(|l| {
                if l.starts_with("expires_at_us") {
                    "expires_at_us = 1\n".to_owned()
                } else {
                    format!("{l}\n")
                }
            })
            .collect();
    fs::write(&sessions, stale).unwrap();
    std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..4).map(|_| scope.spawn(|| run(&["users", "list"]).status.success())).collect();
        assert!(asking.into_iter().all(|asked| asked.join().unwrap()));
    });
    assert_ne!(fs::read_to_string(&sessions).unwrap(), text);

    ok(&["logout"]);
    assert!(!fs::read_to_string(&sessions).unwrap().contains("access_token"));
    assert!(stderr(&run(&["logout"])).contains("nobody is logged in"));
    ok(&["tenants", "list"]);
    let again = run(&["login", "admin", "--password-file", &one_time]);
    assert_eq!(again.status.code(), Some(77), "{}", stderr(&again));
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(run_as(elsewhere.path(), &["users", "list"]).status.success(), "by the context's key");
}
