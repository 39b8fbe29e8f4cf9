//! File systems inside volumes that are open, and what was read of them: for all trees of one mount
//! together, so that there is one bound for however many are looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::FolderPath;
use crate::limits::{IMAGES_OPEN_MAX, MIB};
use crate::operations::walk;
use crate::pipeline::alone::Alone;
use crate::serve::image::open::Image;
use crate::serve::image::reader::{Listing, Named};
use crate::serve::image::tree::numbers::RowsLen;
use crate::serve::kept::Kept;
use crate::serve::problems::Problems;
use crate::serve::view::View;

/// An image that nobody asked anything for so long is closed, with its thread.
const IDLE: Duration = Duration::from_secs(60);
/// How often an image is opened for one question that it did not outlive.
const ATTEMPTS: usize = 3;
/// Parts of the memory for what was read: three hold folders, one contents.
const SHARES: usize = 4;
/// Contents that are kept at least: as much as a few read at the same time.
const WINDOWS_LEN_MIN: usize = 4 * MIB;
/// What an entry of a folder takes beside its bytes.
const ENTRY_OVERHEAD: usize = size_of::<Named>() + 128;

/// The images of one mount.
pub struct Images {
    opened: Mutex<Kept<u64, Arc<Alone<Image>>>>,
    folders: Mutex<Kept<(u64, usize), Arc<Folder>>>,
    folder_weight_max: usize,
    pub(super) windows: Mutex<Kept<Window, Arc<Vec<u8>>>>,
    pub(super) rows_len: Arc<RowsLen>,
    problems: Arc<Problems>,
    next: AtomicU64,
}

/// A part of a file: of which image, the number of the file there, and which part.
pub(super) type Window = (u64, u64, u64);

/// How the bytes of an image are come by.
pub type OpenView = Box<dyn Fn() -> Result<Arc<dyn View>> + Send + Sync>;

/// A folder, and all that lies in it.
pub(super) struct Folder {
    pub(super) path: FolderPath,
    pub(super) listing: Listing,
}

/// One image: opened when it is asked, as often as need be.
pub(super) struct Source {
    pub(super) images: Arc<Images>,
    /// Tells it from the others.
    pub(super) number: u64,
    pub(super) name: Vec<u8>,
    view: OpenView,
    opening: Mutex<()>,
}

impl Images {
    /// None is open yet. Of what is read of them at most `memory` bytes are kept; entries that cannot
    /// be shown are told to `problems`.
    pub fn new(memory: usize, problems: Arc<Problems>) -> Arc<Self> {
        let share = memory / SHARES;
        let folders_len = (SHARES - 1) * share;
        Arc::new(Self {
            opened: Mutex::new(Kept::new(IMAGES_OPEN_MAX)),
            folders: Mutex::new(Kept::new(folders_len)),
            // The longest folder is kept too, until the next: who lists it comes back for more.
            folder_weight_max: folders_len / 2,
            windows: Mutex::new(Kept::new(share.max(WINDOWS_LEN_MIN))),
            rows_len: Arc::default(),
            problems,
            next: AtomicU64::new(0),
        })
    }

    /// Sets aside so many bytes for as long as the mount lasts; false if there is no room for them
    /// beside the folders that were entered.
    pub(in crate::serve) fn take(&self, len: usize) -> bool {
        self.rows_len.take(len)
    }
}

impl Source {
    /// The image that `view` gives the bytes of. Opens nothing.
    pub(super) fn new(images: &Arc<Images>, name: Vec<u8>, view: OpenView) -> Arc<Self> {
        Arc::new(Self {
            images: Arc::clone(images),
            number: images.next.fetch_add(1, Ordering::Relaxed),
            name,
            view,
            opening: Mutex::new(()),
        })
    }

    /// Asks the image, which is opened if it is not.
    pub(super) fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Image) -> Result<R> + Clone + Send + 'static,
    ) -> Result<R> {
        let mut ended = None;
        for _ in 0..ATTEMPTS {
            let opened = self.opened(ended.as_ref())?;
            match opened.ask(question.clone()) {
                Some(answer) => return answer,
                None => ended = Some(opened),
            }
        }
        let detail = "is damaged so that its reader does not go on";
        Err(Error::new(
            ErrorKind::Damaged,
            walk::place(&self.name),
            detail,
        ))
    }

    /// The image, unless it is `ended`; else a new one. Who comes while it is opened waits.
    fn opened(&self, ended: Option<&Arc<Alone<Image>>>) -> Result<Arc<Alone<Image>>> {
        let _one_at_a_time = self.opening.lock();
        let kept = self.images.opened.lock().find(&self.number);
        let is_ended = |kept: &Arc<_>| ended.is_some_and(|ended| Arc::ptr_eq(ended, kept));
        if let Some(kept) = kept.filter(|kept| !is_ended(kept)) {
            return Ok(kept);
        }
        let (view, name) = ((self.view)()?, self.name.clone());
        let opened = Arc::new(Alone::start(IDLE, move || Image::open(view, &name))?);
        let mut all = self.images.opened.lock();
        all.keep(self.number, Arc::clone(&opened), 1);
        Ok(opened)
    }

    /// Tells what is to be known of all of it.
    pub(super) fn tell(&self, detail: &str) {
        let error = Error::new(ErrorKind::Unsupported, walk::place(&self.name), detail);
        self.images.problems.tell(self.number, &self.name, &error);
    }

    /// What errors call the entry at `path`.
    pub(super) fn place(&self, path: &FolderPath) -> Place {
        walk::place(&self.path(path))
    }

    /// The same, as bytes.
    pub(super) fn path(&self, path: &FolderPath) -> Vec<u8> {
        walk::path_below(&self.name, &path.as_entry())
    }

    /// The folder of a row, if it was listed lately.
    pub(super) fn kept_folder(&self, row: usize) -> Option<Arc<Folder>> {
        self.images.folders.lock().find(&(self.number, row))
    }

    /// Lists the folder at `path`, which its reader numbered `id`. What cannot be shown of it is told.
    pub(super) fn folder(&self, row: usize, path: FolderPath, id: u64) -> Result<Arc<Folder>> {
        let at = path.clone();
        let listing = self.ask(move |image| image.listing(&at, id))?;
        for lost in &listing.lost {
            let path = self.path(&path.child(&lost.name));
            self.images.problems.tell(self.number, &path, &lost.error);
        }
        let folder = Arc::new(Folder { path, listing });
        let weight = folder.weight().min(self.images.folder_weight_max);
        let mut folders = self.images.folders.lock();
        folders.keep((self.number, row), Arc::clone(&folder), weight);
        Ok(folder)
    }
}

impl Folder {
    fn weight(&self) -> usize {
        let of = |entry: &Named| {
            let xattrs = &entry.found.metadata.xattrs;
            let xattrs = xattrs
                .iter()
                .map(|one| one.name.len() + one.value.len() + ENTRY_OVERHEAD);
            ENTRY_OVERHEAD + entry.name.len() + entry.found.target_len() + xattrs.sum::<usize>()
        };
        let lost = self
            .listing
            .lost
            .iter()
            .map(|one| one.name.len() + 2 * ENTRY_OVERHEAD);
        self.path.0.len() + self.listing.entries.iter().map(of).sum::<usize>() + lost.sum::<usize>()
    }
}
