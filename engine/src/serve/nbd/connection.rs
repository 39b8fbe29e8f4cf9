//! One client that has been agreed with: its requests in, the replies out.
//!
//! A few threads share a connection, and all do the same: take the next request, which one does
//! while the others work; work; send the reply, one at a time. So a client has as many requests
//! under way as there are threads, no queue holds what was not asked for yet, and a client that
//! takes no replies stops its own threads alone.

use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind};
use crate::format::nbd::{self as wire, Request};
use crate::limits;
use crate::observe::{Counter, Observer, Problem, ProblemKind};

use super::Tally;
use super::export::NbdExport;
use super::handshake::{Agreed, Ended};
use super::reply::{PieceBuffer, Replies};
use super::socket::Peer;
use super::write::Arrived;

/// A client.
pub(super) struct Connection<'s, P> {
    pub(super) export: &'s NbdExport,
    pub(super) agreed: Agreed,
    pub(super) replies: Replies<P>,
    /// False once no request will follow.
    is_open: Mutex<bool>,
    tally: &'s Tally,
    observer: &'s dyn Observer,
}

impl<'s, P: Peer> Connection<'s, P> {
    pub(super) fn new(
        peer: P,
        export: &'s NbdExport,
        agreed: Agreed,
        tally: &'s Tally,
        observer: &'s dyn Observer,
    ) -> Self {
        Self {
            export,
            agreed,
            replies: Replies::new(peer),
            is_open: Mutex::new(true),
            tally,
            observer,
        }
    }

    /// Works until the client leaves. Several threads may do so at a time.
    pub(super) fn work(&self) {
        let mut buffer = PieceBuffer::new();
        while let Ok((request, arrived)) = self.next_request(&mut buffer) {
            self.tally.requests.fetch_add(1, Ordering::Relaxed);
            let answered = match &arrived {
                Some(arrived) => self.answer_write(&request, arrived, &mut buffer),
                None => self.answer(&request, &mut buffer),
            };
            if answered.is_err() {
                self.replies.peer().close(); // whoever waits for a request wakes up
                return;
            }
        }
    }

    /// The next request, with what it writes.
    fn next_request(&self, buffer: &mut PieceBuffer) -> Result<(Request, Option<Arrived>), Ended> {
        let mut is_open = self.is_open.lock();
        if !*is_open {
            return Err(Ended);
        }
        let request = self.receive_request(buffer);
        *is_open = request.is_ok();
        request
    }

    fn receive_request(
        &self,
        buffer: &mut PieceBuffer,
    ) -> Result<(Request, Option<Arrived>), Ended> {
        let mut head = [0; Request::LEN];
        self.replies.peer().receive_when_it_comes(&mut head)?;
        let request = Request::decode(&head)?;
        match request.command {
            wire::COMMAND_DISCONNECT => Err(Ended),
            wire::COMMAND_WRITE => {
                let arrived = self.receive_write(&request, buffer)?;
                Ok((request, Some(arrived)))
            }
            _ => Ok((request, None)),
        }
    }

    fn answer(&self, request: &Request, buffer: &mut PieceBuffer) -> Result<(), Ended> {
        match request.command {
            wire::COMMAND_READ | wire::COMMAND_BLOCK_STATUS if !self.is_within(request) => {
                self.refuse(request, wire::EINVAL, "reaches beyond the end")
            }
            wire::COMMAND_READ => self.answer_read(request, buffer),
            wire::COMMAND_BLOCK_STATUS => self.answer_status(request),
            wire::COMMAND_FLUSH => self.answer_flush(request),
            wire::COMMAND_TRIM => self.answer_trim(request),
            wire::COMMAND_WRITE_ZEROES => self.answer_write_zeroes(request),
            _ => self.replies.simple(request, wire::EINVAL),
        }
    }

    pub(super) fn is_within(&self, request: &Request) -> bool {
        let end = request.offset.checked_add(request.len.into());
        end.is_some_and(|end| end <= self.export.view().len())
    }

    /// Refuses a request for data or status: in a structured reply where those were agreed on.
    pub(super) fn refuse(&self, request: &Request, error: u32, why: &str) -> Result<(), Ended> {
        match self.agreed.is_structured {
            true => self.replies.error(request, error, why),
            false => self.replies.simple(request, error),
        }
    }

    pub(super) fn count_read(&self, len: usize) {
        self.tally
            .bytes_read
            .fetch_add(len as u64, Ordering::Relaxed);
        self.observer.count(Counter::Bytes, len as u64);
    }

    pub(super) fn count_written(&self, len: usize) {
        self.tally
            .bytes_written
            .fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Counts that bytes cannot be `done`, and tells of it.
    pub(super) fn tell(&self, offset: u64, len: usize, done: &str, error: &Error) {
        let number = self.tally.problems.fetch_add(1, Ordering::Relaxed);
        if number >= limits::NBD_PROBLEMS_TOLD_MAX {
            return;
        }
        let kind = match error.kind() {
            ErrorKind::NotFound => ProblemKind::Missing,
            ErrorKind::Io => ProblemKind::Unreadable,
            _ => ProblemKind::Damaged,
        };
        let end = offset + len as u64;
        self.observer.problem(&Problem {
            kind,
            subject: self.export.name.clone().into_bytes(),
            detail: format!(
                "bytes {offset} to {end} cannot be {done}: {}",
                error.repeated()
            ),
        });
    }
}
