//! The local copy of the index: it saves reading, and it never lies.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::format::id::{ChunkId, SessionId};
use crate::format::name::ObjectKind;
use crate::format::table::TableName;
use crate::repository::Repository;
use crate::repository::index::{Index, Location, whole};
use crate::repository::session::{Session, SessionOptions, Writer};
use crate::storage::Backend;
use crate::storage::cache::CacheFolder;
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
use crate::testing::sample_repository::{self, SampleTree, small_frames, stored_by};

type Recorded = Arc<RecordingBackend<MemoryBackend>>;

struct World {
    backend: Recorded,
    cache: CacheFolder,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = CacheFolder::open(folder.path()).unwrap();
        let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
        sample_repository::create(backend.clone() as Arc<dyn Backend>);
        Self {
            backend,
            cache,
            folder,
        }
    }

    fn open(&self) -> Repository {
        self.open_uncached().with_cache(&self.cache).unwrap()
    }

    fn open_uncached(&self) -> Repository {
        sample_repository::open(self.backend.clone() as Arc<dyn Backend>)
    }

    /// A snapshot of `files` new files.
    fn commit(&self, repository: &Repository, seed: u64, files: usize) {
        let tree = SampleTree::random(seed, files);
        sample_repository::commit(repository, small_frames(), &[("/r", &tree)]);
    }

    fn runs_read(&self) -> u64 {
        let subject = Subject::Kind(ObjectKind::Index);
        let calls = |verb| self.backend.tally(verb, subject).calls;
        calls(Verb::Get) + calls(Verb::GetRange)
    }

    /// The files of segments.
    fn segments(&self) -> Vec<PathBuf> {
        self.files(|name| !name.starts_with(whole::PREFIX))
    }

    fn files(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let id = self.open_uncached().id().to_string();
        let entries = fs::read_dir(self.folder.path().join(id)).unwrap();
        let entries = entries.map(|entry| entry.unwrap());
        entries
            .filter(|entry| is_wanted(entry.file_name().to_str().unwrap()))
            .map(|entry| entry.path())
            .collect()
    }
}

/// What an index says of the stored ids and of some that are not, frames by their place.
fn answers(index: &Index, ids: &[ChunkId]) -> Vec<BTreeSet<String>> {
    let place = |at: Location| {
        let frame = (at.frame.offset, at.frame.counter, at.frame.stored_len);
        format!(
            "{} {frame:?} {:?} {} {}",
            at.pack.name(),
            at.origin,
            at.offset,
            at.len
        )
    };
    ids.iter()
        .map(|id| index.locate(id).map(place).collect())
        .collect()
}

fn ids_of(index: &Index) -> Vec<ChunkId> {
    let mut random = Random::new(5);
    let absent = (0..50).map(|_| ChunkId(random.bytes(32).try_into().unwrap()));
    index.locations().map(|(id, _)| id).chain(absent).collect()
}

#[test]
fn i9_a_start_reads_no_run_that_this_machine_has_seen_and_knows_the_same() {
    let world = World::new();
    for seed in 0..5 {
        world.commit(&world.open(), seed, 40);
    }
    world.commit(&world.open_uncached(), 5, 40); // another machine
    let uncached = world.open_uncached();
    let ids = ids_of(uncached.index().unwrap());
    let expected = answers(uncached.index().unwrap(), &ids);
    assert!(ids.len() > 6 * 40);

    let before = world.runs_read();
    assert_eq!(answers(world.open().index().unwrap(), &ids), expected);
    let after_new = world.runs_read();
    assert!(after_new > before, "what the other machine stored is read");
    assert_eq!(answers(world.open().index().unwrap(), &ids), expected);
    assert_eq!(world.runs_read(), after_new, "and kept from then on");
}

#[test]
fn a_session_keeps_the_runs_that_it_stores() {
    let world = World::new();
    world.commit(&world.open(), 1, 200);
    let before = world.runs_read();
    assert!(!world.open().index().unwrap().is_empty());
    assert_eq!(world.runs_read(), before);
}

#[test]
fn many_small_runs_become_few_segments() {
    let world = World::new();
    for seed in 0..40 {
        world.commit(&world.open(), seed, 1 + seed as usize % 3);
    }
    world.open().index().unwrap();
    let files = world.segments().len();
    assert!(files <= 4, "{files} files");
    let (kept, read) = (world.open(), world.open_uncached());
    let ids = ids_of(read.index().unwrap());
    assert_eq!(
        answers(kept.index().unwrap(), &ids),
        answers(read.index().unwrap(), &ids)
    );
}

#[test]
fn i3_a_damaged_copy_of_the_index_is_noticed_and_never_believed() {
    let world = World::new();
    world.commit(&world.open(), 1, 30);
    let uncached = world.open_uncached();
    let ids = ids_of(uncached.index().unwrap());
    let expected = answers(uncached.index().unwrap(), &ids);
    let [file] = &world.segments()[..] else {
        panic!("one run, one segment")
    };
    let sound = fs::read(file).unwrap();
    let (mut refused, mut noticed) = (0, 0);
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(file, &damaged).unwrap();
        let before = world.runs_read();
        let repository = world.open();
        let index = repository.index().unwrap();
        refused += u32::from(world.runs_read() > before);
        if answers(index, &ids) != expected {
            index.ensure_whole().expect_err("an answer was wrong");
            noticed += 1;
            assert!(!file.exists(), "the next start makes it anew");
        }
    }
    assert!(
        refused > 0 && refused + noticed == sound.len() as u32,
        "{refused} {noticed}"
    );
    for len in [0, 1, 50, sound.len() / 2, sound.len() - 1] {
        fs::write(file, &sound[..len]).unwrap();
        assert_eq!(
            answers(world.open().index().unwrap(), &ids),
            expected,
            "length {len}"
        );
    }
}

