//! Numbers of the NBD protocol, and its big-endian fields: what a client and a server both know.
//!
//! The protocol is specified at <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>.
//! Nothing of it is stored. Deliberately absent: what is said when, and to whom.

#![expect(clippy::big_endian_bytes, reason = "the byte order of the network")]

use crate::format::{DecodeError, Decoded, ensure};

/// `NBDMAGIC`: the first bytes a server sends.
pub(crate) const INIT_MAGIC: u64 = 0x4e42_444d_4147_4943;
/// `IHAVEOPT`: before every option, and second in a newstyle greeting.
pub(crate) const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// Before every reply to an option.
pub(crate) const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// Before every request.
pub(crate) const REQUEST_MAGIC: u32 = 0x2560_9513;
/// Before a simple reply.
pub(crate) const SIMPLE_MAGIC: u32 = 0x6744_6698;
/// Before a chunk of a structured reply.
pub(crate) const CHUNK_MAGIC: u32 = 0x668e_33ef;

pub(crate) const HANDSHAKE_FIXED_NEWSTYLE: u16 = 1;
pub(crate) const HANDSHAKE_NO_ZEROES: u16 = 1 << 1;
pub(crate) const CLIENT_FIXED_NEWSTYLE: u32 = 1;
pub(crate) const CLIENT_NO_ZEROES: u32 = 1 << 1;

pub(crate) const OPTION_EXPORT_NAME: u32 = 1;
pub(crate) const OPTION_ABORT: u32 = 2;
pub(crate) const OPTION_LIST: u32 = 3;
pub(crate) const OPTION_INFO: u32 = 6;
pub(crate) const OPTION_GO: u32 = 7;
pub(crate) const OPTION_STRUCTURED_REPLY: u32 = 8;
pub(crate) const OPTION_LIST_META_CONTEXT: u32 = 9;
pub(crate) const OPTION_SET_META_CONTEXT: u32 = 10;

pub(crate) const REPLY_ACK: u32 = 1;
pub(crate) const REPLY_SERVER: u32 = 2;
pub(crate) const REPLY_INFO: u32 = 3;
pub(crate) const REPLY_META_CONTEXT: u32 = 4;
/// Set in every reply that is an error.
pub(crate) const REPLY_ERROR: u32 = 1 << 31;
pub(crate) const REPLY_UNSUPPORTED: u32 = REPLY_ERROR | 1;
pub(crate) const REPLY_INVALID: u32 = REPLY_ERROR | 3;
pub(crate) const REPLY_TLS_REQUIRED: u32 = REPLY_ERROR | 5;
pub(crate) const REPLY_UNKNOWN_EXPORT: u32 = REPLY_ERROR | 6;
pub(crate) const REPLY_TOO_BIG: u32 = REPLY_ERROR | 9;

pub(crate) const INFO_EXPORT: u16 = 0;
pub(crate) const INFO_NAME: u16 = 1;
pub(crate) const INFO_DESCRIPTION: u16 = 2;
pub(crate) const INFO_BLOCK_SIZE: u16 = 3;

pub(crate) const EXPORT_HAS_FLAGS: u16 = 1;
pub(crate) const EXPORT_READ_ONLY: u16 = 1 << 1;
pub(crate) const EXPORT_SEND_FLUSH: u16 = 1 << 2;
pub(crate) const EXPORT_SEND_FUA: u16 = 1 << 3;
pub(crate) const EXPORT_SEND_TRIM: u16 = 1 << 5;
pub(crate) const EXPORT_SEND_WRITE_ZEROES: u16 = 1 << 6;
pub(crate) const EXPORT_SEND_DF: u16 = 1 << 7;
pub(crate) const EXPORT_CAN_MULTI_CONN: u16 = 1 << 8;

pub(crate) const COMMAND_READ: u16 = 0;
pub(crate) const COMMAND_WRITE: u16 = 1;
pub(crate) const COMMAND_DISCONNECT: u16 = 2;
pub(crate) const COMMAND_FLUSH: u16 = 3;
pub(crate) const COMMAND_TRIM: u16 = 4;
pub(crate) const COMMAND_WRITE_ZEROES: u16 = 6;
pub(crate) const COMMAND_BLOCK_STATUS: u16 = 7;

/// The reply may come only once the write is durable.
pub(crate) const FLAG_FUA: u16 = 1;
/// Zeros take space afterwards.
pub(crate) const FLAG_NO_HOLE: u16 = 1 << 1;
/// A read is answered in one piece.
pub(crate) const FLAG_DF: u16 = 1 << 2;
/// A question about status is answered with one extent.
pub(crate) const FLAG_REQ_ONE: u16 = 1 << 3;

