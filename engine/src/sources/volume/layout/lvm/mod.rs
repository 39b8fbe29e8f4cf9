//! Volume groups of LVM2: what a physical volume says of the logical ones.
//!
//! ```text
//! label     the sector that says where metadata lies, and its copies: checksums, the newest counts
//! text      the grammar of the metadata
//! group     members, logical volumes, and where these lie
//! ```
//! A group says all of itself on each member that has metadata. Only what is linear has pieces: bytes
//! of members, one behind the other. Everything else has its name, and why it is not readable.
//!
//! Deliberately absent: where the members are (`serve::group`), stripes, mirrors, thin pools, caches
//! and snapshots, which need a device mapper.

mod group;
mod label;
#[cfg(test)]
mod tests;
mod text;

use crate::pipeline::ReadAt;
use crate::sources::volume::layout::window::Window;

#[cfg(any(test, feature = "testing"))]
pub(crate) use label::checksum;

pub use group::{LogicalVolume, Piece};
pub(crate) use group::{Member, VolumeGroup};

/// What is wrong with the metadata of a group, as the rest of a sentence: `has ..`.
pub(crate) type Told<T> = Result<T, String>;

/// What the physical volume in the `len` bytes at `offset` says of its group; nothing if it says
/// nothing of one, as it may where other members do.
///
/// # Errors
/// What makes no sense, or cannot be read.
pub(crate) fn read_group(reader: &dyn ReadAt, offset: u64, len: u64) -> Told<Option<VolumeGroup>> {
    let window = Window::new(reader, 0, u64::MAX).part(offset, len);
    let mut newest: Option<VolumeGroup> = None;
    let mut refused = None;
    for text in label::texts(window)? {
        match text.and_then(|text| VolumeGroup::decode(&String::from_utf8_lossy(&text))) {
            Ok(group)
                if newest
                    .as_ref()
                    .is_none_or(|one| one.version < group.version) =>
            {
                newest = Some(group);
            }
            Ok(_) => {}
            Err(why) => refused = Some(why),
        }
    }
    match (newest, refused) {
        (None, Some(why)) => Err(why),
        // Of two copies one may be torn: the other is as good.
        (newest, _) => Ok(newest),
    }
}
