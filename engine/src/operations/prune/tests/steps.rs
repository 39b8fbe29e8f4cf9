//! What prunes and writers ask of storage: the steps that FORMAT 14.2 names, in their order, and
//! each page once.

use std::collections::BTreeSet;

use super::*;
use crate::operations::closure::{self, LostPage, Visitor};
use crate::repository::chunks::ChunkReader;
use crate::repository::protocol::{self, Call, CollectorStep, WriterStep};
use crate::testing::recording_backend::{self, RecordingBackend, Subject};

type Recorded = Arc<RecordingBackend<Arc<dyn Backend>>>;

/// Counts what is asked of the backend of `world`.
fn recorded(world: &World) -> Recorded {
    let inner: Arc<dyn Backend> = world.backend.clone();
    Arc::new(RecordingBackend::new(inner))
}

/// The calls that the protocol speaks of, in their order.
fn calls(recorded: &Recorded) -> Vec<Call> {
    let calls = recorded.in_order();
    let spoken_of = calls.into_iter().filter_map(|(verb, subject)| {
        let verb = match verb {
            recording_backend::Verb::Put => protocol::Verb::Put,
            recording_backend::Verb::Get | recording_backend::Verb::GetRange => protocol::Verb::Get,
            recording_backend::Verb::List => protocol::Verb::List,
            recording_backend::Verb::Delete => protocol::Verb::Delete,
            _ => return None,
        };
        let kind = match subject {
            Subject::Pack(_) => ObjectKind::Pack,
            Subject::Kind(kind) => kind,
            Subject::All => return None,
        };
        Some((verb, kind))
    });
    spoken_of
        .filter(|(_, kind)| !matches!(kind, ObjectKind::Config | ObjectKind::Key))
        .collect()
}

/// Sees that steps of these calls, one behind the other, can have made `calls`: each any of its own
/// as often as it likes, but a step of a prune put once. Tells the first call that none can have made.
fn expect_steps(steps: &[&[Call]], calls: &[Call]) -> Result<(), String> {
    const PLAN_OR_SEAL: Call = (protocol::Verb::Put, ObjectKind::Prune);
    // The steps at which it may be, and whether that one has put its record.
    let mut at = BTreeSet::from([(0, false)]);
    for (number, call) in calls.iter().enumerate() {
        let mut next = BTreeSet::new();
        for &(from, has_put) in &at {
            let later = (from..steps.len()).filter(|step| steps[*step].contains(call));
            next.extend(later.filter_map(|step| match step == from && has_put {
                true if *call == PLAN_OR_SEAL => None,
                has_put => Some((step, has_put || *call == PLAN_OR_SEAL)),
            }));
        }
        if next.is_empty() {
            let before = &calls[..=number];
            return Err(format!(
                "the last of {before:?} belongs to no step from {at:?} on"
            ));
        }
        at = next;
    }
    Ok(())
}

fn of_prunes() -> Vec<&'static [Call]> {
    CollectorStep::ALL.map(CollectorStep::calls).to_vec()
}

#[test]
fn a_prune_makes_the_calls_of_its_steps_in_their_order() {
    let world = World::new();
    let [first, _, _] = [1, 2, 3].map(|seed| world.commit(&tree(seed)));
    world.forget(&first);
    let recorded = recorded(&world);
    let repository = sample_repository::open(recorded.clone());
    recorded.reset();
    let report = prune(&repository, &thorough(), &()).unwrap();
    assert!(
        report.deleted.count > 0 && report.copied_bytes > 0,
        "{report:?}"
    );
    let calls = calls(&recorded);
    expect_steps(&of_prunes(), &calls).unwrap();

    let delete = (protocol::Verb::Delete, ObjectKind::Pack);
    let put = (protocol::Verb::Put, ObjectKind::Prune);
    let deleted = calls.iter().position(|call| *call == delete).unwrap();
    let puts_before = calls[..deleted].iter().filter(|call| **call == put).count();
    assert_eq!(
        puts_before, 2,
        "a plan and a seal come before the first delete"
    );
    let mut too_early = calls.clone();
    too_early.swap(deleted, 0);
    assert!(expect_steps(&of_prunes(), &too_early).is_err());
}

#[test]
fn a_writer_makes_the_calls_of_its_steps_in_their_order() {
    let world = World::new();
    world.commit(&tree(1));
    let recorded = recorded(&world);
    let repository = sample_repository::open(recorded.clone());
    recorded.reset();
    sample_repository::commit(&repository, small_packs(), &[("/r", &tree(2))]);
    let calls = calls(&recorded);
    // The index may be read before: what it names is looked at again in W3.
    let steps = WriterStep::ALL.map(WriterStep::calls);
    expect_steps(&steps, &calls).unwrap();
    let put = (protocol::Verb::Put, ObjectKind::Snapshot);
    let commit = calls.iter().position(|call| *call == put).unwrap();
    let behind = &calls[commit..];
    assert!(
        !behind.contains(&(protocol::Verb::Put, ObjectKind::Pack)),
        "W4 is over"
    );
    let mut too_early = calls.clone();
    too_early.swap(0, commit);
    assert!(expect_steps(&steps, &too_early).is_err());
}

/// Everything that snapshots name.
#[derive(Default)]
struct Pages(BTreeSet<Vec<u8>>);

impl Visitor for Pages {
    fn page(&mut self, id: &crate::format::id::PageId) -> Result<bool> {
        Ok(self.0.insert(id.as_bytes().to_vec()))
    }

    fn chunk(&mut self, _: &crate::format::id::ChunkId) -> Result<()> {
        Ok(())
    }

    fn lost(&mut self, page: LostPage) -> Result<()> {
        Err(page.error)
    }
}

#[test]
fn a_prune_reads_each_page_once_however_many_snapshots_share_it() {
    let world = World::new();
    let mut tree = SampleTree::random(1, 2_000);
    let commit = |tree: &SampleTree| {
        let roots = [("/r", tree)];
        sample_repository::commit(&world.open(), small_frames(), &roots)
    };
    let mut snapshots = Vec::new();
    for seed in 0..12 {
        tree.file("changes", Random::new(seed).bytes(3_000));
        snapshots.push(commit(&tree));
    }
    world.forget(&snapshots[5]);
    let recorded = recorded(&world);
    let repository = sample_repository::open(recorded.clone());
    recorded.reset();
    let options = PruneOptions {
        max_unused: MaxUnused::Bytes(u64::MAX),
        ..thorough()
    };
    prune(&repository, &options, &()).unwrap();
    let meta = Subject::Pack(PackClass::Meta);
    let reads = recorded
        .tally(recording_backend::Verb::GetRange, meta)
        .calls;

    let (reader, mut pages) = (
        ChunkReader::new(&repository, 1 << 20).unwrap(),
        Pages::default(),
    );
    for (_, snapshot) in snapshots.iter().enumerate().filter(|(nth, _)| *nth != 5) {
        closure::visit(&reader, snapshot, &mut pages).unwrap();
    }
    let (pages, packs) = (
        pages.0.len() as u64,
        world.names(ObjectKind::Pack).len() as u64,
    );
    assert!(
        reads <= pages,
        "{reads} reads, {pages} pages, {packs} packs"
    );
}
