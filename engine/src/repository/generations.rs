//! The index as a reader sees it while prunes run beside it: what there was when it began, and what
//! it learnt since, one generation for each time that it looked again.
//!
//! A prune stores copies and their runs before it deletes a pack. So who found a pack gone, and then
//! lists the runs, and behind them the packs, knows a copy of everything that was kept: it is in a
//! listed pack, which a run that was read speaks of, or else its own table. One look serves all
//! packs that are gone by then.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::error::Result;
use crate::format::id::ChunkId;
use crate::format::name::{ObjectName, PackClass};
use crate::repository::Repository;
use crate::repository::index::{Index, Known, Location};

/// A frame, by the generation of the index that knows it and its number there; within one they are
/// ordered as the packs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameRef {
    generation: u32,
    number: u32,
}

/// The generations of one reader; shared by threads.
pub(crate) struct Generations<'r> {
    first: &'r Index,
    later: RwLock<Later>,
    /// False as long as `later` is empty.
    is_beyond_first: AtomicBool,
    /// Whoever looks holds it; what is known by then, once somebody looked.
    looking: Mutex<Option<Known>>,
}

#[derive(Default)]
struct Later {
    generations: Vec<Index>,
    /// Packs that some generation speaks of and that are not there any more.
    gone: HashSet<ObjectName>,
}

impl FrameRef {
    /// True if at most `distance` frames lie from one to the other.
    pub(crate) fn is_near(self, other: Self, distance: u32) -> bool {
        self.is_of_same_generation(other) && self.number.abs_diff(other.number) <= distance
    }

    /// True if the same generation knows both.
    pub(crate) fn is_of_same_generation(self, other: Self) -> bool {
        self.generation == other.generation
    }
}

impl<'r> Generations<'r> {
    /// What `first` knows.
    pub(crate) fn new(first: &'r Index) -> Self {
        Self {
            first,
            later: RwLock::default(),
            is_beyond_first: AtomicBool::new(false),
            looking: Mutex::default(),
        }
    }

    /// Every copy that is known, those in packs that are known to be gone behind the others.
    pub(crate) fn copies(&self, id: &ChunkId) -> Vec<(FrameRef, Location)> {
        let later = self.later.read();
        let mut copies: Vec<_> = copies_of(self.first, 0, id).collect();
        for (index, generation) in later.generations.iter().zip(1..) {
            copies.extend(copies_of(index, generation, id));
        }
        copies.sort_by_key(|(_, copy)| later.gone.contains(&copy.pack.name()));
        copies
    }

    /// A copy of `class`, in a pack that is not known to be gone if there is one.
    pub(crate) fn copy(&self, id: &ChunkId, class: PackClass) -> Option<(FrameRef, Location)> {
        let of_class = |(_, copy): &(FrameRef, Location)| copy.pack.class == class;
        if self.is_beyond_first.load(Ordering::Acquire) {
            self.copies(id).into_iter().find(of_class)
        } else {
            copies_of(self.first, 0, id).find(of_class)
        }
    }

    /// The location of a whole frame.
    pub(crate) fn frame(&self, frame: FrameRef) -> Location {
        let location = match frame.generation.checked_sub(1) {
            None => self.first.frame(frame.number),
            Some(later) => {
                let generations = &self.later.read().generations;
                let index = generations.get(later as usize);
                index.and_then(|index| index.frame(frame.number))
            }
        };
        location.expect("a frame is named by a generation that showed it")
    }

    /// True if it is known that the pack is not there any more.
    pub(crate) fn is_gone(&self, pack: &ObjectName) -> bool {
        self.is_beyond_first.load(Ordering::Acquire) && self.later.read().gone.contains(pack)
    }

    /// Looks again, unless that was done: for what no run and no table has shown.
    pub(crate) fn look_once(&self, repository: &Repository) -> Result<()> {
        let mut looking = self.looking.lock();
        match *looking {
            Some(_) => Ok(()),
            None => self.look(repository, &mut looking),
        }
    }

    /// Looks again, unless that was done since one of `packs` was found gone.
    pub(crate) fn look_for(&self, repository: &Repository, packs: &[ObjectName]) -> Result<()> {
        let mut looking = self.looking.lock();
        if packs
            .iter()
            .all(|pack| self.later.read().gone.contains(pack))
        {
            return Ok(());
        }
        self.look(repository, &mut looking)?;
        // Even if a listing shows them: who was told that they are gone goes on without them.
        self.later.write().gone.extend(packs);
        self.is_beyond_first.store(true, Ordering::Release);
        Ok(())
    }

    /// Looks again, whatever was looked for before: for what was committed meanwhile.
    #[cfg(feature = "fuse")]
    pub(crate) fn look_again(&self, repository: &Repository) -> Result<()> {
        self.look(repository, &mut self.looking.lock())
    }

    fn look(&self, repository: &Repository, looking: &mut Option<Known>) -> Result<()> {
        let mut known = match looking {
            Some(known) => known.clone(),
            None => Known::of(self.first),
        };
        let (backend, keys) = (repository.backend(), repository.keys());
        let (news, listed) = Index::load_beyond(&mut known, backend, keys)?;
        let gone = known.packs().filter(|pack| !listed.contains(pack));
        let gone: HashSet<_> = gone.copied().collect();
        let mut later = self.later.write();
        let is_beyond_first = !news.is_empty() || !gone.is_empty();
        later.gone.extend(gone);
        if !news.is_empty() {
            later.generations.push(news);
        }
        if is_beyond_first {
            self.is_beyond_first.store(true, Ordering::Release);
        }
        *looking = Some(known);
        Ok(())
    }

    /// How often something new was found, and once for what it began with.
    #[cfg(test)]
    pub(crate) fn generation_count(&self) -> usize {
        1 + self.later.read().generations.len()
    }
}

fn copies_of<'i>(
    index: &'i Index,
    generation: u32,
    id: &'i ChunkId,
) -> impl Iterator<Item = (FrameRef, Location)> + 'i {
    index.locate(id).map(move |copy| {
        let number = copy.frame_number;
        (FrameRef { generation, number }, copy)
    })
}
