//! OTLP over HTTP and over gRPC (OTLP 1.x specification).

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use tonic::{
    Code, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{
    export::Signal,
    options::{Protocol, TelemetryOptions},
    tls,
};

/// Longest answer that is read: it says how many records were not taken.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Whether the same request may be taken later.
    pub(crate) is_passing: bool,
    /// For an operator.
    pub(crate) reason: String,
}

/// The way to a collector. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    Http { client: reqwest::Client, base: String },
    Grpc { channel: Channel, headers: HeaderMap, timeout: Duration },
}

impl Transport {
    /// A way that is opened when it is first gone.
    ///
    /// # Errors
    /// If the options cannot be used.
    pub(crate) fn new(options: &TelemetryOptions) -> Result<Self, String> {
        let (headers, timeout) = (options.headers()?, options.otlp_timeout_ms.duration());
        let wrong = |e: &dyn std::fmt::Display| format!("telemetry.otlp_endpoint cannot be used: {e}");
        match options.otlp_protocol {
            Protocol::Http => {
                let mut client = reqwest::Client::builder()
                    .default_headers(headers)
                    .timeout(timeout)
                    .redirect(reqwest::redirect::Policy::none());
                if let Some(file) = options.otlp_ca_file.as_deref().filter(|_| options.is_encrypted()) {
                    let found = crate::tls::certificates(file).map_err(|why| tls::unusable(&why))?;
                    let trusted = found.iter().map(|der| reqwest::Certificate::from_der(der));
                    client =
                        client.tls_certs_only(trusted.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(&e))?);
                }
                let client = client.build().map_err(|e| wrong(&e))?;
                Ok(Self::Http { client, base: options.otlp_endpoint.trim_end_matches('/').to_owned() })
            }
            Protocol::Grpc => {
                let endpoint: Endpoint = options.otlp_endpoint.parse().map_err(|e| wrong(&e))?;
                let endpoint = endpoint.connect_timeout(timeout);
                let channel = if options.is_encrypted() {
                    let connector = tls::connector(options.otlp_ca_file.as_deref())?;
                    let connect = move |uri| tls::connect(connector.clone(), uri);
                    endpoint.connect_with_connector_lazy(tower::service_fn(connect))
                } else {
                    endpoint.connect_lazy()
                };
                Ok(Self::Grpc { channel, headers, timeout })
            }
        }
    }

    /// Sends an encoded request; gives the encoded answer.
    pub(crate) async fn send(&self, signal: Signal, request: Bytes) -> Result<Bytes, Refused> {
        match self {
            Self::Http { client, base } => {
                post(client, format!("{base}/v1/{}", signal.name()), request).await
            }
            Self::Grpc { channel, headers, timeout } => {
                let called = call(channel.clone(), headers, signal, request);
                let late = || Refused { is_passing: true, reason: "no answer in time".to_owned() };
                tokio::time::timeout(*timeout, called).await.map_err(|_| late())?
            }
        }
    }
}

async fn post(client: &reqwest::Client, url: String, request: Bytes) -> Result<Bytes, Refused> {
    let post = client.post(&url).header(CONTENT_TYPE, "application/x-protobuf").body(request);
    let mut answer = post.send().await.map_err(|e| unreached(&e))?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|e| unreached(&e))? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&piece);
    }
    if status.is_success() {
        return Ok(body.into());
    }
    // OTLP/HTTP, "Retryable Response Codes".
    let is_passing = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    Err(Refused { is_passing, reason: format!("{url} answers {status}") })
}

fn unreached(error: &reqwest::Error) -> Refused {
    // The innermost reason says most.
    let mut reason = error.to_string();
    let mut inner = error.source();
    while let Some(next) = inner {
        reason = format!("{reason}: {next}");
        inner = next.source();
    }
    Refused { is_passing: true, reason }
}

async fn call(
    channel: Channel,
    headers: &HeaderMap,
    signal: Signal,
    request: Bytes,
) -> Result<Bytes, Refused> {
    let path = match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    };
    let mut client = Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let ready = client.ready().await;
    ready.map_err(|e| Refused { is_passing: true, reason: format!("the collector is not reached: {e}") })?;
    let mut request = tonic::Request::new(request);
    *request.metadata_mut() = MetadataMap::from_headers(headers.clone());
    let answer = client.unary(request, http::uri::PathAndQuery::from_static(path), Encoded).await;
    answer.map(tonic::Response::into_inner).map_err(|status| refused(&status))
}

fn refused(status: &Status) -> Refused {
    // OTLP/gRPC, "Failures". Exhausted is only passing when it says when to come back; with a bounded wait it does no harm.
    let is_passing = matches!(
        status.code(),
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    );
    Refused { is_passing, reason: format!("the collector answers {:?}: {}", status.code(), status.message()) }
}

/// Messages that are encoded already: the same bytes go over either protocol.
#[derive(Debug, Default)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use bytes::BufMut as _;
        out.put(item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        use bytes::Buf as _;
        let left = input.remaining();
        Ok(Some(input.copy_to_bytes(left)))
    }
}
