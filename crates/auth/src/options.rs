//! The section `authorizer` of the configuration.

use std::{sync::Arc, time::Duration};

use relations::{Error, Keto, KetoOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Authority, Derived, Snapshots};

/// Which authorizer there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizerKind {
    /// In the memory of each process, made of the catalog.
    #[default]
    Embedded,
    /// An Ory Keto, which is told of the catalog's roles and bindings by the service `api`.
    Keto,
}

impl AuthorizerKind {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Keto => "keto",
        }
    }
}

/// Who is asked whether somebody has been given what they need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorizerOptions {
    /// `embedded`: in the memory of each process, made of the catalog. `keto`: an Ory Keto of version 0.14 or newer, with the
    /// namespaces of `deploy/ory/namespaces.keto.ts`.
    pub kind: AuthorizerKind,
    /// Keto's read API (gRPC without TLS), such as `http://keto-read:4466`.
    pub read_url: String,
    /// Keto's write API, such as `http://keto-write:4467`. Only the service `api` writes.
    pub write_url: String,
    /// How long Keto may take to answer one question, with all its repetitions, in milliseconds; 503 above.
    pub timeout_ms: u64,
    /// How long one attempt may take, in milliseconds.
    pub attempt_timeout_ms: u64,
}

impl Default for AuthorizerOptions {
    fn default() -> Self {
        Self {
            kind: AuthorizerKind::Embedded,
            read_url: String::new(),
            write_url: String::new(),
            timeout_ms: 2_000,
            attempt_timeout_ms: 500,
        }
    }
}

impl AuthorizerOptions {
    /// Refuses values with which nothing could work.
    ///
    /// # Errors
    /// The name of the first such option and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if self.kind == AuthorizerKind::Embedded {
            return Ok(());
        }
        for (name, url) in [("read_url", &self.read_url), ("write_url", &self.write_url)] {
            if !url.starts_with("http://") || url.parse::<http::Uri>().is_err() {
                return Err(format!("authorizer.{name} must be a URL that begins with http://"));
            }
        }
        if self.attempt_timeout_ms == 0 || self.timeout_ms < self.attempt_timeout_ms {
            return Err("authorizer.attempt_timeout_ms must be from 1 to authorizer.timeout_ms".to_owned());
        }
        Ok(())
    }
}

impl Authority {
    /// The one that the configuration names. Within a runtime: Keto is connected to when it is first asked.
    ///
    /// # Errors
    /// If a URL is none.
    pub fn open(options: &AuthorizerOptions, snapshots: Snapshots) -> Result<Self, Error> {
        if options.kind == AuthorizerKind::Embedded {
            return Ok(Self::new(Arc::new(Derived::new(snapshots))));
        }
        let options = KetoOptions {
            timeout: Duration::from_millis(options.timeout_ms),
            attempt_timeout: Duration::from_millis(options.attempt_timeout_ms),
            ..KetoOptions::new(&options.read_url, &options.write_url)
        };
        Ok(Self::told(Arc::new(Keto::new(Arc::new(relations::product_schema()), &options)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_named() {
        let keto = AuthorizerOptions {
            kind: AuthorizerKind::Keto,
            read_url: "http://keto:4466".to_owned(),
            write_url: "http://keto:4467".to_owned(),
            ..AuthorizerOptions::default()
        };
        assert_eq!(keto.check(), Ok(()));
        assert_eq!(AuthorizerOptions::default().check(), Ok(()));
        let named = |options: AuthorizerOptions| options.check().unwrap_err();
        for url in ["", "keto:4466", "https://keto:4466", "http://"] {
            assert!(
                named(AuthorizerOptions { read_url: url.to_owned(), ..keto.clone() }).contains("read_url"),
                "{url}"
            );
        }
        assert!(named(AuthorizerOptions { write_url: String::new(), ..keto.clone() }).contains("write_url"));
        assert!(
            named(AuthorizerOptions { attempt_timeout_ms: 0, ..keto.clone() }).contains("attempt_timeout_ms")
        );
        assert!(named(AuthorizerOptions { timeout_ms: 1, ..keto }).contains("attempt_timeout_ms"));
    }
}
