//! The clients: installed by `scripts/tools.sh`, found in the user's cache folder.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// What a test needs besides Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Python,
    Node,
    Go,
    /// Servers of stores that processes share.
    Stores,
}

impl Need {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "the Python clients",
            Self::Node => "the Node clients",
            Self::Go => "the Go clients",
            Self::Stores => "Cassandra and ClickHouse",
        }
    }
}

/// Which of them there are.
#[derive(Debug, Default)]
pub(crate) struct Tools(Vec<Need>);

impl Tools {
    /// Installs what is missing: nothing when `make test` has done it before.
    pub(crate) fn install() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/tools.sh");
        let all = [Need::Python, Need::Node, Need::Go, Need::Stores];
        let here = all.into_iter().filter(|need| {
            let names: &[&str] = match need {
                Need::Python => &["python"],
                Need::Node => &["node"],
                Need::Go => &["go"],
                Need::Stores => &["cassandra", "clickhouse"],
            };
            // Without CI the script ends well without the tool, so that is looked for; what is left out, it
            // says itself.
            let _ = Command::new("bash").arg(&script).args(names).stdin(Stdio::null()).status();
            need.files().iter().all(|file| file.exists())
        });
        Self(here.collect())
    }

    pub(crate) fn has(&self, need: Need) -> bool {
        self.0.contains(&need)
    }
}

impl Need {
    fn files(self) -> Vec<PathBuf> {
        let names: &[&str] = match self {
            Self::Python => &["venv/requirements.txt", "venv/bin/python"],
            Self::Node => &["node/package.json"],
            Self::Go => &["go/cloudevents.version", "go/grpcurl.version"],
            Self::Stores => &["cassandra/pom.xml", "clickhouse/version"],
        };
        names.iter().map(|name| cache().join(name)).collect()
    }
}

/// Whether nothing may be left out.
pub(crate) fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}

/// The folder everything is installed in.
pub(crate) fn cache() -> PathBuf {
    let set = env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    set.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache"))
        .join("eventrunner")
}

/// A script or table of `tests/clients/scripts`.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts").join(name)
}

/// A Python script, run by the Python that has the clients.
pub(crate) fn python(script: &str) -> Command {
    python_file(&file(script))
}

/// The same of any file.
pub(crate) fn python_file(file: &Path) -> Command {
    let mut command = Command::new(cache().join("venv/bin/python"));
    command.arg(file);
    command
}

/// A JavaScript script. It finds its packages by `EVENTRUNNER_NODE`: they are not beside it.
pub(crate) fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(file(script)).env("EVENTRUNNER_NODE", cache().join("node"));
    command
}

/// A command of a Go module.
pub(crate) fn go(name: &str) -> Command {
    Command::new(cache().join("bin").join(name))
}

/// What a command writes to stdout. Neither its arguments nor its environment are shown: keys are among them.
///
/// # Panics
/// If it fails, with what it wrote to stderr.
pub(crate) fn output(command: &mut Command, stdin: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {:?}: {e}", command.get_program()));
    // One that does not read may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("its output can be read");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let named = Path::new(command.get_args().next().unwrap_or_default()).file_name().unwrap_or_default();
    assert!(output.status.success(), "{named:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

/// The lines of JSON a command writes.
pub(crate) fn lines(command: &mut Command) -> Vec<Value> {
    let text = output(command, "");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"))).collect()
}
