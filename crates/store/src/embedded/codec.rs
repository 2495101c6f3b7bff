//! Numbers and byte strings as the store writes them: LEB128 varints, zigzag for signed, lengths in front.

use bytes::Bytes;
use fjall::Slice;
use model::Text;

use crate::Error;

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

pub(super) fn put_len(out: &mut Vec<u8>, len: usize) {
    put_varint(out, u64::try_from(len).unwrap_or(u64::MAX));
}

pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// The difference of two times; always fits, also between the ends of the range of `i64`.
pub(super) fn put_span(out: &mut Vec<u8>, from: i64, to: i64) {
    put_varint(out, to.wrapping_sub(from).cast_unsigned());
}

/// Reads what the functions above wrote. Slices share the memory they are read from.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        let byte = *self.bytes.get(self.at).ok_or_else(short)?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::Corrupt("a number runs over its end".into()))
    }

    pub(super) fn len(&mut self) -> Result<usize, Error> {
        usize::try_from(self.varint()?).map_err(|_| short())
    }

    /// A count of things that take at least a byte each: so a damaged count cannot ask for more memory than the
    /// block has bytes.
    pub(super) fn count(&mut self) -> Result<usize, Error> {
        let count = self.len()?;
        if count > self.bytes.len() - self.at { Err(short()) } else { Ok(count) }
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        u32::try_from(self.varint()?).map_err(|_| Error::Corrupt("a number is too large".into()))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Error> {
        let raw = self.varint()?;
        Ok((raw >> 1).cast_signed() ^ -((raw & 1).cast_signed()))
    }

    pub(super) fn span(&mut self, from: i64) -> Result<i64, Error> {
        Ok(from.wrapping_add(self.varint()?.cast_signed()))
    }

    pub(super) fn take(&mut self, len: usize) -> Result<Bytes, Error> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len()).ok_or_else(short)?;
        let slice = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(slice)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Error> {
        let len = self.len()?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Result<Text, Error> {
        Text::try_from(self.bytes()?).map_err(|_| Error::Corrupt("a text is not UTF-8".into()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn rest(self) -> Bytes {
        self.bytes.slice(self.at..)
    }
}

fn short() -> Error {
    Error::Corrupt("a block ends too early".into())
}

const STORED: u8 = 0;
const LZ4: u8 = 1;

/// Compresses blocks, in memory that it keeps between them.
#[derive(Debug, Default)]
pub(super) struct Packer {
    raw: Vec<u8>,
    packed: Vec<u8>,
}

impl Packer {
    /// Where the next block is to be written.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        self.raw.clear();
        &mut self.raw
    }

    /// The block, compressed unless that would not make it smaller, after `front`, which is left as it is.
    pub(super) fn finish(&mut self, front: &[u8]) -> Slice {
        let Self { raw, packed } = self;
        packed.clear();
        packed.extend_from_slice(front);
        packed.push(LZ4);
        put_len(packed, raw.len());
        let begin = packed.len();
        packed.resize(begin + lz4_flex::block::get_maximum_output_size(raw.len()), 0);
        match lz4_flex::block::compress_into(raw, &mut packed[begin..]) {
            Ok(len) if len + 8 < raw.len() => packed.truncate(begin + len),
            _ => {
                packed.truncate(front.len());
                packed.push(STORED);
                packed.extend_from_slice(raw);
            }
        }
        let block = Slice::from(&packed[..]);
        // One block of megabytes is no reason to keep them for ever.
        for buffer in [raw, packed] {
            buffer.shrink_to(KEPT_MAX);
        }
        block
    }
}

/// Memory kept between blocks.
const KEPT_MAX: usize = 1 << 20;

/// LZ4 makes nothing more than 255 times smaller: so a damaged length cannot ask for more memory than that.
const LZ4_RATIO_MAX: usize = 255;

/// What [`pack`] was given.
pub(super) fn unpack(packed: Bytes) -> Result<Bytes, Error> {
    let mut reader = Reader::new(packed);
    match reader.u8()? {
        STORED => Ok(reader.rest()),
        LZ4 => {
            let len = reader.len()?;
            let packed = reader.rest();
            if len / LZ4_RATIO_MAX > packed.len() {
                return Err(Error::Corrupt(format!("a block of {len} bytes in {}", packed.len())));
            }
            let raw = lz4_flex::block::decompress(&packed, len)
                .map_err(|e| Error::Corrupt(format!("a block that does not decompress: {e}")))?;
            Ok(raw.into())
        }
        other => Err(Error::Corrupt(format!("an unknown compression {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_what_it_wrote(a: u64, b: i64, c: Vec<u8>, from: i64, to: i64) {
            let mut out = Vec::new();
            put_varint(&mut out, a);
            put_signed(&mut out, b);
            put_bytes(&mut out, &c);
            put_span(&mut out, from, to);
            let mut reader = Reader::new(out.into());
            prop_assert_eq!(reader.varint().unwrap(), a);
            prop_assert_eq!(reader.signed().unwrap(), b);
            prop_assert_eq!(&reader.bytes().unwrap()[..], &c[..]);
            prop_assert_eq!(reader.span(from).unwrap(), to);
            prop_assert!(reader.u8().is_err());
        }

        #[test]
        fn unpacks_what_it_packed(raw: Vec<u8>, repeat in 1usize..200) {
            let raw = raw.repeat(repeat);
            let mut packer = Packer::default();
            // The second time what the first left must not show.
            for front in [&[][..], b"front"] {
                packer.begin().extend_from_slice(&raw);
                let packed = packer.finish(front);
                prop_assert_eq!(&packed[..front.len()], front);
                let packed = Bytes::copy_from_slice(&packed[front.len()..]);
                prop_assert!(packed.len() <= raw.len() + 1);
                prop_assert_eq!(&unpack(packed).unwrap()[..], &raw[..]);
            }
        }

        #[test]
        fn damaged_bytes_are_an_error_not_a_panic(bytes: Vec<u8>) {
            drop(unpack(bytes.clone().into()));
            let mut reader = Reader::new(bytes.into());
            while reader.bytes().is_ok() {}
        }
    }
}
