//! A power cut at every storage step of init, a snapshot and a second snapshot (I1, I7).
//!
//! The workload runs once on a simulated disk that keeps an image of itself before every step.
//! Each image is rebooted in several variants of what had not been flushed: torn, lost, reordered.
//! Whatever is left: every acknowledged snapshot restores bit for bit, every visible one is whole,
//! and the next run works.

use blockstore::repository::snapshots;
use blockstore::testing::sim_disk::SimDisk;

use crate::world::{self, Contents, Source};

/// Variants of damage at each step.
const VARIANTS: u64 = 8;

/// What the workload acknowledged, and after how many steps.
struct Acknowledged {
    init: u64,
    first: (u64, Contents),
    second: (u64, Contents),
}

fn run_workload(disk: &SimDisk) -> (Source, Acknowledged) {
    let source = Source::new();
    let repository = world::init(world::create_on(disk).unwrap()).unwrap();
    let init = disk.steps();
    let first = world::capture(&repository, &source.path()).unwrap();
    let first_steps = disk.steps();
    let first = (
        first_steps,
        world::read_back(&repository, &first.snapshot).unwrap(),
    );
    source.change();
    let repository = world::open_on(disk).unwrap();
    let second = world::capture(&repository, &source.path()).unwrap();
    let second_steps = disk.steps();
    let second = (
        second_steps,
        world::read_back(&repository, &second.snapshot).unwrap(),
    );
    (
        source,
        Acknowledged {
            init,
            first,
            second,
        },
    )
}

#[test]
fn i1_i7_a_crash_at_every_step_loses_nothing_acknowledged_and_shows_nothing_half() {
    let disk = SimDisk::new(1);
    disk.record_images();
    let (source, acknowledged) = run_workload(&disk);
    let images = disk.take_images();
    let (mut crashes, mut reruns, mut reused) = (0, 0, 0);
    for (step, image) in images.iter().enumerate() {
        for variant in 0..VARIANTS {
            let disk = image.reboot(variant);
            check_what_is_left(&disk, step as u64, variant, &acknowledged);
            crashes += 1;
            if variant == step as u64 % VARIANTS {
                reused += u64::from(run_again(&disk, &source, &acknowledged));
                reruns += 1;
            }
        }
    }
    assert!(
        reused > 0,
        "no run after a crash used what had been stored before it"
    );
    eprintln!(
        "{} steps, {crashes} crashes, {reruns} runs after a crash, {reused} of them reused packs",
        images.len()
    );
}

fn check_what_is_left(disk: &SimDisk, step: u64, variant: u64, acknowledged: &Acknowledged) {
    let context = format!("step {step}, variant {variant}");
    let repository = match world::open_on(disk) {
        Ok(repository) => repository,
        Err(error) => {
            assert!(
                step < acknowledged.init,
                "{context}: an acknowledged repository is gone: {error}"
            );
            return;
        }
    };
    let list = snapshots::list(&repository).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(
        list.damaged.is_empty(),
        "{context}: half a snapshot is visible: {:?}",
        list.damaged
    );
    let expected = [&acknowledged.first, &acknowledged.second];
    let certain = expected.iter().filter(|(steps, _)| *steps <= step).count();
    assert!(
        list.snapshots.len() >= certain,
        "{context}: an acknowledged snapshot is gone"
    );
    for (snapshot, (_, contents)) in list.snapshots.iter().zip(expected) {
        let found = world::read_back(&repository, snapshot);
        let found = found.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(
            found == *contents,
            "{context}: a snapshot reads back differently"
        );
    }
}

/// Captures the source after a crash; true if packs of a run that never committed were used.
fn run_again(disk: &SimDisk, source: &Source, acknowledged: &Acknowledged) -> bool {
    let repository = match world::open_on(disk) {
        Ok(repository) => repository,
        Err(_) => world::init(world::create_on(disk).unwrap()).unwrap(),
    };
    let before = snapshots::list(&repository).unwrap().snapshots.len();
    let known = repository.index().unwrap().len();
    let report = world::capture(&repository, &source.path()).unwrap();
    let contents = world::read_back(&repository, &report.snapshot).unwrap();
    assert_eq!(
        contents, acknowledged.second.1,
        "the run after a crash stored something else"
    );
    before == 0 && known > 0
}
