//! Options about volumes, and how their parts are spelled.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use blockstore::operations::restore_volume::ExportFormat;
use blockstore::pipeline::volume::Cutting;
use blockstore::sources::volume::ImageFormat;
use blockstore::targets::volume::{Sparse, convert};
use clap::{Args, ValueEnum};

use crate::args::{ByteSize, Location};

/// How volumes are captured.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Volumes")]
pub(crate) struct VolumeArgs {
    /// Capture an image file, a device or an NBD export (nbd://HOST/EXPORT,
    /// nbd+unix:///EXPORT?socket=PATH) as a volume
    #[arg(long, value_name = "FILE|URL", conflicts_with_all = ["paths", "machine"])]
    pub(crate) volume: Option<PathBuf>,
    /// Capture several volumes and files of a machine as one snapshot, all or nothing: each PATH
    /// is LABEL=PATH; labels that begin with disk, devices and NBD exports are volumes
    #[arg(long, value_name = "NAME", conflicts_with = "host")]
    pub(crate) machine: Option<String>,
    /// Format of image files; it is never guessed
    #[arg(long, value_name = "FORMAT", default_value = "raw")]
    pub(crate) format: SourceFormat,
    /// Read only what this list says has changed since the earlier snapshot: JSON as qemu-img map
    /// and nbdinfo --map print it; of a machine LABEL=FILE
    #[arg(long, value_name = "[LABEL=]FILE")]
    pub(crate) changed_ranges: Vec<PathBuf>,
    /// Where chunks end: content, or fixed:SIZE for encrypted volumes
    #[arg(long, value_name = "WAY", default_value = "content", value_parser = chunker)]
    pub(crate) chunker: Cutting,
    /// Do not look for the places of files, at which chunks are cut so that they are shared with
    /// snapshots of folders
    #[arg(long)]
    pub(crate) no_hints: bool,
    /// Hold the file system that is mounted here still while volumes are read; may be repeated
    #[arg(long, value_name = "MOUNTPOINT")]
    pub(crate) freeze: Vec<PathBuf>,
    /// Thaw after this time whatever happens
    #[arg(long, value_name = "SECONDS", default_value = "30",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) freeze_limit: u64,
    /// Take a device that is written meanwhile; the snapshot says so
    #[arg(long)]
    pub(crate) allow_inconsistent: bool,
}

/// How a volume is brought back.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Volumes")]
pub(crate) struct RestoreVolumeArgs {
    /// Read the target, and write only what differs
    #[arg(long, conflicts_with_all = ["dry_run"])]
    pub(crate) in_place: bool,
    /// Go on where a restore to this target was interrupted
    #[arg(long)]
    pub(crate) resume: bool,
    /// Write nothing: compare the target with the snapshot, and name the ranges that differ
    #[arg(long, conflicts_with_all = ["in_place", "resume", "dry_run"])]
    pub(crate) verify_only: bool,
    /// How zeros are restored
    #[arg(long, value_name = "WAY", default_value = "as-recorded")]
    pub(crate) sparse: SparseChoice,
    /// Folder for the note of how far the restore of a device is [default: that of caches]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Write a volume as an image file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  blockstore export --repo /backup latest --output disk.raw
  blockstore export --repo /backup latest:disk0 --format qcow2 --output vm.qcow2
  blockstore export --repo /backup latest:disk0/p2 --format raw --output root.img
  blockstore export --repo /backup latest:disk0/p3/vg0/root --format qcow2 --output root.qcow2

qcow2, vhd-dynamic, vhdx and vmdk are written by qemu-img, which has to be installed.")]
pub(crate) struct ExportArgs {
    /// A snapshot, its volume if it has several, and a partition if only that is wanted; behind LVM
    /// LABEL/pN/GROUP/VOLUME
    #[arg(value_name = "SNAP[:LABEL[/pN]]")]
    pub(crate) location: Location,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Its format
    #[arg(long, value_name = "FORMAT", default_value = "raw")]
    pub(crate) format: TargetFormat,
    /// Replace a file that exists, once the new one is complete
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Read everything back and compare it
    #[arg(long)]
    pub(crate) verify: bool,
}

/// Formats of images that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceFormat {
    /// The bytes of the disk
    Raw,
    /// QEMU
    Qcow2,
    /// Virtual PC, fixed or dynamic
    Vhd,
    /// Hyper-V
    Vhdx,
    /// VMware
    Vmdk,
}

