//! Prunes of small repositories: what goes, what stays, what stops one, and what the next finds.

mod beside;
mod damage;
mod faults;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::format::entry::Timestamp;
use crate::format::name::{ObjectKind, PackClass, PruneStep};
use crate::format::retention::Tombstone;
use crate::format::snapshot::Snapshot;
use crate::operations::check::{CheckOptions, CheckReport, check};
use crate::operations::record_boot::record_boot;
use crate::repository::{retention, snapshots};
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::sample_repository::{self, SampleTree, sample_boot, small_frames};

/// A repository in memory.
struct World {
    backend: Arc<MemoryBackend>,
}

impl World {
    fn new() -> Self {
        let backend = Arc::new(MemoryBackend::new());
        sample_repository::create(backend.clone());
        Self { backend }
    }

    fn open(&self) -> Repository {
        sample_repository::open(self.backend.clone())
    }

    fn commit(&self, tree: &SampleTree) -> Snapshot {
        sample_repository::commit(&self.open(), small_packs(), &[("/r", tree)])
    }

    fn forget(&self, snapshot: &Snapshot) {
        let tombstone = Tombstone {
            session: snapshot.session,
            forgotten: Timestamp::default(),
            host: String::new(),
            user: String::new(),
        };
        assert!(retention::put_tombstone(&self.open(), &tombstone).unwrap());
    }

    fn prune(&self) -> PruneReport {
        prune(&self.open(), &thorough(), &()).unwrap()
    }

    fn check(&self) -> CheckReport {
        let options = CheckOptions {
            read_data: true,
            ..CheckOptions::default()
        };
        check(&self.open(), &options, &()).unwrap()
    }

    /// Exactly these snapshots are there, whole, and nothing that they do not need.
    fn expect_only(&self, snapshots: &[&Snapshot]) {
        let report = self.check();
        assert_eq!(report.findings, [], "a prune leaves nothing to find");
        let mut expected: Vec<_> = snapshots.iter().map(|snapshot| snapshot.session).collect();
        expected.sort_unstable();
        assert_eq!(self.sessions(), expected);
    }

    fn sessions(&self) -> Vec<SessionId> {
        let found = snapshots::list(&self.open()).unwrap();
        assert!(found.damaged.is_empty());
        let found = found.snapshots.iter().map(|snapshot| snapshot.session);
        let mut found: Vec<_> = found.collect();
        found.sort_unstable();
        found
    }

    fn names(&self, kind: ObjectKind) -> Vec<ObjectName> {
        let listed = self.backend.list(kind).unwrap();
        listed.into_iter().map(|info| info.name).collect()
    }

    fn packs_of(&self, session: SessionId, class: PackClass) -> Vec<ObjectName> {
        let mut packs = self.names(ObjectKind::Pack);
        packs.retain(|pack| {
            matches!(pack, ObjectName::Pack { session: of, class: is, .. }
                if *of == session && *is == class)
        });
        packs
    }

    fn objects(&self) -> BTreeMap<ObjectName, Vec<u8>> {
        let names = ObjectKind::ALL
            .into_iter()
            .flat_map(|kind| self.names(kind));
        let read = |name: ObjectName| (name, self.backend.get(&name).unwrap());
        names.map(read).collect()
    }
}

/// Many frames in a pack, so that a pack can be needed in part.
fn small_packs() -> SessionOptions {
    SessionOptions {
        frame_len_target: 2000,
        ..small_frames()
    }
}

/// Leaves nothing unused, and no writer that does not say where it runs.
fn thorough() -> PruneOptions {
    let writer = Writer {
        started: Timestamp {
            seconds: 1_790_000_000,
            nanoseconds: 0,
        },
        ..Writer::default()
    };
    PruneOptions {
        max_unused: MaxUnused::Bytes(0),
        session: small_packs(),
        ..PruneOptions::new(writer)
    }
}

/// A file of its own and one that all have.
fn tree(seed: u64) -> SampleTree {
    let mut tree = SampleTree::random(1, 40);
    tree.file("shared", Random::new(1000).bytes(30_000))
        .file("own", Random::new(seed).bytes(60_000));
    tree
}

#[test]
fn what_only_forgotten_snapshots_needed_goes_and_all_others_stay_whole() {
    let world = World::new();
    let [first, second, third] = [1, 2, 3].map(|seed| world.commit(&tree(seed)));
    let before: u64 = world.prune().packs.bytes;
    world.expect_only(&[&first, &second, &third]);
    world.forget(&second);
    let report = world.prune();
    assert_eq!(report.let_go, [second.session]);
    assert!(report.deleted.bytes > 60_000, "{report:?}");
    world.expect_only(&[&first, &third]);
    let after: u64 = world.prune().packs.bytes;
    assert!(after + 60_000 <= before, "{before} bytes, then {after}");
    assert_eq!(world.names(ObjectKind::Forgotten), []);
    assert_eq!(world.names(ObjectKind::Intent), []);
}

