//! `find`: entries by their names, over snapshots, in folders and in volumes.

use std::collections::BTreeSet;
use std::sync::Arc;

use blockstore::ErrorKind;
use blockstore::format::entry::Entry;
use blockstore::format::snapshot::Snapshot;
use blockstore::observe::{Observer, Problem, ProblemKind};
use blockstore::operations::find::{FindReport, Pattern, find};
use blockstore::operations::select_volume::SelectedVolume;
use blockstore::operations::volumes::volumes;
use blockstore::repository::snapshots::{SnapshotList, list};
use blockstore::serve::image::{self, Image};

use crate::args::FindArgs;
use crate::commands::Context;
use crate::commands::images::{Volumes, tell_doubt};
use crate::exit::{Failure, Outcome};
use crate::output::{Output, through_engine};
use crate::progress::Progress;
use crate::render::human;
use crate::render::json::{FindSummary, FoundLine};

pub(super) fn run(context: &Context<'_>, args: &FindArgs) -> Result<Outcome, Failure> {
    let pattern = Pattern::new(&args.pattern, args.ignore_case)?;
    let opened = context.open()?;
    let listed = list(&opened.repository)?;
    let snapshots = chosen(&listed, &args.snapshots)?;
    let volumes = Volumes::open(context, &Arc::new(opened.repository))?;
    let progress = context.progress()?;
    let search = Search {
        args,
        output: context.output,
        pattern: &pattern,
        volumes: &volumes,
        progress: &progress,
    };
    let mut report = FindReport::default();
    for snapshot in &snapshots {
        search.folders(snapshot, &mut report)?;
        if !args.no_volumes {
            search.volumes(snapshot, &mut report)?;
        }
    }
    for (name, _) in &listed.damaged {
        context.output.problem(&format!("damaged: {name}"));
    }
    let damaged = listed.damaged.len() as u64;
    let problems = progress.finish();
    if context.output.is_json() {
        let summary = FindSummary::of(&report, snapshots.len() as u64, &problems);
        context.output.object(&summary)?;
    }
    Ok(Outcome::of_problems(
        report.problems.max(problems.count) + damaged,
    ))
}

/// The snapshots that were named, or all of them, oldest first.
fn chosen<'s>(listed: &'s SnapshotList, names: &[String]) -> Result<Vec<&'s Snapshot>, Failure> {
    if names.is_empty() {
        return Ok(listed.snapshots.iter().collect());
    }
    let found = names.iter().map(|name| Ok(listed.find(name)?));
    found.collect()
}

struct Search<'s> {
    args: &'s FindArgs,
    output: &'s Output,
    pattern: &'s Pattern,
    volumes: &'s Volumes,
    progress: &'s Progress<'s>,
}

impl Search<'_> {
    fn folders(&self, snapshot: &Snapshot, report: &mut FindReport) -> Result<(), Failure> {
        let found = find(
            self.volumes.reader(),
            snapshot,
            self.pattern,
            self.progress,
            &mut |found| {
                self.print(snapshot, &found.path, found.entry)
                    .map_err(through_engine)
            },
        )?;
        report.add(&found);
        Ok(())
    }

    fn volumes(&self, snapshot: &Snapshot, report: &mut FindReport) -> Result<(), Failure> {
        let mut groups = BTreeSet::new();
        for volume in file_systems(snapshot) {
            let searched = match volume.is_physical() {
                true => self.group(snapshot, &volume, &mut groups, report),
                false => self.volume(snapshot, &volume, report),
            };
            if let Err(failure) = searched {
                self.tolerate(&volume.name(), failure, report)?;
            }
        }
        Ok(())
    }

    fn volume(
        &self,
        snapshot: &Snapshot,
        volume: &SelectedVolume<'_>,
        report: &mut FindReport,
    ) -> Result<(), Failure> {
        let image = self.volumes.image(volume)?;
        self.image(snapshot, image, report)
    }

    /// All volumes of a group, which is found by each of its members and searched once.
    fn group(
        &self,
        snapshot: &Snapshot,
        member: &SelectedVolume<'_>,
        groups: &mut BTreeSet<String>,
        report: &mut FindReport,
    ) -> Result<(), Failure> {
        let group = self.volumes.group(snapshot, member)?;
        if !groups.insert(group.id().to_owned()) {
            return Ok(());
        }
        for volume in group.volumes() {
            let (name, path) = (
                volume.name.as_bytes(),
                group.path_of(volume.name.as_bytes()),
            );
            let view = group.view(group.name().as_bytes(), name);
            let image = view.and_then(|view| Image::open(view, &path));
            let searched = image
                .map_err(Failure::from)
                .and_then(|image| self.image(snapshot, image, report));
            if let Err(failure) = searched {
                self.tolerate(&path, failure, report)?;
            }
        }
        Ok(())
    }

    fn image(
        &self,
        snapshot: &Snapshot,
        mut image: Image,
        report: &mut FindReport,
    ) -> Result<(), Failure> {
        tell_doubt(self.output, &image);
        let found = image::find(
            &mut image,
            self.pattern,
            self.progress,
            &mut |path, entry| self.print(snapshot, &path, entry).map_err(through_engine),
        )?;
        report.add(&found);
        Ok(())
    }

    /// What has no reader is named, what is damaged counts; the search goes on.
    fn tolerate(
        &self,
        name: &[u8],
        failure: Failure,
        report: &mut FindReport,
    ) -> Result<(), Failure> {
        match failure {
            Failure::Engine(error) if error.kind() == ErrorKind::Unsupported => {
                self.output.note(&format!("not searched: {error}"));
                Ok(())
            }
            Failure::Engine(error) if is_one_loss(error.kind()) => {
                report.problems += 1;
                self.progress.problem(&Problem {
                    kind: ProblemKind::Unreadable,
                    subject: name.to_vec(),
                    detail: error.detail().to_owned(),
                });
                Ok(())
            }
            other => Err(other),
        }
    }

    fn print(&self, snapshot: &Snapshot, path: &[u8], entry: &Entry) -> Result<(), Failure> {
        let id = human::short_id(snapshot);
        let location = [id.as_bytes(), b":", path].concat();
        if self.output.is_json() {
            self.output.object(&FoundLine::of(snapshot, path, entry))
        } else if self.args.null {
            self.output.bytes(&location)?;
            self.output.bytes(b"\0")
        } else if self.args.long {
            self.output.line(&human::entry_long(&location, entry))
        } else {
            self.output.line(&crate::render::escape::path(&location))
        }
    }
}

/// What costs one file system of the search: damage, and a disk of a volume group that is not there.
fn is_one_loss(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Damaged | ErrorKind::NotFound)
}

/// What of a snapshot holds a file system: partitions, and volumes without any.
fn file_systems(snapshot: &Snapshot) -> impl Iterator<Item = SelectedVolume<'_>> {
    let holds = |one: &SelectedVolume<'_>| !one.is_divided() && one.held().is_some();
    volumes(snapshot).filter(move |one| holds(one) && one.is_whole())
}
