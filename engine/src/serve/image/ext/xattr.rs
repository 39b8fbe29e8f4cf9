//! Extended attributes of ext: behind the fields of an inode, and in one block beside it.

use crate::error::Result;
use crate::format::entry::Xattr;
use crate::serve::image::ext::inode::Inode;
use crate::serve::image::ext::{Ext, u16_of};
use crate::serve::image::reader::damaged;
use crate::sources::volume::layout::fields::u32_at;

const MAGIC: u32 = 0xea02_0000;
const ENTRY_LEN: usize = 16;
/// Before the entries of a block, and of an inode.
const BLOCK_HEADER_LEN: usize = 32;
const INODE_HEADER_LEN: usize = 4;
/// What names begin with, by number; those that are missing are no attributes of users.
const ACL_ACCESS: u8 = 2;
const ACL_DEFAULT: u8 = 3;
/// Content inside an inode: no attribute.
const SYSTEM_DATA: (u8, &[u8]) = (7, b"data");

/// All attributes, ascending by name.
pub(super) fn read(ext: &Ext, inode: &Inode) -> Result<Vec<Xattr>> {
    let mut xattrs = Vec::new();
    let tail = inode.tail();
    if u32_at(tail, 0) == Some(MAGIC) {
        let entries = &tail[INODE_HEADER_LEN..];
        collect(entries, entries, &mut xattrs)?;
    }
    if let Some(block) = inode.attribute_block() {
        let block = ext.block(block)?;
        if u32_at(&block, 0) != Some(MAGIC) {
            return Err(damaged("has attributes that make no sense"));
        }
        collect(&block[BLOCK_HEADER_LEN..], &block, &mut xattrs)?;
    }
    xattrs.sort();
    xattrs.dedup_by(|second, first| second.name == first.name);
    Ok(xattrs)
}

/// Reads entries up to four zero bytes; their values lie at offsets in `values`.
fn collect(mut entries: &[u8], values: &[u8], xattrs: &mut Vec<Xattr>) -> Result<()> {
    let broken = || damaged("has attributes that make no sense");
    while u32_at(entries, 0).is_some_and(|head| head != 0) {
        let [name_len, prefix] = [entries[0], entries[1]];
        let offset = u16_of(entries, 2)?;
        let value_inode = u32_at(entries, 4).ok_or_else(broken)?;
        let len = u32_at(entries, 8).ok_or_else(broken)? as usize;
        let name_end = ENTRY_LEN + usize::from(name_len);
        let name = entries.get(ENTRY_LEN..name_end).ok_or_else(broken)?;
        entries = entries
            .get(name_end.next_multiple_of(4)..)
            .ok_or_else(broken)?;
        // What lies in an inode of its own is told once, for the whole file system.
        if value_inode != 0 || (prefix, name) == SYSTEM_DATA {
            continue;
        }
        let value = values.get(offset..).and_then(|rest| rest.get(..len));
        let value = value.ok_or_else(broken)?;
        xattrs.extend(attribute(prefix, name, value)?);
    }
    Ok(())
}

fn attribute(prefix: u8, name: &[u8], value: &[u8]) -> Result<Option<Xattr>> {
    let begin: &[u8] = match prefix {
        0 => b"",
        1 => b"user.",
        ACL_ACCESS => b"system.posix_acl_access",
        ACL_DEFAULT => b"system.posix_acl_default",
        4 => b"trusted.",
        6 => b"security.",
        7 => b"system.",
        8 => b"system.richacl",
        _ => return Ok(None),
    };
    let value = match prefix {
        ACL_ACCESS | ACL_DEFAULT => {
            acl(value).ok_or_else(|| damaged("has an ACL that makes no sense"))?
        }
        _ => value.to_vec(),
    };
    let name = [begin, name].concat();
    Ok(Some(Xattr { name, value }))
}

const ACL_STORED_VERSION: u32 = 1;
const ACL_VERSION: u32 = 2;
const ACL_USER: u16 = 0x02;
const ACL_GROUP: u16 = 0x08;
const ACL_NO_ID: u32 = u32::MAX;

/// On the disk only entries of named users and groups have a number; as an attribute all have one.
fn acl(stored: &[u8]) -> Option<Vec<u8>> {
    let (version, mut rest) = stored.split_first_chunk()?;
    if u32::from_le_bytes(*version) != ACL_STORED_VERSION {
        return None;
    }
    let mut value = ACL_VERSION.to_le_bytes().to_vec();
    while !rest.is_empty() {
        let (head, behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        value.extend_from_slice(head);
        let tag = u16::from_le_bytes([head[0], head[1]]);
        let mut id = ACL_NO_ID.to_le_bytes();
        if matches!(tag, ACL_USER | ACL_GROUP) {
            let (number, behind) = rest.split_first_chunk()?;
            (id, rest) = (*number, behind);
        }
        value.extend_from_slice(&id);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_is_what_the_kernel_would_give() {
        let stored = [
            &[1, 0, 0, 0][..],
            &[1, 0, 6, 0],
            &[2, 0, 4, 0, 0xe8, 3, 0, 0],
            &[4, 0, 4, 0],
        ];
        let expected = [
            &[2, 0, 0, 0][..],
            &[1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff],
            &[2, 0, 4, 0, 0xe8, 3, 0, 0],
            &[4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff],
        ];
        assert_eq!(acl(&stored.concat()), Some(expected.concat()));
        assert_eq!(acl(&stored.concat()[..14]), None);
        assert_eq!(acl(&[2, 0, 0, 0]), None);
    }

    #[test]
    fn attributes_that_reach_beyond_their_place_are_refused() {
        let mut entry = vec![
            1, 1, 20, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, b'a', 0, 0, 0,
        ];
        entry.extend(b"\0\0\0\0xyz");
        let read = |bytes: &[u8]| {
            let mut xattrs = Vec::new();
            collect(bytes, bytes, &mut xattrs).map(|()| xattrs)
        };
        entry[2] = 24;
        let found = read(&entry).unwrap();
        assert_eq!(
            (&*found[0].name, &*found[0].value),
            (&b"user.a"[..], &b"xyz"[..])
        );
        entry[8] = 4;
        assert!(read(&entry).is_err());
        entry[8] = 3;
        entry[0] = 200;
        assert!(read(&entry).is_err());
    }
}
