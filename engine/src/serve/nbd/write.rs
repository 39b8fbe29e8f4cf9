//! What a client writes, trims and flushes, where the export can be written.

use crate::error::{Error, ErrorKind, Result};
use crate::format::nbd::{self as wire, Request};
use crate::limits::NBD_SERVER_REQUEST_LIMIT;
use crate::serve::overlay::Overlay;

use super::connection::Connection;
use super::handshake::Ended;
use super::read::pieces;
use super::reply::PieceBuffer;
use super::socket::Peer;

/// What became of a write by the time all of it was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Of all pieces but the last; an error number of the protocol.
    outcome: Result<(), u32>,
    /// Where the last piece belongs, which lies in the buffer.
    offset: u64,
    len: usize,
}

impl<P: Peer> Connection<'_, P> {
    /// Receives what a client writes, and writes all but the last piece of it: that one waits in the
    /// buffer, so that the next request can be received meanwhile. What is refused is received as
    /// well, for behind it the next request begins.
    pub(super) fn receive_write(
        &self,
        request: &Request,
        buffer: &mut PieceBuffer,
    ) -> Result<Arrived, Ended> {
        if request.len > NBD_SERVER_REQUEST_LIMIT {
            return Err(Ended);
        }
        let mut arrived = Arrived {
            outcome: self.writable(request).map(drop),
            offset: request.offset,
            len: 0,
        };
        for (at, len) in pieces(&(0..request.len.into())) {
            arrived.outcome = self.write_piece(&arrived, buffer);
            self.replies.peer().receive(buffer.piece(len))?;
            arrived.offset = request.offset.saturating_add(at); // beyond the end it was refused
            arrived.len = len;
        }
        Ok(arrived)
    }

    /// Writes the last piece, and says how all went.
    pub(super) fn answer_write(
        &self,
        request: &Request,
        arrived: &Arrived,
        buffer: &mut PieceBuffer,
    ) -> Result<(), Ended> {
        let outcome = self.write_piece(arrived, buffer);
        self.answer_change(request, outcome)
    }

    pub(super) fn answer_trim(&self, request: &Request) -> Result<(), Ended> {
        let outcome = self.change(request, |overlay, range| overlay.discard(range));
        self.answer_change(request, outcome)
    }

    pub(super) fn answer_write_zeroes(&self, request: &Request) -> Result<(), Ended> {
        let keeps_space = request.flags & wire::FLAG_NO_HOLE != 0;
        let zero = |overlay: &Overlay, range| overlay.write_zeroes(range, keeps_space);
        let outcome = self.change(request, zero);
        self.answer_change(request, outcome)
    }

    /// What cannot be written is always flushed.
    pub(super) fn answer_flush(&self, request: &Request) -> Result<(), Ended> {
        let flushed = self.export.overlay().map_or(Ok(()), Overlay::flush);
        let outcome = flushed.map_err(|error| self.told(request, &error));
        self.replies.simple(request, outcome.err().unwrap_or(0))
    }

    /// The overlay, if the request lies within it.
    fn writable(&self, request: &Request) -> Result<&Overlay, u32> {
        let overlay = self.export.overlay().ok_or(wire::EPERM)?;
        match self.is_within(request) {
            true => Ok(overlay),
            false => Err(wire::ENOSPC),
        }
    }

    /// Writes the piece that waits in the buffer, unless an earlier one failed.
    fn write_piece(&self, arrived: &Arrived, buffer: &mut PieceBuffer) -> Result<(), u32> {
        arrived.outcome?;
        let Some(overlay) = self.export.overlay() else {
            return Err(wire::EPERM);
        };
        let piece = buffer.piece(arrived.len);
        match overlay.write_at(arrived.offset, piece) {
            Ok(()) => {
                self.count_written(arrived.len);
                Ok(())
            }
            Err(error) => Err(self.tell_of_change(arrived.offset, arrived.len, &error)),
        }
    }

    fn change(
        &self,
        request: &Request,
        change: impl FnOnce(&Overlay, std::ops::Range<u64>) -> Result<()>,
    ) -> Result<(), u32> {
        let overlay = self.writable(request)?;
        let range = request.offset..request.offset + u64::from(request.len);
        change(overlay, range).map_err(|error| self.told(request, &error))
    }

    /// Says how a change went, once it is durable if the client wants that.
    fn answer_change(&self, request: &Request, outcome: Result<(), u32>) -> Result<(), Ended> {
        match (outcome, request.flags & wire::FLAG_FUA) {
            (Err(error), _) => self.replies.simple(request, error),
            (Ok(()), 0) => self.replies.simple(request, 0),
            (Ok(()), _) => self.answer_flush(request),
        }
    }

    fn told(&self, request: &Request, error: &Error) -> u32 {
        self.tell_of_change(request.offset, request.len as usize, error)
    }

    /// Tells of a change that failed; gives its error number.
    fn tell_of_change(&self, offset: u64, len: usize, error: &Error) -> u32 {
        self.tell(offset, len, "written", error);
        match error.kind() {
            ErrorKind::NoSpace => wire::ENOSPC,
            _ => wire::EIO,
        }
    }
}
