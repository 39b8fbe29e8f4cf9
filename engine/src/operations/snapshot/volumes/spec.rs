//! What was asked for: places of volumes, and how they are read.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::LABEL_LEN_MAX;
use crate::operations::snapshot::SnapshotOptions;
use crate::operations::snapshot::volumes::reader::SourceReader;
use crate::pipeline::volume::Cutting;
use crate::sources::folder::FolderSource;
use crate::sources::volume::layout::HintOptions;
use crate::sources::volume::{
    Beginning, ChangedRanges, FreezeOptions, ImageFormat, ImageOptions, ImageVolume, NbdVolume,
    VolumeSource, is_device, open_path,
};

/// A part of a snapshot of volumes.
#[derive(Clone, Debug)]
pub enum PartSpec {
    /// A disk, a partition, an image.
    Volume(VolumeSpec),
    /// What belongs to it: the configuration of a virtual machine, for example.
    Folder(FolderSpec),
    /// The part of this name of the parent that was given, taken over as it is, unread.
    Kept(String),
}

/// A volume to be captured.
#[derive(Clone, Debug)]
pub struct VolumeSpec {
    /// Its name within the snapshot.
    pub label: String,
    /// Where its bytes are.
    pub place: VolumePlace,
    /// What changed since the parent.
    pub changes: Changes,
}

/// What is known of the changes since the parent.
#[derive(Clone, Debug)]
pub enum Changes {
    /// Nothing: everything is read.
    Unknown,
    /// A file with a list of them, as [`ChangedRanges`] reads it.
    List(PathBuf),
    /// Nothing changed outside of these ranges, bytes: ascending, apart, within the volume.
    Ranges(Vec<Range<u64>>),
}

/// Where the bytes of a volume are.
#[derive(Clone, Debug)]
pub enum VolumePlace {
    /// A block device, or a file with the bytes of a disk.
    Path(PathBuf),
    /// The first so many bytes of one, or all of it if it is shorter.
    Beginning(PathBuf, u64),
    /// A file in the format of a disk image.
    Image(PathBuf, ImageFormat),
    /// An export of an NBD server.
    Nbd(String),
    /// One that is open already.
    Open(OpenSource),
}

/// A volume that somebody else has opened.
#[derive(Clone)]
pub struct OpenSource {
    /// Its bytes.
    pub source: Arc<dyn VolumeSource>,
    /// Path or URL that is recorded of it.
    pub origin: Vec<u8>,
    /// Name of what it is read from.
    pub medium: String,
}

/// A folder or a file to be captured beside volumes.
#[derive(Clone, Debug)]
pub struct FolderSpec {
    /// Its name within the snapshot.
    pub label: String,
    /// Where it is.
    pub path: PathBuf,
}

/// How volumes are read.
#[derive(Clone, Debug)]
pub struct VolumeOptions {
    /// Where chunks end.
    pub cutting: Cutting,
    /// How the places of files are found, at which chunks are cut; nothing to cut without.
    pub hints: Option<HintOptions>,
    /// How images and NBD servers are spoken to.
    pub image: ImageOptions,
    /// Mount points of file systems to hold still while volumes are read.
    pub freeze: Vec<PathBuf>,
    /// How long, and what must not lie on them.
    pub freeze_options: FreezeOptions,
    /// Take what is written meanwhile, and say so.
    pub allow_inconsistent: bool,
}

impl VolumeOptions {
    /// The usual options, with sockets and temporary files below `runtime_folder`.
    pub fn new(runtime_folder: &Path) -> Self {
        Self {
            cutting: Cutting::Content,
            hints: Some(HintOptions {
                scratch: Some(runtime_folder.to_owned()),
                ..HintOptions::default()
            }),
            image: ImageOptions::new(runtime_folder),
            freeze: Vec::new(),
            freeze_options: FreezeOptions::new(Vec::new()),
            allow_inconsistent: false,
        }
    }
}

/// A part whose source is open.
pub(in super::super) enum OpenPart {
    Volume(OpenVolume),
    Folder {
        label: String,
        source: Arc<FolderSource>,
    },
    Kept(String),
}

/// A volume whose source is open.
pub(in super::super) struct OpenVolume {
    pub label: String,
    /// Path or URL.
    pub origin: Vec<u8>,
    /// Name of what it is read from.
    pub medium: String,
    pub reader: Arc<SourceReader>,
    pub changed: Option<ChangedRanges>,
}

