//! A server on a free port, and a raw client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    response::Response,
    routing::{get, post},
};
use model::ErrorCode;
use runtime::{
    config::Millis,
    http::{self, ServerOptions, read_body},
    lifecycle::Shutdown,
    problem::Problem,
    trace::TraceContext,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

/// Far more than anything here may take.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) hold: Arc<Hold>,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

/// A handler that answers when it is let go.
#[derive(Default)]
pub(crate) struct Hold {
    pub(crate) entered: Notify,
    pub(crate) release: Notify,
}

/// Timeouts short enough to be waited for, but the idle one far beyond what a test takes: what is cut off early is
/// cut off by one of the others.
pub(crate) fn options() -> ServerOptions {
    ServerOptions {
        header_read_timeout_ms: Millis(300),
        body_read_timeout_ms: Millis(600),
        idle_timeout_ms: Millis(60_000),
        write_stall_timeout_ms: Millis(500),
        header_bytes_max: 8 * 1024,
        headers_max: 32,
        drain_timeout_ms: Millis(10_000),
        ..ServerOptions::default()
    }
}

/// The same with an idle timeout to be waited for, and all others far beyond it.
pub(crate) fn options_idle() -> ServerOptions {
    let far = Millis(60_000);
    ServerOptions {
        idle_timeout_ms: Millis(400),
        header_read_timeout_ms: far,
        write_stall_timeout_ms: far,
        body_read_timeout_ms: far,
        ..options()
    }
}

impl Server {
    pub(crate) async fn start(options: ServerOptions) -> Self {
        let listener = http::bind(options.listen).await.unwrap();
        Self::start_on(listener, options, Shutdown::new())
    }

    pub(crate) fn start_on(listener: TcpListener, options: ServerOptions, shutdown: Shutdown) -> Self {
        let (address, hold) = (listener.local_addr().unwrap(), Arc::new(Hold::default()));
        let router = router(Arc::clone(&hold), options.body_read_timeout());
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { http::serve(listener, router, &options, stop).await });
        Self { address, shutdown, hold, task }
    }

    pub(crate) async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// One request, one answer, connection closed.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut client = self.client().await;
        client.send(request).await;
        client.answer().await
    }
}

#[derive(serde::Deserialize)]
struct Page {
    limit: u32,
}

fn router(hold: Arc<Hold>, body_timeout: Duration) -> Router {
    Router::new()
        .route("/ok", get(|| async { "fine" }))
        .route(
            "/body",
            post(async move |body: Body| {
                read_body(body, 1_000_000, body_timeout).await.map(|b| b.len().to_string())
            }),
        )
        .route("/unread", post(|| async { Problem::new(ErrorCode::TooLarge, "not even looked at") }))
        .route(
            "/held",
            get(async |State(hold): State<Arc<Hold>>| {
                hold.entered.notify_one();
                hold.release.notified().await;
                "released"
            }),
        )
        .route("/large", get(|| async { vec![b'x'; 64 * 1024 * 1024] }))
        .route(
            "/forever",
            get(|| async {
                Response::new(Body::from_stream(futures::stream::repeat_with(|| {
                    Ok::<_, std::io::Error>("tick\n")
                })))
            }),
        )
        .route(
            "/trace",
            get(|trace: axum::Extension<TraceContext>| async move { trace.to_traceparent().to_string() }),
        )
        .route("/item/{number}", get(|Path(number): Path<u32>| async move { number.to_string() }))
        .route("/page", get(|Query(page): Query<Page>| async move { page.limit.to_string() }))
        .route("/json", post(|Json(value): Json<serde_json::Value>| async move { value.to_string() }))
        .route("/panic", get(|| async { panic!("the secret is hunter2") as &'static str }))
        .route(
            "/broken",
            get(|| async { (::http::StatusCode::INTERNAL_SERVER_ERROR, "the secret is hunter2") }),
        )
        .route("/fault", get(|| async { Problem::internal("the secret is hunter2") }))
        .route(
            "/full",
            get(|| async {
                Problem::new(ErrorCode::RateLimited, "wait").retry_after(3).header(
                    ::http::HeaderName::from_static("ratelimit"),
                    ::http::HeaderValue::from_static("\"events\";r=0;t=3"),
                )
            }),
        )
        .route(
            "/field",
            get(|| async { Problem::new(ErrorCode::InvalidEvent, "no").field("/0/id", "is required") }),
        )
        .with_state(hold)
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Everything until the server closes.
    pub(crate) async fn answer(&mut self) -> String {
        let mut all = Vec::new();
        match timeout(LONG, self.0.read_to_end(&mut all)).await {
            Ok(Ok(_)) => String::from_utf8(all).unwrap(),
            Ok(Err(error)) => panic!("{error} after {:?}", String::from_utf8_lossy(&all)),
            Err(_) => panic!("the connection stays open after {:?}", String::from_utf8_lossy(&all)),
        }
    }

    /// What has come until `end` has.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&all).contains(end) {
                let byte = self.0.read_u8().await;
                all.push(byte.unwrap());
            }
        };
        timeout(LONG, read).await.unwrap_or_else(|_| panic!("no {end:?}"));
        String::from_utf8(all).unwrap()
    }
}
