//! Files inside a volume as a tree that anybody asks at any time, as a mount does.
//!
//! ```text
//! images      those that are open: few, each on a thread of its own, and what was read of them
//! questions   what is asked of one
//! numbers     of folders and of places in them
//! content     bytes of a file
//! ```
//! A name that no file here can have is left out and told, links are shown and not followed, and a
//! folder that lies in two places is entered in one. What an image says of owners and modes is shown
//! as it says it; where it has none, all belongs to one user, and to nobody else.

mod content;
mod images;
mod numbers;
mod questions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::{FolderPath, Xattr};
use crate::limits::NAME_LEN_LIMIT;
use crate::operations::walk;
use crate::serve::files::{self, Attributes, Child, Files, Kind, ROOT};
use crate::serve::image::item::ImageEntry;
use crate::serve::image::reader::{Found, ImageNode};
use crate::serve::view::View;

use content::ImageContent;
use images::{Folder, Source};
use numbers::Numbers;

pub use images::{Images, OpenView};

/// What others than the owner may, where a file system does not say whose its files are: nothing.
const OWNER_BITS: u16 = 0o700;
/// The part of a mode that says what the group may, and what the rest may.
const GROUP_BITS: u16 = 0o070;
const OTHER_BITS: u16 = 0o007;

/// The files of one image.
pub struct ImageTree {
    source: Arc<Source>,
    root: ImageEntry,
    viewers: Viewers,
    has_owners: bool,
    has_acls: bool,
    numbers: Mutex<Numbers>,
}

/// Who looks at trees.
#[derive(Clone, Copy, Debug)]
pub struct Viewers {
    /// The user and the group whose everything is of which nobody knows whose it is.
    pub owner: (u32, u32),
    /// Others may look too, as far as modes and ACLs let them.
    pub others: bool,
}

impl ImageTree {
    /// The files of the image that `view` gives the bytes of; `name` is what errors call it.
    ///
    /// # Errors
    /// Those of [`Image::open`](crate::serve::image::Image::open).
    pub fn open(
        images: &Arc<Images>,
        name: Vec<u8>,
        view: OpenView,
        viewers: Viewers,
    ) -> Result<Self> {
        let source = Source::new(images, name, view);
        let root = source.ask(|image| {
            let root = image.entry(&FolderPath::root())?;
            let doubt = image.doubt();
            Ok((root, image.has_owners(), image.has_acls(), doubt))
        });
        let (root, has_owners, has_acls, doubt) = root?;
        if let Some(doubt) = doubt {
            source.tell(doubt);
        }
        let numbers = Numbers::new(root.found.id, Arc::clone(&images.rows_len));
        Ok(Self {
            source,
            root,
            viewers,
            has_owners,
            has_acls,
            numbers: Mutex::new(numbers),
        })
    }

    /// An entry that somebody was given the number of.
    fn entry(&self, number: u64) -> Result<ImageEntry> {
        if number == ROOT {
            return Ok(self.root.clone());
        }
        let place = self.numbers.lock().place(number);
        let (row, place) = place.ok_or_else(|| files::gone(&self.source.name))?;
        let folder = self.folder(row)?;
        let named = folder.listing.entries.get(place);
        let named = named.ok_or_else(|| files::gone(&self.source.name))?;
        Ok(ImageEntry::of(named))
    }

    /// The row of the folder `number`, which is entered.
    fn row(&self, number: u64) -> Result<usize> {
        if let Some(row) = self.numbers.lock().row(number) {
            return Ok(row);
        }
        let entry = self.entry(number)?;
        if !entry.is_folder() {
            return Err(files::other_kind(&self.path(number), "folder"));
        }
        let entered = self
            .numbers
            .lock()
            .enter(number, &entry.name, entry.found.id);
        entered.map_err(|error| error.with_place(walk::place(&self.path(number))))
    }

    /// What lies in the folder of a row.
    fn folder(&self, row: usize) -> Result<Arc<Folder>> {
        let id = self.numbers.lock().id(row);
        let folder = match self.source.kept_folder(row) {
            Some(folder) => folder,
            None => {
                let path = self.numbers.lock().path(row);
                self.source.folder(row, path, id)?
            }
        };
        let identity = folder.listing.identity.or(Some(id).filter(|id| *id != 0));
        let is_first = |identity| self.numbers.lock().is_first(row, identity);
        if identity.is_some_and(|identity| !is_first(identity)) {
            let detail = "is a folder that is in another place too: it is not entered again";
            let place = self.source.place(&folder.path);
            return Err(Error::new(ErrorKind::Damaged, place, detail));
        }
        Ok(folder)
    }

    /// From the root of the file system.
    fn path_of(&self, number: u64) -> Option<FolderPath> {
        let numbers = self.numbers.lock();
        if let Some(row) = numbers.row(number) {
            return Some(numbers.path(row));
        }
        let (row, _) = numbers.place(number)?;
        let folder = numbers.path(row);
        drop(numbers);
        let entry = self.entry(number).ok()?;
        Some(folder.child(&entry.name))
    }

