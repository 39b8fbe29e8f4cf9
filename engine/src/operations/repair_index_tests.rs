//! A repaired index names what there is; a sound one is left alone, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::format::name::{ObjectKind, ObjectName};
use crate::operations::check::{CheckOptions, CheckReport, check};
use crate::operations::repair_index::{RepairIndexOptions, RepairIndexReport, repair_index};
use crate::repository::index::Index;
use crate::repository::session::{Announced, Session, Writer};
use crate::storage::Backend;
use crate::storage::dry_run::DryRunBackend;
use crate::storage::memory::MemoryBackend;
use crate::testing::fault_backend::{BackendFault, FaultBackend};
use crate::testing::sample_repository::{
    self, SampleTree, change_object, copy_of, flip_bit, small_frames,
};
use crate::testing::toy_prune::move_all;

fn sample() -> Arc<MemoryBackend> {
    let backend = Arc::new(MemoryBackend::new());
    sample_repository::create(backend.clone());
    for seed in 50..53 {
        let repository = sample_repository::open(backend.clone());
        let tree = SampleTree::random(seed, 60);
        sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
    }
    backend
}

fn repair(backend: Arc<dyn Backend>, rebuild: bool) -> RepairIndexReport {
    let repository = sample_repository::open(backend);
    let options = RepairIndexOptions {
        rebuild,
        ..RepairIndexOptions::default()
    };
    repair_index(&repository, &options, &()).unwrap()
}

fn checked(backend: &Arc<MemoryBackend>) -> CheckReport {
    let repository = sample_repository::open(backend.clone());
    check(&repository, &CheckOptions::default(), &()).unwrap()
}

fn objects(backend: &dyn Backend) -> BTreeMap<ObjectName, Vec<u8>> {
    let listed = ObjectKind::ALL.map(|kind| backend.list(kind).unwrap());
    let names = listed.iter().flatten().map(|info| info.name);
    names
        .map(|name| (name, backend.get(&name).unwrap()))
        .collect()
}

fn runs(backend: &dyn Backend) -> Vec<ObjectName> {
    let listed = backend.list(ObjectKind::Index).unwrap();
    listed.into_iter().map(|info| info.name).collect()
}

fn packs(backend: &dyn Backend) -> BTreeSet<ObjectName> {
    let listed = backend.list(ObjectKind::Pack).unwrap();
    listed.into_iter().map(|info| info.name).collect()
}

/// Every place that some run names.
fn said(backend: &Arc<MemoryBackend>) -> BTreeSet<(String, u64, u32)> {
    let repository = sample_repository::open(backend.clone());
    let index = Index::load(&**backend, repository.keys(), None).unwrap();
    let places = index.locations();
    places
        .map(|(id, copy)| {
            let what = format!("{id} {}", copy.pack.name());
            (what, copy.frame.offset, copy.offset)
        })
        .collect()
}

#[test]
fn i9_a_sound_index_is_left_as_it_is_byte_for_byte() {
    let backend = sample();
    let before = objects(&*backend);
    let report = repair(backend.clone(), false);
    assert_eq!(report, RepairIndexReport::default());
    assert!(objects(&*backend) == before);
}

#[test]
fn i9_runs_that_are_gone_or_damaged_are_written_again_from_the_packs() {
    for damage in [
        "one gone",
        "all gone",
        "one damaged",
        "one cut",
        "all damaged",
    ] {
        let backend = sample();
        let expected = said(&backend);
        let before = runs(&*backend);
        let count = if damage.starts_with("all") {
            before.len()
        } else {
            1
        };
        for run in &before[..count] {
            match damage {
                "one gone" | "all gone" => backend.delete(run).unwrap(),
                "one cut" => change_object(&*backend, run, |bytes| bytes.truncate(500)),
                _ => flip_bit(&*backend, run, 300),
            }
        }
        assert!(!checked(&backend).findings.is_empty());
        let report = repair(backend.clone(), false);
        assert_eq!(report.runs_written, 1, "{damage}: {report:?}");
        let damaged = if damage.ends_with("gone") {
            0
        } else {
            count as u64
        };
        assert_eq!(report.runs_removed, damaged, "{damage}: {report:?}");
        assert!(report.packs_read > 0 && report.unreadable.is_empty());
        assert_eq!(said(&backend), expected, "{damage}");
        assert_eq!(checked(&backend).findings, [], "{damage}");
        assert_eq!(
            repair(backend, false),
            RepairIndexReport::default(),
            "{damage}"
        );
    }
}

