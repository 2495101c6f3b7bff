//! Sends a [`Load`] over HTTP/1.1 connections that stay open, each with one request under way: a closed loop, which
//! finds the rate the fleet can take. A request that is not promised is sent again, with the same ids, until it is.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{load::Load, oracle::Ledger};

/// Wait before a refused or broken request is sent again.
const RETRY: Duration = Duration::from_millis(50);

/// Where the events go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `http://host:port` of the door.
    pub(crate) url: Uri,
    /// A key that may publish.
    pub(crate) key: String,
}

/// What the fleet answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Requests answered with 429 or 503, and sent again.
    pub(crate) refused: AtomicU64,
    /// Connections that broke, with the outcome of their request unknown.
    pub(crate) broken: AtomicU64,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Generator {
    pub(crate) target: Target,
    pub(crate) load: Arc<Load>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) answers: Arc<Answers>,
}

impl Generator {
    /// Sends everything over that many connections. Returns each request's time to its promise, in microseconds.
    pub(crate) async fn run(&self, connections: usize) -> anyhow::Result<Histogram<u64>> {
        let next = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..connections.max(1) {
            tasks.spawn(Connection { run: self.clone(), next: next.clone(), sender: None }.work());
        }
        let mut all = Histogram::new(3)?;
        while let Some(one) = tasks.join_next().await {
            all.add(one??)?;
        }
        Ok(all)
    }
}

struct Connection {
    run: Generator,
    next: Arc<AtomicU64>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    async fn work(mut self) -> anyhow::Result<Histogram<u64>> {
        let mut times = Histogram::new(3)?;
        let (mut authorization, content_type) = (
            HeaderValue::try_from(format!("Bearer {}", self.run.target.key))?,
            HeaderValue::from_static(self.run.load.content_type()),
        );
        authorization.set_sensitive(true);
        let authority = self.run.target.url.authority().context("the address has no host")?.clone();
        let host = HeaderValue::try_from(authority.as_str())?;
        let address = resolve(authority.as_str()).await?;
        loop {
            let request = self.next.fetch_add(1, Relaxed);
            if request >= self.run.ledger.requests() {
                return Ok(times);
            }
            let body = self.run.load.body(request);
            let began = Instant::now();
            loop {
                let mut message = Request::new(Full::new(body.clone()));
                *message.method_mut() = Method::POST;
                *message.uri_mut() = Uri::from_static("/v1/events");
                let headers = message.headers_mut();
                headers.insert(header::HOST, host.clone());
                headers.insert(header::AUTHORIZATION, authorization.clone());
                headers.insert(header::CONTENT_TYPE, content_type.clone());
                if self.send(address, message).await? {
                    break;
                }
                tokio::time::sleep(RETRY).await;
            }
            self.run.ledger.promise(request);
            times.record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))?;
        }
    }

    /// Whether the request was promised. An answer that trying again cannot change is an error.
    async fn send(&mut self, address: SocketAddr, message: Request<Full<Bytes>>) -> anyhow::Result<bool> {
        let Ok(answer) = self.exchange(address, message).await else {
            self.sender = None;
            self.run.answers.broken.fetch_add(1, Relaxed);
            return Ok(false);
        };
        match answer {
            (StatusCode::OK | StatusCode::ACCEPTED, _) => Ok(true),
            (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _) => {
                self.run.answers.refused.fetch_add(1, Relaxed);
                Ok(false)
            }
            (status, body) => bail!("the door answers {status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    async fn exchange(
        &mut self,
        address: SocketAddr,
        message: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => self.sender.insert(sender),
            _ => self.sender.insert(connect(address).await?),
        };
        sender.ready().await?;
        let response = sender.send_request(message).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

async fn resolve(authority: &str) -> anyhow::Result<SocketAddr> {
    let mut found =
        tokio::net::lookup_host(authority).await.with_context(|| format!("cannot resolve {authority}"))?;
    found.next().with_context(|| format!("{authority} has no address"))
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
