//! The small world by itself: one run repeats, and the checker sees what is wrong.

use std::sync::Arc;

use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::repository::seeded::seed_this_thread;
use crate::repository::snapshots;
use crate::storage::Backend;
use crate::testing::schedule::{Body, Chooser, Ending, Run, Stage};
use crate::testing::small_world::checker::{Acknowledged, verdict};
use crate::testing::small_world::{BEGUN_WITH, SmallWorld, open, prune, writer};

fn acknowledged(world: &SmallWorld) -> Acknowledged {
    Acknowledged {
        committed: world.begun_with.iter().copied().collect(),
        ..Acknowledged::default()
    }
}

#[test]
fn the_small_repository_is_sound_and_stays_so_when_it_is_pruned() {
    let world = SmallWorld::new();
    assert_eq!(world.begun_with.len(), BEGUN_WITH.len());
    verdict(&world.storage, &acknowledged(&world)).unwrap();
}

#[test]
fn a_pack_or_a_snapshot_that_goes_missing_is_found() {
    let packs = |class| {
        let storage = SmallWorld::new().storage;
        let mut packs = storage.list(ObjectKind::Pack).unwrap();
        packs.retain(|info| matches!(info.name, ObjectName::Pack { class: c, .. } if c == class));
        packs
    };
    for class in [PackClass::Data, PackClass::Meta] {
        for pack in packs(class) {
            let world = SmallWorld::new();
            world.storage.delete(&pack.name).unwrap();
            verdict(&world.storage, &acknowledged(&world)).unwrap_err();
        }
    }
    for session in SmallWorld::new().begun_with {
        let world = SmallWorld::new();
        world
            .storage
            .delete(&ObjectName::Snapshot(session))
            .unwrap();
        verdict(&world.storage, &acknowledged(&world)).unwrap_err();
    }
}

#[test]
fn what_a_prune_lets_go_is_gone_and_is_stored_again() {
    let world = SmallWorld::new();
    let storage = || Arc::clone(&world.storage) as Arc<dyn Backend>;
    let packs = || world.storage.list(ObjectKind::Pack).unwrap().len();
    let before = packs();
    writer::forget(&open(storage()).unwrap(), world.begun_with[0]).unwrap();
    prune::prune(&open(storage()).unwrap()).unwrap();
    assert!(packs() < before);
    let repository = open(storage()).unwrap();
    let again = writer::write(&repository, BEGUN_WITH[0]).unwrap();
    assert_eq!(again.base, 1);
    assert_eq!(snapshots::list(&repository).unwrap().snapshots.len(), 2);
    let acknowledged = Acknowledged {
        committed: [world.begun_with[1], again.session].into(),
        ..Acknowledged::default()
    };
    verdict(&world.storage, &acknowledged).unwrap();
}

/// Two writers and a prune, at random.
fn three(seed: u64) -> Run<bool> {
    let world = SmallWorld::new();
    let stage = Stage::new(Arc::clone(&world.storage), 3, Chooser::random(seed), &[]);
    let body = |participant: usize| -> Body<'static, bool> {
        let repository = open(stage.backend(participant)).unwrap();
        Box::new(move || {
            seed_this_thread(Some(100 + seed * 8 + participant as u64));
            match participant {
                0 => writer::write(&repository, "45").is_ok(),
                1 => writer::write(&repository, "35/6").is_ok(),
                _ => prune::prune(&repository).is_ok(),
            }
        })
    };
    let bodies = (0..3).map(body).collect();
    stage.run(bodies)
}

#[test]
fn a_run_of_the_engine_repeats_itself_call_for_call() {
    for seed in 0..10 {
        let first = three(seed);
        assert!(
            first
                .endings
                .iter()
                .all(|ending| matches!(ending, Ending::Ended(true)))
        );
        assert_eq!(first.trace(), three(seed).trace());
    }
}
