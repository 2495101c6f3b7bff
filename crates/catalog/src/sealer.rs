//! Secrets at rest: XChaCha20-Poly1305 under a key that is not in the catalog.
//!
//! Text form: `v1.<sealing key id>.<base64url of nonce and ciphertext>`, without padding. The context (the key of the
//! catalog entry) is authenticated with it, so that a sealed secret moved to another entry does not open.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};

const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// Why a secret could not be sealed or opened, or a sealing key not be had. Never says the secret or the key.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A key is not 32 bytes in base64.
    #[error("a sealing key must be 32 bytes in base64")]
    BadKey,
    /// No key at all.
    #[error("there is no sealing key")]
    NoKey,
    /// The text is not of the form `v1.<key id>.<base64url>`.
    #[error("this is no sealed secret: it must be v1.<sealing key id>.<base64url>")]
    NotSealed,
    /// It was sealed by a key we do not have.
    #[error("it was sealed by the key {0:?}, which is not among the sealing keys given")]
    UnknownKey(String),
    /// It was changed, or moved to another entry.
    #[error("it does not open: it was changed, or sealed for another entry")]
    Tampered,
    /// Others can read the key file.
    #[error("{} can be read by others (mode {mode:04o}); run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file cannot be read or made.
    #[error("sealing key file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A key secrets are sealed by. Prints as its id only.
pub struct SealingKey {
    id: String,
    bytes: SecretBox<[u8; KEY_BYTES]>,
}

impl SealingKey {
    /// A key of 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"eventrunner sealing key id");
        hash.update(bytes);
        // 6 bytes tell the few keys of a fleet apart and tell nothing of the key.
        let id = URL_SAFE_NO_PAD.encode(&hash.finalize()[..6]);
        Self { id, bytes: SecretBox::new(Box::new(bytes)) }
    }

    /// A key written in base64, standard or URL-safe, with or without padding.
    ///
    /// # Errors
    /// If it is not 32 bytes.
    pub fn from_base64(text: &SecretString) -> Result<Self, SealError> {
        let text = text.expose_secret().trim();
        let bytes = [STANDARD.decode(text), STANDARD_NO_PAD.decode(text), URL_SAFE_NO_PAD.decode(text)]
            .into_iter()
            .find_map(Result::ok)
            .ok_or(SealError::BadKey)?;
        Ok(Self::from_bytes(bytes.try_into().map_err(|_| SealError::BadKey)?))
    }

    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bytes(rand::random())
    }

    /// Its public id, as it stands in what it sealed.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A pseudo-random function of the key (RFC 2104), as HKDF expands one (RFC 5869, section 2.3).
    fn derive(&self, purpose: &str) -> SecretString {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac =
            <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.bytes.expose_secret()).expect("a key");
        mac.update(purpose.as_bytes());
        mac.update(&[1]);
        STANDARD.encode(mac.finalize().into_bytes()).into()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.bytes.expose_secret().into())
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

/// Seals with one key, opens with any of several: to rotate, put the new key first, write each secret again, then
/// take the old key away.
///
/// ```
/// use catalog::{Sealer, SealingKey};
/// use secrecy::{ExposeSecret as _, SecretString};
///
/// let sealer = Sealer::new(SealingKey::generate());
/// let sealed = sealer.seal("source.acme.github", &SecretString::from("whsec_x"))?;
/// assert_eq!(sealer.open("source.acme.github", &sealed)?.expose_secret(), "whsec_x");
/// assert!(sealer.open("source.evil.github", &sealed).is_err());
/// # Ok::<(), catalog::SealError>(())
/// ```
#[derive(Debug)]
pub struct Sealer {
    sealing: SealingKey,
    opening: Vec<SealingKey>,
}

impl Sealer {
    /// Seals and opens with one key.
    #[must_use]
    pub fn new(sealing: SealingKey) -> Self {
        Self { sealing, opening: Vec::new() }
    }

    /// Opens what `key` sealed, too.
    #[must_use]
    pub fn opening(mut self, key: SealingKey) -> Self {
        self.opening.push(key);
        self
    }

    /// Seals with the first key, opens with any.
    ///
    /// # Errors
    /// If there is none.
    pub fn from_keys(keys: impl IntoIterator<Item = SealingKey>) -> Result<Self, SealError> {
        let mut keys = keys.into_iter();
        let sealing = keys.next().ok_or(SealError::NoKey)?;
        Ok(Self { sealing, opening: keys.collect() })
    }

