//! HTTP/2 without TLS, on the same listener.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

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
