//! Volume groups of LVM2 in a snapshot: their logical volumes as views, or as bytes that are restored,
//! without a device mapper.
//!
//! The members of a group are found by their ids among all volumes and partitions of the snapshot, as
//! they were recognized when it was made. Which of them a group has, it says on any of them.
//!
//! Deliberately absent: groups whose members lie in several snapshots, and logical volumes inside
//! logical volumes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::snapshot::Snapshot;
use crate::operations::select_volume::SelectedVolume;
use crate::operations::volume_bytes::VolumeBytes;
use crate::operations::volumes::volumes;
use crate::operations::walk;
use crate::serve::image::medium::{Probed, recognized};
use crate::serve::library::Library;
use crate::serve::mapped::MappedView;
use crate::serve::view::View;
use crate::sources::volume::layout::lvm::{Member, VolumeGroup, read_group};
use crate::sources::volume::layout::{FileSystem, LogicalVolume, Piece};

/// Logical volumes that an error names.
const NAMED_MAX: usize = 32;

/// A volume group, and its members as far as the snapshot has them.
pub struct Group {
    /// What errors call it: the volume that it was found by.
    name: Vec<u8>,
    group: VolumeGroup,
    /// In the order of the group.
    members: Vec<Option<Place>>,
}

/// A physical volume that is there.
struct Place {
    /// The volume that it lies in: its index among the roots of the snapshot.
    index: usize,
    /// Where in it.
    range: Range<u64>,
    view: Arc<dyn View>,
}

/// The parts of a snapshot that are physical volumes.
pub fn members(snapshot: &Snapshot) -> impl Iterator<Item = SelectedVolume<'_>> {
    volumes(snapshot).filter(|one| one.is_physical() && one.is_whole())
}

impl Group {
    /// The group that the physical volume `volume` of `snapshot` belongs to.
    ///
    /// # Errors
    /// `NotFound` if it belongs to none, or no member of it that is there says so; `Damaged` if what
    /// they say makes no sense.
    pub fn open(
        library: &Arc<Library>,
        snapshot: &Snapshot,
        volume: &SelectedVolume<'_>,
    ) -> Result<Self> {
        let name = volume.name();
        let id = volume.held().and_then(|held| held.uuid.clone());
        let group = match read(library, volume)? {
            Some(group) => Some(group),
            None => elsewhere(library, snapshot, id.as_deref())?,
        };
        let group = group.ok_or_else(|| {
            let detail = "is a physical volume of LVM2 that says of no volume group";
            Error::new(ErrorKind::NotFound, walk::place(&name), detail)
        })?;
        let there = members(snapshot).filter_map(|one| Some((one.held()?.uuid.clone()?, one)));
        let there: HashMap<_, _> = there.collect();
        let place_of = |member: &Member| {
            let found = there.get(&member.id);
            found.map(|found| Place::of(library, found)).transpose()
        };
        let members = group.members.iter().map(place_of).collect::<Result<_>>()?;
        Ok(Self {
            name,
            group,
            members,
        })
    }

