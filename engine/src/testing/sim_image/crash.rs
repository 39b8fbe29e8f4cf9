//! What survives a crash: a mix of old and new that no flush forbids, chosen by a random sequence.

use std::sync::Arc;

use crate::testing::random::Random;
use crate::testing::sim_image::Change;
use crate::testing::sim_image::File;
use crate::testing::sim_image::Image;
use crate::testing::sim_image::Node;
use crate::testing::sim_image::set;

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;
/// What a file system allocates: files may come back longer, up to the end of their last block.
const FS_BLOCK: usize = 4096;
/// In a log longer than this, half of the cuts fall into its end: that is where work was going on.
const LOG_END: usize = 12;

/// Which changes of names a crash undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testing) enum NameLoss {
    /// The last ones, from some point on: a journal.
    Suffix,
    /// Any of them.
    Subset,
}

/// Losing power.
impl Image {
    /// One of the states in which the disk may be found after a crash now.
    pub(in crate::testing) fn after_crash(&self, loss: NameLoss, random: &mut Random) -> Self {
        let mut after = self.clone();
        for node in Arc::make_mut(&mut after.nodes).values_mut() {
            match Arc::make_mut(node) {
                Node::File(file) => file.crash(random),
                Node::Folder(folder) => folder.visible = Arc::clone(&folder.durable),
            }
        }
        for change in self.surviving_changes(loss, random) {
            if let Ok(folder) = after.folder_mut(change.folder) {
                set(&mut folder.visible, &change.name, change.to);
            }
        }
        after.log = Arc::default();
        after.settle();
        after
    }

    fn surviving_changes(&self, loss: NameLoss, random: &mut Random) -> Vec<&Change> {
        match loss {
            NameLoss::Subset => self.log.iter().filter(|_| random.one_in(2)).collect(),
            NameLoss::Suffix => {
                let skipped = match self.log.len().checked_sub(LOG_END) {
                    Some(before_end) if random.one_in(2) => before_end,
                    _ => 0,
                };
                let kept = skipped + random.below(self.log.len() - skipped + 1);
                let cut = self.log.get(kept).map_or(u64::MAX, |change| change.step);
                self.log.iter().filter(|change| change.step < cut).collect()
            }
        }
    }

    /// What is left is durable, and what has no name any more is gone.
    fn settle(&mut self) {
        let reachable = self.reachable();
        let nodes = Arc::make_mut(&mut self.nodes);
        nodes.retain(|node, _| reachable.contains(node));
        for node in nodes.values_mut() {
            if let Node::Folder(folder) = Arc::make_mut(node) {
                folder.durable = Arc::clone(&folder.visible);
            }
        }
    }
}

impl File {
    fn crash(&mut self, random: &mut Random) {
        if !self.dirty.is_empty() {
            self.durable = match random.below(6) {
                0 => Arc::clone(&self.durable),
                1 => Arc::clone(&self.visible),
                2 => Arc::new(self.torn(self.visible.len(), |_| Sector::Old, random)),
                3 => Arc::new(self.torn(self.visible.len(), any_sector, random)),
                4 => Arc::new(self.torn(self.some_len(random), any_sector, random)),
                _ => Arc::new(self.torn(self.block_end(), any_sector, random)),
            };
            self.dirty.clear();
        }
        self.visible = Arc::clone(&self.durable);
    }

    /// Shorter than what was written.
    fn some_len(&self, random: &mut Random) -> usize {
        let (durable, visible) = (self.durable.len(), self.visible.len());
        durable.min(visible) + random.below(durable.abs_diff(visible) + 1)
    }

    /// Longer than what was written: the zeros up to the end of the last block count as well.
    fn block_end(&self) -> usize {
        self.visible.len().next_multiple_of(FS_BLOCK)
    }

    /// `len` bytes in which each sector that is not durable came out as `choose` says.
    fn torn(
        &self,
        len: usize,
        choose: impl Fn(&mut Random) -> Sector,
        random: &mut Random,
    ) -> Vec<u8> {
        let mut bytes = self.durable.to_vec();
        bytes.resize(len, 0);
        for dirty in &self.dirty {
            let mut start = dirty.start;
            while start < dirty.end.min(len) {
                let end = (start + 1).next_multiple_of(SECTOR).min(dirty.end).min(len);
                match choose(random) {
                    Sector::New => bytes[start..end].copy_from_slice(&self.visible[start..end]),
                    Sector::Stale => bytes[start..end].copy_from_slice(&random.bytes(end - start)),
                    Sector::Old => {}
                }
                start = end;
            }
        }
        bytes
    }
}

/// What became of a sector that was being written.
enum Sector {
    New,
    /// As before; zeros where nothing was.
    Old,
    /// What another file had left there.
    Stale,
}

fn any_sector(random: &mut Random) -> Sector {
    match random.below(4) {
        0 => Sector::Old,
        1 => Sector::Stale,
        _ => Sector::New,
    }
}
