//! What all walks share: bounded reading of metadata, and how a walk ends early.

use std::fmt;
use std::io;

use crate::error::Error;
use crate::limits::HINT_METADATA_SLACK;
use crate::sources::volume::layout::window::Window;

/// Bytes that are read at a time where metadata lies together.
pub(super) const STEP_LEN: usize = 1 << 20;
/// What the shortest read counts as: a disk reads a sector at least.
const READ_COST_MIN: u64 = 512;

/// Why a file or a file system has no hints.
pub(crate) enum WalkError {
    /// One file makes no sense; others may.
    File,
    /// The file system makes no sense, or asks for too much.
    FileSystem(String),
    /// The offsets do not fit the memory, and there is no other place for them.
    Memory,
    /// The temporary file failed.
    Scratch(Error),
}

impl WalkError {
    pub(super) fn file_system(detail: impl Into<String>) -> Self {
        Self::FileSystem(detail.into())
    }
}

impl fmt::Display for WalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("a file makes no sense"),
            Self::FileSystem(detail) => f.write_str(detail),
            Self::Memory => f.write_str("more hints than fit the memory, and no scratch folder"),
            Self::Scratch(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for WalkError {
    fn from(error: io::Error) -> Self {
        Self::FileSystem(format!("metadata cannot be read: {error}"))
    }
}

/// Counts a file that makes no sense; everything else goes on upwards.
pub(super) fn count_bad(outcome: Result<(), WalkError>, bad: &mut u64) -> Result<(), WalkError> {
    match outcome {
        Err(WalkError::File) => {
            *bad += 1;
            Ok(())
        }
        other => other,
    }
}

/// The metadata of one file system. It is not longer than the file system: whoever asks for more
/// goes round in circles.
pub(super) struct Metadata<'a> {
    window: Window<'a>,
    left: u64,
}

impl<'a> Metadata<'a> {
    pub(super) fn new(window: Window<'a>, bytes_max: u64) -> Self {
        let all = window.len().saturating_add(HINT_METADATA_SLACK);
        Self {
            window,
            left: all.min(bytes_max),
        }
    }

    /// Length of the part of the volume that the file system may use.
    pub(super) fn window_len(&self) -> u64 {
        self.window.len()
    }

    pub(super) fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), WalkError> {
        self.charge((buffer.len() as u64).max(READ_COST_MIN))?;
        Ok(self.window.read(offset, buffer)?)
    }

    pub(super) fn bytes(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, WalkError> {
        let mut bytes = vec![0; len];
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Counts work that needed no reading as so many bytes.
    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), WalkError> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| {
            WalkError::file_system("there is more metadata than a file system of its length has")
        })?;
        Ok(())
    }
}
