//! Volumes in real repositories: one root whatever the way, and what each way costs.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::model::{Disk, PAGE};
use super::properties::World;
use crate::error::{ErrorKind, Result};
use crate::format::entry::{Content, Extent, ExtentKind, ExtentsRoot};
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::observe::Observer;
use crate::pipeline::budget::Budget;
use crate::pipeline::ingest::{self, IngestOptions, IngestTotals};
use crate::pipeline::volume::{
    Allocated, Allocation, BuildMode, BuiltVolume, Cutting, NewVolume, ParentVolume, VolumeReader,
    VolumeRules, build, cuts_of_hints,
};
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cuts::CutsCursor;
use crate::repository::session::{Session, SessionOptions, Writer};
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
use crate::testing::sample_repository::{self, small_frames};

type Recorded = Arc<RecordingBackend<MemoryBackend>>;

/// A repository, and how volumes are stored in it.
pub(super) struct Lab {
    pub backend: Recorded,
    pub rules: VolumeRules,
    pub options: SessionOptions,
    pub threads: usize,
    pub check_chunks: bool,
}

/// A volume that was stored, to be the parent of another.
#[derive(Debug)]
pub(super) struct Built {
    pub volume: BuiltVolume,
    pub totals: IngestTotals,
    pub rules: VolumeRules,
}

impl Lab {
    pub(super) fn new(rules: VolumeRules, options: SessionOptions) -> Self {
        let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
        sample_repository::create(backend.clone());
        Self {
            backend,
            rules,
            options,
            threads: 2,
            check_chunks: false,
        }
    }

    /// Small grains, and a frame for every chunk and page.
    fn small() -> Self {
        let rules = VolumeRules::small(4096, 65_536, Cutting::Content);
        Self::new(rules, small_frames())
    }

    pub(super) fn repository(&self) -> Repository {
        sample_repository::open(self.backend.clone())
    }

    pub(super) fn full(&self, disk: &Arc<dyn VolumeReader>, hints: &[u64]) -> Built {
        self.build(disk, hints, None, &[]).unwrap()
    }

    pub(super) fn incremental(
        &self,
        parent: &Built,
        disk: &Arc<dyn VolumeReader>,
        hints: &[u64],
        changed: &[Range<u64>],
    ) -> Built {
        self.build(disk, hints, Some(parent), changed).unwrap()
    }

    fn build(
        &self,
        disk: &Arc<dyn VolumeReader>,
        hints: &[u64],
        parent: Option<&Built>,
        changed: &[Range<u64>],
    ) -> Result<Built> {
        self.build_watched(disk, hints, parent, changed, &())
    }

    fn build_watched(
        &self,
        disk: &Arc<dyn VolumeReader>,
        hints: &[u64],
        parent: Option<&Built>,
        changed: &[Range<u64>],
        observer: &dyn Observer,
    ) -> Result<Built> {
        let repository = self.repository();
        let reader = ChunkReader::new(&repository, 1 << 20)?;
        let cuts = cuts_of_hints(hints.iter().copied(), disk.len())?;
        let volume = NewVolume {
            reader: Arc::clone(disk),
            rules: self.rules,
            cuts: &cuts,
            parent: parent.map(|parent| ParentVolume {
                reader: &reader,
                extents: root_of(parent),
                cuts: parent.volume.cuts.map(|root| (root.child.page, root.level)),
                rules: parent.rules,
                check_chunks: self.check_chunks,
            }),
            changed,
        };
        let mut session = Session::begin(&repository, &Writer::default(), self.options)?;
        let options = IngestOptions {
            budget: Budget::divide(256 << 20, self.threads)?,
            level: 1,
            observer,
        };
        let built = ingest::run(&mut session, &options, |ingest| {
            let mut store = ingest.page_store();
            let built = build(ingest, &mut store, &volume)?;
            store.finish().map(|()| built)
        });
        session.abandon();
        let (volume, totals) = built?;
        let rules = self.rules;
        Ok(Built {
            volume,
            totals,
            rules,
        })
    }

