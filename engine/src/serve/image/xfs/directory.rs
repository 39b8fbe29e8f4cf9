//! Folders of XFS: inside the inode, or records of names, block after block.
//!
//! The hashes by which names are searched lie behind all the records, or far behind them in the fork,
//! so that who reads all records needs nothing of them.

use crate::error::Result;
use crate::serve::image::reader::damaged;
use crate::serve::image::xfs::Xfs;
use crate::serve::image::xfs::block::Seal;
use crate::serve::image::xfs::inode::{Form, Inode};
use crate::sources::volume::layout::fields::{
    array, has, u8_at, u16_high_first, u32_high_first, u64_high_first,
};

/// Records end here in the fork; what lies behind are hashes and free space.
const RECORDS_LEN_MAX: u64 = 1 << 35;
/// A record that has no name begins with this.
const FREE_TAG: u16 = 0xffff;
/// Records begin and end at multiples of this.
const UNIT: usize = 8;
/// Of a record: inode and length of the name, and its own place behind it.
const HEAD_LEN: usize = 9;
const TAG_LEN: usize = 2;
/// What ends a folder of one block: numbers of hashes, each with an offset.
const TAIL_LEN: usize = 8;
const HASH_LEN: usize = 8;

const SEAL: Seal = Seal {
    crc_at: 4,
    uuid_at: 24,
    owner_at: 40,
    place_at: Some(8),
};

/// Takes name and inode number of an entry.
type Each<'e> = dyn FnMut(&[u8], u64) -> Result<()> + 'e;

impl Xfs {
    /// Gives name and inode number of every record.
    pub(super) fn each_entry(&self, folder: &Inode, each: &mut Each<'_>) -> Result<()> {
        let fork = folder.content();
        if fork.form == Form::Local {
            return short_form(fork.bytes, self.geometry.has_types, each);
        }
        if folder.len > RECORDS_LEN_MAX {
            return Err(damaged("is a folder that is too long"));
        }
        let geometry = &self.geometry;
        let unit = geometry.folder_block_len / geometry.block_len;
        let end = folder.len.div_ceil(geometry.folder_block_len) * unit;
        let mut at = 0;
        while at < end {
            let run = self.run(&fork, at)?;
            if run.start.is_none() && run.blocks >= unit {
                at = at.saturating_add(run.blocks / unit * unit);
                continue;
            }
            let block = self.fork_block(&fork, at, unit)?;
            block.check(geometry, &SEAL, folder.number)?;
            self.records(&block.bytes, each)?;
            at += unit;
        }
        Ok(())
    }

    fn records(&self, block: &[u8], each: &mut Each<'_>) -> Result<()> {
        let (magics, begin) = match self.geometry.has_checksums {
            true => ([b"XDB3", b"XDD3"], 64),
            false => ([b"XD2B", b"XD2D"], 16),
        };
        let end = if has(block, 0, magics[0]) {
            end_of_records(block).ok_or_else(broken)?
        } else if has(block, 0, magics[1]) {
            block.len()
        } else {
            return Err(broken());
        };
        let records = block.get(begin..end).ok_or_else(broken)?;
        each_record(records, self.geometry.has_types, each)
    }
}

/// Where the hashes begin in a folder of one block.
fn end_of_records(block: &[u8]) -> Option<usize> {
    let tail = block.len().checked_sub(TAIL_LEN)?;
    let hashes = usize::try_from(u32_high_first(block, tail)?).ok()?;
    tail.checked_sub(hashes.checked_mul(HASH_LEN)?)
}

fn each_record(mut rest: &[u8], has_types: bool, each: &mut Each<'_>) -> Result<()> {
    while !rest.is_empty() {
        let is_free = u16_high_first(rest, 0) == Some(FREE_TAG);
        let name_len = u8_at(rest, 8).map_or(0, usize::from);
        let len = match is_free {
            true => u16_high_first(rest, 2).map_or(0, usize::from),
            false => {
                let len = HEAD_LEN + name_len + usize::from(has_types) + TAG_LEN;
                len.next_multiple_of(UNIT)
            }
        };
        // At least a unit, so that every block ends.
        if len < UNIT || len > rest.len() || len % UNIT != 0 {
            return Err(broken());
        }
        let (record, behind) = rest.split_at(len);
        if !is_free {
            let inode = u64_high_first(record, 0).ok_or_else(broken)?;
            each(&record[HEAD_LEN..HEAD_LEN + name_len], inode)?;
        }
        rest = behind;
    }
    Ok(())
}

