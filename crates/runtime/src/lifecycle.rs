//! Start and two-stage stop of a process.
//!
//! A signal drains: readiness goes off, nothing new is accepted or pulled, what is in flight is finished. A
//! second signal, or the deadline, aborts. A critical task that fails, panics or just ends stops the process
//! with a failure code, because a process that has quietly lost a task is worse than none.

use std::{fmt, future::Future, panic::AssertUnwindSafe, process::ExitCode, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::health::Health;

/// The two stages of a stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Finish what is in flight, take nothing new.
    pub draining: CancellationToken,
    /// Stop now.
    pub aborting: CancellationToken,
}

impl Shutdown {
    /// Running.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the first stage.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Begins the second stage.
    pub fn abort(&self) {
        self.draining.cancel();
        self.aborting.cancel();
    }

    /// Whether a stop has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }
}

/// How a process ends. `docs/` lists the same ladder for the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well; after a signal: everything in flight was finished.
    Done = 0,
    /// A task failed while running.
    Failed = 1,
    /// The command line is wrong (clap's own code).
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// It could not start: a port is taken, the broker refuses, a folder is locked.
    Start = 4,
    /// Stopped with work unfinished: a second signal, or the drain deadline passed. Nothing accepted is lost.
    Undrained = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A critical task that did not end as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{task}: {reason}")]
pub struct Failure {
    /// Which task.
    pub task: String,
    /// The error's or panic's message.
    pub reason: String,
}

/// What a service gets to run: the stop tokens, its tasks, the health of the process. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    shutdown: Shutdown,
    health: Health,
    tasks: TaskTracker,
    failures: mpsc::UnboundedSender<Failure>,
    failed: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Failure>>>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl Context {
    /// A context of its own, for tests and embedding; [`run`] makes the one of a process.
    #[must_use]
    pub fn new(health: Health) -> Self {
        let (failures, failed) = mpsc::unbounded_channel();
        Self {
            shutdown: Shutdown::new(),
            health,
            tasks: TaskTracker::new(),
            failures,
            failed: Arc::new(tokio::sync::Mutex::new(failed)),
        }
    }

    /// The stop tokens.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// The health of the process.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Runs a task that must live until draining and end without an error; otherwise the process stops with
    /// [`Exit::Failed`]. The stop waits for it.
    pub fn spawn_critical<F, E>(&self, name: impl Into<String>, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let name = name.into();
        let shutdown = self.shutdown.clone();
        let failures = self.failures.clone();
        self.tasks.spawn(async move {
            let reason = match AssertUnwindSafe(task).catch_unwind().await {
                Ok(Ok(())) if shutdown.is_draining() => return,
                Ok(Ok(())) => "ended although nobody asked it to".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(panic) => format!("panicked: {}", panic_message(&*panic)),
            };
            tracing::error!(task = name, reason, "critical task failed");
            // Only fails when nobody runs the context any more.
            let _ = failures.send(Failure { task: name, reason });
        });
    }

    /// Runs a task that may end at any time; the stop waits for it.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// The first failure of a critical task; pending as long as there is none.
    pub async fn failed(&self) -> Failure {
        match self.failed.lock().await.recv().await {
            Some(failure) => failure,
            // Not reachable while `self` holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Drains, and aborts at the deadline. True if everything had ended before it.
    pub async fn stop(&self, options: &StopOptions) -> bool {
        self.begin_drain();
        let drained = tokio::time::timeout(options.drain_timeout, self.tasks.wait()).await.is_ok();
        if !drained {
            self.abort(options).await;
        }
        drained
    }

    fn begin_drain(&self) {
        // Readiness goes off first; time for a load balancer to notice is the pre-stop hook's to give.
        self.health.set_draining();
        self.shutdown.drain();
        self.tasks.close();
    }

    async fn abort(&self, options: &StopOptions) {
        self.shutdown.abort();
        let _ = tokio::time::timeout(options.abort_timeout, self.tasks.wait()).await;
    }
}

/// How long the two stages may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopOptions {
    /// From the first signal to the abort. Below Kubernetes' default grace period of 30 s.
    pub drain_timeout: Duration,
    /// From the abort to the exit.
    pub abort_timeout: Duration,
}

impl Default for StopOptions {
    fn default() -> Self {
        Self { drain_timeout: Duration::from_secs(25), abort_timeout: Duration::from_secs(3) }
    }
}

/// Why a process stops.
enum Cause {
    Signal(&'static str),
    Failure(Failure),
}

/// The main of a process: `start` builds everything and spawns its critical tasks; then this waits for a
/// signal (SIGINT, SIGTERM) or the failure of a task, drains, and says how it ended.
///
/// An error of `start` ends with [`Exit::Start`]; it is logged here.
pub async fn run<F, Fut, E>(options: StopOptions, health: Health, start: F) -> Exit
where
    F: FnOnce(Context) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals");
            return Exit::Start;
        }
    };
    let context = Context::new(health);
    let started = tokio::select! {
        started = start(context.clone()) => started,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped while starting");
            return if context.stop(&options).await { Exit::Done } else { Exit::Undrained };
        }
    };
    if let Err(error) = started {
        tracing::error!(%error, "cannot start");
        context.stop(&StopOptions { drain_timeout: options.abort_timeout, ..options }).await;
        return Exit::Start;
    }
    let cause = tokio::select! {
        name = signals.next() => Cause::Signal(name),
        failure = context.failed() => Cause::Failure(failure),
    };
    drain(&context, &options, &mut signals, &cause).await
}

async fn drain(context: &Context, options: &StopOptions, signals: &mut Signals, cause: &Cause) -> Exit {
    match cause {
        Cause::Signal(name) => tracing::info!(signal = name, "draining; a second signal aborts"),
        Cause::Failure(failure) => tracing::info!(task = failure.task, "draining after a failure"),
    }
    let orderly = async {
        context.begin_drain();
        tokio::time::timeout(options.drain_timeout, context.tasks.wait()).await
    };
    let drained = tokio::select! {
        ended = orderly => ended.is_ok(),
        name = signals.next() => {
            tracing::warn!(signal = name, "a second signal");
            false
        }
    };
    if !drained {
        tracing::warn!(tasks = context.tasks.len(), "aborting with tasks left");
    }
    if !drained {
        context.abort(options).await;
    }
    // A task may also fail on its way out.
    let failed = matches!(cause, Cause::Failure(_)) || context.failed().now_or_never().is_some();
    match (failed, drained) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Done,
        (false, false) => Exit::Undrained,
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// The text of a panic, as far as it has one.
#[must_use]
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
