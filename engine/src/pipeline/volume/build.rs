//! Builds the manifest of a volume: plans pieces, gives them to workers, and joins what they find
//! with what is taken over from the parent.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Place, Result};
use crate::format::cuts::CutsChild;
use crate::format::entry::{Extent, ExtentKind};
use crate::format::extents::ExtentsChild;
use crate::format::id::ChunkId;
use crate::observe::Counter;
use crate::pipeline::ingest::{Ingest, Ticket};
use crate::pipeline::volume::block::{BlockIo, BlockTask, build_block, window_len};
use crate::pipeline::volume::changes::{AllocationMap, Changes, union_of_grains};
use crate::pipeline::volume::parent::{
    ParentVolume, ParentWalk, cuts_that_differ, unreadable_ranges,
};
use crate::pipeline::volume::rules::{Cutter, VolumeRules};
use crate::pipeline::volume::window::Window;
use crate::pipeline::volume::{Allocation, VolumeReader};
use crate::pipeline::worker::{IngestError, Worker};
use crate::repository::index::is_missing_or_damaged;
use crate::repository::manifest::builder::{BuiltRoot, PageStore};
use crate::repository::manifest::cuts::{BuiltCuts, CutsBuilder};
use crate::repository::manifest::extents::ExtentsBuilder;

/// Pieces of a volume that wait for its builder before the oldest is waited for.
const PARTS_WAITING_MAX: usize = 64;

/// A volume to be stored.
pub struct NewVolume<'v> {
    /// Its bytes.
    pub reader: Arc<dyn VolumeReader>,
    /// How it is divided.
    pub rules: VolumeRules,
    /// Its forced cuts, as [`cuts_of_hints`](super::cuts_of_hints) makes them.
    pub cuts: &'v [u64],
    /// What is known of an earlier snapshot of it.
    pub parent: Option<ParentVolume<'v>>,
    /// With a parent: all ranges where bytes or what is allocated may differ from it, in any
    /// order, overlapping or not. What lies behind the end of either needs not be named.
    pub changed: &'v [Range<u64>],
}

/// How a volume was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildMode {
    /// From its parent and what changed.
    Incremental,
    /// By looking at everything: there was no parent.
    NoParent,
    /// By looking at everything: the parent was divided in another way.
    OtherRules,
    /// By looking at everything: the cuts of the parent cannot be read.
    CutsLost,
}

/// A volume that was stored.
#[derive(Debug)]
pub struct BuiltVolume {
    /// The root of its extents, and its length.
    pub root: BuiltRoot<ExtentsChild>,
    /// The root of its cuts; nothing if there are none.
    pub cuts: Option<BuiltRoot<CutsChild>>,
    /// How.
    pub mode: BuildMode,
    /// What could not be read: ascending and disjoint.
    pub unreadable: Vec<Range<u64>>,
    /// Length of the pieces that were looked at, and not taken over as they were, bytes.
    pub rebuilt_bytes: u64,
}

/// Stores a volume on all workers of `ingest`.
///
/// # Errors
/// When the source gives nothing more, storing fails, or the parent is no volume of these rules.
pub fn build<'s>(
    ingest: &Ingest<'s>,
    store: &mut PageStore<'_>,
    volume: &NewVolume<'_>,
) -> Result<BuiltVolume> {
    let cuts = build_cuts(volume.cuts, store)?;
    let (mode, dirty) = plan(volume, &cuts)?;
    let is_stored = |id: &ChunkId| ingest.is_stored(id);
    let parent = volume.parent.filter(|_| mode == BuildMode::Incremental);
    let takes_pages =
        parent.is_some_and(|parent| !parent.check_chunks && !ingest.may_lack_chunks());
    let new_walk = || {
        parent
            .as_ref()
            .map(|parent| ParentWalk::new(parent, takes_pages, &is_stored))
    };
    let len = volume.reader.len();
    let mut build = Build {
        ingest,
        store,
        volume,
        is_end_old: parent.is_some_and(|parent| parent.extents.len == len),
        len,
        builder: ExtentsBuilder::new(),
        at: 0,
        unreadable: Vec::new(),
        rebuilt_bytes: 0,
    };
    let mut planner = Planner::new(volume, dirty, 0, new_walk());
    build.run(&mut planner, new_walk().as_mut(), &new_walk)?;
    Ok(BuiltVolume {
        root: build.builder.finish(build.store)?,
        cuts: cuts.root,
        mode,
        unreadable: build.unreadable,
        rebuilt_bytes: build.rebuilt_bytes,
    })
}

