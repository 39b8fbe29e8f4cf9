//! What every view gives: bytes at offsets, and what they are made of.

use std::io::Write;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::MIB;
use crate::operations::map_volume::{MappedRange, RangeKind};

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

/// A few words, for whoever reads them as a file.
pub struct Text(pub String);

impl Text {
    fn part(&self, range: &Range<u64>) -> Result<&[u8]> {
        let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        let part = self.0.as_bytes().get(at(range.start)..at(range.end));
        part.ok_or_else(|| {
            let detail = format!("{range:?} lies outside of {} bytes", self.0.len());
            Error::new(ErrorKind::InvalidInput, Place::Argument("range"), detail)
        })
    }
}

impl View for Text {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        out.copy_from_slice(self.part(&(offset..end))?);
        Ok(())
    }

    fn map(&self, range: Range<u64>, _: usize) -> Result<Vec<MappedRange>> {
        self.part(&range)?;
        let piece = MappedRange {
            range,
            kind: RangeKind::Data,
            chunk: None,
        };
        Ok(vec![piece])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_at_any_offset_and_not_beyond_their_end() {
        let text = Text("some words".to_owned());
        let mut part = [0; 5];
        text.read_at(5, &mut part).expect("they are there");
        assert_eq!(&part, b"words");
        text.read_at(10, &mut []).expect("nothing is there");
        for offset in [6, 11, u64::MAX] {
            let error = text.read_at(offset, &mut part).expect_err("it is too far");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
        }
        assert!(text.map(0..11, 1).is_err());
        assert_eq!(text.map(2..10, 1).expect("it is all there")[0].range, 2..10);
    }
}
