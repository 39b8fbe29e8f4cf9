//! Which snapshots there are: repositories of outcomes, tombstones and steps of prunes, without any content.

use crate::encode::object::Object;
use crate::encode::object::Pieces;
use crate::encode::payload;
use crate::encode::payload::Cbor;
use crate::encode::payload::Step;
use crate::encode::payload::with;
use crate::encode::record;
use blockstore_format_spec::reference::fault::Fault;
use blockstore_format_spec::reference::listing::Listing;
use blockstore_format_spec::reference::name::hex;
use blockstore_format_spec::reference::record::Secret;
use blockstore_format_spec::reference::repository::Repository;
use blockstore_format_spec::reference::snapshot::Commit;
use blockstore_format_spec::vectors::PASSWORD;
use std::fs;
use tempfile::TempDir;

const SLOT_NAME: &str = "keys/808182838485868788898a8b8c8d8e8f";

/// A repository in a folder.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> World {
        let folder = TempDir::new().expect("a folder");
        let world = World { folder };
        let config = record::config(record::config_body()).encode();
        world.put("config/00000001", &config);
        world.put(SLOT_NAME, &record::password_slot().encode());
        world
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }

    /// A COMMIT of a session, which is 16 times its number.
    fn commit(&self, session: u8, base: u64, sequence: u64) {
        self.commit_that_ended(session, base, sequence, 0);
    }

    fn commit_that_ended(&self, session: u8, base: u64, sequence: u64, ended: u64) {
        let ended = vec![(0, Cbor::Uint(ended)), (1, Cbor::Uint(0))];
        let fields = [
            (0, Cbor::Bytes(vec![session; 16])),
            (4, Cbor::Map(ended)),
            (16, Cbor::Uint(base)),
            (17, Cbor::Uint(sequence)),
        ];
        let commit = payload::commit(payload::vector_root());
        let commit = fields.into_iter().fold(commit, |commit, (key, value)| {
            with(commit, key, Some(value))
        });
        let payload = Cbor::Map(commit).encode();
        let mut object = Object::new(4, vec![Pieces::plain(&[&payload])]);
        object.session = [session; 16];
        self.put(&format!("snapshots/{}", id(session)), &object.encode());
    }

    fn abort(&self, session: u8) {
        let mut object = Object::new(5, vec![]);
        object.session = [session; 16];
        self.put(&format!("snapshots/{}", id(session)), &object.encode());
    }

    /// A plan or a seal that lists these snapshots and no packs.
    fn step(&self, word: &str, number: u32, snapshots: &[u8]) {
        let step = Step {
            number,
            packs: Vec::new(),
            snapshots: snapshots.iter().map(|&session| [session; 16]).collect(),
            ..Step::new()
        };
        let kind = if word == "plan" { 8 } else { 9 };
        let mut object = Object::new(kind, vec![Pieces::plain(&[&step.encode()])]);
        object.number = number;
        self.put(&format!("prune/{word}-{number:08x}"), &object.encode());
    }

    fn done(&self, number: u32) {
        let mut object = Object::new(10, vec![]);
        object.number = number;
        self.put(&format!("prune/done-{number:08x}"), &object.encode());
    }

    fn open(&self) -> Repository {
        Repository::open(self.folder.path(), Secret::Password(PASSWORD)).expect("opens")
    }

    fn listing(&self) -> Listing {
        self.open().listing().expect("can be listed")
    }

    /// First bytes of the sessions that are listed; nothing is damaged.
    fn sessions(&self) -> Vec<u8> {
        let listing = self.listing();
        assert!(listing.damaged.is_empty(), "{:?}", listing.damaged);
        numbers(&listing.snapshots)
    }
}

fn id(session: u8) -> String {
    hex(&[session; 16])
}

fn numbers(commits: &[Commit]) -> Vec<u8> {
    commits.iter().map(|commit| commit.session[0]).collect()
}

#[test]
fn snapshots_are_in_order_of_sequence_end_and_session() {
    let world = World::new();
    world.commit_that_ended(1, 0, 2, 100);
    world.commit_that_ended(2, 0, 1, 900);
    world.commit_that_ended(4, 0, 3, 7);
    world.commit_that_ended(3, 0, 3, 7);
    world.commit_that_ended(5, 0, 3, 6);
    assert_eq!(world.sessions(), [2, 1, 5, 3, 4]);
}

