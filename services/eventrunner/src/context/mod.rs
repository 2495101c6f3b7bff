//! Where the client commands find a fleet, and who they are there: flags, then the environment, then a context: one that was
//! named, or the file that `eventrunner up` leaves in its data folder.

pub(crate) mod named;
pub(crate) mod sessions;

use std::{
    fmt, fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use self::named::Contexts;
use crate::{
    exit::{Code, Failure, Result},
    up::folder,
};

/// What the context in the data folder is called.
pub(crate) const LOCAL: &str = "local";
/// Name of the context file in the data folder.
pub(crate) const FILE: &str = "context.toml";

/// How to reach a fleet.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectArgs {
    /// Address of ingest-http, where events are published
    #[arg(long, value_name = "URL", env = "EVENTRUNNER_URL")]
    pub(crate) url: Option<String>,
    /// Address of the API, where events are read and everything is managed
    #[arg(long, value_name = "URL", env = "EVENTRUNNER_API_URL")]
    pub(crate) api_url: Option<String>,
    /// Address of the broker, for what is done there directly
    #[arg(long, value_name = "URL", env = "EVENTRUNNER_NATS_URL")]
    pub(crate) nats_url: Option<String>,
    /// NATS credentials file, where the broker wants one
    #[arg(long, value_name = "FILE", env = "EVENTRUNNER_NATS_CREDENTIALS")]
    pub(crate) nats_credentials: Option<PathBuf>,
    /// PEM file of the certificate authorities that vouch for the broker [default: the machine's own]
    #[arg(long, value_name = "FILE", env = "EVENTRUNNER_NATS_CA")]
    pub(crate) nats_ca: Option<PathBuf>,
    /// The tenant, where the command needs one
    #[arg(long, short = 't', value_name = "TENANT", env = "EVENTRUNNER_TENANT")]
    pub(crate) tenant: Option<String>,
    /// API key
    #[arg(long, value_name = "KEY", env = "EVENTRUNNER_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Context to take the rest from: its name, or a file [default: see eventrunner context]
    #[arg(long, value_name = "NAME|FILE", env = "EVENTRUNNER_CONTEXT")]
    pub(crate) context: Option<String>,
    /// Data folder of `eventrunner up` [default: ${XDG_DATA_HOME:-~/.local/share}/eventrunner]
    #[arg(long, value_name = "FOLDER", env = "EVENTRUNNER_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// What a context file says.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nats_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nats_credentials_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nats_ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// With which resources are managed, if not with the other one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sealing_key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nats_monitor_url: Option<String>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("url", &self.url).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl File {
    /// Reads a context file; `None` if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file("cannot read the context file", path, &error)),
        };
        toml::from_str(&text)
            .map(Some)
            .map_err(|e| Failure::config(format!("the context file {}: {}", path.display(), e.message())))
    }

    /// Writes it, readable by its owner only, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_private(path, "# Made by `eventrunner up`: how the client commands reach it.\n", self)
    }
}

/// Writes a file that holds keys: readable by its owner only, whole or not at all.
fn write_private(path: &Path, header: &str, value: &impl Serialize) -> Result<()> {
    let failed = |error: &std::io::Error| Failure::file("cannot write the context file", path, error);
    let text = toml::to_string(value)
        .map_err(|e| Failure::failed(format!("the context cannot be written as TOML: {e}")))?;
    let aside = path.with_extension("toml.tmp");
    let _ = fs::remove_file(&aside);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .map_err(|e| failed(&e))?;
    file.write_all(header.as_bytes())
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&aside, path))
        .map_err(|e| failed(&e))
}

/// Where and who, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) url: String,
    pub(crate) api_url: String,
    pub(crate) nats_url: String,
    pub(crate) nats_credentials_file: Option<PathBuf>,
    pub(crate) nats_ca_file: Option<PathBuf>,
    tenant: Option<String>,
    key: Option<SecretString>,
    operator_key: Option<SecretString>,
    pub(crate) sealing_key_file: PathBuf,
    /// Metrics and health of the fleet.
    pub(crate) admin_url: String,
    /// What the broker tells about itself.
    pub(crate) nats_monitor_url: String,
    data_dir: PathBuf,
    /// The file it was looked for in, for hints.
    file: PathBuf,
    found: bool,
}

impl Context {
    /// Puts the layers together. Who has logged in is that user, unless a key is given.
    pub(crate) fn load(args: &ConnectArgs) -> Result<Self> {
        let mut context = Self::load_without_session(args)?;
        if args.key.is_none()
            && let Some(session) = sessions::current(&context.api_url)?
        {
            (context.key, context.operator_key) = (Some(session.token()), None);
        }
        Ok(context)
    }

    /// The same, whether somebody has logged in or not.
    pub(crate) fn load_without_session(args: &ConnectArgs) -> Result<Self> {
        let data_dir = match &args.data_dir {
            Some(folder) => folder.clone(),
            None => folder::default_path()?,
        };
        let Layer { file, path, found } = Layer::choose(args, &data_dir)?;
        let pick = |flag: &Option<String>, file: Option<String>, default: &str| {
            let url = flag.clone().or(file).unwrap_or_else(|| default.to_owned());
            url.trim_end_matches('/').to_owned()
        };
        Ok(Self {
            url: http_url(pick(&args.url, file.url, "http://127.0.0.1:8080"))?,
            api_url: http_url(pick(&args.api_url, file.api_url, "http://127.0.0.1:8081"))?,
            nats_url: pick(&args.nats_url, file.nats_url, "nats://127.0.0.1:4222"),
            nats_credentials_file: args.nats_credentials.clone().or(file.nats_credentials_file),
            nats_ca_file: args.nats_ca.clone().or(file.nats_ca_file),
            tenant: args.tenant.clone().or(file.tenant),
            // Who says which key means that one.
            operator_key: args.key.is_none().then_some(file.operator_key).flatten().map(SecretString::from),
            key: args.key.clone().or(file.key).map(SecretString::from),
            sealing_key_file: file.sealing_key_file.unwrap_or_else(|| data_dir.join("secret.key")),
            admin_url: pick(&None, file.admin_url, "http://127.0.0.1:9600"),
            nats_monitor_url: pick(&None, file.nats_monitor_url, "http://127.0.0.1:8222"),
            data_dir,
            file: path,
            found,
        })
    }