    /// The bytes of a volume, as a restore would write them.
    fn read_back(&self, built: &Built) -> Vec<u8> {
        let repository = self.repository();
        let reader = ChunkReader::new(&repository, 1 << 20).unwrap();
        let mut bytes = Vec::new();
        for extent in self.extents(built) {
            match extent.kind {
                ExtentKind::Chunk(id) => bytes.extend(reader.chunk(&id).unwrap()),
                _ => bytes.resize(bytes.len() + extent.len as usize, 0),
            }
        }
        bytes
    }

    fn extents(&self, built: &Built) -> Vec<Extent> {
        let repository = self.repository();
        let reader = ChunkReader::new(&repository, 1 << 20).unwrap();
        let mut cursor = ExtentCursor::new(&reader, &Content::Tree(root_of(built)));
        let mut extents = Vec::new();
        while let Some(step) = cursor.next().unwrap() {
            match step {
                ExtentStep::Extent(extent) => extents.push(extent),
                ExtentStep::Lost { error, .. } => panic!("{error}"),
            }
        }
        extents
    }

    fn objects(&self, class: PackClass) -> Vec<ObjectName> {
        let listed = self.backend.list(ObjectKind::Pack).unwrap();
        let is_of =
            |name: &ObjectName| matches!(name, ObjectName::Pack { class: c, .. } if *c == class);
        listed
            .into_iter()
            .map(|info| info.name)
            .filter(is_of)
            .collect()
    }
}

pub(super) fn root_of(built: &Built) -> ExtentsRoot {
    let root = built.volume.root;
    ExtentsRoot {
        len: root.child.len,
        page: root.child.page,
        level: root.level,
    }
}

#[track_caller]
fn assert_same(one: &Built, other: &Built) {
    assert_eq!(one.volume.root, other.volume.root);
    assert_eq!(one.volume.cuts, other.volume.cuts);
    assert_eq!(one.volume.unreadable, other.volume.unreadable);
}

fn shared(disk: &Disk) -> Arc<dyn VolumeReader> {
    Arc::new(disk.clone())
}

/// Noise with holes and zeros in it.
fn mixed(len: usize, seed: u64) -> Disk {
    let mut random = Random::new(seed);
    let mut disk = Disk::new(random.bytes(len));
    for _ in 0..len / 200_000 {
        let at = random.below(len);
        let end = (at + random.below(150_000)).min(len);
        disk.clear(
            at..end,
            [Allocation::Hole, Allocation::Zero][random.below(2)],
        );
    }
    disk
}

/// Hints so dense that the manifest has several levels.
fn dense_hints(len: u64) -> Vec<u64> {
    (0..len / 4096)
        .map(|cell| cell * 4096 + cell % 700)
        .collect()
}

#[test]
fn a_volume_reads_back_and_its_root_hangs_on_no_number_of_threads() {
    let disk = mixed(5_000_123, 1);
    let hints = dense_hints(disk.len());
    let mut lab = Lab::small();
    let two = lab.full(&shared(&disk), &hints);
    assert_eq!(lab.read_back(&two), disk.bytes);
    assert_eq!(two.volume.mode, BuildMode::NoParent);
    assert!(two.volume.cuts.is_some());
    for threads in [1, 5] {
        lab.threads = threads;
        assert_same(&lab.full(&shared(&disk), &hints), &two);
    }
}

#[test]
fn random_changes_give_the_root_of_a_full_build_with_pages_taken_over_or_not() {
    let mut disk = mixed(8 << 20, 2);
    let mut random = Random::new(9);
    let mut lab = Lab::small();
    let mut hints = dense_hints(disk.len());
    let mut parent = lab.full(&shared(&disk), &hints);
    for round in 0..12 {
        let mut changed = Vec::new();
        if round % 4 == 3 {
            let len = disk.bytes.len() + random.below(1 << 20) - (1 << 19);
            disk.resize(len);
        }
        for _ in 0..random.below(6) {
            let at = random.below(disk.bytes.len() - PAGE);
            let len = [1, 700, PAGE][random.below(3)];
            let noise = random.bytes(len);
            disk.write(at, &noise);
            changed.push(at as u64..(at + len) as u64);
        }
        if round % 3 == 0 {
            let index = random.below(hints.len());
            hints.remove(index);
        }
        let volume = shared(&disk);
        lab.check_chunks = false;
        let taken = lab.incremental(&parent, &volume, &hints, &changed);
        lab.check_chunks = true;
        let pushed = lab.incremental(&parent, &volume, &hints, &changed);
        let full = lab.full(&volume, &hints);
        assert_eq!(taken.volume.mode, BuildMode::Incremental);
        assert_same(&taken, &full);
        assert_same(&pushed, &full);
        parent = taken;
    }
    assert_eq!(lab.read_back(&parent), disk.bytes);
}

