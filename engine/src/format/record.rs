//! Clear records: the frame around config and key slots, readable before any key is known. §6.

use crate::format::cursor::Cursor;
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::RECORD_LEN_LIMIT;

/// First bytes of every clear record; text mode transfers break it.
pub const MAGIC: [u8; 8] = *b"\x8bBKR\r\n\x1a\n";
/// Version this code reads and writes.
pub const VERSION: u8 = 1;
/// Length of everything before the body.
pub const HEAD_LEN: usize = 24;
/// Length of the keyed tag, and of the hash behind it.
pub const TAG_LEN: usize = 32;

/// What a clear record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Parameters of the repository.
    Config = 1,
    /// One way in.
    Slot = 2,
}

/// A record whose checksum holds; its tag is for the keys to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// CBOR.
    pub body: &'a [u8],
    /// Head and body: what the tag covers.
    pub tagged: &'a [u8],
    /// Keyed hash of `tagged`.
    pub tag: [u8; TAG_LEN],
}

impl<'a> Record<'a> {
    /// Reads a record that must be of `kind`.
    pub fn decode(bytes: &'a [u8], kind: RecordKind) -> Decoded<Self> {
        if bytes.len() as u64 > RECORD_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("record"));
        }
        let (sealed, hash) = bytes.split_last_chunk().ok_or(DecodeError::Truncated)?;
        if bytes.len() < HEAD_LEN + 2 * TAG_LEN {
            return Err(DecodeError::Truncated);
        }
        let mut head = Cursor::new(bytes);
        ensure(head.array()? == MAGIC, "magic of a record")?;
        let found_kind = head.u8()?;
        let version = head.u8()?;
        if version != VERSION {
            return Err(DecodeError::UnknownVersion(version));
        }
        if blake3::hash(sealed) != blake3::Hash::from_bytes(*hash) {
            return Err(DecodeError::BadChecksum);
        }
        Self::decode_verified(sealed, found_kind, kind)
    }

    fn decode_verified(sealed: &'a [u8], found_kind: u8, kind: RecordKind) -> Decoded<Self> {
        let mut cursor = Cursor::new(sealed);
        cursor.take(MAGIC.len() + 2)?;
        cursor.reserved(2)?;
        let required = cursor.u32()?;
        if required != 0 {
            return Err(DecodeError::UnknownRequiredFlag(required));
        }
        ensure(found_kind == kind as u8, "record of another kind")?;
        let _optional = cursor.u32()?;
        let body_len = cursor.u32()? as usize;
        if (HEAD_LEN + body_len + 2 * TAG_LEN) as u64 > RECORD_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("body of a record"));
        }
        ensure(
            HEAD_LEN + body_len + TAG_LEN == sealed.len(),
            "body of another length than its record",
        )?;
        let body = cursor.take(body_len)?;
        let (tagged, _) = sealed
            .split_at_checked(HEAD_LEN + body_len)
            .ok_or(DecodeError::Truncated)?;
        let tag = cursor.array()?;
        Ok(Self { body, tagged, tag })
    }
}

/// Writes a record; `tag` makes the keyed hash of head and body.
pub fn encode(kind: RecordKind, body: &[u8], tag: impl FnOnce(&[u8]) -> [u8; TAG_LEN]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_LEN + body.len() + 2 * TAG_LEN);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[kind as u8, VERSION, 0, 0]);
    out.extend_from_slice(&[0; 8]); // required and optional flags: none
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(body);
    let tag = tag(&out);
    out.extend_from_slice(&tag);
    let hash = blake3::hash(&out);
    out.extend_from_slice(hash.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        encode(RecordKind::Config, b"body", |_| [9; TAG_LEN])
    }

    #[test]
    fn a_record_reads_back() {
        let bytes = sample();
        let record = Record::decode(&bytes, RecordKind::Config).unwrap();
        assert_eq!((record.body, record.tag), (&b"body"[..], [9; TAG_LEN]));
        assert_eq!(record.tagged.len(), HEAD_LEN + 4);
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let bytes = sample();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Record::decode(&damaged, RecordKind::Config).is_err(),
                "bit {bit}"
            );
        }
        for len in 0..bytes.len() {
            assert!(
                Record::decode(&bytes[..len], RecordKind::Config).is_err(),
                "length {len}"
            );
        }
        assert!(Record::decode(&bytes, RecordKind::Slot).is_err());
    }
}
