//! What was written over a view: a folder that makes a snapshot a disk to work on.
//!
//! ```text
//! state     what lies below, and which start of the machine the overlay was last opened in
//! data      grains of 64 KiB at their own offsets, holes between them
//! written   a bit for each grain that counts, as of the last write
//! flushed   the same, as of the last flush
//! ```
//! A grain is written whole: of a write to a part of it the rest is copied up from below. Its bit is
//! set behind its bytes, and never again taken back. So when the process is killed, what the kernel
//! has of `written` names every write that was acknowledged; and when the machine goes down, of
//! which `state` tells, `flushed` names every one that was flushed, however torn its last write is:
//! a bit more or less is a grain that was durable before, or was promised to nobody.
//!
//! Deliberately absent: the snapshot below, which is never written; and disks that are pulled out
//! while the machine runs, which look like a process that was killed.

mod commit;
#[cfg(test)]
mod commit_tests;
mod files;
mod grains;
mod state;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::{OVERLAY_GRAIN_LEN, OVERLAY_LEN_LIMIT};
use crate::operations::map_volume::{MappedRange, RangeKind};
use crate::serve::View;
use crate::system::System;

pub use commit::commit_overlay;
pub use state::OverlayBase;
pub(crate) use state::State;

use files::Folder;
use grains::Grains;

/// Grains whose first write takes turns with those of others.
const STRIPES: usize = 64;

/// A view that can be written.
pub struct Overlay {
    base: Arc<dyn View>,
    folder: Folder,
    grains: Grains,
    /// Who writes a grain for the first time holds the lock of its stripe.
    stripes: [Mutex<()>; STRIPES],
    flushing: Mutex<()>,
    /// Set for good by a flush that failed: what it lost nobody can tell.
    is_broken: AtomicBool,
}

impl Overlay {
    /// Opens the overlay in `folder`, or makes one if the folder is empty or not there. Only one
    /// process at a time can have it open.
    ///
    /// # Errors
    /// `InvalidInput` if it lies over something else than `of`; `Busy` if another process has it;
    /// `AlreadyExists` if the folder holds anything else; `Damaged` if a file of it is missing or
    /// is not as it was left; `LimitExceeded` for a base of more than 64 TiB.
    pub fn open(folder: &Path, of: &OverlayBase, base: Arc<dyn View>) -> Result<Self> {
        Self::open_in(folder, of, base, System::real().boot_id().as_deref())
    }

    /// What the overlay in `folder` lies over.
    ///
    /// # Errors
    /// `NotFound` if there is none; `Damaged` if it does not say so.
    pub fn base_of(folder: &Path) -> Result<OverlayBase> {
        files::read_state(folder).map(|state| state.of)
    }

    /// The same in a start of the machine that has this name; without a name every start is another.
    fn open_in(
        folder: &Path,
        of: &OverlayBase,
        base: Arc<dyn View>,
        boot: Option<&str>,
    ) -> Result<Self> {
        if base.len() > OVERLAY_LEN_LIMIT {
            let detail = "is longer than the 64 TiB that an overlay may have";
            let place = Place::Argument("overlay");
            return Err(Error::new(ErrorKind::LimitExceeded, place, detail));
        }
        let now = State {
            of: of.clone(),
            len: base.len(),
            boot: boot.unwrap_or_default().to_owned(),
        };
        let folder = Folder::open(folder, &now)?;
        let found = folder.state()?;
        if let Some(difference) = now.difference(&found) {
            return Err(folder.error(ErrorKind::InvalidInput, &difference));
        }
        // Without a name of this start nobody knows whether the kernel forgot anything.
        let went_down = boot.is_none() || found.boot != now.boot;
        let grains = folder.grains(now.len, went_down)?;
        if went_down {
            folder.set_state(&now)?;
        }
        Ok(Self {
            base,
            folder,
            grains,
            stripes: [const { Mutex::new(()) }; STRIPES],
            flushing: Mutex::new(()),
            is_broken: AtomicBool::new(false),
        })
    }

