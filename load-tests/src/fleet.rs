//! The fleet under test: one that runs, or one of our own that can be killed and started again.

use std::{
    ffi::{OsStr, OsString},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use oracle::Access;
use serde::Deserialize;
use tempfile::TempDir;

use crate::{clock::Clock, faults, servers::Servers};

/// From the start of the process until the doors answer; a busy disk has streams to recover.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);
/// Ports a fleet takes at most, from its first on: six, those of two more nodes of the broker and of each process.
const PORTS: u16 = 40;
/// Where the gRPC door is in this row.
const GRPC_PORT: u16 = 2;

/// What "accepted" promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// Survives the death of any process.
    Process,
    /// Survives a power cut.
    Disk,
}

impl Durability {
    /// As the fleet's own command line has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Disk => "disk",
        }
    }
}

/// How the tenant's stream holds its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TenantStream {
    /// An event a message.
    #[default]
    Single,
    /// A batch a message.
    Packed,
}

impl TenantStream {
    /// As the fleet's own command line has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Packed => "packed",
        }
    }
}

/// Which fleet.
#[derive(Debug, Clone, Args)]
pub(crate) struct FleetArgs {
    /// A running fleet's context file, as `eventrunner up` leaves it in its data folder; without it a fleet is started
    #[arg(long, value_name = "FILE")]
    pub(crate) context: Option<PathBuf>,
    /// The binary to start a fleet with [default: `eventrunner` beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) bin: Option<PathBuf>,
    /// Start each service as a process of its own, on a CQL and a ClickHouse server started for it, instead of the whole
    /// fleet in one process
    #[arg(long, conflicts_with = "context")]
    pub(crate) processes: bool,
    /// Nodes of its broker
    #[arg(long, value_name = "N", default_value_t = 1, requires = "processes")]
    pub(crate) nats_nodes: u8,
    /// Nodes of its CQL cluster
    #[arg(long, value_name = "N", default_value_t = 1, requires = "processes")]
    pub(crate) cql_nodes: u8,
    /// How many processes of a service, such as engine=3,normalizer=3
    #[arg(long, value_name = "SERVICE=N,…", requires = "processes")]
    pub(crate) replicas: Option<String>,
    /// How the tenant's stream holds its events; a fleet that runs already must have the tenant set so
    #[arg(long, value_enum, default_value_t = TenantStream::Single)]
    pub(crate) tenant_stream: TenantStream,
    /// Whether its tenants' events have a schema, so that each goes by way of the normalizer and none past it [default: true
    /// where something is done to the fleet]
    #[arg(long, value_name = "BOOL", conflicts_with = "context")]
    pub(crate) checked: Option<bool>,
    /// `libfaketime.so.1`, under which its services run, so that their clock can be stepped (the victim `clock` of chaos)
    #[arg(long, value_name = "FILE", conflicts_with = "context")]
    pub(crate) faketime: Option<PathBuf>,
    /// A setting of the fleet's configuration, such as topology.partitions=12; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "context")]
    pub(crate) settings: Vec<String>,
    /// The gRPC door of a running fleet
    #[arg(long, value_name = "URL", requires = "context")]
    pub(crate) grpc_url: Option<String>,
    /// Folder for the data of a fleet that is started; must be on a real disk for figures to mean anything
    #[arg(long, value_name = "FOLDER", default_value = "target/load")]
    pub(crate) dir: PathBuf,
}

impl FleetArgs {
    /// The running fleet that was named, if one was.
    pub(crate) fn running(&self) -> anyhow::Result<Option<Access>> {
        let access = self.context.as_deref().map(read_context).transpose()?;
        Ok(access.map(|access| Access { grpc_url: self.grpc_url.clone(), ..access }))
    }

    /// The program to start a fleet with.
    pub(crate) fn program(&self) -> anyhow::Result<PathBuf> {
        let program = match &self.bin {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("eventrunner"),
        };
        ensure!(program.is_file(), "there is no {}: build it, or name it with --bin", program.display());
        Ok(program)
    }

