//! The engine and the reference decoder list the same snapshots, in the same order, whatever prunes have
//! decided and whatever of it can be read.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use blockstore::format::entry::Timestamp;
use blockstore::format::envelope::SealedKind;
use blockstore::format::id::ChunkId;
use blockstore::format::id::SessionId;
use blockstore::format::name::ObjectKind;
use blockstore::format::name::ObjectName;
use blockstore::format::name::PruneStep;
use blockstore::format::prune::PruneRecord;
use blockstore::format::snapshot::PageRoot;
use blockstore::format::snapshot::Root;
use blockstore::repository::Repository;
use blockstore::repository::snapshots;
use blockstore::storage::local::LocalBackend;
use blockstore::testing::keys;
use blockstore::testing::prepared::prepared;
use blockstore::testing::prepared::snapshot_of;
use blockstore::testing::random::Random;
use blockstore::testing::whole_object;
use blockstore_format_spec::reference::record::Secret;
use blockstore_format_spec::reference::repository::Repository as Reference;
use blockstore_format_spec::reference::snapshot::Commit;
use blockstore_format_spec::vectors::KEY_FILE;

const WORLDS: u64 = 60;
const SESSIONS: u8 = 8;
/// Numbers of prunes, from 0 on, which is none.
const PRUNES: u32 = 4;

/// A repository in a folder, of outcomes, tombstones and steps of prunes alone.
struct World<'p> {
    path: &'p Path,
    random: Random,
}

impl World<'_> {
    fn fill(&mut self) {
        let objects = prepared().objects.iter();
        for (name, bytes) in objects {
            if matches!(name.kind(), ObjectKind::Config | ObjectKind::Key) {
                self.store(name, bytes);
            }
        }
        for session in (1..=SESSIONS).map(session) {
            self.outcome(session);
        }
        for number in 0..PRUNES {
            self.prune(number);
        }
    }

    fn outcome(&mut self, session: SessionId) {
        let name = ObjectName::Snapshot(session);
        match self.random.below(8) {
            0 => {}
            1 => self.put(SealedKind::Abort, &name, &[]),
            _ => {
                let at = PageRoot {
                    page: ChunkId([1; 32]),
                    level: 0,
                };
                let root = Root::folder(b"/source".to_vec(), at, 1, 0);
                let mut commit = snapshot_of(session, vec![root]);
                commit.base = self.random.below(PRUNES as usize + 1) as u32;
                commit.sequence = self.random.below(3) as u64;
                commit.ended = Timestamp {
                    seconds: self.random.below(2) as i64 - 1,
                    nanoseconds: self.random.below(2) as u32,
                };
                self.put(SealedKind::Commit, &name, &commit.encode());
            }
        }
        if self.random.one_in(4) {
            // Its name says all of it to a listing.
            self.store(&ObjectName::Forgotten(session), b"unread");
        }
    }

    fn prune(&mut self, number: u32) {
        let kinds = [SealedKind::PrunePlan, SealedKind::PruneSeal];
        for (step, kind) in [PruneStep::Plan, PruneStep::Seal].into_iter().zip(kinds) {
            if self.random.one_in(2) {
                let sessions = (1..=SESSIONS)
                    .map(session)
                    .filter(|_| self.random.one_in(2));
                let record = PruneRecord {
                    number,
                    packs: Vec::new(),
                    snapshots: sessions.collect(),
                };
                self.put(kind, &ObjectName::Prune(step, number), &record.encode());
            }
        }
        if self.random.one_in(3) {
            let name = ObjectName::Prune(PruneStep::Done, number);
            self.put(SealedKind::PruneDone, &name, &[]);
        }
    }

    /// Seals and stores an object; one in twelve is damaged.
    fn put(&mut self, kind: SealedKind, name: &ObjectName, payload: &[u8]) {
        let (keys, config) = (keys::keys(), keys::config());
        let sealed = whole_object::seal_whole_object(&keys, &config, kind, name, payload);
        let mut bytes = sealed.expect("the keys of tests have the epoch");
        if self.random.one_in(12) {
            let at = self.random.below(bytes.len());
            bytes[at] ^= 1;
        }
        self.store(name, &bytes);
    }

    fn store(&self, name: &ObjectName, bytes: &[u8]) {
        let path = self.path.join(name.to_string());
        fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

fn session(number: u8) -> SessionId {
    SessionId([number; 16])
}

/// Snapshots, forgotten ones, and those that are damaged.
type Listed = [Vec<String>; 3];

fn by_engine(repository: &Repository) -> Listed {
    let list = snapshots::list(repository).expect("damage hides nothing else");
    let ids = |found: &[blockstore::format::snapshot::Snapshot]| {
        let ids = found.iter().map(|snapshot| snapshot.session.to_string());
        ids.collect()
    };
    let damaged = list.damaged.iter().map(|(name, _)| name.to_string());
    [
        ids(&list.snapshots),
        ids(&list.forgotten),
        damaged.collect(),
    ]
}

fn by_reference(repository: &Reference) -> Listed {
    let listing = repository.listing().expect("damage hides nothing else");
    let ids = |found: &[Commit]| {
        let ids = found.iter().map(|commit| SessionId(commit.session));
        ids.map(|id| id.to_string()).collect()
    };
    let damaged = listing.damaged.iter().map(|rejection| &rejection.place);
    let damaged = damaged.filter_map(|place| place.split_once(':'));
    let damaged = damaged.map(|(name, _)| name.to_owned());
    let damaged = damaged.filter(|name| name.starts_with("snapshots/"));
    [
        ids(&listing.snapshots),
        ids(&listing.forgotten),
        damaged.collect(),
    ]
}

#[test]
fn both_decoders_list_the_same_snapshots_whatever_prunes_have_decided() {
    let (mut shown, mut hidden) = (0, 0);
    for seed in 0..WORLDS {
        let folder = tempfile::tempdir().expect("a folder");
        let mut world = World {
            path: folder.path(),
            random: Random::new(seed),
        };
        world.fill();
        let backend = LocalBackend::open(folder.path()).expect("a repository");
        let engine = Repository::open(Arc::new(backend), &keys::key_file()).expect("opens");
        let reference = Reference::open(folder.path(), Secret::KeyFile(&KEY_FILE)).expect("opens");
        let listed = by_engine(&engine);
        assert_eq!(listed, by_reference(&reference), "world {seed}");
        for id in (1..=SESSIONS).map(|number| session(number).to_string()) {
            let found = snapshots::find(&engine, &id).is_ok();
            assert_eq!(
                found,
                reference.snapshot(&id).is_ok(),
                "{id} of world {seed}"
            );
            assert_eq!(found, listed[..2].concat().contains(&id), "{id} of {seed}");
            (shown, hidden) = (shown + u32::from(found), hidden + u32::from(!found));
        }
    }
    assert!(shown > 50 && hidden > 50, "{shown} shown, {hidden} hidden");
}
