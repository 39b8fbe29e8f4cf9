//! Contents of files: fetched in pack order, each file finished at its last chunk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{Content, ExtentKind, Metadata, TreePath};
use crate::limits::KIB;
use crate::operations::restore::place::Reporter;
use crate::operations::restore::{RestoreOptions, is_fatal};
use crate::pipeline::fetch::{self, Wanted};
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::targets::folder::{FolderTarget, Placed, TargetFile};

/// Piece in which zeros are compared.
const COMPARE_LEN: usize = 64 * KIB;

/// Restores contents that were planned.
pub(super) struct Contents<'r> {
    pub reader: &'r ChunkReader<'r>,
    pub target: &'r FolderTarget,
    pub options: &'r RestoreOptions,
    pub report: &'r Reporter<'r>,
}

/// What is restored at a time.
#[derive(Default)]
pub(super) struct Window {
    pub files: Vec<Arc<RestoredFile>>,
    pub chunks: Vec<Wanted<Destination>>,
}

/// Where a chunk goes.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    /// Index into the window's files.
    pub file: u32,
    pub offset: u64,
}

/// A file that is being restored.
pub(super) struct RestoredFile {
    at: TreePath,
    metadata: Metadata,
    pub content: Content,
    len: u64,
    /// Chunks that are not written yet, and one more until all are planned.
    missing: AtomicU64,
    failed: AtomicBool,
    /// Its zeros that take up space.
    zeros: Mutex<Vec<(u64, u64)>>,
    open: Mutex<Opened>,
}

enum Opened {
    NotYet,
    /// Receives bytes.
    Open(Placed<TargetFile>),
    /// Left out, finished or failed: nothing more is written.
    Closed,
}

impl RestoredFile {
    pub(super) fn new(at: TreePath, metadata: Metadata, content: Content) -> Self {
        Self {
            at,
            metadata,
            len: content.len(),
            content,
            missing: AtomicU64::new(1),
            failed: AtomicBool::new(false),
            zeros: Mutex::default(),
            open: Mutex::new(Opened::NotYet),
        }
    }

    /// Bytes of what it points at.
    pub(super) fn heap_len(&self) -> usize {
        let path = self.at.folder.0.len() + self.at.name.len();
        let extents = match &self.content {
            Content::Inline(extents) => size_of_val(extents.as_slice()),
            Content::Tree(_) => 0,
        };
        let xattrs = self.metadata.xattrs.iter();
        let xattrs = xattrs.map(|xattr| size_of_val(xattr) + xattr.name.len() + xattr.value.len());
        path + extents + xattrs.sum::<usize>()
    }

    /// Expects one more chunk.
    pub(super) fn expect_chunk(&self) {
        self.missing.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers zeros that take up space.
    pub(super) fn add_zeros(&self, offset: u64, len: u64) {
        self.zeros.lock().push((offset, len));
    }
}

impl Contents<'_> {
    /// Restores all that is planned of a window.
    pub(super) fn restore(&self, window: Window) -> Result<()> {
        let Window { files, chunks } = window;
        let (observer, threads) = (self.report.observer(), self.options.budget.threads);
        fetch::fetch(self.reader, threads, chunks, observer, |chunk, bytes| {
            let file = &files[chunk.tag.file as usize];
            match bytes {
                Ok(bytes) => self.write(file, chunk.tag.offset, bytes)?,
                Err(error) => self.fail(file, &error),
            }
            self.done_with_one(file)
        })
    }

    /// Writes a chunk where it goes; an error of the target costs the file.
    fn write(&self, file: &RestoredFile, offset: u64, bytes: &[u8]) -> Result<()> {
        if file.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let whole = offset == 0 && bytes.len() as u64 == file.len;
        let outcome = if whole && !self.options.verify {
            self.write_whole(file, bytes)
        } else {
            self.write_part(file, offset, bytes)
        };
        self.tolerate(file, outcome)
    }

