//! Which packs are dead, and which are worth copying.
//!
//! Of an id with several copies one is kept: the one in the pack that holds most of what is needed.
//! The choice is made once for all packs, so two copies cannot each be dropped for the other's sake.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::error::Result;
use crate::format::id::ChunkId;
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::prune::PrunedPack;
use crate::mutants::{self, Mutant};
use crate::operations::prune::copy::Copied;
use crate::operations::prune::mark::{self, Marks};
use crate::operations::prune::survey::Survey;
use crate::operations::prune::{MaxUnused, PackSum, Prune};
use crate::repository::index::{Index, LocalIndex, Location};

/// What becomes of the packs.
pub(super) struct Choice {
    /// Packs that nothing needs, ascending.
    pub dead: BTreeMap<ObjectName, u64>,
    /// Packs whose needed frames are to be copied, the least used first.
    pub sparse: Vec<SparsePack>,
    /// Bytes that stay and are not needed.
    pub unused_bytes: u64,
    /// Packs that are there and that no table tells of: they cannot be read, and stay.
    pub unreadable: Vec<ObjectName>,
}

/// A pack of which something is needed.
#[derive(Debug)]
pub(super) struct SparsePack {
    pub name: ObjectName,
    pub len: u64,
    /// Where the needed frames begin in it, ascending, bytes.
    pub live_frames: BTreeSet<u64>,
    /// Their stored length, bytes.
    pub live_len: u64,
    /// That of the others.
    pub unused_len: u64,
}

/// One pack while copies are compared.
struct Facts {
    name: ObjectName,
    len: u64,
    /// Length of all its frames, bytes.
    content_len: u64,
    /// Needed ids of which it holds a copy.
    weight: u64,
    live_frames: BTreeSet<u64>,
    live_len: u64,
}

/// The packs of an index that are there.
struct Packs {
    facts: Vec<Facts>,
    /// By the number that the index gives a pack; nothing if that pack is not there.
    by_number: Vec<Option<u32>>,
}

impl Choice {
    /// Marks and chooses.
    ///
    /// # Errors
    /// If something that a snapshot needs is not there or cannot be read.
    pub(super) fn make(prune: &Prune<'_>, survey: &Survey) -> Result<Self> {
        let repository = prune.repository;
        let index = load_all(prune)?;
        let marks = Marks::make(repository, &index, survey.live.iter(), prune.observer)?;
        // What was stored since the survey is there as well; it may not go.
        let listed = repository.backend().list(ObjectKind::Pack)?.into_iter();
        let there = listed.map(|info| (info.name, info.len)).collect();
        let mut packs = Packs::of(&index, &there);
        packs.weigh(&index, &marks);
        let damaged = repository.local_index().map(LocalIndex::damaged_copies);
        let lacking = packs.keep(&index, &marks, &damaged.unwrap_or_default());
        index.ensure_whole()?;
        if !lacking.is_empty() {
            return Err(mark::refuse_absent(
                repository,
                &index,
                &survey.live,
                &lacking,
            )?);
        }
        Ok(packs.choose(prune, survey))
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.dead.is_empty() && self.sparse.is_empty()
    }

    /// What a plan condemns once some packs were copied.
    pub(super) fn condemned(&self, copied: &Copied) -> Vec<PrunedPack> {
        let names = self.dead.keys().chain(copied.sources());
        let mut packs: Vec<_> = names.filter_map(PrunedPack::of).collect();
        packs.sort_unstable();
        packs
    }
}

/// Everything that runs and tables say.
pub(super) fn load_all(prune: &Prune<'_>) -> Result<Index> {
    let (backend, keys) = (prune.repository.backend(), prune.repository.keys());
    let index = Index::load(backend, keys, prune.repository.local_index())?;
    index.with_uncovered(backend, keys)
}

impl Packs {
    fn of(index: &Index, there: &HashMap<ObjectName, u64>) -> Self {
        let mut known = HashMap::new();
        let mut packs = Self {
            facts: Vec::new(),
            by_number: Vec::new(),
        };
        let mut numbers = Vec::new(); // of which its frames are counted, where several runs name it
        for (number, pack) in index.packs().enumerate() {
            let name = pack.name();
            let is_there = there.get(&name) == Some(&pack.object_len);
            packs.by_number.push(is_there.then(|| {
                *known.entry(name).or_insert_with(|| {
                    numbers.push(number as u32);
                    packs.facts.push(Facts {
                        name,
                        len: pack.object_len,
                        content_len: 0,
                        weight: 0,
                        live_frames: BTreeSet::new(),
                        live_len: 0,
                    });
                    packs.facts.len() as u32 - 1
                })
            }));
        }
        for frame in index.frames() {
            let facts = packs.by_number.get(frame.pack as usize).copied().flatten();
            if let Some(facts) = facts.map(|facts| facts as usize)
                && numbers[facts] == frame.pack
            {
                packs.facts[facts].content_len += u64::from(frame.stored_len);
            }
        }
        packs
    }

