//! What one path held, over all snapshots: each content once.
//!
//! Contents are compared by their extents, so nothing is read but pages. Deliberately absent: files
//! inside volumes, which have no extents of their own.

use crate::error::{ErrorKind, Result};
use crate::format::entry::{Entry, Node, Timestamp};
use crate::format::id::SessionId;
use crate::format::snapshot::Snapshot;
use crate::observe::{Observer, Problem, ProblemKind};
use crate::operations::select::{Selected, find, select};
use crate::operations::walk;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;

/// One content of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The first snapshot that holds it.
    pub snapshot: SessionId,
    /// When that one was taken.
    pub taken: Timestamp,
    /// The last snapshot that holds it.
    pub last_snapshot: SessionId,
    /// Snapshots that hold it.
    pub snapshots: u64,
    /// The entry, as it was first; of a hard link, what it is a link to.
    pub entry: Entry,
}

/// What was found of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionsReport {
    /// In the order of the snapshots in which they were first.
    pub versions: Vec<Version>,
    /// Snapshots that hold the path.
    pub snapshots: u64,
    /// Snapshots in which it could not be looked for, each told to the observer.
    pub problems: u64,
}

/// Finds the versions of `path` (see `select`) in `snapshots`, in their order.
///
/// # Errors
/// If the path makes no sense, or the index cannot be read.
pub fn versions(
    repository: &Repository,
    snapshots: &[Snapshot],
    path: &[u8],
    observer: &dyn Observer,
) -> Result<VersionsReport> {
    let reader = ChunkReader::new(repository, Budget::default().cache_len)?;
    let mut report = VersionsReport::default();
    for snapshot in snapshots {
        walk::stop_if_cancelled(observer)?;
        match entry_of(&reader, snapshot, path) {
            Ok(Some(entry)) => report.add(snapshot, entry),
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Err(error),
            Err(error) => {
                report.problems += 1;
                let session = snapshot.session;
                observer.problem(&Problem {
                    kind: ProblemKind::Damaged,
                    subject: path.to_vec(),
                    detail: format!("snapshot {session}: {}", walk::with_causes(&error)),
                });
            }
        }
    }
    Ok(report)
}

fn entry_of(reader: &ChunkReader<'_>, snapshot: &Snapshot, path: &[u8]) -> Result<Option<Entry>> {
    let Selected::Entry { root, item } = select(reader, snapshot, path)? else {
        return Ok(None);
    };
    let Node::HardLink(leader) = &item.entry.node else {
        return Ok(Some(item.entry));
    };
    let found = find(reader, &snapshot.roots[root], leader)?;
    Ok(found.map(|leader| leader.entry))
}

impl VersionsReport {
    fn add(&mut self, snapshot: &Snapshot, entry: Entry) {
        self.snapshots += 1;
        let mut versions = self.versions.iter_mut();
        if let Some(version) = versions.find(|version| version.entry.node == entry.node) {
            version.last_snapshot = snapshot.session;
            version.snapshots += 1;
            return;
        }
        self.versions.push(Version {
            snapshot: snapshot.session,
            taken: snapshot.ended,
            last_snapshot: snapshot.session,
            snapshots: 1,
            entry,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::sample_repository::{self, SampleTree, small_frames};

    #[test]
    fn each_content_is_a_version_once_however_often_it_comes_back() {
        let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
        let contents: [&[u8]; 5] = [b"one", b"one", b"two", b"one", b""];
        let snapshots = contents.map(|content| {
            let mut tree = SampleTree::new();
            tree.file("other", b"always".to_vec());
            if !content.is_empty() {
                tree.file("etc/hosts", content.to_vec());
            }
            sample_repository::commit(&repository, small_frames(), &[("/srv", &tree)])
        });
        let report = versions(&repository, &snapshots, b"/srv/etc/hosts", &()).unwrap();
        let counts: Vec<_> = report.versions.iter().map(|one| one.snapshots).collect();
        assert_eq!(
            (counts, report.snapshots, report.problems),
            (vec![3, 1], 4, 0)
        );
        assert_eq!(report.versions[0].snapshot, snapshots[0].session);
        assert_eq!(report.versions[0].last_snapshot, snapshots[3].session);
        assert_eq!(report.versions[1].snapshot, snapshots[2].session);
        let none = versions(&repository, &snapshots, b"/srv/none", &()).unwrap();
        assert_eq!(none, VersionsReport::default());
        assert!(versions(&repository, &snapshots, b"/srv/../x", &()).is_err());
    }
}
