//! `mount`: snapshots as a file system.

use std::sync::Arc;

use blockstore::format::snapshot::Snapshot;
use blockstore::repository::snapshots::find;
use blockstore::serve::mount::{MountOptions, Mounted, mount};

use crate::args::MountArgs;
use crate::commands::Context;
use crate::commands::background;
use crate::exit::{Failure, Outcome};
use crate::output::through_engine;
use crate::render::escape;
use crate::render::json::{MountLine, MountSummary};

/// Part of the memory that decoded pages of folders may take; the rest is the library's.
const PAGES_SHARE: usize = 8;

pub(super) fn run(context: &Context<'_>, args: &MountArgs) -> Result<Outcome, Failure> {
    let is_in_background = context.environment.is_in_background;
    if args.daemon && !is_in_background {
        return background::start(context);
    }
    let budget = context.budget()?;
    let opened = context.open()?;
    let find = |text: &String| find(&opened.repository, text);
    let snapshot = args.snapshot.as_ref().map(find).transpose()?;
    let memory = usize::try_from(context.global.memory.0).unwrap_or(usize::MAX);
    let library = context.library(Arc::new(opened.repository))?;
    let options = MountOptions {
        allow_other: args.allow_other,
        uid: args.uid,
        gid: args.gid,
        pages_bytes: memory / PAGES_SHARE,
        threads: budget.threads,
    };
    let progress = context.watch()?;
    let mut is_mounted = || {
        let told = tell(context, args, snapshot.as_ref()).and_then(|()| match is_in_background {
            true => background::detach(),
            false => Ok(()),
        });
        told.map_err(through_engine)
    };
    let mounted = snapshot.as_ref().map_or(Mounted::All, Mounted::One);
    let point = &args.point;
    let report = mount(
        &library,
        mounted,
        point,
        &options,
        &progress,
        &mut is_mounted,
    )?;
    let problems = progress.finish();
    if context.output.is_json() {
        let summary = MountSummary::of(snapshot.as_ref(), &problems, report.problems);
        context.output.object(&summary)?;
    }
    Ok(Outcome::of_problems(report.problems))
}

/// Says that it can be used.
fn tell(
    context: &Context<'_>,
    args: &MountArgs,
    snapshot: Option<&Snapshot>,
) -> Result<(), Failure> {
    let (output, point) = (context.output, args.point.as_os_str().as_encoded_bytes());
    if output.is_json() {
        output.object(&MountLine::of(point, snapshot))?;
    } else {
        let what = match snapshot {
            Some(snapshot) => format!("snapshot {}", snapshot.session),
            None => "all snapshots".to_owned(),
        };
        let point = escape::path(point);
        output.line(&format!(
            "{what} mounted on {point}; umount {point} ends it"
        ))?;
    }
    output.flush()
}
