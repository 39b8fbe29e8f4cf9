//! A part of a volume: offsets count from its start, and nothing outside of it can be read.

use std::io;

use crate::pipeline::ReadAt;

#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    reader: &'a dyn ReadAt,
    start: u64,
    len: u64,
}

impl<'a> Window<'a> {
    /// The bytes `start..start + len`, as far as numbers reach.
    pub(super) fn new(reader: &'a dyn ReadAt, start: u64, len: u64) -> Self {
        let len = len.min(u64::MAX - start);
        Self { reader, start, len }
    }

    /// A part of this part; what reaches out of it is cut off.
    pub(super) fn part(&self, offset: u64, len: u64) -> Self {
        let offset = offset.min(self.len);
        Self {
            reader: self.reader,
            start: self.start + offset,
            len: len.min(self.len - offset),
        }
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills the buffer, or fails: `UnexpectedEof` where the window or the volume ends too early.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let wanted = buffer.len() as u64;
        if offset.checked_add(wanted).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = self.start + offset + done as u64;
            match self.reader.read_at(at, &mut buffer[done..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count.min(buffer.len() - done),
            }
        }
        Ok(())
    }

    /// So many bytes, which the caller has bounded.
    pub(super) fn bytes(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// At most so many bytes: fewer if the window ends before.
    pub(super) fn bytes_up_to(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let rest = self.len.saturating_sub(offset);
        self.bytes(offset, len.min(usize::try_from(rest).unwrap_or(len)))
    }
}
