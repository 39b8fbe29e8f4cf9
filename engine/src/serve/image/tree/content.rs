//! The bytes of a file inside an image.
//!
//! Some readers find a place in a file by going there from its beginning. So who reads in order is
//! given larger parts, of which the last ones are kept; a part that cannot be had as a whole is read
//! as it was asked for, so that damage costs what it lies in.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::FolderPath;
use crate::limits::MIB;
use crate::operations::map_volume::MappedRange;
use crate::serve::image::item::ImageEntry;
use crate::serve::image::tree::images::Source;
use crate::serve::view::View;

/// Length of a part.
const WINDOW_LEN: u64 = MIB as u64;

/// A file inside an image.
pub(super) struct ImageContent {
    source: Arc<Source>,
    path: FolderPath,
    entry: ImageEntry,
    number: u64,
    len: u64,
    /// Where the next read would begin, if they came in order.
    next: AtomicU64,
    reading: Mutex<()>,
}

impl ImageContent {
    /// The file at `path`, of `len` bytes.
    pub(super) fn new(
        source: &Arc<Source>,
        path: FolderPath,
        entry: ImageEntry,
        number: u64,
        len: u64,
    ) -> Self {
        Self {
            source: Arc::clone(source),
            path,
            entry,
            number,
            len,
            next: AtomicU64::new(u64::MAX),
            reading: Mutex::default(),
        }
    }

    /// True if a read goes on where another ended, or nearly: kernels ask for several parts at once.
    fn goes_on(&self, range: &Range<u64>) -> bool {
        let expected = self.next.swap(range.end, Ordering::Relaxed);
        expected.abs_diff(range.start) <= WINDOW_LEN
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let (path, entry) = (self.path.clone(), self.entry.clone());
        self.source.ask(move |image| {
            let mut bytes = vec![0; len];
            image.read_at(&path, &entry, offset, &mut bytes)?;
            Ok(bytes)
        })
    }

    fn read_windows(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let window = self.window(at / WINDOW_LEN)?;
            let part = &window[(at % WINDOW_LEN) as usize..];
            let len = part.len().min(out.len() - done);
            out[done..done + len].copy_from_slice(&part[..len]);
            done += len;
        }
        Ok(())
    }

    fn window(&self, index: u64) -> Result<Arc<Vec<u8>>> {
        let windows = &self.source.images.windows;
        let key = (self.source.number, self.number, index);
        let kept = || windows.lock().find(&key);
        if let Some(window) = kept() {
            return Ok(window);
        }
        // A kernel asks for several parts of one window at once: the first reads it for all.
        let _one_at_a_time = self.reading.lock();
        if let Some(window) = kept() {
            return Ok(window);
        }
        let start = index * WINDOW_LEN;
        let len = (self.len - start).min(WINDOW_LEN) as usize;
        let window = Arc::new(self.read(start, len)?);
        windows.lock().keep(key, Arc::clone(&window), len);
        Ok(window)
    }

    /// `range` lies within the file.
    fn checked(&self, range: Range<u64>) -> Result<Range<u64>> {
        if range.start <= range.end && range.end <= self.len {
            return Ok(range);
        }
        let detail = format!("{range:?} lies outside of {} bytes", self.len);
        let place = self.source.place(&self.path);
        Err(Error::new(ErrorKind::InvalidInput, place, detail))
    }
}

impl View for ImageContent {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let range = self.checked(offset..offset.saturating_add(out.len() as u64))?;
        if range.is_empty() || self.goes_on(&range) && self.read_windows(offset, out).is_ok() {
            return Ok(());
        }
        out.copy_from_slice(&self.read(offset, out.len())?);
        Ok(())
    }

    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        let range = self.checked(range)?;
        let (path, entry) = (self.path.clone(), self.entry.clone());
        self.source
            .ask(move |image| image.map(&path, &entry, range, pieces_max))
    }
}
