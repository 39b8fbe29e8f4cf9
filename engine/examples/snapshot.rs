//! Makes a repository if there is none, and captures a folder: `snapshot REPOSITORY FOLDER`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use blockstore::format::entry::Timestamp;
use blockstore::operations::snapshot::{SnapshotOptions, snapshot};
use blockstore::repository::keys::UnlockSecret;
use blockstore::repository::{CreateOptions, Repository};
use blockstore::storage::local::LocalBackend;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(place), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: snapshot REPOSITORY FOLDER".into());
    };
    let place = PathBuf::from(place);
    let secret = UnlockSecret::password("correct horse");
    let repository = match LocalBackend::open(&place) {
        Ok(backend) => Repository::open(Arc::new(backend), &secret)?,
        Err(_) => {
            let backend = Arc::new(LocalBackend::create(&place)?);
            Repository::create(
                backend,
                &secret,
                &CreateOptions::new(now().seconds.unsigned_abs()),
            )?
        }
    };
    let report = snapshot(
        &repository,
        &[PathBuf::from(folder)],
        &SnapshotOptions::new(now),
        &(),
    )?;
    let totals = report.snapshot.totals;
    println!(
        "{}: {totals:?}, root {}",
        report.snapshot.session, report.snapshot.roots[0].page
    );
    println!("{} problems", report.snapshot.problem_count);
    Ok(())
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp {
        seconds: since.as_secs() as i64,
        nanoseconds: since.subsec_nanos(),
    }
}
