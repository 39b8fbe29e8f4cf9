//! Every decoder comes back from whatever it is given: the short form of `fuzz/`, for a toolchain
//! without a fuzzer. The cases are the same on every run.

#![cfg(feature = "testing")]

use std::collections::BTreeSet;

use blockstore::testing::decoders;
use blockstore::testing::random::Random;
use blockstore::testing::seeds;

/// Cases of each sort for each decoder.
const CASES: usize = 400;
/// The model opens a repository for each case.
const MODEL_CASES: usize = 60;

fn cases_of(decoder: &str) -> usize {
    if decoder == "repository_model" {
        MODEL_CASES
    } else {
        CASES
    }
}

fn seeds_of(decoder: &str) -> Vec<Vec<u8>> {
    let seeds = seeds::all().into_iter();
    seeds
        .filter(|(name, _)| *name == decoder)
        .map(|(_, seed)| seed)
        .collect()
}

/// Changes one to four places: a bit, a byte, a length, an order.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.number() as u8),
            2 => bytes.extend_from_within(at..),
            3 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
}

#[test]
fn every_decoder_accepts_its_seeds_and_survives_their_mutations() {
    for &(name, decode) in decoders::all() {
        let seeds = seeds_of(name);
        assert!(!seeds.is_empty(), "{name} has no seed");
        seeds.iter().for_each(|seed| decode(seed));
        let mut random = Random::new(1);
        for _ in 0..cases_of(name) {
            let mut bytes = seeds[random.below(seeds.len())].clone();
            mutate(&mut bytes, &mut random);
            decode(&bytes);
        }
    }
}

#[test]
fn every_decoder_survives_noise() {
    for &(name, decode) in decoders::all() {
        let mut random = Random::new(2);
        for _ in 0..cases_of(name) {
            let len = random.below(300);
            decode(&random.bytes(len));
        }
    }
}

#[test]
fn every_decoder_is_a_target_of_the_fuzzer_and_every_target_a_decoder() {
    let fuzz = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz");
    let files = std::fs::read_dir(format!("{fuzz}/fuzz_targets")).expect("the fuzzer lies there");
    let targets: BTreeSet<_> = files
        .map(|file| file.expect("a readable folder").file_name())
        .map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned())
        .collect();
    let decoders = decoders::all().iter().map(|(name, _)| (*name).to_owned());
    assert_eq!(targets, decoders.collect());
    let manifest = std::fs::read_to_string(format!("{fuzz}/Cargo.toml")).expect("a manifest");
    for target in targets {
        let path = format!("path = \"fuzz_targets/{target}.rs\"");
        assert!(manifest.contains(&path), "{target} is not built");
    }
}
