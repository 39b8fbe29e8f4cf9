//! Everything that snapshots need, as one bit for each entry of an index: exact, and 12 MB for
//! 10^8 chunks.

use std::collections::HashSet;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::{ChunkId, PageId};
use crate::format::snapshot::Snapshot;
use crate::mutants::{self, Mutant};
use crate::observe::{Counter, Observer};
use crate::operations::closure::{self, LostPage, Visitor};
use crate::operations::walk;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::index::Index;

/// Pages that are kept, bytes: they are read in order, each once.
const CACHE_LEN: usize = 8 << 20;
/// Snapshots that an error names.
const SNAPSHOTS_NAMED_MAX: usize = 8;

/// Which ids are needed.
pub(super) struct Marks<'i> {
    index: &'i Index,
    /// One for each entry of the index; of several entries of an id the first.
    bits: Vec<u64>,
}

/// What is needed and not there.
#[derive(Default)]
struct Lacking {
    ids: HashSet<ChunkId>,
    first: Option<Error>,
}

struct Marking<'m, 'i> {
    marks: &'m mut Marks<'i>,
    lacking: Lacking,
    observer: &'m dyn Observer,
}

impl<'i> Marks<'i> {
    /// Marks what `snapshots` need.
    ///
    /// # Errors
    /// If something that they need is not there, or a page of theirs cannot be read: it names the
    /// snapshots.
    pub(super) fn make<'s>(
        repository: &Repository,
        index: &'i Index,
        snapshots: impl Iterator<Item = &'s Snapshot> + Clone,
        observer: &dyn Observer,
    ) -> Result<Self> {
        index.ensure_whole()?;
        let mut marks = Self {
            index,
            bits: vec![0; index.len().div_ceil(64)],
        };
        let reader = ChunkReader::with_index(repository, index, CACHE_LEN);
        let mut marking = Marking {
            marks: &mut marks,
            lacking: Lacking::default(),
            observer,
        };
        for snapshot in snapshots.clone() {
            closure::visit(&reader, snapshot, &mut marking)?;
        }
        index.ensure_whole()?;
        match marking.lacking.first.take() {
            None => Ok(marks),
            Some(cause) => {
                let lacking = marking.lacking.ids;
                Err(refuse(&reader, snapshots, &lacking, cause)?)
            }
        }
    }

    /// True if the id of this entry is needed; of several entries of an id, of the first.
    pub(super) fn is_marked(&self, number: u64) -> bool {
        let word = self.bits.get((number / 64) as usize).copied().unwrap_or(0);
        word >> (number % 64) & 1 == 1
    }

    /// Every id that is needed, by the number of its first entry.
    pub(super) fn mark(&mut self, id: &ChunkId) -> Marked {
        let Some(number) = self.index.numbers(id).next() else {
            return Marked::Absent;
        };
        let word = &mut self.bits[(number / 64) as usize];
        let bit = 1 << (number % 64);
        let was = *word & bit != 0;
        *word |= bit;
        match was {
            true => Marked::Before,
            false => Marked::Now,
        }
    }
}

/// What marking an id came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    Now,
    Before,
    /// No pack holds it that can be read.
    Absent,
}

impl Visitor for Marking<'_, '_> {
    fn page(&mut self, id: &PageId) -> Result<bool> {
        walk::stop_if_cancelled(self.observer)?;
        match self.marks.mark(id) {
            Marked::Now if mutants::is_on(Mutant::ParentWithoutChildren) && id.0[0] & 3 == 0 => {
                Ok(false)
            }
            Marked::Now => {
                self.observer.count(Counter::Objects, 1);
                Ok(true)
            }
            Marked::Before => Ok(false),
            // The reader says why when it looks for the page.
            Marked::Absent => Ok(!self.lacking.ids.contains(id)),
        }
    }

    fn chunk(&mut self, id: &ChunkId) -> Result<()> {
        if self.marks.mark(id) == Marked::Absent && self.lacking.ids.insert(*id) {
            let error = || Error::new(ErrorKind::NotFound, Place::Chunk(*id), "no pack holds it");
            self.lacking.first.get_or_insert_with(error);
        }
        Ok(())
    }

    fn lost(&mut self, page: LostPage) -> Result<()> {
        // Scans and cuts tell what changed, and nothing is restored from them.
        if !page.is_helper && !mutants::is_on(Mutant::UnreadableIsEmpty) {
            self.lacking.ids.insert(page.id);
            self.lacking.first.get_or_insert(page.error);
        }
        Ok(())
    }
}

/// Looks which snapshots reach what is lacking.
struct Reach<'l> {
    lacking: &'l HashSet<ChunkId>,
    seen: HashSet<PageId>,
    hit: bool,
}

impl Visitor for Reach<'_> {
    fn page(&mut self, id: &PageId) -> Result<bool> {
        self.hit |= self.lacking.contains(id);
        Ok(!self.hit && self.seen.insert(*id))
    }

    fn chunk(&mut self, id: &ChunkId) -> Result<()> {
        self.hit |= self.lacking.contains(id);
        Ok(())
    }

    fn lost(&mut self, _: LostPage) -> Result<()> {
        Ok(())
    }
}

/// The error of ids that are needed, and of which the index names copies that are not there.
pub(super) fn refuse_absent(
    repository: &Repository,
    index: &Index,
    snapshots: &[Snapshot],
    lacking: &HashSet<ChunkId>,
) -> Result<Error> {
    let reader = ChunkReader::with_index(repository, index, CACHE_LEN);
    let first = lacking.iter().min().copied().unwrap_or(ChunkId([0; 32]));
    let cause = Error::new(ErrorKind::NotFound, Place::Chunk(first), "no pack holds it");
    refuse(&reader, snapshots.iter(), lacking, cause)
}

fn refuse<'s>(
    reader: &ChunkReader<'_>,
    snapshots: impl Iterator<Item = &'s Snapshot>,
    lacking: &HashSet<ChunkId>,
    cause: Error,
) -> Result<Error> {
    let mut concerned = Vec::new();
    for snapshot in snapshots {
        let mut reach = Reach {
            lacking,
            seen: HashSet::new(),
            hit: false,
        };
        closure::visit(reader, snapshot, &mut reach)?;
        if reach.hit {
            concerned.push(snapshot.session.to_string());
        }
    }
    let more = concerned.len().saturating_sub(SNAPSHOTS_NAMED_MAX);
    concerned.truncate(SNAPSHOTS_NAMED_MAX);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let detail = format!(
        "is needed by snapshots {}{more} and cannot be read; nothing was deleted: run check, then \
         take those snapshots again or forget them: {}",
        concerned.join(", "),
        cause.detail()
    );
    Ok(Error::new(cause.kind(), cause.place().clone(), detail).with_source(cause))
}
