//! The plan of all contents: in windows, so that memory is bounded whatever the size of the
//! snapshot. While one window is restored the next is planned.

use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::{Entry, Extent, ExtentKind, Node, TreePath};
use crate::format::id::ChunkId;
use crate::limits::KIB;
use crate::operations::restore::contents::{Contents, Destination, RestoredFile, Window};
use crate::pipeline::behind::Behind;
use crate::pipeline::fetch::{self, Wanted};
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};

/// Files of several chunks in one window: each may be open at once.
const OPEN_FILES_MAX: usize = 512;
/// What a chunk costs in a window, with what its order of fetching takes.
const CHUNK_COST: usize = size_of::<Wanted<Destination>>() + 16;
/// What the allocations of a file cost beside their bytes: its place, its name, its extents.
const FILE_COST: usize = size_of::<RestoredFile>() + 96;
/// Windows at once: one that is planned, one that is restored.
const WINDOWS: usize = 2;
/// Bytes of the first window: few, so that the threads begin soon. Each is twice as long as the one
/// before it: the longer, the more of a frame is wanted at once.
const FIRST_LEN: usize = 256 * KIB;

/// Plans files, and hands them over in windows.
pub(super) struct FilePlanner<'r> {
    contents: &'r Contents<'r>,
    behind: &'r Behind<Window>,
    window: Window,
    /// What the window takes, bytes.
    window_len: usize,
    /// It is full with so many.
    window_len_max: usize,
    open_files: usize,
}

impl<'r> FilePlanner<'r> {
    pub(super) fn new(contents: &'r Contents<'r>, behind: &'r Behind<Window>) -> Self {
        Self {
            contents,
            behind,
            window: Window::default(),
            window_len: 0,
            window_len_max: FIRST_LEN,
            open_files: 0,
        }
    }

    /// Plans a file; hands the window over when it is full.
    pub(super) fn add(&mut self, at: TreePath, entry: Entry) -> Result<()> {
        let Entry {
            metadata,
            node: Node::File(content),
            ..
        } = entry
        else {
            return Ok(());
        };
        let file = Arc::new(RestoredFile::new(at, metadata, content));
        self.plan(&file)?;
        if self.is_full() || self.open_files >= OPEN_FILES_MAX {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Hands over what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        self.hand_over()
    }

    fn plan(&mut self, file: &Arc<RestoredFile>) -> Result<()> {
        let mut number = self.enter(file);
        let mut extents = ExtentCursor::new(self.contents.reader, &file.content);
        let mut offset = 0;
        let mut count = 0_u64;
        while let Some(step) = extents.next()? {
            match step {
                ExtentStep::Extent(Extent {
                    len,
                    kind: ExtentKind::Chunk(id),
                }) => {
                    count += 1;
                    self.plan_chunk(file, &id, number, offset, len)?;
                    offset += len;
                }
                ExtentStep::Extent(Extent { len, kind }) => {
                    if matches!(kind, ExtentKind::Zero | ExtentKind::Unreadable) {
                        file.add_zeros(offset, len);
                    }
                    offset += len;
                }
                ExtentStep::Lost { len, error } => {
                    self.contents.fail(file, &error);
                    offset += len;
                }
            }
            if self.is_full() {
                self.hand_over()?;
                number = self.enter(file);
            }
        }
        if count > 1 {
            self.open_files += 1;
        }
        self.contents.done_with_one(file)
    }

    /// Makes `file` one of the window.
    fn enter(&mut self, file: &Arc<RestoredFile>) -> u32 {
        self.window_len += FILE_COST + file.heap_len();
        self.window.files.push(Arc::clone(file));
        self.window.files.len() as u32 - 1
    }

    fn plan_chunk(
        &mut self,
        file: &RestoredFile,
        id: &ChunkId,
        number: u32,
        offset: u64,
        len: u64,
    ) -> Result<()> {
        match fetch::locate(self.contents.reader, id, len)? {
            Ok(place) => {
                file.expect_chunk();
                let tag = Destination {
                    file: number,
                    offset,
                };
                self.window_len += CHUNK_COST;
                self.window.chunks.push(Wanted {
                    id: *id,
                    place,
                    tag,
                });
            }
            Err(error) => self.contents.fail(file, &error),
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.window_len >= self.window_len_max
    }

    fn hand_over(&mut self) -> Result<()> {
        let longest = self.contents.options.budget.cache_len / WINDOWS;
        self.window_len_max = (2 * self.window_len_max).min(longest.max(FIRST_LEN));
        self.window_len = 0;
        self.open_files = 0;
        self.behind.hand_over(std::mem::take(&mut self.window))
    }
}
