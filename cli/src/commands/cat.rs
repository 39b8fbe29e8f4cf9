//! `cat`: the content of one file or volume.

use blockstore::operations::cat::cat;
use blockstore::operations::select_item::select_item;
use blockstore::operations::select_volume::select_volume;
use blockstore::repository::snapshots::find;

use crate::args::CatArgs;
use crate::commands::{Context, images};
use crate::exit::{Failure, Outcome};
use crate::render::json::CatReport;

pub(super) fn run(context: &Context<'_>, args: &CatArgs) -> Result<Outcome, Failure> {
    let location = &args.location;
    let opened = context.open()?;
    let snapshot = find(&opened.repository, &location.snapshot)?;
    if location.path.is_empty() && select_volume(&snapshot, b"")?.is_none() {
        return Err(Failure::Usage("which file? expected SNAP:PATH".to_owned()));
    }
    let mut out = context.output;
    let bytes = match select_item(&snapshot, &location.path)? {
        Some(item) => images::cat(context, opened.repository, &item)?,
        None => cat(&opened.repository, &snapshot, &location.path, &mut out)?,
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
