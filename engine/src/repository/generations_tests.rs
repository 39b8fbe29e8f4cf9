//! Readers find everything while prunes move it, and what is lost costs them few looks.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::ErrorKind;
use crate::format::id::ChunkId;
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::format::snapshot::Snapshot;
use crate::operations::restore::{RestoreOptions, restore};
use crate::operations::restore_volume::{RestoreVolumeOptions, restore_volume};
use crate::pipeline::fetch::{self, Wanted};
use crate::repository::Repository;
use crate::repository::chunks::{ChunkReader, FrameBuffers};
use crate::repository::generations::Generations;
use crate::repository::index::Index;
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::fault_backend::{BackendFault, Effect, FaultBackend};
use crate::testing::random::Random;
use crate::testing::recording_backend::{RecordingBackend, Verb};
use crate::testing::sample_repository::{self, SampleTree, small_frames};
use crate::testing::sample_volumes::{self, SampleVolume, Stretch};
use crate::testing::toy_prune::{MovingBackend, move_all};

const LONG: usize = 400_000;

fn sample() -> (Arc<MemoryBackend>, Snapshot) {
    let backend = Arc::new(MemoryBackend::new());
    let repository = sample_repository::create(backend.clone());
    let mut tree = SampleTree::random(41, 80);
    tree.file("long", Random::new(42).bytes(LONG));
    let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
    (backend, snapshot)
}

fn ids(repository: &Repository, class: PackClass) -> Vec<ChunkId> {
    let locations = repository.index().unwrap().locations();
    let own = locations.filter(|(_, copy)| copy.pack.class == class);
    own.map(|(id, _)| id).collect()
}

fn packs(backend: &dyn Backend) -> Vec<ObjectName> {
    let listed = backend.list(ObjectKind::Pack).unwrap();
    listed.into_iter().map(|info| info.name).collect()
}

#[test]
fn a_reader_survives_any_number_of_prunes() {
    let (backend, _) = sample();
    let repository = sample_repository::open(backend.clone());
    let reader = ChunkReader::new(&repository, 0).unwrap();
    let chunks = ids(&repository, PackClass::Data);
    let pages = ids(&repository, PackClass::Meta);
    for _ in 0..20 {
        move_all(&sample_repository::open(backend.clone())).unwrap();
        for id in chunks.iter().take(5) {
            assert!(reader.chunk(id).is_ok());
        }
    }
    chunks.iter().for_each(|id| drop(reader.chunk(id).unwrap()));
    pages.iter().for_each(|id| drop(reader.page(id).unwrap()));
}

#[test]
fn what_was_planned_before_two_prunes_is_fetched_after_them() {
    let (backend, _) = sample();
    for threads in [1, 4] {
        let repository = sample_repository::open(backend.clone());
        let reader = ChunkReader::new(&repository, 0).unwrap();
        let ids = ids(&repository, PackClass::Data);
        let mut wanted = Vec::new();
        for (number, id) in ids.iter().enumerate() {
            if number == ids.len() / 2 {
                move_all(&sample_repository::open(backend.clone())).unwrap();
                let frame = reader.find(id, PackClass::Data).unwrap().unwrap().frame;
                let read = reader.read_one_frame(frame, &mut FrameBuffers::default());
                assert_eq!(read.unwrap_err().kind(), ErrorKind::NotFound);
                drop(reader.chunk(id).unwrap());
            }
            let place = reader.find(id, PackClass::Data).unwrap().unwrap();
            wanted.push(Wanted {
                id: *id,
                place,
                tag: (),
            });
        }
        move_all(&sample_repository::open(backend.clone())).unwrap();
        let fetched = Mutex::new(Vec::new());
        fetch::fetch(&reader, threads, wanted, &(), |chunk, bytes| {
            assert_eq!(repository.keys().chunk_id().id_of(bytes?), chunk.id);
            fetched.lock().push(chunk.id);
            Ok(())
        })
        .unwrap();
        let mut fetched = fetched.into_inner();
        fetched.sort_unstable();
        assert!(fetched == ids);
    }
}

/// Restores a folder while all frames move before every few reads.
fn restored(every: u64, moves: u32, threads: usize) -> (u64, Vec<u8>) {
    let (inner, snapshot) = sample();
    let backend = Arc::new(MovingBackend::new(inner, every, moves));
    let repository = sample_repository::open(backend.clone());
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let mut options = RestoreOptions {
        verify: true,
        ..RestoreOptions::default()
    };
    options.budget.threads = threads;
    let report = restore(&repository, &snapshot, b"", &target, &options, &()).unwrap();
    assert_eq!(report.problems, 0, "every {every}");
    // Where chunks end is chance, and so is how many reads there are.
    assert!(moves == 0 || backend.moves_left() < moves, "every {every}");
    let long = std::fs::read(target.join("long")).unwrap();
    (report.files, long)
}

#[test]
fn i1_a_folder_restores_whole_while_prunes_move_all_of_it() {
    let expected = (81, Random::new(42).bytes(LONG));
    assert!(restored(1, 0, 1) == expected, "without any prune");
    for (every, moves) in [(1, 3), (3, 3), (7, 2)] {
        for threads in [1, 3] {
            assert!(restored(every, moves, threads) == expected, "every {every}");
        }
    }
}

