//! Where most scenarios begin, and what they end with.

use std::path::Path;
use std::path::PathBuf;

use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

pub(crate) const MIB: usize = 1 << 20;

/// A repository with a snapshot of one folder of small files.
pub(crate) fn scene() -> (Workspace, PathBuf, TestRepository, Taken) {
    let workspace = Workspace::new();
    for number in 0..5 {
        let name = format!("source/file {number}");
        workspace.file(&name, random_bytes(number, "scene", 100_000));
    }
    let source = workspace.join("source");
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);
    (workspace, source, repository, taken)
}

#[track_caller]
pub(crate) fn assert_restores(repository: &TestRepository, taken: &Taken, source: &Path) {
    let target = tempfile::tempdir().expect("there is a temporary folder");
    repository.restore(&taken.id, target.path()).expect_code(0);
    Comparer::default().assert_equal(source, target.path());
}

#[track_caller]
pub(crate) fn assert_sound(repository: &TestRepository) {
    repository.run("check", &[&"--read-data"]).expect_code(0);
}
