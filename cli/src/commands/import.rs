//! `import`: files inside a volume become a snapshot of their own.

use std::sync::Arc;
use std::time::Instant;

use blockstore::operations::select_item::select_item;
use blockstore::operations::snapshot::SnapshotOptions;
use blockstore::repository::snapshots::find;
use blockstore::serve::image;

use crate::args::ImportArgs;
use crate::commands::images::{Volumes, tell_fidelity};
use crate::commands::{Context, session_options, snapshot, writer};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::escape;

pub(super) fn run(context: &Context<'_>, args: &ImportArgs) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let budget = context.budget()?;
    let repository = Arc::new(context.open_to_write(args.dry_run)?.repository);
    let taken = find(&repository, &args.location.snapshot)?;
    // A volume or partition means its files here, not its bytes.
    let path = [&*args.location.path, b"/"].concat();
    let item = select_item(&taken, &path)?.ok_or_else(|| no_files(&args.location.path))?;
    let mut files = Volumes::open(context, &repository)?.image_of(&taken, &item)?;
    tell_fidelity(context.output, &files);
    let host = args.host.clone().unwrap_or_else(|| taken.host.clone());
    let options = SnapshotOptions {
        writer: writer(host),
        tags: args.tags.clone(),
        budget,
        session: session_options(budget),
        ..SnapshotOptions::new(env::now)
    };
    let progress = context.progress()?;
    let made = image::import(
        &repository,
        &taken,
        &mut files,
        &item.path,
        &options,
        &progress,
    )?;
    let problems = progress.finish();
    snapshot::tell(context, &made.snapshot, &problems, began, args.dry_run)
}

fn no_files(path: &[u8]) -> Failure {
    let path = escape::path(path);
    Failure::Usage(format!(
        "{path:?} is no file system inside a volume of this snapshot: name a volume without \
         partitions, or a partition as disk0/p2; ls shows which there are"
    ))
}
