//! Where a file has been written, as its file system maps it (`FS_IOC_FIEMAP`).
//!
//! `SEEK_DATA` calls space that was reserved and never written data as soon as somebody has read
//! it, a hole before that. Here the answer is the same whatever the page cache holds.

#![allow(unsafe_code)] // the kernel writes to a buffer through a pointer

use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// Extents that are asked for at a time.
const EXTENTS_PER_CALL: usize = 128;
/// Write back first: what is not on its way to the medium has no place yet.
const FLAG_SYNC: u32 = 1;
/// The last extent of the file.
const EXTENT_LAST: u32 = 1;
/// Reserved, and reads as zeros.
const EXTENT_UNWRITTEN: u32 = 0x800;

const FS_IOC_FIEMAP: Opcode = opcode::read_write::<Head>(b'f', 11);

/// `struct fiemap`, without its extents.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

#[repr(C)]
#[derive(Debug)]
struct Request {
    head: Head,
    extents: [Extent; EXTENTS_PER_CALL],
}

/// A part of a file's map.
#[derive(Debug)]
pub(super) struct Mapped {
    /// What was written: ascending, as the file system lists it.
    pub(super) written: Vec<Range<u64>>,
    /// Where to ask on; nothing if that is all.
    pub(super) next: Option<u64>,
}

/// The written extents of `range` from its start on, as far as one answer tells. `INVAL` for an
/// answer that makes no sense.
pub(super) fn written_extents(fd: BorrowedFd<'_>, range: Range<u64>) -> rustix::io::Result<Mapped> {
    let mut request = Request {
        head: Head {
            start: range.start,
            length: range.end - range.start,
            flags: FLAG_SYNC,
            extent_count: EXTENTS_PER_CALL as u32,
            ..Head::default()
        },
        extents: [Extent::default(); EXTENTS_PER_CALL],
    };
    // SAFETY: the opcode takes a `struct fiemap` with room for `extent_count` extents behind it,
    // which `Request` is; the kernel writes no more than that.
    unsafe { ioctl(fd, Updater::<FS_IOC_FIEMAP, Request>::new(&mut request)) }?;
    let count = (request.head.mapped_extents as usize).min(EXTENTS_PER_CALL);
    let extents = &request.extents[..count];
    let end = |extent: &Extent| extent.logical.saturating_add(extent.length);
    let written = extents
        .iter()
        .filter(|extent| extent.flags & EXTENT_UNWRITTEN == 0);
    let next = match extents.last() {
        Some(last) if last.flags & EXTENT_LAST == 0 && count == EXTENTS_PER_CALL => Some(end(last)),
        _ => None,
    };
    // An answer that does not move on would be asked for ever.
    if next.is_some_and(|next| next <= range.start) {
        return Err(Errno::INVAL);
    }
    Ok(Mapped {
        written: written.map(|extent| extent.logical..end(extent)).collect(),
        next: next.filter(|&next| next < range.end),
    })
}
