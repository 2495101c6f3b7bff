//! What may be a password: long enough, and not what somebody would try first (NIST SP 800-63B-4, 3.1.1). No rules about kinds
//! of characters: they make passwords alike.

use secrecy::{ExposeSecret as _, SecretString};

/// Bytes, whatever the length in characters: a bound for the hash function's input.
const BYTES_MAX: usize = 4 * 1024;
/// Different characters in a password, at least.
const DIFFERENT_MIN: usize = 5;
/// What makes a part of a name worth looking for in a password: shorter ones stand in it by chance.
const PART_MIN: usize = 4;

/// Rows that a hand runs along, also backwards.
const ROWS: [&str; 5] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p",
];
/// Words that everybody tries, when little else is there.
const WORDS: [&str; 9] = [
    "password",
    "passwort",
    "letmein",
    "welcome",
    "iloveyou",
    "changeme",
    "administrator",
    "superuser",
    "eventrunner",
];

/// The bounds of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordRules {
    /// The least number of characters.
    pub length_min: usize,
    /// The most.
    pub length_max: usize,
}

impl Default for PasswordRules {
    /// 12 to 128 characters.
    fn default() -> Self {
        Self { length_min: 12, length_max: 128 }
    }
}

/// Why a password is refused. Never says the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedPassword {
    /// Too short.
    #[error("a password needs at least {0} characters")]
    TooShort(usize),
    /// Too long.
    #[error("a password may have at most {0} characters")]
    TooLong(usize),
    /// Too few different characters.
    #[error("a password needs at least {DIFFERENT_MIN} different characters")]
    TooUniform,
    /// It is, or holds, what is known of its owner.
    #[error("a password must not hold the name or the e-mail address of its owner")]
    Personal,
    /// Everybody tries it.
    #[error("this password is among those that are tried first")]
    Common,
}

impl PasswordRules {
    /// Insists that a password is a good one for somebody of whom `known` is known: mail address, user name, tenant.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, password: &SecretString, known: &[&str]) -> Result<(), RefusedPassword> {
        let password = password.expose_secret();
        let length = password.chars().count();
        if length < self.length_min {
            return Err(RefusedPassword::TooShort(self.length_min));
        }
        if length > self.length_max || password.len() > BYTES_MAX {
            return Err(RefusedPassword::TooLong(self.length_max));
        }
        let lower = password.to_lowercase();
        let mut different: Vec<char> = lower.chars().collect();
        different.sort_unstable();
        different.dedup();
        if different.len() < DIFFERENT_MIN {
            return Err(RefusedPassword::TooUniform);
        }
        if known.iter().any(|name| holds(&lower, &name.to_lowercase())) {
            return Err(RefusedPassword::Personal);
        }
        if is_common(&lower) { Err(RefusedPassword::Common) } else { Ok(()) }
    }
}

/// Whether a password holds a name, or a mail address's local part.
fn holds(password: &str, name: &str) -> bool {
    let local = name.split('@').next().unwrap_or(name);
    [name, local].iter().any(|part| part.len() >= PART_MIN && password.contains(part))
}

fn is_common(password: &str) -> bool {
    let letters: String = password.chars().filter(|c| c.is_alphanumeric()).collect();
    let backwards: String = letters.chars().rev().collect();
    let on_a_row = |text: &str| ROWS.iter().any(|row| row.contains(text));
    // Half a password or more that is one of the words: what is left is a year and an exclamation mark.
    let mostly = |word: &str| password.contains(word) && word.len() * 2 >= password.chars().count();
    on_a_row(&letters) || on_a_row(&backwards) || WORDS.iter().any(|word| mostly(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_passwords() {
        use RefusedPassword::{Common, Personal, TooLong, TooShort, TooUniform};
        let known = ["alice.miller@example.com", "Alice M", "acme", "al"];
        let long = "langes wort ".repeat(11);
        let cases = [
            ("correct horse battery", Ok(())),
            ("zwölf Zeichen", Ok(())),
            ("🐎🔋📎🌧 ok ok ok", Ok(())),
            ("tr0ub4dor&3 xkcd", Ok(())),
            ("my password is a long sentence", Ok(())),
            ("", Err(TooShort(12))),
            ("elf zeichen", Err(TooShort(12))),
            ("ööööööööööö", Err(TooShort(12))),
            (&long, Err(TooLong(128))),
            ("aaaaaaaaaaaaaaaa", Err(TooUniform)),
            ("abababababab", Err(TooUniform)),
            ("AaAaBbBbCcCcDdDd", Err(TooUniform)),
            ("alice.miller@example.com", Err(Personal)),
            ("Alice.Miller2026!", Err(Personal)),
            ("we love ACME very much", Err(Personal)),
            ("xxALICE Mxxyyzz", Err(Personal)),
            ("abcdefghijkl", Err(Common)),
            ("123456789012", Err(Common)),
            ("210987654321", Err(Common)),
            ("QWERTYUIOPAS", Err(Common)),
            ("1q2w3e4r5t6y", Err(Common)),
            ("password1234", Err(Common)),
            ("Superuser2026!", Err(Common)),
            ("!!EventRunner!!", Err(Common)),
        ];
        for (password, expected) in cases {
            let found = PasswordRules::default().check(&password.into(), &known);
            assert_eq!(found, expected, "{password:?}");
        }
    }
}