impl OpenPart {
    pub(in super::super) fn volume(&self) -> Option<&OpenVolume> {
        match self {
            Self::Volume(volume) => Some(volume),
            Self::Folder { .. } | Self::Kept(_) => None,
        }
    }
}

impl OpenVolume {
    pub(in super::super) fn len(&self) -> u64 {
        self.reader.source().len()
    }
}

impl PartSpec {
    pub(in super::super) fn label(&self) -> &str {
        match self {
            Self::Volume(volume) => &volume.label,
            Self::Folder(folder) => &folder.label,
            Self::Kept(label) => label,
        }
    }

    pub(in super::super) fn open(
        &self,
        volumes: &VolumeOptions,
        options: &SnapshotOptions,
    ) -> Result<OpenPart> {
        match self {
            Self::Volume(spec) => spec.open(volumes).map(OpenPart::Volume),
            Self::Folder(spec) => Ok(OpenPart::Folder {
                label: spec.label.clone(),
                source: Arc::new(FolderSource::open(&spec.path, options.folder.clone())?),
            }),
            Self::Kept(label) => Ok(OpenPart::Kept(label.clone())),
        }
    }
}

impl VolumeSpec {
    fn open(&self, options: &VolumeOptions) -> Result<OpenVolume> {
        let (source, medium) = self.place.open(options)?;
        let changed = match &self.changes {
            Changes::Unknown => None,
            Changes::List(list) => Some(ChangedRanges::open(list, source.len())?),
            Changes::Ranges(ranges) => Some(ChangedRanges::of(ranges.clone())),
        };
        Ok(OpenVolume {
            label: self.label.clone(),
            origin: self.place.origin()?,
            medium,
            changed,
            reader: Arc::new(SourceReader::new(source)),
        })
    }
}

impl VolumePlace {
    fn open(&self, options: &VolumeOptions) -> Result<(Arc<dyn VolumeSource>, String)> {
        let (source, medium): (Arc<dyn VolumeSource>, &str) = match self {
            Self::Path(path) => (Arc::from(open_path(path)?), kind_of(path)),
            Self::Beginning(path, len) => {
                let source = Beginning::new(open_path(path)?, *len);
                (Arc::new(source), kind_of(path))
            }
            Self::Image(path, format) => {
                let image = ImageVolume::open(path, *format, &options.image)?;
                (Arc::new(image), format.name())
            }
            Self::Nbd(url) => (Arc::new(NbdVolume::open(url, &options.image.nbd)?), "nbd"),
            Self::Open(open) => (Arc::clone(&open.source), &open.medium),
        };
        Ok((source, medium.to_owned()))
    }

    /// Absolute, but with symbolic links as they are: `/dev/disk/by-id/…` says more than `/dev/sda`.
    fn origin(&self) -> Result<Vec<u8>> {
        let path = match self {
            Self::Path(path) | Self::Beginning(path, _) | Self::Image(path, _) => path,
            Self::Nbd(url) => return Ok(url.clone().into_bytes()),
            Self::Open(open) => return Ok(open.origin.clone()),
        };
        let absolute = std::path::absolute(path)
            .map_err(|error| Error::io(Place::Path(path.clone()), "naming the volume", error))?;
        Ok(absolute.as_os_str().as_bytes().to_vec())
    }
}

impl fmt::Debug for OpenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenSource({:?})", self.source.identity())
    }
}

fn kind_of(path: &Path) -> &'static str {
    if is_device(path) { "device" } else { "file" }
}

/// Refuses labels that could be taken for something else where they are typed.
pub(in super::super) fn check_labels(parts: &[PartSpec]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for label in parts.iter().map(PartSpec::label) {
        let refuse = |detail: String| {
            let place = Place::Argument("label");
            Err(Error::new(ErrorKind::InvalidInput, place, detail))
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let begins_well = label.bytes().next().is_some_and(|byte| byte != b'.');
        if !begins_well || label.len() > LABEL_LEN_MAX || !label.bytes().all(is_plain) {
            return refuse(format!(
                "{label:?}: expected up to {LABEL_LEN_MAX} letters, digits, - _ or ., not first a ."
            ));
        }
        if !seen.insert(label) {
            return refuse(format!("{label:?} is given twice"));
        }
    }
    Ok(())
}
