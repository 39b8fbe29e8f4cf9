//! Layout hints: where the files of a volume begin and end.
//!
//! A chunker that starts anew at these offsets finds the chunks that the same files have when they
//! are stored as files. Hints are a function of the volume's bytes alone: neither the memory nor the
//! folder for temporary files that were granted show, unless they do not suffice. A wrong hint costs
//! sharing, never content, so nothing here fails a snapshot.
//!
//! The readers are our own, and small: they verify bounds and nothing else, read inode tables and
//! the like in steps of a MiB, and never follow a path. Libraries that offer files by name
//! (ext4-view, ntfs, fatfs) read each file's metadata on its own, some hundred reads for each, and
//! hold lists whose length the image decides.
//!
//! Deliberately absent: file systems with no reader yet (XFS, btrfs, exFAT), contents that are
//! encoded, and limits on how close two cuts may lie.

mod cuts;
pub(crate) mod ext;
mod fat;
mod fat_table;
mod merge;
mod ntfs;
mod offsets;
pub(crate) mod walk;

use std::ops::Range;
use std::path::PathBuf;

use crate::error::Result;
use crate::limits::{HINT_MEMORY_DEFAULT, HINT_METADATA_DEFAULT};
use crate::pipeline::ReadAt;
use crate::sources::volume::layout::hints::cuts::CutSink;
use crate::sources::volume::layout::hints::offsets::{KeptOffsets, Offsets};
use crate::sources::volume::layout::hints::walk::{Metadata, WalkError};
use crate::sources::volume::layout::window::Window;
use crate::sources::volume::layout::{DiskLayout, FileSystemKind};

pub use merge::HintIter;

/// What collecting hints may use.
#[derive(Clone, Debug)]
pub struct HintOptions {
    /// Bytes of memory for offsets, 8 each; what is more goes to `scratch`.
    pub memory_bytes: usize,
    /// An existing folder for one temporary file without a name. Without it, a file system whose
    /// offsets do not fit the memory has no hints.
    pub scratch: Option<PathBuf>,
    /// Most bytes of metadata to read for one file system; with more, it has no hints.
    pub metadata_bytes_max: u64,
}

impl Default for HintOptions {
    fn default() -> Self {
        Self {
            memory_bytes: HINT_MEMORY_DEFAULT,
            scratch: None,
            metadata_bytes_max: HINT_METADATA_DEFAULT,
        }
    }
}

/// Offsets in a volume at which files begin and end.
#[derive(Debug)]
pub struct Hints {
    offsets: KeptOffsets,
    problems: Vec<HintProblem>,
}

/// A file system, or files of it, without hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintProblem {
    /// Number of the partition; nothing if the file system is the whole volume.
    pub partition: Option<u32>,
    /// What is the matter, in one line.
    pub detail: String,
}

impl Hints {
    /// Walks every file system of the layout that has a reader: ext2, ext3, ext4, NTFS, and FAT.
    ///
    /// For each run of bytes of a regular file that lie together on the volume, its start is a hint;
    /// where the file ends in it, so are that end and the end of its block. Files that are held in
    /// metadata, encoded, or never written have none.
    ///
    /// A file system that cannot be read has no hints at all, and is one of [`Self::problems`].
    ///
    /// # Errors
    ///
    /// `Io` or `NoSpace` if the temporary file cannot be made or written.
    pub fn collect(
        reader: &dyn ReadAt,
        layout: &DiskLayout,
        options: &HintOptions,
    ) -> Result<Self> {
        let mut offsets = Offsets::new(options.memory_bytes, options.scratch.clone());
        let mut problems = Vec::new();
        for found in file_systems(layout) {
            let window = Window::new(reader, 0, layout.len)
                .part(found.place.start, found.place.end - found.place.start);
            let mut tell = |detail| {
                problems.push(HintProblem {
                    partition: found.partition,
                    detail,
                });
            };
            match walk(window, found.kind, &mut offsets, options) {
                Ok(0) => {}
                Ok(1) => tell("1 file makes no sense and has no or few hints".to_owned()),
                Ok(files) => tell(format!(
                    "{files} files make no sense and have no or few hints"
                )),
                Err(WalkError::Scratch(error)) => return Err(error),
                Err(error) => {
                    offsets.discard(found.place);
                    tell(error.to_string());
                }
            }
        }
        Ok(Self {
            offsets: offsets.finish()?,
            problems,
        })
    }

    /// The hints in bytes from the start of the volume: ascending, each once.
    pub fn iter(&self) -> HintIter<'_> {
        self.offsets.iter()
    }

    /// What has no hints, in the order of the layout.
    pub fn problems(&self) -> &[HintProblem] {
        &self.problems
    }
}

impl<'h> IntoIterator for &'h Hints {
    type Item = Result<u64>;
    type IntoIter = HintIter<'h>;

    fn into_iter(self) -> HintIter<'h> {
        self.iter()
    }
}

/// True if there is a reader for file systems of this name, as `FileSystemKind::name` spells it.
pub fn has_hints(name: &str) -> bool {
    ["ext2", "ext3", "ext4", "ntfs", "fat12", "fat16", "fat32"].contains(&name)
}

struct Found {
    partition: Option<u32>,
    place: Range<u64>,
    kind: FileSystemKind,
}

fn file_systems(layout: &DiskLayout) -> impl Iterator<Item = Found> {
    let whole = layout.file_system.as_ref().map(|found| Found {
        partition: None,
        place: 0..layout.len,
        kind: found.kind,
    });
    let sound = layout.partitions.iter().filter(|one| one.is_sound());
    let parts = sound.filter_map(|one| {
        Some(Found {
            partition: Some(one.number),
            place: one.offset..one.offset.checked_add(one.len)?,
            kind: one.file_system.as_ref()?.kind,
        })
    });
    whole.into_iter().chain(parts)
}

/// Gives the number of files that make no sense.
fn walk(
    window: Window<'_>,
    kind: FileSystemKind,
    offsets: &mut Offsets,
    options: &HintOptions,
) -> Result<u64, WalkError> {
    let metadata = Metadata::new(window, options.metadata_bytes_max);
    let cuts = CutSink::new(window, offsets);
    match kind {
        FileSystemKind::Ext2 | FileSystemKind::Ext3 | FileSystemKind::Ext4 => {
            ext::walk(metadata, cuts)
        }
        FileSystemKind::Ntfs => ntfs::walk(metadata, cuts),
        FileSystemKind::Fat12 | FileSystemKind::Fat16 | FileSystemKind::Fat32 => {
            fat::walk(metadata, cuts)
        }
        _ => Ok(0),
    }
}
