//! Runs are rewritten without losing what they say of packs that stay, whatever fails.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{ErrorKind, Result};
use crate::format::id::{ChunkId, SessionId};
use crate::format::index_run::IndexRun;
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::format::table::{Codec, TableName};
use crate::repository::Repository;
use crate::repository::index::replace::prints_of;
use crate::repository::index::rewrite::{
    RewriteOptions, Rewritten, SMALL_RUNS_MAX, rewrite_without,
};
use crate::repository::index::{Index, Replacer, read_run};
use crate::repository::session::{Announced, Session, SessionOptions, Writer};
use crate::storage::memory::MemoryBackend;
use crate::storage::{Backend, ObjectInfo};
use crate::testing::fault_backend::{BackendFault, Effect, FaultBackend};
use crate::testing::recording_backend::Verb;
use crate::testing::sample_repository::{self, SampleTree, flip_bit, small_frames};

/// All that an entry says.
type Said = (
    ChunkId,
    ObjectName,
    (u64, u64, u32, u32),
    [u8; 32],
    (u32, u32),
);

/// A repository of so many sessions, with a run for each pack.
fn sample(sessions: u64) -> Arc<MemoryBackend> {
    let backend = Arc::new(MemoryBackend::new());
    sample_repository::create(backend.clone());
    for seed in 0..sessions {
        let repository = sample_repository::open(backend.clone());
        let tree = SampleTree::random(seed, 25);
        let options = SessionOptions {
            index_every_packs: 2,
            ..small_frames()
        };
        sample_repository::commit(&repository, options, &[("/r", &tree)]);
    }
    backend
}

/// What all runs say, and how often.
fn said(backend: &dyn Backend, keys_of: &Repository) -> BTreeMap<Said, u32> {
    let index = Index::load(backend, keys_of.keys(), None).unwrap();
    assert!(index.damaged_runs().is_empty());
    let mut said = BTreeMap::new();
    for (id, copy) in index.locations() {
        let frame = copy.frame;
        let lens = (
            frame.offset,
            frame.counter,
            frame.stored_len,
            frame.plain_len,
        );
        let what = (
            id,
            copy.pack.name(),
            lens,
            copy.origin.salt,
            (copy.offset, copy.len),
        );
        *said.entry(what).or_default() += 1;
    }
    said
}

fn without(said: &BTreeMap<Said, u32>, deleted: &HashSet<ObjectName>) -> BTreeMap<Said, u32> {
    let kept = said
        .iter()
        .filter(|((_, pack, ..), _)| !deleted.contains(pack));
    kept.map(|(said, count)| (*said, *count)).collect()
}

fn names(backend: &dyn Backend, kind: ObjectKind) -> BTreeSet<ObjectName> {
    let listed = backend.list(kind).unwrap();
    listed.into_iter().map(|info| info.name).collect()
}

/// Every third data pack.
fn some_packs(backend: &dyn Backend) -> HashSet<ObjectName> {
    let packs = names(backend, ObjectKind::Pack).into_iter();
    packs.step_by(3).collect()
}

fn rewrite(
    repository: &Repository,
    deleted: &HashSet<ObjectName>,
    compact_small: bool,
) -> Result<Rewritten> {
    let index = Index::default();
    let announced = Announced::put(repository, &Writer::default())?;
    let session = Session::start(repository, &index, announced, SessionOptions::default())?;
    let options = RewriteOptions {
        compact_small,
        is_dry: false,
    };
    let rewritten = rewrite_without(&session, deleted, options)?;
    let intent = session.finish_without_snapshot()?;
    repository.backend().delete(&intent)?;
    Ok(rewritten)
}

