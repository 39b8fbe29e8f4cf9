//! Files inside volumes: a volume of a snapshot opened as the file system that it holds.

use std::sync::Arc;

use blockstore::format::snapshot::Snapshot;
use blockstore::operations::list::{ListReport, Listed};
use blockstore::operations::restore::{RestoreOptions, RestoreReport};
use blockstore::operations::select_item::SelectedItem;
use blockstore::operations::select_volume::SelectedVolume;
use blockstore::repository::Repository;
use blockstore::repository::chunks::ChunkReader;
use blockstore::serve::groups::Group;
use blockstore::serve::image::{self, Image};
use blockstore::serve::library::Library;

use crate::args::{LsArgs, RestoreArgs};
use crate::commands::Context;
use crate::exit::{Failure, Outcome};
use crate::output::{Output, through_engine};
use crate::progress::Progress;
use crate::render::escape;
use crate::render::json::LsSummary;

/// A repository whose volumes are looked into.
pub(super) struct Volumes(Arc<Library>);

impl Volumes {
    pub(super) fn open(
        context: &Context<'_>,
        repository: &Arc<Repository>,
    ) -> Result<Self, Failure> {
        Ok(Self(context.library(Arc::clone(repository))?))
    }

    /// The file system that a volume or a partition holds.
    pub(super) fn image(&self, volume: &SelectedVolume<'_>) -> Result<Image, Failure> {
        let view = self.0.volume(volume.root, volume.part())?;
        Ok(Image::open(Arc::new(view), &volume.name())?)
    }

    /// The volume group that a physical volume belongs to.
    pub(super) fn group(
        &self,
        snapshot: &Snapshot,
        member: &SelectedVolume<'_>,
    ) -> Result<Arc<Group>, Failure> {
        Ok(Arc::new(Group::open(&self.0, snapshot, member)?))
    }

    /// The file system that an item lies in.
    pub(super) fn image_of(
        &self,
        snapshot: &Snapshot,
        item: &SelectedItem<'_>,
    ) -> Result<Image, Failure> {
        let Some(name) = &item.logical else {
            return self.image(&item.volume);
        };
        let group = self.group(snapshot, &item.volume)?;
        let view = group.view(&name.group, &name.volume)?;
        Ok(Image::open(view, &group.path_of(&name.volume))?)
    }

    /// Reads folders, and shares memory with the volumes.
    pub(super) fn reader(&self) -> &ChunkReader<'_> {
        self.0.reader()
    }
}

/// Says why a mount might show something else.
pub(super) fn tell_doubt(output: &Output, image: &Image) {
    if let Some(doubt) = image.doubt() {
        let name = escape::path(image.name());
        output.problem(&format!("{name}: {doubt}"));
    }
}

/// Says what a copy of the files does not carry, and why they might not be what a mount would show.
pub(super) fn tell_fidelity(output: &Output, image: &Image) {
    for sentence in image.fidelity() {
        output.note(&format!("{}: {sentence}", image.kind()));
    }
    tell_doubt(output, image);
}

/// `ls` of a file or folder in a volume.
pub(super) fn ls(
    context: &Context<'_>,
    args: &LsArgs,
    repository: &Arc<Repository>,
    snapshot: &Snapshot,
    item: &SelectedItem<'_>,
    each: &mut dyn FnMut(&Listed<'_>) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let mut image = Volumes::open(context, repository)?.image_of(snapshot, item)?;
    tell_doubt(context.output, &image);
    let progress = context.progress()?;
    let report: ListReport = image::list(
        &mut image,
        &item.path,
        args.recursive,
        &progress,
        &mut |listed| each(listed).map_err(through_engine),
    )?;
    let problems = progress.finish();
    if context.output.is_json() {
        let summary = LsSummary::of(snapshot, &report, &problems);
        context.output.object(&summary)?;
    }
    Ok(Outcome::of_problems(report.problems.max(problems.count)))
}

/// `cat` of a file in a volume.
pub(super) fn cat(
    context: &Context<'_>,
    repository: &Arc<Repository>,
    snapshot: &Snapshot,
    item: &SelectedItem<'_>,
) -> Result<u64, Failure> {
    let mut image = Volumes::open(context, repository)?.image_of(snapshot, item)?;
    tell_doubt(context.output, &image);
    let mut out = context.output;
    Ok(image::cat(&mut image, &item.path, &mut out)?)
}

/// `restore` of a file or folder in a volume; what its reader cannot carry is told once.
pub(super) fn restore(
    context: &Context<'_>,
    args: &RestoreArgs,
    repository: &Arc<Repository>,
    snapshot: &Snapshot,
    item: &SelectedItem<'_>,
    options: &RestoreOptions,
    progress: &Progress<'_>,
) -> Result<RestoreReport, Failure> {
    let mut image = Volumes::open(context, repository)?.image_of(snapshot, item)?;
    tell_fidelity(context.output, &image);
    let report = image::restore(&mut image, &item.path, &args.target, options, progress)?;
    Ok(report)
}
