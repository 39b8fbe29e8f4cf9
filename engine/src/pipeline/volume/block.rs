//! One piece of a volume between two anchors: what was known and what changed go in, its extents
//! come out.
//!
//! Pieces know nothing of each other, so any number of threads builds a volume. Within a piece the
//! new extents are a fold over its bytes from any place where an extent begins. Old extents are
//! taken over up to a change; from the last place before it where an extent begins in both
//! manifests, bytes are read and cut; and once an extent ends behind the change where an old one
//! does, the old ones are taken over again: from equal places, equal bytes give equal extents.

use std::io;
use std::ops::Range;

use crate::error::Result;
use crate::format::entry::{Extent, ExtentKind};
use crate::pipeline::volume::rules::{Cutter, IncrementalRule, VolumeRules};
use crate::pipeline::volume::window::{READ_UNIT, Window};
use crate::pipeline::volume::{Allocated, Allocation};
use crate::pipeline::worker::{IngestError, is_zero, push_extent};

/// Bytes that are read ahead where everything must be read: what fits a core's own cache.
const READ_AHEAD: u64 = 512 * 1024;

/// What is to be built: a piece of a volume that begins where an extent does, and ends at the next
/// anchor or with the volume.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockTask {
    /// First byte.
    pub from: u64,
    /// First byte behind.
    pub end: u64,
    /// Old extents and where they begin; what they leave out is dirty.
    pub old: Vec<(u64, Extent)>,
    /// What may have changed, in whole grains: ascending and disjoint.
    pub dirty: Vec<Range<u64>>,
    /// What is allocated where it is dirty.
    pub allocated: Vec<Allocated>,
    /// Forced cuts behind `from`, ascending.
    pub cuts: Vec<u64>,
}

/// Where bytes come from and chunks go.
pub(super) trait BlockIo {
    /// Fills `buffer` from `offset`, and gives the ranges that could not be read.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>>;
    /// Stores a chunk that is not all zeros.
    fn store(&mut self, chunk: &[u8]) -> Result<ExtentKind>;
}

/// The extents of `task`.
pub(super) fn build_block(
    rules: &VolumeRules,
    cutter: Cutter<'_>,
    task: &BlockTask,
    window: &mut Window,
    io: &mut dyn BlockIo,
) -> Result<Vec<Extent>, IngestError> {
    let mut block = Block {
        rules,
        cutter,
        task,
        window,
        io,
        at: task.from,
        classes: Vec::new(),
        extents: Vec::new(),
    };
    block.build()?;
    Ok(block.extents)
}

/// How long a window should be: what one chunk needs and is read ahead, twice, so that little is
/// moved when it forgets what lies behind, and all of it stays in a core's own cache.
pub(super) fn window_len(rules: &VolumeRules, cutter: Cutter<'_>) -> usize {
    2 * (cutter.longest().min(rules.anchor) + READ_AHEAD + 2 * rules.grain) as usize
}

/// What a grain is: nothing chunked, or data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Hole,
    Zero,
    Data,
}

struct Block<'b> {
    rules: &'b VolumeRules,
    cutter: Cutter<'b>,
    task: &'b BlockTask,
    window: &'b mut Window,
    io: &'b mut dyn BlockIo,
    /// Where the next extent begins.
    at: u64,
    /// What grains are, as far as that is known, from that of `from` on.
    classes: Vec<Option<Class>>,
    extents: Vec<Extent>,
}

