//! How a process stops. Here without signals; with them in `process.rs`.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use runtime::{
    health::Health,
    lifecycle::{Context, Exit, StopOptions, run},
};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);

fn stop() -> StopOptions {
    StopOptions { drain_timeout: Duration::from_millis(200), abort_timeout: Duration::from_millis(200) }
}

#[tokio::test]
async fn a_critical_task_that_does_not_live_fails_the_process() {
    let fails = async |spawn: fn(&Context), reason: &str| {
        let context = Context::new(Health::default());
        spawn(&context);
        let failure = timeout(LONG, context.failed()).await.unwrap();
        assert_eq!(failure.to_string(), format!("task: {reason}"));
        let exit = run(stop(), Health::default(), |context| async move {
            spawn(&context);
            Ok::<(), Infallible>(())
        });
        assert_eq!(timeout(LONG, exit).await.unwrap(), Exit::Failed, "{reason}");
    };
    fails(|c| c.spawn_critical("task", async { Err("the disk is full") }), "the disk is full").await;
    fails(|c| c.spawn_critical("task", async { Ok::<(), String>(()) }), "ended although nobody asked it to")
        .await;
    fails(
        |c| c.spawn_critical("task", async { panic!("out of {}", "luck") as Result<(), String> }),
        "panicked: out of luck",
    )
    .await;
}

#[tokio::test]
async fn a_failure_drains_the_others_first() {
    let finished = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&finished);
    let exit = run(stop(), Health::default(), |context| async move {
        let shutdown = context.shutdown().clone();
        context.spawn_critical("good", async move {
            shutdown.draining.cancelled().await;
            tokio::task::yield_now().await;
            seen.store(true, Ordering::SeqCst);
            Ok::<(), Infallible>(())
        });
        context.spawn_critical("bad", async { Err("no") });
        Ok::<(), Infallible>(())
    });
    assert_eq!(timeout(LONG, exit).await.unwrap(), Exit::Failed);
    assert!(finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn what_cannot_start_ends_with_its_own_code() {
    let exit = run(stop(), Health::default(), |_| async { Err("port 80 is taken") }).await;
    assert_eq!((exit, exit as u8), (Exit::Start, 4));
}

#[tokio::test]
async fn a_stop_waits_for_all_tasks_and_readiness_goes_off_first() {
    let context = Context::new(Health::default());
    let component = context.health().component("service");
    component.started();
    component.ready(true, "");
    assert!(context.health().ready().ok);
    let (shutdown, health) = (context.shutdown().clone(), context.health().clone());
    context.spawn(async move {
        shutdown.draining.cancelled().await;
        assert!(!health.ready().ok && health.live().ok, "not ready, but alive");
    });
    assert!(context.stop(&stop()).await, "drained");
    assert!(!context.shutdown().aborting.is_cancelled());
}

#[tokio::test]
async fn a_task_that_ignores_draining_is_told_to_abort_at_the_deadline() {
    let context = Context::new(Health::default());
    let shutdown = context.shutdown().clone();
    context.spawn(async move { shutdown.aborting.cancelled().await });
    context.spawn(pending());
    assert!(!timeout(LONG, context.stop(&stop())).await.unwrap(), "not drained");
    assert!(context.shutdown().aborting.is_cancelled());
}
