//! Whom the fleet trusts to be the broker, and what it shows the broker of itself.

use std::{fmt, sync::Arc};

use async_nats::ConnectOptions;
use runtime::tls::{certificates, trusting, unusable};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::TlsConnector;

use crate::{Error, Options};

/// How both connections speak TLS, if the broker wants it or the configuration does.
#[derive(Clone)]
pub(crate) struct Tls {
    /// Whether a broker that would do without is refused.
    required: bool,
    connector: TlsConnector,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("required", &self.required).finish_non_exhaustive()
    }
}

impl Tls {
    /// As configured.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let bad = |option: &str, why: &str| Error::Login(format!("nats.{option}: {why}"));
        let builder = trusting(options.tls_ca_file.as_deref());
        let builder = builder.map_err(|why| bad("tls_ca_file", &why))?;
        let config = match (&options.tls_certificate_file, &options.tls_key_file) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate);
                let chain = chain.map_err(|why| bad("tls_certificate_file", &why))?;
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|e| bad("tls_key_file", &unusable(key, &e)))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|e| bad("tls_certificate_file", &unusable(certificate, &e)))?
            }
            _ => {
                let message =
                    "nats.tls_certificate_file and nats.tls_key_file are given together or not at all";
                return Err(Error::Login(message.to_owned()));
            }
        };
        Ok(Self { required: options.tls_required(), connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Whether a broker that would do without is refused.
    pub(crate) fn required(&self) -> bool {
        self.required
    }

    /// What begins a session.
    pub(crate) fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// The same for the client library, which reads the files itself.
    pub(crate) fn apply(options: &Options, connect: ConnectOptions) -> ConnectOptions {
        let mut connect = connect.require_tls(options.tls_required());
        if let Some(file) = &options.tls_ca_file {
            connect = connect.add_root_certificates(file.clone());
        }
        if let (Some(certificate), Some(key)) = (&options.tls_certificate_file, &options.tls_key_file) {
            connect = connect.add_client_certificate(certificate.clone(), key.clone());
        }
        connect
    }
}