#[test]
fn what_belongs_to_runs_that_are_gone_or_to_another_repository_is_not_used() {
    let (world, other) = (World::new(), World::new());
    world.commit(&world.open(), 1, 30);
    other.commit(&other.open(), 2, 30);
    let (mine, foreign) = (&world.segments()[0], &other.segments()[0]);
    let listed = world.backend.list(ObjectKind::Index).unwrap();
    listed
        .iter()
        .for_each(|info| world.backend.delete(&info.name).unwrap());
    assert!(world.open().index().unwrap().is_empty());
    assert!(!mine.exists());

    fs::copy(foreign, mine).unwrap();
    assert!(world.open().index().unwrap().is_empty());
    assert!(!mine.exists());
}

#[test]
fn a_manifest_is_known_whole_only_as_it_was_stated_and_while_its_runs_are_there() {
    let world = World::new();
    let cache = world.open();
    let local = cache.local_index().unwrap();
    let run = |number| TableName {
        session: SessionId([7; 16]),
        number,
    };
    let runs = |numbers: &[u32]| numbers.iter().copied().map(run).collect();
    let (page, other) = (ChunkId([1; 32]), ChunkId([2; 32]));
    assert!(!local.is_stated_whole(b"/r", &page, &runs(&[])));
    local.state_whole(b"/r", &page, &[run(1), run(2)]);
    assert!(local.is_stated_whole(b"/r", &page, &runs(&[1, 2])));
    assert!(local.is_stated_whole(b"/r", &page, &runs(&[2, 3, 1])));
    assert!(!local.is_stated_whole(b"/r", &page, &runs(&[1])));
    assert!(!local.is_stated_whole(b"/r", &other, &runs(&[1, 2])));
    assert!(!local.is_stated_whole(b"/s", &page, &runs(&[1, 2])));

    let [file] = &world.files(|_| true)[..] else {
        panic!("one statement")
    };
    let sound = fs::read(file).unwrap();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        fs::write(file, &damaged).unwrap();
        assert!(
            !local.is_stated_whole(b"/r", &page, &runs(&[1, 2])),
            "byte {at}"
        );
        fs::write(file, &sound[..at]).unwrap();
        assert!(
            !local.is_stated_whole(b"/r", &page, &runs(&[1, 2])),
            "length {at}"
        );
    }
    local.state_whole(b"/r", &other, &[]);
    assert!(local.is_stated_whole(b"/r", &other, &runs(&[])));
    assert!(!local.is_stated_whole(b"/r", &page, &runs(&[1, 2])));
}

/// Stores two folders of the same files, each pack in a run of its own.
fn store_twice(repository: &Repository) -> Session<'_> {
    let tree = SampleTree::random(3, 200);
    let options = SessionOptions {
        index_every_packs: 1,
        ..small_frames()
    };
    let roots = [("/a", &tree), ("/b", &tree)];
    let (session, _) = stored_by(repository, &Writer::default(), options, &roots);
    session.flush().unwrap();
    session
}

#[test]
fn a_session_remembers_only_ids_that_are_in_no_run_of_its_own_and_stores_each_once() {
    let world = World::new();
    let (kept, uncached) = (world.open(), world.open_uncached());
    let session = store_twice(&kept);
    let (reader, sealed) = (world.open_uncached(), world.segments());
    let ids = ids_of(reader.index().unwrap());
    let stored: Vec<_> = ids[..ids.len() - 50].to_vec();
    assert!(stored.len() > 200 && stored.is_sorted_by(|one, other| one < other));
    assert_eq!(session.claim_count(), 0);
    assert!(stored.iter().all(|id| !session.claim(id).unwrap()));
    assert!(sealed.len() <= 4, "{} segments are asked", sealed.len());
    assert!(
        ids[stored.len()..]
            .iter()
            .all(|id| session.claim(id).unwrap())
    );
    assert_eq!(session.claim_count(), 50);

    let elsewhere = store_twice(&uncached);
    assert_eq!(elsewhere.claim_count(), 0, "the index knows all");
}

#[test]
fn what_a_damaged_segment_of_a_session_does_not_show_is_stored_again() {
    let world = World::new();
    let repository = world.open();
    let session = store_twice(&repository);
    let uncached = world.open_uncached();
    let ids: Vec<_> = uncached.index().unwrap().locations().collect();
    for file in world.segments() {
        let zeros = vec![0; fs::metadata(&file).unwrap().len() as usize];
        let mut file = fs::OpenOptions::new().write(true).open(&file).unwrap();
        file.write_all(&zeros).unwrap();
    }
    let claimed = ids.iter().filter(|(id, _)| session.claim(id).unwrap());
    assert!(claimed.count() > 0);
}
