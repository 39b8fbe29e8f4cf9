//! Each kind of object damaged, cut and deleted in turn: the finding names it, tells what it cost,
//! and the rest is checked all the same.

use std::sync::Arc;

use super::*;
use crate::error::ErrorKind;
use crate::format::entry::{ExtentKind, Node};
use crate::format::name::{ObjectKind, ObjectName, PackClass, PruneStep};
use crate::format::prune::{PruneRecord, PrunedPack};
use crate::format::snapshot::Snapshot;
use crate::format::volume::{LayoutInfo, PartitionInfo};
use crate::operations::list::list;
use crate::operations::record_boot::record_boot;
use crate::repository::prunes;
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;
use crate::testing::sample_repository::{
    self, SampleTree, change_object, flip_bit, leaf_pages, sample_boot, small_frames, tree_path,
};
use crate::testing::sample_volumes::{self, SampleVolume, Stretch};
use crate::testing::toy_prune::{MovingBackend, move_all};

const LONG: usize = 3 << 20;

struct Sample {
    backend: Arc<MemoryBackend>,
    snapshots: [Snapshot; 2],
}

/// Two snapshots that share most: 300 short files, a long one with a tree of extents, a link to it.
fn sample() -> Sample {
    let backend = Arc::new(MemoryBackend::new());
    sample_repository::create(backend.clone());
    let mut tree = SampleTree::random(21, 300);
    tree.file("long", Random::new(22).bytes(LONG))
        .file("own", b"only in the first".to_vec())
        .node("own-link", Node::HardLink(tree_path("own")));
    let mut second = tree.clone();
    second.remove("own").remove("own-link");
    let snapshots = [&tree, &second].map(|tree| {
        let repository = sample_repository::open(backend.clone());
        sample_repository::commit(&repository, small_frames(), &[("/r", tree)])
    });
    Sample { backend, snapshots }
}

impl Sample {
    fn check(&self, read_data: bool) -> CheckReport {
        let repository = sample_repository::open(self.backend.clone());
        self.check_opened(&repository, read_data)
    }

    fn check_opened(&self, repository: &Repository, read_data: bool) -> CheckReport {
        let options = CheckOptions {
            read_data,
            ..CheckOptions::default()
        };
        check(repository, &options, &()).expect("findings are no errors")
    }

    fn objects(&self, kind: ObjectKind) -> Vec<ObjectName> {
        let listed = self.backend.list(kind).unwrap();
        listed.into_iter().map(|info| info.name).collect()
    }

    /// Checks with `name` flipped in the middle, cut and deleted; then puts it back.
    fn with_each_damage(&self, name: &ObjectName, mut each: impl FnMut(&str, CheckReport)) {
        let repository = sample_repository::open(self.backend.clone());
        let good = self.backend.get(name).unwrap();
        for damage in ["flipped", "cut", "deleted"] {
            match damage {
                "flipped" => flip_bit(&*self.backend, name, good.len() as u64 / 2),
                "cut" => change_object(&*self.backend, name, |bytes| {
                    bytes.truncate(bytes.len() * 2 / 3)
                }),
                _ => self.backend.delete(name).unwrap(),
            }
            each(damage, self.check_opened(&repository, true));
            self.backend.delete(name).unwrap();
            self.backend.put(name, &good).unwrap();
        }
    }
}

fn finding<'f>(report: &'f CheckReport, subject: &str) -> &'f Finding {
    let found = report.findings.iter().find(|f| f.subject == subject);
    found.unwrap_or_else(|| panic!("no finding of {subject}: {:?}", report.findings))
}

#[test]
fn a_sound_repository_has_no_findings_and_every_object_is_looked_at() {
    let sample = sample();
    let all: usize = ObjectKind::ALL
        .map(|kind| sample.objects(kind).len())
        .iter()
        .sum();
    for read_data in [false, true] {
        let report = sample.check(read_data);
        assert_eq!(report.findings, []);
        assert_eq!((report.snapshots, report.damaged_snapshots), (2, 0));
        assert_eq!(report.objects, all as u64);
        assert_eq!(report.bytes > LONG as u64, read_data);
        assert!(report.is_sound());
    }
}

