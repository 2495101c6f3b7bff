//! TLS to a collector over gRPC. (Over HTTP the client brings its own.)

use std::{io, path::Path, sync::Arc};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::tls;

/// What gRPC is negotiated by (RFC 7301, RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";

/// Whom a collector's certificate may come from: those in the file, or whoever this machine trusts.
///
/// # Errors
/// If the file cannot be used.
pub(crate) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, String> {
    let mut config = tls::trusting(ca_file).map_err(|why| unusable(&why))?.with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// As the option has it whose file cannot be used.
pub(crate) fn unusable(why: &str) -> String {
    format!("telemetry.otlp_ca_file: {why}")
}

/// Opens a connection to where the URI says.
///
/// # Errors
/// If nobody listens there, or who does is not trusted.
pub(crate) async fn connect(tls: TlsConnector, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default();
    // An IPv6 address stands in brackets in a URI.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    Ok(TokioIo::new(tls.connect(name, stream).await?))
}