#[test]
fn a_commit_below_the_newest_seal_is_there_if_the_seal_lists_it() {
    let world = World::new();
    world.commit(1, 0, 1);
    world.commit(2, 1, 2);
    world.commit(3, 2, 3);
    world.step("seal", 1, &[1]);
    assert_eq!(world.sessions(), [1, 2, 3]);
    world.step("seal", 2, &[2]);
    assert_eq!(world.sessions(), [2, 3], "an older seal says nothing");
    world.step("seal", 3, &[]);
    assert_eq!(world.sessions(), [0; 0]);
}

#[test]
fn what_the_newest_plan_lists_is_not_there_unless_it_is_done() {
    let world = World::new();
    world.commit(1, 0, 1);
    world.commit(2, 0, 2);
    world.step("plan", 0, &[1, 2]);
    assert_eq!(world.sessions(), [1, 2], "prunes count from 1");
    world.step("plan", 1, &[1]);
    assert_eq!(world.sessions(), [2]);
    world.done(2);
    assert_eq!(world.sessions(), [2], "another is done");
    world.done(1);
    assert_eq!(world.sessions(), [1, 2], "a seal would say that it is gone");
    world.step("plan", 3, &[2]);
    assert_eq!(world.sessions(), [1]);
}

#[test]
fn what_a_seal_keeps_a_newer_plan_may_let_go() {
    let world = World::new();
    world.commit(1, 0, 1);
    world.step("seal", 1, &[1]);
    world.step("plan", 2, &[1]);
    assert_eq!(world.sessions(), [0; 0]);
    let refused = world.open().snapshot(&id(1)).expect_err("let go");
    assert_eq!(refused.fault, Fault::Missing);
}

#[test]
fn a_forgotten_snapshot_is_listed_apart_and_found_by_its_id() {
    let world = World::new();
    world.commit(1, 0, 1);
    world.commit(2, 0, 2);
    world.put(&format!("forgotten/{}", id(1)), b"");
    let listing = world.listing();
    assert_eq!(numbers(&listing.snapshots), [2]);
    assert_eq!(numbers(&listing.forgotten), [1]);
    assert!(world.open().snapshot(&id(1)).is_ok());
}

#[test]
fn an_aborted_session_is_no_snapshot() {
    let world = World::new();
    world.abort(1);
    world.commit(2, 0, 1);
    assert_eq!(world.sessions(), [2]);
    let refused = world.open().snapshot(&id(1)).expect_err("aborted");
    assert_eq!(refused.fault, Fault::Missing);
}

#[test]
fn a_step_that_cannot_be_read_is_named_and_hides_no_snapshot() {
    let world = World::new();
    world.commit(1, 0, 1);
    world.step("plan", 1, &[1]);
    world.step("seal", 1, &[]);
    world.put("prune/plan-00000002", &[0x8b; 600]);
    world.put("prune/seal-00000002", b"torn");
    world.put("prune/notes", b"of another program");
    let listing = world.listing();
    assert_eq!(numbers(&listing.snapshots), [1]);
    let places: Vec<_> = listing.damaged.iter().map(|r| &r.place[..19]).collect();
    assert_eq!(places, ["prune/plan-00000002", "prune/seal-00000002"]);
}

#[test]
fn the_program_tells_forgotten_snapshots_from_the_others() {
    let world = World::new();
    world.commit(1, 0, 1);
    world.commit(2, 0, 2);
    world.put(&format!("forgotten/{}", id(1)), b"");
    let listed = std::process::Command::new(env!("CARGO_BIN_EXE_blockstore-decode"))
        .env(
            "BLOCKSTORE_PASSWORD",
            std::str::from_utf8(PASSWORD).expect("a text"),
        )
        .arg(world.folder.path())
        .output()
        .expect("runs");
    assert!(listed.status.success());
    let text = String::from_utf8(listed.stdout).expect("a text");
    let begins: Vec<_> = text
        .lines()
        .map(|line| line.split("  ").collect::<Vec<_>>())
        .collect();
    assert_eq!(begins[0][0], id(2));
    assert_eq!(begins[1][..2], [id(1), "forgotten".to_string()]);
}