/// A folder that is short enough for its inode. All numbers are wide if any has to be.
fn short_form(bytes: &[u8], has_types: bool, each: &mut Each<'_>) -> Result<()> {
    let [count, wide] = array(bytes, 0).ok_or_else(broken)?;
    let number_len = if wide == 0 { 4 } else { 8 };
    let mut rest = bytes.get(2 + number_len..).ok_or_else(broken)?;
    for _ in 0..count {
        let name_len = u8_at(rest, 0).map_or(0, usize::from);
        let number_at = 3 + name_len + usize::from(has_types);
        let inode = match number_len {
            4 => array(rest, number_at).map(|number| u32::from_be_bytes(number).into()),
            _ => u64_high_first(rest, number_at),
        };
        let inode = inode.ok_or_else(broken)?;
        each(&rest[3..3 + name_len], inode)?;
        rest = &rest[number_at + number_len..];
    }
    Ok(())
}

fn broken() -> crate::error::Error {
    damaged("has a folder record that makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(inode: u64, name: &[u8], has_types: bool) -> Vec<u8> {
        let mut bytes = inode.to_be_bytes().to_vec();
        bytes.push(name.len() as u8);
        bytes.extend(name);
        bytes.extend(vec![1; usize::from(has_types)]);
        bytes.extend([0; TAG_LEN]);
        bytes.resize(bytes.len().next_multiple_of(UNIT), 0);
        bytes
    }

    fn free(len: u16) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xff];
        bytes.extend(len.to_be_bytes());
        bytes.resize(usize::from(len).max(4), 0);
        bytes
    }

    fn read(of: impl FnOnce(&mut Each<'_>) -> Result<()>) -> Result<Vec<(Vec<u8>, u64)>> {
        let mut found = Vec::new();
        of(&mut |name, inode| {
            found.push((name.to_vec(), inode));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn records_without_a_name_are_passed_over() {
        for has_types in [false, true] {
            let block = [
                record(11, b"a", has_types),
                free(24),
                record(1 << 40, b"\xff quite long", has_types),
            ];
            let block = block.concat();
            let expected = [(b"a".to_vec(), 11), (b"\xff quite long".to_vec(), 1 << 40)];
            let found = read(|each| each_record(&block, has_types, each));
            assert_eq!(found.unwrap(), expected);
        }
    }

    #[test]
    fn records_that_do_not_go_on_or_reach_beyond_the_block_are_refused() {
        for bad in [
            free(0),
            free(4),
            free(12),
            free(32)[..24].to_vec(),
            record(1, b"longer", true)[..16].to_vec(),
            vec![1; 7],
        ] {
            assert!(
                read(|each| each_record(&bad, true, each)).is_err(),
                "{bad:?}"
            );
        }
        let mut hashes = [0; 64];
        hashes[56] = 0xff;
        assert_eq!(end_of_records(&hashes), None);
        assert_eq!(end_of_records(&hashes[..5]), None);
    }

    #[test]
    fn short_folders_have_numbers_of_both_widths() {
        let narrow = [
            &[2, 0, 0, 0, 0, 99][..],
            &[1, 0, 0, b'a', 7, 0, 0, 0, 5],
            &[2, 0, 0, b'b', b'c', 7, 0, 0, 1, 0],
        ];
        let expected = [(b"a".to_vec(), 5), (b"bc".to_vec(), 256)];
        let narrow = narrow.concat();
        assert_eq!(
            read(|each| short_form(&narrow, true, each)).unwrap(),
            expected
        );
        let wide = [
            &[1, 1, 0, 0, 0, 0, 0, 0, 0, 99][..],
            &[1, 0, 0, b'a', 0, 0, 1, 0, 0, 0, 0, 5],
        ];
        let expected = [(b"a".to_vec(), (1 << 40) + 5)];
        let wide = wide.concat();
        assert_eq!(
            read(|each| short_form(&wide, false, each)).unwrap(),
            expected
        );
        for len in 0..narrow.len() {
            let cut = &narrow[..len];
            assert!(read(|each| short_form(cut, true, each)).is_err(), "{len}");
        }
    }
}
