//! A source of bytes as the pipeline reads it, and as the readers of its metadata do.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::pipeline::ReadAt;
use crate::pipeline::volume::{Allocated, VolumeReader};
use crate::sources::volume::{VolumeSource, read_with_gaps};

/// An open volume.
pub(in super::super) struct SourceReader {
    source: Arc<dyn VolumeSource>,
    /// Bytes that were read to understand the volume and not to store them.
    metadata_bytes: AtomicU64,
}

impl SourceReader {
    pub(super) fn new(source: Arc<dyn VolumeSource>) -> Self {
        Self {
            source,
            metadata_bytes: AtomicU64::new(0),
        }
    }

    pub(in super::super) fn source(&self) -> &dyn VolumeSource {
        &*self.source
    }

    pub(super) fn metadata_bytes(&self) -> u64 {
        self.metadata_bytes.load(Ordering::Relaxed)
    }
}

impl VolumeReader for SourceReader {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Vec<Range<u64>>> {
        let (read, unreadable) = read_with_gaps(&*self.source, offset, buffer)?;
        if read < buffer.len() {
            let end = offset + read as u64;
            let detail = format!("the volume ends at {end}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, detail));
        }
        Ok(unreadable)
    }

    fn allocation(&self, range: Range<u64>) -> io::Result<Vec<Allocated>> {
        self.source.allocation(range).map_err(into_io)
    }
}

/// Reads that find out what a volume holds.
impl ReadAt for SourceReader {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(offset, buffer)?;
        self.metadata_bytes
            .fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn into_io(error: Error) -> io::Error {
    io::Error::other(error)
}
