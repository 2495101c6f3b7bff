//! HTTP/2 without TLS, on the same listener.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, timeout};

use super::server::{LONG, Server, options};

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

#[tokio::test]
async fn a_connection_without_a_request_lives_for_the_idle_timeout() {
    let server = Server::start(options()).await;
    let mut client = server.client().await;
    let start = Instant::now();
    // In two pieces; the empty SETTINGS frame completes the client's part.
    client.send("PRI * HTTP/2.0\r\n").await;
    client.send("\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut all = Vec::new();
    timeout(LONG, tokio::io::AsyncReadExt::read_to_end(&mut client.0, &mut all)).await.unwrap().unwrap();
    assert!(start.elapsed() >= options().idle_timeout(), "closed after {:?}", start.elapsed());
    assert_eq!(all[3], 4, "it got the server's SETTINGS");
}
