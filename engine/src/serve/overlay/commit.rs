//! An overlay becomes a snapshot: a new manifest that names what is stored and what was written over
//! it, of which alone anything is read.
//!
//! The result is a snapshot of everything that the one below is of, with the volume as it is now; it
//! has the root that a full scan of the same bytes would give. The overlay stays as it is.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::snapshot::Root;
use crate::observe::Observer;
use crate::operations::map_volume::RangeKind;
use crate::operations::select_volume::{SelectedVolume, select_volume};
use crate::operations::snapshot::{
    Changes, OpenSource, ParentChoice, PartSpec, SnapshotOptions, SnapshotReport, VolumeOptions,
    VolumePlace, VolumeSpec, snapshot_volumes,
};
use crate::pipeline::ReadAt;
use crate::pipeline::volume::Cutting;
use crate::repository::snapshots;
use crate::serve::content::ContentView;
use crate::serve::library::Library;
use crate::serve::overlay::{Overlay, OverlayBase};
use crate::serve::view::View;
use crate::sources::volume::{Allocated, Allocation, Identity, VolumeKind, VolumeSource};

/// Pieces of a map that are looked at to tell what a failed read met.
const PIECES_MAX: usize = 1_024;

/// Commits what was written to the overlay in `folder` as a new snapshot.
///
/// # Errors
/// `InvalidInput` if the overlay is of another repository; `Busy` if it is being served;
/// `NotFound` if the snapshot below is gone or forgotten; as [`snapshot_volumes`].
pub fn commit_overlay(
    library: &Arc<Library>,
    folder: &Path,
    options: &SnapshotOptions,
    volumes: &VolumeOptions,
    observer: &dyn Observer,
) -> Result<SnapshotReport> {
    let repository = library.repository();
    let of = Overlay::base_of(folder)?;
    if of.repository != repository.id().to_string() {
        let detail = format!("lies over a snapshot of the repository {}", of.repository);
        let place = Place::Path(folder.to_owned());
        return Err(Error::new(ErrorKind::InvalidInput, place, detail));
    }
    let base = snapshots::find(repository, &of.snapshot)?;
    let selected = select_volume(&base, &of.volume)?.ok_or_else(|| no_volume(folder, &of))?;
    let (spec, cutting) = open(library, folder, &of, &selected)?;
    let parts = base.roots.iter().enumerate();
    let parts = parts.map(|(index, root)| match index == selected.index {
        true => PartSpec::Volume(spec.clone()),
        false => PartSpec::Kept(String::from_utf8_lossy(&root.name).into_owned()),
    });
    let parts: Vec<_> = parts.collect();
    let mut options = options.clone();
    options.parent = ParentChoice::Given(of.snapshot.clone());
    options.writer.host.clone_from(&base.host);
    let mut volumes = volumes.clone();
    volumes.cutting = cutting;
    if !has_cuts(selected.root) {
        volumes.hints = None;
    }
    snapshot_volumes(repository, base.kind, &parts, &volumes, &options, observer)
}

/// The volume below with what was written over it, and how it is cut.
fn open(
    library: &Arc<Library>,
    folder: &Path,
    of: &OverlayBase,
    selected: &SelectedVolume<'_>,
) -> Result<(VolumeSpec, Cutting)> {
    let root = selected.root;
    let below: Arc<dyn View> = Arc::new(library.volume(root, selected.part())?);
    let overlay = Overlay::open(folder, of, below)?;
    let offset = selected.range().start;
    let dirty = overlay.dirty().into_iter();
    let dirty = dirty.map(|range| offset + range.start..offset + range.end);
    let changes = Changes::Ranges(dirty.collect());
    let source = Arc::new(OverlaySource {
        whole: library.volume(root, None)?,
        offset,
        overlay,
        identity: identity_of(root, folder),
    });
    let label = String::from_utf8_lossy(&root.name).into_owned();
    let medium = root
        .volume
        .as_ref()
        .map(|volume| volume.medium.kind.clone());
    let open = OpenSource {
        source,
        origin: root.origin.clone().unwrap_or_else(|| root.name.clone()),
        medium: medium.unwrap_or_else(|| "file".to_owned()),
    };
    let cutting = match root.volume.as_ref().map_or(0, |volume| volume.fixed_len) {
        0 => Cutting::Content,
        len => Cutting::Fixed(len),
    };
    let spec = VolumeSpec {
        label,
        place: VolumePlace::Open(open),
        changes,
    };
    Ok((spec, cutting))
}

