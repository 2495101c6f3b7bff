//! The server is real, keeps what it promised, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not their helpers")]

use std::{panic, path::Path, time::Duration};

use async_nats::jetstream::stream;
use testkit::{NatsOptions, NatsServer, wait_until};

const LONG: Duration = Duration::from_secs(20);

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

async fn stream_with_one_message(server: &NatsServer) -> async_nats::jetstream::Context {
    let jetstream = server.jetstream().await;
    let config = stream::Config { name: "S".into(), subjects: vec!["s".into()], ..Default::default() };
    jetstream.create_stream(config).await.unwrap();
    jetstream.publish("s", "kept".into()).await.unwrap().await.unwrap();
    jetstream
}

async fn messages(jetstream: &async_nats::jetstream::Context) -> Option<u64> {
    // A request that went down with the server would wait for its answer for ten seconds.
    let stream = tokio::time::timeout(Duration::from_millis(500), jetstream.get_stream("S")).await;
    Some(stream.ok()?.ok()?.cached_info().state.messages)
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_with_its_data() {
    let mut server = NatsServer::start();
    let jetstream = stream_with_one_message(&server).await;
    let (url, first) = (server.url(), server.pid());
    server.kill();
    assert_eq!(server.pid(), None);
    server.restart();
    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), first);
    wait_until("the message is there", LONG, async || messages(&jetstream).await == Some(1)).await;
    server.stop();
    server.restart_with(|options| options.sync_always = false);
    wait_until("the message is still there", LONG, async || messages(&jetstream).await == Some(1)).await;
}

#[tokio::test]
async fn a_paused_server_answers_again_when_resumed() {
    let server = NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() });
    let jetstream = stream_with_one_message(&server).await;
    server.pause();
    let silent = tokio::time::timeout(Duration::from_millis(200), jetstream.get_stream("S")).await;
    assert!(silent.is_err(), "it still answers");
    server.resume();
    wait_until("it answers", LONG, async || messages(&jetstream).await == Some(1)).await;
}

#[tokio::test]
async fn servers_do_not_share_a_port_or_data() {
    let (one, two) = (NatsServer::start(), NatsServer::start());
    assert_ne!(one.port(), two.port());
    stream_with_one_message(&one).await;
    assert_eq!(messages(&two.jetstream().await).await, None);
    assert!(one.store_dir().join("jetstream").exists());
}

#[test]
fn it_is_gone_after_a_panic_also_when_paused() {
    let (tell, pid) = std::sync::mpsc::channel();
    let outcome = panic::catch_unwind(move || {
        let server = NatsServer::start();
        tell.send((server.pid().unwrap(), server.store_dir())).unwrap();
        server.pause();
        panic!("on purpose");
    });
    assert!(outcome.is_err());
    let (pid, store) = pid.recv().unwrap();
    assert!(!alive(pid), "the server outlived its test");
    assert!(!store.exists(), "its data outlived its test");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let outcome = panic::catch_unwind(|| {
        NatsServer::start_with(NatsOptions { extra: "no such line".into(), ..NatsOptions::default() })
    });
    let message = *outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("nats-server ended") && message.contains("Parse error on line"), "{message}");
}

#[tokio::test]
#[should_panic(expected = "not within 20ms: pigs fly")]
async fn waiting_in_vain_names_the_condition() {
    wait_until("pigs fly", Duration::from_millis(20), async || false).await;
}

#[tokio::test]
#[should_panic(expected = "not within 20ms: the answer")]
async fn waiting_for_a_condition_that_hangs_ends_too() {
    wait_until("the answer", Duration::from_millis(20), std::future::pending).await;
}
