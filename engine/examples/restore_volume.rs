//! Brings the newest volume back: `restore_volume REPOSITORY TARGET`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use blockstore::format::snapshot::RootType;
use blockstore::observe::{Observer, Problem};
use blockstore::operations::restore_volume::{RestoreVolumeOptions, restore_volume};
use blockstore::repository::keys::UnlockSecret;
use blockstore::repository::{Repository, snapshots};
use blockstore::storage::local::LocalBackend;
use blockstore::targets::volume::VolumeTargetOptions;

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
        return Err("usage: restore_volume REPOSITORY TARGET".into());
    };
    let secret = UnlockSecret::password("correct horse");
    let repository = Repository::open(Arc::new(LocalBackend::open(&place)?), &secret)?;
    let newest = snapshots::find(&repository, "latest")?;
    let mut roots = newest.roots.iter();
    let Some(volume) = roots.find(|root| root.root_type == RootType::Extents) else {
        return Err("the newest snapshot holds no volume".into());
    };
    let options = RestoreVolumeOptions {
        target: VolumeTargetOptions {
            spare: vec![place],
            ..VolumeTargetOptions::default()
        },
        verify: true,
        ..RestoreVolumeOptions::default()
    };
    let report = restore_volume(&repository, volume, &target, &options, &Problems)?;
    println!("{report:?}");
    Ok(())
}