    /// As a report has it.
    pub(crate) const fn form(&self) -> &'static str {
        if self.processes { "processes" } else { "embedded" }
    }
}

/// Reads the context file that `eventrunner up` leaves.
fn read_context(path: &Path) -> anyhow::Result<Access> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is no context file", path.display()))
}

/// A fleet with its broker beside it, in a folder of its own. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Own {
    command: Vec<OsString>,
    context: PathBuf,
    grpc_url: String,
    child: Child,
    folder: TempDir,
    tenant_stream: TenantStream,
    /// Whether events have a schema.
    checked: bool,
    clock: Option<Clock>,
    /// What a fleet of processes keeps events and usage in. Dropped last.
    servers: Option<Servers>,
}

impl Own {
    /// Starts one on free ports and an empty folder, and waits until it is ready.
    pub(crate) async fn start(args: &FleetArgs, durability: Durability) -> anyhow::Result<(Self, Access)> {
        Self::start_on(args, durability, None, |_| Ok(Vec::new())).await
    }

    /// The same, as processes on these servers if there are some, after `prepare` has done something to its folder; gives what it
    /// adds to the command line.
    pub(crate) async fn start_on(
        args: &FleetArgs,
        durability: Durability,
        mut servers: Option<Servers>,
        prepare: impl FnOnce(&Path) -> anyhow::Result<Vec<OsString>>,
    ) -> anyhow::Result<(Self, Access)> {
        let binary = args.program()?;
        std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
        let folder = TempDir::with_prefix_in("fleet-", std::fs::canonicalize(&args.dir)?)?;
        let data = folder.path().join("data");
        let port = free_ports()?;
        let mut command: Vec<OsString> = vec![
            binary.into(),
            "up".into(),
            "--data-dir".into(),
            data.clone().into(),
            "--port-base".into(),
            port.to_string().into(),
            "--durability".into(),
            durability.as_str().into(),
        ];
        command.extend(args.settings.iter().flat_map(|setting| ["--set".into(), setting.into()]));
        command.extend(prepare(folder.path())?);
        if args.processes {
            command.push("--processes".into());
            // A broker of somebody else's has as many as it has.
            if args.nats_nodes > 1 {
                command.extend(["--nats-nodes".into(), args.nats_nodes.to_string().into()]);
            }
            if let Some(replicas) = &args.replicas {
                command.extend(["--replicas".into(), replicas.into()]);
            }
            if servers.is_none() {
                servers = Some(Servers::start(args.cql_nodes).await?);
            }
        }
        let mut clock = None;
        if let Some(library) = &args.faketime {
            ensure!(library.is_file(), "there is no {}", library.display());
            clock = Some(Clock::new(std::fs::canonicalize(library)?, folder.path())?);
        }
        let child = spawn(&line(&command, servers.as_ref()), folder.path(), clock.as_ref())?;
        let grpc_url = format!("http://127.0.0.1:{}", port + GRPC_PORT);
        let (context, tenant_stream) = (data.join("context.toml"), args.tenant_stream);
        let checked = args.checked.unwrap_or_default();
        let mut own =
            Self { command, context, grpc_url, child, folder, tenant_stream, checked, clock, servers };
        let access = own.ready().await?;
        if tenant_stream != TenantStream::default() {
            own.manage(&["tenants", "update", &access.tenant, "--tenant-stream", tenant_stream.as_str()])?;
        }
        own.check_events(&access.tenant, "demo")?;
        Ok((own, access))
    }

    /// Makes another tenant, with a quota of events a second (0: none), and a key of its own.
    pub(crate) fn tenant(&self, access: &Access, id: &str, per_second: u64) -> anyhow::Result<Access> {
        let quota = per_second.to_string();
        let limits = ["--events-per-second", &quota, "--events-burst", &quota];
        let stream = ["--tenant-stream", self.tenant_stream.as_str()];
        self.manage(&[["tenants", "create", id].as_slice(), &limits, &stream].concat())?;
        self.manage(&["systems", "create", "load", "--tenant", id])?;
        self.check_events(id, "load")?;
        let made = self.manage(&["keys", "create", "--system", "load", "--tenant", id])?;
        let Made { key } = serde_json::from_slice(&made)?;
        Ok(Access { tenant: id.to_owned(), key, ..access.clone() })
    }