    /// Reads the keys of a file, one in base64 a line, the sealing key first; empty lines and `#` comments are
    /// passed over. Makes the file with a new key, readable by its owner only, if there is none.
    ///
    /// # Errors
    /// If the group or others may read it, or it cannot be read, understood or made.
    pub fn load_or_create(path: &Path) -> Result<Self, SealError> {
        let failed = |source| SealError::File { path: path.to_owned(), source };
        match read_private(path) {
            Err(SealError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            read => return Self::from_lines(&read?),
        }
        let key = SealingKey::generate();
        let line = SecretString::from(STANDARD.encode(key.bytes.expose_secret()) + "\n");
        // Written aside and linked into place: whoever else starts at this moment finds a whole file or none,
        // and the first one there wins.
        let aside = path.with_extension(format!("{:08x}.tmp", rand::random::<u32>()));
        let written = write_private(&aside, line.expose_secret()).and_then(|()| fs::hard_link(&aside, path));
        let removed = fs::remove_file(&aside);
        match written {
            Ok(()) => removed.map(|()| Self::new(key)).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::from_lines(&read_private(path)?)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn from_lines(text: &SecretString) -> Result<Self, SealError> {
        let lines = text.expose_secret().lines().map(str::trim);
        let keys = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| SealingKey::from_base64(&SecretString::from(line)));
        Self::from_keys(keys.collect::<Result<Vec<_>, _>>()?)
    }

    /// Keys for another purpose, one of each of ours, in base64 and in the same order: who has ours has them, and nobody learns
    /// ours by them.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Vec<SecretString> {
        let keys = std::iter::once(&self.sealing).chain(&self.opening);
        keys.map(|key| key.derive(purpose)).collect()
    }

    /// Seals a secret for the entry of that key.
    ///
    /// # Errors
    /// If it is larger than the cipher can take (256 GiB).
    pub fn seal(&self, context: &str, secret: &SecretString) -> Result<String, SealError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: context.as_bytes() };
        let sealed = self.sealing.cipher().encrypt(&XNonce::from(nonce), payload);
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed.map_err(|_| SealError::Tampered)?);
        Ok(format!("{VERSION}.{}.{}", self.sealing.id, URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Opens what was sealed for the entry of that key.
    ///
    /// # Errors
    /// If it was sealed by another key, for another entry, or was changed.
    pub fn open(&self, context: &str, sealed: &str) -> Result<SecretString, SealError> {
        let (id, bytes) = take_apart(sealed).ok_or(SealError::NotSealed)?;
        let mut keys = std::iter::once(&self.sealing).chain(&self.opening);
        let key = keys.find(|k| k.id == id).ok_or_else(|| SealError::UnknownKey(id.to_owned()))?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::NotSealed)?;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        let opened = key.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Tampered)?;
        String::from_utf8(opened).map(SecretString::from).map_err(|_| SealError::Tampered)
    }

    /// Whether the key of this id is one of ours.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.sealing.id == id || self.opening.iter().any(|key| key.id == id)
    }

    /// Whether it was sealed by the key that seals now: if not, it wants to be written again.
    #[must_use]
    pub fn is_current(&self, sealed: &str) -> bool {
        take_apart(sealed).is_some_and(|(id, _)| id == self.sealing.id)
    }
}

fn take_apart(sealed: &str) -> Option<(&str, Vec<u8>)> {
    let (id, text) = sealed.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    (!id.is_empty() && bytes.len() >= NONCE_BYTES + TAG_BYTES).then_some((id, bytes))
}

/// The id of the key that sealed this, if it has the form of a sealed secret.
#[must_use]
pub fn sealing_key_id(text: &str) -> Option<&str> {
    take_apart(text).map(|(id, _)| id)
}

/// Whether the text has the form of a sealed secret.
pub(crate) fn looks_sealed(text: &str) -> bool {
    take_apart(text).is_some()
}