    fn number_of(&self, copy: &Location) -> Option<usize> {
        let number = self.by_number.get(copy.frame.pack as usize)?;
        number.map(|number| number as usize)
    }

    /// Counts for each pack the needed ids of which it holds a copy.
    fn weigh(&mut self, index: &Index, marks: &Marks<'_>) {
        each_needed(index, marks, |_, copies| {
            for copy in copies {
                if let Some(pack) = self.number_of(copy) {
                    self.facts[pack].weight += 1;
                }
            }
        });
    }

    /// Keeps one copy of each needed id, and so the frame it lies in. Gives the ids of which none
    /// is there.
    fn keep(
        &mut self,
        index: &Index,
        marks: &Marks<'_>,
        damaged: &HashSet<(ObjectName, ChunkId)>,
    ) -> HashSet<ChunkId> {
        let mut lacking = HashSet::new();
        each_needed(index, marks, |id, copies| {
            let there = copies.iter().filter_map(|copy| {
                let pack = self.number_of(copy)?;
                let facts = &self.facts[pack];
                let is_whole = !damaged.contains(&(facts.name, *id));
                Some(((is_whole, facts.weight, Reverse(pack)), pack, copy))
            });
            if mutants::is_on(Mutant::BothCopiesDropped) && copies.len() > 1 {
                return;
            }
            match there.max_by_key(|(rank, _, copy)| (*rank, Reverse(copy.frame.offset))) {
                Some((_, pack, copy)) => {
                    let facts = &mut self.facts[pack];
                    if facts.live_frames.insert(copy.frame.offset) {
                        facts.live_len += u64::from(copy.frame.stored_len);
                    }
                }
                None => drop(lacking.insert(*id)),
            }
        });
        lacking
    }

    fn choose(self, prune: &Prune<'_>, survey: &Survey) -> Choice {
        let told: HashSet<_> = self.facts.iter().map(|facts| facts.name).collect();
        let unreadable = survey.packs.keys().filter(|name| !told.contains(name));
        let unreadable = unreadable.copied().collect();
        let mut choice = Choice {
            dead: BTreeMap::new(),
            sparse: Vec::new(),
            unused_bytes: 0,
            unreadable,
        };
        let (mut kept_bytes, mut sparse) = (0, Vec::new());
        for facts in self.facts {
            let may_go = survey.may_go(&facts.name);
            if facts.live_frames.is_empty() && may_go {
                choice.dead.insert(facts.name, facts.len);
                continue;
            }
            kept_bytes += facts.len;
            let unused = facts.content_len.saturating_sub(facts.live_len);
            choice.unused_bytes += unused;
            if may_go && unused > 0 {
                let pack = SparsePack {
                    name: facts.name,
                    len: facts.len,
                    live_frames: facts.live_frames,
                    live_len: facts.live_len,
                    unused_len: unused,
                };
                sparse.push(pack);
            }
        }
        choice.take_sparse(prune, sparse, kept_bytes);
        choice
    }
}

impl Choice {
    /// Takes the packs with the smallest used share, until what stays unused is little enough.
    fn take_sparse(&mut self, prune: &Prune<'_>, mut packs: Vec<SparsePack>, kept_bytes: u64) {
        let options = prune.options;
        let allowed = match options.max_unused {
            MaxUnused::Permille(share) => kept_bytes / 1000 * u64::from(share),
            MaxUnused::Bytes(bytes) => bytes,
        };
        packs.sort_by_key(|pack| (pack.live_len * 1000 / pack.len.max(1), pack.name));
        let mut copied = 0;
        for pack in packs {
            if self.unused_bytes <= allowed {
                break;
            }
            if copied + pack.live_len > options.max_repack {
                continue;
            }
            copied += pack.live_len;
            self.unused_bytes -= pack.unused_len;
            self.sparse.push(pack);
        }
    }

    pub(super) fn dead_sum(&self) -> PackSum {
        let mut sum = PackSum::default();
        self.dead.values().for_each(|len| sum.add(*len));
        sum
    }
}

/// Calls `body` with every needed id and all entries of it.
pub(super) fn each_needed(
    index: &Index,
    marks: &Marks<'_>,
    mut body: impl FnMut(&ChunkId, &[Location]),
) {
    let mut current = None;
    let mut copies = Vec::new();
    for (id, number, copy) in index.numbered_locations() {
        if current != Some(id) {
            if let Some(id) = current.filter(|_| !copies.is_empty()) {
                body(&id, &copies);
            }
            copies.clear();
            current = Some(id);
            if !marks.is_marked(number) {
                continue;
            }
        } else if copies.is_empty() {
            continue; // the first entry of this id said that nobody needs it
        }
        copies.push(copy);
    }
    if let Some(id) = current.filter(|_| !copies.is_empty()) {
        body(&id, &copies);
    }
}
