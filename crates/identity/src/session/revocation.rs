//! Access tokens taken back before they expire.

use std::collections::HashMap;

use model::Micros;

use super::{Access, Holder};
use crate::TokenError;

/// What has been taken back and could still be presented. Each replica keeps one, filled by what it watches; merging is
/// commutative and may be repeated, so that it does not matter in which order, or how often, the news arrive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Token id → until when it matters: the token's end.
    tokens: HashMap<String, Micros>,
    /// Session → until when it matters.
    sessions: HashMap<String, Micros>,
    /// User → (tokens issued at or before this time, until when it matters).
    users: HashMap<String, (Micros, Micros)>,
    /// As of users.
    clients: HashMap<String, (Micros, Micros)>,
}

fn later_of_two(map: &mut HashMap<String, (Micros, Micros)>, key: &str, (at, until): (Micros, Micros)) {
    let entry = map.entry(key.to_owned()).or_insert((at, until));
    *entry = (at.max(entry.0), until.max(entry.1));
}

fn later(map: &mut HashMap<String, Micros>, key: &str, until: Micros) {
    let entry = map.entry(key.to_owned()).or_insert(until);
    *entry = until.max(*entry);
}

impl Revocations {
    /// Takes back one token; it matters until the token's end.
    pub fn revoke_token(&mut self, id: &str, until: Micros) {
        later(&mut self.tokens, id, until);
    }

    /// Takes back all access tokens of a session. `until`: when the last of them ends.
    pub fn revoke_session(&mut self, session: &str, until: Micros) {
        later(&mut self.sessions, session, until);
    }

    /// Takes back all access tokens that a user was issued at or before `at`, whatever session they are of: after a change of
    /// password, or when it is disabled. `until`: when the last of them ends.
    pub fn revoke_user(&mut self, user: &str, at: Micros, until: Micros) {
        later_of_two(&mut self.users, user, (at, until));
    }

    /// The same of an OAuth client.
    pub fn revoke_client(&mut self, client: &str, at: Micros, until: Micros) {
        later_of_two(&mut self.clients, client, (at, until));
    }

    /// Insists that a token was not taken back.
    ///
    /// # Errors
    /// [`TokenError::Revoked`].
    pub fn check(&self, access: &Access) -> Result<(), TokenError> {
        let (session, subjects) = match &access.grant.holder {
            Holder::User { session } => (self.sessions.contains_key(session), &self.users),
            Holder::Client => (false, &self.clients),
        };
        let subject = subjects.get(&access.grant.subject).is_some_and(|(at, _)| access.issued_at <= *at);
        if session || subject || self.tokens.contains_key(&access.id) {
            Err(TokenError::Revoked)
        } else {
            Ok(())
        }
    }

    /// All that another list knows, too.
    pub fn merge(&mut self, other: &Self) {
        for (id, until) in &other.tokens {
            self.revoke_token(id, *until);
        }
        for (session, until) in &other.sessions {
            self.revoke_session(session, *until);
        }
        for (user, times) in &other.users {
            later_of_two(&mut self.users, user, *times);
        }
        for (client, times) in &other.clients {
            later_of_two(&mut self.clients, client, *times);
        }
    }

    /// Forgets what matters no more: the tokens have expired. Give it a time before now by at least the leeway of clocks.
    pub fn forget(&mut self, before: Micros) {
        self.tokens.retain(|_, until| *until >= before);
        self.sessions.retain(|_, until| *until >= before);
        self.users.retain(|_, (_, until)| *until >= before);
        self.clients.retain(|_, (_, until)| *until >= before);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len() + self.sessions.len() + self.users.len() + self.clients.len()
    }

    /// Whether nothing is taken back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
