//! Extended attributes of XFS: inside the inode, or in leaves of a fork of their own.
//!
//! Leaves know the next one, so the tree by which names are searched is entered once, to find the first.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Xattr;
use crate::limits::{XATTR_LEN_LIMIT, XATTRS_LEN_LIMIT};
use crate::serve::image::reader::damaged;
use crate::serve::image::xfs::Xfs;
use crate::serve::image::xfs::block::Seal;
use crate::serve::image::xfs::inode::{Fork, Form, Inode};
use crate::serve::image::xfs::remote::Remote;
use crate::sources::volume::layout::fields::{u8_at, u16_high_first, u32_high_first};

const NODE: u16 = 0xfebe;
const NODE_3: u16 = 0x3ebe;
const LEAF: u16 = 0xfbee;
const LEAF_3: u16 = 0x3bee;
const ENTRY_LEN: usize = 8;

/// Nodes and leaves that are looked at for one inode: what there is room for ends earlier.
const BLOCKS_MAX: usize = 4_096;

const FLAG_LOCAL: u8 = 0x1;
const FLAG_TRUSTED: u8 = 0x2;
const FLAG_SECURE: u8 = 0x4;
/// Links to folders above, and what was not finished: no attributes of users.
const FLAGS_HIDDEN: u8 = 0x88;

const SEAL: Seal = Seal {
    crc_at: 12,
    uuid_at: 32,
    owner_at: 48,
    place_at: Some(16),
};

/// All attributes, ascending by name.
pub(super) fn read(xfs: &Xfs, inode: &Inode) -> Result<Vec<Xattr>> {
    let mut found = Collected::default();
    match inode.attributes() {
        None => (),
        Some(fork) if fork.form == Form::Local => found.short_form(fork.bytes)?,
        Some(fork) => found.leaves(xfs, &fork)?,
    }
    let mut xattrs = found.xattrs;
    xattrs.sort();
    xattrs.dedup_by(|second, first| second.name == first.name);
    Ok(xattrs)
}

#[derive(Default)]
struct Collected {
    xattrs: Vec<Xattr>,
    len: usize,
}

/// Where an attribute's value is.
enum Value<'b> {
    Here(&'b [u8]),
    Remote { block: u64, len: usize },
}

impl Collected {
    fn short_form(&mut self, bytes: &[u8]) -> Result<()> {
        let count = u8_at(bytes, 2).ok_or_else(broken)?;
        let mut rest = bytes.get(4..).ok_or_else(broken)?;
        for _ in 0..count {
            let &[name_len, value_len, flags, ref behind @ ..] = rest else {
                return Err(broken());
            };
            let (name, behind) = cut(behind, name_len.into())?;
            let (value, behind) = cut(behind, value_len.into())?;
            self.add(flags, name, || Ok(value.to_vec()), value.len())?;
            rest = behind;
        }
        Ok(())
    }

    fn leaves(&mut self, xfs: &Xfs, fork: &Fork<'_>) -> Result<()> {
        let mut next = 0;
        for _ in 0..BLOCKS_MAX {
            let block = xfs.fork_block(fork, next, 1)?;
            block.check(&xfs.geometry, &SEAL, fork.owner)?;
            let bytes = &block.bytes;
            let has_checksums = xfs.geometry.has_checksums;
            let magic = u16_high_first(bytes, 8);
            // A node leads to what is below it: hash and block of the first child.
            let first_child = match (magic, has_checksums) {
                (Some(NODE), false) => Some(20),
                (Some(NODE_3), true) => Some(68),
                (Some(LEAF), false) | (Some(LEAF_3), true) => None,
                _ => return Err(broken()),
            };
            if first_child.is_none() {
                self.leaf(xfs, fork, bytes)?;
            }
            next = u32_high_first(bytes, first_child.unwrap_or(0)).map_or(0, u64::from);
            if next == 0 {
                return Ok(());
            }
        }
        Err(broken())
    }

