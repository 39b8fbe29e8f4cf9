//! What every view gives: bytes at offsets, and what they are made of.

use std::io::Write;
use std::ops::Range;

use crate::error::{Error, Place, Result};
use crate::limits::MIB;
use crate::operations::map_volume::MappedRange;

/// Bytes that are copied at a time.
const COPY_LEN: usize = 4 * MIB;

/// A content at rest: a fixed number of bytes that any thread reads at any offset.
pub trait View: Send + Sync {
    /// Its length, bytes.
    fn len(&self) -> u64;

    /// True for a content without a byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` from `offset`, every byte verified.
    ///
    /// # Errors
    /// `Damaged` or `NotFound` if any of it is not to be had, what could not be read when it was
    /// captured included; `InvalidInput` if it reaches beyond the end. `out` means nothing then.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()>;

    /// What the bytes from `range.start` on are: ascending, without gaps, neighbours of one kind
    /// joined, at most `pieces_max` (at least 1) of them, so perhaps not all of the range.
    ///
    /// # Errors
    /// `InvalidInput` if the range reaches beyond the end.
    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>>;
}

/// Writes all of a view to `out`, in order; gives its length.
///
/// # Errors
/// Those of the first read or write that fails.
pub fn copy(view: &dyn View, out: &mut dyn Write) -> Result<u64> {
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < view.len() {
        buffer.resize((view.len() - at).min(COPY_LEN as u64) as usize, 0);
        view.read_at(at, &mut buffer)?;
        out.write_all(&buffer)
            .map_err(|error| Error::io(Place::Argument("output"), "write the content", error))?;
        at += buffer.len() as u64;
    }
    Ok(at)
}
