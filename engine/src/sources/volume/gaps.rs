//! Reading around what cannot be read: bad sectors cost themselves and nothing else.

use std::io;
use std::ops::Range;

use rustix::io::Errno;

use crate::limits::FAILED_READS_MAX;
use crate::pipeline::ranges;
use crate::sources::volume::VolumeSource;

/// How often a single sector is tried before it is given up.
const SECTOR_ATTEMPTS: u32 = 2;

/// Fills `buffer` from `offset`, as `read_at` does, and gives how many bytes that are and which
/// ranges of the volume could not be read: ascending, apart, filled with zeros.
///
/// A range that fails is divided down to the logical sector. After [`FAILED_READS_MAX`] failures
/// nothing is divided any further: a dying disk takes seconds for each, so what still fails is
/// given up as a whole. Errors that are not of the medium (the device is gone, the server breaks
/// off) are errors here as well.
pub fn read_with_gaps(
    source: &dyn VolumeSource,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<Range<u64>>)> {
    let first = source.read_at(offset, buffer);
    let Err(error) = first else {
        return first.map(|read| (read, Vec::new()));
    };
    if !is_bad_place(&error) {
        return Err(error);
    }
    let len = source.len().saturating_sub(offset).min(buffer.len() as u64);
    let sector = u64::from(source.identity().logical_sector.max(1));
    let mut search = Search {
        source,
        sector,
        failures: 1,
        gaps: Vec::new(),
    };
    // What failed as a whole is divided at once; a single sector gets its second attempt.
    let mut todo = search.halves(offset..offset + len);
    while let Some(range) = todo.pop() {
        let start = (range.start - offset) as usize;
        let piece = &mut buffer[start..(range.end - offset) as usize];
        if !search.read(&range, piece)? {
            todo.extend(search.halves(range));
        }
    }
    Ok((len as usize, search.gaps))
}

struct Search<'a> {
    source: &'a dyn VolumeSource,
    sector: u64,
    failures: u32,
    gaps: Vec<Range<u64>>,
}

impl Search<'_> {
    /// True if the range is settled: read, or given up.
    fn read(&mut self, range: &Range<u64>, piece: &mut [u8]) -> io::Result<bool> {
        let is_sector = !self.is_divisible(range);
        let attempts = if is_sector { SECTOR_ATTEMPTS } else { 1 };
        for _ in 0..attempts {
            match self.source.read_at(range.start, piece) {
                Ok(read) => {
                    piece[read..].fill(0);
                    return Ok(true);
                }
                Err(error) if is_bad_place(&error) => self.failures += 1,
                Err(error) => return Err(error),
            }
            if self.failures > FAILED_READS_MAX {
                break;
            }
        }
        let gives_up = is_sector || self.failures > FAILED_READS_MAX;
        if gives_up {
            piece.fill(0);
            ranges::push(&mut self.gaps, range.clone());
        }
        Ok(gives_up)
    }

    /// More than one sector, or parts of two.
    fn is_divisible(&self, range: &Range<u64>) -> bool {
        range.start / self.sector != (range.end - 1) / self.sector
    }

    /// The two halves of a range, at a sector, the first one last: it is taken first.
    fn halves(&self, range: Range<u64>) -> Vec<Range<u64>> {
        if range.is_empty() {
            return Vec::new();
        }
        if !self.is_divisible(&range) {
            return vec![range];
        }
        let middle = range.start + (range.end - range.start) / 2;
        let down = middle - middle % self.sector;
        let middle = if down > range.start {
            down
        } else {
            down + self.sector
        };
        vec![middle..range.end, range.start..middle]
    }
}

/// True for the errors of one place of the medium, as the kernel and NBD servers name them.
fn is_bad_place(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        matches!(
            errno,
            Errno::IO | Errno::NODATA | Errno::ILSEQ | Errno::REMOTEIO
        )
    })
}

#[cfg(test)]
mod tests;
