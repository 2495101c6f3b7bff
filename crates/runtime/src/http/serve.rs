//! Accepting, serving and draining connections.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Request, Version, header::CONNECTION};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::{Layer as _, Service};

use super::{
    ServerOptions,
    connection::{Activity, Tracked, Watched},
    layer::{TraceLayer, TraceService},
};
use crate::{
    lifecycle::Shutdown,
    metrics::{self, InFlight, Metric},
};

/// Waits this long after the kernel refused to give a connection (out of files, for example): it will again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// While draining, how long an idle HTTP/1.1 connection is kept for a request that may be on its way: closed at once, it
/// would leave its sender without an answer, and in doubt. The answer to it says that it is the last.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// Smallest read buffer that hyper takes for HTTP/1.1.
const HEADER_BYTES_MIN: usize = 8 * 1024;

/// Binds the listener, with the address in the error.
///
/// # Errors
/// If the address is taken or not this machine's.
pub async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(listen)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}")))
}

/// Serves `service`, such as a router, wrapped in [`super::layer`], until `shutdown` drains: then the listener closes, requests in flight
/// are answered, and connections end with their next answer or, when they stay idle, after half a second. What is left after the drain timeout, or when
/// `shutdown` aborts, is cut off. Returns when the last connection is gone.
///
/// # Errors
/// None today: failing to accept is waited out. The type leaves room for listeners that can break.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    options: &ServerOptions,
    shutdown: Shutdown,
) -> io::Result<()>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let server = Arc::new(Server {
        http: protocol(options),
        service: TraceLayer.layer(service),
        options: options.clone(),
        shutdown: shutdown.clone(),
    });
    let slots =
        Arc::new(Semaphore::new(usize::try_from(options.connections_max).unwrap_or(Semaphore::MAX_PERMITS)));
    show_zeros();
    let accepted = metrics::counter(Metric::HttpAcceptedConnections, &[]);
    let open = metrics::gauge(Metric::HttpOpenConnections, &[]);
    let mut connections = JoinSet::new();
    let take = |connections: &mut JoinSet<()>, socket: TcpStream, slot: OwnedSemaphorePermit| {
        accepted.inc();
        let held = (slot, InFlight::enter(&open));
        let server = Arc::clone(&server);
        connections.spawn(async move {
            let _held = held;
            server.connection(socket).await;
        });
    };
    loop {
        let (socket, slot) = tokio::select! {
            biased;
            () = shutdown.draining.cancelled() => break,
            next = accept(&listener, &slots) => next,
            // Reap what has ended, so that the set does not grow.
            Some(_) = connections.join_next() => continue,
        };
        take(&mut connections, socket, slot);
    }
    // Whoever the kernel has let in may have sent a request, and would be cut off without an answer.
    for socket in waiting(listener) {
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { break };
        take(&mut connections, socket, slot);
    }
    drain(connections, options, &shutdown).await;
    Ok(())
}

async fn drain(mut connections: JoinSet<()>, options: &ServerOptions, shutdown: &Shutdown) {
    let all_ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = all_ended => return,
        () = tokio::time::sleep(options.drain_timeout()) => {}
        () = shutdown.aborting.cancelled() => {}
    }
    let left = connections.len();
    metrics::counter(Metric::HttpClosedConnections, &["aborted"]).inc_by(left as u64);
    tracing::warn!(connections = left, "cut off connections that did not drain");
    connections.shutdown().await;
}

/// What seldom happens is seen at 0 from the start.
fn show_zeros() {
    drop(metrics::counter(Metric::HttpFullWaits, &[]));
    drop(metrics::counter(Metric::HttpPanics, &[]));
    for reason in ["header_timeout", "idle", "write_stalled", "aborted"] {
        drop(metrics::counter(Metric::HttpClosedConnections, &[reason]));
    }
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    if slots.available_permits() == 0 {
        metrics::counter(Metric::HttpFullWaits, &[]).inc();
    }
    let slot = match Arc::clone(slots).acquire_owned().await {
        Ok(slot) => slot,
        // The semaphore is never closed.
        Err(_) => std::future::pending().await,
    };
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                // Small answers must not wait for the peer's acknowledgements.
                let _ = socket.set_nodelay(true);
                return (socket, slot);
            }
            Err(error) if is_peers_fault(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// The connections that wait to be taken; then the listener closes.
fn waiting(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std();
    std::iter::from_fn(move || {
        loop {
            match listener.as_ref().ok()?.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(true).ok()?;
                    let socket = TcpStream::from_std(socket).ok()?;
                    let _ = socket.set_nodelay(true);
                    return Some(socket);
                }
                Err(error) if is_peers_fault(&error) => {}
                Err(_) => return None,
            }
        }
    })
}