    fn write_whole(&self, file: &RestoredFile, bytes: &[u8]) -> Result<()> {
        *file.open.lock() = Opened::Closed;
        let placed = self.target.write_file(&file.at, &file.metadata, bytes)?;
        self.report.placed(&file.at, placed, Some(file.len));
        Ok(())
    }

    fn write_part(&self, file: &RestoredFile, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut open = file.open.lock();
        self.open(file, &mut open)?;
        match &*open {
            Opened::Open(placed) => match placed.item() {
                Some(target) => target.write_at(offset, bytes),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn open(&self, file: &RestoredFile, open: &mut Opened) -> Result<()> {
        if matches!(open, Opened::NotYet) {
            *open = Opened::Closed;
            *open = Opened::Open(
                self.target
                    .create_file(&file.at, &file.metadata, file.len)?,
            );
        }
        Ok(())
    }

    /// Counts a chunk, or the end of planning; finishes the file when nothing is missing.
    pub(super) fn done_with_one(&self, file: &RestoredFile) -> Result<()> {
        if file.missing.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        let mut open = file.open.lock();
        if file.failed.load(Ordering::Acquire) {
            *open = Opened::Closed; // dropped unfinished: removed, and what it would replace stays
            return Ok(());
        }
        let outcome = self.complete(file, &mut open);
        drop(open);
        self.tolerate(file, outcome)
    }

    fn complete(&self, file: &RestoredFile, open: &mut Opened) -> Result<()> {
        self.open(file, open)?;
        let Opened::Open(placed) = std::mem::replace(open, Opened::Closed) else {
            return Ok(());
        };
        if let Some(target) = placed.item() {
            for &(offset, len) in &*file.zeros.lock() {
                target.write_zeros(offset, len)?;
            }
            if self.options.verify {
                self.verify(file, target)?;
            }
        }
        let placed = placed.try_map(|target| target.finish(&file.metadata))?;
        self.report.placed(&file.at, placed, Some(file.len));
        Ok(())
    }

    /// Reads a file back from the medium and compares it with the manifest.
    fn verify(&self, file: &RestoredFile, target: &TargetFile) -> Result<()> {
        target.settle()?;
        let mut buffer = Vec::new();
        let mut extents = ExtentCursor::new(self.reader, &file.content);
        let mut offset = 0;
        let id_key = self.reader.repository().keys().chunk_id();
        while let Some(ExtentStep::Extent(extent)) = extents.next()? {
            let right = match extent.kind {
                ExtentKind::Chunk(id) => {
                    buffer.resize(extent.len as usize, 0);
                    target.read_at(offset, &mut buffer)?;
                    id_key.id_of(&buffer) == id
                }
                ExtentKind::Hole | ExtentKind::Zero | ExtentKind::Unreadable => {
                    is_zero(target, offset, extent.len, &mut buffer)?
                }
            };
            if !right {
                let detail = format!("bytes {offset}+{} read back differently", extent.len);
                return Err(Error::new(
                    ErrorKind::Damaged,
                    Place::Argument("verify"),
                    detail,
                ));
            }
            offset += extent.len;
        }
        self.report.verified();
        Ok(())
    }

    /// An error costs this file; one that all would meet ends the restore.
    fn tolerate(&self, file: &RestoredFile, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) if is_fatal(&error) => Err(error),
            Err(error) => {
                self.fail(file, &error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Reports the first failure of a file.
    pub(super) fn fail(&self, file: &RestoredFile, error: &Error) {
        if !file.failed.swap(true, Ordering::AcqRel) {
            self.report.failed(&file.at, error);
        }
    }
}

fn is_zero(
    target: &TargetFile,
    mut offset: u64,
    mut len: u64,
    buffer: &mut Vec<u8>,
) -> Result<bool> {
    while len > 0 {
        let step = len.min(COMPARE_LEN as u64);
        buffer.resize(step as usize, 0);
        target.read_at(offset, buffer)?;
        if buffer.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        (offset, len) = (offset + step, len - step);
    }
    Ok(true)
}
