//! HTTP/2 without TLS, on the same listener.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncReadExt as _, time::timeout};

use super::server::{LONG, Server, options, options_idle};

#[tokio::test]
async fn http2_is_served_on_the_same_port_and_drains() {
    let server = Server::start(options()).await;
    let io = TokioIo::new(server.client().await.0);
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str| Request::get(format!("http://x{path}")).body(Body::empty()).unwrap();

    let answer = send.send_request(request("/ok")).await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (http::Version::HTTP_2, 200));
    let problem = send.send_request(request("/nowhere")).await.unwrap();
    assert_eq!(problem.status(), 404);
    assert_eq!(problem.headers()["content-type"], "application/problem+json");

    let held = tokio::spawn(send.send_request(request("/held")));
    server.hold.entered.notified().await;
    server.shutdown.drain();
    server.hold.release.notify_one();
    let answer = timeout(LONG, held).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "released");
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
}

/// The empty SETTINGS frame completes the client's part.
const SETTINGS: &str = "\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn a_connection_without_a_request_lives_beyond_the_head_timeout_and_ends_when_idle() {
    let server = Server::start(options()).await;
    let mut client = server.client().await;
    client.send("PRI * HTTP/2.0\r\n").await;
    client.send(&format!("\r\nSM\r\n\r\n{SETTINGS}")).await;
    let mut all = Vec::new();
    let closed = timeout(Duration::from_millis(900), client.0.read_to_end(&mut all)).await;
    assert!(closed.is_err(), "taken for a slow head: {closed:?}");
    assert_eq!(all[3], 4, "it got the server's SETTINGS");

    let server = Server::start(options_idle()).await;
    let mut client = server.client().await;
    client.send(&format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{SETTINGS}")).await;
    let start = Instant::now();
    timeout(LONG, client.0.read_to_end(&mut all)).await.unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(340), "closed after {:?}", start.elapsed());
}