    fn number(&self, row: usize, place: usize, found: &Found) -> u64 {
        let has_several_names = found.links > 1 && found.id != 0 && found.node != ImageNode::Folder;
        let mut numbers = self.numbers.lock();
        numbers.number(row, place, has_several_names.then_some(found.id))
    }

    fn described(&self, found: &Found) -> Attributes {
        let metadata = &found.metadata;
        let (kind, len) = match &found.node {
            ImageNode::File { len } => (Kind::File, *len),
            ImageNode::Folder => (Kind::Folder, 0),
            ImageNode::Symlink(target) => (Kind::Symlink, target.len() as u64),
            ImageNode::Fifo => (Kind::Fifo, 0),
            ImageNode::Socket => (Kind::Socket, 0),
            ImageNode::CharDevice(number) => (Kind::CharDevice(*number), 0),
            ImageNode::BlockDevice(number) => (Kind::BlockDevice(*number), 0),
        };
        let (uid, gid) = match self.has_owners {
            true => (metadata.owner.uid, metadata.owner.gid),
            false => self.viewers.owner,
        };
        let allocated = match kind {
            Kind::File => found.allocated.unwrap_or(len),
            _ => 0,
        };
        Attributes {
            kind,
            mode: self.mode(metadata.mode),
            uid,
            gid,
            mtime: metadata.mtime,
            len,
            blocks: files::blocks_of(allocated),
            links: match kind {
                Kind::Folder => 1,
                _ => found.links.max(1),
            },
        }
    }

    /// What the mode `mode` lets people do who look at it here.
    fn mode(&self, mode: u16) -> u16 {
        match (self.has_owners, self.has_acls || !self.viewers.others) {
            (false, _) => mode & OWNER_BITS,
            (true, true) => mode,
            // The bits of the group may stand for more people than the group, if there is an ACL.
            (true, false) => mode & (!GROUP_BITS | (mode & OTHER_BITS) << 3),
        }
    }
}

impl Files for ImageTree {
    fn attributes(&self, number: u64) -> Result<Attributes> {
        Ok(self.described(&self.entry(number)?.found))
    }

    fn child(&self, folder: u64, name: &[u8]) -> Result<Option<u64>> {
        let row = self.row(folder)?;
        let folder = self.folder(row)?;
        let (entries, lost) = (&folder.listing.entries, &folder.listing.lost);
        if let Ok(place) = entries.binary_search_by(|one| one.name.as_slice().cmp(name)) {
            return Ok(Some(self.number(row, place, &entries[place].found)));
        }
        match lost.iter().find(|lost| lost.name == name) {
            Some(lost) => Err(lost.error.repeated()),
            None => Ok(None),
        }
    }

    fn children(
        &self,
        folder: u64,
        position: u64,
        each: &mut dyn FnMut(&Child<'_>) -> bool,
    ) -> Result<()> {
        let row = self.row(folder)?;
        let folder = self.folder(row)?;
        let begin = usize::try_from(position).unwrap_or(usize::MAX);
        for (place, named) in folder.listing.entries.iter().enumerate().skip(begin) {
            let child = Child {
                name: &named.name,
                number: self.number(row, place, &named.found),
                next: place as u64 + 1,
                attributes: self.described(&named.found),
                is_final: true,
            };
            if !each(&child) {
                break;
            }
        }
        Ok(())
    }

    fn parent(&self, folder: u64) -> Result<u64> {
        let row = self.row(folder)?;
        let numbers = self.numbers.lock();
        let above = numbers.place(numbers.number_of(row));
        Ok(above.map_or(ROOT, |(above, _)| numbers.number_of(above)))
    }

    fn target(&self, number: u64) -> Result<Vec<u8>> {
        match self.entry(number)?.found.node {
            // A system that made the link would have ended it there.
            ImageNode::Symlink(target) if target.contains(&0) => {
                let place = walk::place(&self.path(number));
                let detail = "has a link target with a zero byte in it";
                Err(Error::new(ErrorKind::Damaged, place, detail))
            }
            ImageNode::Symlink(target) => Ok(target),
            _ => Err(files::other_kind(&self.path(number), "symbolic link")),
        }
    }

    fn xattrs(&self, number: u64) -> Result<Vec<Xattr>> {
        let mut xattrs = self.entry(number)?.found.metadata.xattrs;
        // They are given as a list with zero bytes between them.
        let is_name =
            |name: &[u8]| (1..=NAME_LEN_LIMIT).contains(&name.len()) && !name.contains(&0);
        xattrs.retain(|one| is_name(&one.name));
        Ok(xattrs)
    }

    fn content(&self, number: u64) -> Result<Arc<dyn View>> {
        let entry = self.entry(number)?;
        let path = self.path_of(number);
        match (entry.node(), path) {
            (ImageNode::File { len }, Some(path)) => {
                let len = *len;
                let content = ImageContent::new(&self.source, path, entry, number, len);
                Ok(Arc::new(content))
            }
            _ => Err(files::other_kind(&self.path(number), "file")),
        }
    }

    fn path(&self, number: u64) -> Vec<u8> {
        let path = self.path_of(number).unwrap_or_default();
        self.source.path(&path)
    }
}
