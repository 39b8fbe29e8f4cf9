//! A file system inside a volume: opened by what it is, asked within limits.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{FolderPath, TreePath};
use crate::limits::IMAGE_DEPTH_LIMIT;
use crate::operations::walk;
use crate::serve::image::item::ImageEntry;
use crate::serve::image::kinds;
use crate::serve::image::medium::{Medium, recognized};
use crate::serve::image::reader::{
    At, FileSystemReader, Found, ImageNode, Listing, LostEntry, damaged,
};
use crate::serve::view::View;
use crate::sources::volume::layout::FileSystemKind;

/// A file system inside a volume.
///
/// For one thread: whoever serves several opens one for each, which costs a few reads.
pub struct Image {
    /// As the user typed it: `disk0/p2`.
    name: Vec<u8>,
    kind: FileSystemKind,
    medium: Rc<Medium>,
    /// Nothing after a panic, until it is opened again.
    reader: Option<Box<dyn FileSystemReader>>,
    /// The folder that was listed last.
    folder: Option<Rc<Folder>>,
}

/// A part of a folder.
#[derive(Debug)]
pub struct Page {
    /// In order of their names as bytes.
    pub entries: Vec<ImageEntry>,
    /// Entries of the whole folder that are there and cannot be used, each with the reason: in its
    /// first page alone.
    pub lost: Vec<Error>,
    /// True if nothing comes behind these.
    pub is_last: bool,
}

/// All entries of a folder.
struct Folder {
    path: FolderPath,
    id: u64,
    listing: Listing,
}

impl Image {
    /// Opens the file system that `view` holds; `name` is what errors call it.
    ///
    /// # Errors
    /// `Unsupported` with what to do instead, if there is none that can be read; `Damaged` if it
    /// makes no sense.
    pub fn open(view: Arc<dyn View>, name: &[u8]) -> Result<Self> {
        let found = recognized(&*view).map_err(|error| {
            let detail = "cannot be read where it would say what it holds";
            Error::new(ErrorKind::Damaged, walk::place(name), detail).with_source(error)
        })?;
        let kind = kinds::readable(found.map(|found| found.kind)).map_err(|refusal| {
            let place = walk::place(name);
            Error::new(ErrorKind::Unsupported, place, refusal)
        })?;
        let mut image = Self {
            name: name.to_vec(),
            kind,
            medium: Medium::new(view),
            reader: None,
            folder: None,
        };
        image.ask(&FolderPath::root(), |_| Ok(()))?;
        Ok(image)
    }

