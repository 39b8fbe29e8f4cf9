//! A synchronous NBD client: an export of a server as a volume.
//!
//! ```text
//! url         what to connect to
//! stream      a socket with a deadline: the only place that reads a clock
//! handshake   newstyle negotiation: structured replies, contexts, NBD_OPT_GO
//! connection  requests and replies, several under way
//! pending     one of them, and what has arrived of it
//! status      block status as lists of extents
//! pool        connections that threads take turns with
//! ```
//!
//! Numbers and fields of the protocol are in `format::nbd`, which the server of `serve` shares.
//!
//! The server is not trusted: every length is bounded before it is allocated, every reply must
//! belong to a request and stay within it, and a server that stalls or trickles meets a deadline.
//! Deliberately absent: writing, TLS, and threads: whoever reads sends the requests and receives
//! the replies of one connection, and several threads read over several connections where the
//! server permits that.

mod connection;
mod fault;
mod handshake;
mod pending;
mod pool;
mod status;
mod stream;
#[cfg(any(test, feature = "testing"))]
mod transcript;
mod url;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::format::nbd::{DIRTY_BITMAP_PREFIX, STATE_DIRTY, STATE_HOLE, STATE_ZERO};
use crate::limits;
use crate::pipeline::ReadAt;
use crate::pipeline::ranges;
use crate::sources::volume::allocation::AllocationBuilder;
use crate::sources::volume::{
    Allocated, Allocation, Identity, SECTOR_DEFAULT, VolumeKind, VolumeSource, check_len,
    check_range,
};

#[cfg(any(test, feature = "testing"))]
pub(crate) use transcript::transcript;

use fault::Fault;
use handshake::{Export, Wanted};
use pool::Pool;
use status::Context;
pub(crate) use url::Url;

/// How a server is spoken to.
#[derive(Clone, Debug)]
pub struct NbdOptions {
    /// How long the server may take for connecting, and for each request.
    pub timeout: Duration,
    /// Most connections, if the server permits several.
    pub connections: usize,
    /// Name of the dirty bitmap that [`NbdVolume::dirty_ranges`] asks for; opening fails if the
    /// server does not have it.
    pub dirty_bitmap: Option<String>,
}

impl Default for NbdOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(limits::NBD_TIMEOUT_SECONDS_DEFAULT),
            connections: limits::NBD_CONNECTIONS_MAX,
            dirty_bitmap: None,
        }
    }
}

/// An export of an NBD server.
#[derive(Debug)]
pub struct NbdVolume {
    identity: Identity,
    export: Export,
    pool: Pool,
    dirty_bitmap: Option<String>,
    /// What the server said when it would not tell the state of its blocks.
    refusal: Mutex<Option<String>>,
}

impl NbdVolume {
    /// Connects to `nbd://HOST[:PORT][/EXPORT]` or `nbd+unix:///[EXPORT]?socket=PATH`.
    ///
    /// `InvalidInput` for another URL, `Unsupported` if the server lacks what is needed, `Damaged`
    /// if it breaks the protocol, `NotFound` if it has no such export.
    pub fn open(url: &str, options: &NbdOptions) -> Result<Self> {
        let location = PathBuf::from(url);
        let url = Url::parse(url)?;
        let dirty_bitmap = options.dirty_bitmap.clone();
        let wanted = Wanted {
            export: url.export.clone(),
            dirty: dirty_bitmap
                .as_ref()
                .map(|name| format!("{DIRTY_BITMAP_PREFIX}{name}")),
        };
        let (pool, export) = Pool::open(url.address, wanted, options)
            .map_err(|fault| fault.into_error(&location, "opening the NBD export"))?;
        let identity = Identity {
            kind: VolumeKind::Nbd,
            location,
            model: None,
            serial: None,
            uuid: None,
            logical_sector: export.block_min.max(SECTOR_DEFAULT),
            physical_sector: export.block_preferred.max(SECTOR_DEFAULT),
            rotational: None,
        };
        Ok(Self {
            identity,
            export,
            pool,
            dirty_bitmap,
            refusal: Mutex::new(None),
        })
    }

