//! Volumes and machines: root by root, by name, none of them read.

use std::sync::Arc;

use super::{clock, replacing};
use crate::error::ErrorKind;
use crate::format::entry::{Extent, ExtentKind};
use crate::format::id::ChunkId;
use crate::format::snapshot::{Consistency, PageRoot, Root, Snapshot, SnapshotKind};
use crate::operations::merge::{MergeMode, MergeOptions, merge};
use crate::repository::Repository;
use crate::repository::manifest::extents::ExtentsBuilder;
use crate::repository::session::{Session, Writer};
use crate::storage::memory::MemoryBackend;
use crate::testing::sample_repository::{self, SampleTree, small_frames};

/// A volume of holes, told from others by their lengths, and of `chunk` if there is one.
fn volume(repository: &Repository, name: &str, len: u64, chunk: Option<ChunkId>) -> Root {
    let built = sample_repository::with_pages(repository, small_frames(), |store| {
        let mut builder = ExtentsBuilder::new();
        let hole = ExtentKind::Hole;
        builder.push(Extent { len, kind: hole }, store)?;
        if let Some(id) = chunk {
            let kind = ExtentKind::Chunk(id);
            builder.push(Extent { len: 4, kind }, store)?;
        }
        builder.finish(store)
    });
    let at = PageRoot {
        page: built.child.page,
        level: built.level,
    };
    Root::volume(name.as_bytes().to_vec(), at, built.child.len)
}

struct Machines {
    backend: Arc<MemoryBackend>,
    sample: Snapshot,
}

impl Machines {
    fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let config = SampleTree::single_file(b"memory=4G".to_vec());
        let roots = [("config", &config)];
        let sample = sample_repository::commit(&repository, small_frames(), &roots);
        Self { backend, sample }
    }

    fn repository(&self) -> Repository {
        sample_repository::open(self.backend.clone())
    }

    /// A snapshot of volumes, each a name and a length; `config` is a file.
    fn commit(&self, kind: SnapshotKind, volumes: &[(&str, u64)]) -> Snapshot {
        let root = |(name, len): &(&str, u64)| match *name {
            "config" => self.sample.roots[0].clone(),
            name => volume(&self.repository(), name, *len, None),
        };
        self.commit_roots(kind, volumes.iter().map(root).collect())
    }

    fn commit_roots(&self, kind: SnapshotKind, roots: Vec<Root>) -> Snapshot {
        let repository = self.repository();
        let session = Session::begin(&repository, &Writer::default(), small_frames()).unwrap();
        let snapshot = Snapshot {
            session: session.id(),
            kind,
            roots,
            consistency: Consistency::FileSystem,
            ended: clock(),
            ..self.sample.clone()
        };
        session.commit(snapshot).unwrap().expect_stands()
    }

    fn merge(&self, inputs: &[&Snapshot]) -> Snapshot {
        let inputs: Vec<_> = inputs.iter().map(|input| (*input).clone()).collect();
        let replaced = merge(&self.repository(), &inputs, &replacing(), &()).unwrap();
        let keeping = MergeOptions {
            mode: MergeMode::KeepDeleted,
            ..replacing()
        };
        let kept = merge(&self.repository(), &inputs, &keeping, &()).unwrap();
        assert_eq!(
            kept.snapshot.roots, replaced.snapshot.roots,
            "volumes are taken whole"
        );
        assert_eq!(replaced.roots_built, 0);
        replaced.snapshot
    }
}

fn lengths(snapshot: &Snapshot) -> Vec<(String, u64)> {
    let roots = snapshot.roots.iter();
    let roots = roots.map(|root| (String::from_utf8_lossy(&root.name).into_owned(), root.bytes));
    roots.collect()
}

#[test]
fn the_newest_snapshot_that_has_a_volume_gives_it() {
    let machines = Machines::new();
    let machine = SnapshotKind::Machine;
    let one = machines.commit(machine, &[("sda", 10), ("config", 0), ("sdb", 11)]);
    let two = machines.commit(machine, &[("sdb", 21), ("sdc", 22)]);
    let three = machines.commit(SnapshotKind::Volume, &[("sdc", 32)]);
    let merged = machines.merge(&[&one, &two, &three]);
    let expected = [("sda", 10), ("config", 9), ("sdb", 21), ("sdc", 32)];
    let expected = expected.map(|(name, len)| (name.to_owned(), len));
    assert_eq!(lengths(&merged), expected);
    let given = [&one.roots[0], &one.roots[1], &two.roots[0], &three.roots[0]];
    let taken: Vec<_> = merged.roots.iter().collect();
    assert_eq!(taken, given);
    assert_eq!((merged.totals.entries, merged.totals.files), (4, 1));
}

#[test]
fn names_of_volumes_do_not_lie_in_each_other() {
    let machines = Machines::new();
    let base = machines.commit(SnapshotKind::Machine, &[("/dev", 1), ("/dev/sda/1", 2)]);
    let newer = machines.commit(SnapshotKind::Machine, &[("/dev/sda", 3)]);
    assert_eq!(machines.merge(&[&base, &newer]).roots.len(), 3);
}

#[test]
fn one_volume_stays_a_volume_and_several_are_a_machine() {
    let machines = Machines::new();
    let volume = SnapshotKind::Volume;
    let one = machines.commit(volume, &[("sda", 1)]);
    let again = machines.commit(volume, &[("sda", 2)]);
    let other = machines.commit(volume, &[("sdb", 3)]);
    let machine = machines.commit(SnapshotKind::Machine, &[("sda", 4)]);
    assert_eq!(machines.merge(&[&one, &again]).kind, SnapshotKind::Volume);
    assert_eq!(machines.merge(&[&one, &other]).kind, SnapshotKind::Machine);
    assert_eq!(
        machines.merge(&[&one, &machine]).kind,
        SnapshotKind::Machine
    );
}

#[test]
fn volumes_of_several_snapshots_are_no_longer_of_one_instant() {
    let machines = Machines::new();
    let one = machines.commit(SnapshotKind::Machine, &[("sda", 1), ("sdb", 2)]);
    let both = machines.commit(SnapshotKind::Machine, &[("sda", 3), ("sdb", 4)]);
    let half = machines.commit(SnapshotKind::Machine, &[("sdb", 5)]);
    let consistency = |inputs: &[&Snapshot]| machines.merge(inputs).consistency;
    assert_eq!(consistency(&[&one, &both]), Consistency::FileSystem);
    assert_eq!(consistency(&[&one, &half]), Consistency::Files);
}

#[test]
fn a_volume_with_a_chunk_that_is_nowhere_is_refused_by_name() {
    let machines = Machines::new();
    let lost = volume(&machines.repository(), "sda", 7, Some(ChunkId([9; 32])));
    let one = machines.commit_roots(SnapshotKind::Volume, vec![lost]);
    let other = machines.commit(SnapshotKind::Volume, &[("sdb", 3)]);
    let inputs = [one.clone(), other];
    let error = merge(&machines.repository(), &inputs, &replacing(), &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let expected = format!("sda: in snapshot {} needs chunk ", one.session);
    assert!(error.to_string().starts_with(&expected), "{error}");
    // What a newer one takes the place of is not needed.
    let newer = machines.commit(SnapshotKind::Volume, &[("sda", 8)]);
    let merged = merge(&machines.repository(), &[one, newer], &replacing(), &()).unwrap();
    assert_eq!(lengths(&merged.snapshot), [("sda".to_owned(), 8)]);
}