#[test]
fn a_damaged_snapshot_is_named_and_the_other_is_still_checked() {
    let sample = sample();
    let name = ObjectName::Snapshot(sample.snapshots[0].session);
    for at in [200, 300] {
        flip_bit(&*sample.backend, &name, at);
        let report = sample.check(false);
        assert_eq!(
            finding(&report, &name.to_string()).kind,
            FindingKind::Damaged
        );
        assert_eq!((report.snapshots, report.damaged_snapshots), (1, 1));
        assert!(!report.is_sound());
        flip_bit(&*sample.backend, &name, at);
    }
    assert_eq!(sample.check(false).findings, []);
}

#[test]
fn a_damaged_boot_is_named_and_concerns_nothing_else() {
    let sample = sample();
    let session = sample.snapshots[0].session;
    let repository = sample_repository::open(sample.backend.clone());
    for _ in 0..2 {
        record_boot(&repository, sample_boot(session)).unwrap();
    }
    let name = ObjectName::Boot { session, number: 1 };
    sample.with_each_damage(&name, |damage, report| {
        let findings = report.findings.iter().map(|finding| &finding.subject);
        let findings: Vec<_> = findings.collect();
        let subject = name.to_string();
        match damage {
            "deleted" => assert!(findings.is_empty(), "{findings:?}"),
            _ => assert_eq!(findings, [&subject], "{damage}"),
        }
        assert_eq!((report.snapshots, report.damaged_snapshots), (2, 0));
    });
    assert_eq!(sample.check(false).findings, []);
}

#[test]
fn config_and_key_slots_are_named() {
    let sample = sample();
    for kind in [ObjectKind::Config, ObjectKind::Key] {
        let name = sample.objects(kind)[0];
        sample.with_each_damage(&name, |damage, report| {
            let (subject, expected) = match damage {
                "deleted" => (kind.folder().to_owned(), FindingKind::Missing),
                _ => (name.to_string(), FindingKind::Damaged),
            };
            assert_eq!(finding(&report, &subject).kind, expected, "{damage}");
            assert_eq!(report.damaged_snapshots, 0);
        });
    }
}

#[test]
fn an_index_run_that_is_damaged_or_gone_can_be_rebuilt_and_nothing_is_lost() {
    let sample = sample();
    for name in sample.objects(ObjectKind::Index) {
        sample.with_each_damage(&name, |damage, report| {
            assert!(report.is_sound(), "{damage}: {:?}", report.findings);
            assert_eq!(report.findings.len(), 1, "{damage}: {:?}", report.findings);
            assert_eq!(report.findings[0].kind, FindingKind::Rebuildable);
            let subject = &report.findings[0].subject;
            assert!(name.to_string().starts_with(subject.as_str()), "{subject}");
        });
    }
}

#[test]
fn every_damaged_pack_is_named_with_what_it_cost_and_nothing_else_is_lost() {
    let sample = sample();
    for name in sample.objects(ObjectKind::Pack).into_iter().step_by(5) {
        sample.with_each_damage(&name, |damage, report| {
            let found = finding(&report, &name.to_string());
            let expected = match damage {
                "deleted" => FindingKind::Missing,
                _ => FindingKind::Damaged,
            };
            assert_eq!(found.kind, expected, "{damage}");
            let others = report
                .findings
                .iter()
                .filter(|f| f.subject != name.to_string());
            for other in others {
                assert_eq!(other.kind, FindingKind::Rebuildable, "{other:?}");
            }
            assert_eq!(report.snapshots, 2);
        });
    }
    assert_eq!(sample.check(true).findings, []);
}

#[test]
fn a_lost_chunk_names_the_files_and_links_of_the_snapshots_that_need_it() {
    let sample = sample();
    let repository = sample_repository::open(sample.backend.clone());
    let id = repository.keys().chunk_id().id_of(b"only in the first");
    let copy = repository.index().unwrap().locate(&id).next().unwrap();
    flip_bit(&*sample.backend, &copy.pack.name(), copy.frame.offset + 2);
    assert_eq!(
        sample.check(false).findings,
        [],
        "tables and pages are whole"
    );
    let report = sample.check(true);
    let found = finding(&report, &copy.pack.name().to_string());
    let session = sample.snapshots[0].session;
    let paths: Vec<_> = found
        .lost_paths
        .iter()
        .map(|p| String::from_utf8_lossy(p))
        .collect();
    assert_eq!(
        paths,
        [
            format!("{session}:/r/own"),
            format!("{session}:/r/own-link")
        ]
    );
    assert!(
        found.detail.ends_with("2 entries cannot be restored"),
        "{}",
        found.detail
    );
    assert_eq!(report.damaged_snapshots, 1);
}

