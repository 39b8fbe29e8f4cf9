//! Every flipped bit and every truncation of every object of a small repository (I3).
//!
//! Reading everything back after the damage gives, for each entry, the right bytes or an error:
//! never others. What of the damage no read notices must be told by the checksums of the object.

use std::sync::Arc;

use blockstore::format::name::ObjectKind;
use blockstore::repository::{Repository, snapshots};
use blockstore::storage::Backend;
use blockstore::storage::memory::MemoryBackend;

use crate::world::{self, Contents, Source, is_damaged};

/// Without `BLOCKSTORE_ALL_FLIPS` one bit of this many is tried: the whole takes some minutes.
const SAMPLE: usize = 61;

type Objects = Vec<(blockstore::format::name::ObjectName, Vec<u8>)>;

fn small_repository() -> (Source, Objects, Contents) {
    let source = Source::new();
    std::fs::remove_file(source.path().join("large")).unwrap();
    let backend = Arc::new(MemoryBackend::new());
    let repository = world::init(Arc::clone(&backend) as Arc<dyn Backend>).unwrap();
    let report = world::capture(&repository, &source.path()).unwrap();
    let contents = world::read_back(&repository, &report.snapshot).unwrap();
    let mut objects = Objects::new();
    for kind in ObjectKind::ALL {
        for info in backend.list(kind).unwrap() {
            objects.push((info.name, backend.get(&info.name).unwrap()));
        }
    }
    (source, objects, contents)
}

/// What reading a damaged repository came to.
#[derive(PartialEq, Eq)]
enum Outcome {
    Refused,
    Damaged,
    Unharmed,
}

/// The objects with one of them replaced; one that no backend would hold is missing.
fn with_damage(objects: &Objects, damaged: usize, bytes: &[u8]) -> MemoryBackend {
    let backend = MemoryBackend::new();
    for (index, (name, whole)) in objects.iter().enumerate() {
        let outcome = backend.put(name, if index == damaged { bytes } else { whole });
        assert!(outcome.is_ok() || index == damaged);
    }
    backend
}

fn read_all(objects: &Objects, damaged: usize, bytes: &[u8], expected: &Contents) -> Outcome {
    let backend = with_damage(objects, damaged, bytes);
    let Ok(repository) = Repository::open(Arc::new(backend), &world::secret()) else {
        return Outcome::Refused;
    };
    let Ok(list) = snapshots::list(&repository) else {
        return Outcome::Refused;
    };
    let [snapshot] = list.snapshots.as_slice() else {
        return Outcome::Refused;
    };
    let Ok(found) = world::read_back(&repository, snapshot) else {
        return Outcome::Refused;
    };
    let mut outcome = Outcome::Unharmed;
    for (path, said) in &found {
        if is_damaged(said) {
            outcome = Outcome::Damaged;
        } else {
            let right = expected.get(path) == Some(said);
            assert!(
                right,
                "{}: {} was read back wrong",
                objects[damaged].0,
                path.escape_ascii()
            );
        }
    }
    if found.len() != expected.len() {
        Outcome::Damaged
    } else {
        outcome
    }
}

/// True if a check of the object alone tells the damage.
fn is_told(objects: &Objects, damaged: usize, bytes: &[u8]) -> bool {
    let backend = with_damage(objects, damaged, bytes);
    let repository = Repository::open(Arc::new(backend), &world::secret());
    let Ok(repository) = repository else {
        return true;
    };
    let name = &objects[damaged].0;
    if matches!(name.kind(), ObjectKind::Config | ObjectKind::Key) {
        return false;
    }
    use blockstore::repository::object;
    object::open_bytes(repository.keys(), name, bytes)
        .and_then(|object| object::verify_blocks(&object, bytes))
        .is_err()
}

#[test]
fn i3_every_flipped_bit_is_told_or_without_effect() {
    let (_source, objects, expected) = small_repository();
    let step = if std::env::var_os("BLOCKSTORE_ALL_FLIPS").is_some() {
        1
    } else {
        SAMPLE
    };
    let total: usize = objects.iter().map(|(_, bytes)| bytes.len()).sum();
    let (mut flips, mut refused, mut damaged, mut unharmed) = (0_u64, 0_u64, 0_u64, 0_u64);
    for (index, (name, whole)) in objects.iter().enumerate() {
        let mut bytes = whole.clone();
        for bit in (index % step..whole.len() * 8).step_by(step) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            match read_all(&objects, index, &bytes, &expected) {
                Outcome::Refused => refused += 1,
                Outcome::Damaged => damaged += 1,
                Outcome::Unharmed => unharmed += 1,
            }
            assert!(
                is_told(&objects, index, &bytes),
                "{name} bit {bit}: no check tells it"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
            flips += 1;
        }
    }
    eprintln!(
        "{} objects of {total} bytes, {flips} flips: {refused} refused, {damaged} told by entry, \
         {unharmed} without effect and told by check, 0 silent",
        objects.len()
    );
}

#[test]
fn i3_every_truncation_is_told_or_without_effect() {
    let (_source, objects, expected) = small_repository();
    let mut truncations = 0_u64;
    let step = if std::env::var_os("BLOCKSTORE_ALL_FLIPS").is_some() {
        1
    } else {
        7
    };
    for (index, (name, whole)) in objects.iter().enumerate() {
        for len in (0..whole.len()).step_by(step) {
            read_all(&objects, index, &whole[..len], &expected);
            assert!(
                is_told(&objects, index, &whole[..len]),
                "{name} cut to {len}: no check tells it"
            );
            truncations += 1;
        }
    }
    eprintln!("{truncations} truncations, 0 silent");
}

#[test]
fn i3_every_object_in_the_place_of_every_other_is_told_or_without_effect() {
    let (_source, objects, expected) = small_repository();
    let mut swaps = 0_u64;
    for index in 0..objects.len() {
        for (other, (name, bytes)) in objects.iter().enumerate() {
            if other != index {
                read_all(&objects, index, bytes, &expected);
                let told = is_told(&objects, index, bytes);
                assert!(
                    told,
                    "{name} in the place of {}: no check tells it",
                    objects[index].0
                );
                swaps += 1;
            }
        }
    }
    eprintln!("{swaps} swaps of objects, 0 silent");
}
