//! Every step of the storage failing once: nothing is left, or a whole snapshot (I1, I7).

use std::sync::Arc;

use super::{options, pages};
use crate::format::snapshot::Snapshot;
use crate::operations::check::{CheckOptions, check};
use crate::operations::merge::{MergeMode, merge};
use crate::repository::snapshots;
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::fault_backend::{BackendFault, FaultBackend};
use crate::testing::sample_repository::{self, SampleTree, small_frames};

type Failing = Arc<FaultBackend<MemoryBackend>>;

/// A storage with two snapshots in it: the same one each time, or its pages had other ids.
fn scene(stored: &MemoryBackend) -> Failing {
    Arc::new(FaultBackend::new(sample_repository::copy_of(stored)))
}

fn stored() -> (Arc<MemoryBackend>, Vec<Snapshot>) {
    let backend = Arc::new(MemoryBackend::new());
    let repository = sample_repository::create(backend.clone());
    let commit = |name: &str, tree: &SampleTree| {
        sample_repository::commit(&repository, small_frames(), &[(name, tree)])
    };
    let base = commit("/r", &SampleTree::random(1, 150));
    let newer = commit("/r/d2", &SampleTree::random(2, 20));
    (backend, vec![base, newer])
}

#[test]
fn i7_a_merge_that_fails_at_any_step_leaves_nothing_or_a_whole_snapshot() {
    let (stored, inputs) = stored();
    let backend = scene(&stored);
    let repository = sample_repository::open(backend.clone());
    let before = backend.calls();
    let whole = merge(&repository, &inputs, &options(MergeMode::KeepDeleted), &()).unwrap();
    let calls = backend.calls() - before;
    assert!(calls > 20, "{calls}");
    let (mut failed, mut committed) = (0, 0);
    for nth in 1..=calls {
        for fault in BackendFault::each_way(nth) {
            let backend = scene(&stored);
            let repository = sample_repository::open(backend.clone());
            backend.fail(fault);
            let outcome = merge(&repository, &inputs, &options(MergeMode::KeepDeleted), &());
            backend.heal();
            failed += u32::from(outcome.is_err());
            let left = after(&backend);
            assert!(
                left.len() == 3 || outcome.is_err(),
                "call {nth}: acknowledged, and gone"
            );
            assert_eq!(left[..2], inputs, "call {nth}: the inputs are as they were");
            if let Some(merged) = left.get(2) {
                committed += 1;
                assert_eq!(pages(merged), pages(&whole.snapshot), "call {nth}");
            }
        }
    }
    assert!(
        failed > 20 && committed > 2,
        "{failed} failed, {committed} committed"
    );
}

/// All snapshots, oldest first; everything that they name is there.
fn after(backend: &Failing) -> Vec<Snapshot> {
    let repository = sample_repository::open(Arc::clone(backend) as Arc<dyn Backend>);
    let report = check(&repository, &CheckOptions::default(), &()).unwrap();
    assert_eq!(report.damaged_snapshots, 0, "{:?}", report.findings);
    let mut found = snapshots::list(&repository).unwrap();
    assert!(found.damaged.is_empty());
    // Samples of one time come in the order of their ids.
    found
        .snapshots
        .sort_by_key(|snapshot| (snapshot.ended, snapshot.roots[0].name.len()));
    found.snapshots
}
