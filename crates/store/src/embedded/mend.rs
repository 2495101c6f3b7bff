//! What a power cut tears.
//!
//! The engine lays its log out in advance and writes a transaction's pages in any order. A power cut can leave the last
//! transaction with a page of zeros in its middle and its end in place. The engine then refuses the whole log
//! (fjall 3.1: "ChecksumMismatch"), although nobody was told that this transaction is kept. So its log is cut off where the
//! torn transaction begins; what is cut off is put aside.
//!
//! Format of the log (fjall 3, which names it in its version marker): transactions of a start (tag 1, count of items,
//! sequence), items (tag 2: kind, compression, keyspace, lengths of key, value and stored value, key, value) or clears (tag 4,
//! keyspace), and an end (tag 3, XXH3 of the items, magic). Numbers are little-endian.

use std::{
    fs::{self, File},
    hash::Hasher as _,
    io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = [b'F', b'J', b'L', 3];

/// What was done about a torn log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mended {
    /// Cut off here, bytes from the start; what was there is in the file.
    Cut { at: u64, aside: PathBuf },
    /// Whole transactions follow the broken one: not what a power cut leaves of a log that was synced each time.
    WholeAfter { at: u64 },
    /// Nothing is wrong with it.
    Whole,
}

/// Mends the newest log in the engine's folder. With `lose_later`, whole transactions after a broken one are cut
/// off as well: of a log that was not synced each time, any part may be missing.
pub(super) fn mend(db: &Path, lose_later: bool) -> io::Result<Mended> {
    let mut newest = None;
    for entry in fs::read_dir(db)? {
        let path = entry?.path();
        let number =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if path.extension().is_some_and(|ext| ext == "jnl")
            && let Some(number) = number
        {
            newest = newest.max(Some((number, path)));
        }
    }
    let Some((_, path)) = newest else { return Ok(Mended::Whole) };
    let mut log = Log { reader: BufReader::with_capacity(1 << 16, File::open(&path)?), at: 0 };
    let broken = loop {
        let begin = log.at;
        match log.transaction()? {
            Found::Whole => {}
            Found::Nothing => return Ok(Mended::Whole),
            Found::Broken => break begin,
        }
    };
    // If the lengths in the broken one are right, the log goes on behind it.
    if !lose_later && matches!(log.transaction()?, Found::Whole) {
        return Ok(Mended::WholeAfter { at: broken });
    }
    cut(&path, broken)
}

fn cut(path: &Path, at: u64) -> io::Result<Mended> {
    let aside = path.with_extension(format!("torn-at-{at}"));
    let mut log = File::options().read(true).write(true).open(path)?;
    log.seek(SeekFrom::Start(at))?;
    let mut torn = Vec::new();
    log.read_to_end(&mut torn)?;
    let used = torn.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    fs::write(&aside, &torn[..used])?;
    log.set_len(at)?;
    log.sync_all()?;
    Ok(Mended::Cut { at, aside })
}

enum Found {
    Whole,
    /// The end of what was written: zeros, or the end of the file.
    Nothing,
    Broken,
}

struct Log {
    reader: BufReader<File>,
    at: u64,
}

impl Log {
    /// Reads a transaction, or finds out what is there instead. Errors are those of the disk.
    fn transaction(&mut self) -> io::Result<Found> {
        match self.try_transaction() {
            Ok(found) => Ok(found),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(Found::Broken),
            Err(e) => Err(e),
        }
    }

