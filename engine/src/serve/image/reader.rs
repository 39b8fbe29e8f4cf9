//! What a reader of one kind of file system gives, and what it is given.
//!
//! Readers know nothing of limits on time, of panics, or of the names of partitions: `image` puts
//! all that around them. Deliberately absent: paths that a reader resolves by itself, and with
//! them symbolic links, which are never followed.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{DeviceNumber, FolderPath, Metadata, is_valid_name};
use crate::limits::{IMAGE_FOLDER_ENTRIES_MAX, IMAGE_FOLDER_NAMES_LEN_MAX};

/// Permissions where a file system has none but one bit.
pub(super) const MODE_FILE: u16 = 0o644;
/// The same, of a file with that bit.
pub(super) const MODE_READ_ONLY: u16 = 0o444;
/// The same, of a folder.
pub(super) const MODE_FOLDER: u16 = 0o755;

/// Said of readers that know holes: who writes files asks them for bytes alone.
pub(super) const HOLES_BY_ZEROS: &str = "holes are told by their zeros alone";

/// A file system, read only.
pub(super) trait FileSystemReader {
    /// What it cannot carry, each as a sentence for the user.
    fn fidelity(&self) -> Vec<&'static str>;

    /// Why a mount of the same bytes might show something else, as a sentence for the user.
    fn doubt(&self) -> Option<&'static str> {
        None
    }

    /// False where every file belongs to whoever looks at it.
    fn has_owners(&self) -> bool {
        true
    }

    /// False where there are ACLs that it does not give.
    fn has_acls(&self) -> bool {
        true
    }

    /// The folder that all others lie in.
    fn root(&mut self) -> Result<Found>;

    /// Adds all entries of a folder, in any order.
    fn list(&mut self, folder: &At<'_>, listing: &mut Listing) -> Result<()>;

    /// The entry of this name in a folder.
    fn find(&mut self, folder: &At<'_>, name: &[u8]) -> Result<Option<Found>> {
        let mut listing = Listing::of(name);
        self.list(folder, &mut listing)?;
        if let Some(lost) = listing.lost.pop() {
            return Err(lost.error);
        }
        Ok(listing.entries.pop().map(|entry| entry.found))
    }

    /// Fills `out` from `offset` of a file, within its length.
    fn read(&mut self, file: &At<'_>, offset: u64, out: &mut [u8]) -> Result<()>;

    /// What the byte at `offset` of a file, within its length, lies in. Who cannot tell holes from
    /// zeros takes all for stored.
    fn stretch(&mut self, _file: &At<'_>, _offset: u64) -> Result<Stretch> {
        Ok(Stretch::REST)
    }
}

/// Neighbouring bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Where they end; perhaps behind the file.
    pub end: u64,
    /// Nothing is stored of them.
    pub is_hole: bool,
}

impl Stretch {
    /// All that follows is stored.
    pub(super) const REST: Self = Self {
        end: u64::MAX,
        is_hole: false,
    };
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'p> {
    /// From the root of the file system.
    pub path: &'p FolderPath,
    /// As its reader numbered it.
    pub id: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub metadata: Metadata,
    pub node: ImageNode,
    /// For the reader itself.
    pub id: u64,
    /// Names that the object has, as far as the reader knows.
    pub links: u32,
    /// Bytes that its content takes, where that is known.
    pub allocated: Option<u64>,
}

/// What an entry inside a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageNode {
    /// Regular file.
    File {
        /// Its length, bytes.
        len: u64,
    },
    /// Folder.
    Folder,
    /// Symbolic link, target verbatim; never followed.
    Symlink(Vec<u8>),
    /// Named pipe.
    Fifo,
    /// Unix domain socket.
    Socket,
    /// Character device.
    CharDevice(DeviceNumber),
    /// Block device.
    BlockDevice(DeviceNumber),
}

/// One entry of a folder.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub name: Vec<u8>,
    pub found: Found,
}

/// An entry that is there and cannot be used, and why.
#[derive(Debug)]
pub(super) struct LostEntry {
    pub name: Vec<u8>,
    pub error: Error,
}

/// The entries of one folder, within limits.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub entries: Vec<Named>,
    pub lost: Vec<LostEntry>,
    /// Where the folder's own data begins: the same place is the same folder. For readers without
    /// numbers.
    pub identity: Option<u64>,
    wanted: Option<Vec<u8>>,
    names_len: usize,
}

impl Listing {
    /// Takes only the entry of this name.
    pub(super) fn of(name: &[u8]) -> Self {
        Self {
            wanted: Some(name.to_vec()),
            ..Self::default()
        }
    }

