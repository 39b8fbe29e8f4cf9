//! Plans a build: which grains must be looked at, and what a worker must know for each piece.

use std::io;
use std::ops::Range;

use crate::error::{Error, Place, Result};
use crate::format::entry::{Content, Extent, ExtentKind};
use crate::pipeline::volume::Allocation;
use crate::pipeline::volume::block::BlockTask;
use crate::pipeline::volume::build::{BuildMode, NewVolume};
use crate::pipeline::volume::changes::{AllocationMap, Changes, union_of_grains};
use crate::pipeline::volume::parent::{ParentVolume, ParentWalk, cuts_that_differ};
use crate::pipeline::volume::rules::VolumeRules;
use crate::repository::index::is_missing_or_damaged;
use crate::repository::manifest::content::unreadable_ranges;
use crate::repository::manifest::cuts::BuiltCuts;

/// How the volume is built, and the grains that must be looked at.
pub(super) fn plan(
    volume: &NewVolume<'_>,
    cuts: &BuiltCuts,
) -> Result<(BuildMode, Vec<Range<u64>>)> {
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
        unreadable: unreadable_ranges(parent.reader, &Content::Tree(parent.extents))?,
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
pub(super) enum Work {
    /// Nothing need be read: whole pieces between anchors are of one kind.
    Known(Range<u64>, ExtentKind),
    /// A piece to be cut.
    Block(BlockTask),
}

/// Goes over the dirty grains of a volume and makes work of them.
pub(super) struct Planner<'p> {
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
    pub(super) fn new(
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
    pub(super) fn next(&mut self) -> Result<Option<Work>> {
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

fn cannot_ask(error: io::Error) -> Error {
    Error::io(
        Place::Argument("volume"),
        "does not say what is allocated",
        error,
    )
}
