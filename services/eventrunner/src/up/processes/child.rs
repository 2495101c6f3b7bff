//! One service in a process of its own.

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::sys::signal::Signal;
use runtime::{
    config::ENV_PREFIX,
    health::Health,
    metrics::{self, Metric},
};
use serde_json::Value;
use tokio::process::Command;

use super::{Roster, log_file};
use crate::{
    commands::service::Service,
    config::Config,
    exit::{Code, Failure, Result},
    readiness::Readiness,
    up::supervise::{Job, News, code_of},
};

/// It waits for the broker and its stores, which may take their time.
const READY_TIMEOUT: Duration = Duration::from_secs(300);
/// The first drains, the second aborts; as long as a part of the fleet in one process may take.
const STOP: &[(Signal, Duration)] =
    &[(Signal::SIGTERM, Duration::from_secs(8)), (Signal::SIGTERM, Duration::from_secs(2))];
/// A log that is larger begins anew; what it was is kept beside it, once.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How much of a log's end is read for what went wrong.
const TAIL_LINES: usize = 200;

/// A process to be.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) service: Service,
    /// Its number among those of the service, from 1 on.
    pub(crate) replica: u32,
    /// Where it listens, if it does. The first of a service is where the configuration says, others are anywhere.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    /// The configured name among the replicas, if any.
    member: String,
}

impl Child {
    pub(crate) fn new(service: Service, replica: u32, config: &Config) -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let first = match service {
            Service::IngestHttp => Some(config.ingest_http.server.listen),
            Service::IngestGrpc => Some(config.ingest_grpc.server.listen),
            Service::Api => Some(config.api.http.listen),
            Service::Normalizer | Service::Engine | Service::Billing => None,
        };
        let member = match service {
            Service::Normalizer => config.normalizer.members.replica.clone(),
            Service::Engine => config.engine.members.replica.clone(),
            _ => String::new(),
        };
        let listen = first.map(|first| if replica == 1 { first } else { anywhere });
        Self { service, replica, listen, admin: anywhere, member }
    }

    /// Such as `engine-2`.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.service.name(), self.replica)
    }

    /// What moves the port it listens on.
    pub(crate) fn port_flag(&self) -> &'static str {
        match (self.service, self.replica) {
            (Service::IngestHttp, 1) => "--http-port",
            (Service::IngestGrpc, 1) => "--grpc-port",
            (Service::Api, 1) => "--api-port",
            _ => "--port-base",
        }
    }

    /// What differs from process to process.
    fn variables(&self, run: u32) -> Vec<(&'static str, String)> {
        let mut variables = vec![("EVENTRUNNER_ADMIN__HTTP__LISTEN", self.admin.to_string())];
        let listen = match self.service {
            Service::IngestHttp => Some("EVENTRUNNER_INGEST_HTTP__SERVER__LISTEN"),
            Service::IngestGrpc => Some("EVENTRUNNER_INGEST_GRPC__SERVER__LISTEN"),
            Service::Api => Some("EVENTRUNNER_API__HTTP__LISTEN"),
            Service::Normalizer | Service::Engine | Service::Billing => None,
        };
        variables.extend(listen.zip(self.listen).map(|(name, address)| (name, address.to_string())));
        let member = match self.service {
            Service::Normalizer => Some("EVENTRUNNER_NORMALIZER__MEMBERS__REPLICA"),
            Service::Engine => Some("EVENTRUNNER_ENGINE__MEMBERS__REPLICA"),
            _ => None,
        };
        // The same after a restart, so that it takes its partitions back; another one in each fleet on the broker.
        let first = if self.member.is_empty() { format!("up-{run:08x}") } else { self.member.clone() };
        variables.extend(member.map(|name| (name, format!("{first}-{}", self.replica))));
        variables
    }

    /// How it is run.
    pub(crate) fn job(&self, config: &Path, run: u32, roster: &Arc<Roster>, health: &Health) -> Result<Job> {
        let program = env::current_exe()
            .map_err(|e| Failure::failed(format!("cannot tell which program this is: {e}")))?;
        let log = log_file(config.parent().unwrap_or(config), &self.name());
        let (service, config, variables) = (self.service.name(), config.to_owned(), self.variables(run));
        let log_of_command = log.clone();
        let command = move || {
            let said = open_log(&log_of_command)
                .map_err(|e| Failure::file("cannot write the log", &log_of_command, &e))?;
            let also_said =
                said.try_clone().map_err(|e| Failure::file("cannot write the log", &log_of_command, &e))?;
            let mut command = Command::new(&program);
            command.arg(service).arg("--config").arg(&config).arg("--supervised");
            // The file is all they are told: what is set here is in it already, or for us only.
            for (name, _) in env::vars_os() {
                if name.to_str().is_some_and(|name| name.starts_with(ENV_PREFIX)) {
                    command.env_remove(name);
                }
            }
            command.envs(variables.iter().map(|(name, value)| (name, value)));
            command.stdin(Stdio::piped()).stdout(said).stderr(also_said);
            Ok(command)
        };
        Ok(Job {
            name: self.name(),
            command: Arc::new(command),
            ready_url: format!("http://{}/healthz/ready", self.admin),
            ready_timeout: READY_TIMEOUT,
            slow: "is not ready yet",
            tell: self.tell(&log, roster, health),
            log,
            last_fault,
            judge,
            is_stuck: |_| false,
            stop: STOP,
        })
    }

    /// What becomes of it goes into the list of processes, the health of all, and the metrics.
    fn tell(&self, log: &Path, roster: &Arc<Roster>, health: &Health) -> Arc<dyn Fn(News) + Send + Sync> {
        let (name, log, roster) = (self.name(), log.to_owned(), Arc::clone(roster));
        let component = health.component(name.clone());
        let restarts = metrics::counter(Metric::FleetRestartedProcesses, &[self.service.name()]);
        Arc::new(move |news| match news {
            News::Started(pid) => roster.started(&name, pid),
            News::Ready => {
                component.started();
                component.ready(true, "");
                shorten(&log);
            }
            News::NotReady(reason) => component.ready(false, hindrance(&reason)),
            News::Ended => {
                restarts.inc();
                roster.ended(&name);
                component.ready(false, "it ended and is started again");
            }
        })
    }
}

