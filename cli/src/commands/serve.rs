//! `serve nbd`: volumes of snapshots as disks of other programs.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use blockstore::format::snapshot::{RootType, Snapshot};
use blockstore::operations::diff_volume::diff_volumes;
use blockstore::operations::select_logical::{LogicalPart, SelectedLogical, select_logical};
use blockstore::operations::select_volume::{SelectedVolume, select_volume};
use blockstore::repository::Repository;
use blockstore::repository::snapshots::find;
use blockstore::serve::View;
use blockstore::serve::groups::Group;
use blockstore::serve::library::Library;
use blockstore::serve::nbd::{DirtyRanges, NbdContent, NbdExport, NbdServer};
use blockstore::serve::overlay::{Overlay, OverlayBase};

use crate::args::{Location, ServeArgs, ServeNbdArgs, ServeWay};
use crate::commands::{Context, commit, not_a_volume};
use crate::exit::{Failure, Outcome};
use crate::progress::Progress;
use crate::render::json::{ListeningLine, ServeSummary};
use crate::render::{escape, human, volumes};

pub(super) fn run(context: &Context<'_>, args: &ServeArgs) -> Result<Outcome, Failure> {
    let ServeWay::Nbd(args) = &args.way;
    let Some(address) = args.address() else {
        return Err(Failure::Usage("--socket or --listen is needed".to_owned()));
    };
    let began = Instant::now();
    let repository = Arc::new(context.open()?.repository);
    let chosen = choose(&repository, &args.locations)?;
    if args.writable && chosen.len() > 1 {
        let count = human::counted(chosen.len() as u64, "volume", "volumes");
        let detail = format!("--writable: {count} are served, and an overlay lies over one");
        return Err(Failure::Usage(detail));
    }
    let names = names(args, &chosen)?;
    let progress = context.progress()?;
    let library = context.library(Arc::clone(&repository))?;
    let mut exports = Vec::new();
    for (one, name) in chosen.iter().zip(names) {
        if let Some(selected) = select_logical(&one.snapshot, &one.path)? {
            exports.push(logical(args, &library, one, name, &selected)?);
            continue;
        }
        let volume = one.volume()?;
        let view = Arc::new(library.volume(volume.root, volume.part())?);
        exports.push(NbdExport {
            name,
            description: one.description(view.len()),
            content: content(args, &repository, one, view)?,
            bitmaps: bitmaps(&repository, args, &volume, &progress)?,
        });
    }
    let server = NbdServer::bind(&address, exports)?;
    announce(context, &server)?;
    let report = server.run(&progress);
    let problems = progress.finish();
    if context.output.is_json() {
        let summary = ServeSummary::of(&report, &problems, began.elapsed());
        context.output.object(&summary)?;
    } else {
        context.output.note(&volumes::served(&report));
    }
    if let (Some(folder), Some(tag)) = (&args.overlay, &args.save_as) {
        return commit::commit(context, &library, folder, std::slice::from_ref(tag));
    }
    Ok(Outcome::of_problems(report.problems.max(problems.count)))
}

/// A logical volume: there is no manifest of it to compare, and an overlay would have no way back.
fn logical(
    args: &ServeNbdArgs,
    library: &Arc<Library>,
    chosen: &Chosen,
    name: String,
    selected: &SelectedLogical<'_>,
) -> Result<NbdExport, Failure> {
    let LogicalPart::Volume(wanted) = &selected.part else {
        return Err(not_a_volume(&chosen.path));
    };
    if args.overlay.is_some() || !args.dirty_since.is_empty() {
        let detail = "--overlay and --dirty-since are for volumes and partitions: a logical volume is \
                      served as it is";
        return Err(Failure::Usage(detail.to_owned()));
    }
    let group = Group::open(library, &chosen.snapshot, &selected.member)?;
    let view = group.view(&wanted.group, &wanted.volume)?;
    Ok(NbdExport {
        name,
        description: chosen.description(view.len()),
        content: NbdContent::ReadOnly(view),
        bitmaps: Vec::new(),
    })
}

/// A volume of a snapshot, a partition or a logical volume, by its path in it.
pub(super) struct Chosen {
    pub(super) snapshot: Arc<Snapshot>,
    path: Vec<u8>,
}

