//! People who are known here, and not by way of an issuer of tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Meta;
use crate::{Micros, UserId};

/// A person. The fleet's: role bindings say in which tenants they may do what, or whether everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Its id, which is also what they log in by, unique within the fleet.
    pub id: UserId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// By which they may log in too; no two have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Nothing of theirs is believed: no password, session or token, and no issuer's token that names them.
    #[serde(default)]
    pub disabled: bool,
    /// They may do nothing before they have set another password.
    #[serde(default)]
    pub must_change_password: bool,
    /// The hash of the password, sealed (`catalog::Sealer`); none as long as they have not set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_password: Option<String>,
    /// Sessions that began, and tokens that were issued, then or before are over.
    #[serde(default)]
    pub signed_out_at_us: Micros,
    /// Sessions that were ended and of which there may still be tokens.
    // Here, so that who follows the catalog knows of them with it, and no list of their own has to be followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_sessions: Vec<EndedSession>,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// A session that was ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedSession {
    /// Its id.
    pub id: String,
    /// When the last of its tokens expires by itself.
    pub until_us: Micros,
}

/// Ended sessions that a user remembers. Who ends more within a token's life ends all there are.
pub const ENDED_SESSIONS_MAX: usize = 128;

impl User {
    /// Ends a session, of which no token lives longer than `until_us`.
    pub fn end_session(&mut self, id: &str, now_us: Micros, until_us: Micros) {
        self.ended_sessions.retain(|ended| ended.until_us >= now_us && ended.id != id);
        if self.ended_sessions.len() >= ENDED_SESSIONS_MAX {
            self.end_all_sessions(now_us);
        } else {
            self.ended_sessions.push(EndedSession { id: id.to_owned(), until_us });
        }
    }

    /// Ends all sessions that began, and takes back all tokens that were issued, until now.
    pub fn end_all_sessions(&mut self, now_us: Micros) {
        self.ended_sessions.clear();
        self.signed_out_at_us = self.signed_out_at_us.max(now_us);
    }

    /// Whether a session was ended.
    #[must_use]
    pub fn has_ended(&self, session: &str) -> bool {
        self.ended_sessions.iter().any(|ended| ended.id == session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_sessions_are_remembered_as_long_as_they_matter() {
        let mut user: User = serde_json::from_str(r#"{"id": "alice"}"#).unwrap();
        user.end_session("a", 100, 200);
        user.end_session("b", 150, 250);
        user.end_session("a", 160, 260);
        assert!(user.has_ended("a") && user.has_ended("b") && !user.has_ended("c"));
        assert_eq!(user.ended_sessions.len(), 2);
        user.end_session("c", 255, 300);
        assert!(user.has_ended("a") && !user.has_ended("b"), "whose tokens have expired");
        for n in 0..ENDED_SESSIONS_MAX {
            user.end_session(&n.to_string(), 255, 300);
        }
        assert!(user.ended_sessions.len() <= ENDED_SESSIONS_MAX);
        assert_eq!(user.signed_out_at_us, 255, "too many: all are over");
        user.end_all_sessions(7);
        assert_eq!(user.signed_out_at_us, 255, "never earlier");
    }
}
