//! Entries whose names match a pattern, in one snapshot after the other.
//!
//! Nothing is kept of what was found, so memory does not grow with it. Deliberately absent: files
//! inside volumes (`serve::image`), and contents.

mod pattern;

use crate::error::Result;
use crate::format::entry::{Entry, TreePath};
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::observe::{Counter, Observer};
use crate::operations::walk;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::cursor::Step;

pub use pattern::Pattern;

/// An entry that matches.
#[derive(Debug)]
pub struct FoundEntry<'a> {
    /// The snapshot that it is in.
    pub snapshot: &'a Snapshot,
    /// As `ls` shows it: name of the root, then the path in it; raw bytes.
    pub path: Vec<u8>,
    /// The entry.
    pub entry: &'a Entry,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FindReport {
    /// Entries that match.
    pub found: u64,
    /// Entries that were looked at.
    pub entries: u64,
    /// What could not be looked at, each told to the observer.
    pub problems: u64,
}

impl FindReport {
    /// Adds what another search came to.
    pub fn add(&mut self, other: &Self) {
        self.found += other.found;
        self.entries += other.entries;
        self.problems += other.problems;
    }
}

/// Gives every entry of the folders of `snapshot` that matches to `each`, in the order of `ls`. With
/// one reader for many snapshots, pages that they share are read once.
///
/// # Errors
/// If the observer ends it; and those of `each`.
pub fn find(
    reader: &ChunkReader<'_>,
    snapshot: &Snapshot,
    pattern: &Pattern,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&FoundEntry<'_>) -> Result<()>,
) -> Result<FindReport> {
    let mut report = FindReport::default();
    let is_tree = |root: &&Root| root.root_type == RootType::Tree;
    for root in snapshot.roots.iter().filter(is_tree) {
        let mut cursor = walk::cursor(reader, root, TreePath::default())?;
        while let Some(step) = cursor.next()? {
            walk::stop_if_cancelled(observer)?;
            let item = match step {
                Step::Item(item) => item,
                Step::Lost(lost) => {
                    report.problems += 1;
                    walk::tell_lost(observer, root, &lost);
                    continue;
                }
            };
            report.entries += 1;
            observer.count(Counter::Entries, 1);
            let path = walk::absolute_path(root, &item.path());
            if pattern.matches(&path) {
                report.found += 1;
                let entry = &item.entry;
                each(&FoundEntry {
                    snapshot,
                    path,
                    entry,
                })?;
            }
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::sample_repository::{self, SampleTree, small_frames};

    fn found(pattern: &str) -> Vec<String> {
        let mut tree = SampleTree::new();
        tree.file("etc/hosts", b"a".to_vec())
            .file("etc/deep/hosts.conf", b"b".to_vec())
            .file("hosts", b"c".to_vec());
        let mut other = SampleTree::new();
        other.file("etc/hosts", b"d".to_vec());
        let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
        let roots = [("/srv", &tree), ("config", &other)];
        let snapshot = sample_repository::commit(&repository, small_frames(), &roots);
        let pattern = Pattern::new(pattern, false).unwrap();
        let mut paths = Vec::new();
        let reader = ChunkReader::new(&repository, 1 << 20).unwrap();
        let report = find(&reader, &snapshot, &pattern, &(), &mut |found| {
            paths.push(String::from_utf8(found.path.clone()).unwrap());
            Ok(())
        })
        .unwrap();
        assert_eq!(report.found, paths.len() as u64);
        assert_eq!(report.problems, 0);
        paths
    }

    #[test]
    fn all_roots_are_searched_by_name_and_by_path() {
        let hosts = ["/srv/hosts", "/srv/etc/hosts", "config/etc/hosts"];
        assert_eq!(found("hosts"), hosts);
        assert_eq!(found("*.conf"), ["/srv/etc/deep/hosts.conf"]);
        assert_eq!(found("/srv/etc/*"), ["/srv/etc/deep", "/srv/etc/hosts"]);
        assert_eq!(found("etc/hosts"), ["/srv/etc/hosts", "config/etc/hosts"]);
        assert_eq!(found("none"), [""; 0]);
    }
}
