//! A volume and its manifest in memory, cut by the real rules and the real chunker.

use std::io;
use std::ops::Range;

use crate::error::Result;
use crate::format::entry::{Extent, ExtentKind};
use crate::format::id::ChunkId;
use crate::pipeline::volume::block::{BlockIo, BlockTask, build_block, window_len};
use crate::pipeline::volume::changes::{AllocationMap, Changes};
use crate::pipeline::volume::rules::{Cutter, VolumeRules, cuts_of_hints};
use crate::pipeline::volume::window::Window;
use crate::pipeline::volume::{Allocated, Allocation, Cutting, VolumeReader};
use crate::pipeline::worker::push_extent;
use crate::transform::chunk::{ChunkSizes, Chunker};

/// What is allocated is known by pages of so many bytes, and what is unreadable by sectors.
pub(super) const PAGE: usize = 4096;
pub(super) const SECTOR: usize = 512;

/// A volume in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub bytes: Vec<u8>,
    /// What the source says of each page.
    pub pages: Vec<Allocation>,
    /// Sectors that cannot be read, by their number.
    pub bad: Vec<u64>,
}

impl Disk {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let pages = vec![Allocation::Data; bytes.len().div_ceil(PAGE)];
        Self {
            bytes,
            pages,
            bad: Vec::new(),
        }
    }

    pub(super) fn resize(&mut self, len: usize) {
        self.bytes.resize(len, 0);
        self.pages.resize(len.div_ceil(PAGE), Allocation::Hole);
        if let Some(last) = self.pages.last_mut()
            && !len.is_multiple_of(PAGE)
        {
            *last = Allocation::Data;
        }
        self.bad
            .retain(|&sector| (sector + 1) * SECTOR as u64 <= len as u64);
    }

    /// Writes bytes: what they touch is allocated then.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.pages[at / PAGE..=(at + bytes.len() - 1) / PAGE].fill(Allocation::Data);
        }
    }

    /// Makes whole pages zeros of this kind; gives what it changed.
    pub(super) fn clear(&mut self, range: Range<usize>, kind: Allocation) -> Range<usize> {
        let (first, last) = (range.start.div_ceil(PAGE), range.end / PAGE);
        if first >= last {
            return range.start..range.start;
        }
        self.bytes[first * PAGE..last * PAGE].fill(0);
        self.pages[first..last].fill(kind);
        first * PAGE..last * PAGE
    }
}

impl VolumeReader for Disk {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>> {
        let (from, end) = (offset as usize, offset + buffer.len() as u64);
        buffer.copy_from_slice(&self.bytes[from..from + buffer.len()]);
        let mut lost = Vec::new();
        for &sector in &self.bad {
            let start = sector * SECTOR as u64;
            let stop = start + SECTOR as u64;
            if start < end && stop > offset {
                lost.push(start.max(offset)..stop.min(end));
                // Nobody may look at what is there, not even to see that it is zeros.
                let bad = start.max(offset)..stop.min(end);
                let anything = if sector % 2 == 0 { 0xee } else { 0 };
                buffer[(bad.start - offset) as usize..(bad.end - offset) as usize].fill(anything);
            }
        }
        Ok(lost)
    }

    fn allocation(&self, range: Range<u64>) -> io::Result<Vec<Allocated>> {
        let page = PAGE as u64;
        let pages = range.start / page..range.end.div_ceil(page);
        let piece = |number: u64| Allocated {
            range: number * page..(number + 1) * page,
            kind: self.pages[number as usize],
        };
        Ok(pages.map(piece).collect())
    }
}

/// Rules and chunker of a model.
pub(super) struct Model {
    pub rules: VolumeRules,
    pub chunker: Chunker,
}

/// Extents and where they begin, neighbours joined.
pub(super) type Manifest = Vec<(u64, Extent)>;

impl Model {
    /// Chunks of `min` to `max` bytes, 8 KiB or more on average, in these grains and anchors.
    pub(super) fn new(sizes: (u32, u32, u32), grain: u64, anchor: u64, cutting: Cutting) -> Self {
        let sizes = ChunkSizes::new(sizes.0, sizes.1, sizes.2).unwrap();
        Self {
            rules: VolumeRules::small(grain, anchor, cutting),
            chunker: Chunker::new(&[7; 32], sizes),
        }
    }

    /// The smallest: chunks of 1 to 16 KiB, grains of 4, anchors of 64.
    pub(super) fn small() -> Self {
        Self::new((1024, 8192, 16_384), 4096, 65_536, Cutting::Content)
    }

    /// Builds by looking at everything.
    pub(super) fn full(&self, disk: &Disk, hints: &[u64]) -> Manifest {
        let cuts = cuts_of_hints(hints.iter().copied(), disk.len()).unwrap();
        let (mut extents, mut at) = (Vec::new(), 0);
        while at < disk.len() {
            let end = self.rules.block_end(at, disk.len());
            let everything = at..end;
            let task = task(disk, at..end, vec![everything], Vec::new(), &cuts);
            self.build(disk, &task, &mut Vec::new(), &mut extents);
            at = end;
        }
        placed(extents)
    }

