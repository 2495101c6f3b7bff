//! Invitations and links to set a new password.

use identity::{OneTimePurpose, OneTimeToken, RedeemError};
use secrecy::ExposeSecret as _;

use crate::{NOW, SECOND};

#[test]
fn good_once_for_one_thing_until_their_end() {
    let rng = &mut rand::rng();
    for (purpose, other, prefix) in [
        (OneTimePurpose::Invitation, OneTimePurpose::PasswordReset, "eri_"),
        (OneTimePurpose::PasswordReset, OneTimePurpose::Invitation, "erp_"),
    ] {
        let (stored, token) = OneTimeToken::issue(rng, purpose, purpose.lifetime(), NOW);
        let token = token.expose_secret();
        assert!(token.starts_with(prefix));
        assert_eq!(OneTimeToken::id_of(purpose, token), Some(stored.id.as_str()));
        assert_eq!(OneTimeToken::id_of(other, token), None);
        let stored: OneTimeToken = serde_json::from_value(serde_json::to_value(&stored).unwrap()).unwrap();

        let end = stored.expires_at;
        assert_eq!(stored.redeem(token, purpose, end), Err(RedeemError::Expired));
        assert_eq!(stored.redeem(token, other, NOW), Err(RedeemError::Unknown));
        let (stranger, strange) = OneTimeToken::issue(rng, purpose, purpose.lifetime(), NOW);
        let forged = token.replace(&stored.id, &stranger.id);
        for (stored, bad) in [(&stored, strange.expose_secret()), (&stored, ""), (&stranger, &forged)] {
            assert_eq!(stored.redeem(bad, purpose, NOW), Err(RedeemError::Unknown));
        }
        let used = stored.redeem(token, purpose, end - 1).unwrap();
        assert_eq!(used.used_at, Some(end - 1));
        for at in [end - 1, end, end + SECOND] {
            assert_eq!(used.redeem(token, purpose, at), Err(RedeemError::Used));
            assert_eq!(
                used.redeem("", purpose, at),
                Err(RedeemError::Unknown),
                "only its holder learns that"
            );
        }
    }
}