/// The connection was gone before we took it (accept(2)).
fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn protocol(options: &ServerOptions) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    let header_bytes = usize::try_from(options.header_bytes_max).unwrap_or(usize::MAX).max(HEADER_BYTES_MIN);
    http.http1()
        .timer(TokioTimer::new())
        // Ours (`Activity`) does not run while a kept-alive connection is idle; hyper's does.
        .header_read_timeout(None)
        .max_headers(usize::try_from(options.headers_max).unwrap_or(usize::MAX))
        .max_buf_size(header_bytes)
        // With it, an answer to a body of broken chunks would be lost: hyper holds answers back while unread
        // bytes are left, which after such a body they always are. Nor would it tell a body to wait for a slow
        // reader: a streamed answer would be taken into memory whole.
        .pipeline_flush(false);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.http2_ping_interval_ms.duration())
        .keep_alive_timeout(options.http2_ping_timeout_ms.duration())
        .max_concurrent_streams(options.http2_streams_max)
        .max_header_list_size(options.header_bytes_max)
        .adaptive_window(true);
    http
}

/// An extension of each request: the other end of its connection. Behind a proxy, that is the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

struct Server<S> {
    http: auto::Builder<TokioExecutor>,
    service: TraceService<S>,
    options: ServerOptions,
    shutdown: Shutdown,
}

impl<S> Server<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    async fn connection(&self, socket: TcpStream) {
        let activity = Activity::new();
        let peer = socket.peer_addr().ok().map(Peer);
        let service = hyper::service::service_fn({
            let activity = Arc::clone(&activity);
            let service = self.service.clone();
            let draining = self.shutdown.draining.clone();
            move |mut request: Request<hyper::body::Incoming>| {
                if let Some(peer) = peer {
                    request.extensions_mut().insert(peer);
                }
                answer(service.clone(), Arc::clone(&activity), draining.clone(), request)
            }
        });
        let io = TokioIo::new(Watched::new(socket, Arc::clone(&activity)));
        let mut connection = pin!(self.http.serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            why = activity.expired(&self.options) => {
                metrics::counter(Metric::HttpClosedConnections, &[why.as_str()]).inc();
                tracing::debug!(reason = why.as_str(), "connection closed");
                return;
            }
            () = self.shutdown.draining.cancelled() => {
                // HTTP/2 has a frame for it that leaves nobody in doubt (RFC 9113, section 6.8).
                let keep = if activity.speaks_http2() { Duration::ZERO } else { LAST_REQUEST };
                let end = async {
                    if let Ok(ended) = tokio::time::timeout(keep, connection.as_mut()).await {
                        return ended;
                    }
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().await
                };
                tokio::select! {
                    ended = end => ended,
                    _ = activity.expired(&self.options) => return,
                }
            }
        };
        if let Err(error) = ended {
            // The peer's doing: reset, bad framing. Requests that matter have been answered or counted elsewhere.
            tracing::debug!(error, "connection ended early");
        }
    }
}

async fn answer<S>(
    mut service: TraceService<S>,
    activity: Arc<Activity>,
    draining: CancellationToken,
    request: Request<hyper::body::Incoming>,
) -> Result<Response, Infallible>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    let version = request.version();
    let in_flight = activity.begin(version);
    let mut response = service.call(request.map(Body::new)).await?;
    if draining.is_cancelled() && version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status().is_client_error() || response.status().is_server_error() {
        activity.refused();
    }
    Ok(response.map(|body| Body::new(Tracked { body, _in_flight: in_flight })))
}