#[test]
fn packs_that_are_gone_are_no_longer_named() {
    let backend = sample();
    // A prune that was interrupted before it rewrote the runs.
    let runs_before: BTreeMap<_, _> = objects(&*backend)
        .into_iter()
        .filter(|(name, _)| name.kind() == ObjectKind::Index)
        .collect();
    move_all(&sample_repository::open(backend.clone())).unwrap();
    let expected = said(&backend);
    for (name, bytes) in &runs_before {
        backend.put(name, bytes).unwrap();
    }
    assert!(said(&backend).len() > expected.len());
    let report = repair(backend.clone(), false);
    assert_eq!(report.runs_removed, runs_before.len() as u64);
    assert_eq!((report.runs_written, report.packs_read), (0, 0));
    assert_eq!(said(&backend), expected);
    assert_eq!(checked(&backend).findings, []);
}

#[test]
fn a_rebuilt_index_says_the_same_in_one_run() {
    let backend = sample();
    let (expected, before) = (said(&backend), runs(&*backend));
    let report = repair(backend.clone(), true);
    assert_eq!(said(&backend), expected);
    assert_eq!(report.runs_removed, before.len() as u64);
    assert_eq!(report.runs_written, 1);
    assert_eq!(report.packs_read, packs(&*backend).len() as u64);
    assert!(runs(&*backend).iter().all(|run| !before.contains(run)));
}

#[test]
fn what_a_run_knows_of_a_pack_that_lost_its_table_stays_known() {
    let backend = sample();
    let expected = said(&backend);
    let victim = *packs(&*backend).first().unwrap();
    let len = backend.get(&victim).unwrap().len() as u64;
    flip_bit(&*backend, &victim, len - 20);
    for rebuild in [false, true] {
        let report = repair(backend.clone(), rebuild);
        assert_eq!(said(&backend), expected, "rebuild {rebuild}");
        let unreadable: Vec<_> = report.unreadable.iter().map(|(name, _)| *name).collect();
        let told = if rebuild { vec![victim] } else { Vec::new() };
        assert_eq!(unreadable, told, "rebuild {rebuild}");
        assert!(packs(&*backend).contains(&victim));
    }
}

#[test]
fn packs_of_a_writer_that_is_not_done_are_left_to_it() {
    let backend = sample();
    let repository = sample_repository::open(backend.clone());
    let index = Index::default();
    let announced = Announced::put(&repository, &Writer::default()).unwrap();
    let session = Session::start(&repository, &index, announced, small_frames()).unwrap();
    let source = *packs(&*backend).first().unwrap();
    let bytes = backend.get(&source).unwrap();
    let its_pack = session
        .new_pack_name(crate::format::name::PackClass::Data)
        .unwrap();
    backend.put(&its_pack, &bytes).unwrap();
    let before = objects(&*backend);
    assert_eq!(repair(backend.clone(), false), RepairIndexReport::default());
    assert!(objects(&*backend) == before);
}

#[test]
fn a_dry_run_counts_the_same_and_changes_nothing() {
    let backend = sample();
    flip_bit(&*backend, &runs(&*backend)[0], 300);
    let before = objects(&*backend);
    for rebuild in [false, true] {
        let dry = Arc::new(DryRunBackend::new(backend.clone()));
        let options = RepairIndexOptions {
            rebuild,
            dry_run: true,
            ..RepairIndexOptions::default()
        };
        let counted = repair_index(&sample_repository::open(dry), &options, &()).unwrap();
        assert!(objects(&*backend) == before);
        let copy: Arc<dyn Backend> = Arc::new(copy_of(&backend));
        assert_eq!(repair(copy, rebuild), counted);
    }
}

#[test]
fn i9_at_whatever_call_a_repair_fails_nothing_is_lost_and_the_next_one_ends_it() {
    let clean = sample();
    flip_bit(&*clean, &runs(&*clean)[0], 300);
    let expected = {
        let copy = Arc::new(copy_of(&clean));
        repair(copy.clone(), false);
        said(&copy)
    };
    for rebuild in [false, true] {
        let try_with = |fault: Option<BackendFault>| {
            let faulty = Arc::new(FaultBackend::new(copy_of(&clean)));
            let repository = sample_repository::open(faulty.clone());
            let (known, opened) = (readable(&faulty), faulty.calls());
            fault.into_iter().for_each(|fault| faulty.fail(fault));
            let options = RepairIndexOptions {
                rebuild,
                ..RepairIndexOptions::default()
            };
            let _ = repair_index(&repository, &options, &());
            faulty.heal();
            let calls = faulty.calls() - opened;
            assert!(known.is_subset(&readable(&faulty)), "{fault:?}");
            repair(faulty.clone(), rebuild);
            assert_eq!(readable(&faulty), expected, "{fault:?}");
            calls
        };
        let calls = try_with(None);
        for nth in 1..=calls {
            for fault in BackendFault::each_way(nth) {
                try_with(Some(fault));
            }
        }
    }
}

fn readable(faulty: &FaultBackend<MemoryBackend>) -> BTreeSet<(String, u64, u32)> {
    said(&Arc::new(copy_of(faulty.inner())))
}
