//! Comparing and setting passwords.

use std::sync::Arc;

use catalog::{EntryKey, Kind, Versioned};
use identity::{PasswordHash, RefusedPassword};
use model::{ErrorCode, FLEET, Micros, resource::User};
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};

use super::{People, unhashed};
use crate::{app::App, error::of_catalog};

/// Longest name or password that is looked at, in bytes.
const BYTES_MAX: usize = 4 * 1024;

/// What a name and a password lead to.
pub(super) enum Proof {
    /// Theirs.
    Proven(Arc<User>),
    /// Not theirs, or nobody's; who it would have been, for the audit alone.
    Refused(Option<Arc<User>>),
}

impl People {
    /// Compares a password, once, whether there is such a user or not.
    pub(super) async fn prove(
        &self,
        app: &App,
        name: &str,
        password: SecretString,
        now: Micros,
    ) -> Result<Proof, Problem> {
        for (pointer, text) in [("/username", name), ("/password", password.expose_secret())] {
            if text.is_empty() || text.len() > BYTES_MAX {
                let problem = Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value");
                return Err(problem.field(pointer, format!("must be 1 to {BYTES_MAX} bytes long")));
            }
        }
        let name = name.to_lowercase();
        self.check_lock(&name, now)?;
        let snapshot = app.catalog.snapshot();
        // No id has an @.
        let user = if name.contains('@') { snapshot.user_of_email(&name) } else { snapshot.user(&name) };
        let user = user.cloned();
        let hash = user.as_ref().and_then(|user| opened(app, user));
        let verified = self.hasher.verify(hash.as_ref(), password).await.map_err(unhashed)?;
        match user {
            Some(user) if verified.matches && !user.disabled => {
                self.succeeded(&name);
                if let Some(rehashed) = verified.rehashed {
                    rehash(app, &user, &rehashed).await;
                }
                Ok(Proof::Proven(user))
            }
            user => {
                self.failed(&name, now);
                Ok(Proof::Refused(user))
            }
        }
    }

    /// The hash of a new password, sealed for a user.
    ///
    /// # Errors
    /// 400 if it is no good one, 503 if too many are being hashed.
    pub(crate) async fn seal(
        &self,
        app: &App,
        user: &User,
        password: SecretString,
        pointer: &str,
    ) -> Result<String, Problem> {
        let known: Vec<&str> = [
            Some(user.id.as_str()),
            user.email.as_deref(),
            Some(user.name.as_str()).filter(|n| !n.is_empty()),
        ]
        .into_iter()
        .flatten()
        .collect();
        self.rules().check(&password, &known).map_err(|refused| bad_password(pointer, refused))?;
        let hash = self.hasher.hash(password).await.map_err(unhashed)?;
        sealed(app, user, &hash)
    }
}

fn bad_password(pointer: &str, refused: RefusedPassword) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "the password cannot be taken")
        .field(pointer, refused.to_string())
}

/// What the hash of a user's password is sealed to.
pub(super) fn context(user: &User) -> String {
    EntryKey::new(Kind::User, &FLEET, user.id.as_str()).to_string()
}

fn sealed(app: &App, user: &User, hash: &PasswordHash) -> Result<String, Problem> {
    app.sealer.seal(&context(user), &hash.expose().into()).map_err(Problem::internal)
}

fn opened(app: &App, user: &User) -> Option<PasswordHash> {
    let opened = app.sealer.open(&context(user), user.sealed_password.as_deref()?);
    if let Err(error) = &opened {
        tracing::error!(user = %user.id, %error, "a password's hash cannot be opened; they cannot log in");
    }
    opened.ok().map(|hash| PasswordHash::from_stored(hash.expose_secret().to_owned()))
}

/// Keeps a hash that was made by today's parameters. If it cannot be kept, the next login makes another.
async fn rehash(app: &App, user: &User, hash: &PasswordHash) {
    let kept = async {
        let Versioned { revision, value } =
            app.catalog.get::<User>(&FLEET, &user.id).await.map_err(|e| of_catalog(e, false))?;
        if value.sealed_password == user.sealed_password {
            let value = User { sealed_password: Some(sealed(app, user, hash)?), ..value };
            app.catalog.put(&value, Some(revision)).await.map_err(|e| of_catalog(e, false))?;
        }
        Ok::<_, Problem>(())
    };
    if let Err(problem) = kept.await {
        tracing::warn!(user = %user.id, %problem, "a password's hash was not made anew");
    }
}