impl Chosen {
    pub(super) fn volume(&self) -> Result<SelectedVolume<'_>, Failure> {
        let found = select_volume(&self.snapshot, &self.path)?;
        found.ok_or_else(|| not_a_volume(&self.path))
    }

    /// As it is typed.
    fn name(&self) -> Result<Vec<u8>, Failure> {
        match select_logical(&self.snapshot, &self.path)? {
            Some(selected) => Ok(selected.name()),
            None => Ok(self.volume()?.name()),
        }
    }

    pub(super) fn description(&self, len: u64) -> String {
        format!(
            "{}, snapshot {} of {} at {}",
            human::bytes(len),
            human::short_id(&self.snapshot),
            escape::line(&self.snapshot.host),
            human::local_time(self.snapshot.ended),
        )
    }
}

/// The stored bytes, with the overlay that was asked for over them.
fn content(
    args: &ServeNbdArgs,
    repository: &Repository,
    chosen: &Chosen,
    view: Arc<dyn View>,
) -> Result<NbdContent, Failure> {
    let Some(folder) = &args.overlay else {
        return Ok(NbdContent::ReadOnly(view));
    };
    writable(repository, chosen, view, folder)
}

/// The stored bytes with the overlay in `folder` over them.
pub(super) fn writable(
    repository: &Repository,
    chosen: &Chosen,
    view: Arc<dyn View>,
    folder: &Path,
) -> Result<NbdContent, Failure> {
    let of = OverlayBase {
        repository: repository.id().to_string(),
        snapshot: chosen.snapshot.session.to_string(),
        volume: chosen.volume()?.name(),
    };
    let overlay = Overlay::open(folder, &of, view)?;
    Ok(NbdContent::Writable(Arc::new(overlay)))
}

/// What is meant; of a snapshot alone all its volumes.
pub(super) fn choose(
    repository: &Repository,
    locations: &[Location],
) -> Result<Vec<Chosen>, Failure> {
    let mut chosen = Vec::new();
    for location in locations {
        let snapshot = Arc::new(find(repository, &location.snapshot)?);
        let roots = snapshot.roots.iter();
        let volumes = roots.filter(|root| root.root_type == RootType::Extents);
        let paths = match location.path.as_slice() {
            [] => volumes.map(|root| root.name.clone()).collect(),
            path => vec![path.to_vec()],
        };
        if paths.is_empty() {
            let id = human::short_id(&snapshot);
            return Err(Failure::Usage(format!("snapshot {id} has no volume")));
        }
        chosen.extend(paths.into_iter().map(|path| Chosen {
            snapshot: Arc::clone(&snapshot),
            path,
        }));
    }
    Ok(chosen)
}

fn names(args: &ServeNbdArgs, chosen: &[Chosen]) -> Result<Vec<String>, Failure> {
    if !args.name.is_empty() {
        return match args.name.len() == chosen.len() {
            true => Ok(args.name.clone()),
            false => Err(Failure::Usage(format!(
                "--name: {} for {}",
                human::counted(args.name.len() as u64, "name", "names"),
                human::counted(chosen.len() as u64, "volume", "volumes"),
            ))),
        };
    }
    let mut names = Vec::new();
    for one in chosen {
        names.push(String::from_utf8_lossy(&one.name()?).into_owned());
    }
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        for (name, one) in names.iter_mut().zip(chosen) {
            *name = format!("{}/{name}", human::short_id(&one.snapshot));
        }
    }
    Ok(names)
}

/// What differs from each of the snapshots that were named, by the names they were given.
fn bitmaps(
    repository: &Repository,
    args: &ServeNbdArgs,
    after: &SelectedVolume<'_>,
    progress: &Progress<'_>,
) -> Result<Vec<(String, DirtyRanges)>, Failure> {
    let mut bitmaps = Vec::new();
    for name in &args.dirty_since {
        let snapshot = find(repository, name)?;
        let Some(before) = select_volume(&snapshot, &after.name())? else {
            return Err(not_a_volume(&after.name()));
        };
        let mut ranges: Vec<Range<u64>> = Vec::new();
        diff_volumes(repository, &before, after, progress, &mut |different| {
            ranges.push(different.range.clone());
            Ok(())
        })?;
        bitmaps.push((name.clone(), DirtyRanges::new(ranges)));
    }
    Ok(bitmaps)
}

/// Says where clients find what, at once: who started this waits for it.
fn announce(context: &Context<'_>, server: &NbdServer) -> Result<(), Failure> {
    let output = context.output;
    if output.is_json() {
        output.object(&ListeningLine::of(server))?;
    } else {
        for export in server.exports() {
            let url = server.address().url(&export.name);
            output.line(&format!("{url}  {}", export.description))?;
        }
    }
    output.flush()
}