/// A configuration that is wrong stays wrong; what it needs may yet come.
fn judge(status: ExitStatus) -> (Code, bool) {
    let code = code_of(status);
    (code, matches!(code, Code::Failed | Code::Unavailable | Code::Undrained | Code::Done))
}

fn open_log(path: &Path) -> io::Result<fs::File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::options().create(true).append(true).open(path)
}

/// Keeps a log within bounds. The process goes on writing at the end of the same file, wherever that is; lines of this
/// very moment may be lost.
fn shorten(log: &Path) {
    if fs::metadata(log).is_ok_and(|file| file.len() > LOG_BYTES_MAX) {
        let kept = fs::copy(log, log.with_extension("log.1"));
        let emptied = kept.and_then(|_| fs::File::options().write(true).open(log)?.set_len(0));
        if let Err(error) = emptied {
            tracing::warn!(log = %log.display(), %error, "the log is not shortened");
        }
    }
}

/// What of its body says why.
fn hindrance(body: &str) -> String {
    match serde_json::from_str::<Readiness>(body) {
        Ok(readiness) => readiness.hindrances().join("; "),
        Err(_) => body.chars().take(200).collect(),
    }
}

/// What it said last of why it ended: a line of the log, or what a command says on its way out.
fn last_fault(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    let lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
    lines.iter().enumerate().find_map(|(index, line)| {
        if let Some(said) = line.strip_prefix("error: ") {
            // With the advice below it.
            let advice = lines[..index].iter().rev().take_while(|line| line.starts_with("  "));
            return Some(advice.fold(said.to_owned(), |all, line| all + "\n" + line));
        }
        let value: Value = serde_json::from_str(line).ok()?;
        let said = ["error", "reason", "message"].iter().find_map(|field| value[*field].as_str())?;
        (value["level"] == "ERROR").then(|| said.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_fault_is_found_in_either_form() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        for (text, fault) in [
            ("", None),
            ("{\"level\":\"INFO\",\"message\":\"starts\"}\n", None),
            (
                "{\"level\":\"ERROR\",\"message\":\"cannot start\",\"error\":\"no port\"}\nbye\n",
                Some("no port"),
            ),
            (
                "{\"level\":\"ERROR\",\"message\":\"old\"}\nerror: a is wrong\n  do b\n",
                Some("a is wrong\n  do b"),
            ),
        ] {
            fs::write(&log, text).unwrap();
            assert_eq!(last_fault(&log).as_deref(), fault, "{text}");
        }
    }

    #[test]
    fn a_log_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a-1.log");
        let file = open_log(&log).unwrap();
        shorten(&log);
        assert!(!folder.path().join("a-1.log.1").exists());
        file.set_len(LOG_BYTES_MAX + 1).unwrap();
        shorten(&log);
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
        assert_eq!(fs::metadata(folder.path().join("a-1.log.1")).unwrap().len(), LOG_BYTES_MAX + 1);
    }

    #[test]
    fn replicas_differ_in_what_they_must() {
        let config = Config::default();
        let child = |service, replica| Child::new(service, replica, &config);
        assert_eq!(child(Service::IngestHttp, 1).listen, Some(config.ingest_http.server.listen));
        assert_eq!(child(Service::IngestHttp, 2).listen.unwrap().port(), 0);
        assert_eq!(child(Service::Engine, 2).listen, None);
        let member = |replica| child(Service::Engine, replica).variables(7).pop().unwrap();
        assert_eq!(member(1), ("EVENTRUNNER_ENGINE__MEMBERS__REPLICA", "up-00000007-1".to_owned()));
        assert_ne!(member(1), member(2));
    }
}