#[test]
fn i1_a_volume_restores_whole_while_prunes_move_all_of_it() {
    let inner = Arc::new(MemoryBackend::new());
    let repository = sample_repository::create(inner.clone());
    let bytes = Random::new(43).bytes(LONG);
    let volume = SampleVolume::new(vec![Stretch::Data(Arc::new(bytes.clone()))]);
    let volumes = [("disk0", &volume)];
    let snapshot = sample_volumes::commit(&repository, small_frames(), &volumes, &[]);
    let folder = tempfile::tempdir().unwrap();
    for (every, moves) in [(1, 3), (2, 2), (4, 1)] {
        let backend = Arc::new(MovingBackend::new(inner.clone(), every, moves));
        let repository = sample_repository::open(backend.clone());
        let target = folder.path().join(format!("target{every}"));
        let options = RestoreVolumeOptions::default();
        let (root, target): (_, &Path) = (&snapshot.roots[0], &target);
        let report = restore_volume(&repository, root, target, &options, &()).unwrap();
        assert!(report.lost.is_empty(), "every {every}");
        assert_eq!(backend.moves_left(), 0, "there were enough reads");
        assert!(std::fs::read(target).unwrap() == bytes, "every {every}");
    }
}

#[test]
fn what_is_lost_is_told_as_before_and_costs_few_looks() {
    let (inner, _) = sample();
    let backend = Arc::new(RecordingBackend::new(sample_repository::copy_of(&inner)));
    let repository = sample_repository::open(backend.clone());
    let chunks = ids(&repository, PackClass::Data);
    for pack in packs(&*backend) {
        backend.delete(&pack).unwrap();
    }
    let reader = ChunkReader::new(&repository, 0).unwrap();
    backend.reset();
    for id in &chunks {
        assert_eq!(reader.chunk(id).unwrap_err().kind(), ErrorKind::Damaged);
        let unknown = ChunkId(*blake3::hash(&id.0).as_bytes());
        assert_eq!(
            reader.chunk(&unknown).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(reader.find(id, PackClass::Data).unwrap().is_some());
        assert_eq!(reader.find(&unknown, PackClass::Data).unwrap(), None);
    }
    assert!(
        backend.calls(Verb::List) <= 4,
        "{}",
        backend.calls(Verb::List)
    );
}

#[test]
fn packs_without_a_run_are_found_in_their_tables_and_so_are_their_successors() {
    let (backend, _) = sample();
    let chunks = ids(&sample_repository::open(backend.clone()), PackClass::Data);
    let delete_runs = || {
        for info in backend.list(ObjectKind::Index).unwrap() {
            backend.delete(&info.name).unwrap();
        }
    };
    delete_runs();
    let repository = sample_repository::open(backend.clone());
    let reader = ChunkReader::new(&repository, 0).unwrap();
    assert!(reader.chunk(&chunks[0]).is_ok());
    for _ in 0..3 {
        move_all(&sample_repository::open(backend.clone())).unwrap();
        delete_runs();
        chunks.iter().for_each(|id| drop(reader.chunk(id).unwrap()));
    }
}

#[test]
fn one_look_serves_all_packs_that_are_gone_and_memory_holds_what_is_new_alone() {
    let (backend, _) = sample();
    let repository = sample_repository::open(backend.clone());
    let index = repository.index().unwrap();
    let known = Generations::new(index);
    let gone = packs(&*backend);
    assert!(gone.len() > 3);
    move_all(&sample_repository::open(backend.clone())).unwrap();
    for pack in &gone {
        known.look_for(&repository, &[*pack]).unwrap();
        assert!(known.is_gone(pack));
    }
    assert_eq!(known.generation_count(), 2);
    known.look_once(&repository).unwrap();
    assert_eq!(known.generation_count(), 2);
    for (id, _) in index.locations() {
        let copies = known.copies(&id);
        assert_eq!(copies.len(), 2);
        assert!(
            !known.is_gone(&copies[0].1.pack.name()),
            "the one that is there comes first"
        );
        assert!(known.is_gone(&copies[1].1.pack.name()));
        let (frame, copy) = copies[0];
        assert_eq!(known.frame(frame).frame, copy.frame);
    }
}

#[test]
fn a_run_that_is_gone_when_the_index_is_loaded_is_no_damage() {
    let (inner, _) = sample();
    let runs = inner.list(ObjectKind::Index).unwrap().len() as u64;
    assert!(runs > 1);
    for nth in 1..=runs {
        let backend = FaultBackend::new(sample_repository::copy_of(&inner));
        let repository = sample_repository::open(inner.clone());
        backend.fail(BackendFault {
            verb: Some(Verb::Get),
            nth,
            kind: ErrorKind::NotFound,
            effect: Effect::Before,
            lasting: false,
        });
        let index = Index::load(&backend, repository.keys(), None).unwrap();
        assert!(index.damaged_runs().is_empty());
        assert_eq!(index.len(), repository.index().unwrap().len());
    }
}
