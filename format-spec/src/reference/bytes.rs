//! Reading the primitive types of FORMAT.md section 1 from bytes that nobody vouches for.
//!
//! The only file that slices by position. Lengths are compared with what is left before anything is taken,
//! and nothing is allocated on the word of a count.

use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;

/// A position in a byte string, with the name of the structure for messages.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'a str,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`, the structure called `what`.
    pub fn new(what: &'a str, bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0, what }
    }

    /// A rejection here.
    pub fn fault(&self, fault: Fault, sentence: impl Into<String>) -> Rejection {
        Rejection::new(fault, format!("{} at {}", self.what, self.at), sentence)
    }

    /// `Malformed` here, unless `fine`.
    pub fn require(&self, fine: bool, sentence: &str) -> Result<()> {
        if fine {
            Ok(())
        } else {
            Err(self.fault(Fault::Malformed, sentence))
        }
    }

    /// `LimitExceeded` here, if `value` is above `limit`.
    pub fn limit(&self, value: u64, limit: u64, name: &str) -> Result<()> {
        if value <= limit {
            return Ok(());
        }
        Err(self.fault(
            Fault::LimitExceeded,
            format!("{name} is {value}, the limit is {limit}"),
        ))
    }

    /// The offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        if len > self.left() {
            let sentence = format!("{len} bytes are needed, {} are left", self.left());
            return Err(self.fault(Fault::Truncated, sentence));
        }
        let taken = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    /// The bytes up to the end.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Three bytes, little-endian.
    pub fn u24(&mut self) -> Result<u32> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reserved bytes: zero, or malformed.
    pub fn reserved(&mut self, len: usize) -> Result<()> {
        let zero = self.take(len)?.iter().all(|&byte| byte == 0);
        self.require(zero, "reserved bytes are not zero")
    }

    /// An unsigned LEB128 number of the shortest form.
    pub fn varint(&mut self) -> Result<u64> {
        let mut value: u64 = 0;
        for index in 0..10 {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            self.require(index < 9 || byte <= 1, "a varint is wider than 64 bits")?;
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.require(
                    index == 0 || byte != 0,
                    "a varint is not of the shortest form",
                )?;
                return Ok(value);
            }
        }
        Err(self.fault(Fault::Malformed, "a varint is longer than 10 bytes"))
    }

    /// A signed number as the varint of its zigzag form.
    pub fn zigzag(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// A varint length of at most `limit`, whether or not the bytes are there, and so many bytes.
    pub fn bytes(&mut self, limit: u64, name: &str) -> Result<&'a [u8]> {
        let len = self.varint()?;
        self.limit(len, limit, name)?;
        let len = usize::try_from(len)
            .map_err(|_| self.fault(Fault::Truncated, "a length is beyond the address space"))?;
        self.take(len)
    }

    /// Malformed unless every byte was read.
    pub fn finish(&self) -> Result<()> {
        self.require(self.left() == 0, "bytes follow the end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(bytes: &[u8]) -> std::result::Result<u64, Fault> {
        Reader::new("test", bytes)
            .varint()
            .map_err(|rejection| rejection.fault)
    }

    #[test]
    fn a_varint_has_one_spelling() {
        assert_eq!(varint(&[0x00]), Ok(0));
        assert_eq!(varint(&[0x80, 0x01]), Ok(128));
        assert_eq!(varint(&[0x80, 0x00]), Err(Fault::Malformed));
        assert_eq!(varint(&[0x80]), Err(Fault::Truncated));
        let mut greatest = [0xff; 10];
        greatest[9] = 1;
        assert_eq!(varint(&greatest), Ok(u64::MAX));
        greatest[9] = 2;
        assert_eq!(varint(&greatest), Err(Fault::Malformed));
        assert_eq!(varint(&[0x80; 11]), Err(Fault::Malformed));
    }

    #[test]
    fn zigzag_covers_both_ends() {
        let read = |bytes: &[u8]| Reader::new("test", bytes).zigzag().map_err(|r| r.fault);
        assert_eq!(read(&[0]), Ok(0));
        assert_eq!(read(&[1]), Ok(-1));
        assert_eq!(read(&[2]), Ok(1));
        let mut greatest = [0xff; 10];
        greatest[9] = 1;
        assert_eq!(read(&greatest), Ok(i64::MIN));
    }
}
