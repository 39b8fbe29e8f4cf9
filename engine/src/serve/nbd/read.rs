//! What is said to a client that reads.
//!
//! Structured replies come in pieces: zeros as a length, data as it is read, and what cannot be
//! read as an error at its offset, while the rest goes on. A simple reply says at its beginning
//! that all is well, so what is longer than one piece is read once to know, and once more to send.

use std::ops::Range;

use crate::error::Result;
use crate::format::nbd::{self as wire, Request};
use crate::limits::{NBD_PIECE_LEN, NBD_SERVER_REQUEST_LIMIT};
use crate::operations::map_volume::RangeKind;

use super::connection::Connection;
use super::handshake::Ended;
use super::reply::PieceBuffer;
use super::socket::Peer;

/// Stretches that are asked for at a time.
const STRETCHES_MAX: usize = 64;

impl<P: Peer> Connection<'_, P> {
    /// Answers a read that lies within the export.
    pub(super) fn answer_read(
        &self,
        request: &Request,
        buffer: &mut PieceBuffer,
    ) -> Result<(), Ended> {
        if request.len > NBD_SERVER_REQUEST_LIMIT {
            return self.refuse(request, wire::EINVAL, "is longer than 32 MiB");
        }
        let in_one = request.flags & wire::FLAG_DF != 0;
        match self.agreed.is_structured {
            false => self.answer_simple(request, buffer),
            true if request.len == 0 => self.replies.done(request),
            true if in_one && request.len as usize > NBD_PIECE_LEN => {
                let why = "is longer than what is sent in one piece";
                self.refuse(request, wire::EOVERFLOW, why)
            }
            true if in_one => self.send_data(request, &range_of(request), buffer),
            true => self.answer_in_pieces(request, buffer),
        }
    }

    fn answer_in_pieces(&self, request: &Request, buffer: &mut PieceBuffer) -> Result<(), Ended> {
        let Range { mut start, end } = range_of(request);
        while start < end {
            for (stretch, is_zero) in self.stretches(start..end) {
                start = stretch.end;
                match is_zero {
                    true => {
                        let len = (stretch.end - stretch.start) as u32;
                        let is_last = stretch.end == end;
                        self.replies.zeros(request, is_last, stretch.start, len)?;
                    }
                    false => self.send_data(request, &stretch, buffer)?,
                }
            }
        }
        Ok(())
    }

    /// Where the zeros are, from the beginning of `range` on. Without an answer all is data: then
    /// the reads say what is wrong.
    fn stretches(&self, range: Range<u64>) -> Vec<(Range<u64>, bool)> {
        let mapped = self.export.view().map(range.clone(), STRETCHES_MAX);
        let mapped = mapped.unwrap_or_default().into_iter();
        let is_zero = |kind| matches!(kind, RangeKind::Zero | RangeKind::Hole);
        let stretches: Vec<_> = mapped.map(|one| (one.range, is_zero(one.kind))).collect();
        match stretches.is_empty() {
            true => vec![(range, false)],
            false => stretches,
        }
    }

    /// Sends a stretch of data, piece by piece, each of them or that it cannot be read.
    fn send_data(
        &self,
        request: &Request,
        stretch: &Range<u64>,
        buffer: &mut PieceBuffer,
    ) -> Result<(), Ended> {
        let end = range_of(request).end;
        for (offset, len) in pieces(stretch) {
            let is_last = offset + len as u64 == end;
            match self.read_piece(offset, len, buffer) {
                Ok(()) => self.replies.data(request, is_last, offset, (buffer, len))?,
                Err(_) => self.replies.error_at(request, is_last, wire::EIO, offset)?,
            }
        }
        Ok(())
    }

    fn answer_simple(&self, request: &Request, buffer: &mut PieceBuffer) -> Result<(), Ended> {
        let all = range_of(request);
        for (offset, len) in pieces(&all) {
            if self.read_piece(offset, len, buffer).is_err() {
                return self.replies.simple(request, wire::EIO);
            }
        }
        let sending = self.replies.hold();
        sending.simple_head(request, 0)?;
        let is_one_piece = request.len as usize <= NBD_PIECE_LEN;
        for (offset, len) in pieces(&all) {
            if !is_one_piece && self.read_piece(offset, len, buffer).is_err() {
                return Err(Ended); // too late to say so
            }
            sending.send(buffer.piece(len))?;
        }
        Ok(())
    }

    /// Reads a piece, and tells of it if that fails.
    fn read_piece(&self, offset: u64, len: usize, buffer: &mut PieceBuffer) -> Result<()> {
        let read = self.export.view().read_at(offset, buffer.piece(len));
        match &read {
            Ok(()) => self.count_read(len),
            Err(error) => self.tell(offset, len, "served", error),
        }
        read
    }
}

fn range_of(request: &Request) -> Range<u64> {
    request.offset..request.offset + u64::from(request.len)
}

/// Offsets and lengths of the pieces of a stretch.
pub(super) fn pieces(stretch: &Range<u64>) -> impl Iterator<Item = (u64, usize)> + use<> {
    let end = stretch.end;
    let starts = stretch.clone().step_by(NBD_PIECE_LEN);
    starts.map(move |start| (start, (end - start).min(NBD_PIECE_LEN as u64) as usize))
}