#[test]
fn a_chunk_with_another_good_copy_is_not_lost() {
    let sample = sample();
    let index_run = sample.objects(ObjectKind::Index);
    let stored: Vec<_> = index_run
        .iter()
        .map(|name| sample.backend.get(name).unwrap())
        .collect();
    for name in &index_run {
        sample.backend.delete(name).unwrap();
    }
    let mut tree = SampleTree::new();
    tree.file("copy", b"only in the first".to_vec());
    let repository = sample_repository::open(sample.backend.clone());
    sample_repository::commit(&repository, small_frames(), &[("/copy", &tree)]);
    for (name, bytes) in index_run.iter().zip(stored) {
        sample.backend.put(name, &bytes).unwrap();
    }
    let repository = sample_repository::open(sample.backend.clone());
    let id = repository.keys().chunk_id().id_of(b"only in the first");
    let copies: Vec<_> = repository.index().unwrap().locate(&id).collect();
    assert_eq!(copies.len(), 2);
    for copy in copies {
        let offset = copy.frame.offset + 2;
        flip_bit(&*sample.backend, &copy.pack.name(), offset);
        let report = sample.check(true);
        let found = finding(&report, &copy.pack.name().to_string());
        assert_eq!(found.lost_paths, Vec::<Vec<u8>>::new());
        assert_eq!((report.findings.len(), report.damaged_snapshots), (1, 0));
        flip_bit(&*sample.backend, &copy.pack.name(), offset);
    }
}

#[test]
fn a_lost_page_costs_what_lies_below_it_and_a_lost_root_page_the_whole_root() {
    let sample = sample();
    let repository = sample_repository::open(sample.backend.clone());
    let root = &sample.snapshots[1].roots[0];
    let leaf = *leaf_pages(&repository, root).last().unwrap();
    for (page, path) in [(leaf, None), (root.page, Some("/r"))] {
        let copy = repository.index().unwrap().locate(&page).next().unwrap();
        flip_bit(&*sample.backend, &copy.pack.name(), copy.frame.offset + 2);
        let report = sample.check(false);
        let found = finding(&report, &copy.pack.name().to_string());
        assert_eq!(found.kind, FindingKind::Damaged);
        if let Some(path) = path {
            let whole = format!("{}:{path}", sample.snapshots[1].session);
            assert!(found.lost_paths.contains(&whole.into_bytes()), "{found:?}");
            let detail = format!("{} entries cannot be restored", root.entries);
            assert!(found.detail.ends_with(&detail), "{}", found.detail);
        }
        let again = sample_repository::open(sample.backend.clone());
        let listed = list(
            &again,
            &sample.snapshots[1],
            b"",
            true,
            &(),
            &mut |_| Ok(()),
        );
        let lost = root.entries - listed.unwrap().entries;
        let all = lost * found.lost_paths.len() as u64;
        assert!(
            found.detail.contains(&format!("; {all} entries")),
            "{}",
            found.detail
        );
        flip_bit(&*sample.backend, &copy.pack.name(), copy.frame.offset + 2);
    }
}

#[test]
fn a_pack_that_lost_its_table_alone_loses_no_path() {
    let sample = sample();
    let packs = sample.objects(ObjectKind::Pack);
    let is_data = |name: &&ObjectName| matches!(name, ObjectName::Pack { class, .. } if *class == PackClass::Data);
    let name = packs.iter().find(is_data).unwrap();
    let len = sample.backend.get(name).unwrap().len() as u64;
    flip_bit(&*sample.backend, name, len - 20);
    for read_data in [false, true] {
        let report = sample.check(read_data);
        let found = finding(&report, &name.to_string());
        assert_eq!(found.kind, FindingKind::Damaged);
        assert!(found.lost_paths.is_empty(), "{found:?}");
        assert_eq!(report.damaged_snapshots, 0);
    }
}