    /// What kind of file system it is, as `blkid` names it.
    pub fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// As errors call it.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// What a copy of the files does not carry, each as a sentence for the user.
    pub fn fidelity(&self) -> Vec<&'static str> {
        let reader = self.reader.as_ref();
        reader.map_or_else(Vec::new, |reader| reader.fidelity())
    }

    /// Why a mount of the same bytes might show something else, as a sentence for the user.
    pub fn doubt(&self) -> Option<&'static str> {
        self.reader.as_ref()?.doubt()
    }

    /// Length of what the file system lies in, bytes.
    pub(super) fn len(&self) -> u64 {
        self.medium.len()
    }

    /// False where every file belongs to whoever looks at it.
    pub(super) fn has_owners(&self) -> bool {
        self.reader
            .as_ref()
            .is_none_or(|reader| reader.has_owners())
    }

    /// False where modes alone do not say who may read a file.
    pub(super) fn has_acls(&self) -> bool {
        self.reader.as_ref().is_none_or(|reader| reader.has_acls())
    }

    /// The entry at `path`; the root for an empty one. Links on the way are not followed.
    ///
    /// # Errors
    /// `NotFound` if there is none; else why it cannot be read.
    pub fn entry(&mut self, path: &FolderPath) -> Result<ImageEntry> {
        self.check_depth(path)?;
        let (mut at, mut name) = (FolderPath::root(), Vec::new());
        let mut found = self.ask(&at, |reader| reader.root())?;
        for component in path.components() {
            if found.node != ImageNode::Folder {
                return Err(self.below_no_folder(&at, &found));
            }
            let id = found.id;
            let below = at.child(component);
            let next = self.ask(&below, |reader| {
                reader.find(&At { path: &at, id }, component)
            })?;
            let Some(next) = next else {
                let detail = "is not there".to_owned();
                return Err(self.error(&below, ErrorKind::NotFound, detail));
            };
            (at, name, found) = (below, component.to_vec(), next);
        }
        Ok(ImageEntry { name, found })
    }

    /// At most `entries_max` (at least 1) entries of the folder at `path`, which is `entry`: those
    /// behind the name `after`, or the first ones. What was listed last is kept, so pages that
    /// follow cost nothing.
    ///
    /// # Errors
    /// `InvalidInput` if it is no folder, `LimitExceeded` if it has too many entries, `Damaged`.
    pub fn page(
        &mut self,
        path: &FolderPath,
        entry: &ImageEntry,
        after: Option<&[u8]>,
        entries_max: usize,
    ) -> Result<Page> {
        let (folder, lost) = self.folder(path, entry)?;
        let entries = &folder.listing.entries;
        let begin = after.map_or(0, |after| {
            entries.partition_point(|one| *one.name <= *after)
        });
        let part = entries[begin..].iter().take(entries_max.max(1));
        let part: Vec<_> = part.map(ImageEntry::of).collect();
        let is_last = begin + part.len() == entries.len();
        Ok(Page {
            entries: part,
            lost: if after.is_none() { lost } else { Vec::new() },
            is_last,
        })
    }

    /// Fills `out` from `offset` of the file at `path`, which is `entry`.
    ///
    /// # Errors
    /// `InvalidInput` if it is no file or `out` reaches beyond its end; `Unsupported` for a
    /// content that the reader cannot decode; `Damaged`. `out` means nothing then.
    pub fn read_at(
        &mut self,
        path: &FolderPath,
        entry: &ImageEntry,
        offset: u64,
        out: &mut [u8],
    ) -> Result<()> {
        let ImageNode::File { len } = entry.found.node else {
            let detail = "is not a regular file".to_owned();
            return Err(self.error(path, ErrorKind::InvalidInput, detail));
        };
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > len) {
            let detail = format!("ends after {len} bytes");
            return Err(self.error(path, ErrorKind::InvalidInput, detail));
        }
        let id = entry.found.id;
        self.ask(path, |reader| reader.read(&At { path, id }, offset, out))
    }

    /// What is the same for one folder by whatever way it is reached; nothing if that is unknown.
    pub(super) fn identity(
        &mut self,
        path: &FolderPath,
        entry: &ImageEntry,
    ) -> Result<Option<u64>> {
        let (folder, _) = self.folder(path, entry)?;
        let numbered = Some(folder.id).filter(|id| *id != 0);
        Ok(folder.listing.identity.or(numbered))
    }

    /// The folder, and what is lost of it if it was not listed just before.
    fn folder(
        &mut self,
        path: &FolderPath,
        entry: &ImageEntry,
    ) -> Result<(Rc<Folder>, Vec<Error>)> {
        if !entry.is_folder() {
            let detail = "is not a folder".to_owned();
            return Err(self.error(path, ErrorKind::InvalidInput, detail));
        }
        let id = entry.found.id;
        if let Some(folder) = &self.folder
            && folder.path == *path
            && folder.id == id
        {
            let folder = Rc::clone(folder);
            let lost = self.told(path, &folder.listing.lost);
            return Ok((folder, lost));
        }
        // Two large folders would be twice the limit.
        self.folder = None;
        let listing = self.ask(path, |reader| {
            let mut listing = Listing::default();
            reader.list(&At { path, id }, &mut listing)?;
            listing.sort();
            Ok(listing)
        })?;
        let path = path.clone();
        let lost = self.told(&path, &listing.lost);
        let folder = Rc::new(Folder { path, id, listing });
        self.folder = Some(Rc::clone(&folder));
        Ok((folder, lost))
    }

    fn told(&self, folder: &FolderPath, lost: &[LostEntry]) -> Vec<Error> {
        let told = |one: &LostEntry| {
            let place = walk::place(&self.name_of(&folder.child(&one.name)));
            one.error.repeated().with_place(place)
        };
        lost.iter().map(told).collect()
    }

    /// Asks the reader one question: within the budget of reads, and so that neither a panic nor
    /// an error without a place gets out.
    ///
    /// Libraries that read file systems add and index numbers which an image wrote. Where they do
    /// that without care they panic, and a panic would take a whole restore, or a server with all
    /// its clients, for one bad inode. So it is caught here and becomes damage of this place. The
    /// reader is thrown away with whatever state the panic left; the next question opens a new one.
    pub(super) fn ask<T>(
        &mut self,
        path: &FolderPath,
        question: impl FnOnce(&mut dyn FileSystemReader) -> Result<T>,
    ) -> Result<T> {
        self.medium.begin();
        let (reader, medium, kind) = (&mut self.reader, &self.medium, self.kind);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let reader = match reader {
                Some(reader) => reader,
                None => reader.insert(kinds::open_reader(kind, medium)?),
            };
            question(&mut **reader)
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            self.reader = None;
            let detail = format!("is damaged so that the reader of {kind} lost its way");
            Err(damaged(detail))
        });
        let failure = self.medium.take_failure();
        match (outcome, failure) {
            (Ok(answer), None) => Ok(answer),
            // What the view could not give matters more than what the reader made of it; and an
            // answer that was found in spite of it is not to be trusted.
            (_, Some(failure)) if failure.place() == &Place::Argument("image") => {
                Err(failure.with_place(walk::place(&self.name_of(path))))
            }
            (_, Some(failure)) => {
                let detail = "cannot be read".to_owned();
                Err(self
                    .error(path, failure.kind(), detail)
                    .with_source(failure))
            }
            (Err(error), None) => Err(error.with_place(walk::place(&self.name_of(path)))),
        }
    }

    fn below_no_folder(&self, path: &FolderPath, found: &Found) -> Error {
        let detail = match found.node {
            ImageNode::Symlink(_) => {
                "is a symbolic link: it is not followed; give the path it leads to"
            }
            _ => "is not a folder",
        };
        self.error(path, ErrorKind::NotFound, detail.to_owned())
    }

    /// Refuses a path of more names than any walk should have.
    pub(super) fn check_depth(&self, path: &FolderPath) -> Result<()> {
        if path.components().count() <= IMAGE_DEPTH_LIMIT {
            return Ok(());
        }
        let detail = format!("is deeper than {IMAGE_DEPTH_LIMIT} folders");
        Err(self.error(path, ErrorKind::LimitExceeded, detail))
    }

    pub(super) fn error(&self, path: &FolderPath, kind: ErrorKind, detail: String) -> Error {
        Error::new(kind, walk::place(&self.name_of(path)), detail)
    }

    /// The whole path, as the user typed it.
    pub(super) fn name_of(&self, path: &FolderPath) -> Vec<u8> {
        walk::path_below(&self.name, &path.as_entry())
    }

    /// The path of an entry below `path`.
    pub(super) fn child(path: &FolderPath, name: &[u8]) -> TreePath {
        TreePath::new(path.clone(), name)
    }
}
