//! Processes killed in the middle of snapshots, forgets and prunes, one or two at a time (I1, I6,
//! I7): what was acknowledged is there and restores, and a check finds no damage.
//!
//! A few rounds; `BLOCKSTORE_KILL_ROUNDS` asks for more, `BLOCKSTORE_SEED` for others.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

use crate::scene::assert_restores;
use crate::scene::assert_sound;

/// Rounds unless more are asked for.
const ROUNDS: u64 = 12;
/// Folders that are captured; they share most of their files.
const SOURCES: u64 = 6;
/// About what a command takes, milliseconds: later it is not killed.
const COMMAND_MS: u64 = 120;
/// A check of all data after so many rounds.
const CHECK_EVERY: u64 = 20;

/// Choices that a seed makes.
struct Dice(u64);

impl Dice {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        // The generator of Numerical Recipes; the low bits are poor.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What is known to be in the repository.
struct World {
    _workspace: Workspace,
    repository: TestRepository,
    sources: Vec<PathBuf>,
    dice: Dice,
    /// Acknowledged, and not asked to be forgotten: what each must restore as.
    kept: BTreeMap<String, (Taken, PathBuf)>,
    /// Asked to be forgotten: may be there or not.
    doubtful: BTreeSet<String>,
    killed: u64,
}

enum Deed {
    Snapshot(PathBuf),
    Forget,
    Prune,
}

impl World {
    fn new(seed: u64) -> Self {
        let workspace = Workspace::new();
        for source in 0..SOURCES {
            for file in 0..12 {
                // Of a dozen files two differ from folder to folder.
                let seed = if file < 2 { source * 100 + file } else { file };
                let name = format!("source {source}/file {file}");
                workspace.file(
                    &name,
                    random_bytes(seed, "kill", 30_000 + 1000 * file as usize),
                );
            }
        }
        let sources = (0..SOURCES).map(|source| workspace.join(&format!("source {source}")));
        Self {
            sources: sources.collect(),
            repository: TestRepository::init(&workspace),
            _workspace: workspace,
            dice: Dice(seed),
            kept: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            killed: 0,
        }
    }

    fn round(&mut self) {
        let count = 1 + self.dice.below(2);
        let begun: Vec<_> = (0..count).map(|_| self.begin()).collect();
        for (deed, child, kill_ms) in begun {
            self.end(deed, child, kill_ms);
        }
        self.expect_kept();
    }

    fn begin(&mut self) -> (Deed, Child, u64) {
        let (deed, mut command) = match self.dice.below(10) {
            0..=5 => {
                let source = self.sources[self.dice.below(SOURCES) as usize].clone();
                let command = self.repository.command("snapshot", &[&source, &"--json"]);
                (Deed::Snapshot(source), command)
            }
            6 | 7 if self.kept.len() > 2 => {
                let nth = self.dice.below(self.kept.len() as u64) as usize;
                let id = self.kept.keys().nth(nth).expect("one of them").clone();
                self.kept.remove(&id);
                let command = self.repository.command("forget", &[&id, &"--allow-empty"]);
                self.doubtful.insert(id);
                (Deed::Forget, command)
            }
            _ => {
                let words: [&dyn AsRef<std::ffi::OsStr>; 2] = [&"--max-unused", &"0"];
                (Deed::Prune, self.repository.command("prune", &words))
            }
        };
        let child = command.spawn().expect("the program can be run");
        // One in four is left alone.
        (deed, child, self.dice.below(COMMAND_MS * 4 / 3))
    }

    fn end(&mut self, deed: Deed, mut child: Child, kill_ms: u64) {
        if kill_ms < COMMAND_MS {
            std::thread::sleep(Duration::from_millis(kill_ms));
            self.killed += u64::from(child.try_wait().is_ok_and(|ended| ended.is_none()));
            let _ = child.kill();
        }
        let output = child.wait_with_output().expect("it ends");
        let was_killed = output.status.code().is_none();
        let outcome = Outcome::of(&output);
        match deed {
            _ if was_killed => {}
            Deed::Snapshot(source) => {
                let taken = Taken::of(&outcome.expect_code(0));
                self.kept.insert(taken.id.clone(), (taken, source));
            }
            // Another process may have let it go meanwhile.
            Deed::Forget => assert!(outcome.code == 0 || outcome.mentions("no such snapshot")),
            Deed::Prune => drop(outcome.expect_code(0)),
        }
    }

    fn expect_kept(&mut self) {
        let listed = self
            .repository
            .run("snapshots", &[&"--json"])
            .expect_code(0);
        for id in self.kept.keys() {
            assert!(
                listed.mentions(id),
                "{id} was acknowledged and is not there"
            );
        }
        if !self.kept.is_empty() {
            let nth = self.dice.below(self.kept.len() as u64) as usize;
            let (taken, source) = self.kept.values().nth(nth).expect("one of them");
            assert_restores(&self.repository, taken, source);
        }
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "tests print what they counted")]
fn i1_i6_i7_processes_that_are_killed_lose_nothing_that_was_acknowledged() {
    let from_environment = |name, otherwise| match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => otherwise,
    };
    let rounds = from_environment("BLOCKSTORE_KILL_ROUNDS", ROUNDS);
    let seed = from_environment("BLOCKSTORE_SEED", 1);
    let mut world = World::new(seed);
    for round in 1..=rounds {
        world.round();
        if round % CHECK_EVERY == 0 {
            assert_sound(&world.repository);
        }
    }
    world.repository.run("prune", &[]).expect_code(0);
    assert_sound(&world.repository);
    for (taken, source) in world.kept.values() {
        assert_restores(&world.repository, taken, source);
    }
    eprintln!(
        "{rounds} rounds from seed {seed}: {} processes killed, {} snapshots kept, {} forgotten",
        world.killed,
        world.kept.len(),
        world.doubtful.len()
    );
}
