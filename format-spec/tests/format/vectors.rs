//! The vectors against the reference decoder, and against the functions that made them.

use crate::make;
use blockstore_format_spec::vectors;
use blockstore_format_spec::vectors::Vector;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Set to any value to write the files instead of comparing them.
const WRITE: &str = "BLOCKSTORE_WRITE_VECTORS";

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"))
}

fn made() -> BTreeMap<String, Vec<u8>> {
    let all = make::all();
    let by_claim: BTreeMap<_, _> = all.iter().cloned().collect();
    assert_eq!(by_claim.len(), all.len(), "two vectors claim the same");
    by_claim
}

fn stored() -> Vec<Vector> {
    vectors::all().expect("the vectors can be read")
}

#[test]
fn making_the_vectors_again_gives_the_same_bytes() {
    let write = std::env::var_os(WRITE).is_some();
    for (claim, file) in made() {
        let path = folder().join(format!("{claim}.vec"));
        if write {
            std::fs::write(&path, &file).expect("can be written");
        }
        assert!(
            std::fs::read(&path).is_ok_and(|found| found == file),
            "{claim} differs"
        );
    }
}

#[test]
fn every_vector_is_one_that_is_made() {
    let made: BTreeSet<String> = made().into_keys().collect();
    let stored: BTreeSet<String> = stored().into_iter().map(|vector| vector.claim).collect();
    assert_eq!(stored, made);
}

#[test]
fn every_vector_decodes_to_what_it_expects() {
    let mut wrong = Vec::new();
    for vector in stored() {
        let said = vector.decode();
        if said.as_ref().err().map(|rejection| rejection.fault) != vector.expect {
            wrong.push(format!(
                "{}: {:?} but {said:?}",
                vector.claim, vector.expect
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_vector_can_be_cut_short_and_stay_valid() {
    for vector in stored()
        .into_iter()
        .filter(|vector| vector.expect.is_none())
    {
        let len = vector.bytes.len();
        // Padding of tables is free; an extents leaf of no entries is 3 bytes.
        if vector.kind == "table" {
            continue;
        }
        for cut in [0, 1, len / 2, len - 1]
            .into_iter()
            .filter(|cut| *cut < len)
        {
            let shorter = Vector {
                bytes: vector.bytes[..cut].to_vec(),
                ..vector.clone()
            };
            assert!(shorter.decode().is_err(), "{} cut at {cut}", vector.claim);
        }
    }
}

#[test]
fn no_changed_bit_of_a_sealed_object_or_record_goes_unseen() {
    let hashed = ["config", "header", "object", "blocks"];
    let valid = stored()
        .into_iter()
        .filter(|vector| vector.expect.is_none());
    for vector in valid.filter(|vector| hashed.contains(&vector.kind.as_str())) {
        let step = vector.bytes.len() / 200 + 1;
        for at in (0..vector.bytes.len()).step_by(step) {
            let mut bytes = vector.bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let changed = Vector {
                bytes,
                ..vector.clone()
            };
            assert!(changed.decode().is_err(), "{} at {at}", vector.claim);
        }
    }
}

/// A plain generator: the same bytes in every run.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

#[test]
fn no_bytes_make_the_decoder_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for vector in stored()
        .into_iter()
        .filter(|vector| vector.bytes.len() < 2000)
    {
        if vector.kind == "slot" || vector.bytes.is_empty() {
            continue;
        }
        for _ in 0..300 {
            let mut bytes = vector.bytes.clone();
            for _ in 0..1 + next(&mut state) % 3 {
                let at = next(&mut state) % bytes.len();
                bytes[at] = next(&mut state) as u8;
            }
            // Valid or rejected: either is an answer.
            let _ = Vector {
                bytes,
                ..vector.clone()
            }
            .decode();
        }
    }
}