    fn try_transaction(&mut self) -> io::Result<Found> {
        match self.bytes::<1>() {
            Ok([START]) => {}
            Ok([0]) => return Ok(Found::Nothing),
            Ok(_) => return Ok(Found::Broken),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Found::Nothing),
            Err(e) => return Err(e),
        }
        let items = u32::from_le_bytes(self.bytes()?);
        let _sequence: [u8; 8] = self.bytes()?;
        let mut hash = Xxh3::new();
        for _ in 0..items {
            let [tag] = self.bytes()?;
            hash.update(&[tag]);
            match tag {
                ITEM => self.item(&mut hash)?,
                CLEAR => hash.update(&self.bytes::<8>()?),
                _ => return Ok(Found::Broken),
            }
        }
        let [tag] = self.bytes()?;
        let sum = u64::from_le_bytes(self.bytes()?);
        let magic: [u8; 4] = self.bytes()?;
        let whole = tag == END && magic == MAGIC && sum == hash.finish();
        Ok(if whole { Found::Whole } else { Found::Broken })
    }

    fn item(&mut self, hash: &mut Xxh3) -> io::Result<()> {
        let front: [u8; 20] = self.bytes()?;
        hash.update(&front);
        let [.., k0, k1, _, _, _, _, s0, s1, s2, s3] = front;
        let mut left =
            u64::from(u16::from_le_bytes([k0, k1])) + u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
        let mut buffer = [0; 4_096];
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            self.reader.read_exact(&mut buffer[..part])?;
            hash.update(&buffer[..part]);
            let part = u64::try_from(part).unwrap_or_default();
            self.at += part;
            left -= part;
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += u64::try_from(N).unwrap_or_default();
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

    use super::*;

    /// A database of transactions of three items each; where each begins, and where the last one ends.
    fn database(folder: &Path, transactions: u8) -> Vec<u64> {
        let (db, keyspace) = open(folder).unwrap();
        for n in 0..transactions {
            let mut batch = db.batch().durability(Some(PersistMode::SyncData));
            for item in 0..3u8 {
                batch.insert(&keyspace, [n, item], vec![n + 1; 9_000]);
            }
            batch.commit().unwrap();
        }
        drop((keyspace, db));
        let mut log = Log { reader: BufReader::new(File::open(folder.join("0.jnl")).unwrap()), at: 0 };
        let mut begins = vec![0];
        while matches!(log.transaction().unwrap(), Found::Whole) {
            begins.push(log.at);
        }
        begins
    }

    fn open(folder: &Path) -> Result<(Database, Keyspace), fjall::Error> {
        let db = Database::builder(folder).journal_compression(fjall::CompressionType::None).open()?;
        let keyspace = db.keyspace("k", KeyspaceCreateOptions::default)?;
        Ok((db, keyspace))
    }

    fn zero(folder: &Path, at: u64, len: usize) {
        use std::io::Write as _;
        let mut log = File::options().write(true).open(folder.join("0.jnl")).unwrap();
        log.seek(SeekFrom::Start(at)).unwrap();
        log.write_all(&vec![0; len]).unwrap();
    }

    #[test]
    fn reads_the_engine_s_own_log() {
        let folder = tempfile::tempdir().unwrap();
        // This test is what fails when a new engine writes another log.
        assert_eq!(database(folder.path(), 4).len(), 5);
        assert_eq!(mend(folder.path(), false).unwrap(), Mended::Whole);
    }

    #[test]
    fn cuts_off_a_last_transaction_torn_anywhere() {
        let mut refused = 0;
        for (nth, len) in (0..8u64).zip([512, 4_096, 1].into_iter().cycle()) {
            let folder = tempfile::tempdir().unwrap();
            let begins = database(folder.path(), 4);
            let (begin, end) = (begins[3], begins[4]);
            // Not on the items' borders; the last of them tears the end.
            let at = begin + 1 + (end - begin - 2) * nth / 7;
            zero(folder.path(), at, len);
            refused += u32::from(open(folder.path()).is_err());
            mend(folder.path(), false).unwrap();
            let (_db, keyspace) = open(folder.path()).unwrap();
            assert_eq!(keyspace.len().unwrap(), 9, "torn at {at} of {begin}..{end}");
        }
        assert!(refused > 3, "the engine copes by itself: this module has nothing to do any more");
    }

    #[test]
    fn does_not_cut_off_what_follows_unless_told() {
        let folder = tempfile::tempdir().unwrap();
        let begins = database(folder.path(), 4);
        zero(folder.path(), begins[1] + 3_000, 100);
        assert_eq!(mend(folder.path(), false).unwrap(), Mended::WholeAfter { at: begins[1] });
        assert!(open(folder.path()).is_err());
        assert!(matches!(mend(folder.path(), true).unwrap(), Mended::Cut { at, .. } if at == begins[1]));
        let (_db, keyspace) = open(folder.path()).unwrap();
        assert_eq!(keyspace.len().unwrap(), 3);
        let aside = folder.path().join(format!("0.torn-at-{}", begins[1]));
        assert_eq!(fs::metadata(aside).unwrap().len(), begins[4] - begins[1]);
    }
}
