//! Faults: who is struck, and with what.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use oracle::{Fault, Ledger, What, now_ms};

use crate::fleet::Own;

/// Between two looks; short against the time of a request.
const LOOK: Duration = Duration::from_micros(200);
/// Between two looks for a process that is being started.
const LOOK_FOR_PROCESS: Duration = Duration::from_millis(10);
/// How long whoever watches a process may wait before it starts it again; it waits longer each time.
const COME_BACK: Duration = Duration::from_secs(120);

/// Who is struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Victim {
    /// `eventrunner up` itself.
    Fleet,
    /// A process that it started, by its name.
    Member { name: String, is_broker: bool },
    /// A node of the CQL cluster.
    Cql,
    /// ClickHouse.
    Clickhouse,
    /// The wall clock of the services, which is stepped.
    Clock,
}

impl Victim {
    /// All that the words name: `fleet`, `cql`, `clickhouse`, `clock`, or the beginning of the name of a process, such as `engine` or
    /// `nats-server-2`. Without words each process, and the fleet itself where it is one process.
    pub(crate) fn named(words: &[String], own: &mut Own, processes: bool) -> anyhow::Result<Vec<Self>> {
        let members: Vec<_> = own
            .members()
            .into_iter()
            .map(|member| Self::Member { is_broker: member.is_broker(), name: member.name })
            .collect();
        if words.is_empty() {
            let fleet = (!processes).then_some(Self::Fleet);
            return Ok(fleet.into_iter().chain(members).collect());
        }
        let mut named = Vec::new();
        for word in words {
            let before = named.len();
            match word.as_str() {
                "fleet" => named.push(Self::Fleet),
                "cql" | "clickhouse" if own.servers().is_none() => {}
                "cql" => named.push(Self::Cql),
                "clickhouse" => named.push(Self::Clickhouse),
                "clock" => {
                    ensure!(own.clock().is_some(), "only a clock under --faketime can be stepped");
                    named.push(Self::Clock);
                }
                word => {
                    let is_meant = |member: &&Self| member.name().starts_with(word);
                    named.extend(members.iter().filter(is_meant).cloned());
                }
            }
            ensure!(named.len() > before, "no process of this fleet is called {word:?}");
        }
        Ok(named)
    }

    /// As it is called.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Fleet => "fleet",
            Self::Member { name, .. } => name,
            Self::Cql => "cql",
            Self::Clickhouse => "clickhouse",
            Self::Clock => "clock",
        }
    }

    /// SIGKILL: nothing is flushed, nothing said; but a clock is stepped. Whoever watches it starts it again; where that is us, it stays away for so
    /// long. Returns once it may be struck again.
    pub(crate) async fn kill(&self, own: &mut Own, away: Duration) -> anyhow::Result<Fault> {
        match self {
            Self::Fleet => {
                own.kill()?;
                own.restart().await?;
            }
            Self::Member { name, .. } => signal(running(own, name).await?, "KILL")?,
            Self::Cql => {
                let servers = own.servers().context("there is no CQL server")?;
                servers.cql(|cql| cql.kill(0)).await?;
                tokio::time::sleep(away).await;
                servers.cql(|cql| cql.restart(0)).await?;
            }
            Self::Clickhouse => {
                let servers = own.servers().context("there is no ClickHouse")?;
                servers.clickhouse(testkit::ClickHouse::kill).await?;
                tokio::time::sleep(away).await;
                servers.clickhouse(testkit::ClickHouse::restart).await?;
            }
            Self::Clock => {
                let offset = own.clock().context("the clock cannot be stepped")?.step().await?;
                eprintln!("the services' clock is {offset} s off");
            }
        }
        // A fleet in one process stops the broker that it finds, and starts it again.
        let is_broker = matches!(self, Self::Fleet | Self::Member { is_broker: true, .. });
        Ok(Fault { at_ms: now_ms(), what: if is_broker { What::Broker } else { What::Service } })
    }

    /// SIGSTOP for so long, then SIGCONT: a process that hangs, and wakes up when others have taken over.
    pub(crate) async fn pause(&self, own: &mut Own, span: Duration) -> anyhow::Result<Fault> {
        let (pid, is_broker) = match self {
            // Its services hang with it where they are one process.
            Self::Fleet => (own.pid(), false),
            Self::Member { name, is_broker } => (running(own, name).await?, *is_broker),
            Self::Cql | Self::Clickhouse | Self::Clock => bail!("{} cannot hang", self.name()),
        };
        let _stopped = Stopped::stop(vec![pid])?;
        tokio::time::sleep(span).await;
        let ms = i64::try_from(span.as_millis())?;
        Ok(Fault { at_ms: now_ms(), what: if is_broker { What::Broker } else { What::Paused { ms } } })
    }
}

/// Processes that are stopped (SIGSTOP) while this lives.
#[derive(Debug)]
pub(crate) struct Stopped(Vec<u32>);

impl Stopped {
    pub(crate) fn stop(pids: Vec<u32>) -> anyhow::Result<Self> {
        let stopped = Self(pids);
        stopped.0.iter().try_for_each(|pid| signal(*pid, "STOP"))?;
        Ok(stopped)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            // It was killed meanwhile when this fails.
            let _ = signal(*pid, "CONT");
        }
    }
}

/// The process id of a member, once it runs.
pub(crate) async fn running(own: &Own, name: &str) -> anyhow::Result<u32> {
    let began = Instant::now();
    loop {
        let members = own.members();
        let pid = members.iter().find(|member| member.name == name).and_then(|member| member.pid);
        if let Some(pid) = pid.filter(|pid| is_running(*pid)) {
            return Ok(pid);
        }
        ensure!(began.elapsed() < COME_BACK, "{name} does not come back");
        tokio::time::sleep(LOOK_FOR_PROCESS).await;
    }
}

/// Whether there is such a process, and it has not ended (proc(5), `stat`: the state follows the name in parentheses).
pub(crate) fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Waits until that many requests are done with: the middle of the work, however fast the machine is.
pub(crate) async fn settled(ledger: &Ledger, requests: u64) {
    while ledger.settled() < requests {
        tokio::time::sleep(LOOK).await;
    }
}

/// Sends a process a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let status =
        Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "cannot signal process {pid}");
    Ok(())
}
