//! Keeping a process running: started, waited for until it is ready, started again when it ends, stopped in order.

use std::{
    fmt,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, ChildStdin, Command},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{Code, Failure, Result},
    output::note,
};

/// From when on waiting for a process is worth a line.
const SLOW: Duration = Duration::from_secs(3);
/// Waits between restarts: the first and the longest. Running for as long as the longest counts as recovered.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often a running process is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at one that starts: it has no way to tell us; a start takes 20 to 100 ms.
const START_LOOK: Duration = Duration::from_millis(10);

/// What is run, and how one knows how it is.
#[derive(Clone)]
pub(crate) struct Job {
    /// As it is called in what is said, such as `nats-server` or `engine-2`.
    pub(crate) name: String,
    /// Makes the command that starts it.
    pub(crate) command: Arc<dyn Fn() -> Result<Command> + Send + Sync>,
    /// Answers 200 once it is ready.
    pub(crate) ready_url: String,
    /// Until when it must have been ready for the first time.
    pub(crate) ready_timeout: Duration,
    /// What it does when its start takes long: "is recovering its streams".
    pub(crate) slow: &'static str,
    /// Where it says what goes wrong.
    pub(crate) log: PathBuf,
    /// The last fault in its log.
    pub(crate) last_fault: fn(&Path) -> Option<String>,
    /// What a first start that ended like this is to us, and whether there is use in trying again.
    pub(crate) judge: fn(ExitStatus) -> (Code, bool),
    /// Whether what it says of not being ready is something that it does not get over by itself.
    pub(crate) is_stuck: fn(&str) -> bool,
    /// The signals that stop it, each with how long it may take; SIGKILL comes after the last.
    pub(crate) stop: &'static [(Signal, Duration)],
    /// Told of what becomes of it.
    pub(crate) tell: Arc<dyn Fn(News) + Send + Sync>,
}

/// What becomes of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It runs, with this process id.
    Started(u32),
    /// It can work.
    Ready,
    /// It runs and cannot work, and why.
    NotReady(String),
    /// It ended though nobody asked it to.
    Ended,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Keeps a process running in a task of its own, which outlives whoever waits for it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    ready: oneshot::Receiver<Result<u32>>,
    stop: CancellationToken,
    hurry: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts it.
    pub(crate) fn start(job: Job) -> Self {
        let (tell, ready) = oneshot::channel();
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(supervise(job, tell, stop.clone(), hurry.clone()));
        Self { ready, stop, hurry, task }
    }

    /// Waits until it takes work. Gives its process id.
    pub(crate) async fn ready(&mut self) -> Result<u32> {
        let gone = || Failure::unavailable("it was stopped");
        (&mut self.ready).await.unwrap_or_else(|_| Err(gone()))
    }

    /// Ends it in order; kills it as soon as `hurry` ends.
    pub(crate) async fn stop(mut self, hurry: impl Future<Output = ()>) {
        self.stop.cancel();
        let ended = tokio::select! {
            ended = &mut self.task => ended,
            () = hurry => {
                self.hurry.cancel();
                self.task.await
            }
        };
        if ended.is_err() {
            note("a supervisor came to grief");
        }
    }
}

async fn supervise(
    job: Job,
    tell: oneshot::Sender<Result<u32>>,
    stop: CancellationToken,
    hurry: CancellationToken,
) {
    let mut process = match Process::spawn(job, hurry) {
        Ok(process) => process,
        Err(failure) => return drop(tell.send(Err(failure))),
    };
    let ready = tokio::select! {
        () = stop.cancelled() => return process.end().await,
        ready = process.first_ready() => ready,
    };
    if let Err(failure) = ready {
        process.end().await;
        return drop(tell.send(Err(failure)));
    }
    let pid = process.child.id().unwrap_or_default();
    if tell.send(Ok(pid)).is_err() {
        // Whoever waited has gone; `stop` tells when to end.
        tracing::debug!(name = process.job.name, "nobody waits for a process");
    }
    process.keep(stop).await;
}

/// A running process.
#[derive(Debug)]
struct Process {
    job: Job,
    child: Child,
    /// Closed when we end, however we end: a child that reads it knows that it is alone. Kept apart from the child,
    /// which closes it as soon as it is waited for.
    _stdin: Option<ChildStdin>,
    hurry: CancellationToken,
    http: reqwest::Client,
}

/// Why a process is not ready and will not be.
enum Trouble {
    Ended(ExitStatus),
    Late,
}

impl Process {
    fn spawn(job: Job, hurry: CancellationToken) -> Result<Self> {
        let http = crate::client::http_client(Duration::from_secs(2))?;
        let mut child = spawn(&job)?;
        let stdin = child.stdin.take();
        Ok(Self { job, child, _stdin: stdin, hurry, http })
    }

    fn spawn_again(&mut self) -> Result<()> {
        let mut child = spawn(&self.job)?;
        self._stdin = child.stdin.take();
        self.child = child;
        Ok(())
    }

