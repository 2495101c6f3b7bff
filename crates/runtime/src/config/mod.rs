//! Configuration in layers: the defaults in the code, a TOML file, the environment, the command line; each
//! overrides what is before it. A key that nobody knows is an error that says where it stands and what may be meant.
//!
//! Every section is a struct of its service: `Serialize + Deserialize + JsonSchema + Default` with
//! `#[serde(default, deny_unknown_fields)]`, durations as integers with the unit last ([`Millis`], [`Seconds`]),
//! secrets as [`Secret`].
//!
//! ```
//! use runtime::config::{self, Sources};
//!
//! #[derive(Default, serde::Serialize, serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Options { http: runtime::http::ServerOptions }
//!
//! let sources = Sources::default().with_env([("EVENTRUNNER_HTTP__HEADERS_MAX", "64")]);
//! let loaded = config::load::<Options>(&sources)?;
//! assert_eq!(loaded.value.http.headers_max, 64);
//! assert_eq!(loaded.origin("http.headers_max"), "EVENTRUNNER_HTTP__HEADERS_MAX");
//!
//! let wrong = Sources::default().with_overrides([("http.header_max", "64")]);
//! let error = config::load::<Options>(&wrong).err().unwrap().to_string();
//! assert_eq!(error, "http.header_max (command line): there is no such key; did you mean http.headers_max?");
//! # Ok::<(), config::Error>(())
//! ```

mod error;
mod layers;
mod print;
mod values;

use std::{env, path::PathBuf};

use figment::Figment;
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    error::Error,
    print::{REDACTED, print, schema, without_passwords},
    values::{Millis, Seconds, Secret},
};

/// Every variable of ours begins with this; `EVENTRUNNER_<SECTION>__<KEY>` is a key of the configuration.
pub const ENV_PREFIX: &str = "EVENTRUNNER_";

/// Names the configuration file.
pub const ENV_FILE: &str = "EVENTRUNNER_CONFIG";

/// Where the configuration comes from, besides the defaults.
#[derive(Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    env: Vec<(String, String)>,
    overrides: Vec<(String, String)>,
}

impl std::fmt::Debug for Sources {
    /// Names only: the environment holds secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn names(pairs: &[(String, String)]) -> Vec<&str> {
            pairs.iter().map(|(name, _)| &**name).collect()
        }
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("env", &names(&self.env))
            .field("overrides", &names(&self.overrides))
            .finish()
    }
}

impl Sources {
    /// The environment of this process, and the file that `file` or else `EVENTRUNNER_CONFIG` names.
    #[must_use]
    pub fn from_process(file: Option<PathBuf>) -> Self {
        let file = file.or_else(|| env::var_os(ENV_FILE).filter(|f| !f.is_empty()).map(PathBuf::from));
        // `vars_os`: a variable of somebody else's that is not UTF-8 is none of our business.
        let env = env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self { file, ..Self::default() }.with_env(env)
    }

    /// Reads this file; it must exist.
    #[must_use]
    pub fn with_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Reads these variables instead of the process's. Only names with the prefix and `__` count: others, such as
    /// the command line's `EVENTRUNNER_API_KEY`, are not configuration.
    #[must_use]
    pub fn with_env<K: Into<String>, V: Into<String>>(
        mut self,
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let ours = |name: &str| name.strip_prefix(ENV_PREFIX).is_some_and(|rest| rest.contains("__"));
        let vars = vars.into_iter().map(|(k, v)| (k.into(), v.into()));
        self.env = vars.filter(|(name, _)| ours(name)).collect();
        // The environment has no order; errors and layers should have one.
        self.env.sort();
        self
    }

    /// Adds dotted keys with their values, as given on the command line; later ones win.
    #[must_use]
    pub fn with_overrides<K: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.overrides.extend(pairs.into_iter().map(|(k, v)| (k.into(), v.into())));
        self
    }
}

/// A configuration, and where each value of it comes from.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    figment: Figment,
}

impl<T> Loaded<T> {
    /// The layer that set a dotted key: `default`, the file's path, a variable's name, or `command line`.
    #[must_use]
    pub fn origin(&self, key: &str) -> String {
        error::origin(&self.figment, key)
    }
}

impl<T: Serialize> Loaded<T> {
    /// The dotted key of each [`Secret`] that is set, and the form in which it was given (`file:<path>` stays that): to
    /// hand the configuration on to a process of one's own.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, String)> {
        let given = |key: &String| self.figment.find_value(key).ok()?.into_string();
        let keys = print::redacted_keys(&self.value).into_iter();
        keys.filter_map(|key| given(&key).map(|value| (key, value))).collect()
    }
}

/// Reads all layers.
///
/// # Errors
/// If the file cannot be read or is not TOML, a key is unknown, or a value is not what its key takes; each names the
/// key and the layer.
pub fn load<T>(sources: &Sources) -> Result<Loaded<T>, Error>
where
    T: Default + Serialize + DeserializeOwned,
{
    let figment = layers::figment(&T::default(), sources)?;
    match figment.extract::<T>() {
        Ok(value) => Ok(Loaded { value, figment }),
        Err(error) => Err(Error::from_figment(&figment, &error)),
    }
}
