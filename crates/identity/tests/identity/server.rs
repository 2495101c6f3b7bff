//! A server of keys, over HTTP on a loopback port.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Value, json};

/// What it answers next.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
struct Inner {
    answer: Answer,
    /// What was asked: the `If-None-Match` of each request.
    requests: Vec<Option<String>>,
}

/// Clones are the same server. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub(crate) struct KeyServer {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

impl KeyServer {
    pub(crate) async fn start(keys: &[Value]) -> Self {
        let inner = Inner { answer: answer(keys), requests: Vec::new() };
        let inner = Arc::new(Mutex::new(inner));
        let router = Router::new().route("/keys", get(keys_route)).with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.inner().answer = answer;
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Answer)) {
        change(&mut self.inner().answer);
    }

    pub(crate) fn requests(&self) -> Vec<Option<String>> {
        self.inner().requests.clone()
    }
}

pub(crate) fn answer(keys: &[Value]) -> Answer {
    Answer { status: StatusCode::OK, body: json!({"keys": keys}).to_string(), headers: Vec::new() }
}

async fn keys_route(State(inner): State<Arc<Mutex<Inner>>>, headers: HeaderMap) -> Response {
    let mut inner = inner.lock().unwrap();
    let asked = headers.get(header::IF_NONE_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
    inner.requests.push(asked.clone());
    let Answer { status, body, headers } = inner.answer.clone();
    let etag = headers.iter().find(|(name, _)| *name == "etag").map(|(_, tag)| tag.clone());
    let mut response = if status == StatusCode::OK && asked.is_some() && asked == etag {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (status, body).into_response()
    };
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