    /// Builds from a parent with its hints. Gives the manifest, and what was read.
    pub(super) fn incremental(
        &self,
        parent: (&Manifest, &[u64]),
        disk: &Disk,
        hints: &[u64],
        changed: &[Range<u64>],
    ) -> (Manifest, Vec<Range<u64>>) {
        let (parent, old_hints) = parent;
        let old_len = parent.last().map_or(0, |(start, last)| start + last.len);
        let old_cuts = cuts_of_hints(old_hints.iter().copied(), old_len).unwrap();
        let cuts = cuts_of_hints(hints.iter().copied(), disk.len()).unwrap();
        let changes = Changes {
            ranges: changed,
            unreadable: unreadable(parent),
            cuts: symmetric_difference(&old_cuts, &cuts),
            old_len,
            len: disk.len(),
        };
        let dirty = changes.dirty(&self.rules);
        let (mut extents, mut read, mut at) = (Vec::new(), Vec::new(), 0);
        while at < disk.len() {
            let end = self.rules.block_end(at, disk.len());
            let mut in_block = within(&dirty, at..end);
            let old = clipped(parent, at..end);
            if in_block.is_empty() {
                for (_, extent) in old {
                    push_extent(&mut extents, extent.len, extent.kind);
                }
            } else {
                let known = old.last().map_or(at, |(start, last)| start + last.len);
                assert!(known >= end || in_block.last().is_some_and(|last| last.end == end));
                in_block.retain(|range| !range.is_empty());
                let task = task(disk, at..end, in_block, old, &cuts);
                self.build(disk, &task, &mut read, &mut extents);
            }
            at = end;
        }
        (placed(extents), read)
    }

    fn build(
        &self,
        disk: &Disk,
        task: &BlockTask,
        read: &mut Vec<Range<u64>>,
        extents: &mut Vec<Extent>,
    ) {
        let cutter = Cutter {
            chunker: &self.chunker,
            cutting: self.rules.cutting,
        };
        let mut window = Window::new(Vec::new(), window_len(&self.rules, cutter));
        let mut io = ModelIo { disk, read };
        let built = build_block(&self.rules, cutter, task, &mut window, &mut io).unwrap();
        for extent in built {
            push_extent(extents, extent.len, extent.kind);
        }
    }
}

struct ModelIo<'m> {
    disk: &'m Disk,
    read: &'m mut Vec<Range<u64>>,
}

impl BlockIo for ModelIo<'_> {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>> {
        self.read.push(offset..offset + buffer.len() as u64);
        self.disk.read(offset, buffer)
    }

    fn store(&mut self, chunk: &[u8]) -> Result<ExtentKind> {
        Ok(ExtentKind::Chunk(ChunkId(*blake3::hash(chunk).as_bytes())))
    }
}

fn task(
    disk: &Disk,
    range: Range<u64>,
    dirty: Vec<Range<u64>>,
    old: Manifest,
    cuts: &[u64],
) -> BlockTask {
    let mut map = AllocationMap::new(disk);
    let pieces = dirty.iter().map(|range| map.pieces(range.clone()).unwrap());
    let allocated = pieces.flatten().collect();
    let cuts = cuts.iter().copied();
    BlockTask {
        from: range.start,
        end: range.end,
        old,
        dirty,
        allocated,
        cuts: cuts
            .filter(|cut| range.contains(cut) && *cut > range.start)
            .collect(),
    }
}

fn placed(extents: Vec<Extent>) -> Manifest {
    let mut at = 0;
    let place = |extent: Extent| {
        at += extent.len;
        (at - extent.len, extent)
    };
    extents.into_iter().map(place).collect()
}

/// The parts of `ranges` in `bounds`.
fn within(ranges: &[Range<u64>], bounds: Range<u64>) -> Vec<Range<u64>> {
    let clip = |range: &Range<u64>| range.start.max(bounds.start)..range.end.min(bounds.end);
    ranges
        .iter()
        .map(clip)
        .filter(|range| range.start < range.end)
        .collect()
}

/// The extents in `bounds`; chunks whole, so that a chunk that reaches beyond a new end shows.
fn clipped(manifest: &Manifest, bounds: Range<u64>) -> Manifest {
    let touches =
        |(start, extent): &&(u64, Extent)| *start < bounds.end && start + extent.len > bounds.start;
    let clip = |(start, extent): &(u64, Extent)| {
        if !extent.kind.merges() {
            return (*start, *extent);
        }
        let (from, to) = (bounds.start.max(*start), bounds.end.min(start + extent.len));
        let kind = extent.kind;
        (
            from,
            Extent {
                len: to - from,
                kind,
            },
        )
    };
    manifest.iter().filter(touches).map(clip).collect()
}

fn unreadable(manifest: &Manifest) -> Vec<Range<u64>> {
    let lost = manifest
        .iter()
        .filter(|(_, extent)| extent.kind == ExtentKind::Unreadable);
    lost.map(|(start, extent)| *start..start + extent.len)
        .collect()
}

fn symmetric_difference(one: &[u64], other: &[u64]) -> Vec<u64> {
    let only = |these: &[u64], those: &[u64]| -> Vec<u64> {
        let is_alone = |cut: &u64| those.binary_search(cut).is_err();
        these.iter().copied().filter(is_alone).collect()
    };
    [only(one, other), only(other, one)].concat()
}
