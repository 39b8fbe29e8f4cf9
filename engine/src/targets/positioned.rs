//! Reading and writing at offsets, to the end of what was asked for.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::limits::KIB;

/// Zeros written at once.
static ZEROS: [u8; 256 * KIB] = [0; 256 * KIB];

/// Writes all of `bytes` from `offset` on.
pub(super) fn write_at(
    file: BorrowedFd<'_>,
    mut offset: u64,
    mut bytes: &[u8],
) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                offset += written as u64;
                bytes = &bytes[written..];
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes `len` zeros that take up space: reserved space without bytes would be a hole to whoever
/// asks the file system.
pub(super) fn write_zeros(
    file: BorrowedFd<'_>,
    mut offset: u64,
    mut len: u64,
) -> Result<(), Errno> {
    while len > 0 {
        let step = len.min(ZEROS.len() as u64);
        // At most the length of the array.
        write_at(file, offset, &ZEROS[..step as usize])?;
        (offset, len) = (offset + step, len - step);
    }
    Ok(())
}

/// Fills `buffer` from `offset` on; an end before that is an error.
pub(super) fn read_at(file: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => return Err(Errno::IO),
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
