//! A reader of server-sent events, after the specification's own algorithm (WHATWG HTML, section 9.2.6).

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use reqwest::{Response, header};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};
use tokio_util::io::ReaderStream;

use crate::world::{PATIENCE, World};

/// A dispatched message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) data: String,
}

impl Message {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }

    /// The id of the CloudEvent.
    pub(crate) fn event_id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }
}

pub(crate) struct Sse {
    body: BoxStream<'static, Option<Bytes>>,
    unread: Vec<u8>,
    event: String,
    data: Vec<String>,
    pub(crate) last_event_id: String,
    pub(crate) comments: usize,
    pub(crate) retry: Option<u64>,
}

impl World {
    /// Opens a stream as acme.
    pub(crate) async fn stream(&self, query: &str, last_event_id: Option<&str>) -> Sse {
        let response = self.try_stream(&self.keys.acme, query, last_event_id).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Sse::read(response.bytes_stream().map(Result::ok).boxed())
    }

    /// Opens a stream over a connection that holds little. Of HTTP/1.0, so that the body comes as it is.
    pub(crate) async fn narrow_stream(&self, query: &str) -> Sse {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let mut connection = socket.connect(self.address).await.unwrap();
        let key = &self.keys.acme;
        let request = format!("GET /api/v1/streams/events{query} HTTP/1.0\r\nx-api-key: {key}\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&head));
        Sse::read(ReaderStream::new(connection).map(Result::ok).boxed())
    }

    pub(crate) async fn try_stream(&self, key: &str, query: &str, last_event_id: Option<&str>) -> Response {
        let url = self.url(&format!("/api/v1/streams/events{query}"));
        // A connection for each: closing it is the only way to leave.
        let client = reqwest::Client::builder().http1_only().pool_max_idle_per_host(0).build().unwrap();
        let mut request = client.get(url).bearer_auth(key);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        request.send().await.unwrap()
    }
}

impl Sse {
    fn read(body: BoxStream<'static, Option<Bytes>>) -> Self {
        Self {
            body,
            unread: Vec::new(),
            event: String::new(),
            data: Vec::new(),
            last_event_id: String::new(),
            comments: 0,
            retry: None,
        }
    }

    /// The next message; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let line = self.line().await?;
                if let Some(message) = self.take(&line) {
                    return Some(message);
                }
            }
        })
        .await
        .expect("a message in time")
    }

    pub(crate) async fn take_messages(&mut self, count: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.push(self.next().await.expect("the stream goes on"));
        }
        messages
    }

    /// Reads lines until `done`, dropping messages.
    pub(crate) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        self.until_or(done, drop).await;
    }

    /// Reads lines until `done`, giving messages away.
    pub(crate) async fn until_or(&mut self, done: impl Fn(&Self) -> bool, mut message: impl FnMut(Message)) {
        tokio::time::timeout(PATIENCE, async {
            while !done(self) {
                let line = self.line().await.expect("the stream goes on");
                self.take(&line).map(&mut message);
            }
        })
        .await
        .expect("in time");
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            // A connection that breaks off ends the stream like any other end.
            let chunk = self.body.next().await??;
            self.unread.extend_from_slice(&chunk);
        }
    }

    fn take(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
            return (!data.is_empty()).then(|| Message {
                id: self.last_event_id.clone(),
                event,
                data: data.join("\n"),
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments += 1,
            "event" => value.clone_into(&mut self.event),
            "data" => self.data.push(value.to_owned()),
            "id" => value.clone_into(&mut self.last_event_id),
            "retry" => self.retry = value.parse().ok(),
            other => panic!("unknown field {other:?}"),
        }
        None
    }
}

pub(crate) fn event_ids(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::event_id).collect()
}
