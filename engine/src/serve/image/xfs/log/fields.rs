//! Inodes as the log has them: numbers with the low byte first, and roots of trees as nodes.

use crate::error::Result;
use crate::serve::image::reader::damaged;
use crate::serve::image::xfs::extents::{ROOT_HEADER_LEN, children_max, tree_header_len};
use crate::serve::image::xfs::inode;
use crate::sources::volume::layout::fields::{array, u64_at};

/// Fields of inodes of version 1 and 2 in the log.
const FIELDS_LOGGED_LEN: usize = 96;
/// Numbers among the fields of an inode: where, and how wide.
const NUMBERS: [(usize, usize); 14] = [
    (0, 2),
    (2, 2),
    (8, 4),
    (12, 4),
    (16, 4),
    (20, 2),
    (22, 2),
    (56, 8),
    (64, 8),
    (72, 4),
    (84, 4),
    (88, 2),
    (90, 2),
    (92, 4),
];
const COUNTS: [(usize, usize); 3] = [(30, 2), (76, 4), (80, 2)];
const BIG_COUNTS: [(usize, usize); 2] = [(24, 8), (76, 4)];
/// Only version 3 has these.
const NUMBERS_3: [(usize, usize); 5] = [(104, 8), (112, 8), (120, 8), (128, 4), (152, 8)];
const TIMES: [usize; 3] = [32, 40, 48];
const BIRTH_AT: usize = 144;
const FLAGS_2_AT: usize = 120;

/// Fields are as on the disk, but for the order of the bytes of numbers.
pub(super) fn put_fields(fields: &[u8], inode: &mut [u8]) -> Result<()> {
    let (len, is_version_3) = match fields.len() {
        FIELDS_LOGGED_LEN => (FIELDS_LOGGED_LEN, false),
        inode::FIELDS_3_LEN => (inode::FIELDS_3_LEN, true),
        _ => return Err(broken()),
    };
    let flags = match is_version_3 {
        true => u64_at(fields, FLAGS_2_AT).ok_or_else(broken)?,
        false => 0,
    };
    put(inode, 0, fields)?;
    let mut turn = |(at, width): (usize, usize)| inode[at..at + width].reverse();
    NUMBERS.into_iter().for_each(&mut turn);
    match flags & inode::FLAG_2_BIG_COUNTS {
        0 => COUNTS.into_iter().for_each(&mut turn),
        _ => BIG_COUNTS.into_iter().for_each(&mut turn),
    }
    if is_version_3 {
        NUMBERS_3.into_iter().for_each(&mut turn);
    }
    for at in TIMES.into_iter().chain([BIRTH_AT]).filter(|at| *at < len) {
        match flags & inode::FLAG_2_BIG_TIME {
            0 => [(at, 4), (at + 4, 4)].into_iter().for_each(&mut turn),
            _ => turn((at, 8)),
        }
    }
    Ok(())
}

/// A root of a tree is logged as a node of one, with a longer header and more room than a fork has.
pub(super) fn put_root(node: &[u8], has_checksums: bool, fork: &mut [u8]) -> Result<()> {
    let entries = node
        .get(tree_header_len(has_checksums)..)
        .ok_or_else(broken)?;
    let counts: [u8; 4] = array(node, 4).ok_or_else(broken)?;
    let count = usize::from(u16::from_be_bytes([counts[2], counts[3]]));
    let room = fork.get_mut(ROOT_HEADER_LEN..).ok_or_else(broken)?;
    let (logged_max, kept_max) = (children_max(entries.len()), children_max(room.len()));
    if count > logged_max || count > kept_max {
        return Err(broken());
    }
    let (keys, pointers) = entries.split_at(logged_max * 8);
    put(room, 0, &keys[..count * 8])?;
    put(room, kept_max * 8, &pointers[..count * 8])?;
    put(fork, 0, &counts)
}

/// Writes over bytes that are there.
pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<()> {
    let place = bytes
        .get_mut(at..)
        .and_then(|rest| rest.get_mut(..value.len()));
    place.ok_or_else(broken)?.copy_from_slice(value);
    Ok(())
}

fn broken() -> crate::error::Error {
    damaged("has a log that makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_fields_are_turned_by_their_widths() {
        let mut logged = [0; inode::FIELDS_3_LEN];
        logged[..4].copy_from_slice(b"NI\x34\x12");
        logged[24] = 5;
        logged[40..48].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        logged[76..82].copy_from_slice(&[1, 0, 0, 0, 2, 0]);
        let turned = |logged: &[u8]| {
            let mut inode = [0; 256];
            put_fields(logged, &mut inode).unwrap();
            inode
        };
        let narrow = turned(&logged);
        assert_eq!(narrow[..4], *b"IN\x12\x34");
        assert_eq!(narrow[40..48], [4, 3, 2, 1, 8, 7, 6, 5]);
        assert_eq!(narrow[76..82], [0, 0, 0, 1, 0, 2]);
        logged[FLAGS_2_AT] = (inode::FLAG_2_BIG_TIME | inode::FLAG_2_BIG_COUNTS) as u8;
        let wide = turned(&logged);
        assert_eq!(wide[24..32], [0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(wide[40..48], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert!(put_fields(&logged[..100], &mut [0; 256]).is_err());
        assert_eq!(turned(&logged[..FIELDS_LOGGED_LEN])[..2], *b"IN");
    }

    #[test]
    fn a_root_is_a_node_with_less_room() {
        let mut node = vec![0; tree_header_len(false)];
        node[4..8].copy_from_slice(&[0, 1, 0, 2]);
        for number in [10_u64, 11, 0, 20, 21, 0] {
            node.extend(number.to_be_bytes());
        }
        let mut fork = [0xee; ROOT_HEADER_LEN + 32];
        put_root(&node, false, &mut fork).unwrap();
        let numbers = [10_u64, 11, 20, 21].map(u64::to_be_bytes).concat();
        assert_eq!(fork[..ROOT_HEADER_LEN], [0, 1, 0, 2]);
        assert_eq!(fork[ROOT_HEADER_LEN..], numbers);
        assert!(put_root(&node, false, &mut fork[..30]).is_err());
        node[7] = 4;
        assert!(put_root(&node, false, &mut [0; 200]).is_err());
        assert!(put_root(&node[..20], false, &mut fork).is_err());
    }
}
