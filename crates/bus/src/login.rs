//! Who the fleet is to the broker: what both of its connections say when they are asked.

use std::{fs, path::Path};

use async_nats::{Auth, AuthError, ConnectOptions, ServerAddr};
use nkeys::KeyPair;
use percent_encoding::percent_decode_str;
use runtime::config::Secret;

use crate::{Error, Options};

/// Who the fleet is to the broker.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// Nobody in particular.
    Anonymous,
    Password {
        user: String,
        password: Secret,
    },
    Token(Secret),
    /// A key pair that the broker knows by its public half.
    Nkey(Secret),
    /// A file with a JWT and the key pair it speaks of. Read whenever a connection is made: it may be replaced by one that is good
    /// for longer.
    Credentials(std::path::PathBuf),
}

impl Login {
    /// The one that is configured.
    ///
    /// # Errors
    /// If there are several, or what is given can be none.
    pub(crate) fn new(options: &Options, servers: &[ServerAddr]) -> Result<Self, Error> {
        let in_url = servers.iter().find_map(Self::of_address);
        let user = (!options.user.is_empty())
            .then(|| Self::Password { user: options.user.clone(), password: options.password.clone() });
        let token = options.token.is_set().then(|| Self::Token(options.token.clone()));
        let nkey = options.nkey_seed.is_set().then(|| Self::Nkey(options.nkey_seed.clone()));
        let credentials = options.credentials_file.clone().map(Self::Credentials);
        let mut given = [in_url, user, token, nkey, credentials].into_iter().flatten();
        let login = given.next().unwrap_or(Self::Anonymous);
        if given.next().is_some() {
            return Err(Error::Login(
                "nats has several logins: give one of user, token, nkey_seed, credentials_file or a login in url"
                    .to_owned(),
            ));
        }
        if options.user.is_empty() && options.password.is_set() {
            return Err(Error::Login("nats.password is given without nats.user".to_owned()));
        }
        // What is wrong with a key or a file is said now and not by the broker.
        login.answer(b"").map_err(Error::Login)?;
        Ok(login)
    }

    /// `nats://user:password@host` or `nats://token@host`, as every client of NATS reads it.
    fn of_address(address: &ServerAddr) -> Option<Self> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decoded(address.username()?);
        Some(match address.password() {
            Some(password) => Self::Password { user, password: Secret::from(&*decoded(password)) },
            None => Self::Token(Secret::from(&*user)),
        })
    }

    /// What is said to a broker that asks for a signature of `nonce`. The error is a sentence about the configuration.
    pub(crate) fn answer(&self, nonce: &[u8]) -> Result<Auth, String> {
        let exposed = |secret: &Secret| secret.expose().map(str::to_owned);
        let mut auth = Auth::new();
        match self {
            Self::Anonymous => {}
            Self::Password { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(exposed(password).unwrap_or_default());
            }
            Self::Token(token) => auth.token = exposed(token),
            Self::Nkey(seed) => {
                let pair = KeyPair::from_seed(seed.expose().unwrap_or_default())
                    .map_err(|_| "nats.nkey_seed is no seed of an nkey".to_owned())?;
                auth.signature = pair.sign(nonce).ok();
                auth.nkey = Some(pair.public_key());
            }
            Self::Credentials(path) => {
                let (jwt, pair) = read_credentials(path)?;
                auth.signature = pair.sign(nonce).ok();
                auth.jwt = Some(jwt);
            }
        }
        Ok(auth)
    }

    /// Options of the client library that log in so.
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        let login = self.clone();
        ConnectOptions::with_auth_callback(move |nonce| {
            std::future::ready(login.answer(&nonce).map_err(AuthError::new))
        })
    }
}

/// The JWT and the key pair of a credentials file.
fn read_credentials(path: &Path) -> Result<(String, KeyPair), String> {
    let failed = |reason: &str| format!("the credentials file {} {reason}", path.display());
    let text = fs::read_to_string(path).map_err(|e| failed(&format!("cannot be read: {e}")))?;
    let jwt = block(&text, "NATS USER JWT").ok_or_else(|| failed("holds no JWT of a user"))?;
    let seed = block(&text, "USER NKEY SEED").ok_or_else(|| failed("holds no seed of a user"))?;
    let pair = KeyPair::from_seed(seed).map_err(|_| failed("holds a seed that is none"))?;
    Ok((jwt.to_owned(), pair))
}

/// The line after the one that says that `name` begins.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.starts_with("---") && line.contains(&format!("BEGIN {name}")))?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "SUACH75SWCM5D2JMJM6EKLR2WDARVGZT4QC6LX3AGHSWOMVAKERABBBRWM";

    fn login(options: &Options) -> Result<Login, String> {
        let servers = options.servers().unwrap();
        Login::new(options, &servers).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_configured_is_what_is_said() {
        let url = |url: &str| Options { url: url.to_owned(), ..Options::default() };
        let plain = Options::default();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("user.creds");
        let text = format!(
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
        );
        fs::write(&file, text).unwrap();
        // user, password, token, whether it has a JWT, whether it has an nkey, whether it signs
        type Row<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, bool, bool, bool);
        let rows: [(Options, Row<'_>); 7] = [
            (plain.clone(), (None, None, None, false, false, false)),
            (
                Options { user: "u".into(), password: "p".into(), ..plain.clone() },
                (Some("u"), Some("p"), None, false, false, false),
            ),
            (Options { token: "t".into(), ..plain.clone() }, (None, None, Some("t"), false, false, false)),
            (url("nats://u:p%40x@a:1,nats://b:1"), (Some("u"), Some("p@x"), None, false, false, false)),
            (url("nats://t@a:1"), (None, None, Some("t"), false, false, false)),
            (Options { nkey_seed: SEED.into(), ..plain.clone() }, (None, None, None, false, true, true)),
            (Options { credentials_file: Some(file), ..plain }, (None, None, None, true, false, true)),
        ];
        for (options, (user, password, token, jwt, nkey, signs)) in rows {
            let auth = login(&options).unwrap().answer(b"nonce").unwrap();
            assert_eq!((auth.username.as_deref(), auth.password.as_deref()), (user, password), "{options:?}");
            assert_eq!(auth.token.as_deref(), token, "{options:?}");
            assert_eq!((auth.jwt.is_some(), auth.nkey.is_some()), (jwt, nkey), "{options:?}");
            assert_eq!(auth.signature.is_some(), signs, "{options:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let plain = Options::default();
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.creds");
        fs::write(&empty, "").unwrap();
        for (options, says) in [
            (Options { user: "u".into(), token: "t".into(), ..plain.clone() }, "several logins"),
            (Options { url: "nats://t@a".into(), token: "t".into(), ..plain.clone() }, "several logins"),
            (Options { password: "p".into(), ..plain.clone() }, "without nats.user"),
            (Options { nkey_seed: "x".into(), ..plain.clone() }, "nats.nkey_seed"),
            (Options { credentials_file: Some(empty), ..plain.clone() }, "holds no JWT"),
            (Options { credentials_file: Some("/none".into()), ..plain }, "cannot be read"),
        ] {
            let reason = login(&options).unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let options = Options {
            url: "nats://me:hunter2@a:1".into(),
            password: "hunter2".into(),
            token: "hunter2".into(),
            nkey_seed: SEED.into(),
            ..Options::default()
        };
        let shown = format!("{options:?} {:?}", Login::of_address(&options.servers().unwrap()[0]));
        assert!(!shown.contains("hunter2") && !shown.contains(SEED), "{shown}");
    }
}
