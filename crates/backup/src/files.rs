//! The files of a backup: private, written once, known by their digest.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter},
};

use crate::Error;

/// Read and written at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A file of a backup, as the manifest knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digested {
    /// Below the backup's folder.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
}

/// The folder of a backup.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder, made if need be, readable by its owner only.
    ///
    /// # Errors
    /// If it holds anything already, or cannot be made.
    pub async fn make(path: &Path) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .await
            .map_err(|e| failed("make", path, e))?;
        let mut entries = fs::read_dir(path).await.map_err(|e| failed("read", path, e))?;
        if entries.next_entry().await.map_err(|e| failed("read", path, e))?.is_some() {
            return Err(Error::InUse(format!("{} is not empty", path.display())));
        }
        Ok(Self(path.to_owned()))
    }

    /// A folder that is there.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be made, or is there already.
    pub async fn create(&self, name: &str) -> Result<Writer, Error> {
        let path = self.0.join(name);
        if let Some(parent) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .await
                .map_err(|e| failed("make", parent, e))?;
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path).await;
        let file = file.map_err(|e| failed("make", &path, e))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Writer { file, path, name: name.to_owned(), hash: Sha256::new(), bytes: 0 })
    }

    /// Opens a file to be read.
    ///
    /// # Errors
    /// If it cannot be.
    pub async fn open(&self, name: &str) -> Result<File, Error> {
        let path = self.0.join(name);
        File::open(&path).await.map_err(|e| failed("read", &path, e))
    }

    /// Reads a file through and compares it with what was written.
    ///
    /// # Errors
    /// If it is another, or cannot be read.
    pub async fn check(&self, known: &Digested) -> Result<(), Error> {
        let path = self.0.join(&known.file);
        let mut file = self.open(&known.file).await?;
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER_BYTES]);
        loop {
            let read = file.read(&mut buffer).await.map_err(|e| failed("read", &path, e))?;
            let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
            hash.update(part);
            bytes += length(read);
        }
        if bytes == known.bytes && hex::encode(hash.finalize()) == known.sha256 {
            return Ok(());
        }
        Err(Error::Damaged(format!(
            "{} is not what was backed up: its digest is not the manifest's",
            path.display()
        )))
    }

    /// Writes a small file, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be.
    pub async fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let aside = format!("{name}.new");
        let mut writer = self.create(&aside).await?;
        writer.write(bytes).await?;
        writer.finish().await?;
        let (from, to) = (self.0.join(&aside), self.0.join(name));
        fs::rename(&from, &to).await.map_err(|e| failed("rename", &from, e))?;
        // The name is kept with its folder.
        let folder = self.open(".").await?;
        folder.sync_all().await.map_err(|e| failed("sync", &self.0, e))
    }

    /// Reads a small file; none if there is no such.
    ///
    /// # Errors
    /// If it cannot be.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.0.join(name);
        match fs::read(&path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, error)),
        }
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    name: String,
    hash: Sha256,
    bytes: u64,
}

impl Writer {
    /// Adds to it.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hash.update(bytes);
        self.bytes += length(bytes.len());
        self.file.write_all(bytes).await.map_err(|e| failed("write", &self.path, e))
    }

    /// Ends it; it is on the disk.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub async fn finish(mut self) -> Result<Digested, Error> {
        let written = async {
            self.file.flush().await?;
            self.file.get_ref().sync_all().await
        };
        written.await.map_err(|e| failed("write", &self.path, e))?;
        Ok(Digested { file: self.name, bytes: self.bytes, sha256: hex::encode(self.hash.finalize()) })
    }
}

pub(crate) fn failed(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { what, path: path.to_owned(), source }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn files_are_private_written_once_and_known_by_their_digest() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        let folder = Folder::make(&path).await.unwrap();
        let mut writer = folder.create("x/y").await.unwrap();
        writer.write(b"ab").await.unwrap();
        writer.write(b"c").await.unwrap();
        let known = writer.finish().await.unwrap();
        assert_eq!((known.bytes, &known.sha256[..8]), (3, "ba7816bf"));
        for (name, mode) in [("x/y", 0o600), ("x", 0o700)] {
            assert_eq!(std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777, mode);
        }
        folder.check(&known).await.unwrap();
        assert!(folder.create("x/y").await.is_err() && Folder::make(&path).await.is_err());
        for other in [&b"abd"[..], b"ab", b"abcd"] {
            std::fs::write(path.join("x/y"), other).unwrap();
            assert!(matches!(folder.check(&known).await, Err(Error::Damaged(_))));
        }
        assert_eq!(folder.get("manifest").await.unwrap(), None);
        folder.put("manifest", b"{}").await.unwrap();
        assert_eq!(folder.get("manifest").await.unwrap().unwrap(), b"{}");
    }
}
