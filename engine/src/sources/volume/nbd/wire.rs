//! Numbers of the NBD protocol, and its big-endian fields.
//!
//! The protocol is specified at <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>.

#![expect(clippy::big_endian_bytes, reason = "the byte order of the network")]

use super::fault::Fault;

/// `NBDMAGIC`: the first bytes a server sends.
pub(super) const INIT_MAGIC: u64 = 0x4e42_444d_4147_4943;
/// `IHAVEOPT`: before every option, and second in a newstyle greeting.
pub(super) const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// Before every reply to an option.
pub(super) const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// Before every request.
pub(super) const REQUEST_MAGIC: u32 = 0x2560_9513;
/// Before a simple reply.
pub(super) const SIMPLE_MAGIC: u32 = 0x6744_6698;
/// Before a chunk of a structured reply.
pub(super) const CHUNK_MAGIC: u32 = 0x668e_33ef;

pub(super) const HANDSHAKE_FIXED_NEWSTYLE: u16 = 1;
pub(super) const CLIENT_FIXED_NEWSTYLE: u32 = 1;

pub(super) const OPTION_GO: u32 = 7;
pub(super) const OPTION_STRUCTURED_REPLY: u32 = 8;
pub(super) const OPTION_SET_META_CONTEXT: u32 = 10;

pub(super) const REPLY_ACK: u32 = 1;
pub(super) const REPLY_INFO: u32 = 3;
pub(super) const REPLY_META_CONTEXT: u32 = 4;
/// Set in every reply that is an error.
pub(super) const REPLY_ERROR: u32 = 1 << 31;
pub(super) const REPLY_UNSUPPORTED: u32 = REPLY_ERROR | 1;
pub(super) const REPLY_TLS_REQUIRED: u32 = REPLY_ERROR | 5;
pub(super) const REPLY_UNKNOWN_EXPORT: u32 = REPLY_ERROR | 6;

pub(super) const INFO_EXPORT: u16 = 0;
pub(super) const INFO_BLOCK_SIZE: u16 = 3;

pub(super) const EXPORT_HAS_FLAGS: u16 = 1;
pub(super) const EXPORT_CAN_MULTI_CONN: u16 = 1 << 8;

pub(super) const COMMAND_READ: u16 = 0;
pub(super) const COMMAND_DISCONNECT: u16 = 2;
pub(super) const COMMAND_BLOCK_STATUS: u16 = 7;

pub(super) const CHUNK_DONE: u16 = 1;
pub(super) const CHUNK_NONE: u16 = 0;
pub(super) const CHUNK_OFFSET_DATA: u16 = 1;
pub(super) const CHUNK_OFFSET_HOLE: u16 = 2;
pub(super) const CHUNK_BLOCK_STATUS: u16 = 5;
/// Set in every chunk type that is an error.
pub(super) const CHUNK_ERROR: u16 = 1 << 15;

/// Fields of a message, one after the other.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| Fault::protocol("a message ends within a field"))?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (field, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| Fault::protocol("a message ends within a text"))?;
        self.0 = rest;
        Ok(field)
    }
}

/// A message in the making.
#[derive(Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A text behind its length; names are limited long before 32 bits.
    pub(super) fn text(self, text: &str) -> Self {
        let mut message = self.u32(text.len() as u32);
        message.0.extend(text.as_bytes());
        message
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// One request.
pub(super) fn request(command: u16, cookie: u64, offset: u64, len: u32) -> Vec<u8> {
    let message = Message::default().u32(REQUEST_MAGIC).u16(0).u16(command);
    message.u64(cookie).u64(offset).u32(len).0
}