    fn leaf(&mut self, xfs: &Xfs, fork: &Fork<'_>, leaf: &[u8]) -> Result<()> {
        let (count_at, entries_at) = match xfs.geometry.has_checksums {
            true => (56, 80),
            false => (12, 32),
        };
        let count = usize::from(u16_high_first(leaf, count_at).ok_or_else(broken)?);
        let entries = leaf[entries_at..].as_chunks::<ENTRY_LEN>().0;
        for entry in entries.get(..count).ok_or_else(broken)? {
            let (flags, name, value) = entry_of(leaf, entry).ok_or_else(broken)?;
            match value {
                Value::Here(value) => self.add(flags, name, || Ok(value.to_vec()), value.len())?,
                Value::Remote { block, len } => {
                    let remote = || xfs.remote(&Remote::Value, fork, block, len);
                    self.add(flags, name, remote, len)?;
                }
            }
        }
        Ok(())
    }

    /// Adds an attribute of users, whose value is only asked for if there is room for it.
    fn add(
        &mut self,
        flags: u8,
        name: &[u8],
        value: impl FnOnce() -> Result<Vec<u8>>,
        value_len: usize,
    ) -> Result<()> {
        if flags & FLAGS_HIDDEN != 0 {
            return Ok(());
        }
        self.len += name.len() + value_len;
        if value_len > XATTR_LEN_LIMIT || self.len > XATTRS_LEN_LIMIT {
            return Err(too_long());
        }
        self.xattrs.extend(attribute(flags, name, value()?)?);
        Ok(())
    }
}

fn entry_of<'l>(leaf: &'l [u8], entry: &[u8; ENTRY_LEN]) -> Option<(u8, &'l [u8], Value<'l>)> {
    let at = usize::from(u16_high_first(entry, 4)?);
    let flags = entry[6];
    let (name_len_at, name_at) = match flags & FLAG_LOCAL {
        0 => (at + 8, at + 9),
        _ => (at + 2, at + 3),
    };
    let name_end = name_at + usize::from(u8_at(leaf, name_len_at)?);
    let name = leaf.get(name_at..name_end)?;
    let value = match flags & FLAG_LOCAL {
        0 => Value::Remote {
            block: u32_high_first(leaf, at)?.into(),
            len: u32_high_first(leaf, at + 4)? as usize,
        },
        _ => {
            let len = usize::from(u16_high_first(leaf, at)?);
            Value::Here(leaf.get(name_end..name_end + len)?)
        }
    };
    Some((flags, name, value))
}

fn attribute(flags: u8, name: &[u8], value: Vec<u8>) -> Result<Option<Xattr>> {
    let name = match (flags & (FLAG_TRUSTED | FLAG_SECURE), name) {
        (FLAG_TRUSTED, b"SGI_ACL_FILE") => return acl(b"system.posix_acl_access", &value),
        (FLAG_TRUSTED, b"SGI_ACL_DEFAULT") => return acl(b"system.posix_acl_default", &value),
        (0, name) => [b"user.", name].concat(),
        (FLAG_TRUSTED, name) => [b"trusted.", name].concat(),
        (FLAG_SECURE, name) => [b"security.", name].concat(),
        _ => return Err(broken()),
    };
    Ok(Some(Xattr { name, value }))
}

const ACL_ENTRY_LEN: usize = 12;
const ACL_VERSION: u32 = 2;
const ACL_USER: u32 = 0x02;
const ACL_GROUP: u32 = 0x08;
const ACL_NO_ID: u32 = u32::MAX;

