//! `commit`: what was written over a volume becomes a snapshot.

use std::sync::Arc;
use std::time::Instant;

use blockstore::operations::snapshot::{SnapshotOptions, VolumeOptions};
use blockstore::serve::overlay::commit_overlay;

use crate::args::CommitArgs;
use crate::commands::{Context, session_options, snapshot, writer};
use crate::env;
use crate::exit::{Failure, Outcome};

pub(super) fn run(context: &Context<'_>, args: &CommitArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let budget = context.budget()?;
    let options = SnapshotOptions {
        writer: writer(env::host()),
        tags: args.tags.clone(),
        budget,
        session: session_options(budget),
        ..SnapshotOptions::new(env::now)
    };
    let volumes = VolumeOptions::new(&context.environment.temporary);
    let library = context.library(Arc::new(context.open()?.repository))?;
    let progress = context.progress()?;
    let made = commit_overlay(&library, &args.overlay, &options, &volumes, &progress)?;
    snapshot::tell(context, &made.snapshot, &progress.finish(), began, false)
}
