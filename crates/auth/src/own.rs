//! The section `tokens.own` of the configuration: tokens that this fleet issues itself.

use std::time::Duration;

use catalog::Sealer;
use identity::{AccessOptions, AccessTokens, KeyError, SigningKeys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What keys are made for, beside sealing.
const PURPOSE: &str = "access tokens";

/// How tokens of our own are. They are signed by keys that follow from the sealing keys, which all processes of a fleet have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnTokenOptions {
    /// What they call us (`iss`), the same in all processes of a fleet.
    pub issuer: String,
    /// Whom they are for (`aud`).
    pub audience: String,
    /// How long an access token is good, in seconds.
    pub lifetime_seconds: u32,
}

impl Default for OwnTokenOptions {
    fn default() -> Self {
        Self { issuer: "eventrunner".to_owned(), audience: "eventrunner".to_owned(), lifetime_seconds: 600 }
    }
}

impl OwnTokenOptions {
    /// Refuses values with which nothing could work.
    ///
    /// # Errors
    /// The name of the first such option and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Err("tokens.own.issuer and tokens.own.audience must not be empty".to_owned());
        }
        if (60..=3_600).contains(&self.lifetime_seconds) {
            Ok(())
        } else {
            Err("tokens.own.lifetime_seconds must be 60 to 3600".to_owned())
        }
    }

    /// What issues and verifies them.
    ///
    /// # Errors
    /// If there is no key.
    pub fn tokens(&self, sealer: &Sealer) -> Result<AccessTokens, KeyError> {
        let keys = SigningKeys::from_base64(&sealer.derive(PURPOSE))?;
        let lifetime = Duration::from_secs(self.lifetime_seconds.into());
        let options = AccessOptions { lifetime, ..AccessOptions::new(&self.issuer, &self.audience) };
        Ok(AccessTokens::new(options, keys))
    }
}

#[cfg(test)]
mod tests {
    use catalog::SealingKey;
    use identity::{Grant, Holder, Purpose};
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn whoever_has_the_sealing_key_believes_the_tokens_and_keys_rotate() {
        let (old, new) = ([7; 32], [8; 32]);
        let tokens = |sealer: Sealer| OwnTokenOptions::default().tokens(&sealer).unwrap();
        let holder = Holder::User { session: "s".to_owned() };
        let grant = Grant {
            subject: "alice".to_owned(),
            holder,
            purpose: Purpose::All,
            tenant: None,
            scopes: vec![],
        };
        let now = 1_800_000_000_000_000;
        let before = tokens(Sealer::new(SealingKey::from_bytes(old)));
        let (token, _) = before.issue(&mut rand::rng(), grant, now);
        let rotated = Sealer::new(SealingKey::from_bytes(new)).opening(SealingKey::from_bytes(old));
        for believing in [Sealer::new(SealingKey::from_bytes(old)), rotated] {
            assert!(tokens(believing).verify(token.expose_secret(), now).is_ok());
        }
        let strangers = tokens(Sealer::new(SealingKey::from_bytes(new)));
        assert!(strangers.verify(token.expose_secret(), now).is_err());
    }

    #[test]
    fn what_cannot_be_is_named() {
        let with = |lifetime_seconds, issuer: &str| {
            OwnTokenOptions { lifetime_seconds, issuer: issuer.to_owned(), ..OwnTokenOptions::default() }
                .check()
        };
        assert_eq!(with(600, "x"), Ok(()));
        for (lifetime, issuer, named) in [(0, "x", "lifetime"), (3_601, "x", "lifetime"), (600, "", "issuer")]
        {
            assert!(with(lifetime, issuer).unwrap_err().contains(named));
        }
    }
}
