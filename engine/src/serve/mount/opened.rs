//! Views that are in use, and buffers to read into.
//!
//! The kernel does not say when it opens and closes a file; so the views that were read last are
//! kept, which know how far they were read and what comes next.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Result;
use crate::serve::kept::Kept;
use crate::serve::view::View;

/// Most views that are kept: as many files as are read at the same time.
const VIEWS_MAX: usize = 256;

/// The views that were used last.
pub(super) struct Opened {
    views: Mutex<Kept<u64, Arc<dyn View>>>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Default for Opened {
    fn default() -> Self {
        Self {
            views: Mutex::new(Kept::new(VIEWS_MAX)),
            buffers: Mutex::default(),
        }
    }
}

impl Opened {
    /// The view of an inode, kept or opened now.
    pub(super) fn view(
        &self,
        inode: u64,
        open: impl FnOnce() -> Result<Arc<dyn View>>,
    ) -> Result<Arc<dyn View>> {
        if let Some(view) = self.views.lock().find(&inode) {
            return Ok(view);
        }
        let view = open()?;
        self.views.lock().keep(inode, Arc::clone(&view), 1);
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
