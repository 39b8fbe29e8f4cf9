//! Snapshots of volumes: what the arguments name, and how it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use blockstore::format::snapshot::SnapshotKind;
use blockstore::operations::snapshot::{
    Changes, FolderSpec, PartSpec, VolumeOptions, VolumePlace, VolumeSpec,
};
use blockstore::pipeline::volume::Cutting;
use blockstore::sources::volume::{FreezeOptions, is_device};

use crate::args::{ExcludeArgs, SnapshotArgs, VolumeArgs, labelled};
use crate::commands::Context;
use crate::env;
use crate::exit::Failure;

/// The label of a volume that is captured alone, and the beginning of those of machines.
const LABEL: &str = "disk";

/// The volumes that are asked for; nothing if folders are.
pub(super) fn parts(args: &SnapshotArgs) -> Result<Option<(SnapshotKind, Vec<PartSpec>)>, Failure> {
    let volumes = &args.volumes;
    let parts = if volumes.machine.is_some() {
        (SnapshotKind::Machine, machine(args)?)
    } else if let Some(path) = &volumes.volume {
        (SnapshotKind::Volume, vec![alone(path, volumes)?])
    } else {
        match args.paths.as_slice() {
            [path] if is_device(path) => (SnapshotKind::Volume, vec![alone(path, volumes)?]),
            paths => {
                if let Some(device) = paths.iter().find(|path| is_device(path)) {
                    let device = device.display();
                    return Err(Failure::Usage(format!(
                        "{device} is a device: capture it alone, or name all parts with --machine"
                    )));
                }
                refuse_for_folders(volumes)?;
                return Ok(None);
            }
        }
    };
    if parts.0 == SnapshotKind::Volume {
        refuse_for_volumes(&args.excludes)?;
    }
    Ok(Some(parts))
}

/// Refuses what means nothing for folders: who gave it expects more than would happen.
fn refuse_for_folders(args: &VolumeArgs) -> Result<(), Failure> {
    let given = [
        ("--format", args.format.image().is_some()),
        ("--changed-ranges", !args.changed_ranges.is_empty()),
        ("--chunker", args.chunker != Cutting::Content),
        ("--no-hints", args.no_hints),
        ("--freeze", !args.freeze.is_empty()),
        ("--allow-inconsistent", args.allow_inconsistent),
    ];
    refuse(&given, "is for volumes")
}

/// Refuses what means nothing for a volume, which is captured whole.
fn refuse_for_volumes(args: &ExcludeArgs) -> Result<(), Failure> {
    let given = [
        ("--exclude", !args.exclude.is_empty()),
        ("--exclude-from", !args.exclude_from.is_empty()),
        ("--exclude-caches", args.exclude_caches),
        ("--exclude-if-present", !args.exclude_if_present.is_empty()),
        ("--exclude-larger-than", args.exclude_larger_than.is_some()),
    ];
    refuse(&given, "is for folders: a volume is captured whole")
}

/// Wrong usage if one of `options` is given.
pub(super) fn refuse(options: &[(&str, bool)], why: &str) -> Result<(), Failure> {
    match options.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => Err(Failure::Usage(format!("{option} {why}"))),
    }
}

fn alone(path: &Path, args: &VolumeArgs) -> Result<PartSpec, Failure> {
    let changes = match args.changed_ranges.as_slice() {
        [] => Changes::Unknown,
        [list] => Changes::List(list.clone()),
        _ => {
            let detail = "--changed-ranges: one volume has one list";
            return Err(Failure::Usage(detail.to_owned()));
        }
    };
    Ok(PartSpec::Volume(VolumeSpec {
        label: format!("{LABEL}0"),
        place: place(path, args),
        changes,
    }))
}

fn machine(args: &SnapshotArgs) -> Result<Vec<PartSpec>, Failure> {
    let mut lists = BTreeMap::new();
    for list in &args.volumes.changed_ranges {
        let (label, path) = labelled(list).ok_or_else(|| not_labelled("--changed-ranges", list))?;
        if lists.insert(label.clone(), path.to_owned()).is_some() {
            let detail = format!("--changed-ranges: {label:?} has two lists");
            return Err(Failure::Usage(detail));
        }
    }
    let mut parts = Vec::new();
    for path in &args.paths {
        let (label, path) = labelled(path).ok_or_else(|| not_labelled("--machine", path))?;
        let path = path.to_owned();
        let is_volume = label.starts_with(LABEL) || is_device(&path) || is_url(&path);
        parts.push(if is_volume {
            PartSpec::Volume(VolumeSpec {
                place: place(&path, &args.volumes),
                changes: lists.remove(&label).map_or(Changes::Unknown, Changes::List),
                label,
            })
        } else {
            PartSpec::Folder(FolderSpec { label, path })
        });
    }
    if !parts.iter().any(|part| matches!(part, PartSpec::Volume(_))) {
        refuse_for_folders(&args.volumes)?;
    }
    match lists.keys().next() {
        None => Ok(parts),
        Some(label) => Err(Failure::Usage(format!(
            "--changed-ranges: there is no volume {label:?}"
        ))),
    }
}

fn not_labelled(option: &str, path: &Path) -> Failure {
    let path = path.display();
    Failure::Usage(format!("{option}: {path}: expected LABEL=PATH"))
}

fn is_url(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.starts_with("nbd://") || text.starts_with("nbd+unix://")
}

/// An image in another format may lie on a device as well as in a file. What an NBD server exports
/// is the disk itself.
fn place(path: &Path, args: &VolumeArgs) -> VolumePlace {
    match args.format.image() {
        _ if is_url(path) => VolumePlace::Nbd(path.to_string_lossy().into_owned()),
        Some(format) => VolumePlace::Image(path.to_owned(), format),
        None => VolumePlace::Path(path.to_owned()),
    }
}

pub(super) fn options(context: &Context<'_>, args: &VolumeArgs) -> Result<VolumeOptions, Failure> {
    let mut options = VolumeOptions::new(&context.environment.temporary);
    options.cutting = args.chunker;
    if args.no_hints {
        options.hints = None;
    }
    options.freeze.clone_from(&args.freeze);
    options.freeze_options = FreezeOptions {
        limit: Duration::from_secs(args.freeze_limit),
        ..FreezeOptions::new(needed(context)?)
    };
    options.allow_inconsistent = args.allow_inconsistent;
    Ok(options)
}

/// What this program writes to, or cannot do without.
fn needed(context: &Context<'_>) -> Result<Vec<PathBuf>, Failure> {
    let mut needed = kept(context)?;
    needed.push(context.environment.temporary.clone());
    needed.extend(std::env::current_exe().ok());
    needed.extend(env::output_files());
    Ok(needed)
}

/// Where the note lies of how far the restore of a device is; that of a file lies beside it.
pub(super) fn usual_state_folder(context: &Context<'_>, target: &Path) -> Option<PathBuf> {
    let folder = context.cache_path()?;
    (is_device(target) && folder.is_dir()).then_some(folder)
}

/// The repository and what is kept on this machine: no restore may overwrite them.
pub(super) fn kept(context: &Context<'_>) -> Result<Vec<PathBuf>, Failure> {
    let mut kept = vec![context.repository_path()?.to_owned()];
    kept.extend(context.cache_path());
    Ok(kept)
}
