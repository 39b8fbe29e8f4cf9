//! The three sizes of a chunker, valid by construction.
//! Below: `limits`. Above: the chunker, and who reads the config of a repository.

use std::fmt;

use crate::limits::CHUNK_LEN_AVG_DEFAULT;
use crate::limits::CHUNK_LEN_LIMIT;
use crate::limits::CHUNK_LEN_MAX_DEFAULT;
use crate::limits::CHUNK_LEN_MIN_DEFAULT;

/// The least minimum: the window of a cut must not reach beyond its chunk.
pub(super) const MIN_LOWEST: u32 = 64;
/// The least average: below it the easier test would have no bit left.
pub(super) const AVG_LOWEST: u32 = 8 * 1024;

/// Shortest, average and longest chunk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSizes {
    min: u32,
    avg: u32,
    max: u32,
}

/// Why three numbers are no [`ChunkSizes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkSizesError {
    /// The minimum is below 64 bytes.
    MinTooSmall(u32),
    /// The average is not a power of two, or below 8 KiB.
    AvgInvalid(u32),
    /// The maximum is above the limit of every repository.
    MaxTooLarge(u32),
    /// Not minimum <= average <= maximum.
    OutOfOrder,
}

impl ChunkSizes {
    /// Checks `64 <= min <= avg <= max <= CHUNK_LEN_LIMIT`, and that `avg` is a power of two of at
    /// least 8 KiB.
    pub fn new(min: u32, avg: u32, max: u32) -> Result<Self, ChunkSizesError> {
        if min < MIN_LOWEST {
            return Err(ChunkSizesError::MinTooSmall(min));
        }
        if avg < AVG_LOWEST || !avg.is_power_of_two() {
            return Err(ChunkSizesError::AvgInvalid(avg));
        }
        if max > CHUNK_LEN_LIMIT {
            return Err(ChunkSizesError::MaxTooLarge(max));
        }
        if min > avg || avg > max {
            return Err(ChunkSizesError::OutOfOrder);
        }
        Ok(Self { min, avg, max })
    }

    /// No chunk but the last of a stream is shorter.
    pub fn min(self) -> usize {
        self.min as usize
    }

    /// From here on the easier test suffices; near the mean of all chunks.
    pub fn avg(self) -> usize {
        self.avg as usize
    }

    /// No chunk is longer.
    pub fn max(self) -> usize {
        self.max as usize
    }

    /// Binary logarithm of the average.
    pub(super) fn avg_bits(self) -> u32 {
        self.avg.trailing_zeros()
    }
}

impl Default for ChunkSizes {
    fn default() -> Self {
        const { assert!(CHUNK_LEN_MIN_DEFAULT >= MIN_LOWEST) };
        const { assert!(CHUNK_LEN_AVG_DEFAULT >= AVG_LOWEST) };
        const { assert!(CHUNK_LEN_AVG_DEFAULT.is_power_of_two()) };
        Self {
            min: CHUNK_LEN_MIN_DEFAULT,
            avg: CHUNK_LEN_AVG_DEFAULT,
            max: CHUNK_LEN_MAX_DEFAULT,
        }
    }
}

impl fmt::Display for ChunkSizesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinTooSmall(min) => {
                write!(
                    f,
                    "shortest chunk is {min} bytes, at least {MIN_LOWEST} are required"
                )
            }
            Self::AvgInvalid(avg) => {
                write!(
                    f,
                    "average chunk is {avg} bytes, not a power of two from {AVG_LOWEST} on"
                )
            }
            Self::MaxTooLarge(max) => {
                write!(
                    f,
                    "longest chunk is {max} bytes, at most {CHUNK_LEN_LIMIT} are allowed"
                )
            }
            Self::OutOfOrder => f.write_str("shortest, average and longest chunk do not ascend"),
        }
    }
}

impl std::error::Error for ChunkSizesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_at_their_limits_are_accepted() {
        assert!(ChunkSizes::new(64, 8192, 8192).is_ok());
        assert!(ChunkSizes::new(8192, 8192, CHUNK_LEN_LIMIT).is_ok());
        assert!(ChunkSizes::new(64, CHUNK_LEN_LIMIT, CHUNK_LEN_LIMIT).is_ok());
    }

    #[test]
    fn the_default_is_valid() {
        let ChunkSizes { min, avg, max } = ChunkSizes::default();
        assert_eq!(ChunkSizes::new(min, avg, max), Ok(ChunkSizes::default()));
    }

    #[test]
    fn each_rule_refuses_what_breaks_it() {
        let refused =
            |min, avg, max| ChunkSizes::new(min, avg, max).expect_err("sizes are invalid");
        assert_eq!(refused(63, 8192, 8192), ChunkSizesError::MinTooSmall(63));
        assert_eq!(refused(64, 4096, 8192), ChunkSizesError::AvgInvalid(4096));
        assert_eq!(refused(64, 8193, 9000), ChunkSizesError::AvgInvalid(8193));
        assert_eq!(
            refused(64, 8192, CHUNK_LEN_LIMIT + 1),
            ChunkSizesError::MaxTooLarge(CHUNK_LEN_LIMIT + 1)
        );
        assert_eq!(refused(8193, 8192, 9000), ChunkSizesError::OutOfOrder);
        assert_eq!(refused(64, 8192, 8191), ChunkSizesError::OutOfOrder);
    }
}