#[test]
fn needed_frames_of_a_sparse_pack_are_moved_as_they_are_and_the_rest_of_it_goes() {
    let world = World::new();
    let mut both = SampleTree::new();
    // Interleaved in the packs of the first snapshot.
    for number in 0..40 {
        both.file(&format!("f{number:02}"), Random::new(number).bytes(3000));
    }
    let mut half = both.clone();
    for number in (0..40).step_by(2) {
        half.remove(&format!("f{number:02}"));
    }
    let first = world.commit(&both);
    let second = world.commit(&half);
    world.forget(&first);
    let report = world.prune();
    assert!(
        report.repacked.count > 0 && report.copied_bytes > 0,
        "{report:?}"
    );
    assert_eq!(world.packs_of(first.session, PackClass::Data), []);
    world.expect_only(&[&second]);
    let again = world.prune();
    assert_eq!((again.deleted.count, again.repacked.count), (0, 0));
}

#[test]
fn a_dry_run_says_what_would_go_and_changes_no_object() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    world.forget(&first);
    let before = world.objects();
    let options = PruneOptions {
        dry_run: true,
        ..thorough()
    };
    let report = prune(&world.open(), &options, &()).unwrap();
    assert_eq!(report.let_go, [first.session]);
    assert!(report.dead.bytes + report.repacked.bytes > 60_000);
    assert_eq!(report.plans, []);
    assert!(world.objects() == before);
    world.prune();
    world.expect_only(&[&second]);
}

#[test]
fn the_last_snapshot_forgotten_leaves_an_empty_repository_that_works() {
    let world = World::new();
    let first = world.commit(&tree(1));
    world.forget(&first);
    world.prune();
    world.expect_only(&[]);
    assert_eq!(world.names(ObjectKind::Pack), []);
    assert_eq!(world.names(ObjectKind::Index), []);
    let second = world.commit(&tree(1));
    world.expect_only(&[&second]);
}

#[test]
fn of_two_copies_exactly_one_stays() {
    let world = World::new();
    let first = world.commit(&tree(1));
    let runs = world.names(ObjectKind::Index);
    let stored: Vec<_> = runs
        .iter()
        .map(|run| world.backend.get(run).unwrap())
        .collect();
    runs.iter()
        .for_each(|run| world.backend.delete(run).unwrap());
    let second = world.commit(&tree(1));
    for (run, bytes) in runs.iter().zip(stored) {
        world.backend.put(run, &bytes).unwrap();
    }
    let report = world.prune();
    assert!(report.deleted.bytes > 90_000, "{report:?}");
    world.expect_only(&[&first, &second]);
    assert_eq!(world.prune().deleted.count, 0);
}

#[test]
fn packs_that_no_index_run_tells_of_are_needed_all_the_same() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    for run in world.names(ObjectKind::Index) {
        world.backend.delete(&run).unwrap();
    }
    world.forget(&first);
    world.prune();
    let report = world.check();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(world.sessions(), [second.session]);
}

#[test]
fn a_forgotten_snapshot_that_is_protected_stays() {
    let world = World::new();
    let first = world.commit(&tree(1));
    let until = Timestamp {
        seconds: 1,
        nanoseconds: 0,
    };
    sample_protect(&world, &first, until);
    world.forget(&first); // at the time 0: before the protection ends
    let report = world.prune();
    assert_eq!(report.let_go, []);
    assert!(world.check().is_sound());
}

fn sample_protect(world: &World, snapshot: &Snapshot, until: Timestamp) {
    let protection = crate::format::retention::Protection {
        session: snapshot.session,
        until,
        decided: Timestamp::default(),
        host: String::new(),
        user: String::new(),
    };
    let put = retention::put_protection(&world.open(), &protection, None);
    assert!(put.unwrap());
}

#[test]
fn boots_stay_as_long_as_their_snapshot_is_there_in_any_state_and_go_with_it() {
    let world = World::new();
    let [first, second] = [1, 2].map(|seed| world.commit(&tree(seed)));
    for snapshot in [&first, &first, &second] {
        record_boot(&world.open(), sample_boot(snapshot.session)).unwrap();
    }
    let all = world.names(ObjectKind::Boot);
    assert_eq!(all.len(), 3);
    let until = Timestamp {
        seconds: 1,
        nanoseconds: 0,
    };
    sample_protect(&world, &first, until);
    world.forget(&first);
    let unrelated = world.commit(&tree(3));
    world.forget(&unrelated);
    assert_eq!(world.prune().let_go, [unrelated.session]);
    assert_eq!(world.names(ObjectKind::Boot), all, "forgotten, and there");
    world.forget(&second);
    assert_eq!(world.prune().let_go, [second.session]);
    let of_first = |name: &ObjectName| matches!(name, ObjectName::Boot { session, .. } if *session == first.session);
    let left: Vec<_> = all.into_iter().filter(of_first).collect();
    assert_eq!(world.names(ObjectKind::Boot), left);
    assert!(world.check().is_sound());
}

#[test]
fn plans_of_the_past_are_tidied_away_and_their_numbers_go_on() {
    let world = World::new();
    for seed in 1..5 {
        let snapshot = world.commit(&tree(seed));
        world.forget(&snapshot);
        assert_eq!(world.prune().plans, [seed as u32]);
    }
    let steps = [PruneStep::Plan, PruneStep::Seal, PruneStep::Done];
    let expected = steps.map(|step| ObjectName::Prune(step, 4));
    assert_eq!(world.names(ObjectKind::Prune), expected);
}
