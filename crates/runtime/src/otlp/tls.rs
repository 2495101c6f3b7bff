//! TLS to a collector over gRPC. (Over HTTP the client brings its own.)

use std::{io, path::Path, sync::Arc};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What gRPC is negotiated by (RFC 7301, RFC 9113 section 3.2).
const ALPN: &[u8] = b"h2";

/// Whom a collector's certificate may come from: those in the file, or whoever this machine trusts.
///
/// # Errors
/// If the file cannot be used.
pub(crate) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|e| unusable(file, &e))?;
            }
        }
        // Who has none trusts nobody, which is said when the collector shows its certificate.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    // Named, not taken from the process: other crates of the tree bring a provider of their own.
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificates of a file, of which there must be one at least.
///
/// # Errors
/// If it cannot be used.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|e| unusable(file, &e))?;
    if found.is_empty() { Err(unusable(file, &"it holds no certificate")) } else { Ok(found) }
}

fn unusable(file: &Path, why: &dyn std::fmt::Display) -> String {
    format!("telemetry.otlp_ca_file: cannot use {}: {why}", file.display())
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