    /// Adds an entry, which is only looked at if it is wanted. What is wrong with one entry costs
    /// that entry alone.
    pub(super) fn add(&mut self, name: &[u8], found: impl FnOnce() -> Result<Found>) -> Result<()> {
        if matches!(name, b"." | b"..") || !self.wants(name) {
            return Ok(());
        }
        let found = match is_valid_name(name) {
            true => found().and_then(Found::plausible),
            false => Err(damaged("has a name that no file here can have")),
        };
        self.names_len += name.len() + found.as_ref().map_or(0, Found::target_len);
        if self.entries.len() + self.lost.len() >= IMAGE_FOLDER_ENTRIES_MAX
            || self.names_len > IMAGE_FOLDER_NAMES_LEN_MAX
        {
            return Err(too_many_entries());
        }
        let name = name.to_vec();
        match found {
            Ok(found) => self.entries.push(Named { name, found }),
            Err(error) => self.lost.push(LostEntry { name, error }),
        }
        Ok(())
    }

    /// In order of names; of two entries of one name the second one is lost.
    pub(super) fn sort(&mut self) {
        self.entries
            .sort_by(|left, right| left.name.cmp(&right.name));
        let lost = &mut self.lost;
        self.entries.dedup_by(|second, first| {
            let is_same = second.name == first.name;
            if is_same {
                lost.push(LostEntry {
                    name: second.name.clone(),
                    error: damaged("is there twice: the second one is left out"),
                });
            }
            is_same
        });
    }

    fn wants(&self, name: &[u8]) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted == name)
    }
}

impl Found {
    /// No system knows files that are longer than its offsets reach.
    fn plausible(self) -> Result<Self> {
        match self.node {
            ImageNode::File { len } if len > i64::MAX as u64 => {
                Err(damaged(format!("is said to have {len} bytes")))
            }
            _ => Ok(self),
        }
    }

    pub(super) fn target_len(&self) -> usize {
        match &self.node {
            ImageNode::Symlink(target) => target.len(),
            _ => 0,
        }
    }
}

fn too_many_entries() -> Error {
    let detail = format!(
        "has more than {IMAGE_FOLDER_ENTRIES_MAX} entries, or names longer than \
         {IMAGE_FOLDER_NAMES_LEN_MAX} bytes together"
    );
    Error::new(ErrorKind::LimitExceeded, Place::Argument("image"), detail)
}

/// The file system makes no sense here; whoever asked adds the place.
pub(super) fn damaged(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Damaged, Place::Argument("image"), detail)
}

/// This reader cannot do that; whoever asked adds the place.
pub(super) fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, Place::Argument("image"), detail)
}

/// What a library says of a file system.
pub(super) fn said(error: impl std::fmt::Display) -> Error {
    damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(len: u64) -> Result<Found> {
        Ok(Found {
            metadata: Metadata::default(),
            node: ImageNode::File { len },
            id: len,
            links: 1,
            allocated: None,
        })
    }

    fn names(listing: &Listing) -> Vec<&[u8]> {
        listing.entries.iter().map(|one| &*one.name).collect()
    }

    #[test]
    fn names_that_lead_elsewhere_are_lost_and_told() {
        let mut listing = Listing::default();
        for name in [
            &b"good"[..],
            b".",
            b"..",
            b"../../x",
            b"a\0b",
            b"",
            &[b'x'; 256],
        ] {
            listing.add(name, || file(1)).unwrap();
        }
        listing.sort();
        assert_eq!(names(&listing), [b"good"]);
        assert_eq!(listing.lost.len(), 4);
    }

    #[test]
    fn of_two_entries_of_one_name_the_second_is_lost_and_told() {
        let mut listing = Listing::default();
        for (name, len) in [(b"b", 1), (b"a", 2), (b"b", 3)] {
            listing.add(name, || file(len)).unwrap();
        }
        listing.sort();
        assert_eq!(names(&listing), [b"a", b"b"]);
        assert_eq!(listing.entries[1].found.id, 1);
        assert_eq!(listing.lost[0].name, b"b");
    }

    #[test]
    fn a_folder_with_too_many_entries_or_too_long_names_is_refused() {
        let mut listing = Listing::default();
        let names_max = IMAGE_FOLDER_NAMES_LEN_MAX / 255 + 1;
        let refused = (0..names_max).find_map(|number| {
            let name = format!("{number:0255}");
            listing.add(name.as_bytes(), || file(0)).err()
        });
        assert_eq!(refused.unwrap().kind(), ErrorKind::LimitExceeded);
        let mut listing = Listing::default();
        let refused = (0..=IMAGE_FOLDER_ENTRIES_MAX).find_map(|number| {
            let name = number.to_string();
            listing.add(name.as_bytes(), || file(0)).err()
        });
        assert_eq!(refused.unwrap().kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn only_the_wanted_entry_is_looked_at() {
        let mut listing = Listing::of(b"b");
        listing.add(b"a", || panic!("nobody wants it")).unwrap();
        listing.add(b"b", || file(1)).unwrap();
        assert_eq!(names(&listing), [b"b"]);
    }
}
