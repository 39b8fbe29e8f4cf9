//! What the type in the mode of an entry means, in file systems that have such modes.

use crate::error::Result;
use crate::format::entry::DeviceNumber;
use crate::serve::image::reader::{ImageNode, damaged};

const FIFO: u16 = 0x1000;
const CHAR_DEVICE: u16 = 0x2000;
const FOLDER: u16 = 0x4000;
const BLOCK_DEVICE: u16 = 0x6000;
/// The type of a regular file.
pub(super) const FILE: u16 = 0x8000;
const SYMLINK: u16 = 0xa000;
const SOCKET: u16 = 0xc000;
const TYPE: u16 = 0xf000;

/// The part of a mode that says what an entry is.
pub(super) fn type_of(mode: u16) -> u16 {
    mode & TYPE
}

/// What an entry of this mode is: of `len` bytes, or a device, or a link to `target`, which is asked for
/// then alone.
pub(super) fn node_of(
    mode: u16,
    len: u64,
    device: DeviceNumber,
    target: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<ImageNode> {
    Ok(match type_of(mode) {
        FILE => ImageNode::File { len },
        FOLDER => ImageNode::Folder,
        SYMLINK => ImageNode::Symlink(target()?),
        FIFO => ImageNode::Fifo,
        SOCKET => ImageNode::Socket,
        CHAR_DEVICE => ImageNode::CharDevice(device),
        BLOCK_DEVICE => ImageNode::BlockDevice(device),
        other => return Err(damaged(format!("is of the unknown type {other:#x}"))),
    })
}