#[test]
fn packs_of_a_session_without_a_snapshot_are_unreferenced_until_one_needs_them() {
    let sample = sample();
    let mut tree = SampleTree::new();
    tree.file("new", b"new content".to_vec());
    let repository = sample_repository::open(sample.backend.clone());
    let session =
        sample_repository::store_without_commit(&repository, small_frames(), &[("/n", &tree)]);
    let report = sample.check(true);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    let found = finding(&report, &format!("packs/{session}"));
    assert_eq!(found.kind, FindingKind::Unreferenced);
    assert!(report.is_sound());

    let repository = sample_repository::open(sample.backend.clone());
    sample_repository::commit(&repository, small_frames(), &[("/n", &tree)]);
    assert_eq!(sample.check(true).findings, []);
}

#[test]
fn a_check_stops_when_asked() {
    struct Stop;
    impl Observer for Stop {
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    let sample = sample();
    let repository = sample_repository::open(sample.backend.clone());
    let error = check(&repository, &CheckOptions::default(), &Stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn a_volume_is_told_with_the_bytes_that_are_lost_and_what_could_never_be_read() {
    let chunk = |seed| Stretch::Data(Arc::new(Random::new(seed).bytes(4_000)));
    let partition = PartitionInfo {
        number: 2,
        offset: 4_000,
        len: 8_512,
        sound: 1,
        ..PartitionInfo::default()
    };
    let volume = SampleVolume {
        stretches: vec![
            chunk(1),
            chunk(2),
            Stretch::Without(ExtentKind::Unreadable, 512),
            chunk(3),
        ],
        cuts: (1..2_000).map(|cut| cut * 6).collect(),
        layout: LayoutInfo {
            partitions: vec![partition],
            ..LayoutInfo::default()
        },
    };
    let backend = Arc::new(MemoryBackend::new());
    let repository = sample_repository::create(backend.clone());
    let volumes = [("disk0", &volume)];
    let snapshot = sample_volumes::commit(&repository, small_frames(), &volumes, &[]);
    let session = snapshot.session;
    let snapshots = [snapshot.clone(), snapshot];
    let sample = Sample { backend, snapshots };
    let subject = format!("snapshots/{session} volume disk0");

    let report = sample.check(true);
    let found = finding(&report, &subject);
    assert_eq!(found.kind, FindingKind::Unreadable);
    assert!(found.detail.ends_with("bytes 8000+512 in p2"), "{found:?}");
    assert!(report.is_sound() && report.findings.len() == 1);

    let repository = sample_repository::open(sample.backend.clone());
    let id = repository
        .keys()
        .chunk_id()
        .id_of(&Random::new(2).bytes(4_000));
    let copy = repository.index().unwrap().locate(&id).next().unwrap();
    flip_bit(&*sample.backend, &copy.pack.name(), copy.frame.offset + 2);
    let report = sample.check(true);
    let found = finding(&report, &copy.pack.name().to_string());
    let path = format!("{session}:disk0").into_bytes();
    assert_eq!(found.lost_paths, std::slice::from_ref(&path));
    let lost = LostRange {
        path,
        range: 4_000..8_000,
        partition: Some(2),
    };
    assert_eq!(found.lost_ranges, [lost]);
    flip_bit(&*sample.backend, &copy.pack.name(), copy.frame.offset + 2);

    let root = &sample.snapshots[0].roots[0];
    let cuts = root.volume.as_ref().unwrap().cuts.unwrap();
    let copy = repository
        .index()
        .unwrap()
        .locate(&cuts.page)
        .next()
        .unwrap();
    flip_bit(&*sample.backend, &copy.pack.name(), copy.frame.offset + 2);
    let report = sample.check(false);
    let found = finding(&report, &format!("{subject}, its cuts"));
    assert_eq!(found.kind, FindingKind::Rebuildable);
    assert!(found.detail.contains("nothing else is lost"), "{found:?}");
    assert_eq!(report.damaged_snapshots, 0);
}

/// Every object of a kind, to be put back.
fn stored(sample: &Sample, kind: ObjectKind) -> Vec<(ObjectName, Vec<u8>)> {
    let names = sample.objects(kind).into_iter();
    names
        .map(|name| (name, sample.backend.get(&name).unwrap()))
        .collect()
}

#[test]
fn packs_that_are_gone_after_their_frames_moved_are_no_loss() {
    let sample = sample();
    let (runs, packs) = (
        stored(&sample, ObjectKind::Index),
        stored(&sample, ObjectKind::Pack),
    );
    move_all(&sample_repository::open(sample.backend.clone())).unwrap();
    assert_eq!(sample.check(true).findings, []);
    runs.iter()
        .for_each(|(name, bytes)| sample.backend.put(name, bytes).unwrap());
    for read_data in [false, true] {
        let report = sample.check(read_data);
        assert!(report.is_sound(), "{:?}", report.findings);
        assert_eq!(report.findings.len(), packs.len());
        for (name, _) in &packs {
            let found = finding(&report, &name.to_string());
            assert_eq!(found.kind, FindingKind::Rebuildable);
            assert!(found.detail.ends_with("run repair index"), "{found:?}");
        }
    }
}

#[test]
fn packs_that_a_prune_condemned_are_no_finding_whether_they_are_there_or_not() {
    let sample = sample();
    let (runs, packs) = (
        stored(&sample, ObjectKind::Index),
        stored(&sample, ObjectKind::Pack),
    );
    move_all(&sample_repository::open(sample.backend.clone())).unwrap();
    runs.iter()
        .for_each(|(name, bytes)| sample.backend.put(name, bytes).unwrap());
    let condemned = packs.iter().filter_map(|(name, _)| PrunedPack::of(name));
    let mut plan = PruneRecord {
        number: 1,
        packs: condemned.collect(),
        snapshots: Vec::new(),
    };
    plan.packs.sort_unstable();
    let repository = sample_repository::open(sample.backend.clone());
    assert!(prunes::put_step(&repository, PruneStep::Plan, &plan).unwrap());
    assert_eq!(sample.check(true).findings, [], "all of them are deleted");
    for (name, bytes) in packs.iter().step_by(2) {
        sample.backend.put(name, bytes).unwrap();
    }
    assert_eq!(sample.check(true).findings, [], "some are deleted");
    let (torn, bytes) = &packs[0];
    change_object(&*sample.backend, torn, |stored| {
        stored.truncate(bytes.len() / 2)
    });
    let report = sample.check(true);
    let found = finding(&report, &torn.to_string());
    assert_eq!(found.kind, FindingKind::Unreferenced);
    assert!(report.is_sound(), "{:?}", report.findings);
}

#[test]
fn a_condemned_pack_that_is_needed_and_gone_is_missing_all_the_same() {
    let sample = sample();
    let packs = sample.objects(ObjectKind::Pack);
    let is_meta = |name: &&ObjectName| matches!(name, ObjectName::Pack { class, .. } if *class == PackClass::Meta);
    let name = packs.iter().find(is_meta).unwrap();
    let plan = PruneRecord {
        number: 1,
        packs: PrunedPack::of(name).into_iter().collect(),
        snapshots: Vec::new(),
    };
    let repository = sample_repository::open(sample.backend.clone());
    prunes::put_step(&repository, PruneStep::Plan, &plan).unwrap();
    sample.backend.delete(name).unwrap();
    let report = sample.check(false);
    assert_eq!(
        finding(&report, &name.to_string()).kind,
        FindingKind::Missing
    );
    assert!(!report.is_sound() && report.damaged_snapshots > 0);
}

#[test]
fn a_check_beside_prunes_that_move_everything_finds_nothing() {
    let sample = sample();
    for (every, read_data) in [(3, false), (40, false), (7, true)] {
        let backend = MovingBackend::new(sample.backend.clone(), every, 3);
        let backend = Arc::new(backend);
        let repository = sample_repository::open(backend.clone());
        let report = sample.check_opened(&repository, read_data);
        assert!(report.is_sound(), "every {every}: {:?}", report.findings);
        assert_eq!(backend.moves_left(), 0, "there were enough reads");
        assert_eq!(report.damaged_snapshots, 0);
    }
}
