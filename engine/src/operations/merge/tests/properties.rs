//! Random disks, captured at random places and merged, against the model.

use std::sync::Arc;

use super::disk::Disk;
use super::{listing, options, pages};
use crate::format::entry::FolderPath;
use crate::format::snapshot::Snapshot;
use crate::operations::merge::{MergeMode, merge};
use crate::repository::Repository;
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::sample_repository::{self, SampleTree, small_frames};

/// States of a disk, one after the other, and what was captured of each.
struct History {
    backend: Arc<MemoryBackend>,
    states: Vec<(Disk, Vec<FolderPath>)>,
    snapshots: Vec<Snapshot>,
}

fn name_of(root: &FolderPath) -> String {
    let path = root.as_entry().to_bytes();
    format!("/{}", String::from_utf8_lossy(&path))
}

fn commit(repository: &Repository, disk: &Disk, roots: &[FolderPath]) -> Snapshot {
    let trees: Vec<_> = roots
        .iter()
        .map(|root| (name_of(root), disk.tree(root)))
        .collect();
    let roots: Vec<(&str, &SampleTree)> = trees.iter().map(|(n, t)| (n.as_str(), t)).collect();
    sample_repository::commit(repository, small_frames(), &roots)
}

impl History {
    fn new(seed: u64, states: usize) -> Self {
        let mut random = Random::new(seed);
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let mut disk = Disk::new();
        disk.change(&mut random, 60);
        let mut history = Self {
            backend,
            states: Vec::new(),
            snapshots: Vec::new(),
        };
        for _ in 0..states {
            if random.one_in(6) {
                disk.fill(&mut random, 300);
            }
            let roots = some_roots(&disk, &mut random);
            let snapshot = commit(&repository, &disk, &roots);
            history.snapshots.push(snapshot);
            history.states.push((disk.clone(), roots));
            disk.change(&mut random, 25);
        }
        history
    }

    /// What lies where after all states were laid over each other.
    fn composed(&self, mode: MergeMode) -> Disk {
        let mut composed = Disk::default();
        for (number, (disk, roots)) in self.states.iter().enumerate() {
            for (which, root) in roots.iter().enumerate() {
                // Nobody knows of links from one root to another.
                let seen_on = (number, which);
                composed.overlay(disk, seen_on, root, mode == MergeMode::KeepDeleted);
            }
        }
        composed
    }

    fn merge(&self, snapshots: &[Snapshot], mode: MergeMode) -> Snapshot {
        let merged = merge(&self.repository(), snapshots, &options(mode), &());
        merged.unwrap().snapshot
    }

    fn repository(&self) -> Repository {
        sample_repository::open(self.backend.clone())
    }
}

/// One to three folders that do not lie in each other.
fn some_roots(disk: &Disk, random: &mut Random) -> Vec<FolderPath> {
    let folders: Vec<_> = disk.folders().collect();
    let mut roots: Vec<FolderPath> = Vec::new();
    for _ in 0..=random.below(3) {
        let root = &folders[random.below(folders.len())];
        if roots.iter().all(|r| !r.contains(root) && !root.contains(r)) {
            roots.push(root.clone());
        }
    }
    roots
}

fn assert_as_composed(history: &History, merged: &Snapshot, mode: MergeMode, seed: u64) {
    let composed = history.composed(mode);
    let root_of = |name: &[u8]| {
        let name = name
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty());
        name.fold(FolderPath::root(), |folder, name| folder.child(name))
    };
    let roots: Vec<_> = merged
        .roots
        .iter()
        .map(|root| root_of(&root.name))
        .collect();
    for captured in history.states.iter().flat_map(|(_, roots)| roots) {
        let held = roots.iter().any(|root| root.contains(captured));
        let gone = mode == MergeMode::KeepDeleted; // below what is a file now
        assert!(held || gone, "seed {seed}: {captured:?} is in no root");
    }
    let fresh = commit(&history.repository(), &composed, &roots);
    if pages(merged) != pages(&fresh) {
        let lines = |snapshot| listing(&history.repository(), snapshot);
        assert_eq!(lines(merged), lines(&fresh), "seed {seed}, {mode:?}");
        assert_eq!(pages(merged), pages(&fresh), "seed {seed}, {mode:?}");
    }
}

#[test]
fn i4_a_merge_has_the_roots_of_a_snapshot_of_the_composed_folders() {
    for seed in 0..150 {
        let history = History::new(seed, 2 + seed as usize % 3);
        for mode in [MergeMode::Replace, MergeMode::KeepDeleted] {
            let merged = history.merge(&history.snapshots, mode);
            assert_as_composed(&history, &merged, mode, seed);
        }
    }
}

#[test]
fn merging_one_after_the_other_and_all_at_once_gives_the_same_roots() {
    for seed in 1_000..1_080 {
        let history = History::new(seed, 4);
        let all = &history.snapshots;
        for mode in [MergeMode::Replace, MergeMode::KeepDeleted] {
            let at_once = history.merge(all, mode);
            let one = history.merge(&all[..2], mode);
            let stepwise = all[2..].iter().fold(one, |merged, next| {
                history.merge(&[merged, next.clone()], mode)
            });
            assert_eq!(pages(&at_once), pages(&stepwise), "seed {seed}, {mode:?}");
        }
    }
}

#[test]
fn merging_again_what_was_merged_changes_nothing() {
    for seed in 2_000..2_030 {
        let history = History::new(seed, 2);
        for mode in [MergeMode::Replace, MergeMode::KeepDeleted] {
            let once = history.merge(&history.snapshots, mode);
            let same = history.merge(&history.snapshots, mode);
            assert_eq!(pages(&once), pages(&same), "seed {seed}");
            let inputs = [once.clone(), history.snapshots[1].clone()];
            let twice = history.merge(&inputs, mode);
            assert_eq!(pages(&once), pages(&twice), "seed {seed}, {mode:?}");
        }
    }
}
