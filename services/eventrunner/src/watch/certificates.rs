//! When the certificates and the login that the configuration names end.

use std::{fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use runtime::metrics::{Metric, gauge};
use serde::Deserialize;
use x509_parser::pem::Pem;

use crate::config::{Config, StoreKind};

/// A file that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    /// The label it is shown with.
    file: &'static str,
    path: PathBuf,
}

/// What there is to watch.
pub(super) fn watched(config: &Config) -> Vec<Watched> {
    let cql = &config.store.cql;
    let is_used =
        config.store.kind == StoreKind::External && cql.tls && !cql.tls_ca_file.as_os_str().is_empty();
    let cql_ca = is_used.then_some(&cql.tls_ca_file);
    let files = [
        ("nats_ca", config.nats.tls_ca_file.as_ref()),
        ("nats_certificate", config.nats.tls_certificate_file.as_ref()),
        ("nats_credentials", config.nats.credentials_file.as_ref()),
        ("cql_ca", cql_ca),
        ("otlp_ca", config.telemetry.otlp_ca_file.as_ref()),
    ];
    let named = files.into_iter().filter_map(|(file, path)| Some(Watched { file, path: path?.clone() }));
    named.collect()
}

impl Watched {
    /// Reads it again. One that cannot be read stays as it was shown last: whoever needs it says what is wrong with it.
    pub(super) fn show(&self) {
        let Ok(bytes) = fs::read(&self.path) else { return };
        let end =
            if self.file == "nats_credentials" { end_of_login(&bytes) } else { end_of_certificates(&bytes) };
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        if let Some(end) = end {
            gauge(Metric::CertificateExpiryTime, &[self.file]).set(end as f64);
        }
    }
}

/// Of several, the first that ends; in seconds since 1970.
fn end_of_certificates(pem: &[u8]) -> Option<i64> {
    let certificates =
        Pem::iter_from_buffer(pem).filter_map(Result::ok).filter(|pem| pem.label == "CERTIFICATE");
    certificates.filter_map(|pem| Some(pem.parse_x509().ok()?.validity().not_after.timestamp())).min()
}

/// The JWT of a NATS credentials file; `None` when it does not end.
fn end_of_login(credentials: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: Option<i64>,
    }
    let text = std::str::from_utf8(credentials).ok()?;
    let token = text.lines().skip_while(|line| !line.contains("BEGIN NATS USER JWT")).nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok()?.exp.filter(|exp| *exp > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(until_year: i32) -> String {
        let mut parameters = rcgen::CertificateParams::new(vec!["nats".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        parameters.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn the_first_certificate_to_end_counts() {
        let both = pem(2035) + &pem(2033);
        assert_eq!(end_of_certificates(both.as_bytes()), Some(1_988_150_400));
        assert_eq!(end_of_certificates(b"no certificate"), None);
    }

    #[test]
    fn a_login_ends_when_its_token_does() {
        let login = |claims: &str| {
            let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
            format!("-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n")
        };
        assert_eq!(end_of_login(login(r#"{"exp": 1900000000}"#).as_bytes()), Some(1_900_000_000));
        assert_eq!(end_of_login(login("{}").as_bytes()), None);
        assert_eq!(end_of_login(b"-----BEGIN NATS USER JWT-----\nnonsense\n"), None);
    }

    #[test]
    fn only_what_is_named_is_watched_and_a_missing_file_shows_nothing() {
        let mut config = Config::default();
        assert_eq!(watched(&config), []);
        config.nats.tls_ca_file = Some("/no/where/ca.crt".into());
        config.store.cql.tls_ca_file = "/no/where/cql.crt".into();
        let found = watched(&config);
        assert_eq!(found.iter().map(|w| w.file).collect::<Vec<_>>(), ["nats_ca"], "the store is embedded");
        found.iter().for_each(Watched::show);
    }
}
