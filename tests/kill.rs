//! Processes killed in the middle of snapshots, forgets and prunes, one or two at a time (I1, I6,
//! I7): what was acknowledged is there and restores, and a check finds no damage.
//!
//! A few rounds; `BLOCKSTORE_KILL_ROUNDS` asks for more, `BLOCKSTORE_SEED` for others.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;
use std::time::Instant;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

use crate::scene::assert_restores;
use crate::scene::assert_sound;

/// Rounds unless more are asked for.
const ROUNDS: u64 = 12;
/// Folders to begin with; they share most of their files.
const SOURCES: u64 = 6;
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
    workspace: Workspace,
    repository: TestRepository,
    sources: Vec<PathBuf>,
    dice: Dice,
    /// About what a command takes, microseconds: later it is not killed.
    command_us: u64,
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
        let mut world = Self {
            repository: TestRepository::init(&workspace),
            workspace,
            sources: Vec::new(),
            dice: Dice(seed),
            command_us: 0,
            kept: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            killed: 0,
        };
        (0..SOURCES).for_each(|_| drop(world.new_source()));
        let begun = Instant::now();
        world
            .repository
            .run("snapshot", &[&world.sources[0]])
            .expect_code(0);
        world.command_us = begun.elapsed().as_micros() as u64;
        world
    }

    /// A folder of which a part is new.
    fn new_source(&mut self) -> PathBuf {
        let source = self.sources.len() as u64;
        for file in 0..12 {
            let seed = if file < 3 { source * 100 + file } else { file };
            let len = if file == 0 {
                400_000
            } else {
                30_000 + 1_000 * file as usize
            };
            let name = format!("source {source}/file {file}");
            self.workspace.file(&name, random_bytes(seed, "kill", len));
        }
        self.sources
            .push(self.workspace.join(&format!("source {source}")));
        self.sources[source as usize].clone()
    }

    /// One that was captured before, or a new one.
    fn source(&mut self) -> PathBuf {
        if self.dice.below(3) == 0 {
            return self.new_source();
        }
        let nth = self.dice.below(self.sources.len() as u64) as usize;
        self.sources[nth].clone()
    }

    fn round(&mut self) {
        let count = 1 + self.dice.below(2);
        let begun: Vec<_> = (0..count).map(|_| self.begin()).collect();
        for (deed, child, kill_us) in begun {
            self.end(deed, child, kill_us);
        }
        self.expect_kept();
    }

    fn begin(&mut self) -> (Deed, Child, u64) {
        let (deed, mut command) = match self.dice.below(10) {
            0..=5 => {
                let source = self.source();
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
        (deed, child, self.dice.below(self.command_us * 4 / 3))
    }

    fn end(&mut self, deed: Deed, mut child: Child, kill_us: u64) {
        if kill_us < self.command_us {
            std::thread::sleep(Duration::from_micros(kill_us));
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
