//! Slow, silent, half-open, greedy.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::server::{LONG, Server, options, options_idle};

/// Sends `piece` every few milliseconds until the server has had enough; how long it took, and what it said.
async fn trickle(server: &Server, head: &str, piece: &'static str) -> (Duration, String) {
    let mut client = server.client().await;
    client.send(head).await;
    let start = Instant::now();
    let (mut read, mut write) = client.0.into_split();
    let feeding = tokio::spawn(async move {
        while write.write_all(piece.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut said = Vec::new();
    // A reset after the answer is fine too: the client was still sending.
    let _ = timeout(LONG, tokio::io::AsyncReadExt::read_to_end(&mut read, &mut said)).await.unwrap();
    let took = start.elapsed();
    feeding.abort();
    (took, String::from_utf8(said).unwrap())
}

/// Never early. How late says nothing on a busy machine, only that no other timeout is meant: those are far away.
fn after(took: Duration, timeout_ms: u64) {
    // The clocks of the two sides start a little apart.
    assert!(
        took >= Duration::from_millis(timeout_ms - 60) && took < LONG,
        "took {took:?}, not {timeout_ms} ms"
    );
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let server = Server::start(options()).await;
    let (took, said) = trickle(&server, "GET /ok HTTP/1.1\r\nhost: x\r\n", "x-a: b\r\n").await;
    after(took, 300);
    assert_eq!(said, "", "no answer to half a request");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_off_when_idle() {
    let server = Server::start(options_idle()).await;
    let start = Instant::now();
    assert_eq!(server.client().await.answer().await, "");
    after(start.elapsed(), 400);
}

#[tokio::test]
async fn half_a_preface_is_cut_off_like_a_head() {
    let server = Server::start(options()).await;
    let start = Instant::now();
    let mut client = server.client().await;
    client.send("PRI * HTTP/2.0\r\n").await;
    client.answer().await;
    after(start.elapsed(), 300);
}

#[tokio::test]
async fn a_kept_alive_connection_lives_beyond_the_head_timeout_and_ends_when_idle() {
    let server = Server::start(options()).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        client.send("GET /ok HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(client.until("fine").await.starts_with("HTTP/1.1 200 "));
        // Longer than the head timeout: the point is that time passes and nothing happens.
        tokio::time::sleep(Duration::from_millis(600)).await;
    }

    let server = Server::start(options_idle()).await;
    let mut client = server.client().await;
    client.send("GET /ok HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.until("fine").await;
    let start = Instant::now();
    assert_eq!(client.answer().await, "");
    after(start.elapsed(), 400);
}

#[tokio::test]
async fn a_stalled_body_is_a_408_at_half_the_timeout_and_a_trickling_one_at_the_end() {
    let server = Server::start(options()).await;
    let head = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    let start = Instant::now();
    let said = server.ask(head).await;
    after(start.elapsed(), 300);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(said.contains(r#""code":"request_timeout""#), "{said}");

    let (took, said) = trickle(&server, head, "x").await;
    after(took, 600);
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
}

#[tokio::test]
async fn a_body_is_read_whole_however_it_is_framed() {
    let server = Server::start(options()).await;
    for request in [
        "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        "POST /body HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        let said = server.ask(request).await;
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("\r\n\r\n5"), "{said}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_gets_a_400_or_nothing() {
    let server = Server::start(options()).await;
    let said = server.ask("POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await;
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert!(said.contains(r#""code":"malformed""#), "{said}");
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_to_read_why_it_was_refused() {
    let server = Server::start(options()).await;
    for path in ["/unread", "/ok"] {
        let mut client = server.client().await;
        client.send(&format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n")).await;
        // The answer is on its way; the client, busy sending, looks at it only afterwards. A server that had closed
        // would have reset the connection by then, and both of the following would fail.
        client.0.readable().await.unwrap();
        for _ in 0..9 {
            client.send(&"x".repeat(100_000)).await;
        }
        let said = client.answer().await;
        assert!(said.contains(r#""code":""#), "{path}: {said}");
    }
}

#[tokio::test]
async fn a_huge_head_is_a_431() {
    let server = Server::start(options()).await;
    for (what, headers) in [
        ("bytes", format!("x-a: {}\r\n", "a".repeat(20_000))),
        ("fields", "x-a: b\r\n".repeat(64)),
        ("path", String::new()),
    ] {
        let path = if what == "path" { format!("/{}", "a".repeat(20_000)) } else { "/ok".into() };
        let said = server.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        let status = said.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "431" | "414"), "{what}: {said}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(options()).await;
    let mut client = server.client().await;
    let requests: String = (0..50).map(|n| format!("GET /item/{n} HTTP/1.1\r\nhost: x\r\n\r\n")).collect();
    client.send(&format!("{requests}GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
    let said = client.answer().await;
    let bodies: Vec<&str> =
        said.split("\r\n\r\n").skip(1).map(|part| part.split("HTTP/").next().unwrap()).collect();
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).chain(["fine".to_owned()]).collect();
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    for path in ["/large", "/forever"] {
        let server = Server::start(options()).await;
        let mut client = server.client().await;
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        client.until("HTTP/1.1 200").await;
        // Nothing is read any more. When the server has given up, draining has nothing to wait for.
        let closed =
            runtime::metrics::counter(runtime::metrics::Metric::HttpClosedConnections, &["write_stalled"]);
        let before = closed.get();
        let start = Instant::now();
        while closed.get() == before {
            assert!(start.elapsed() < LONG, "{path}: never cut off");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(client);
    }
}

#[tokio::test]
async fn over_the_limit_connections_wait_and_are_counted() {
    let server = Server::start(runtime::http::ServerOptions { connections_max: 1, ..options() }).await;
    let waits = runtime::metrics::counter(runtime::metrics::Metric::HttpFullWaits, &[]);
    let before = waits.get();
    let mut first = server.client().await;
    first.send("GET /held HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    server.hold.entered.notified().await;
    let mut second = server.client().await;
    second.send("GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let early = timeout(Duration::from_millis(100), second.answer()).await;
    assert!(early.is_err(), "answered beside the first: {early:?}");
    server.hold.release.notify_one();
    assert!(first.answer().await.ends_with("released"));
    assert!(second.answer().await.ends_with("fine"));
    assert!(waits.get() > before);
}
