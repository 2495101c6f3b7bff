//! Draining: what is in flight is finished, nothing new begins.

use std::time::{Duration, Instant};

use runtime::{
    config::Millis,
    http::{self, ServerOptions},
    lifecycle::Shutdown,
};
use tokio::{net::TcpStream, time::timeout};

use super::server::{Client, LONG, Server, options};

#[tokio::test]
async fn what_is_in_flight_is_finished_and_new_connections_are_refused() {
    let server = Server::start(options()).await;
    let mut busy = server.client().await;
    busy.send("GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.hold.entered.notified().await;
    // Before the next one, so that it is accepted before the next one is answered.
    let mut silent = server.client().await;
    let mut idle = server.client().await;
    idle.send("GET /ok HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.until("fine").await;

    server.shutdown.drain();
    let start = Instant::now();
    assert_eq!(idle.answer().await, "", "idle connections are closed");
    assert_eq!(silent.answer().await, "", "so are those that never spoke");
    while TcpStream::connect(server.address).await.is_ok() {
        assert!(start.elapsed() < LONG, "still accepting");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!server.task.is_finished(), "it waits for the request in flight");
    server.hold.release.notify_one();
    let said = busy.answer().await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("released"), "{said}");
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_is_on_its_way_is_answered() {
    let server = Server::start(options()).await;
    let mut idle = server.client().await;
    idle.send("GET /ok HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.until("fine").await;
    server.shutdown.drain();
    idle.send("GET /ok HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let said = idle.answer().await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("connection: close"), "{said}");
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn who_only_the_kernel_has_let_in_is_answered_too() {
    let options = options();
    let listener = http::bind(options.listen).await.unwrap();
    let mut client = Client(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
    client.send("GET /ok HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let shutdown = Shutdown::new();
    shutdown.drain();
    let server = Server::start_on(listener, options, shutdown);
    let said = client.answer().await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("connection: close"), "{said}");
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_deadline() {
    let server = Server::start(ServerOptions { drain_timeout_ms: Millis(200), ..options() }).await;
    let mut busy = server.client().await;
    busy.send("GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.hold.entered.notified().await;
    let start = Instant::now();
    server.shutdown.drain();
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    assert_eq!(busy.answer().await, "");
}

#[tokio::test]
async fn an_abort_does_not_wait() {
    let server = Server::start(options()).await;
    let mut busy = server.client().await;
    busy.send("GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.hold.entered.notified().await;
    let start = Instant::now();
    server.shutdown.abort();
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
    assert!(start.elapsed() < options().drain_timeout(), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_taken_port_says_which() {
    let server = Server::start(options()).await;
    let error = http::bind(server.address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&format!("cannot listen on {}", server.address)), "{error}");
}
