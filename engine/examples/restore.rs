//! Brings the newest snapshot back: `restore REPOSITORY TARGET`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use blockstore::observe::{Observer, Problem};
use blockstore::operations::restore::{RestoreOptions, restore};
use blockstore::repository::keys::UnlockSecret;
use blockstore::repository::{Repository, snapshots};
use blockstore::storage::local::LocalBackend;
use blockstore::targets::folder::FolderTargetOptions;

/// Prints what could not be restored.
struct Problems;

impl Observer for Problems {
    fn problem(&self, problem: &Problem) {
        println!("{}: {}", problem.subject.escape_ascii(), problem.detail);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(place), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: restore REPOSITORY TARGET".into());
    };
    let secret = UnlockSecret::password("correct horse");
    let repository = Repository::open(Arc::new(LocalBackend::open(&place)?), &secret)?;
    let newest = snapshots::find(&repository, "latest")?;
    let options = RestoreOptions {
        target: FolderTargetOptions {
            privileged: true,
            ..FolderTargetOptions::default()
        },
        ..RestoreOptions::default()
    };
    println!(
        "{:?}",
        restore(&repository, &newest, b"", &target, &options, &Problems)?
    );
    Ok(())
}
