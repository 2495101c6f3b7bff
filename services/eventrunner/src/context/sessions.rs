//! The sessions of who has logged in, by the address of the API, in one file of their configuration folder.
//!
//! A refresh token is good once, and one that comes twice ends its session: so the file is read, refreshed and written by one
//! process at a time.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    time::Duration,
};

use model::{Clock as _, Micros, SystemClock};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    client::http_client,
    exit::{Code, Failure, Result},
    up::folder,
};

/// Name of the file.
const FILE: &str = "sessions.toml";
/// A token that is good for no longer is refreshed before it is used.
const MARGIN_US: Micros = 30_000_000;
/// How long a refresh may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A session, as the API has told of it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) user: String,
    access_token: String,
    refresh_token: String,
    /// When the access token ends.
    #[serde(default)]
    expires_at_us: Micros,
    /// As the API says it, in seconds.
    #[serde(default, skip_serializing)]
    expires_in: i64,
    #[serde(default, skip_serializing)]
    pub(crate) must_change_password: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Session {
    /// The access token.
    pub(crate) fn token(&self) -> SecretString {
        self.access_token.as_str().into()
    }

    fn is_fresh(&self) -> bool {
        SystemClock.now() + MARGIN_US < self.expires_at_us
    }
}

type Sessions = BTreeMap<String, Session>;

fn path() -> Option<PathBuf> {
    folder::config_path().map(|folder| folder.join(FILE))
}

fn read() -> Result<Sessions> {
    let Some(path) = path() else { return Ok(Sessions::new()) };
    match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|e| Failure::config(format!("the sessions in {}: {}", path.display(), e.message()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Sessions::new()),
        Err(error) => Err(Failure::file("cannot read the sessions", &path, &error)),
    }
}

/// Changes the file, alone.
fn change<T>(change: impl FnOnce(&mut Sessions) -> Result<T>) -> Result<T> {
    let path = path()
        .ok_or_else(|| Failure::usage("there is neither HOME nor XDG_CONFIG_HOME to keep a session in"))?;
    let folder = path.parent().unwrap_or(&path);
    let unusable = |e: std::io::Error| Failure::file("the session cannot be kept in", folder, &e);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let lock = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("sessions.lock"))
        .map_err(unusable)?;
    // Held until it is dropped.
    lock.lock().map_err(unusable)?;
    let mut sessions = read()?;
    let changed = change(&mut sessions);
    // Also what a failure has changed.
    let header = "# Made by `eventrunner login`. Whoever reads it is you.\n";
    super::write_private(&path, header, &sessions)?;
    changed
}

/// Keeps a session.
pub(crate) fn keep(api_url: &str, mut session: Session) -> Result<()> {
    session.expires_at_us = SystemClock.now().saturating_add(session.expires_in.saturating_mul(1_000_000));
    change(|sessions| {
        sessions.insert(api_url.to_owned(), session);
        Ok(())
    })
}

/// Forgets a session.
pub(crate) fn forget(api_url: &str) -> Result<Option<Session>> {
    if read()?.contains_key(api_url) { change(|sessions| Ok(sessions.remove(api_url))) } else { Ok(None) }
}

/// The session there is, with a token that is good, if somebody has logged in.
pub(crate) fn current(api_url: &str) -> Result<Option<Session>> {
    match read()?.remove(api_url) {
        Some(session) if !session.is_fresh() => {}
        session => return Ok(session),
    }
    change(|sessions| {
        let Some(old) = sessions.get(api_url) else { return Ok(None) };
        // Another command was quicker.
        if old.is_fresh() {
            return Ok(Some(old.clone()));
        }
        match refreshed(api_url, &old.refresh_token)? {
            Some(mut session) => {
                session.expires_at_us =
                    SystemClock.now().saturating_add(session.expires_in.saturating_mul(1_000_000));
                sessions.insert(api_url.to_owned(), session.clone());
                Ok(Some(session))
            }
            None => {
                sessions.remove(api_url);
                Err(Failure::new(Code::NoPermission, "the session is over")
                    .hint("log in again: eventrunner login"))
            }
        }
    })
}

/// Goes on with a session; none if it is over. On a thread of its own, as what asks for it may be anywhere.
fn refreshed(api_url: &str, refresh_token: &str) -> Result<Option<Session>> {
    let url = format!("{api_url}/api/v1/sessions/refresh");
    let body = json!({ "refresh_token": refresh_token });
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|e| Failure::failed(format!("the session cannot be refreshed: {e}")))?;
        runtime.block_on(async {
            let unreachable =
                |e: reqwest::Error| Failure::unavailable(format!("the session cannot be refreshed: {e}"));
            let answer = http_client(TIMEOUT)?.post(&url).json(&body).send().await.map_err(unreachable)?;
            if answer.status() == reqwest::StatusCode::UNAUTHORIZED {
                return Ok(None);
            }
            answer.error_for_status().map_err(unreachable)?.json().await.map(Some).map_err(unreachable)
        })
    });
    asked.join().map_err(|_| Failure::failed("the session could not be refreshed"))?
}
