//! Random volumes, changes, sizes, hints, holes and bad sectors: full build == incremental build;
//! and with a rule left out they differ.

use std::ops::Range;

use super::model::{Disk, Manifest, Model, PAGE, SECTOR};
use crate::pipeline::volume::rules::{IncrementalRule, LEFT_OUT};
use crate::pipeline::volume::{Allocation, Cutting, VolumeReader};
use crate::testing::random::Random;

const SEEDS: u64 = if cfg!(debug_assertions) { 30 } else { 1_500 };
const ROUNDS: usize = 6;
const LEN_MAX: usize = 2 << 20;

/// A volume that changes at random.
pub(super) struct World {
    random: Random,
    pub model: Model,
    pub disk: Disk,
    pub hints: Vec<u64>,
    manifest: Manifest,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let cutting = match random.below(6) {
            0 => Cutting::Fixed(4096 + random.below(5) as u32 * 3000),
            _ => Cutting::Content,
        };
        let model = match random.below(3) {
            0 => Model::new((1 << 10, 8 << 10, 16 << 10), 4 << 10, 64 << 10, cutting),
            1 => Model::new((2 << 10, 8 << 10, 32 << 10), 16 << 10, 256 << 10, cutting),
            _ => Model::new((4 << 10, 16 << 10, 64 << 10), 64 << 10, 1 << 20, cutting),
        };
        let (grain, anchor) = (model.rules.grain as usize, model.rules.anchor as usize);
        let random_len = random.below(LEN_MAX);
        let lens = [
            random_len,
            1 << 20,
            (1 << 20) + 512,
            0,
            grain,
            anchor,
            anchor + 1,
        ];
        let len = lens[random.below(lens.len())];
        let mut world = Self {
            random,
            model,
            disk: Disk::new(vec![0; len]),
            hints: Vec::new(),
            manifest: Manifest::new(),
        };
        world.fill();
        world.hints = world.some_hints();
        world.manifest = world.model.full(&world.disk, &world.hints);
        world
    }

    /// Regions of zeros, noise, periods of 4 KiB, 0xff, single bytes, and holes.
    fn fill(&mut self) {
        let (len, mut at) = (self.disk.bytes.len(), 0);
        let (grain, anchor) = (
            self.model.rules.grain as usize,
            self.model.rules.anchor as usize,
        );
        while at < len {
            let unit = [512, 4096, grain, anchor / 4][self.random.below(4)];
            let end = (at + (1 + self.random.below(64)) * unit).min(len);
            match self.random.below(7) {
                0 => {}
                1 => {
                    let kind = [Allocation::Hole, Allocation::Zero][self.random.below(2)];
                    self.disk.clear(at..end, kind);
                }
                2 => self.disk.bytes[at..end].fill(0xff),
                3 => {
                    let tone = self.random.number() as u8;
                    let region = self.disk.bytes[at..end].iter_mut().enumerate();
                    region.for_each(|(i, byte)| *byte = ((i % 4096) / 7) as u8 ^ tone);
                }
                4 => self.disk.bytes[at] = 1,
                _ => {
                    let noise = self.random.bytes(end - at);
                    self.disk.bytes[at..end].copy_from_slice(&noise);
                }
            }
            at = end;
        }
    }

    fn some_hints(&mut self) -> Vec<u64> {
        let len = self.disk.len().max(1);
        let mut hints: Vec<u64> = (0..self.random.below(20))
            .map(|_| self.random.number() % len)
            .collect();
        // Some close together, so that cells matter.
        for _ in 0..self.random.below(8) {
            if let Some(&hint) = hints.first() {
                hints.push(hint + self.random.number() % 200);
            }
        }
        hints.sort_unstable();
        hints
    }

    /// A place where something may hang on it.
    fn place(&mut self, len: usize) -> usize {
        let at = self.random.below(len);
        let (grain, anchor) = (
            self.model.rules.grain as usize,
            self.model.rules.anchor as usize,
        );
        match self.random.below(4) {
            0 => at,
            1 => at / grain * grain,
            2 => at / anchor * anchor,
            _ => match self.manifest.len() {
                0 => at,
                count => (self.manifest[self.random.below(count)].0 as usize).min(len - 1),
            },
        }
    }

    /// Changes the disk, and says where.
    fn change(&mut self) -> Vec<Range<u64>> {
        let mut changed = Vec::new();
        let len = self.disk.bytes.len();
        for _ in 0..if len > 0 { self.random.below(8) } else { 0 } {
            let at = self.place(len);
            let (grain, anchor) = (
                self.model.rules.grain as usize,
                self.model.rules.anchor as usize,
            );
            let size = [1, 512, 4096, grain, anchor][self.random.below(5)].min(len - at);
            let touched = match self.random.below(7) {
                0 => {
                    self.disk.write(at, &vec![0; size]);
                    at..at + size
                }
                1 => {
                    self.disk.write(at, &vec![0xff; size]);
                    at..at + size
                }
                2 => {
                    let byte = self.disk.bytes[at] ^ 1;
                    self.disk.write(at, &[byte]);
                    at..at + 1
                }
                3 => self.disk.clear(at..at + size, Allocation::Hole),
                4 => self.disk.clear(at..at + size, Allocation::Zero),
                5 => self.go_bad(at, size),
                _ => {
                    let noise = self.random.bytes(size);
                    self.disk.write(at, &noise);
                    at..at + size
                }
            };
            changed.push(touched.start as u64..touched.end as u64);
        }
        changed
    }

    /// Some sectors cannot be read any more.
    fn go_bad(&mut self, at: usize, size: usize) -> Range<usize> {
        let first = at / SECTOR;
        let last =
            (first + 1 + self.random.below(size / SECTOR + 1)).min(self.disk.bytes.len() / SECTOR);
        self.disk.bad.extend(first as u64..last.max(first) as u64);
        self.disk.bad.sort_unstable();
        self.disk.bad.dedup();
        // A hole is never read, so it cannot be bad.
        let pages = first * SECTOR / PAGE..(last * SECTOR).div_ceil(PAGE);
        for page in pages.clone() {
            self.disk.pages[page] = Allocation::Data;
        }
        pages.start * PAGE..(pages.end * PAGE).min(self.disk.bytes.len())
    }

    /// Changes everything at random, and says where bytes or what is allocated changed.
    pub(super) fn step(&mut self) -> Vec<Range<u64>> {
        let old_len = self.disk.bytes.len();
        let len = match self.random.below(6) {
            0 => self.random.below(LEN_MAX),
            1 => old_len + self.random.below(100_000),
            2 => old_len.saturating_sub(self.random.below(100_000)),
            _ => old_len,
        };
        if self.random.one_in(2) {
            self.hints = self.some_hints();
        }
        self.disk.resize(len);
        for at in old_len..len {
            if self.random.one_in(3) || at % 5000 == 0 {
                let byte = self.random.number() as u8;
                self.disk.write(at, &[byte]);
            }
        }
        // Sectors may become readable at any time, and nobody says so.
        if self.random.one_in(3) {
            let keep = self.random.number();
            self.disk.bad.retain(|sector| sector & keep & 1 == 1);
        }
        self.change()
    }

    /// One round; true if both builds agree.
    fn round(&mut self) -> bool {
        let old_hints = self.hints.clone();
        let changed = self.step();
        let full = self.model.full(&self.disk, &self.hints);
        let parent = (&self.manifest, old_hints.as_slice());
        let (built, _) = self
            .model
            .incremental(parent, &self.disk, &self.hints, &changed);
        let agree = built == full;
        self.manifest = full;
        agree
    }
}

/// How many rounds of `seeds` disagree.
fn disagreements(seeds: u64) -> u64 {
    let of_seed = |seed| {
        let mut world = World::new(seed);
        (0..ROUNDS).filter(|_| !world.round()).count() as u64
    };
    (0..seeds).map(of_seed).sum()
}

#[test]
fn an_incremental_build_equals_a_full_one() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for round in 0..ROUNDS {
            assert!(world.round(), "seed {seed}, round {round}");
        }
    }
}

#[test]
fn each_rule_of_incremental_builds_is_needed() {
    use IncrementalRule::{CutsThatDiffer, EntryEndingAtChange, TailOfResize};
    for rule in [EntryEndingAtChange, CutsThatDiffer, TailOfResize] {
        LEFT_OUT.set(Some(rule));
        let found = disagreements(SEEDS / 3);
        LEFT_OUT.set(None);
        assert!(found > 0, "{rule:?} is not needed by any of {SEEDS} seeds");
    }
}