    /// Waits for the first start, through others if it dies and there is use in trying.
    async fn first_ready(&mut self) -> Result<()> {
        let mut backoff = BACKOFF.0;
        loop {
            let status = match self.ready().await {
                Ok(()) => return Ok(()),
                Err(Trouble::Late) => return Err(self.late()),
                Err(Trouble::Ended(status)) => status,
            };
            let failure = self.ended(status);
            if !(self.job.judge)(status).1 {
                return Err(failure);
            }
            note(&format!("{}; trying again in {} ms", failure.message, backoff.as_millis()));
            (self.job.tell)(News::Ended);
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
            self.spawn_again()?;
        }
    }

    async fn ready(&mut self) -> std::result::Result<(), Trouble> {
        let began = Instant::now();
        let mut told = false;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Trouble::Ended(status));
            }
            if look(&self.http, &self.job.ready_url).await.is_ok() {
                (self.job.tell)(News::Ready);
                return Ok(());
            }
            if began.elapsed() > self.job.ready_timeout {
                return Err(Trouble::Late);
            }
            if began.elapsed() > SLOW && !told {
                note(&format!("{} {}", self.job.name, self.job.slow));
                told = true;
            }
            tokio::time::sleep(START_LOOK).await;
        }
    }

    fn late(&self) -> Failure {
        let Job { name, ready_timeout, log, .. } = &self.job;
        let message = format!("{name} is not ready after {} s", ready_timeout.as_secs());
        Failure::unavailable(message).hint(format!("its log: {}", log.display()))
    }

    fn ended(&self, status: ExitStatus) -> Failure {
        let Job { name, log, judge, .. } = &self.job;
        let (code, _) = judge(status);
        let reason = (self.job.last_fault)(log).map(|line| format!(": {line}")).unwrap_or_default();
        Failure::new(code, format!("{name} ended at its start ({}){reason}", describe(status)))
            .hint(format!("its log: {}", log.display()))
    }

    /// Starts it again whenever it ends, until `stop`. Whoever needs it waits meanwhile: nothing is lost but time.
    async fn keep(mut self, stop: CancellationToken) {
        let mut backoff = BACKOFF.0;
        loop {
            let began = Instant::now();
            let status = tokio::select! {
                () = stop.cancelled() => return self.end().await,
                status = self.child.wait() => status,
                reason = watch(&self.http, &self.job) => {
                    note(&format!("{} does not get over this by itself: {reason}", self.job.name));
                    self.end().await;
                    self.child.wait().await
                }
            };
            (self.job.tell)(News::Ended);
            if began.elapsed() > BACKOFF.1 {
                backoff = BACKOFF.0;
            }
            let name = self.job.name.clone();
            let how = status.map_or_else(|e| e.to_string(), describe);
            note(&format!("{name} ended ({how}); starting it again in {} ms", backoff.as_millis()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(BACKOFF.1);
            if let Err(failure) = self.spawn_again() {
                note(&failure.to_string());
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return self.end().await,
                ready = self.ready() => match ready {
                    Ok(()) => note(&format!("{name} runs again")),
                    Err(Trouble::Late) => note(&self.late().to_string()),
                    Err(Trouble::Ended(status)) => note(&self.ended(status).to_string()),
                }
            }
        }
    }

    /// Asks it to end, as often as its job says; kills it if it does not, or if we are asked to hurry.
    async fn end(&mut self) {
        let mut reason = "it does not end";
        for (signal, patience) in self.job.stop {
            if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
                // It has ended by itself when this fails.
                let _ = kill(Pid::from_raw(pid), *signal);
            }
            tokio::select! {
                _ = self.child.wait() => return,
                () = self.hurry.cancelled() => {
                    reason = "interrupted";
                    break;
                }
                () = tokio::time::sleep(*patience) => {}
            }
        }
        note(&format!("killing {}: {reason}", self.job.name));
        let _ = self.child.kill().await;
    }
}

fn spawn(job: &Job) -> Result<Child> {
    let mut command = (job.command)()?;
    // Out of the terminal's group: Ctrl-C is for us, and we stop everything in order.
    command.process_group(0);
    let program = command.as_std().get_program().to_owned();
    let child = command
        .spawn()
        .map_err(|e| Failure::unavailable(format!("cannot start {}: {e}", program.display())))?;
    (job.tell)(News::Started(child.id().unwrap_or_default()));
    Ok(child)
}

/// Asks whether it is ready; if not, why.
async fn look(http: &reqwest::Client, url: &str) -> std::result::Result<(), String> {
    match http.get(url).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(answer.text().await.unwrap_or_default()),
        Err(error) => Err(crate::client::error::root(&error)),
    }
}

/// Follows how it is. Ends with what it says when it is stuck.
async fn watch(http: &reqwest::Client, job: &Job) -> String {
    loop {
        tokio::time::sleep(LOOK).await;
        match look(http, &job.ready_url).await {
            Ok(()) => (job.tell)(News::Ready),
            Err(reason) => {
                (job.tell)(News::NotReady(reason.clone()));
                if (job.is_stuck)(&reason) {
                    return reason;
                }
            }
        }
    }
}

/// The exit code of a process of ours; one that was killed failed.
pub(crate) fn code_of(status: ExitStatus) -> Code {
    let known = Code::ALL.iter().map(|(code, _)| *code);
    known.into_iter().find(|code| status.code() == Some(i32::from(*code as u8))).unwrap_or(Code::Failed)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "for no known reason".to_owned(),
    }
}