    /// Gives the events of a tenant a schema, if they are to have one. They follow it: it allows everything.
    fn check_events(&self, tenant: &str, system: &str) -> anyhow::Result<()> {
        if !self.checked {
            return Ok(());
        }
        let schema = self.folder.path().join("schema.json");
        std::fs::write(&schema, "{}")?;
        let schema = schema.to_str().context("the folder's name is no text")?;
        let of = ["--tenant", tenant, "--system", system, "--schema", schema];
        self.manage(&[["event-types", "create", oracle::TYPE].as_slice(), &of].concat())?;
        Ok(())
    }

    /// Makes a key that may do everything.
    pub(crate) fn operator(&self, access: &Access) -> anyhow::Result<String> {
        let (system, tenant) = ("demo", access.tenant.as_str());
        let asked = ["keys", "create", "--system", system, "--tenant", tenant, "--scope", "operate"];
        let Made { key } = serde_json::from_slice(&self.manage(&asked)?)?;
        Ok(key)
    }

    /// Runs the fleet's own command line. What it prints, as JSON.
    fn manage(&self, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
        let program = self.command.first().context("no program")?;
        let mut command = Command::new(program);
        let done =
            command.args(arguments).args(["--output", "json", "--context"]).arg(&self.context).output()?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{}: {said}", arguments.join(" "));
        Ok(done.stdout)
    }

    /// The fleet's program.
    pub(crate) fn program(&self) -> anyhow::Result<&Path> {
        self.command.first().map(Path::new).context("no program")
    }

    /// Runs the fleet's own command line while everything else goes on; with its context, if it is asked of the fleet. What it
    /// prints, as JSON.
    pub(crate) async fn ask<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        of_fleet: bool,
    ) -> anyhow::Result<Vec<u8>> {
        let program = self.command.first().context("no program")?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).args(["--output", "json"]).stdin(Stdio::null());
        if of_fleet {
            command.arg("--context").arg(&self.context);
        }
        let done = command.output().await?;
        let said = String::from_utf8_lossy(&done.stderr);
        let asked = || arguments.iter().map(|word| word.as_ref().display().to_string()).collect::<Vec<_>>();
        ensure!(done.status.success(), "{}: {said}", asked().join(" "));
        Ok(done.stdout)
    }

    /// Where it keeps everything.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves its folder, with logs and data, to be looked at.
    pub(crate) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every process of the fleet, by name: `engine-1` and so on, the broker's nodes, and `up` itself.
    pub(crate) fn processes(&self) -> Vec<(String, u32)> {
        let mut all = vec![("fleet".to_owned(), self.pid())];
        all.extend(self.members().into_iter().filter_map(|member| Some((member.name, member.pid?))));
        all
    }

    /// What `up` has started: the broker's nodes, and each service that has a process of its own.
    pub(crate) fn members(&self) -> Vec<Member> {
        let file = self.folder.path().join("data/fleet.json");
        let roster = std::fs::read(file).ok().and_then(|text| serde_json::from_slice::<Roster>(&text).ok());
        roster.map(|roster| roster.processes).unwrap_or_default()
    }

    /// The clock of its services, if it can be stepped.
    pub(crate) fn clock(&mut self) -> Option<&mut Clock> {
        self.clock.as_mut()
    }

    /// The servers of a fleet of processes.
    pub(crate) fn servers(&mut self) -> Option<&mut Servers> {
        self.servers.as_mut()
    }

    /// Where its processes keep events and usage, for another command; nothing for a fleet in one process.
    pub(crate) fn stores(&self) -> Vec<OsString> {
        self.servers.as_ref().map(Servers::settings).unwrap_or_default()
    }

    /// Takes its servers away with all they hold; it is given others when it is started again.
    pub(crate) async fn replace_servers(&mut self) -> anyhow::Result<()> {
        if let Some(servers) = self.servers.take() {
            self.servers = Some(servers.replaced().await?);
        }
        Ok(())
    }

    /// SIGKILL: nothing is flushed, nothing said. The broker lives on, as it would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again on the same data and ports, and waits until it is ready.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        let line = line(&self.command, self.servers.as_ref());
        self.child = spawn(&line, self.folder.path(), self.clock.as_ref())?;
        self.ready().await.map(drop)
    }

    /// Asks it to drain and stop (SIGTERM), and waits. How long it took, and whether it had finished everything.
    pub(crate) async fn terminate(&mut self) -> anyhow::Result<(Duration, bool)> {
        let began = Instant::now();
        faults::signal(self.pid(), "TERM")?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((began.elapsed(), status.success()));
            }
            ensure!(began.elapsed() < STOP_TIMEOUT, "the fleet does not stop: {}", self.said());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks it to drain and stop, broker and all; kills it if it does not.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let (_, finished) = self.terminate().await?;
        ensure!(finished, "the fleet left work unfinished: {}", self.said());
        Ok(())
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<Access> {
        let began = Instant::now();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the fleet ended at its start with {status}: {}", self.said());
            }
            if let Ok(access) = read_context(&self.context) {
                let health = http.get(format!("{}/.well-known/health", access.api_url)).send().await;
                if health.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(Access { grpc_url: Some(self.grpc_url.clone()), ..access });
                }
            }
            ensure!(began.elapsed() < START_TIMEOUT, "the fleet is not ready: {}", self.said());
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().fold(String::new(), |all, line| all + "\n  " + line)
    }
}