fn build_cuts(cuts: &[u64], store: &mut PageStore<'_>) -> Result<BuiltCuts> {
    let mut builder = CutsBuilder::new();
    cuts.iter().try_for_each(|&cut| builder.push(cut, store))?;
    builder.finish(store)
}

/// How the volume is built, and the grains that must be looked at.
fn plan(volume: &NewVolume<'_>, cuts: &BuiltCuts) -> Result<(BuildMode, Vec<Range<u64>>)> {
    let len = volume.reader.len();
    let everything = |mode| {
        let all = (len > 0).then_some(0..len);
        Ok((mode, all.into_iter().collect()))
    };
    let Some(parent) = &volume.parent else {
        return everything(BuildMode::NoParent);
    };
    if parent.rules != volume.rules {
        return everything(BuildMode::OtherRules);
    }
    let cuts = match differing_cuts(parent, volume.cuts, cuts) {
        Err(error) if is_missing_or_damaged(&error) => return everything(BuildMode::CutsLost),
        cuts => cuts?,
    };
    let changes = Changes {
        ranges: volume.changed,
        unreadable: unreadable_ranges(parent)?,
        cuts,
        old_len: parent.extents.len,
        len,
    };
    Ok((BuildMode::Incremental, changes.dirty(&volume.rules)))
}

fn differing_cuts(parent: &ParentVolume<'_>, new: &[u64], built: &BuiltCuts) -> Result<Vec<u64>> {
    let root = built.root.map(|root| (root.child.page, root.level));
    if parent.cuts == root {
        return Ok(Vec::new());
    }
    cuts_that_differ(parent, new, &built.leaves)
}

/// A part of the plan, in order.
enum Work {
    /// Nothing need be read: whole pieces between anchors are of one kind.
    Known(Range<u64>, ExtentKind),
    /// A piece to be cut.
    Block(BlockTask),
}

/// Goes over the dirty grains of a volume and makes work of them.
struct Planner<'p> {
    rules: VolumeRules,
    len: u64,
    dirty: Vec<Range<u64>>,
    /// The first of them that is not done.
    next: usize,
    /// Everything before it is planned.
    at: u64,
    parent: Option<ParentWalk<'p>>,
    allocation: AllocationMap<'p>,
    cuts: &'p [u64],
}

impl<'p> Planner<'p> {
    /// Plans `dirty` from `at` on, where an extent begins.
    fn new(
        volume: &'p NewVolume<'_>,
        dirty: Vec<Range<u64>>,
        at: u64,
        parent: Option<ParentWalk<'p>>,
    ) -> Self {
        Self {
            rules: volume.rules,
            len: volume.reader.len(),
            dirty,
            next: 0,
            at,
            parent,
            allocation: AllocationMap::new(&*volume.reader),
            cuts: volume.cuts,
        }
    }

    /// The next piece of work; what lies between two is unchanged.
    fn next(&mut self) -> Result<Option<Work>> {
        while self
            .dirty
            .get(self.next)
            .is_some_and(|range| range.end <= self.at)
        {
            self.next += 1;
        }
        let Some(dirty) = self.dirty.get(self.next).cloned() else {
            return Ok(None);
        };
        let from = self.rules.block_start(dirty.start).max(self.at);
        if dirty.start <= from
            && self.rules.block_start(from) == from
            && let Some((stop, kind)) = self.known_run(from, dirty.end)?
        {
            self.at = stop;
            return Ok(Some(Work::Known(from..stop, kind)));
        }
        let end = self.rules.block_end(from, self.len);
        self.at = end;
        self.task(from, end).map(|task| Some(Work::Block(task)))
    }

