//! Where chunks end does not depend on who looks: any number of threads, any segment (I4).

use std::sync::Arc;

use blockstore::operations::snapshot::{ParentChoice, SnapshotOptions, snapshot};
use blockstore::pipeline::budget::Budget;
use blockstore::storage::memory::MemoryBackend;
use blockstore::testing::random::Random;

use crate::world;

#[test]
fn i4_a_large_file_has_the_same_root_for_any_threads_and_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(11);
    let mut contents = random.bytes(3_000_000);
    contents.extend(b"the same line over and over\n".repeat(40_000));
    contents.extend(vec![0; 700_000]);
    contents.extend(random.bytes(1_234_567));
    std::fs::write(folder.path().join("large"), &contents).unwrap();
    let mut roots = Vec::new();
    for (threads, segment_len) in [
        (1, 100 << 20),
        (1, 64 << 10),
        (2, 100_000),
        (3, 65_537),
        (8, 1 << 20),
    ] {
        let repository = world::init(Arc::new(MemoryBackend::new())).unwrap();
        // Ids are keyed: to be compared, all captures go to one repository.
        for budget in [
            Budget::default(),
            Budget {
                threads,
                segment_len,
                ..Budget::default()
            },
        ] {
            let options = SnapshotOptions {
                budget,
                ..SnapshotOptions::new(world::real_clock)
            };
            let paths = [folder.path().to_owned()];
            let options = SnapshotOptions {
                parent: ParentChoice::None,
                ..options
            };
            let made = snapshot(&repository, &paths, &options, &())
                .unwrap()
                .snapshot;
            roots.push(made.roots[0].page);
        }
        let (one, other) = (roots[roots.len() - 2], roots[roots.len() - 1]);
        assert_eq!(one, other, "{threads} threads, segments of {segment_len}");
    }
}

#[test]
fn i4_a_tree_of_many_folders_has_the_same_root_for_any_threads_and_with_a_parent() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..400 {
        let place = folder
            .path()
            .join(format!("{}/{}", number % 7, number % 40));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(format!("{number}")), number.to_string()).unwrap();
        std::os::unix::fs::symlink(format!("../{number}"), place.join("link")).unwrap_or(());
    }
    let first = folder.path().join("0/0/0");
    std::fs::hard_link(&first, folder.path().join("6/another name")).unwrap();
    let repository = world::init(Arc::new(MemoryBackend::new())).unwrap();
    let paths = [folder.path().to_owned()];
    let mut roots = Vec::new();
    for threads in [1, 2, 3, 16] {
        for parent in [ParentChoice::None, ParentChoice::Newest] {
            let budget = Budget {
                threads,
                ..Budget::default()
            };
            let options = SnapshotOptions {
                budget,
                parent,
                ..SnapshotOptions::new(world::real_clock)
            };
            let made = snapshot(&repository, &paths, &options, &()).unwrap();
            assert_eq!(made.snapshot.problem_count, 0);
            roots.push(made.snapshot.roots[0].page);
        }
    }
    assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
}