#[test]
fn runs_lose_the_deleted_packs_and_nothing_else_and_a_second_time_nothing_changes() {
    let backend = sample(3);
    let repository = sample_repository::open(backend.clone());
    let (before, runs) = (
        said(&*backend, &repository),
        names(&*backend, ObjectKind::Index),
    );
    let deleted = some_packs(&*backend);
    let rewritten = rewrite(&repository, &deleted, false).unwrap();
    assert_eq!(said(&*backend, &repository), without(&before, &deleted));
    assert!(
        rewritten.runs_removed > 1 && rewritten.runs_written == 1,
        "{rewritten:?}"
    );
    let after = names(&*backend, ObjectKind::Index);
    let kept = runs.intersection(&after).count() as u64;
    assert_eq!(kept + rewritten.runs_removed, runs.len() as u64);
    let packs = names(&*backend, ObjectKind::Pack);
    let covered: BTreeSet<_> = packs
        .into_iter()
        .filter(|pack| !deleted.contains(pack))
        .collect();
    assert_eq!(
        rewritten.covered.into_iter().collect::<BTreeSet<_>>(),
        covered
    );

    let again = rewrite(&repository, &deleted, false).unwrap();
    assert_eq!((again.runs_written, again.runs_removed), (0, 0));
    assert_eq!(names(&*backend, ObjectKind::Index), after);
}

#[test]
fn a_run_of_deleted_packs_alone_goes_without_another_in_its_place() {
    let backend = sample(1);
    let repository = sample_repository::open(backend.clone());
    let deleted = names(&*backend, ObjectKind::Pack).into_iter().collect();
    let rewritten = rewrite(&repository, &deleted, true).unwrap();
    assert_eq!(rewritten.runs_written, 0);
    assert!(names(&*backend, ObjectKind::Index).is_empty());
}

#[test]
fn many_small_runs_become_few_and_those_of_sessions_that_go_on_stay() {
    let backend = sample(10);
    let repository = sample_repository::open(backend.clone());
    let running = Announced::put(&repository, &Writer::default()).unwrap();
    let index = Index::default();
    let running = Session::start(&repository, &index, running, small_frames()).unwrap();
    let any_run = *names(&*backend, ObjectKind::Index).first().unwrap();
    let run = read_run(&*backend, repository.keys(), &any_run).unwrap();
    let (its_run, _) = running.put_run(run).unwrap();
    let before = said(&*backend, &repository);
    assert!(names(&*backend, ObjectKind::Index).len() > SMALL_RUNS_MAX + 1);

    let rewritten = rewrite(&repository, &HashSet::new(), true).unwrap();
    assert_eq!(rewritten.runs_written, 1);
    let after = names(&*backend, ObjectKind::Index);
    assert!(after.len() == 2 && after.contains(&its_run), "{after:?}");
    assert_eq!(said(&*backend, &repository), before);

    let again = rewrite(&repository, &HashSet::new(), true).unwrap();
    assert_eq!(
        (again.runs_written, again.runs_removed),
        (0, 0),
        "there are few"
    );
}

#[test]
fn a_pack_of_which_two_runs_say_the_same_is_named_once_by_their_successor() {
    let backend = sample(5);
    let repository = sample_repository::open(backend.clone());
    let before = said(&*backend, &repository);
    let announced = Announced::put(&repository, &Writer::default()).unwrap();
    let index = Index::default();
    let crashed = Session::start(&repository, &index, announced, small_frames()).unwrap();
    let intent = ObjectName::Intent(crashed.id());
    for name in names(&*backend, ObjectKind::Index) {
        let run = read_run(&*backend, repository.keys(), &name).unwrap();
        crashed.put_run(run).unwrap();
    }
    drop(crashed);
    backend.delete(&intent).unwrap();
    assert!(
        said(&*backend, &repository)
            .values()
            .all(|count| *count == 2)
    );
    rewrite(&repository, &HashSet::new(), true).unwrap();
    assert!(said(&*backend, &repository) == before);
}

#[test]
fn i6_at_whatever_call_a_rewriting_fails_the_index_lacks_nothing_that_stays() {
    let clean = sample(10);
    let deleted = some_packs(&*clean);
    let repository = sample_repository::open(clean.clone());
    let expected = without(&said(&*clean, &repository), &deleted);
    let try_with = |fault: Option<BackendFault>| {
        let faulty = Arc::new(FaultBackend::new(sample_repository::copy_of(&clean)));
        let repository = sample_repository::open(faulty.clone());
        let opened = faulty.calls();
        fault.into_iter().for_each(|fault| faulty.fail(fault));
        let failed = rewrite(&repository, &deleted, true).is_err();
        faulty.heal();
        let found = without(&said(faulty.inner(), &repository), &deleted);
        assert!(found.keys().eq(expected.keys()), "{fault:?}");
        let calls = faulty.calls() - opened;

        rewrite(&repository, &deleted, true).unwrap();
        let found = said(faulty.inner(), &repository);
        assert!(found.keys().eq(expected.keys()), "{fault:?}");
        (calls, failed)
    };
    let (calls, failed) = try_with(None);
    assert!(calls > 20 && !failed);
    for nth in 1..=calls {
        for fault in BackendFault::each_way(nth) {
            try_with(Some(fault));
        }
    }
}

