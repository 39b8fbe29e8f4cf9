//! Any volume, any part of it, onto anything, interrupted anywhere: the bytes are right.

use std::fs;
use std::path::Path;

use super::world::Part;
use super::world::Watcher;
use super::world::World;
use super::world::assert_same;
use super::world::options;
use crate::error::ErrorKind;
use crate::limits::KIB;
use crate::operations::restore_volume::restore_volume;
use crate::repository::session::SessionOptions;
use crate::targets::volume::Existing;
use crate::targets::volume::Sparse;
use crate::testing::random::Random;

const VOLUMES: u64 = 6;
const RESTORES: usize = 12;

/// Stretches of lengths that fit nothing.
fn random_parts(random: &mut Random) -> Vec<Part> {
    let mut parts = vec![Part::Data(1000 * KIB + random.below(3000))];
    for _ in 0..30 {
        let len_max = [600, 5000, 200 * KIB][random.below(3)];
        let len = 1 + random.below(len_max);
        parts.push(match random.below(3) {
            0 => Part::Data(len),
            1 => Part::Hole(len),
            _ => Part::Zero(len),
        });
    }
    parts
}

/// Bytes that have something to do with the volume, or nothing.
fn random_target(random: &mut Random, wanted: &[u8]) -> Vec<u8> {
    let mut bytes = match random.below(3) {
        0 => vec![0xA5; random.below(2 * wanted.len() + 1)],
        1 => vec![0; random.below(wanted.len() + 1)],
        _ => wanted.to_vec(),
    };
    for _ in 0..random.below(5) {
        if !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] ^= 1;
        }
    }
    bytes
}

#[test]
fn any_part_of_any_volume_comes_back_onto_anything_however_often_it_is_interrupted() {
    for seed in 0..VOLUMES {
        let mut random = Random::new(seed);
        let parts = random_parts(&mut random);
        let world = World::new(&parts, SessionOptions::default());
        let folder = tempfile::tempdir().unwrap();
        for round in 0..RESTORES {
            let path = folder.path().join(round.to_string());
            restore_somehow(&world, &path, &mut random, &format!("seed {seed}, {round}"));
        }
    }
}

fn restore_somehow(world: &World, path: &Path, random: &mut Random, which: &str) {
    let mut options = options([Existing::Overwrite, Existing::InPlace][random.below(2)]);
    options.target.sparse = [Sparse::AsRecorded, Sparse::Max, Sparse::None][random.below(3)];
    options.budget.cache_len = (64 * KIB) << random.below(6);
    options.checkpoint_len = 1 + random.below(300 * KIB) as u64;
    options.verify = random.one_in(2);
    let start = random.below(world.bytes.len());
    let end = start + random.below(world.bytes.len() - start + 1);
    options.range = random.one_in(2).then_some(start as u64..end as u64);
    let range = options.range.clone().unwrap_or(0..world.len());
    let wanted = &world.bytes[range.start as usize..range.end as usize];
    fs::write(path, random_target(random, wanted)).unwrap();
    loop {
        let watcher = Watcher {
            stop_after: random
                .one_in(2)
                .then_some(1 + random.below(wanted.len() + 1) as u64),
            ..Watcher::default()
        };
        let (repository, root) = (&world.repository, &world.root);
        match restore_volume(repository, root, path, &options, &watcher) {
            Ok(report) => {
                let sum = report.resumed + report.equal + report.written + report.zeroed;
                assert!(sum <= report.len, "{which}: {report:?}");
                assert!(
                    report.verified.is_none_or(|verified| verified.is_right()),
                    "{which}"
                );
                break;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{which}: {error}"),
        }
        options.target.resume = true;
    }
    assert_same(&fs::read(path).unwrap(), wanted);
}
