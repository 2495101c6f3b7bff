//! `eventrunner login` and `logout`.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::resources::read_text;
use crate::{
    client::{error, http_client},
    context::{
        ConnectArgs, Context,
        sessions::{self, Session},
    },
    exit::{Failure, Result},
    output::note,
};

/// How long an answer may take: a password is hashed for it, and others may wait.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Log in by name and password, for the commands that follow
///
/// The session is kept in ${XDG_CONFIG_HOME:-~/.config}/eventrunner/sessions.toml, which only its owner may read, and is used instead of
/// the context's keys until `eventrunner logout`. Who must set another password is asked for one.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  eventrunner login admin
  eventrunner login alice --tenant acme --password-file alice.password
  eventrunner users list
  eventrunner logout")]
pub(crate) struct Login {
    /// The user's id, or their e-mail address
    username: String,
    /// File with the password, or - for stdin [default: asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File with another password, for who must set one [default: asked for]
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// End the session that `eventrunner login` has begun
#[derive(Debug, Clone, Args)]
pub(crate) struct Logout {
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn login(args: Login) -> Result<()> {
    let context = Context::load_without_session(&args.connect)?;
    let password = password(args.password_file, "Password: ")?;
    let mut body = json!({"username": args.username, "password": password.expose_secret()});
    if let Some(tenant) = &args.connect.tenant {
        body["tenant"] = tenant.as_str().into();
    }
    let mut session = ask(&context, Method::POST, "/login", &body, None).await?;
    if session.must_change_password {
        note("another password must be set before anything else");
        let new = password_twice(args.new_password_file)?;
        let body = json!({"current_password": password.expose_secret(), "new_password": new.expose_secret()});
        session = ask(&context, Method::PUT, "/me/password", &body, Some(session.token())).await?;
    }
    let user = session.user.clone();
    sessions::keep(&context.api_url, session)?;
    note(&format!("logged in as {user} at {}", context.api_url));
    Ok(())
}

pub(crate) async fn logout(args: Logout) -> Result<()> {
    let context = Context::load_without_session(&args.connect)?;
    // Refreshed if need be: one that is over is forgotten all the same.
    let session = sessions::current(&context.api_url);
    if let Ok(Some(session)) = &session {
        let request = http_client(TIMEOUT)?.post(format!("{}/api/v1/logout", context.api_url));
        let request = request.bearer_auth(session.token().expose_secret());
        let answer = request.send().await.map_err(|e| error::unreachable(&context, &e))?;
        if !answer.status().is_success() && answer.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Err(error::refused(answer).await);
        }
    }
    sessions::forget(&context.api_url)?;
    note(&match session {
        Ok(Some(session)) => format!("{} is logged out of {}", session.user, context.api_url),
        _ => format!("nobody is logged in at {}", context.api_url),
    });
    Ok(())
}

async fn ask(
    context: &Context,
    method: Method,
    path: &str,
    body: &serde_json::Value,
    token: Option<SecretString>,
) -> Result<Session> {
    let request = http_client(TIMEOUT)?.request(method, format!("{}/api/v1{path}", context.api_url));
    let request = match &token {
        Some(token) => request.bearer_auth(token.expose_secret()),
        None => request,
    };
    let answer = request.json(body).send().await.map_err(|e| error::unreachable(context, &e))?;
    if !answer.status().is_success() {
        return Err(error::refused(answer).await);
    }
    answer.json().await.map_err(|e| Failure::failed(format!("the API answered no session: {e}")))
}

/// A password out of a file, or as it is typed, which is not shown.
fn password(file: Option<PathBuf>, prompt: &str) -> Result<SecretString> {
    match file {
        Some(file) => Ok(read_text(&file)?.trim_end_matches(['\r', '\n']).into()),
        None => rpassword::prompt_password(prompt).map(SecretString::from).map_err(|e| {
            Failure::usage(format!("the password cannot be asked for: {e}")).hint("give --password-file")
        }),
    }
}

fn password_twice(file: Option<PathBuf>) -> Result<SecretString> {
    if file.is_some() {
        return password(file, "");
    }
    let (new, again) = (password(None, "New password: ")?, password(None, "And again: ")?);
    if new.expose_secret() == again.expose_secret() {
        Ok(new)
    } else {
        Err(Failure::usage("they are not the same"))
    }
}
