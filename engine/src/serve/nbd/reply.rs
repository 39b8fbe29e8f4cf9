//! Replies to requests: heads and payloads, sent whole, one at a time.

use parking_lot::{Mutex, MutexGuard};

use crate::format::nbd::{self as wire, Message, Request};
use crate::limits::NBD_PIECE_LEN;

use super::handshake::Ended;
use super::socket::Peer;

/// Head of a chunk of data: that of the chunk, and the offset.
const DATA_HEAD_LEN: usize = 28;

/// Room for one piece of content, with the head of its chunk in front: both leave in one call.
#[derive(Debug)]
pub(super) struct PieceBuffer(Vec<u8>);

impl PieceBuffer {
    /// Takes memory only once it is used.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Room for `len` bytes, at most [`NBD_PIECE_LEN`].
    pub(super) fn piece(&mut self, len: usize) -> &mut [u8] {
        if self.0.is_empty() {
            self.0 = vec![0; DATA_HEAD_LEN + NBD_PIECE_LEN];
        }
        &mut self.0[DATA_HEAD_LEN..DATA_HEAD_LEN + len]
    }

    fn chunk(&mut self, request: &Request, is_last: bool, offset: u64, len: usize) -> &[u8] {
        let kind = wire::CHUNK_OFFSET_DATA;
        let head = chunk_head(request, kind, is_last, len + 8).u64(offset);
        self.0[..DATA_HEAD_LEN].copy_from_slice(&head.0);
        &self.0[..DATA_HEAD_LEN + len]
    }
}

/// The sending side of a connection.
#[derive(Debug)]
pub(super) struct Replies<P> {
    peer: P,
    sending: Mutex<()>,
}

/// The sending side, held for more than one call.
pub(super) struct Sending<'r, P> {
    peer: &'r P,
    _only: MutexGuard<'r, ()>,
}

impl<P: Peer> Replies<P> {
    pub(super) fn new(peer: P) -> Self {
        Self {
            peer,
            sending: Mutex::new(()),
        }
    }

    pub(super) fn peer(&self) -> &P {
        &self.peer
    }

    pub(super) fn hold(&self) -> Sending<'_, P> {
        Sending {
            peer: &self.peer,
            _only: self.sending.lock(),
        }
    }

    /// A simple reply without data; `error` is 0 if all is well.
    pub(super) fn simple(&self, request: &Request, error: u32) -> Result<(), Ended> {
        self.hold().simple_head(request, error)
    }

    /// The data of `buffer`, which belongs at `offset`.
    pub(super) fn data(
        &self,
        request: &Request,
        is_last: bool,
        offset: u64,
        (buffer, len): (&mut PieceBuffer, usize),
    ) -> Result<(), Ended> {
        self.hold()
            .send(buffer.chunk(request, is_last, offset, len))
    }

    /// Says that `len` bytes at `offset` are zeros.
    pub(super) fn zeros(
        &self,
        request: &Request,
        is_last: bool,
        offset: u64,
        len: u32,
    ) -> Result<(), Ended> {
        let payload = Message::default().u64(offset).u32(len);
        self.chunk(request, wire::CHUNK_OFFSET_HOLE, is_last, &payload.0)
    }

    /// An error at one offset; what else was asked for may be well.
    pub(super) fn error_at(
        &self,
        request: &Request,
        is_last: bool,
        error: u32,
        offset: u64,
    ) -> Result<(), Ended> {
        let payload = Message::default().u32(error).u16(0).u64(offset);
        self.chunk(request, wire::CHUNK_ERROR_OFFSET, is_last, &payload.0)
    }

    /// The request as a whole is refused; `text` says why.
    pub(super) fn error(&self, request: &Request, error: u32, text: &str) -> Result<(), Ended> {
        let payload = Message::default().u32(error).u16(text.len() as u16);
        let payload = payload.bytes(text.as_bytes());
        self.chunk(request, wire::CHUNK_ERROR_PLAIN, true, &payload.0)
    }

    /// A structured reply without data.
    pub(super) fn done(&self, request: &Request) -> Result<(), Ended> {
        self.chunk(request, wire::CHUNK_NONE, true, &[])
    }

    pub(super) fn chunk(
        &self,
        request: &Request,
        kind: u16,
        is_last: bool,
        payload: &[u8],
    ) -> Result<(), Ended> {
        let message = chunk_head(request, kind, is_last, payload.len()).bytes(payload);
        self.hold().send(&message.0)
    }
}

impl<P: Peer> Sending<'_, P> {
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Ended> {
        Ok(self.peer.send(bytes)?)
    }

    pub(super) fn simple_head(&self, request: &Request, error: u32) -> Result<(), Ended> {
        let message = Message::default().u32(wire::SIMPLE_MAGIC).u32(error);
        self.send(&message.u64(request.cookie).0)
    }
}

fn chunk_head(request: &Request, kind: u16, is_last: bool, len: usize) -> Message {
    let flags = if is_last { wire::CHUNK_DONE } else { 0 };
    let message = Message::default()
        .u32(wire::CHUNK_MAGIC)
        .u16(flags)
        .u16(kind);
    message.u64(request.cookie).u32(len as u32)
}