    /// Whole pieces from `from` on that are known to be zeros of one kind, up to `limit`.
    fn known_run(&mut self, from: u64, limit: u64) -> Result<Option<(u64, ExtentKind)>> {
        let run = self.allocation.run_at(from, limit).map_err(cannot_ask)?;
        let kind = match run.kind {
            Allocation::Data => return Ok(None),
            Allocation::Zero => ExtentKind::Zero,
            Allocation::Hole => ExtentKind::Hole,
        };
        let stop = if run.range.end == self.len {
            self.len
        } else {
            self.rules.block_start(run.range.end)
        };
        Ok((stop > from).then_some((stop, kind)))
    }

    fn task(&mut self, from: u64, end: u64) -> Result<BlockTask> {
        let behind = self.dirty.partition_point(|range| range.end <= from);
        let touching = self.dirty.iter().skip(behind);
        let touching = touching.take_while(|range| range.start < end);
        let mut dirty: Vec<Range<u64>> = touching.cloned().collect();
        let is_all_dirty = dirty
            .first()
            .is_some_and(|d| d.start <= from && d.end >= end);
        let old = match &mut self.parent {
            Some(parent) if !is_all_dirty => parent.extents_of(from..end)?,
            _ => Vec::new(),
        };
        dirty.extend(gaps(&old, from..end));
        let dirty = union_of_grains(&self.rules, dirty, from..end);
        let mut allocated = Vec::new();
        for range in &dirty {
            // The grain that holds `from` may begin before it.
            let range = self.rules.grain_start(range.start)..range.end;
            allocated.extend(self.allocation.pieces(range).map_err(cannot_ask)?);
        }
        let first = self.cuts.partition_point(|&cut| cut <= from);
        let cuts = self.cuts.iter().skip(first).copied();
        let cuts = cuts.take_while(|&cut| cut < end).collect();
        Ok(BlockTask {
            from,
            end,
            old,
            dirty,
            allocated,
            cuts,
        })
    }
}

/// What `extents` leave out of `range`.
fn gaps(extents: &[(u64, Extent)], range: Range<u64>) -> Vec<Range<u64>> {
    let mut gaps = Vec::new();
    let mut at = range.start;
    for (start, extent) in extents {
        if *start > at {
            gaps.push(at..*start);
        }
        at = start + extent.len;
    }
    if at < range.end {
        gaps.push(at..range.end);
    }
    gaps
}

/// A part on its way through the workers.
struct Part {
    range: Range<u64>,
    extents: PartExtents,
}

enum PartExtents {
    Known(ExtentKind),
    Ticket(Ticket<io::Result<Vec<Extent>>>),
}

/// The manifest as far as it is built.
struct Build<'b, 's, 'w> {
    ingest: &'b Ingest<'s>,
    store: &'b mut PageStore<'w>,
    volume: &'b NewVolume<'b>,
    len: u64,
    /// True if the parent is as long.
    is_end_old: bool,
    builder: ExtentsBuilder,
    /// First byte that is not in the manifest.
    at: u64,
    unreadable: Vec<Range<u64>>,
    rebuilt_bytes: u64,
}

