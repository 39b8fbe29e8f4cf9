//! `commit`: what was written over a volume becomes a snapshot.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use blockstore::operations::snapshot::{SnapshotOptions, VolumeOptions};
use blockstore::serve::library::Library;
use blockstore::serve::overlay::commit_overlay;

use crate::args::CommitArgs;
use crate::commands::{Context, session_options, snapshot, writer};
use crate::env;
use crate::exit::{Failure, Outcome};

pub(super) fn run(context: &Context<'_>, args: &CommitArgs) -> Result<Outcome, Failure> {
    let library = context.library(Arc::new(context.open()?.repository))?;
    commit(context, &library, &args.overlay, &args.tags)
}

/// Keeps what was written to the overlay in `folder`, and tells of it.
pub(super) fn commit(
    context: &Context<'_>,
    library: &Arc<Library>,
    folder: &Path,
    tags: &[String],
) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let budget = context.budget()?;
    let options = SnapshotOptions {
        writer: writer(env::host()),
        tags: tags.to_vec(),
        budget,
        session: session_options(budget),
        ..SnapshotOptions::new(env::now)
    };
    let volumes = VolumeOptions::new(&context.environment.temporary);
    let progress = context.progress()?;
    let made = commit_overlay(library, folder, &options, &volumes, &progress)?;
    snapshot::tell(context, &made.snapshot, &progress.finish(), began, false)
}
