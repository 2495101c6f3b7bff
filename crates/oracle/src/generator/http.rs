//! The HTTP door, over an HTTP/1.1 connection that stays open; where it is behind TLS, through a client that knows TLS.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Attempt, Target, chain};

/// Where events are taken.
const PATH: &str = "/v1/events";

/// A connection, opened when it is needed.
#[derive(Debug)]
pub(crate) struct Connection {
    way: Way,
    headers: HeaderMap,
}

#[derive(Debug)]
enum Way {
    /// A connection of our own, which takes little of the machine and tells exactly what was not sent.
    Plain { address: SocketAddr, path: Uri, sender: Option<SendRequest<Full<Bytes>>> },
    /// `https`.
    Tls { http: reqwest::Client, url: String },
}

/// Why there is no answer.
enum Silence {
    /// The request was not sent.
    Unsent,
    /// It was, and nobody knows what became of it: this is all that is known.
    Broken(String),
}

impl Connection {
    /// Opens nothing yet.
    pub(crate) async fn new(target: &Target, content_type: &'static str) -> anyhow::Result<Self> {
        let url: Uri = target.url.parse()?;
        let authority = url.authority().context("the address has no host")?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", target.key))?;
        authorization.set_sensitive(true);
        let headers = [
            (header::HOST, HeaderValue::try_from(authority.as_str())?),
            (header::AUTHORIZATION, authorization),
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        ];
        let way = if url.scheme_str() == Some("https") {
            // A redirect would carry the key to wherever it points.
            let policy = reqwest::redirect::Policy::none();
            let http = reqwest::Client::builder().redirect(policy).build()?;
            Way::Tls { http, url: format!("{}{PATH}", target.url.trim_end_matches('/')) }
        } else {
            let mut found = tokio::net::lookup_host((authority.host(), authority.port_u16().unwrap_or(80)))
                .await
                .with_context(|| format!("cannot resolve {authority}"))?;
            let address = found.next().with_context(|| format!("{authority} has no address"))?;
            let path = format!("{}{PATH}", url.path().trim_end_matches('/')).parse()?;
            Way::Plain { address, path, sender: None }
        };
        Ok(Self { way, headers: headers.into_iter().collect() })
    }

    /// Sends one body. An answer that trying again cannot change is an error.
    pub(crate) async fn attempt(&mut self, body: Bytes) -> anyhow::Result<Attempt> {
        let (status, headers, body) = match self.exchange(body).await {
            Ok(answer) => answer,
            Err(silence) => {
                self.close();
                return Ok(match silence {
                    Silence::Unsent => Attempt::Unsent,
                    Silence::Broken(why) => Attempt::Broken(format!("HTTP: {why}")),
                });
            }
        };
        let retry_after = headers.contains_key(header::RETRY_AFTER);
        match status {
            StatusCode::OK | StatusCode::ACCEPTED => Ok(Attempt::Promised),
            StatusCode::SERVICE_UNAVAILABLE => Ok(Attempt::Unavailable { retry_after }),
            StatusCode::TOO_MANY_REQUESTS => Ok(Attempt::Limited { retry_after }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Ok(Attempt::Stranger(format!("{status}: {}", String::from_utf8_lossy(&body))))
            }
            status => bail!("the door answers {status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// Forgets the connection: an answer that comes later is nobody's.
    pub(crate) fn close(&mut self) {
        if let Way::Plain { sender, .. } = &mut self.way {
            *sender = None;
        }
    }

    async fn exchange(&mut self, body: Bytes) -> Result<(StatusCode, HeaderMap, Bytes), Silence> {
        let (address, path, place) = match &mut self.way {
            Way::Plain { address, path, sender } => (*address, path, sender),
            Way::Tls { http, url } => {
                return ask(http.post(&*url).headers(self.headers.clone()).body(body)).await;
            }
        };
        let sender = match place.take() {
            Some(sender) if !sender.is_closed() => place.insert(sender),
            _ => place.insert(connect(address).await.map_err(|_| Silence::Unsent)?),
        };
        sender.ready().await.map_err(|_| Silence::Unsent)?;
        let mut message = Request::new(Full::new(body));
        *message.method_mut() = Method::POST;
        *message.uri_mut() = path.clone();
        *message.headers_mut() = self.headers.clone();
        let response = sender.try_send_request(message).await.map_err(|mut error| {
            // It is given back if no byte of it was written.
            if error.take_message().is_some() {
                Silence::Unsent
            } else {
                Silence::Broken(chain(error.error()))
            }
        })?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| Silence::Broken(chain(&error)))?.to_bytes();
        Ok((head.status, head.headers, body))
    }
}

async fn ask(request: reqwest::RequestBuilder) -> Result<(StatusCode, HeaderMap, Bytes), Silence> {
    let silence = |error: reqwest::Error| {
        if error.is_connect() { Silence::Unsent } else { Silence::Broken(chain(&error)) }
    };
    let answer = request.send().await.map_err(silence)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    Ok((status, headers, answer.bytes().await.map_err(silence)?))
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
