//! Snapshots mounted as a file system: what is seen there is what was captured, and a mount comes and
//! goes whatever happens to it.
//!
//! Defends I1 (what is read is what was captured, bit for bit), I3 (no wrong bytes), I9 and I10 (what
//! cannot be read fails there, and is named).

mod ahead;
mod all;
mod attributes;
mod damage;
mod folders;
mod inside;
mod life;
mod logical;
mod volumes;

use std::path::Path;
use std::path::PathBuf;

use blockstore_tests::kit::fuse::Snapshots;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

/// Mounts a snapshot in the workspace.
#[track_caller]
fn mounted(workspace: &Workspace, repository: &TestRepository, taken: &Taken) -> Snapshots {
    Snapshots::mount(repository, &[&taken.id], &point(workspace))
}

/// Mounts a snapshot of `source` in the workspace.
#[track_caller]
fn mounted_source(workspace: &Workspace) -> Snapshots {
    let repository = TestRepository::init(workspace);
    let taken = repository.snapshot(&[&workspace.join("source")]);
    mounted(workspace, &repository, &taken)
}

fn point(workspace: &Workspace) -> PathBuf {
    workspace.folder("mounted")
}

/// Names of what lies in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let names = folder.read_dir().unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}