#[test]
fn a_run_that_is_gone_when_it_is_read_is_looked_for_again() {
    let clean = sample(2);
    let deleted = some_packs(&*clean);
    let expected = {
        let repository = sample_repository::open(clean.clone());
        without(&said(&*clean, &repository), &deleted)
    };
    for nth in 1..10 {
        let faulty = Arc::new(FaultBackend::new(sample_repository::copy_of(&clean)));
        let repository = sample_repository::open(faulty.clone());
        faulty.fail(BackendFault {
            verb: Some(Verb::Get),
            nth,
            kind: ErrorKind::NotFound,
            effect: Effect::Before,
            lasting: false,
        });
        let _ = rewrite(&repository, &deleted, false);
        faulty.heal();
        rewrite(&repository, &deleted, false).unwrap();
        assert!(
            said(faulty.inner(), &repository).keys().eq(expected.keys()),
            "{nth}"
        );
    }
}

#[test]
fn a_run_that_cannot_be_read_stays_and_is_told() {
    let backend = sample(2);
    let repository = sample_repository::open(backend.clone());
    let victim = *names(&*backend, ObjectKind::Index).first().unwrap();
    flip_bit(&*backend, &victim, 200);
    let rewritten = rewrite(&repository, &some_packs(&*backend), true).unwrap();
    let damaged: Vec<_> = rewritten.damaged.iter().map(|(name, _)| *name).collect();
    assert_eq!(damaged, [victim]);
    assert!(names(&*backend, ObjectKind::Index).contains(&victim));
}

#[test]
fn whatever_differs_between_runs_is_noticed() {
    let backend = sample(1);
    let repository = sample_repository::open(backend.clone());
    let names = names(&*backend, ObjectKind::Index);
    let reads = |name| read_run(&*backend, repository.keys(), name).unwrap();
    let longest = names.iter().map(reads).max_by_key(|run| run.entries.len());
    let run = longest.unwrap();
    type Change = fn(&mut IndexRun);
    let changes: [Change; 13] = [
        |run| {
            run.entries.pop();
        },
        |run| run.entries.push(run.entries[0]),
        |run| run.entries[0].id.0[3] ^= 1,
        |run| run.entries[0].offset += 1,
        |run| run.entries[0].len += 1,
        |run| run.packs[0].number += 1,
        |run| run.packs[0].session = SessionId([7; 16]),
        |run| run.packs[0].object_len += 1,
        |run| run.frames.iter_mut().for_each(|frame| frame.offset += 1),
        |run| run.frames.iter_mut().for_each(|frame| frame.counter += 1),
        |run| run.frames.iter_mut().for_each(|frame| frame.plain_len += 1),
        |run| {
            let other = |codec| match codec {
                Codec::Stored => Codec::Zstd,
                Codec::Zstd => Codec::Stored,
            };
            run.frames
                .iter_mut()
                .for_each(|frame| frame.codec = other(frame.codec));
        },
        |run| {
            run.origins
                .iter_mut()
                .for_each(|origin| origin.commitment[9] ^= 1)
        },
    ];
    let prints = |run: &IndexRun| {
        prints_of(run, &[5; 32])
            .into_iter()
            .collect::<BTreeSet<_>>()
    };
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = run.clone();
        change(&mut changed);
        assert_ne!(prints(&changed), prints(&run), "change {number}");
    }
    assert!(run.packs.iter().any(|pack| pack.class == PackClass::Data));
}

