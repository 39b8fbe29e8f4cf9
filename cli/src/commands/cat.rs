//! `cat`: the content of one file or volume.

use std::sync::Arc;

use blockstore::operations::cat::cat;
use blockstore::operations::select_item::select_item;
use blockstore::operations::select_logical::select_logical;
use blockstore::operations::select_volume::select_volume;
use blockstore::repository::snapshots::find;

use crate::args::CatArgs;
use crate::commands::images::Volumes;
use crate::commands::{Context, images, logical};
use crate::exit::{Failure, Outcome};
use crate::render::json::CatReport;

pub(super) fn run(context: &Context<'_>, args: &CatArgs) -> Result<Outcome, Failure> {
    let location = &args.location;
    let repository = Arc::new(context.open()?.repository);
    let snapshot = find(&repository, &location.snapshot)?;
    if location.path.is_empty() && select_volume(&snapshot, b"")?.is_none() {
        return Err(Failure::Usage("which file? expected SNAP:PATH".to_owned()));
    }
    let mut out = context.output;
    let bytes = if let Some(item) = select_item(&snapshot, &location.path)? {
        images::cat(context, &repository, &snapshot, &item)?
    } else if let Some(selected) = select_logical(&snapshot, &location.path)? {
        let volumes = Volumes::open(context, &repository)?;
        logical::cat(context, &volumes, &snapshot, &selected)?
    } else {
        cat(&repository, &snapshot, &location.path, &mut out)?
    };
    context.output.flush()?;
    if context.output.is_json() {
        context.output.object_beside(&CatReport {
            snapshot: snapshot.session.to_string(),
            bytes,
        });
    }
    Ok(Outcome::Done)
}
