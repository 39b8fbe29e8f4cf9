//! Folders of ext: records of names, block after block.
//!
//! The trees by which large folders are searched lie in records without an inode, so that who reads
//! all records needs nothing of them.

use crate::error::Result;
use crate::serve::image::ext::inode::Inode;
use crate::serve::image::ext::{Ext, u16_of};
use crate::serve::image::reader::damaged;
use crate::sources::volume::layout::fields::u32_at;

const HEADER_LEN: usize = 8;
/// Folders of a million entries have 64 MiB; the budget of reads ends longer ones.
const FOLDER_LEN_MAX: u64 = 1 << 32;

impl Ext {
    /// Gives name and inode number of every record that has one.
    pub(super) fn each_entry(
        &self,
        folder: &Inode,
        each: &mut dyn FnMut(&[u8], u64) -> Result<()>,
    ) -> Result<()> {
        if folder.len > FOLDER_LEN_MAX {
            return Err(damaged("is a folder that is too long"));
        }
        let block_len = self.geometry.block_len;
        let mut bytes = vec![0; block_len as usize];
        for at in (0..folder.len).step_by(block_len as usize) {
            let len = (folder.len - at).min(block_len) as usize;
            self.read_inode(folder, at, &mut bytes[..len])?;
            records(&bytes[..len], each)?;
        }
        Ok(())
    }
}

fn records(block: &[u8], each: &mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
    let mut rest = block;
    while !rest.is_empty() {
        let record = record_len(rest, block.len())?;
        let inode = u32_at(rest, 0).map_or(0, u64::from);
        let name_len = rest.get(6).map_or(0, |len| usize::from(*len));
        if inode != 0 {
            let name = rest[..record].get(HEADER_LEN..HEADER_LEN + name_len);
            each(name.ok_or_else(broken)?, inode)?;
        }
        rest = &rest[record..];
    }
    Ok(())
}

/// At least a header, so that every block ends. A record as long as a block of 64 KiB has no number
/// that says so.
fn record_len(rest: &[u8], block_len: usize) -> Result<usize> {
    let len = match u16_of(rest, 4)? {
        0 | 0xffff if block_len == 1 << 16 => block_len,
        len => len,
    };
    let fits = (HEADER_LEN..=rest.len()).contains(&len);
    fits.then_some(len).ok_or_else(broken)
}

fn broken() -> crate::error::Error {
    damaged("has a folder record that makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(inode: u32, len: u16, name: &[u8]) -> Vec<u8> {
        let mut bytes = inode.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend([name.len() as u8, 1]);
        bytes.extend(name);
        bytes.resize(usize::from(len).max(bytes.len()), 0);
        bytes
    }

    fn read(block: &[u8]) -> Result<Vec<(Vec<u8>, u64)>> {
        let mut found = Vec::new();
        records(block, &mut |name, inode| {
            found.push((name.to_vec(), inode));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn records_without_an_inode_are_passed_over() {
        let block = [
            record(11, 12, b"a"),
            record(0, 16, b"gone"),
            record(12, 20, b"\xff"),
        ];
        let expected = [(b"a".to_vec(), 11), (b"\xff".to_vec(), 12)];
        assert_eq!(read(&block.concat()).unwrap(), expected);
    }

    #[test]
    fn records_that_do_not_go_on_or_reach_beyond_the_block_are_refused() {
        for bad in [
            record(1, 0, b""),
            record(1, 7, b""),
            record(1, 12, b"a")[..11].to_vec(),
            record(1, 12, b"longer")[..12].to_vec(),
            vec![1; 5],
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
    }
}