    /// A group with this metadata, none of whose members is there.
    #[cfg(test)]
    pub(super) fn of_metadata(name: &str, text: &str) -> Self {
        let group = VolumeGroup::decode(text).expect("it is metadata");
        Self {
            name: name.into(),
            members: Vec::new(),
            group,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.group.name
    }

    /// Its id: the same group is found by each of its members.
    pub fn id(&self) -> &str {
        &self.group.id
    }

    /// Its logical volumes, in the order of its metadata.
    pub fn volumes(&self) -> &[LogicalVolume] {
        &self.group.volumes
    }

    /// As a person types it: `disk0/p3/vg0/root`.
    pub fn path_of(&self, volume: &[u8]) -> Vec<u8> {
        [&self.name, self.group.name.as_bytes(), volume].join(&b'/')
    }

    /// The same, of the group: `disk0/p3/vg0`.
    pub fn own_path(&self) -> Vec<u8> {
        [&self.name, self.group.name.as_bytes()].join(&b'/')
    }

    /// Refuses a name that is not that of the group.
    ///
    /// # Errors
    /// `NotFound`, with what there is.
    pub fn check_name(&self, name: &[u8]) -> Result<()> {
        if name == self.group.name.as_bytes() {
            return Ok(());
        }
        let place = walk::place(&[&self.name, name].join(&b'/'));
        let detail = format!("is not there: {}", self.listing());
        Err(Error::new(ErrorKind::NotFound, place, detail))
    }

    /// The logical volume of this name.
    ///
    /// # Errors
    /// `NotFound` if there is none, with what there is.
    pub fn volume(&self, group: &[u8], volume: &[u8]) -> Result<&LogicalVolume> {
        self.check_name(group)?;
        self.group.volume(volume).ok_or_else(|| {
            let place = walk::place(&self.path_of(volume));
            let detail = format!("is not there: {}", self.listing());
            Error::new(ErrorKind::NotFound, place, detail)
        })
    }

    /// The bytes of a logical volume, to be read at any place.
    ///
    /// # Errors
    /// `NotFound` if there is none of this name, or a physical volume that it lies on is not in the
    /// snapshot; `Unsupported` if it is not linear; `Damaged` if it lies outside of what it lies on.
    pub fn view(&self, group: &[u8], volume: &[u8]) -> Result<Arc<dyn View>> {
        self.view_of(self.volume(group, volume)?)
    }

    /// The same, of one of [`Self::volumes`].
    ///
    /// # Errors
    /// As those of [`Self::view`].
    pub fn view_of(&self, volume: &LogicalVolume) -> Result<Arc<dyn View>> {
        let mut view = MappedView::default();
        for (place, piece) in self.places(volume)? {
            if !range_of(&piece).is_some_and(|range| view.push(&place.view, range)) {
                return Err(self.lies_outside(volume));
            }
        }
        Ok(Arc::new(view))
    }

    /// The bytes of a logical volume, to be restored from `snapshot`, which is that of the group.
    ///
    /// # Errors
    /// As those of [`Self::view`].
    pub fn bytes<'s>(
        &self,
        snapshot: &'s Snapshot,
        group: &[u8],
        volume: &[u8],
    ) -> Result<VolumeBytes<'s>> {
        let volume = self.volume(group, volume)?;
        let mut bytes = VolumeBytes::new(self.path_of(volume.name.as_bytes()));
        for (place, piece) in self.places(volume)? {
            let root = snapshot.roots.get(place.index);
            let range = range_of(&piece).and_then(|range| place.in_root(&range));
            let pushed = root.zip(range).map(|(root, range)| bytes.push(root, range));
            if pushed != Some(true) {
                return Err(self.lies_outside(volume));
            }
        }
        Ok(bytes)
    }

    /// The pieces of a logical volume, each with what it lies on.
    fn places(&self, volume: &LogicalVolume) -> Result<Vec<(&Place, Piece)>> {
        let pieces = volume.pieces.as_ref().map_err(|what| {
            let detail =
                format!("is not readable here: {what}; restore all of its disks and open it there");
            self.refused(volume, ErrorKind::Unsupported, detail)
        })?;
        let place = |piece: &Piece| match self.members.get(piece.member) {
            Some(Some(place)) => Ok((place, *piece)),
            _ => {
                let detail = self.missing(piece.member);
                Err(self.refused(volume, ErrorKind::NotFound, detail))
            }
        };
        pieces.iter().map(place).collect()
    }

    fn lies_outside(&self, volume: &LogicalVolume) -> Error {
        let detail = "lies outside of the physical volume that it is said to lie on";
        self.refused(volume, ErrorKind::Damaged, detail.to_owned())
    }

    fn refused(&self, volume: &LogicalVolume, kind: ErrorKind, detail: String) -> Error {
        let place = walk::place(&self.path_of(volume.name.as_bytes()));
        Error::new(kind, place, detail)
    }

    fn missing(&self, member: usize) -> String {
        let member = self.group.members.get(member);
        let (name, id) = member.map_or(("", ""), |one| (&one.name, &one.id));
        format!(
            "lies on the physical volume {name} ({id}), which is not in this snapshot: all disks of a \
             group have to be captured together"
        )
    }

    /// What there is, for an error.
    fn listing(&self) -> String {
        let group = &self.group.name;
        let volumes = self.group.volumes.iter();
        let named = volumes.take(NAMED_MAX);
        let named: Vec<_> = named.map(|one| format!("{group}/{}", one.name)).collect();
        match self.group.volumes.len().saturating_sub(named.len()) {
            _ if named.is_empty() => format!("the group {group} has no logical volumes"),
            0 => format!("there is {}", named.join(", ")),
            more => format!("there is {} and {more} more", named.join(", ")),
        }
    }

    /// What a logical volume holds, if that is known and the volume can be read.
    pub fn held_by(&self, volume: &LogicalVolume) -> Option<FileSystem> {
        let view = self.view_of(volume).ok()?;
        recognized(&*view).ok()?
    }
}

impl Place {
    fn of(library: &Arc<Library>, volume: &SelectedVolume<'_>) -> Result<Self> {
        Ok(Self {
            index: volume.index,
            range: volume.range(),
            view: view_of(library, volume)?,
        })
    }

    /// Bytes of the physical volume as bytes of the volume that it lies in.
    fn in_root(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let len = self.range.end - self.range.start;
        let is_within = range.end <= len;
        is_within.then(|| self.range.start + range.start..self.range.start + range.end)
    }
}

/// Where a piece lies in its member.
fn range_of(piece: &Piece) -> Option<Range<u64>> {
    Some(piece.offset..piece.offset.checked_add(piece.len)?)
}

fn view_of(library: &Arc<Library>, volume: &SelectedVolume<'_>) -> Result<Arc<dyn View>> {
    Ok(Arc::new(library.volume(volume.root, volume.part())?))
}

fn read(library: &Arc<Library>, volume: &SelectedVolume<'_>) -> Result<Option<VolumeGroup>> {
    let view = view_of(library, volume)?;
    read_group(&Probed(&*view), 0, view.len()).map_err(|why| {
        let detail = format!("is a physical volume of LVM2 that {why}");
        Error::new(ErrorKind::Damaged, walk::place(&volume.name()), detail)
    })
}

/// What other members say of the group with this one.
fn elsewhere(
    library: &Arc<Library>,
    snapshot: &Snapshot,
    id: Option<&str>,
) -> Result<Option<VolumeGroup>> {
    for other in members(snapshot) {
        // What is wrong with another one is told to who asks for that.
        let group = read(library, &other).ok().flatten();
        let has_it = |group: &VolumeGroup| group.members.iter().any(|one| Some(&*one.id) == id);
        if let Some(group) = group.filter(has_it) {
            return Ok(Some(group));
        }
    }
    Ok(None)
}