impl Build<'_, '_, '_> {
    /// Does what `planner` plans, and takes over what lies between.
    fn run<'p>(
        &mut self,
        planner: &mut Planner<'_>,
        mut parent: Option<&mut ParentWalk<'p>>,
        new_walk: &dyn Fn() -> Option<ParentWalk<'p>>,
    ) -> Result<()> {
        let mut waiting = VecDeque::new();
        loop {
            while waiting.len() < PARTS_WAITING_MAX
                && let Some(work) = planner.next()?
            {
                waiting.push_back(self.submit(work)?);
            }
            let next: Option<Part> = waiting.pop_front();
            let until = next.as_ref().map_or(self.len, |part| part.range.start);
            if let Some(parent) = parent.as_deref_mut() {
                self.take_over(until, parent, new_walk)?;
            }
            match next {
                Some(part) => self.push_part(part)?,
                None => return Ok(()),
            }
        }
    }

    /// Takes over the parent up to `until`; what is lost there is built anew.
    fn take_over<'p>(
        &mut self,
        until: u64,
        parent: &mut ParentWalk<'p>,
        new_walk: &dyn Fn() -> Option<ParentWalk<'p>>,
    ) -> Result<()> {
        while self.at < until {
            let range = self.at..until;
            let is_end = self.is_end_old && until == self.len;
            let lost = parent.take_over(range, is_end, &mut self.builder, self.store)?;
            let stop = lost.as_ref().map_or(until, |lost| lost.start);
            self.pass(stop);
            if let Some(lost) = lost {
                self.repair(lost, new_walk)?;
            }
        }
        Ok(())
    }

    /// Builds the pieces that `lost` touches, from its start on.
    fn repair<'p>(
        &mut self,
        lost: Range<u64>,
        new_walk: &dyn Fn() -> Option<ParentWalk<'p>>,
    ) -> Result<()> {
        let mut planner = Planner::new(self.volume, vec![lost.clone()], lost.start, new_walk());
        let mut waiting = VecDeque::new();
        loop {
            while waiting.len() < PARTS_WAITING_MAX
                && let Some(work) = planner.next()?
            {
                waiting.push_back(self.submit(work)?);
            }
            match waiting.pop_front() {
                Some(part) => self.push_part(part)?,
                None => return Ok(()),
            }
        }
    }

    fn submit(&self, work: Work) -> Result<Part> {
        let task = match work {
            Work::Known(range, kind) => {
                let extents = PartExtents::Known(kind);
                return Ok(Part { range, extents });
            }
            Work::Block(task) => task,
        };
        let range = task.from..task.end;
        let reader = Arc::clone(&self.volume.reader);
        let rules = self.volume.rules;
        let ticket = self.ingest.submit(move |worker| {
            match worker.ingest_block(&*reader, &rules, &task) {
                Ok(extents) => Ok(Ok(extents)),
                Err(IngestError::Source(error)) => Ok(Err(error)),
                Err(IngestError::Store(error)) => Err(error),
            }
        })?;
        let extents = PartExtents::Ticket(ticket);
        Ok(Part { range, extents })
    }

    fn push_part(&mut self, part: Part) -> Result<()> {
        self.rebuilt_bytes += part.range.end - part.range.start;
        let extents = match part.extents {
            PartExtents::Known(kind) => vec![Extent {
                len: part.range.end - part.range.start,
                kind,
            }],
            PartExtents::Ticket(ticket) => ticket
                .wait()?
                .map_err(|error| Error::io(Place::Argument("volume"), "cannot be read", error))?,
        };
        let mut at = part.range.start;
        for extent in extents {
            let range = at..at + extent.len;
            at = range.end;
            if extent.kind == ExtentKind::Unreadable {
                self.add_unreadable(range);
            }
            self.builder.push(extent, self.store)?;
        }
        self.pass(part.range.end);
        Ok(())
    }

    fn add_unreadable(&mut self, range: Range<u64>) {
        match self.unreadable.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.unreadable.push(range),
        }
    }

    fn pass(&mut self, to: u64) {
        self.ingest.count(Counter::Bytes, to - self.at);
        self.at = to;
    }
}

fn cannot_ask(error: io::Error) -> Error {
    Error::io(
        Place::Argument("volume"),
        "does not say what is allocated",
        error,
    )
}

impl Worker<'_> {
    /// Builds one piece of a volume.
    pub(super) fn ingest_block(
        &mut self,
        reader: &dyn VolumeReader,
        rules: &VolumeRules,
        task: &BlockTask,
    ) -> Result<Vec<Extent>, IngestError> {
        let chunker = self.chunker();
        let cutter = Cutter {
            chunker,
            cutting: rules.cutting,
        };
        let len_max = self.buffer_len_max().max(window_len(rules, cutter));
        let mut window = Window::new(self.take_buffer(), len_max);
        let mut io = WorkerIo {
            worker: self,
            reader,
        };
        let extents = build_block(rules, cutter, task, &mut window, &mut io);
        self.return_buffer(window.into_buffer());
        extents
    }
}

/// A worker and its source.
struct WorkerIo<'i, 's> {
    worker: &'i mut Worker<'s>,
    reader: &'i dyn VolumeReader,
}

impl BlockIo for WorkerIo<'_, '_> {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>> {
        let lost = self.reader.read(offset, buffer)?;
        self.worker.count_read(buffer.len() as u64);
        Ok(lost)
    }

    fn store(&mut self, chunk: &[u8]) -> Result<ExtentKind> {
        self.worker.store_chunk(chunk)
    }
}