/// On the disk numbers are wider, the high byte first; as an attribute they are as on any file system.
fn acl(name: &[u8], stored: &[u8]) -> Result<Option<Xattr>> {
    let broken = || damaged("has an ACL that makes no sense");
    let count = u32_high_first(stored, 0).ok_or_else(broken)? as usize;
    let entries = stored[4..].as_chunks::<ACL_ENTRY_LEN>().0;
    let mut value = ACL_VERSION.to_le_bytes().to_vec();
    for entry in entries.get(..count).ok_or_else(broken)? {
        let tag = u32_high_first(entry, 0).ok_or_else(broken)?;
        let id = match tag {
            ACL_USER | ACL_GROUP => u32_high_first(entry, 4).ok_or_else(broken)?,
            _ => ACL_NO_ID,
        };
        let permissions = u16_high_first(entry, 8).ok_or_else(broken)?;
        value.extend(u16::try_from(tag).map_err(|_| broken())?.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    let name = name.to_vec();
    Ok(Some(Xattr { name, value }))
}

fn cut(bytes: &[u8], len: usize) -> Result<(&[u8], &[u8])> {
    bytes.split_at_checked(len).ok_or_else(broken)
}

fn too_long() -> Error {
    let detail = format!(
        "has an extended attribute longer than {XATTR_LEN_LIMIT} bytes, or more than \
         {XATTRS_LEN_LIMIT} bytes of them"
    );
    Error::new(ErrorKind::LimitExceeded, Place::Argument("image"), detail)
}

fn broken() -> Error {
    damaged("has attributes that make no sense")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_is_what_the_kernel_would_give() {
        let stored = [
            &[0, 0, 0, 3][..],
            &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 6, 0, 0],
            &[0, 0, 0, 2, 0, 0, 3, 0xe8, 0, 4, 0, 0],
            &[0, 0, 0, 4, 0, 0, 0, 0, 0, 4, 0, 0],
        ];
        let expected = [
            &[2, 0, 0, 0][..],
            &[1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff],
            &[2, 0, 4, 0, 0xe8, 3, 0, 0],
            &[4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff],
        ];
        let stored = stored.concat();
        let found = attribute(FLAG_TRUSTED, b"SGI_ACL_FILE", stored.clone());
        let found = found.unwrap().unwrap();
        assert_eq!(found.name, b"system.posix_acl_access");
        assert_eq!(found.value, expected.concat());
        assert!(acl(b"", &stored[..39]).is_err());
        assert!(acl(b"", &stored[..3]).is_err());
    }

    #[test]
    fn short_attributes_are_read_and_hidden_ones_are_not() {
        let mut bytes = vec![0, 0, 3, 0];
        bytes.extend(b"\x01\x03\x00axyz");
        bytes.extend(b"\x01\x01\x08pq");
        bytes.extend(b"\x02\x00\x04bc");
        let mut found = Collected::default();
        found.short_form(&bytes).unwrap();
        let names: Vec<_> = found.xattrs.iter().map(|one| &*one.name).collect();
        assert_eq!(names, [&b"user.a"[..], b"security.bc"]);
        assert_eq!(found.xattrs[0].value, b"xyz");
        for len in 0..bytes.len() {
            assert!(Collected::default().short_form(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn entries_that_reach_beyond_their_leaf_are_refused() {
        let mut leaf = vec![0; 100];
        leaf[80..86].copy_from_slice(b"\x00\x02\x01axy");
        let mut entry = [0, 0, 0, 0, 0, 80, FLAG_LOCAL, 0];
        assert!(entry_of(&leaf[..85], &entry).is_none());
        assert!(entry_of(&leaf, &entry).is_some_and(|found| found.1 == b"a"));
        leaf[81] = 17;
        assert!(entry_of(&leaf, &entry).is_none());
        entry[6] = 0;
        assert!(entry_of(&leaf[..88], &entry).is_none());
    }

    #[test]
    fn attributes_are_limited_one_by_one_and_together() {
        let mut found = Collected::default();
        let never = || -> Result<Vec<u8>> { panic!("nobody asks for it") };
        assert!(found.add(0, b"a", never, XATTR_LEN_LIMIT + 1).is_err());
        let mut found = Collected::default();
        let count = XATTRS_LEN_LIMIT / XATTR_LEN_LIMIT;
        let added = (0..count).map(|_| found.add(0, b"a", || Ok(vec![]), XATTR_LEN_LIMIT));
        assert_eq!(added.filter(|added| added.is_err()).count(), 1);
    }
}
