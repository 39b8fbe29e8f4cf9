//! Tests of merging: against a model of a disk, against snapshots of the same content, against a
//! storage that counts and one that fails.

mod cost;
mod described;
mod disk;
mod faults;
mod links;
mod properties;
mod refusals;
mod roots;
mod scans;
mod volumes;

use std::sync::Arc;

use crate::format::entry::{Node, Timestamp, TreePath};
use crate::format::snapshot::Snapshot;
use crate::operations::merge::{MergeMode, MergeOptions, MergeReport, merge};
use crate::operations::walk;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::cursor::Step;
use crate::storage::memory::MemoryBackend;
use crate::testing::recording_backend::RecordingBackend;
use crate::testing::sample_repository::{self, SampleTree, small_frames};

type Backend = Arc<RecordingBackend<MemoryBackend>>;

/// A repository, and snapshots in it, each of these roots.
struct World {
    backend: Backend,
    snapshots: Vec<Snapshot>,
}

fn clock() -> Timestamp {
    Timestamp {
        seconds: 1_790_000_123,
        nanoseconds: 7,
    }
}

fn options(mode: MergeMode) -> MergeOptions {
    MergeOptions {
        mode,
        session: small_frames(),
        ..MergeOptions::new(clock)
    }
}

fn keeping() -> MergeOptions {
    options(MergeMode::KeepDeleted)
}

fn replacing() -> MergeOptions {
    options(MergeMode::Replace)
}

impl World {
    fn new(snapshots: &[&[(&str, &SampleTree)]]) -> Self {
        let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
        let repository = sample_repository::create(backend.clone());
        let commit = |roots: &&[(&str, &SampleTree)]| {
            sample_repository::commit(&repository, small_frames(), roots)
        };
        let snapshots = snapshots.iter().map(commit).collect();
        Self { backend, snapshots }
    }

    /// The repository as another process sees it.
    fn repository(&self) -> Repository {
        sample_repository::open(self.backend.clone())
    }

    #[track_caller]
    fn merge(&self, options: &MergeOptions) -> MergeReport {
        merge(&self.repository(), &self.snapshots, options, &()).unwrap()
    }

    /// Asserts that the result has these roots, each with the page of a snapshot of that tree.
    #[track_caller]
    fn assert_merged(&self, options: &MergeOptions, expected: &[(&str, &SampleTree)]) {
        let merged = self.merge(options).snapshot;
        let fresh = sample_repository::commit(&self.repository(), small_frames(), expected);
        let lines = |snapshot| listing(&self.repository(), snapshot);
        assert_eq!(lines(&merged), lines(&fresh));
        assert_eq!(pages(&merged), pages(&fresh));
        assert_eq!(merged.totals.entries, fresh.totals.entries);
        assert_eq!(merged.totals.bytes, fresh.totals.bytes);
    }
}

/// What tells the roots of two snapshots apart.
fn pages(snapshot: &Snapshot) -> Vec<(String, String, u64, u64)> {
    let roots = snapshot.roots.iter().map(|root| {
        let name = String::from_utf8_lossy(&root.name).into_owned();
        (name, root.page.to_string(), root.entries, root.bytes)
    });
    roots.collect()
}

/// All entries of a snapshot, as a person compares them.
fn listing(repository: &Repository, snapshot: &Snapshot) -> Vec<String> {
    let reader = ChunkReader::new(repository, 1 << 20).unwrap();
    let mut lines = Vec::new();
    for root in &snapshot.roots {
        let mut cursor = walk::cursor(&reader, root, TreePath::default()).unwrap();
        while let Some(step) = cursor.next().unwrap() {
            let Step::Item(item) = step else {
                panic!("lost: {step:?}");
            };
            let path = walk::absolute_path(root, &item.path());
            let path = String::from_utf8_lossy(&path).into_owned();
            let node = match &item.entry.node {
                Node::File(content) => format!("file {content:?}"),
                Node::HardLink(leader) => format!("= {leader}"),
                other => format!("{other:?}"),
            };
            let metadata = &item.entry.metadata;
            lines.push(format!(
                "{path} {:o} {:?} {node}",
                metadata.mode, metadata.xattrs
            ));
        }
    }
    lines
}

/// A folder with these files, each `path` or `path=content`.
fn tree(files: &[&str]) -> SampleTree {
    let mut tree = SampleTree::new();
    for file in files {
        let (path, content) = file.split_once('=').unwrap_or((file, file));
        tree.file(path, content.as_bytes().to_vec());
    }
    tree
}
