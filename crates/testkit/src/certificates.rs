//! Certificates of a server on this machine and of a client of it, made afresh.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority with what it has signed, as PEM files in a folder that goes when this is dropped.
#[derive(Debug)]
pub struct Certificates(TempDir);

impl Certificates {
    /// An authority, a server at `127.0.0.1` and `localhost`, and a client.
    ///
    /// # Panics
    /// If they cannot be made or written.
    #[must_use]
    pub fn make() -> Self {
        Self::try_make().unwrap_or_else(|e| panic!("no certificates: {e}"))
    }

    fn try_make() -> Result<Self, Box<dyn std::error::Error>> {
        let made = Self(TempDir::with_prefix("eventrunner-certificates-")?);
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(made.authority(), authority.pem())?;
        for (name, names) in
            [("server", vec!["127.0.0.1".to_owned(), "localhost".to_owned()]), ("client", vec![])]
        {
            let key = KeyPair::generate()?;
            let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
            fs::write(made.certificate(name), certificate.pem())?;
            fs::write(made.key(name), key.serialize_pem())?;
        }
        Ok(made)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.0.path().join("authority.pem")
    }

    /// The certificate of `server` or `client`.
    #[must_use]
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.pem"))
    }

    /// Its private key.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}-key.pem"))
    }
}
