//! Restores in place: what is right already is not written again.

use std::fs;

use super::world::World;
use super::world::assert_same;
use super::world::options;
use crate::limits::KIB;
use crate::limits::MIB;
use crate::targets::volume::Existing;
use crate::targets::volume::Sparse;
use crate::testing::random::Random;

#[test]
fn nothing_is_written_where_nothing_differs() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    world.restore(&path, &options(Existing::Refuse)).unwrap();
    let report = world.restore(&path, &options(Existing::InPlace)).unwrap();
    assert_eq!((report.written, report.zeroed), (0, 0));
    assert_eq!(report.equal, world.len());
    let holes = (64 * KIB + 6 * MIB) as u64;
    assert_eq!(report.read, world.len() - holes, "holes are not read");
}

#[test]
fn one_percent_of_damage_writes_about_one_percent() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let mut bytes = world.bytes.clone();
    let mut random = Random::new(5);
    let damage = bytes.len() / 100;
    for _ in 0..2 {
        let at = random.below(bytes.len() - damage);
        bytes[at..at + damage / 2].fill(0xA5);
    }
    fs::write(&path, &bytes).unwrap();
    let report = world.restore(&path, &options(Existing::InPlace)).unwrap();
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
    let changed = (report.written + report.zeroed) as usize;
    // Up to one chunk or grain too much at either end of a damaged run.
    let slack = 4 * 128 * KIB;
    assert!(
        (damage / 2..damage + slack).contains(&changed),
        "{changed} of {damage}"
    );
    assert_eq!(report.equal, world.len() - changed as u64);
    assert_eq!(report.read, world.len());
}

#[test]
fn zeros_are_written_only_where_the_target_is_not_zero() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let (zero_at, hole_at) = (6 * MIB, 8 * MIB + 100);
    for sparse in [Sparse::AsRecorded, Sparse::Max, Sparse::None] {
        let mut bytes = world.bytes.clone();
        bytes[zero_at] = 1;
        bytes[hole_at] = 1;
        fs::write(&path, &bytes).unwrap();
        let mut options = options(Existing::InPlace);
        options.target.sparse = sparse;
        let report = world.restore(&path, &options).unwrap();
        assert_same(&fs::read(&path).unwrap(), &world.bytes);
        let changed = report.written + report.zeroed;
        assert_eq!(changed, 128 * KIB as u64, "{sparse:?}");
    }
}

#[test]
fn a_file_of_another_length_becomes_the_volume() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let mut longer = world.bytes.clone();
    longer.extend([7; 100]);
    for content in [&world.bytes[..5 * MIB], &longer, &[]] {
        fs::write(&path, content).unwrap();
        world.restore(&path, &options(Existing::InPlace)).unwrap();
        assert_same(&fs::read(&path).unwrap(), &world.bytes);
    }
    let fresh = folder.path().join("new");
    world.restore(&fresh, &options(Existing::InPlace)).unwrap();
    assert_same(&fs::read(&fresh).unwrap(), &world.bytes);
}
