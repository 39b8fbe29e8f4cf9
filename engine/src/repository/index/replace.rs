//! Runs in the place of others: stored, read back, compared, and only then the others are deleted.
//!
//! What two runs say is compared pack by pack: the number of its entries, and a sum of keyed hashes
//! over all that they say. An entry that was lost or changed on the way changes its pack's.

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind, Result};
use crate::format::index_run::{IndexRun, IndexedPack};
use crate::format::name::ObjectName;
use crate::format::prune::PrunedPack;
use crate::format::table::TableName;
use crate::limits::INDEX_RUN_ENTRIES_MAX;
use crate::mutants::{self, Mutant};
use crate::repository::index::runs::{RunBuilder, read_run};
use crate::repository::random;
use crate::repository::session::Session;

/// Gathers what new runs say, and deletes the old ones once the new ones are proven to say it.
pub(crate) struct Replacer<'s, 'r> {
    session: &'s Session<'r>,
    /// Stores and deletes nothing, and counts all the same.
    is_dry: bool,
    key: [u8; 32],
    batch: Batch,
    done: Replaced,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// Runs that were written.
    pub written: u64,
    /// Runs that were removed.
    pub removed: u64,
    /// Runs that stay: another has taken the new run away before it was proven to say the same. It
    /// has proven that its own does.
    pub left: Vec<ObjectName>,
}

/// What one new run will say, and whose place it takes.
#[derive(Default)]
struct Batch {
    inputs: Vec<ObjectName>,
    run: RunBuilder,
    expected: BTreeSet<PackPrint>,
}

/// What a run says of one pack, in few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PackPrint {
    pack: PrunedPack,
    object_len: u64,
    entries: u64,
    sum: [u64; 4],
}

impl<'s, 'r> Replacer<'s, 'r> {
    /// Stores its runs under names of `session`.
    pub(crate) fn new(session: &'s Session<'r>, is_dry: bool) -> Result<Self> {
        Ok(Self {
            session,
            is_dry,
            key: random()?,
            batch: Batch::default(),
            done: Replaced::default(),
        })
    }

    /// Adds what `run` says of those of its packs that `keep`, by their numbers, has true for.
    /// `input` is the stored run that it was read from, if that is to go.
    pub(crate) fn add(
        &mut self,
        input: Option<ObjectName>,
        run: &IndexRun,
        keep: &[bool],
    ) -> Result<()> {
        if self.batch.run.len() + run.entries.len() > INDEX_RUN_ENTRIES_MAX {
            self.replace()?;
        }
        let prints = prints_of(run, &self.key);
        // A pack of which two runs say the same is named once.
        let mut keep = keep.to_vec();
        for (print, keep) in prints.into_iter().zip(&mut keep) {
            *keep = *keep && self.batch.expected.insert(print);
        }
        if !mutants::is_on(Mutant::IndexInputDropped) {
            self.batch.run.add_run(run, &keep);
        }
        self.batch.inputs.extend(input);
        Ok(())
    }

    /// Stores the last new run, and deletes the last old ones.
    pub(crate) fn finish(mut self) -> Result<Replaced> {
        self.replace()?;
        Ok(self.done)
    }

    fn replace(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if self.is_dry {
            self.done.written += u64::from(!batch.expected.is_empty());
            self.done.removed += batch.inputs.len() as u64;
            return Ok(());
        }
        let repository = self.session.repository();
        let (backend, keys) = (repository.backend(), repository.keys());
        if !batch.expected.is_empty() {
            let (name, _) = self.session.put_run(batch.run.finish(TableName::NONE))?;
            backend.sync()?;
            let stored = match read_run(backend, keys, &name) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.done.left.extend(batch.inputs);
                    return Ok(());
                }
                stored => stored?,
            };
            compare(&name, &batch.expected, prints_of(&stored, &self.key))?;
            self.done.written += 1;
        }
        if batch.inputs.is_empty() {
            return Ok(());
        }
        self.done.removed += batch.inputs.len() as u64;
        for input in &batch.inputs {
            backend.delete(input)?;
        }
        backend.sync()
    }
}

/// Refuses a stored run that does not say exactly what it should.
fn compare(
    name: &ObjectName,
    expected: &BTreeSet<PackPrint>,
    mut found: Vec<PackPrint>,
) -> Result<()> {
    found.sort_unstable();
    if expected.iter().eq(&found) {
        return Ok(());
    }
    let entries = |prints: &mut dyn Iterator<Item = &PackPrint>| {
        prints.map(|print| print.entries).sum::<u64>()
    };
    let detail = format!(
        "does not say what the runs say whose place it takes: expected {} packs and {} entries, \
         found {} and {}; nothing was deleted; test this machine's memory, then run it again",
        expected.len(),
        entries(&mut expected.iter()),
        found.len(),
        entries(&mut found.iter()),
    );
    Err(Error::damaged(*name, detail))
}

/// What `run` says of each of its packs, in their order.
pub(super) fn prints_of(run: &IndexRun, key: &[u8; 32]) -> Vec<PackPrint> {
    let print = |pack: &IndexedPack| PackPrint {
        pack: PrunedPack {
            session: pack.session,
            number: pack.number,
            class: pack.class,
        },
        object_len: pack.object_len,
        entries: 0,
        sum: [0; 4],
    };
    let mut prints: Vec<_> = run.packs.iter().map(print).collect();
    let mut said = Vec::new();
    for entry in &run.entries {
        let frame = &run.frames[entry.frame as usize];
        said.clear();
        said.extend_from_slice(entry.id.as_bytes());
        run.packs[frame.pack as usize].encode_into(&mut said);
        run.origins[frame.origin as usize].encode_into(&mut said);
        said.extend_from_slice(&frame.offset.to_le_bytes());
        said.extend_from_slice(&frame.counter.to_le_bytes());
        let numbers = [
            frame.stored_len,
            frame.plain_len,
            u32::from(frame.codec as u8),
            entry.offset,
            entry.len,
        ];
        numbers
            .iter()
            .for_each(|number| said.extend_from_slice(&number.to_le_bytes()));
        let print = &mut prints[frame.pack as usize];
        print.entries += 1;
        let hash = blake3::keyed_hash(key, &said);
        let (words, _) = hash.as_bytes().as_chunks::<8>();
        for (sum, word) in print.sum.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    prints
}