    /// Whether our client could speak to the addresses that are given.
    pub(crate) fn check(args: &ConnectArgs) -> Result<()> {
        [&args.url, &args.api_url].into_iter().flatten().try_for_each(|url| http_url(url.clone()).map(drop))
    }

    /// How the broker is reached.
    pub(crate) fn nats(&self) -> bus::Options {
        bus::Options {
            url: self.nats_url.clone(),
            credentials_file: self.nats_credentials_file.clone(),
            tls_ca_file: self.nats_ca_file.clone(),
            ..bus::Options::default()
        }
    }

    /// The API key.
    pub(crate) fn key(&self) -> Result<&str> {
        self.key.as_ref().map(|key| key.expose_secret()).ok_or_else(|| {
            let looked = if self.found { "has none" } else { "does not exist" };
            Failure::new(Code::NoPermission, "this command needs an API key").hint(format!(
                "give --key or EVENTRUNNER_KEY; the context in {} {looked}\n\
                 `eventrunner up` makes one, `eventrunner keys create` another, `eventrunner context set` keeps it",
                self.file.display()
            ))
        })
    }

    /// The key with which resources are managed.
    pub(crate) fn managing_key(&self) -> Result<&str> {
        self.operator_key.as_ref().map_or_else(|| self.key(), |key| Ok(key.expose_secret()))
    }

    /// The tenant.
    pub(crate) fn tenant<T: std::str::FromStr<Err: fmt::Display>>(&self) -> Result<T> {
        let tenant = self.tenant.as_deref().ok_or_else(|| {
            Failure::usage("this command needs a tenant").hint("give --tenant or EVENTRUNNER_TENANT")
        })?;
        tenant.parse().map_err(|e: T::Err| Failure::usage(e.to_string()))
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The context file, whether it exists or not.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn is_found(&self) -> bool {
        self.found
    }

    /// Where one would look for what is running.
    pub(crate) fn start_hint(&self) -> String {
        "is it running? start a fleet on this machine with: eventrunner up".to_owned()
    }
}

/// What the flags are laid over.
struct Layer {
    file: File,
    path: PathBuf,
    found: bool,
}

impl Layer {
    /// The context that was named; that of the data folder, if that was named; the one in use; that of the usual data folder.
    fn choose(args: &ConnectArgs, data_dir: &Path) -> Result<Self> {
        let local = || {
            let path = data_dir.join(FILE);
            let read = File::read(&path)?;
            Ok(Self { found: read.is_some(), file: read.unwrap_or_default(), path })
        };
        let of_name = |contexts: &Contexts, name: &str| {
            let path = named::path().unwrap_or_default();
            Ok(Self { file: contexts.named(name)?.clone(), path, found: true })
        };
        match args.context.as_deref() {
            Some(LOCAL) => local(),
            Some(given) if named::is_file(given) => {
                let path = PathBuf::from(given);
                let missing =
                    || Failure::new(Code::NotFound, format!("there is no context file {}", path.display()));
                Ok(Self { file: File::read(&path)?.ok_or_else(missing)?, path, found: true })
            }
            Some(name) => of_name(&Contexts::read()?, name),
            None if args.data_dir.is_some() => local(),
            None => {
                let contexts = Contexts::read()?;
                match &contexts.current {
                    Some(name) => of_name(&contexts, name),
                    None => local(),
                }
            }
        }
    }
}

/// An address our client can speak to.
fn http_url(text: String) -> Result<String> {
    match reqwest::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text),
        _ => Err(Failure::usage(format!("{text} is no address such as http://127.0.0.1:8080"))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let file = File {
            url: Some("http://a:1/".into()),
            tenant: Some("demo".into()),
            key: Some("er_file".into()),
            ..File::default()
        };
        file.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(File::read(&path).unwrap().unwrap(), file);

        let args = ConnectArgs {
            data_dir: Some(folder.path().into()),
            key: Some("er_flag".into()),
            ..ConnectArgs::default()
        };
        let context = Context::load(&args).unwrap();
        assert_eq!((context.url.as_str(), context.api_url.as_str()), ("http://a:1", "http://127.0.0.1:8081"));
        assert_eq!(context.key().unwrap(), "er_flag");
        assert_eq!(context.tenant::<model::TenantId>().unwrap().as_str(), "demo");
        assert!(!format!("{context:?}{file:?}").contains("er_"), "keys are not printed");
    }

    #[test]
    fn says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let args = ConnectArgs { data_dir: Some(folder.path().into()), ..ConnectArgs::default() };
        let context = Context::load(&args).unwrap();
        assert_eq!(context.key().unwrap_err().code, Code::NoPermission);
        assert_eq!(context.tenant::<model::TenantId>().unwrap_err().code, Code::Usage);
        let named =
            ConnectArgs { context: Some(folder.path().join("none.toml").display().to_string()), ..args };
        assert_eq!(Context::load(&named).unwrap_err().code, Code::NotFound);
        fs::write(folder.path().join(FILE), "urll = 1").unwrap();
        let args = ConnectArgs { data_dir: Some(folder.path().into()), ..ConnectArgs::default() };
        assert_eq!(Context::load(&args).unwrap_err().code, Code::Config);
    }
}