pub(crate) const CHUNK_DONE: u16 = 1;
pub(crate) const CHUNK_NONE: u16 = 0;
pub(crate) const CHUNK_OFFSET_DATA: u16 = 1;
pub(crate) const CHUNK_OFFSET_HOLE: u16 = 2;
pub(crate) const CHUNK_BLOCK_STATUS: u16 = 5;
/// Set in every chunk type that is an error.
pub(crate) const CHUNK_ERROR: u16 = 1 << 15;
pub(crate) const CHUNK_ERROR_PLAIN: u16 = CHUNK_ERROR | 1;
pub(crate) const CHUNK_ERROR_OFFSET: u16 = CHUNK_ERROR | 2;

/// Error numbers: those of Linux, whatever either side runs on.
pub(crate) const EPERM: u32 = 1;
pub(crate) const EIO: u32 = 5;
pub(crate) const EINVAL: u32 = 22;
pub(crate) const ENOSPC: u32 = 28;
pub(crate) const EOVERFLOW: u32 = 75;

/// Name of the context that says what is allocated.
pub(crate) const BASE_ALLOCATION: &str = "base:allocation";
/// Prefix of the contexts that QEMU gives dirty bitmaps.
pub(crate) const DIRTY_BITMAP_PREFIX: &str = "qemu:dirty-bitmap:";
/// `base:allocation`: space is not allocated. Alone it says nothing about the content.
pub(crate) const STATE_HOLE: u32 = 1;
/// `base:allocation`: reads as zeros.
pub(crate) const STATE_ZERO: u32 = 2;
/// `qemu:dirty-bitmap`: was written since the bitmap began.
pub(crate) const STATE_DIRTY: u32 = 1;

/// Fields of a message, one after the other.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(crate) fn u16(&mut self) -> Decoded<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Decoded<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Decoded<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Decoded<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(field)
    }

    /// A text behind its length.
    pub(crate) fn text(&mut self) -> Decoded<&'a [u8]> {
        let len = self.u32()?;
        self.bytes(usize::try_from(len).map_err(|_| DecodeError::Truncated)?)
    }
}

/// A message in the making.
#[derive(Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A text behind its length; names are limited long before 32 bits.
    pub(crate) fn text(self, text: &str) -> Self {
        let mut message = self.u32(text.len() as u32);
        message.0.extend(text.as_bytes());
        message
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) flags: u16,
    pub(crate) command: u16,
    /// Chosen by the client, and given back with every reply.
    pub(crate) cookie: u64,
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

impl Request {
    /// Its length on the wire, without what is written.
    pub(crate) const LEN: usize = 28;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let message = Message::default().u32(REQUEST_MAGIC);
        let message = message.u16(self.flags).u16(self.command);
        message.u64(self.cookie).u64(self.offset).u32(self.len).0
    }

    pub(crate) fn decode(bytes: &[u8; Self::LEN]) -> Decoded<Self> {
        let mut fields = Fields(bytes);
        ensure(
            fields.u32()? == REQUEST_MAGIC,
            "no request begins like this",
        )?;
        Ok(Self {
            flags: fields.u16()?,
            command: fields.u16()?,
            cookie: fields.u64()?,
            offset: fields.u64()?,
            len: fields.u32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            flags: FLAG_FUA,
            command: COMMAND_BLOCK_STATUS,
            cookie: 0x0102_0304_0506_0708,
            offset: 1 << 40,
            len: 4096,
        }
    }

    fn array(bytes: &[u8]) -> [u8; Request::LEN] {
        bytes.try_into().expect("a request has one length")
    }

    #[test]
    fn a_request_is_decoded_as_it_was_encoded() {
        let bytes = array(&request().encode());
        assert_eq!(Request::decode(&bytes), Ok(request()));
        assert_eq!(bytes[..8], [0x25, 0x60, 0x95, 0x13, 0, 1, 0, 7]);
    }

    #[test]
    fn every_flipped_bit_of_a_request_is_refused_or_seen() {
        let bytes = array(&request().encode());
        for bit in 0..8 * Request::LEN {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            match Request::decode(&flipped) {
                Ok(found) => assert!(bit >= 32 && found.encode() == flipped, "bit {bit}"),
                Err(error) => assert!(bit < 32, "bit {bit}: {error}"),
            }
        }
    }

    #[test]
    fn fields_end_where_their_message_ends() {
        let message = Message::default().u16(7).text("ab").u64(9);
        let mut fields = Fields(&message.0);
        assert_eq!(fields.u16(), Ok(7));
        assert_eq!(fields.text(), Ok(b"ab".as_slice()));
        assert_eq!(fields.u64(), Ok(9));
        assert_eq!(fields.u16(), Err(DecodeError::Truncated));
        let mut short = Fields(&[0, 0, 0, 9, 1]);
        assert_eq!(short.text(), Err(DecodeError::Truncated));
    }
}