/// Something else beside the rewriting that changes what lies there.
#[derive(Debug)]
struct Meddler {
    inner: Arc<MemoryBackend>,
    /// What the next put stores in the place of what it is given.
    put_instead: Mutex<Option<Vec<u8>>>,
    /// The first new run is gone once it is read back, as after another prune that replaced it.
    takes_first_run: bool,
    first_run: Mutex<Option<ObjectName>>,
}

impl Meddler {
    fn of(inner: &Arc<MemoryBackend>) -> Self {
        Self {
            inner: Arc::clone(inner),
            put_instead: Mutex::default(),
            takes_first_run: false,
            first_run: Mutex::default(),
        }
    }
}

impl Backend for Meddler {
    fn put(&self, name: &ObjectName, data: &[u8]) -> Result<()> {
        if self.takes_first_run && name.kind() == ObjectKind::Index {
            self.first_run.lock().get_or_insert(*name);
        }
        let instead = self.put_instead.lock().take();
        self.inner.put(name, instead.as_deref().unwrap_or(data))
    }
    fn get(&self, name: &ObjectName) -> Result<Vec<u8>> {
        if *self.first_run.lock() == Some(*name) {
            self.inner.delete(name)?;
        }
        self.inner.get(name)
    }
    fn get_range(&self, name: &ObjectName, offset: u64, out: &mut [u8]) -> Result<()> {
        self.inner.get_range(name, offset, out)
    }
    fn list(&self, kind: ObjectKind) -> Result<Vec<ObjectInfo>> {
        self.inner.list(kind)
    }
    fn delete(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(name)
    }
    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }
}

#[test]
fn i6_nothing_is_deleted_if_the_new_run_says_something_else() {
    let inner = sample(2);
    let backend = Arc::new(Meddler::of(&inner));
    let repository = sample_repository::open(backend.clone());
    let index = Index::default();
    let announced = Announced::put(&repository, &Writer::default()).unwrap();
    let session = Session::start(&repository, &index, announced, small_frames()).unwrap();
    let inputs: Vec<_> = names(&*inner, ObjectKind::Index)
        .into_iter()
        .take(2)
        .collect();
    let runs = inputs
        .iter()
        .map(|name| read_run(&*inner, repository.keys(), name).unwrap());
    let runs: Vec<_> = runs.collect();
    let mut replacer = Replacer::new(&session, false).unwrap();
    for (name, run) in inputs.iter().zip(&runs) {
        replacer
            .add(Some(*name), run, &vec![true; run.packs.len()])
            .unwrap();
    }
    // Sealed for the very name, whole, and without what the second run says.
    let name = ObjectName::Index {
        session: session.id(),
        number: 0,
    };
    let mut forged = runs[0].clone();
    forged.name = TableName::of(&name);
    let kind = crate::format::envelope::SealedKind::IndexRun;
    let (keys, config) = (repository.keys(), repository.config());
    let bytes = crate::repository::object::encode(keys, config, kind, &name, &forged.encode());
    *backend.put_instead.lock() = Some(bytes.unwrap());
    let error = replacer.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.detail().contains("nothing was deleted"), "{error}");
    let left = names(&*inner, ObjectKind::Index);
    assert!(inputs.iter().all(|input| left.contains(input)));
}

#[test]
fn i6_a_new_run_that_another_prune_takes_away_costs_no_run_that_it_was_to_replace() {
    let inner = sample(2);
    let meddler = Meddler {
        takes_first_run: true,
        ..Meddler::of(&inner)
    };
    let repository = sample_repository::open(Arc::new(meddler));
    let before = said(&*inner, &repository);
    let deleted = *names(&*inner, ObjectKind::Pack).first().unwrap();
    let index = Index::default();
    let announced = Announced::put(&repository, &Writer::default()).unwrap();
    let session = Session::start(&repository, &index, announced, small_frames()).unwrap();
    let options = RewriteOptions {
        compact_small: false,
        is_dry: false,
    };
    let rewritten = rewrite_without(&session, &HashSet::from([deleted]), options).unwrap();
    assert_eq!((rewritten.runs_written, rewritten.runs_removed), (1, 1));
    let after = said(&*inner, &repository);
    let expected = before.into_keys().filter(|said| said.1 != deleted);
    assert!(
        after.into_keys().eq(expected),
        "the second try has its place"
    );
}
