//! Views that are in use, and buffers to read into.
//!
//! The kernel does not say when it opens and closes a file; so the views that were read last are
//! kept, which know how far they were read and what comes next.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Result;
use crate::serve::view::View;

/// Most views that are kept: as many files as are read at the same time.
const VIEWS_MAX: usize = 256;

/// The views that were used last.
#[derive(Default)]
pub(super) struct Opened {
    views: Mutex<Views>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

#[derive(Default)]
struct Views {
    by_inode: HashMap<u64, (Arc<dyn View>, u64)>,
    clock: u64,
}

impl Opened {
    /// The view of an inode, kept or opened now.
    pub(super) fn view(
        &self,
        inode: u64,
        open: impl FnOnce() -> Result<Arc<dyn View>>,
    ) -> Result<Arc<dyn View>> {
        if let Some(view) = self.views.lock().find(inode) {
            return Ok(view);
        }
        let view = open()?;
        self.views.lock().keep(inode, Arc::clone(&view));
        Ok(view)
    }

    /// Reads `len` bytes and gives them to `reply`.
    pub(super) fn read(
        &self,
        view: &dyn View,
        offset: u64,
        len: usize,
        reply: impl FnOnce(Result<&[u8]>),
    ) {
        let mut buffer = self.buffers.lock().pop().unwrap_or_default();
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let read = view.read_at(offset, &mut buffer[..len]);
        reply(read.map(|()| &buffer[..len]));
        self.buffers.lock().push(buffer);
    }
}

impl Views {
    fn find(&mut self, inode: u64) -> Option<Arc<dyn View>> {
        self.clock += 1;
        let (view, used) = self.by_inode.get_mut(&inode)?;
        *used = self.clock;
        Some(Arc::clone(view))
    }

    /// Lets go of half at once: so what is looked through to find the oldest is paid by many.
    fn keep(&mut self, inode: u64, view: Arc<dyn View>) {
        self.clock += 1;
        self.by_inode.insert(inode, (view, self.clock));
        if self.by_inode.len() > VIEWS_MAX {
            let mut used: Vec<_> = self.by_inode.values().map(|(_, used)| *used).collect();
            used.sort_unstable();
            let middle = used[used.len() / 2];
            self.by_inode.retain(|_, (_, used)| *used >= middle);
        }
    }
}
