//! One connection, watched: hyper knows requests, the kernel knows bytes, and slowness shows only in both.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use hyper::body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::ServerOptions;

/// After an error answer, so long the client may still send what nobody will read. Closing at once would make the
/// kernel reset the connection, and the client would lose the answer (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// So much of it is read.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What happens on one connection, as far as timeouts need to know.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    /// The last answer refused the request, so its body may still be on its way.
    linger: AtomicBool,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    /// When the connection last had nothing to do.
    idle_since: Instant,
    /// When the first byte after that arrived.
    head_since: Option<Instant>,
    /// Since when the peer takes no bytes.
    blocked_since: Option<Instant>,
    http2: bool,
}

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    Header,
    Idle,
    WriteStalled,
}

impl Expired {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header_timeout",
            Self::Idle => "idle",
            Self::WriteStalled => "write_stalled",
        }
    }
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            in_flight: 0,
            idle_since: Instant::now(),
            head_since: None,
            blocked_since: None,
            http2: false,
        };
        Arc::new(Self { state: Mutex::new(state), linger: AtomicBool::new(false) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's head is complete.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> InFlight {
        self.linger.store(false, Ordering::Relaxed);
        let mut state = self.state();
        state.in_flight += 1;
        state.head_since = None;
        state.http2 = version == Version::HTTP_2;
        InFlight(Arc::clone(self))
    }

    pub(super) fn refused(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    /// Resolves when a limit is passed.
    pub(super) async fn expired(&self, options: &ServerOptions) -> Expired {
        loop {
            let (at, why) = self.deadline(options);
            if at <= Instant::now() {
                return why;
            }
            // A deadline can come nearer while asleep (a first byte, a blocked write), never by less than the
            // shorter two limits: look again in a quarter of them at the latest.
            let look_again = options.header_read_timeout().min(options.write_stall_timeout()) / 4;
            tokio::time::sleep_until(at.min(Instant::now() + look_again)).await;
        }
    }

    fn deadline(&self, options: &ServerOptions) -> (Instant, Expired) {
        let state = self.state();
        if let Some(since) = state.blocked_since {
            return (since + options.write_stall_timeout(), Expired::WriteStalled);
        }
        if state.in_flight > 0 {
            // The handler's own business: body deadlines, and streams that last.
            return (Instant::now() + options.idle_timeout(), Expired::Idle);
        }
        match state.head_since {
            // Bytes between HTTP/2 requests are pings and window updates.
            Some(since) if !state.http2 => (since + options.header_read_timeout(), Expired::Header),
            _ => (state.idle_since + options.idle_timeout(), Expired::Idle),
        }
    }

    fn read(&self) {
        let mut state = self.state();
        if state.in_flight == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    /// The preface is complete: from here on bytes are frames, and no head can be slow.
    fn is_http2(&self) {
        self.state().http2 = true;
    }

    pub(super) fn speaks_http2(&self) -> bool {
        self.state().http2
    }

    fn wrote(&self, blocked: bool) {
        let mut state = self.state();
        if !blocked {
            state.blocked_since = None;
        } else if state.blocked_since.is_none() {
            state.blocked_since = Some(Instant::now());
        }
    }
}

/// A request being answered; dropped when the last byte of the answer was handed over.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        state.idle_since = Instant::now();
    }
}

/// A body that keeps its request in flight until it has been sent.
pub(super) struct Tracked {
    pub(super) body: Body,
    pub(super) _in_flight: InFlight,
}

impl hyper::body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket, reporting to its [`Activity`].
pub(super) struct Watched {
    socket: TcpStream,
    activity: Arc<Activity>,
    /// Set while lingering: when it ends, and how much was thrown away.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
    /// Bytes of [`PREFACE`] seen; `None` when it is something else, or complete.
    preface: Option<usize>,
    peer_closed: bool,
}

impl Watched {
    pub(super) fn new(socket: TcpStream, activity: Arc<Activity>) -> Self {
        Self { socket, activity, lingering: None, preface: Some(0), peer_closed: false }
    }

    /// A gRPC client may connect long before its first call: it must not be taken for one with a slow head.
    fn look_for_preface(&mut self, bytes: &[u8]) {
        let Some(seen) = self.preface else { return };
        let expected = &PREFACE[seen..];
        let length = expected.len().min(bytes.len());
        self.preface = (expected[..length] == bytes[..length]).then_some(seen + length);
        if self.preface == Some(PREFACE.len()) {
            self.preface = None;
            self.activity.is_http2();
        }
    }

    /// Reads and drops what the client still sends, until it closes, or time or patience is over.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (until, dropped) = self.lingering.get_or_insert_with(|| (Box::pin(sleep(LINGER)), 0));
        let mut scratch = [0; 8 * 1024];
        loop {
            let mut into = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.socket).poll_read(cx, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {
                    *dropped += into.filled().len();
                    if *dropped > LINGER_BYTES_MAX {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return until.as_mut().poll(cx),
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, into))?;
        if into.filled().len() > before {
            self.activity.read();
            self.look_for_preface(&into.filled()[before..]);
        } else if into.remaining() > 0 {
            self.peer_closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, from);
        self.activity.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, from);
        self.activity.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            if self.peer_closed || !self.activity.linger.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx).map(Ok)
    }
}
