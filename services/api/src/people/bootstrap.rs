//! The first superuser, for whoever may write to the broker.

use catalog::{Catalog, Sealer};
use identity::{HashError, HashParams, Hasher};
use model::{
    Clock as _, FLEET, SystemClock,
    resource::{Meta, RoleBinding, User},
};
use rand::RngExt as _;
use secrecy::SecretString;

use super::passwords::context;

/// What the first superuser is called.
pub const FIRST_SUPERUSER: &str = "admin";

/// Letters and digits that nobody takes for another.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Groups of a one-time password, and characters of each: 118 bits.
const GROUPS: usize = 6;
const GROUP: usize = 4;

/// A superuser, and the password by which they set another.
#[derive(Debug)]
pub struct Superuser {
    /// Their id.
    pub id: String,
    /// Good for nothing but to set another.
    pub one_time_password: SecretString,
}

/// Why there is no superuser.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// It is no id.
    #[error(transparent)]
    Id(#[from] model::InvalidId),
    /// The catalog refuses, or does not answer.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The password cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The hash cannot be sealed.
    #[error(transparent)]
    Seal(#[from] catalog::SealError),
}

/// Makes the first superuser of a fleet in which there is no user. Of several processes that do so at once, one does.
///
/// # Errors
/// If the catalog does not answer.
pub async fn first_superuser(
    catalog: &Catalog,
    sealer: &Sealer,
) -> Result<Option<Superuser>, BootstrapError> {
    let snapshot = catalog.snapshot();
    let mut deleted = snapshot.each_deleted::<User>(None);
    if snapshot.each::<User>(None).next().is_some() || deleted.next().is_some() {
        return Ok(None);
    }
    match superuser(catalog, sealer, FIRST_SUPERUSER).await {
        Err(BootstrapError::Catalog(catalog::Error::Exists { .. } | catalog::Error::Stale { .. })) => {
            Ok(None)
        }
        made => made.map(Some),
    }
}

/// Makes a superuser, or gives one that is there a one-time password instead of theirs, and ends their sessions.
///
/// # Errors
/// If it is no id, or the catalog refuses.
pub async fn superuser(catalog: &Catalog, sealer: &Sealer, id: &str) -> Result<Superuser, BootstrapError> {
    let now = SystemClock.now();
    let found = match catalog.get::<User>(&FLEET, id).await {
        Ok(found) => Some(found),
        Err(catalog::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let password = one_time_password();
    let hash = Hasher::new(HashParams::OWASP, 1, 0)?.hash(password.clone()).await?;
    let mut user = match &found {
        Some(found) => found.value.clone(),
        None => User {
            id: id.parse()?,
            name: String::new(),
            email: None,
            disabled: false,
            must_change_password: true,
            sealed_password: None,
            signed_out_at_us: 0,
            ended_sessions: Vec::new(),
            meta: Meta::created(now),
        },
    };
    user.sealed_password = Some(sealer.seal(&context(&user), &hash.expose().into())?);
    (user.must_change_password, user.disabled) = (true, false);
    user.end_all_sessions(now);
    match found {
        Some(found) => catalog.put(&user, Some(found.revision)).await?,
        None => catalog.create(&user).await?,
    };
    let actor = format!("user:{id}");
    let is_one = |binding: &RoleBinding| binding.actor == actor && binding.role == "superuser";
    if !catalog.snapshot().each::<RoleBinding>(Some(&FLEET)).any(|e| is_one(&e.value)) {
        let binding = RoleBinding {
            tenant: FLEET.clone(),
            id: id.parse()?,
            name: String::new(),
            actor,
            role: "superuser".to_owned(),
            meta: Meta::created(now),
        };
        catalog.put(&binding, None).await?;
    }
    Ok(Superuser { id: id.to_owned(), one_time_password: password })
}

fn one_time_password() -> SecretString {
    let mut rng = rand::rng();
    let mut letter = || char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]);
    let groups: Vec<String> = (0..GROUPS).map(|_| (0..GROUP).map(|_| letter()).collect()).collect();
    groups.join("-").into()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn one_time_passwords_are_long_and_never_the_same() {
        let (one, other) = (one_time_password(), one_time_password());
        assert_eq!(one.expose_secret().len(), GROUPS * GROUP + GROUPS - 1);
        assert_ne!(one.expose_secret(), other.expose_secret());
    }
}