#[test]
fn random_volumes_have_one_root_whatever_the_way() {
    for seed in 0..if cfg!(debug_assertions) { 12 } else { 200 } {
        let mut world = World::new(seed);
        let lab = Lab::new(world.model.rules, SessionOptions::default());
        let mut parent = lab.full(&shared(&world.disk), &world.hints);
        for round in 0..4 {
            let changed = world.step();
            let disk = shared(&world.disk);
            let built = lab.incremental(&parent, &disk, &world.hints, &changed);
            let full = lab.full(&disk, &world.hints);
            assert_eq!(
                built.volume.root, full.volume.root,
                "seed {seed}, round {round}"
            );
            assert_same(&built, &full);
            parent = built;
        }
        // Bad sectors read as something else in the model, and as zeros when restored.
        if world.disk.bad.is_empty() {
            assert_eq!(lab.read_back(&parent), world.disk.bytes, "seed {seed}");
        }
    }
}

#[test]
fn nothing_changed_reads_nothing_of_the_source_and_gives_the_same_root() {
    let disk = mixed(6 << 20, 3);
    let hints = dense_hints(disk.len());
    let lab = Lab::small();
    let parent = lab.full(&shared(&disk), &hints);
    lab.backend.reset();
    let again = lab.incremental(&parent, &shared(&disk), &hints, &[]);
    assert_same(&again, &parent);
    assert_eq!(again.totals, IngestTotals::default());
    assert_eq!(again.volume.rebuilt_bytes, 0);
    let tally = |verb, class| lab.backend.tally(verb, Subject::Pack(class));
    assert_eq!(tally(Verb::Put, PackClass::Meta).calls, 0);
    assert_eq!(tally(Verb::GetRange, PackClass::Data).calls, 0);
    // The root, to see whether anything was unreadable.
    assert_eq!(tally(Verb::GetRange, PackClass::Meta).calls, 1);
}

#[test]
fn an_incremental_build_reads_no_data_pack_and_few_pages() {
    let mut disk = mixed(16 << 20, 4);
    let hints = dense_hints(disk.len());
    let lab = Lab::small();
    let parent = lab.full(&shared(&disk), &hints);
    let pages = lab.objects(PackClass::Meta).len();
    disk.write(9_000_000, &[5; PAGE]);
    lab.backend.reset();
    let changed = 9_000_000..9_000_000 + PAGE as u64;
    let built = lab.incremental(&parent, &shared(&disk), &hints, &[changed]);
    assert!(built.totals.read_bytes < 100_000, "{:?}", built.totals);
    for verb in [Verb::Get, Verb::GetRange] {
        assert_eq!(
            lab.backend
                .tally(verb, Subject::Pack(PackClass::Data))
                .calls,
            0
        );
    }
    let read = lab
        .backend
        .tally(Verb::GetRange, Subject::Pack(PackClass::Meta));
    assert!(read.calls < 30, "{read:?} of {pages} packs of pages");
    let full = lab.full(&shared(&disk), &hints);
    assert_same(&built, &full);
}

