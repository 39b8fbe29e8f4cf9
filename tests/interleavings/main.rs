//! Writers, prunes and forgets side by side, in every order that a search, a seed or a freeze makes
//! (I2, I6, I7).
//!
//! Short as it stands. `BLOCKSTORE_SCHEDULES` runs so many of each kind, `BLOCKSTORE_PREEMPTIONS`
//! bounds the search, `BLOCKSTORE_SEED` is the first seed. What fails says how it is run again.

#![allow(clippy::print_stderr, reason = "tests print what they counted")]

mod orders;
mod scene;

use blockstore::testing::random::Random;
use blockstore::testing::schedule::{Chooser, Fault, FaultKind, Script};

use crate::scene::{Act, Played, Scene};

/// How many random schedules are run unless more are asked for.
const RANDOM: u64 = 150;
/// How many with frozen writers and wrong clocks.
const FROZEN: u64 = 50;
/// How many writers there are at random.
const WRITERS: usize = 8;
/// About how many calls a run of them has.
const POINTS: u64 = 700;
/// At how many points priorities change.
const DEPTH: u32 = 4;
/// A crash or freeze comes at one of so many calls.
const FAULT_CALLS: usize = 60;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

fn schedules(otherwise: u64) -> u64 {
    from_environment("BLOCKSTORE_SCHEDULES", otherwise)
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    let first = from_environment("BLOCKSTORE_SEED", 1);
    first..first + count
}

fn write(files: &str) -> Act {
    Act::Write(files.to_owned())
}

/// The scene of this name, as replays name it.
fn scene_of(name: &str, seed: u64) -> Scene {
    match name {
        "three" => three(),
        "two-prunes" => two_prunes(),
        "forget" => forget(),
        "many" => many(seed),
        "frozen" => frozen(seed),
        _ => orders::scene(name, seed).unwrap_or_else(|| panic!("there is no scene {name:?}")),
    }
}

/// Two writers that need what was forgotten, and a prune.
fn three() -> Scene {
    Scene::new(&[&[write("04/25")], &[write("35/6")], &[Act::Prune]]).forgotten()
}

/// A writer and two prunes.
fn two_prunes() -> Scene {
    Scene::new(&[&[write("04/25")], &[Act::Prune], &[Act::Prune]]).forgotten()
}

/// A merge beside somebody who forgets one of its inputs, and a prune.
fn forget() -> Scene {
    Scene::new(&[&[Act::Merge], &[Act::Forget(0), Act::Prune], &[write("4")]])
}

/// Files of up to nine chunks, of which the world knows six.
fn any_files(random: &mut Random) -> String {
    let mut file = || -> String {
        let digits = 1 + random.below(3);
        (0..digits).map(|_| random.below(9).to_string()).collect()
    };
    [file(), file()].join("/")
}

fn many(seed: u64) -> Scene {
    let random = &mut Random::new(seed);
    let mut parts: Vec<_> = (0..WRITERS)
        .map(|number| match number {
            0 => vec![Act::Merge, write(&any_files(random))],
            _ => vec![write(&any_files(random))],
        })
        .collect();
    parts.extend([
        vec![Act::Prune, Act::Prune],
        vec![Act::Prune],
        vec![Act::Forget(random.below(2))],
    ]);
    let count = parts.len();
    let faults = (0..random.below(4)).map(|_| {
        let kind = match random.below(3) {
            0 | 1 => FaultKind::Crash,
            _ => FaultKind::AmbiguousPut,
        };
        any_fault(random, count, kind)
    });
    let faults = faults.collect();
    Scene {
        parts,
        faults,
        seed,
        ..Scene::default()
    }
}

/// Half of the writers freeze, all clocks jump.
fn frozen(seed: u64) -> Scene {
    let scene = many(seed);
    let random = &mut Random::new(!seed);
    let mut faults = scene.faults;
    let count = scene.parts.len();
    for participant in 0..count {
        let mut at = |kind| Fault {
            participant,
            ..any_fault(random, count, kind)
        };
        let back = [at(FaultKind::Clock(-100)), at(FaultKind::Clock(100))];
        faults.extend(back);
        if participant % 2 == 0 {
            faults.push(at(FaultKind::Freeze));
        }
    }
    Scene { faults, ..scene }
}

fn any_fault(random: &mut Random, participants: usize, kind: FaultKind) -> Fault {
    Fault {
        participant: random.below(participants),
        call: random.below(FAULT_CALLS) as u32,
        kind,
    }
}

fn demand_sound(name: &str, seed: u64, played: &Played) {
    if let Err(wrong) = &played.verdict {
        eprintln!("{}", played.run.trace());
        panic!(
            "{wrong}\nrun it again: BLOCKSTORE_REPLAY='{name} {seed} {}' \
             cargo test -p blockstore-tests --test interleavings replay -- --nocapture",
            played.run.script
        );
    }
}

fn demand_all_sound(name: &str, preemptions: u32, most: u64) {
    let preemptions = from_environment("BLOCKSTORE_PREEMPTIONS", preemptions.into()) as u32;
    let (schedules, wrong) = scene_of(name, 0).search(preemptions, most);
    if let Some(played) = wrong {
        demand_sound(name, 0, &played);
    }
    eprintln!("{name}: {schedules} schedules of at most {preemptions} preemptions");
}

#[test]
fn i6_two_writers_and_a_prune_lose_nothing_in_any_schedule_of_few_preemptions() {
    demand_all_sound("three", 1, u64::MAX);
}

#[test]
fn i6_a_writer_and_two_prunes_lose_nothing_in_any_schedule_of_few_preemptions() {
    demand_all_sound("two-prunes", 1, u64::MAX);
}

#[test]
fn i6_a_merge_of_what_is_forgotten_and_pruned_meanwhile_is_whole_or_not_there() {
    demand_all_sound("forget", 1, u64::MAX);
}

#[test]
fn i6_eight_writers_two_prunes_a_forget_and_crashes_lose_nothing_at_random() {
    let seeds = seeds(schedules(RANDOM));
    for seed in seeds.clone() {
        demand_sound("many", seed, &many(seed).play(Chooser::random(seed)));
        let by_priority = many(seed).play(Chooser::pct(seed, DEPTH, POINTS));
        demand_sound("many", seed, &by_priority);
    }
    eprintln!("many: seeds {seeds:?}, each at random and by priorities");
}

#[test]
fn i6_writers_that_stand_still_for_years_and_clocks_that_jump_lose_nothing() {
    let seeds = seeds(schedules(FROZEN));
    for seed in seeds.clone() {
        demand_sound("frozen", seed, &frozen(seed).play(Chooser::random(seed)));
    }
    eprintln!("frozen: seeds {seeds:?}");
}

/// Runs what `BLOCKSTORE_REPLAY` says: a scene, its seed, and a script.
#[test]
fn replay() {
    let Ok(text) = std::env::var("BLOCKSTORE_REPLAY") else {
        return;
    };
    let mut words = text.splitn(3, ' ');
    let name = words.next().unwrap_or_default();
    let seed = words.next().and_then(|seed| seed.parse().ok());
    let seed = seed.expect("a scene, a seed and a script");
    let script: Script = words.next().unwrap_or_default().parse().expect("a script");
    let scene = Scene {
        faults: script.faults,
        ..scene_of(name, seed)
    };
    let played = scene.play(Chooser::told(&script.switches));
    eprintln!("{}", played.run.trace());
    eprintln!("{:?}", played.run.endings);
    demand_sound(name, seed, &played);
}