    /// The same volume under another identity: of the image that stands behind the server.
    pub(super) fn identified_as(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// What was written since the bitmap of [`NbdOptions::dirty_bitmap`] began: ascending, apart,
    /// in the bitmap's granularity. What the server does not answer for counts as written.
    pub fn dirty_ranges(&self) -> Result<Vec<Range<u64>>> {
        if self.dirty_bitmap.is_none() {
            return Err(self.error(
                ErrorKind::InvalidInput,
                "was opened without the name of a dirty bitmap",
            ));
        }
        let mut dirty = Vec::new();
        let end = self.export.len;
        let known = self.walk(Context::Dirty, 0..end, &mut |range, flags| {
            if flags & STATE_DIRTY != 0 {
                ranges::push(&mut dirty, range);
            }
            dirty.len() < limits::CHANGED_RANGES_MAX
        })?;
        if known < end {
            ranges::push(&mut dirty, known..end);
        }
        Ok(dirty)
    }

    /// Tells `visit` the state of `range`, extent by extent, until it returns false. Gives where
    /// the answers end: before the end of the range if the server refuses, or answers in crumbs.
    fn walk(
        &self,
        context: Context,
        range: Range<u64>,
        visit: &mut dyn FnMut(Range<u64>, u32) -> bool,
    ) -> Result<u64> {
        let unit = u64::from(self.export.block_min);
        let mut next = range.start - range.start % unit;
        let end = range.end.next_multiple_of(unit).min(self.export.len);
        for _ in 0..limits::NBD_STATUS_REQUESTS_MAX {
            if next >= end {
                break;
            }
            let len = (end - next).min(u64::from(limits::NBD_STATUS_LEN)) as u32;
            let answer = self
                .pool
                .with(&mut |connection| connection.status(context, next, len));
            let extents = match answer {
                Ok(extents) => extents,
                Err(fault @ Fault::Refused { .. }) => {
                    *self.refusal.lock() = Some(fault.into_io().to_string());
                    break;
                }
                Err(fault) => {
                    return Err(fault.into_error(&self.identity.location, "asking for status"));
                }
            };
            for extent in extents {
                let extent_end = (next + u64::from(extent.len)).min(end);
                if !visit(next..extent_end, extent.flags) {
                    return Ok(extent_end);
                }
                next = extent_end;
            }
        }
        Ok(next)
    }

    /// Reads a whole number of the server's blocks.
    fn read_blocks(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.pool
            .with(&mut |connection| connection.read(offset, buffer))
            .map_err(Fault::into_io)
    }

    fn error(&self, kind: ErrorKind, detail: &str) -> Error {
        let place = crate::error::Place::Path(self.identity.location.clone());
        Error::new(kind, place, detail)
    }
}

impl ReadAt for NbdVolume {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self
            .export
            .len
            .saturating_sub(offset)
            .min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..len];
        let unit = u64::from(self.export.block_min);
        if offset.is_multiple_of(unit) && (len as u64).is_multiple_of(unit) {
            self.read_blocks(offset, buffer)?;
        } else {
            let start = offset - offset % unit;
            let end = (offset + len as u64).next_multiple_of(unit);
            let mut blocks = vec![0; (end - start) as usize];
            self.read_blocks(start, &mut blocks)?;
            let skipped = (offset - start) as usize;
            buffer.copy_from_slice(&blocks[skipped..skipped + len]);
        }
        Ok(len)
    }
}

impl VolumeSource for NbdVolume {
    fn len(&self) -> u64 {
        self.export.len
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn allocation(&self, range: Range<u64>) -> Result<Vec<Allocated>> {
        check_range(&self.identity.location, &range, self.export.len)?;
        let mut answer = AllocationBuilder::new(range.clone());
        if self.export.has(Context::Allocation) {
            self.walk(Context::Allocation, range, &mut |extent, flags| {
                answer.push_until(extent.end, kind_of(flags));
                !answer.is_done()
            })?;
        }
        Ok(answer.finish())
    }

    /// Connects once more where the server permits several connections: the length of an export is
    /// told when it is opened. A server that is gone by now has still told the truth before.
    fn check_unchanged(&self) -> Result<()> {
        match self.pool.len_now() {
            Some(len) => check_len(&self.identity.location, self.export.len, len),
            None => Ok(()),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let refusal = self.refusal.lock().clone();
        let sentence = |why| format!("the server does not tell what has to be read, all is: {why}");
        refusal.map(sentence).into_iter().collect()
    }
}

/// A hole that does not read as zeros has undefined content: it is read, as data is.
fn kind_of(flags: u32) -> Allocation {
    match (flags & STATE_ZERO != 0, flags & STATE_HOLE != 0) {
        (true, true) => Allocation::Hole,
        (true, false) => Allocation::Zero,
        (false, _) => Allocation::Data,
    }
}

#[cfg(test)]
mod tests;