#[test]
fn chunks_of_a_lost_pack_are_read_again_from_the_source() {
    let disk = mixed(4 << 20, 5);
    let hints = dense_hints(disk.len());
    let lab = Lab::small();
    let parent = lab.full(&shared(&disk), &hints);
    let packs = lab.objects(PackClass::Data);
    for victim in [0, packs.len() / 2, packs.len() - 1] {
        lab.backend.delete(&packs[victim]).unwrap();
    }
    let healed = lab.incremental(&parent, &shared(&disk), &hints, &[]);
    assert!(healed.totals.new_chunks > 0);
    assert!(healed.volume.rebuilt_bytes < disk.len());
    assert_eq!(healed.volume.root, parent.volume.root);
    assert_eq!(lab.read_back(&healed), disk.bytes);
}

#[test]
fn pages_of_a_lost_pack_are_built_again_from_the_source() {
    let mut disk = mixed(24 << 20, 6);
    let hints = dense_hints(disk.len());
    let lab = Lab::small();
    let parent = lab.full(&shared(&disk), &hints);
    let packs = lab.objects(PackClass::Meta);
    assert!(packs.len() > 3, "{} packs", packs.len());
    for victim in (0..packs.len() - 1).step_by(2) {
        lab.backend.delete(&packs[victim]).unwrap();
    }
    disk.write(2_000_000, b"changed");
    let changed = 2_000_000..2_000_007;
    let healed = lab.incremental(&parent, &shared(&disk), &hints, &[changed]);
    assert_eq!(lab.read_back(&healed), disk.bytes);
    let full = lab.full(&shared(&disk), &hints);
    assert_same(&healed, &full);
}

#[test]
fn a_lost_root_a_lost_list_of_cuts_and_other_rules_are_a_full_build() {
    let disk = mixed(1 << 20, 7);
    let hints = dense_hints(disk.len());
    let mut lab = Lab::small();
    let parent = lab.full(&shared(&disk), &hints);
    lab.rules = VolumeRules::small(8192, 65_536, Cutting::Content);
    let other = lab.incremental(&parent, &shared(&disk), &hints, &[]);
    assert_eq!(other.volume.mode, BuildMode::OtherRules);
    assert_same(&other, &lab.full(&shared(&disk), &hints));
    lab.rules = parent.rules;
    for pack in lab.objects(PackClass::Meta) {
        lab.backend.delete(&pack).unwrap();
    }
    let rebuilt = lab.incremental(&parent, &shared(&disk), &hints, &[]);
    assert_same(&rebuilt, &parent);
    assert_eq!(rebuilt.volume.rebuilt_bytes, disk.len());
    for pack in lab.objects(PackClass::Meta) {
        lab.backend.delete(&pack).unwrap();
    }
    let lost = lab.incremental(&parent, &shared(&disk), &hints[2..], &[]);
    assert_eq!(lost.volume.mode, BuildMode::CutsLost);
}

#[test]
fn bad_sectors_are_told_and_read_again_though_nothing_changed() {
    let mut disk = mixed(8 << 20, 8);
    let hints = dense_hints(disk.len());
    disk.bad = vec![100, 101, 9000, 16_383];
    for sector in [100_usize, 101, 9000, 16_383] {
        disk.write(sector * 512, &[1]);
    }
    let lab = Lab::small();
    let parent = lab.full(&shared(&disk), &hints);
    let at = |sector: u64, count: u64| sector * 512..(sector + count) * 512;
    let lost = vec![at(100, 2), at(9000, 1), at(16_383, 1)];
    assert_eq!(parent.volume.unreadable, lost);
    assert!(parent.volume.root.child.unreadable);
    let again = lab.incremental(&parent, &shared(&disk), &hints, &[]);
    assert_same(&again, &parent);
    assert!(again.totals.read_bytes > 0);
    disk.bad.clear();
    let whole = lab.incremental(&parent, &shared(&disk), &hints, &[]);
    assert_eq!(whole.volume.unreadable, []);
    assert_same(&whole, &lab.full(&shared(&disk), &hints));
    assert_eq!(lab.read_back(&whole), disk.bytes);
}