impl Block<'_> {
    fn build(&mut self) -> Result<(), IngestError> {
        while self.at < self.task.end {
            let change = self.next_change();
            self.take_over(change.as_ref().map(|change| change.start));
            if self.at < self.task.end {
                self.rebuild(change.map_or(self.task.end, |change| change.end))?;
            }
        }
        Ok(())
    }

    /// The first change that ends behind this place.
    fn next_change(&self) -> Option<Range<u64>> {
        let dirty = &self.task.dirty;
        let next = dirty.partition_point(|change| change.end <= self.at);
        dirty.get(next).cloned()
    }

    /// Takes over old extents up to a `change`: those that it cannot have moved.
    fn take_over(&mut self, change: Option<u64>) {
        while self.at < self.task.end
            && let Some((start, old)) = self.old_at(self.at)
        {
            let stop = start + old.len;
            let taken = match old.kind {
                ExtentKind::Chunk(_) => start == self.at && self.is_settled(stop, change),
                ExtentKind::Hole | ExtentKind::Zero => {
                    let stop = change.map_or(stop, |change| stop.min(change));
                    if self.is_boundary_in_zeros(stop, change) {
                        self.push(stop - self.at, old.kind);
                        continue;
                    }
                    false
                }
                ExtentKind::Unreadable => false,
            };
            if !taken {
                return;
            }
            self.push(old.len, old.kind);
        }
    }

    /// True if a chunk that ends at `stop` ends there whatever changes from `change` on. One that
    /// ends just there may have ended because zeros began.
    fn is_settled(&self, stop: u64, change: Option<u64>) -> bool {
        let Some(change) = change else {
            return true;
        };
        stop < change || (stop == change && !IncrementalRule::EntryEndingAtChange.holds())
    }

    /// True if an extent of zeros that is known up to `stop` may be taken from here to there, and
    /// something begins there in both manifests: a grain of zeros ends, or no change touches it.
    fn is_boundary_in_zeros(&self, stop: u64, change: Option<u64>) -> bool {
        let is_whole_grain = self.at.is_multiple_of(self.rules.grain)
            || stop - self.at.min(stop) >= self.rules.grain;
        stop > self.at && (change.is_none_or(|change| stop < change) || is_whole_grain)
    }

    /// Cuts anew until an extent ends at or behind `until`, the end of a change, where an old one
    /// does. If the next change begins before that, nothing can be taken over, and it goes on.
    fn rebuild(&mut self, until: u64) -> Result<(), IngestError> {
        loop {
            self.step()?;
            if self.at >= self.task.end {
                return Ok(());
            }
            if self.at >= until && self.is_old_boundary() {
                return Ok(());
            }
        }
    }

    /// True if the old manifest was cut here too.
    fn is_old_boundary(&self) -> bool {
        let Some((start, old)) = self.old_at(self.at) else {
            return false;
        };
        let (behind, ahead) = (self.at - start, start + old.len - self.at);
        let grain = self.rules.grain;
        let is_beside_zero_grain = behind >= grain || ahead >= grain.min(self.task.end - self.at);
        let is_zeros = matches!(old.kind, ExtentKind::Hole | ExtentKind::Zero);
        behind == 0 || (is_zeros && self.at.is_multiple_of(grain) && is_beside_zero_grain)
    }

    /// The old extent that holds the byte at `offset`, and where it begins.
    fn old_at(&self, offset: u64) -> Option<(u64, Extent)> {
        let old = &self.task.old;
        let behind = old.partition_point(|(start, _)| *start <= offset);
        let (start, extent) = *old.get(behind.checked_sub(1)?)?;
        (offset < start + extent.len).then_some((start, extent))
    }

    /// Cuts one extent.
    fn step(&mut self) -> Result<(), IngestError> {
        let grain_end = self.grain_end(self.at);
        if self.at.is_multiple_of(self.rules.grain) {
            let kind = match self.class(self.at)? {
                Class::Hole => Some(ExtentKind::Hole),
                Class::Zero => Some(ExtentKind::Zero),
                Class::Data => None,
            };
            if let Some(kind) = kind {
                self.push(grain_end - self.at, kind);
                return Ok(());
            }
        }
        self.load(grain_end)?;
        if let Some(stop) = self.window.unreadable_at(self.at) {
            let stop = stop.min(self.task.end);
            self.push(stop - self.at, ExtentKind::Unreadable);
            return Ok(());
        }
        let len = self.chunk_len()?;
        let chunk = self.window.slice(self.at..self.at + len);
        let kind = if is_zero(chunk) {
            ExtentKind::Zero
        } else {
            self.io.store(chunk)?
        };
        self.push(len, kind);
        Ok(())
    }

    /// Length of the chunk that begins here, in a grain of data. Looks no further than it must.
    fn chunk_len(&mut self) -> Result<u64, IngestError> {
        let next_cut = self.task.cuts.partition_point(|&cut| cut <= self.at);
        let next_cut = self.task.cuts.get(next_cut).copied().unwrap_or(u64::MAX);
        let mut limit = next_cut
            .min(self.task.end)
            .min(self.at + self.cutter.longest());
        // Grains before `known` are data.
        let mut known = self.grain_end(self.at).min(limit);
        loop {
            while known < limit && known < self.window.end() {
                (known, limit) = self.know_grain(known, limit)?;
            }
            self.load(known)?;
            let lost = self
                .window
                .next_unreadable(self.at)
                .filter(|&lost| lost < known);
            let stop = lost.unwrap_or(known);
            let ends = lost.is_some() || known == limit;
            let data = self.window.slice(self.at..stop);
            if let Some(len) = self.cutter.first_chunk(self.at, data, ends) {
                return Ok(len as u64);
            }
            (known, limit) = self.know_grain(known, limit)?;
        }
    }

    /// Looks at the grain at `known`: either data goes on behind it, or the run ends before it.
    fn know_grain(&mut self, known: u64, limit: u64) -> Result<(u64, u64), IngestError> {
        if self.class(known)? == Class::Data {
            Ok((self.grain_end(known).min(limit), limit))
        } else {
            Ok((known, known))
        }
    }

    /// What the grain at `start` is; reads it if that is not known without.
    fn class(&mut self, start: u64) -> Result<Class, IngestError> {
        let first = self.rules.grain_start(self.task.from);
        let index = ((start - first) / self.rules.grain) as usize;
        if self.classes.len() <= index {
            self.classes.resize(index + 1, None);
        }
        if let Some(class) = self.classes[index] {
            return Ok(class);
        }
        let class = self.classify(start..self.grain_end(start))?;
        self.classes[index] = Some(class);
        Ok(class)
    }

    fn classify(&mut self, grain: Range<u64>) -> Result<Class, IngestError> {
        if !self.is_dirty(grain.start) {
            return Ok(self.old_class(&grain));
        }
        match self.allocation_of(&grain) {
            Allocation::Hole => return Ok(Class::Hole),
            Allocation::Zero => return Ok(Class::Zero),
            Allocation::Data => {}
        }
        self.load(grain.end)?;
        if !self.window.is_unreadable_in(&grain) && is_zero(self.window.slice(grain)) {
            return Ok(Class::Zero);
        }
        Ok(Class::Data)
    }

    /// What an unchanged grain is: no grain of data is all zeros, so the old extents tell.
    fn old_class(&self, grain: &Range<u64>) -> Class {
        match self.old_at(grain.start) {
            Some((start, old)) if start + old.len >= grain.end => match old.kind {
                ExtentKind::Hole => Class::Hole,
                ExtentKind::Zero => Class::Zero,
                ExtentKind::Chunk(_) | ExtentKind::Unreadable => Class::Data,
            },
            _ => Class::Data,
        }
    }

    fn is_dirty(&self, offset: u64) -> bool {
        let dirty = &self.task.dirty;
        let next = dirty.partition_point(|change| change.end <= offset);
        dirty.get(next).is_some_and(|change| change.start <= offset)
    }

    /// A grain is a hole if all of it is, and known to be zero if no byte of it must be read.
    fn allocation_of(&self, grain: &Range<u64>) -> Allocation {
        let pieces = &self.task.allocated;
        let first = pieces.partition_point(|piece| piece.range.end <= grain.start);
        let (mut at, mut found) = (grain.start, Allocation::Hole);
        for piece in pieces.iter().skip(first) {
            if at >= grain.end || piece.range.start > at {
                break;
            }
            match piece.kind {
                Allocation::Data => return Allocation::Data,
                Allocation::Zero => found = Allocation::Zero,
                Allocation::Hole => {}
            }
            at = piece.range.end;
        }
        if at >= grain.end {
            found
        } else {
            Allocation::Data
        }
    }

    /// Reads on to `to`, and further where all of what comes next must be read anyway.
    fn load(&mut self, to: u64) -> Result<(), IngestError> {
        let mut ahead = to;
        if self.is_absent(to) {
            let reach = to.saturating_add(READ_AHEAD).min(self.task.end);
            while ahead < reach && self.must_be_read(ahead) {
                ahead = self.grain_end(ahead);
            }
        }
        let ahead = ahead.next_multiple_of(READ_UNIT).min(self.task.end);
        let io = &mut *self.io;
        let mut read = |offset, buffer: &mut [u8]| io.read(offset, buffer);
        self.window.load(self.at, ahead, &mut read)?;
        Ok(())
    }

    /// True if not everything from here to `to` was read.
    fn is_absent(&self, to: u64) -> bool {
        to > self.window.end() || !self.window.holds(self.at)
    }

    fn must_be_read(&self, start: u64) -> bool {
        start.is_multiple_of(self.rules.grain)
            && self.is_dirty(start)
            && self.allocation_of(&(start..self.grain_end(start))) == Allocation::Data
    }

    fn grain_end(&self, offset: u64) -> u64 {
        self.rules.grain_end(offset + 1).min(self.task.end)
    }

    fn push(&mut self, len: u64, kind: ExtentKind) {
        push_extent(&mut self.extents, len, kind);
        self.at += len;
    }
}