/// Formats of images that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TargetFormat {
    /// The bytes of the disk, holes as holes
    Raw,
    /// QEMU
    Qcow2,
    /// Virtual PC, fixed: as Azure takes it
    Vhd,
    /// Virtual PC, dynamic
    VhdDynamic,
    /// Hyper-V
    Vhdx,
    /// VMware
    Vmdk,
}

/// How zeros are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SparseChoice {
    /// Holes as holes, other zeros as zeros
    AsRecorded,
    /// All zeros as holes
    Max,
    /// No holes
    None,
}

impl SourceFormat {
    pub(crate) fn image(self) -> Option<ImageFormat> {
        Some(match self {
            Self::Raw => return None,
            Self::Qcow2 => ImageFormat::Qcow2,
            Self::Vhd => ImageFormat::Vhd,
            Self::Vhdx => ImageFormat::Vhdx,
            Self::Vmdk => ImageFormat::Vmdk,
        })
    }
}

impl TargetFormat {
    pub(crate) fn export(self) -> ExportFormat {
        use convert::ImageFormat;
        match self {
            Self::Raw => ExportFormat::Raw,
            Self::Vhd => ExportFormat::VhdFixed,
            Self::Qcow2 => ExportFormat::Image(ImageFormat::Qcow2),
            Self::VhdDynamic => ExportFormat::Image(ImageFormat::VhdDynamic),
            Self::Vhdx => ExportFormat::Image(ImageFormat::Vhdx),
            Self::Vmdk => ExportFormat::Image(ImageFormat::Vmdk),
        }
    }
}

impl SparseChoice {
    pub(crate) fn way(self) -> Sparse {
        match self {
            Self::AsRecorded => Sparse::AsRecorded,
            Self::Max => Sparse::Max,
            Self::None => Sparse::None,
        }
    }
}

/// `content` or `fixed:SIZE`.
fn chunker(text: &str) -> Result<Cutting, String> {
    match text.strip_prefix("fixed:") {
        Some(size) => {
            let size = size.parse::<ByteSize>()?.0;
            let size = u32::try_from(size).map_err(|_| "at most 16M are possible".to_owned())?;
            Ok(Cutting::Fixed(size))
        }
        None if text == "content" => Ok(Cutting::Content),
        None => Err("expected content or fixed:SIZE".to_owned()),
    }
}

/// `LABEL=REST`.
pub(crate) fn labelled(text: &Path) -> Option<(String, &Path)> {
    let bytes = text.as_os_str().as_bytes();
    let equals = bytes.iter().position(|&byte| byte == b'=')?;
    let label = std::str::from_utf8(&bytes[..equals]).ok()?;
    let rest = OsStr::from_bytes(&bytes[equals + 1..]);
    Some((label.to_owned(), Path::new(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_of_cutting_is_content_or_a_fixed_length() {
        assert_eq!(chunker("content"), Ok(Cutting::Content));
        assert_eq!(chunker("fixed:64K"), Ok(Cutting::Fixed(65_536)));
        for text in ["", "fixed", "fixed:", "fixed:x", "fixed:8G", "cdc"] {
            assert!(chunker(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_equals_sign_ends_a_label() {
        let found = labelled(Path::new("disk0=/a=b"));
        assert_eq!(found, Some(("disk0".to_owned(), Path::new("/a=b"))));
        assert_eq!(labelled(Path::new("/a")), None);
    }
}
