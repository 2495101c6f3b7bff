//! Whom the fleet trusts at the other end of a line that it opens, and how it speaks TLS there.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// A client's configuration that trusts the authorities of a PEM file, or those of this machine when there is none. A machine
/// that has none trusts nobody, which is said when somebody shows a certificate.
///
/// # Errors
/// Why the file cannot be used, to be put behind the name of the option that names it.
pub fn trusting(ca_file: Option<&Path>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|e| unusable(file, &e))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    // Named, not taken from the process: other crates of the tree bring a provider of their own.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?;
    Ok(builder.with_root_certificates(roots))
}

/// The certificates of a PEM file, of which there must be one at least.
///
/// # Errors
/// Why it cannot be used.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|e| unusable(file, &e))?;
    if found.is_empty() { Err(unusable(file, &"it holds no certificate")) } else { Ok(found) }
}

/// What is said of a file that cannot be used.
pub fn unusable(file: &Path, why: &dyn fmt::Display) -> String {
    format!("cannot use {}: {why}", file.display())
}