#[test]
fn an_empty_volume_has_a_root_of_its_own() {
    let lab = Lab::small();
    let disk = Disk::new(Vec::new());
    let empty = lab.full(&shared(&disk), &[]);
    assert_eq!(
        (empty.volume.root.child.len, empty.volume.root.level),
        (0, 0)
    );
    assert!(empty.volume.cuts.is_none());
    assert_same(&lab.incremental(&empty, &shared(&disk), &[], &[]), &empty);
    let grown = mixed(100_000, 9);
    let built = lab.incremental(&empty, &shared(&grown), &[], &[]);
    assert_same(&built, &lab.full(&shared(&grown), &[]));
    let shrunk = lab.incremental(&built, &shared(&disk), &[], &[]);
    assert_same(&shrunk, &empty);
}

#[test]
fn cuts_are_walked_from_any_place_and_only_where_they_changed_pages_are_read() {
    let disk = Disk::new(vec![0; 64 << 20]);
    let mut random = Random::new(1);
    let mut hints: Vec<u64> = (0..200_000).map(|_| random.number() % disk.len()).collect();
    hints.sort_unstable();
    let lab = Lab::small();
    let built = lab.full(&shared(&disk), &hints);
    let root = built.volume.cuts.unwrap();
    let cuts = cuts_of_hints(hints.iter().copied(), disk.len()).unwrap();
    assert_eq!(
        (root.child.count, root.child.first),
        (cuts.len() as u64, cuts[0])
    );
    let repository = lab.repository();
    let reader = ChunkReader::new(&repository, 0).unwrap();
    for at in [0, 1, cuts[5000], cuts[5000] + 1, 40 << 20, u64::MAX] {
        let mut cursor = CutsCursor::new(&reader, root.child.page, root.level);
        cursor.seek(at).unwrap();
        let first = cuts.partition_point(|&cut| cut < at);
        for expected in cuts.iter().skip(first).take(3000) {
            assert_eq!(cursor.next().unwrap(), Some(*expected));
        }
        if first == cuts.len() {
            assert_eq!(cursor.next().unwrap(), None);
        }
    }
    lab.backend.reset();
    hints[100_000] += 1;
    hints.sort_unstable();
    lab.incremental(&built, &shared(&disk), &hints, &[]);
    let read = lab
        .backend
        .tally(Verb::GetRange, Subject::Pack(PackClass::Meta));
    assert!(read.calls < 8, "{read:?}");
}

/// A source that fails in one way.
struct Broken {
    read: bool,
    allocation: bool,
}

impl VolumeReader for Broken {
    fn len(&self) -> u64 {
        1 << 20
    }

    fn read(&self, _: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>> {
        buffer.fill(1);
        let gone = || io::Error::other("the cable was pulled");
        if self.read {
            Err(gone())
        } else {
            Ok(Vec::new())
        }
    }

    fn allocation(&self, _: Range<u64>) -> io::Result<Vec<Allocated>> {
        let silent = || io::Error::other("no answer");
        if self.allocation {
            Err(silent())
        } else {
            Ok(Vec::new())
        }
    }
}

struct Cancels;

impl Observer for Cancels {
    fn is_cancelled(&self) -> bool {
        true
    }
}

#[test]
fn a_source_that_fails_and_a_caller_that_cancels_end_the_build() {
    let lab = Lab::small();
    for (read, allocation) in [(true, false), (false, true)] {
        let broken: Arc<dyn VolumeReader> = Arc::new(Broken { read, allocation });
        let error = lab.build(&broken, &[], None, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("volume"), "{error}");
    }
    let fine: Arc<dyn VolumeReader> = Arc::new(Broken {
        read: false,
        allocation: false,
    });
    let error = lab
        .build_watched(&fine, &[], None, &[], &Cancels)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn a_parent_with_chunks_across_anchors_is_refused() {
    let disk = Disk::new(Random::new(1).bytes(1 << 20));
    let mut lab = Lab::small();
    lab.rules = VolumeRules::small(4096, 1 << 20, Cutting::Content);
    let mut parent = lab.full(&shared(&disk), &[]);
    lab.rules = VolumeRules::small(4096, 4096, Cutting::Content);
    parent.rules = lab.rules;
    let changed = [500_000..500_001];
    let error = lab
        .build(&shared(&disk), &[], Some(&parent), &changed)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}
