//! One repository, opened for any number of views: they share one bounded memory and the threads
//! that read ahead.
//!
//! A library owns its repository, so that views outlive whoever made them: those that serve files
//! to a kernel or disks to clients run for as long as these do.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Content;
use crate::format::snapshot::Root;
use crate::operations::walk_volume::content_of;
use crate::pipeline::pool::Pool;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::serve::content::ContentView;
use crate::serve::shelf::{Ahead, Shelf};

/// Frames that wait to be read ahead.
const AHEAD_QUEUE_LEN: usize = 64;

/// What a library may use.
#[derive(Clone, Copy, Debug)]
pub struct LibraryOptions {
    /// Bytes of memory, of which half holds opened frames.
    pub memory: usize,
    /// Threads that read ahead.
    pub threads: usize,
}

/// A repository that is open for views.
pub struct Library {
    pub(super) shelf: Arc<Shelf>,
    ahead: Pool<Ahead>,
}

impl Library {
    /// Opens `repository` for views.
    ///
    /// # Errors
    /// If the index cannot be read, or the system gives no thread.
    pub fn open(repository: Arc<Repository>, options: LibraryOptions) -> Result<Arc<Self>> {
        let shelf = Arc::new(Shelf::open(repository, options.memory)?);
        let behind = Arc::clone(&shelf);
        let work = move |ahead: Ahead| behind.read_ahead(&ahead);
        let ahead = Pool::start(options.threads, AHEAD_QUEUE_LEN, work)?;
        Ok(Arc::new(Self { shelf, ahead }))
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        self.shelf.repository()
    }

    /// Reads pages and chunks, each by itself: for what goes by paths.
    pub fn reader(&self) -> &ChunkReader<'_> {
        self.shelf.reader()
    }

    /// A view of a file's content.
    pub fn content(self: &Arc<Self>, content: &Content) -> ContentView {
        ContentView::new(Arc::clone(self), content.clone(), 0..content.len())
    }

    /// A view of a volume, or of a part of it.
    ///
    /// # Errors
    /// `InvalidInput` if the part reaches beyond the volume.
    pub fn volume(self: &Arc<Self>, root: &Root, part: Option<Range<u64>>) -> Result<ContentView> {
        let range = part.unwrap_or(0..root.bytes);
        if range.start > range.end || range.end > root.bytes {
            let detail = format!("{range:?} lies outside of a volume of {} bytes", root.bytes);
            let place = Place::Argument("part");
            return Err(Error::new(ErrorKind::InvalidInput, place, detail));
        }
        Ok(ContentView::new(Arc::clone(self), content_of(root), range))
    }

    /// Has what lies about the bytes `range` of `content` read by other threads, as far as they
    /// have time for it.
    pub(super) fn read_ahead(&self, content: &Content, range: Range<u64>) {
        for ahead in self.shelf.frames_of(content, range) {
            if !self.ahead.offer(ahead) {
                return;
            }
        }
    }
}
