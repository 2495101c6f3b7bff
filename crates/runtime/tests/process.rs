//! Whole processes: signals and exit codes, and what is logged. This binary starts itself again for each case.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not their helpers")]

use std::{
    convert::Infallible,
    env,
    future::pending,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use http::Request;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use runtime::{
    health::Health,
    lifecycle::{Context, StopOptions, run},
    otlp::{SERVICE, TelemetryOptions},
    problem::Problem,
    telemetry::{self, LogFormat, LogOptions},
};
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _};

/// Names the case, in the environment of the process that plays it.
const CASE: &str = "RUNTIME_TEST_CASE";

/// Not a test by itself: what the started process does.
#[test]
#[ignore = "started by the other tests"]
fn process() {
    let Ok(case) = env::var(CASE) else { return };
    let options = LogOptions { format: LogFormat::Json, filter: "info".into() };
    let _telemetry = telemetry::init(&options, &TelemetryOptions::default(), SERVICE).unwrap();
    let exit = tokio::runtime::Runtime::new().unwrap().block_on(play(&case));
    // Not `exit`: the test harness would end with its own code.
    std::process::exit(exit);
}

async fn play(case: &str) -> i32 {
    if case == "logs" {
        return logs().await;
    }
    let long = Duration::from_secs(60);
    let deadline = if case == "deadline" { Duration::from_millis(50) } else { long };
    let options = StopOptions { drain_timeout: deadline, abort_timeout: Duration::from_millis(50) };
    let orderly = case == "orderly";
    let start = async |context: Context| {
        if case == "starting" {
            println!("ready");
            return pending().await;
        }
        let shutdown = context.shutdown().clone();
        context.spawn_critical("task", async move {
            shutdown.draining.cancelled().await;
            println!("draining");
            if orderly { Ok::<(), Infallible>(()) } else { pending().await }
        });
        println!("ready");
        Ok::<(), Infallible>(())
    };
    run(options, Health::default(), start).await as i32
}

async fn logs() -> i32 {
    let router = Router::new()
        .route("/panic", get(|| async { panic!("out of luck") as &'static str }))
        .route("/fault", get(|| async { Problem::internal("the index is broken") }))
        .route("/refused", get(|| async { Problem::new(model::ErrorCode::Forbidden, "no") }));
    let service = runtime::http::layer().layer(router);
    for path in ["/panic", "/fault", "/refused"] {
        let request = Request::get(path)
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    }
    0
}

struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    fn start(case: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "process", "--nocapture"])
            .env(CASE, case)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    fn until(&mut self, line: &str) {
        let mut read = String::new();
        // The harness writes `test process ... ` without a line end before it.
        while !read.ends_with(&format!("{line}\n")) {
            assert_ne!(self.stdout.read_line(&mut read).unwrap(), 0, "ended before {line:?}: {read}");
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Its exit code, and the lines of its log.
    fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let lines =
            log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
        let lines = lines.collect();
        (self.child.wait().unwrap().code(), lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_drains_a_second_aborts_and_the_code_says_which() {
    for (case, signals, code) in [
        ("orderly", &[Signal::SIGTERM][..], 0),
        ("orderly", &[Signal::SIGINT], 0),
        ("deadline", &[Signal::SIGTERM], 5),
        ("stuck", &[Signal::SIGINT, Signal::SIGINT], 5),
        ("stuck", &[Signal::SIGTERM, Signal::SIGINT], 5),
        ("starting", &[Signal::SIGINT], 0),
    ] {
        let mut process = Process::start(case);
        for (signal, line) in signals.iter().zip(["ready", "draining"]) {
            process.until(line);
            process.signal(*signal);
        }
        assert_eq!(process.end().0, Some(code), "{case} {signals:?}");
    }
}

#[test]
fn a_fault_is_logged_once_with_its_trace_and_a_refusal_not_at_all() {
    let (code, lines) = Process::start("logs").end();
    assert_eq!(code, Some(0));
    let told: Vec<_> = lines
        .iter()
        .map(|l| (&l["level"], &l["message"], l["reason"].as_str().or_else(|| l["cause"].as_str())))
        .collect();
    assert_eq!(
        told,
        [
            (&Value::from("ERROR"), &Value::from("panicked"), Some("out of luck")),
            (&Value::from("ERROR"), &Value::from("request failed"), Some("the index is broken")),
        ]
    );
    for line in &lines {
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c", "{line}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    }
    assert!(lines[0]["at"].as_str().unwrap().contains("process.rs:"));
}

#[test]
fn a_filter_that_cannot_be_read_is_named() {
    let error = telemetry::init(
        &LogOptions { filter: "engine=loud".into(), ..LogOptions::default() },
        &TelemetryOptions::default(),
        SERVICE,
    )
    .unwrap_err();
    assert!(error.to_string().starts_with("log.filter \"engine=loud\" cannot be read: "), "{error}");
}
