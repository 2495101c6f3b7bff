//! What the protocol below gRPC's messages can get wrong, byte by byte.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{io::Write as _, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingest_grpc::Options;
use model::ErrorCode;
use prost::Message as _;
use proto::v1::{PublishEventRequest, StreamEventsRequest};
use runtime::grpc;
use serde_json::json;
use support::{Fleet, PATIENCE, event};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Status};

type Body = BoxBody<Bytes, std::io::Error>;

const PUBLISH: &str = "/eventrunner.v1.EventIngestService/PublishEvent";
const STREAM: &str = "/eventrunner.v1.EventIngestService/StreamEvents";

/// One gRPC frame.
fn frame(flag: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flag];
    bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn good() -> Vec<u8> {
    PublishEventRequest { event: Some(event("1")) }.encode_to_vec()
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|e| match e {}).boxed()
}

/// The bytes, and then nothing, without an end.
fn hanging(bytes: Vec<u8>) -> Body {
    let first = tokio_stream::iter([Ok(Frame::data(Bytes::from(bytes)))]);
    StreamBody::new(tokio_stream::StreamExt::chain(first, tokio_stream::pending())).boxed()
}

struct Answer {
    http: u16,
    headers: http::HeaderMap,
    /// From the trailers, or the headers of an answer without a body.
    status: Option<Status>,
    body: Bytes,
}

struct Wire {
    sender: hyper::client::conn::http2::SendRequest<Body>,
    addr: String,
    key: String,
}

impl Wire {
    async fn connect(fleet: &Fleet) -> Self {
        let socket = TcpStream::connect(fleet.addr).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, addr: fleet.addr.to_string(), key: fleet.key.clone() }
    }

    /// Sends a call whose headers the given ones replace; an empty one is left out.
    async fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let usual = [("content-type", "application/grpc"), ("te", "trailers"), ("authorization", &bearer)];
        let mut request = http::Request::builder().method(method).uri(format!("http://{}{path}", self.addr));
        let replaced = |name: &str| headers.iter().any(|(n, _)| *n == name);
        for (name, value) in usual.iter().filter(|(n, _)| !replaced(n)).chain(headers) {
            if !value.is_empty() {
                request = request.header(*name, *value);
            }
        }
        self.sender.ready().await.unwrap();
        let request = request.body(body).unwrap();
        let response = tokio::time::timeout(PATIENCE, self.sender.send_request(request))
            .await
            .expect("an answer")
            .unwrap();
        let (parts, body) = response.into_parts();
        let collected =
            tokio::time::timeout(PATIENCE, body.collect()).await.expect("the answer's end").unwrap();
        let trailers = collected.trailers().cloned();
        let status = trailers.as_ref().and_then(Status::from_header_map);
        let status = status.or_else(|| Status::from_header_map(&parts.headers));
        Answer { http: parts.status.as_u16(), headers: parts.headers, status, body: collected.to_bytes() }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Unknown fields nested as groups, deeper than any message.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x7b; depth];
    bytes.extend(vec![0x7c; depth]);
    bytes
}

