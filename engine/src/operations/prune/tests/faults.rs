//! A prune that fails at any call, before or after its effect, loses nothing, and the next one
//! brings it to its end.

use super::*;
use crate::testing::fault_backend::{BackendFault, FaultBackend};

/// Three snapshots of which one is forgotten, and a sparse pack among the rest.
fn prepared() -> (Arc<MemoryBackend>, Vec<SessionId>) {
    let world = World::new();
    let mut both = tree(1);
    both.file("later", Random::new(7).bytes(9000));
    let mut rest = both.clone();
    rest.remove("own");
    let first = world.commit(&both);
    let second = world.commit(&rest);
    let third = world.commit(&tree(3));
    world.forget(&first);
    let mut remain = vec![second.session, third.session];
    remain.sort_unstable();
    (world.backend, remain)
}

#[test]
fn i6_a_prune_that_fails_at_any_call_loses_nothing_and_is_brought_to_its_end() {
    let (stored, remain) = prepared();
    let copy = || Arc::new(sample_repository::copy_of(&stored));
    let calls = {
        let backend = Arc::new(FaultBackend::new(copy()));
        let repository = sample_repository::open(backend.clone());
        let before = backend.calls();
        prune(&repository, &thorough(), &()).unwrap();
        backend.calls() - before
    };
    let mut failures = 0;
    for nth in 1..=calls {
        for fault in BackendFault::each_way(nth) {
            let inner = copy();
            let backend = Arc::new(FaultBackend::new(inner.clone()));
            let repository = sample_repository::open(backend.clone());
            backend.fail(fault);
            failures += u32::from(prune(&repository, &thorough(), &()).is_err());
            let world = World { backend: inner };
            assert!(
                world.check().is_sound(),
                "{fault:?}: {:?}",
                world.check().findings
            );
            assert_eq!(world.sessions(), remain, "{fault:?}");
            let writer = Writer {
                // Long after: what the failed prune left is not left to it.
                started: Timestamp {
                    seconds: 1_800_000_000,
                    nanoseconds: 0,
                },
                ..Writer::default()
            };
            let options = PruneOptions {
                writer,
                ..thorough()
            };
            prune(&world.open(), &options, &()).unwrap();
            assert_eq!(world.check().findings, [], "{fault:?}");
            assert_eq!(world.sessions(), remain, "{fault:?}");
            assert_eq!(world.names(ObjectKind::Intent), [], "{fault:?}");
        }
    }
    assert!(failures > 20, "{failures} of {calls} calls failed a prune");
}
