//! The bytes of one file inside a volume, in order.

use std::io::Write;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::FolderPath;
use crate::limits::MIB;
use crate::serve::image::item::ImageEntry;
use crate::serve::image::open::Image;
use crate::serve::image::reader::ImageNode;

/// Bytes that are asked for at a time: some readers find a place in a file by going there from its
/// beginning.
const PIECE_LEN: usize = 4 * MIB;

/// Writes the content of the file at `path` to `out`, every byte verified; stops at the first that
/// cannot be had. Does not follow links.
///
/// # Errors
/// If it is no file, or not all of it is to be had.
pub fn cat(image: &mut Image, path: &FolderPath, out: &mut dyn Write) -> Result<u64> {
    let entry = image.entry(path)?;
    if let ImageNode::Symlink(_) = entry.node() {
        let detail = "is a symbolic link, which is not followed: give the path it leads to";
        return Err(image.error(path, ErrorKind::InvalidInput, detail.to_owned()));
    }
    let mut written = 0;
    pieces(image, path, &entry, &mut |_, piece| {
        out.write_all(piece)
            .map_err(|error| Error::io(Place::Argument("output"), "write the content", error))?;
        written += piece.len() as u64;
        Ok(())
    })?;
    Ok(written)
}

/// Gives the content of a file to `each`, with the offset of each piece.
pub(super) fn pieces(
    image: &mut Image,
    path: &FolderPath,
    entry: &ImageEntry,
    each: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let ImageNode::File { len } = *entry.node() else {
        let detail = "is not a regular file".to_owned();
        return Err(image.error(path, ErrorKind::InvalidInput, detail));
    };
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < len {
        buffer.resize((len - at).min(PIECE_LEN as u64) as usize, 0);
        image.read_at(path, entry, at, &mut buffer)?;
        each(at, &buffer)?;
        at += buffer.len() as u64;
    }
    Ok(())
}
