//! Builds the manifest of a volume: gives planned pieces to workers, and joins what they find with
//! what is taken over from the parent.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::cuts::CutsChild;
use crate::format::entry::{Extent, ExtentKind};
use crate::format::extents::ExtentsChild;
use crate::format::id::ChunkId;
use crate::limits::FILE_LEN_LIMIT;
use crate::observe::Counter;
use crate::pipeline::ingest::{Ingest, Ticket};
use crate::pipeline::volume::VolumeReader;
use crate::pipeline::volume::parent::{ParentVolume, ParentWalk};
use crate::pipeline::volume::plan::{Planner, Work, plan};
use crate::pipeline::volume::rules::VolumeRules;
use crate::pipeline::worker::IngestError;
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
    check_len(volume.reader.len())?;
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

fn check_len(len: u64) -> Result<()> {
    if len <= FILE_LEN_LIMIT {
        return Ok(());
    }
    let detail = format!("has {len} bytes, at most {FILE_LEN_LIMIT} can be stored");
    let place = Place::Argument("volume");
    Err(Error::new(ErrorKind::LimitExceeded, place, detail))
}

fn build_cuts(cuts: &[u64], store: &mut PageStore<'_>) -> Result<BuiltCuts> {
    let mut builder = CutsBuilder::new();
    cuts.iter().try_for_each(|&cut| builder.push(cut, store))?;
    builder.finish(store)
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