/// False if the volume was captured without looking for the places of files.
fn has_cuts(root: &Root) -> bool {
    root.volume.as_ref().is_none_or(|volume| {
        let partitions = volume.layout.partitions.iter();
        let of_partitions = partitions.filter_map(|one| one.file_system.as_ref());
        let has_file_system = of_partitions
            .chain(&volume.layout.file_system)
            .next()
            .is_some();
        volume.cuts.is_some() || !has_file_system
    })
}

/// A volume of a snapshot with an overlay over all of it, or over a part.
struct OverlaySource {
    whole: ContentView,
    /// Where the overlay begins.
    offset: u64,
    overlay: Overlay,
    identity: Identity,
}

impl OverlaySource {
    /// What gives the byte at `at`: a view, where it begins, and where it ends.
    fn side(&self, at: u64) -> (&dyn View, Range<u64>) {
        let overlay = self.offset..self.offset + self.overlay.len();
        match overlay.contains(&at) {
            true => (&self.overlay, overlay),
            false if at < overlay.start => (&self.whole, 0..overlay.start),
            false => (&self.whole, 0..self.whole.len()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let (mut at, mut rest) = (offset, out);
        while !rest.is_empty() {
            let (view, side) = self.side(at);
            let len = (side.end - at).min(rest.len() as u64);
            let (piece, behind) = rest.split_at_mut(len as usize);
            view.read_at(at - side.start, piece)?;
            (at, rest) = (at + len, behind);
        }
        Ok(())
    }

    /// What is allocated from `at` on, as far as it is of one kind.
    fn piece(&self, at: u64, end: u64) -> Result<Allocated> {
        let (view, side) = self.side(at);
        let asked = at - side.start..end.min(side.end) - side.start;
        let (kind, end) = match view.map(asked.clone(), 1)?.first() {
            Some(piece) => (piece.kind, piece.range.end),
            None => (RangeKind::Data, asked.end),
        };
        let kind = match kind {
            RangeKind::Zero => Allocation::Zero,
            RangeKind::Hole => Allocation::Hole,
            RangeKind::Data | RangeKind::Unreadable | RangeKind::Lost => Allocation::Data,
        };
        let range = at..end + side.start;
        Ok(Allocated { range, kind })
    }

    /// True if some of the range could not be read when it was captured.
    fn is_unreadable(&self, range: Range<u64>) -> bool {
        let map = self.whole.map(range, PIECES_MAX).unwrap_or_default();
        map.iter().any(|piece| piece.kind == RangeKind::Unreadable)
    }
}

impl ReadAt for OverlaySource {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self
            .whole
            .len()
            .saturating_sub(offset)
            .min(buffer.len() as u64);
        let out = &mut buffer[..len as usize];
        match self.read(offset, out) {
            Ok(()) => Ok(out.len()),
            // A bad sector stays one; what the repository lost must not become one.
            Err(error)
                if error.kind() == ErrorKind::Damaged
                    && self.is_unreadable(offset..offset + len) =>
            {
                Err(rustix::io::Errno::IO.into())
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl VolumeSource for OverlaySource {
    fn len(&self) -> u64 {
        self.whole.len()
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn allocation(&self, range: Range<u64>) -> Result<Vec<Allocated>> {
        let mut found: Vec<Allocated> = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let piece = self.piece(at, range.end)?;
            at = piece.range.end;
            match found.last_mut().filter(|last| last.kind == piece.kind) {
                Some(last) => last.range.end = at,
                None => found.push(piece),
            }
        }
        Ok(found)
    }

    fn check_unchanged(&self) -> Result<()> {
        Ok(())
    }
}

/// What the volume was when it was captured.
fn identity_of(root: &Root, folder: &Path) -> Identity {
    let medium = root.volume.as_ref().map(|volume| volume.medium.clone());
    let medium = medium.unwrap_or_default();
    Identity {
        kind: VolumeKind::File,
        location: PathBuf::from(folder),
        model: medium.model,
        serial: medium.serial,
        uuid: medium.uuid,
        logical_sector: medium.logical_sector,
        physical_sector: medium.physical_sector,
        rotational: medium.rotational.map(|is| is != 0),
    }
}

fn no_volume(folder: &Path, of: &OverlayBase) -> Error {
    let detail = format!(
        "lies over what is no volume of the snapshot {}",
        of.snapshot
    );
    Error::new(ErrorKind::Damaged, Place::Path(folder.to_owned()), detail)
}
