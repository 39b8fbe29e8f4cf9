//! How much is stored, and how well it is shared.

use crate::error::Result;
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::repository::Repository;
use crate::repository::snapshots;
use crate::storage::room::Room;

/// Sums over a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsReport {
    /// Objects and their stored bytes, by kind.
    pub objects: Vec<(ObjectKind, u64, u64)>,
    /// Snapshots that can be read.
    pub snapshots: u64,
    /// Snapshot objects that cannot be read, and are not part of the sums.
    pub damaged_snapshots: u64,
    /// Lengths of the contents of all snapshots, bytes.
    pub logical_bytes: u64,
    /// Distinct chunks.
    pub chunks: u64,
    /// Their plaintext, bytes.
    pub chunk_bytes: u64,
    /// Distinct pages.
    pub pages: u64,
    /// Their plaintext, bytes.
    pub page_bytes: u64,
    /// Stored length of all data packs, bytes.
    pub data_pack_bytes: u64,
    /// Stored length of all meta packs, bytes.
    pub meta_pack_bytes: u64,
    /// What is left on the medium, if it tells.
    pub room: Option<Room>,
}

/// Counts what is stored: objects as they are listed, chunks and pages as the index knows them.
pub fn stats(repository: &Repository) -> Result<StatsReport> {
    let mut report = StatsReport::default();
    report.count_objects(repository)?;
    report.count_snapshots(repository)?;
    report.count_chunks(repository)?;
    report.room = repository.backend().room()?;
    Ok(report)
}

impl StatsReport {
    fn count_objects(&mut self, repository: &Repository) -> Result<()> {
        for kind in ObjectKind::ALL {
            let objects = repository.backend().list(kind)?;
            let bytes = objects.iter().map(|object| object.len).sum();
            self.objects.push((kind, objects.len() as u64, bytes));
            for object in objects {
                match object.name {
                    ObjectName::Pack {
                        class: PackClass::Data,
                        ..
                    } => {
                        self.data_pack_bytes += object.len;
                    }
                    ObjectName::Pack { .. } => self.meta_pack_bytes += object.len,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn count_snapshots(&mut self, repository: &Repository) -> Result<()> {
        let found = snapshots::list(repository)?;
        self.snapshots = found.snapshots.len() as u64;
        self.damaged_snapshots = found.damaged.len() as u64;
        let roots = found.snapshots.iter().flat_map(|snapshot| &snapshot.roots);
        self.logical_bytes = roots.map(|root| root.bytes).fold(0, u64::saturating_add);
        Ok(())
    }

    fn count_chunks(&mut self, repository: &Repository) -> Result<()> {
        let mut last = None;
        for (id, location) in repository.index()?.locations() {
            if last.replace(id) == Some(id) {
                continue; // another copy
            }
            let (count, bytes) = match location.pack.class {
                PackClass::Data => (&mut self.chunks, &mut self.chunk_bytes),
                PackClass::Meta => (&mut self.pages, &mut self.page_bytes),
            };
            *count += 1;
            *bytes += u64::from(location.len);
        }
        repository.index()?.ensure_whole()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::sample_repository::{self, SampleTree, small_frames};

    #[test]
    fn content_of_several_snapshots_is_counted_for_each_and_its_chunks_once() {
        let backend = Arc::new(MemoryBackend::new());
        sample_repository::create(backend.clone());
        let mut tree = SampleTree::new();
        tree.file("a", b"twelve bytes".to_vec())
            .file("b", b"twelve bytes".to_vec())
            .file("c", b"other".to_vec());
        for _ in 0..2 {
            let repository = sample_repository::open(backend.clone());
            sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
        }
        let report = stats(&sample_repository::open(backend)).unwrap();
        assert_eq!((report.snapshots, report.damaged_snapshots), (2, 0));
        assert_eq!(report.logical_bytes, 2 * 29);
        assert_eq!((report.chunks, report.chunk_bytes), (2, 17));
        assert_eq!(report.pages, 2, "one of the tree, one of the scan");
        let packs = report
            .objects
            .iter()
            .find(|(kind, ..)| *kind == ObjectKind::Pack);
        let (_, count, bytes) = *packs.unwrap();
        assert!(count >= 2);
        assert_eq!(bytes, report.data_pack_bytes + report.meta_pack_bytes);
    }
}