    /// Writes `bytes` at `offset`. They outlive this process once this returns, and this start of
    /// the machine once a flush after it has.
    ///
    /// # Errors
    /// `InvalidInput` if they reach beyond the end; `NoSpace`, `Io`; those of the view below for
    /// what is copied up from there.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let range = self.checked(offset..offset.saturating_add(bytes.len() as u64))?;
        let mut rest = bytes;
        self.each_grain(range, |grain, part| {
            let (piece, behind) = rest.split_at((part.end - part.start) as usize);
            rest = behind;
            self.write_grain(grain, part, piece)
        })
    }

    /// Makes `range` read as zeros; where `keeps_space` is set they take space, as if they had been
    /// written.
    ///
    /// # Errors
    /// As [`Self::write_at`].
    pub fn write_zeroes(&self, range: Range<u64>, keeps_space: bool) -> Result<()> {
        static ZEROS: [u8; OVERLAY_GRAIN_LEN as usize] = [0; OVERLAY_GRAIN_LEN as usize];
        let range = self.checked(range)?;
        self.each_grain(range, |grain, part| {
            if keeps_space || part != self.grain_range(grain) {
                let len = (part.end - part.start) as usize;
                return self.write_grain(grain, part, &ZEROS[..len]);
            }
            self.clear_grain(grain)
        })
    }

    /// Frees the space of grains that lie in `range`; they read as zeros.
    ///
    /// # Errors
    /// As [`Self::write_at`].
    pub fn discard(&self, range: Range<u64>) -> Result<()> {
        let range = self.checked(range)?;
        self.each_grain(range, |grain, part| match part == self.grain_range(grain) {
            true => self.clear_grain(grain),
            false => Ok(()),
        })
    }

    /// Makes every write that returned before outlive this start of the machine.
    ///
    /// # Errors
    /// `Io`; then all that is written from now on fails as well, because nobody knows what the
    /// medium lost.
    pub fn flush(&self) -> Result<()> {
        let _one_at_a_time = self.flushing.lock();
        self.check_sound()?;
        let flushed = self.grains.take_unflushed();
        let outcome = self.folder.flush(&flushed);
        if outcome.is_err() {
            self.is_broken.store(true, Ordering::Release);
        }
        outcome
    }

    /// What was written over the view below: ascending, apart, in whole grains.
    pub fn dirty(&self) -> Vec<Range<u64>> {
        let mut dirty = Vec::new();
        let mut at = 0;
        while at < self.len() {
            let (end, is_written) = self.run(at, self.len());
            if is_written {
                dirty.push(at..end);
            }
            at = end;
        }
        dirty
    }

    fn check_sound(&self) -> Result<()> {
        match self.is_broken.load(Ordering::Acquire) {
            false => Ok(()),
            true => {
                let detail = "an earlier flush failed: what was written since is not safe";
                Err(self.folder.error(ErrorKind::Io, detail))
            }
        }
    }

    fn checked(&self, range: Range<u64>) -> Result<Range<u64>> {
        self.check_sound()?;
        self.within(range)
    }

    fn within(&self, range: Range<u64>) -> Result<Range<u64>> {
        if range.start <= range.end && range.end <= self.len() {
            return Ok(range);
        }
        let detail = format!("{range:?} lies outside of {} bytes", self.len());
        Err(self.folder.error(ErrorKind::InvalidInput, &detail))
    }

    fn grain_range(&self, grain: u64) -> Range<u64> {
        let start = grain * OVERLAY_GRAIN_LEN;
        start..(start + OVERLAY_GRAIN_LEN).min(self.len())
    }

    /// Gives `each` grain of `range`, with the bytes of it that lie there.
    fn each_grain(
        &self,
        range: Range<u64>,
        mut each: impl FnMut(u64, Range<u64>) -> Result<()>,
    ) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let grain = at / OVERLAY_GRAIN_LEN;
            let end = self.grain_range(grain).end.min(range.end);
            each(grain, at..end)?;
            at = end;
        }
        Ok(())
    }

    /// Writes `bytes` to the part `part` of a grain.
    fn write_grain(&self, grain: u64, part: Range<u64>, bytes: &[u8]) -> Result<()> {
        if self.grains.has(grain) {
            return self.folder.write(part.start, bytes);
        }
        let _first = self.stripe(grain).lock();
        if self.grains.has(grain) {
            return self.folder.write(part.start, bytes);
        }
        let whole = self.grain_range(grain);
        if part == whole {
            self.folder.write(part.start, bytes)?;
        } else {
            let mut copy = vec![0; (whole.end - whole.start) as usize];
            self.base.read_at(whole.start, &mut copy)?;
            let within = (part.start - whole.start) as usize;
            copy[within..within + bytes.len()].copy_from_slice(bytes);
            self.folder.write(whole.start, &copy)?;
        }
        self.grains
            .set(grain, |word, value| self.folder.note(word, value))
    }

    /// Makes a whole grain read as zeros, without space.
    fn clear_grain(&self, grain: u64) -> Result<()> {
        let _only = self.stripe(grain).lock();
        self.folder.clear(self.grain_range(grain))?;
        self.grains
            .set(grain, |word, value| self.folder.note(word, value))
    }

    fn stripe(&self, grain: u64) -> &Mutex<()> {
        &self.stripes[(grain % STRIPES as u64) as usize]
    }

    /// How far from `at` on, at most to `end`, all bytes are written, or none.
    fn run(&self, at: u64, end: u64) -> (u64, bool) {
        let first = at / OVERLAY_GRAIN_LEN;
        let (behind, is_written) = self.grains.run(first, end.div_ceil(OVERLAY_GRAIN_LEN));
        ((behind * OVERLAY_GRAIN_LEN).min(end), is_written)
    }
}

impl View for Overlay {
    fn len(&self) -> u64 {
        self.base.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let range = self.within(offset..offset.saturating_add(out.len() as u64))?;
        let (mut at, mut rest) = (range.start, out);
        while at < range.end {
            let (end, is_written) = self.run(at, range.end);
            let (piece, behind) = std::mem::take(&mut rest).split_at_mut((end - at) as usize);
            match is_written {
                true => self.folder.read(at, piece)?,
                false => self.base.read_at(at, piece)?,
            }
            (at, rest) = (end, behind);
        }
        Ok(())
    }

    /// What was written is data, whatever it is.
    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        let range = self.within(range)?;
        let mut pieces: Vec<MappedRange> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (end, is_written) = self.run(at, range.end);
            let found = match is_written {
                true => vec![MappedRange {
                    range: at..end,
                    kind: RangeKind::Data,
                    chunk: None,
                }],
                false => self.base.map(at..end, pieces_max)?,
            };
            for piece in found {
                at = piece.range.end;
                let is_full = pieces.len() == pieces_max;
                match pieces.last_mut() {
                    Some(last) if last.kind == piece.kind => last.range.end = at,
                    _ if is_full => return Ok(pieces),
                    _ => pieces.push(piece),
                }
            }
        }
        Ok(pieces)
    }
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Overlay({:?}, {} bytes)", self.folder, self.base.len())
    }
}
