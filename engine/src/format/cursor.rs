//! Bounds-checked reading, and the writing that mirrors it: the only place that slices bytes from
//! outside.

use crate::format::{DecodeError, Decoded};

/// Longest varint: 64 bits in groups of seven.
const VARINT_LEN_MAX: usize = 10;

/// Reads from the front of a byte string.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Decoded<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Decoded<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> Decoded<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Three bytes, little-endian.
    pub fn u24(&mut self) -> Decoded<u32> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Decoded<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Decoded<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// `len` bytes that must be zero.
    pub fn reserved(&mut self, len: usize) -> Decoded<()> {
        let zero = self.take(len)?.iter().all(|&byte| byte == 0);
        if zero {
            Ok(())
        } else {
            Err(DecodeError::Malformed("reserved bytes are not zero"))
        }
    }

    /// An LEB128 number of the shortest form.
    pub fn varint(&mut self) -> Decoded<u64> {
        let mut value = 0_u64;
        for index in 0..VARINT_LEN_MAX {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if index == VARINT_LEN_MAX - 1 && byte > 1 {
                return Err(DecodeError::Malformed("varint exceeds 64 bits"));
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(DecodeError::Malformed("varint is not of the shortest form"));
                }
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed("varint exceeds 64 bits"))
    }

    /// A varint that fits 32 bits.
    pub fn varint_u32(&mut self, what: &'static str) -> Decoded<u32> {
        u32::try_from(self.varint()?).map_err(|_| DecodeError::Malformed(what))
    }

    /// A signed number in zigzag form.
    pub fn zigzag(&mut self) -> Decoded<i64> {
        let coded = self.varint()?;
        Ok((coded >> 1).cast_signed() ^ -(coded & 1).cast_signed())
    }

    /// A byte string behind its length, which is at most `limit`.
    pub fn bytes(&mut self, limit: usize, what: &'static str) -> Decoded<&'a [u8]> {
        let len = usize::try_from(self.varint()?).map_err(|_| DecodeError::LimitExceeded(what))?;
        if len > limit {
            return Err(DecodeError::LimitExceeded(what));
        }
        self.take(len)
    }

    /// Fails if anything is left.
    pub fn finish(&self, what: &'static str) -> Decoded<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Malformed(what))
        }
    }
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number in zigzag form.
pub fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends a byte string behind its length.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the low three bytes of a number below 2^24.
pub fn put_u24(out: &mut Vec<u8>, value: u32) {
    debug_assert!(value < 1 << 24);
    let [a, b, c, _] = value.to_le_bytes();
    out.extend_from_slice(&[a, b, c]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_at_every_width() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1_u64 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put_varint(&mut bytes, value);
                put_zigzag(&mut bytes, value.cast_signed());
                put_zigzag(&mut bytes, value.cast_signed().wrapping_neg());
                let mut cursor = Cursor::new(&bytes);
                assert_eq!(cursor.varint(), Ok(value));
                assert_eq!(cursor.zigzag(), Ok(value.cast_signed()));
                assert_eq!(cursor.zigzag(), Ok(value.cast_signed().wrapping_neg()));
                assert_eq!(cursor.finish("rest"), Ok(()));
            }
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        for bytes in [&[0x80, 0x00][..], &[0xff; 10], &[0xff, 0xff, 0x80, 0x00]] {
            assert!(matches!(
                Cursor::new(bytes).varint(),
                Err(DecodeError::Malformed(_))
            ));
        }
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_length_beyond_its_limit_is_refused_before_the_bytes_are_looked_at() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, u64::MAX);
        assert_eq!(
            Cursor::new(&bytes).bytes(10, "name"),
            Err(DecodeError::LimitExceeded("name"))
        );
    }
}