impl Drop for Own {
    /// The broker is the fleet's to stop: ask first.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && faults::signal(self.pid(), "INT").is_ok() {
            let began = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < STOP_TIMEOUT {
                std::thread::sleep(PAUSE);
            }
        }
        // It has ended already when this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // `up` removes its list when it ends; without it, its services end by themselves, but its broker does not.
        for broker in self.members().iter().filter(|member| member.is_broker()) {
            let _ = broker.pid.map(|pid| faults::signal(pid, "INT"));
        }
    }
}

/// A key that was made, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Made {
    key: String,
}

/// `fleet.json`, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Roster {
    processes: Vec<Member>,
}

/// A process that `up` has started.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Member {
    /// Such as `engine-2`.
    pub(crate) name: String,
    /// `nats-server`, or the subcommand.
    pub(crate) service: String,
    /// Absent while it does not run.
    pub(crate) pid: Option<u32>,
    /// Its metrics and health; the monitoring of nats-server.
    pub(crate) admin_url: String,
}

impl Member {
    /// Whether it is a node of the broker.
    pub(crate) fn is_broker(&self) -> bool {
        self.service == "nats-server"
    }
}

/// The command line of `up`, with where its servers are now.
fn line(command: &[OsString], servers: Option<&Servers>) -> Vec<OsString> {
    command.iter().cloned().chain(servers.map(Servers::settings).unwrap_or_default()).collect()
}

fn spawn(command: &[OsString], folder: &Path, clock: Option<&Clock>) -> anyhow::Result<Child> {
    let (program, arguments) = command.split_first().context("no program")?;
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"))?;
    Command::new(program)
        .args(arguments)
        .envs(clock.into_iter().flat_map(Clock::environment))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C is for this process, which stops the fleet itself.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// The first of a row of free ports, below those that the system gives to connections.
fn free_ports() -> anyhow::Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (20_000..30_000)
        .step_by(usize::from(PORTS))
        .map(|port| port + u16::try_from(std::process::id() % 60).unwrap_or_default() * PORTS)
        .find(|port| (*port..port + PORTS).all(free))
        .context("there are no free ports in a row")
}
