//! Orders that need more preemptions than a search can try, told step by step: what would be lost
//! if a prune that stood still went on as if nothing had happened (I6).

use blockstore::format::name::ObjectKind::{Forgotten, Intent, Pack, Prune, Snapshot};
use blockstore::testing::recording_backend::Verb::{Delete, List, Put};
use blockstore::testing::schedule::{Chooser, Leg};

use crate::scene::{Act, Scene};
use crate::{demand_sound, scene_of};

/// Ids are drawn anew by seed: what a prune prefers among equals must not matter.
const SEEDS: u64 = 8;

#[track_caller]
fn demand_sound_by(name: &str, legs: &[Leg]) {
    for seed in 0..SEEDS {
        let scene = scene_of(name, seed);
        demand_sound(name, seed, &scene.play(Chooser::legs(legs)));
    }
}

fn write(files: &str) -> Act {
    Act::Write(files.to_owned())
}

/// The participants of each order.
pub(crate) fn scene(name: &str, seed: u64) -> Option<Scene> {
    let prune = || vec![Act::Prune];
    let parts = match name {
        "while-another-deletes" => vec![prune(), prune()],
        "real-seal" => vec![vec![write("04/25")], prune(), prune()],
        "young-abort" => vec![prune(), prune(), vec![write("01/23")], vec![Act::Forget(1)]],
        "brought-back" => vec![prune(), vec![Act::Undelete(0)]],
        _ => return None,
    };
    let scene = Scene {
        parts,
        seed,
        ..Scene::default()
    };
    Some(scene.forgotten())
}

#[test]
fn i6_a_prune_that_begins_while_another_deletes_chooses_nothing_that_is_going() {
    let legs = [
        // It has seen that no prune is unfinished.
        Leg::until(0, List, Intent),
        Leg::until(1, Delete, Pack),
        Leg::whole(0),
    ];
    demand_sound_by("while-another-deletes", &legs);
}

#[test]
fn i6_a_seal_that_another_prune_worked_by_stays() {
    let legs = [
        Leg::until(0, Put, Snapshot),
        Leg::until(1, Put, Prune).and_once_more(),
        // Its seal is there, and it has not looked whether it is void.
        Leg::until(1, List, Prune),
        Leg::whole(2),
        Leg::whole(1),
        Leg::whole(0),
    ];
    demand_sound_by("real-seal", &legs);
}

#[test]
fn i6_a_prune_that_stood_still_deletes_no_abort_of_a_younger_one() {
    let legs = [
        Leg::until(0, Put, Prune).and_once_more(),
        // Its seal is there, and it is about to tidy up.
        Leg::until(0, List, Forgotten),
        Leg::until(1, Put, Prune),
        // It relies on what will be forgotten, and was announced behind the first plan.
        Leg::until(2, Put, Snapshot),
        Leg::whole(3),
        // Done, the next plan, its fence; about to seal.
        Leg::until(1, Put, Prune).and_once_more().and_once_more(),
        Leg::whole(0),
        Leg::whole(2),
        Leg::whole(1),
    ];
    demand_sound_by("young-abort", &legs);
}

#[test]
fn i6_a_snapshot_that_was_brought_back_before_the_plan_is_not_let_go() {
    let legs = [Leg::until(0, Put, Prune), Leg::whole(1), Leg::whole(0)];
    demand_sound_by("brought-back", &legs);
}
