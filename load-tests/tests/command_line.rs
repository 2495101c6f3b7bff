//! The command line without a fleet.

use std::process::Command;

#[test]
fn says_what_is_missing() {
    let cases: [(&[&str], i32, &str); 6] = [
        (
            &["path", "--bin", "no/such/binary"],
            1,
            "there is no no/such/binary: build it, or name it with --bin",
        ),
        (&["path", "--context", "no/such/file"], 1, "cannot read no/such/file"),
        (&["chaos", "--context", "any"], 1, "only a fleet of this scenario's own is struck"),
        (&["idle", "--context", "any"], 1, "only a fleet of this scenario's own has nothing to do"),
        (&["outage", "--phases", "cut,stopped"], 1, "leave --processes and the other phases out"),
        (&["path", "--durability", "wishful"], 2, "possible values: process, disk"),
    ];
    for (arguments, code, message) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventrunner-load"));
        let output = command.args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(message), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}: only results go to stdout");
    }
}