fn read_private(path: &Path) -> Result<SecretString, SealError> {
    let failed = |source| SealError::File { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    // Asked of the open file, not of the path: it is the file that is read.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SealError::Exposed { path: path.to_owned(), mode });
    }
    io::read_to_string(file).map(SecretString::from).map_err(failed)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[test]
    fn opens_only_what_it_sealed_where_it_was_sealed() {
        let sealer = Sealer::new(SealingKey::generate());
        for text in ["", "whsec_x", &"é".repeat(10_000)] {
            let sealed = sealer.seal("source.a.b", &secret(text)).unwrap();
            assert!(looks_sealed(&sealed) && (text.is_empty() || !sealed.contains(text)));
            assert_ne!(sealed, sealer.seal("source.a.b", &secret(text)).unwrap(), "the nonce is random");
            assert_eq!(sealer.open("source.a.b", &sealed).unwrap().expose_secret(), text);
            assert!(matches!(sealer.open("source.a.c", &sealed), Err(SealError::Tampered)));
            let mut changed = sealed.clone().into_bytes();
            let last = changed.len() - 5;
            changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(matches!(sealer.open("source.a.b", &changed), Err(SealError::Tampered)));
        }
        let stranger = Sealer::new(SealingKey::generate()).seal("c", &secret("x")).unwrap();
        assert!(matches!(sealer.open("c", &stranger), Err(SealError::UnknownKey(_))));
        for bad in ["", "v1", "v1.a", "v1.a.b", "v2.abc.AAAA", "whsec_x", "v1..AAAA"] {
            assert!(matches!(sealer.open("c", bad), Err(SealError::NotSealed)), "{bad}");
            assert!(!looks_sealed(bad));
        }
    }

    #[test]
    fn keys_for_other_purposes_follow_from_ours() {
        let sealer = || Sealer::new(SealingKey::from_bytes([7; 32])).opening(SealingKey::from_bytes([8; 32]));
        let texts = |sealer: Sealer, purpose: &str| -> Vec<String> {
            sealer.derive(purpose).iter().map(|key| key.expose_secret().to_owned()).collect()
        };
        let (one, other) = (texts(sealer(), "one"), texts(sealer(), "other"));
        assert_eq!(one, texts(sealer(), "one"), "the same everywhere");
        assert_eq!(one[1..], texts(Sealer::new(SealingKey::from_bytes([8; 32])), "one"));
        assert!(one[0] != one[1] && one[0] != other[0] && one[0] != STANDARD.encode([7; 32]));
        assert!(one.iter().all(|key| STANDARD.decode(key).unwrap().len() == KEY_BYTES));
    }

    #[test]
    fn keys_rotate() {
        let old_key = [7; 32];
        let old = Sealer::new(SealingKey::from_bytes(old_key));
        let sealed = old.seal("c", &secret("x")).unwrap();
        let new = Sealer::new(SealingKey::generate()).opening(SealingKey::from_bytes(old_key));
        assert_eq!(new.open("c", &sealed).unwrap().expose_secret(), "x");
        assert!(!new.is_current(&sealed) && old.is_current(&sealed));
        assert!(new.is_current(&new.seal("c", &secret("x")).unwrap()));
    }

    #[test]
    fn keys_are_read_in_any_base64_and_never_printed() {
        let bytes = [0xfb; 32];
        let id = SealingKey::from_bytes(bytes).id().to_owned();
        for text in
            [STANDARD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes), format!(" {}\n", STANDARD.encode(bytes))]
        {
            let key = SealingKey::from_base64(&secret(&text)).unwrap();
            assert_eq!(key.id(), id);
            assert_eq!(format!("{key:?}"), format!("SealingKey({id})"));
        }
        for bad in ["", "short", "!!"] {
            assert!(matches!(SealingKey::from_base64(&secret(bad)), Err(SealError::BadKey)));
        }
    }

    #[test]
    fn the_key_file_is_private_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let sealed = Sealer::load_or_create(&path).unwrap().seal("c", &secret("x")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(Sealer::load_or_create(&path).unwrap().open("c", &sealed).unwrap().expose_secret(), "x");

        // Rotated by hand: a new key above the old one.
        let old = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("# new\n{}\n\n# old\n{old}", STANDARD.encode([1; 32]))).unwrap();
        let rotated = Sealer::load_or_create(&path).unwrap();
        assert!(rotated.open("c", &sealed).is_ok() && !rotated.is_current(&sealed));

        for mode in [0o640, 0o604, 0o622] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = Sealer::load_or_create(&path).unwrap_err();
            assert!(matches!(error, SealError::Exposed { .. }));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(Sealer::load_or_create(&path), Err(SealError::NoKey)));
        assert!(matches!(
            Sealer::load_or_create(&folder.path().join("no/where")),
            Err(SealError::File { .. })
        ));
    }
}
