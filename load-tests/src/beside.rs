//! Another process of this program, for what must not share threads with what is measured: told on its standard input what to
//! do, it says one line, and ends with its input.

use std::{
    io::{Read as _, stdin},
    process::Stdio,
    thread,
};

use anyhow::{Context as _, ensure};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::oneshot,
};

/// The process. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Beside {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Beside {
    /// Starts it with one of this program's own subcommands; `humble`: whatever else wants the processor goes first.
    pub(crate) async fn start(subcommand: &str, humble: bool, told: &impl Serialize) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = if humble {
            let mut nice = Command::new("nice");
            nice.args(["-n", "19"]).arg(program);
            nice
        } else {
            Command::new(program)
        };
        let piped = command.arg(subcommand).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.kill_on_drop(true).spawn()?;
        let mut stdin = child.stdin.take().context("a child without a standard input")?;
        let stdout = child.stdout.take().context("a child without a standard output")?;
        // Not on its command line: there may be a password in it.
        stdin.write_all(format!("{}\n", serde_json::to_string(told)?).as_bytes()).await?;
        Ok(Self { child, stdin, stdout: BufReader::new(stdout) })
    }

    /// The line that it says.
    pub(crate) async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).await?;
        ensure!(!line.is_empty(), "the process beside this one ended, and said nothing");
        Ok(line.trim().to_owned())
    }

    /// Ends it. What it says then, if anything.
    pub(crate) async fn end(self) -> anyhow::Result<String> {
        let Self { mut child, stdin, mut stdout } = self;
        drop(stdin);
        let mut line = String::new();
        stdout.read_line(&mut line).await?;
        ensure!(child.wait().await?.success(), "the process beside this one failed");
        Ok(line.trim().to_owned())
    }
}

/// In the other process: what it was told, and the end of its input.
pub(crate) fn told<T: DeserializeOwned>() -> anyhow::Result<(T, oneshot::Receiver<()>)> {
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    let (over, ended) = oneshot::channel();
    thread::spawn(move || {
        let _ = stdin().read(&mut [0]);
        over.send(())
    });
    Ok((serde_json::from_str(&line)?, ended))
}