type Fault = (&'static str, Vec<(&'static str, &'static str)>, Vec<u8>, Option<ErrorCode>);

fn faults() -> Vec<Fault> {
    use ErrorCode::{Malformed, RequestTimeout, TooLarge};
    let id_not_utf8 = b"\x0a\x04\x0a\x02\xff\xfe".to_vec();
    let text_not_utf8 = b"\x0a\x04\x3a\x02\xff\xfe".to_vec();
    let mut cut_gzip = gzip(&good());
    cut_gzip.truncate(cut_gzip.len() / 2);
    let bomb = gzip(&vec![0; 2 << 20]);
    let short = {
        let mut bytes = frame(0, &good());
        bytes.truncate(12);
        bytes
    };
    let gz = || vec![("grpc-encoding", "gzip")];
    let zst = || vec![("grpc-encoding", "zstd")];
    vec![
        ("a good one", vec![], frame(0, &good()), None),
        ("a good one, gzip", gz(), frame(1, &gzip(&good())), None),
        ("a good one, zstd", zst(), frame(1, &zstd::encode_all(&*good(), 0).unwrap()), None),
        ("a good one, gzip announced and not used", gz(), frame(0, &good()), None),
        (
            "a good one, content type in full",
            vec![("content-type", "application/grpc+proto")],
            frame(0, &good()),
            None,
        ),
        ("a good one, unknown fields", vec![], frame(0, &[&good()[..], b"\x7a\x02hi"].concat()), None),
        ("no message", vec![], vec![], Some(Malformed)),
        ("half a frame header", vec![], vec![0, 0, 0], Some(Malformed)),
        ("a frame cut short", vec![], short, Some(Malformed)),
        ("not protobuf", vec![], frame(0, b"{\"event\": {}}"), Some(Malformed)),
        ("field number 0", vec![], frame(0, b"\x00\x01"), Some(Malformed)),
        ("a wrong wire type", vec![], frame(0, b"\x08\x01"), Some(Malformed)),
        ("a length beyond the end", vec![], frame(0, b"\x0a\x7f\x0a"), Some(Malformed)),
        ("a varint without an end", vec![], frame(0, &[0xff; 11]), Some(Malformed)),
        ("a group without an end", vec![], frame(0, b"\x7b"), Some(Malformed)),
        ("groups nested 10,000 deep", vec![], frame(0, &nested(10_000)), Some(Malformed)),
        ("an id that is not UTF-8", vec![], frame(0, &id_not_utf8), Some(Malformed)),
        ("text that is not UTF-8", vec![], frame(0, &text_not_utf8), Some(Malformed)),
        ("flag 2", vec![], frame(2, &good()), Some(Malformed)),
        ("compressed without an encoding", vec![], frame(1, &gzip(&good())), Some(Malformed)),
        (
            "compressed with the encoding identity",
            vec![("grpc-encoding", "identity")],
            frame(1, &good()),
            Some(Malformed),
        ),
        ("gzip that is not", gz(), frame(1, &good()), Some(Malformed)),
        ("gzip cut short", gz(), frame(1, &cut_gzip), Some(Malformed)),
        ("gzip of something else", gz(), frame(1, &gzip(b"\xff\xff")), Some(Malformed)),
        ("zstd that is not", zst(), frame(1, &good()), Some(Malformed)),
        ("a message over the limit", vec![], frame(0, &vec![0; (1 << 20) + 1]), Some(TooLarge)),
        ("a length over the limit", vec![], vec![0, 0xff, 0xff, 0xff, 0xff], Some(TooLarge)),
        ("a gzip bomb", gz(), frame(1, &bomb), Some(TooLarge)),
        ("a timeout without a unit", vec![("grpc-timeout", "10")], frame(0, &good()), Some(Malformed)),
        (
            "a timeout of nine digits",
            vec![("grpc-timeout", "123456789m")],
            frame(0, &good()),
            Some(Malformed),
        ),
        ("a timeout that is over", vec![("grpc-timeout", "0n")], frame(0, &good()), Some(RequestTimeout)),
    ]
}

async fn small() -> Fleet {
    Fleet::with(Options { message_bytes_max: 1 << 20, ..Options::default() }, &json!({})).await
}

#[tokio::test]
async fn each_fault_of_the_wire_has_its_code() {
    let fleet = small().await;
    let mut wire = Wire::connect(&fleet).await;
    let mut kept = 0;
    for (name, headers, body, expected) in faults() {
        let answer = wire.call("POST", PUBLISH, &headers, full(body)).await;
        let status = answer.status.unwrap_or_else(|| panic!("{name}: no status, HTTP {}", answer.http));
        assert_eq!(answer.http, 200, "{name}");
        match expected {
            None => {
                assert_eq!(status.code(), Code::Ok, "{name}: {status:?}");
                kept += 1;
            }
            Some(code) => {
                assert_eq!(
                    (grpc::code(&status), status.code() as i32),
                    (Some(code), code.grpc_code()),
                    "{name}: {status:?}"
                );
            }
        }
        assert_eq!(fleet.broker.requests(), kept, "{name}");
    }
}

#[tokio::test]
async fn the_same_faults_end_a_stream() {
    let fleet = small().await;
    let mut wire = Wire::connect(&fleet).await;
    let good = frame(0, &StreamEventsRequest { sequence: 1, events: vec![event("1")] }.encode_to_vec());
    let mut kept = 0;
    for (name, headers, body, expected) in faults() {
        let Some(code) = expected else { continue };
        // Field 1 is another here; no message at all is a stream of none.
        if ["no message", "a wrong wire type"].contains(&name) || name.contains("timeout") {
            continue;
        }
        let answer = wire.call("POST", STREAM, &headers, full([&*good, &*body].concat())).await;
        let status = answer.status.unwrap();
        assert_eq!(
            (grpc::code(&status), status.code() as i32),
            (Some(code), code.grpc_code()),
            "{name}: {status:?}"
        );
        assert!(!answer.body.is_empty(), "{name}: the good message before it was answered");
        kept += 1;
        assert_eq!(fleet.broker.requests(), kept, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_grpc_call_is_told_so() {
    let fleet = small().await;
    let mut wire = Wire::connect(&fleet).await;
    for content_type in ["", "text/plain", "application/json"] {
        let answer =
            wire.call("POST", PUBLISH, &[("content-type", content_type)], full(frame(0, &good()))).await;
        assert_eq!(answer.http, 415, "{content_type:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{content_type:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains("unsupported_media_type"));
    }
    for content_type in ["application/grpc-web", "application/grpc+json", "application/grpcx"] {
        let answer =
            wire.call("POST", PUBLISH, &[("content-type", content_type)], full(frame(0, &good()))).await;
        let status = answer.status.unwrap();
        assert_eq!(grpc::code(&status), Some(ErrorCode::UnsupportedMediaType), "{content_type:?}");
    }
    for (method, path) in [
        ("POST", "/eventrunner.v1.EventIngestService/Nothing"),
        ("POST", "/no.such.Service/Method"),
        ("POST", "/"),
        ("GET", PUBLISH),
        ("PUT", PUBLISH),
    ] {
        let answer = wire.call(method, path, &[], full(vec![])).await;
        assert_eq!(
            (answer.http, answer.status.map(|s| s.code())),
            (200, Some(Code::Unimplemented)),
            "{method} {path}"
        );
    }
    let answer = wire.call("POST", PUBLISH, &[("grpc-encoding", "snappy")], full(frame(1, &good()))).await;
    assert_eq!(answer.status.unwrap().code(), Code::Unimplemented);
    let offered = answer.headers["grpc-accept-encoding"].to_str().unwrap();
    assert!(offered.contains("gzip") && offered.contains("zstd"), "{offered}");
    assert_eq!(fleet.broker.requests(), 0);
}

#[tokio::test]
async fn http_1_is_refused_in_words() {
    let fleet = small().await;
    let mut socket = TcpStream::connect(fleet.addr).await.unwrap();
    let request = format!(
        "POST {PUBLISH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("grpc-status: 3") && answer.contains("HTTP/2"), "{answer}");
}

#[tokio::test]
async fn a_message_that_never_comes_whole_is_given_up() {
    let fleet = Fleet::with(Options { call_timeout_ms: 300, ..Options::default() }, &json!({})).await;
    let mut wire = Wire::connect(&fleet).await;
    let half = frame(0, &good())[..12].to_vec();
    for (name, headers, body) in [
        ("nothing", vec![], vec![]),
        ("half a message", vec![], half.clone()),
        ("half a message, a deadline of its own", vec![("grpc-timeout", "50m")], half),
    ] {
        let answer = wire.call("POST", PUBLISH, &headers, hanging(body)).await;
        assert_eq!(answer.status.unwrap().code(), Code::DeadlineExceeded, "{name}");
    }
    assert_eq!(fleet.broker.requests(), 0);
}

#[tokio::test]
async fn without_a_key_nothing_of_the_message_is_read() {
    let fleet = small().await;
    let mut wire = Wire::connect(&fleet).await;
    for path in [PUBLISH, STREAM, "/eventrunner.v1.EventIngestService/PublishEvents"] {
        let began = std::time::Instant::now();
        let answer = wire.call("POST", path, &[("authorization", "")], hanging(vec![])).await;
        assert_eq!(answer.status.unwrap().code(), Code::Unauthenticated, "{path}");
        assert!(began.elapsed() < Duration::from_secs(5), "{path}");
    }
}

#[tokio::test]
async fn the_callers_deadline_is_kept() {
    let fleet = small().await;
    fleet.broker.hold();
    let mut wire = Wire::connect(&fleet).await;
    let answer = wire.call("POST", PUBLISH, &[("grpc-timeout", "200m")], full(frame(0, &good()))).await;
    let status = answer.status.unwrap();
    assert_eq!(
        (status.code(), grpc::code(&status)),
        (Code::DeadlineExceeded, Some(ErrorCode::RequestTimeout))
    );
    assert!(status.message().contains("may have been kept"), "{status:?}");
    assert_eq!(fleet.broker.requests(), 1);
}
