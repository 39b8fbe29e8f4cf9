//! What is no file system itself: a part of a volume group or a RAID, or the wrapping of ciphertext.

use crate::sources::volume::layout::fields::{
    array, has, text_at, u32_at, u32_high_first, u64_high_first,
};
use crate::sources::volume::layout::guid::uuid_unless_nil;
use crate::sources::volume::layout::probe::{FileSystem, FileSystemKind};
use crate::sources::volume::layout::window::Window;

const SECTOR_LEN: usize = 512;

pub(super) fn luks(head: &[u8]) -> Option<FileSystem> {
    if !has(head, 0, b"LUKS\xba\xbe") {
        return None;
    }
    // Two bytes of version lie behind six of magic: the word has the last two of both.
    let (kind, label) = match u32_high_first(head, 4)? & 0xffff {
        1 => (FileSystemKind::Luks1, None),
        2 => (FileSystemKind::Luks2, text_at(head, 24, 48)),
        _ => return None,
    };
    Some(FileSystem {
        uuid: text_at(head, 168, 40),
        label,
        ..FileSystem::of(kind)
    })
}

/// The label lies in one of the first four sectors.
pub(super) fn lvm(head: &[u8]) -> Option<FileSystem> {
    let mut sectors = head.chunks_exact(SECTOR_LEN).take(4);
    let label = sectors.find(|one| has(one, 0, b"LABELONE") && has(one, 24, b"LVM2 001"))?;
    let header = u32_at(label, 20)? as usize;
    let id = label.get(header..)?.get(..32)?;
    let is_id = id.iter().all(u8::is_ascii_alphanumeric);
    Some(FileSystem {
        uuid: is_id.then(|| lvm_id(id)),
        ..FileSystem::of(FileSystemKind::Lvm2)
    })
}

/// In groups of 6, 4, 4, 4, 4, 4 and 6 letters.
fn lvm_id(id: &[u8]) -> String {
    let mut text = String::with_capacity(38);
    for (index, letter) in id.iter().enumerate() {
        if [6, 10, 14, 18, 22, 26].contains(&index) {
            text.push('-');
        }
        text.push(char::from(*letter));
    }
    text
}

const MD_MAGIC: u32 = 0xa92b_4efc;

/// Versions 1.1 and 1.2 lie at the start, 1.0 and 0.90 near the end.
pub(super) fn md(head: &[u8], window: Window<'_>) -> Option<FileSystem> {
    let at_start = md_1(head).or_else(|| md_1(head.get(4096..)?));
    at_start
        .or_else(|| {
            let sectors = window.len() / SECTOR_LEN as u64;
            let last = (sectors.checked_sub(16)? & !7) * SECTOR_LEN as u64;
            md_1(&window.bytes(last, SECTOR_LEN).ok()?)
        })
        .or_else(|| {
            let last = (window.len() & !0xffff).checked_sub(0x1_0000)?;
            md_0(&window.bytes(last, SECTOR_LEN).ok()?)
        })
}

fn md_1(block: &[u8]) -> Option<FileSystem> {
    if u32_at(block, 0)? != MD_MAGIC || u32_at(block, 4)? != 1 {
        return None;
    }
    Some(FileSystem {
        uuid: uuid_unless_nil(array(block, 16)?),
        label: text_at(block, 32, 32),
        ..FileSystem::of(FileSystemKind::MdRaid)
    })
}

fn md_0(block: &[u8]) -> Option<FileSystem> {
    if u32_at(block, 0)? != MD_MAGIC || u32_at(block, 4)? != 0 {
        return None;
    }
    let mut id = [0; 16];
    id[..4].copy_from_slice(&array::<4>(block, 20)?);
    id[4..].copy_from_slice(&array::<12>(block, 52)?);
    Some(FileSystem {
        uuid: uuid_unless_nil(id),
        ..FileSystem::of(FileSystemKind::MdRaid)
    })
}

/// Where the list of names and values of the first label lies.
const ZFS_LIST_AT: usize = 16 << 10;
/// Names of it that are looked at; it has about a dozen.
const ZFS_NAMES_MAX: usize = 32;
const ZFS_NUMBER: u32 = 8;
const ZFS_TEXT: u32 = 9;

/// A label begins with a list in the format of XDR, of which `version` is the first name. The pool's
/// name and number are in it too.
pub(super) fn zfs(head: &[u8]) -> Option<FileSystem> {
    let list = head.get(ZFS_LIST_AT..)?;
    let mut rest = list.get(12..)?;
    let (first, ..) = zfs_pair(rest)?;
    if list[0] != 1 || u64_high_first(list, 4)? != 1 || first != b"version" {
        return None;
    }
    let mut found = FileSystem::of(FileSystemKind::Zfs);
    for _ in 0..ZFS_NAMES_MAX {
        let Some((name, kind, value)) = zfs_pair(rest) else {
            break;
        };
        match (name, kind) {
            (b"name", ZFS_TEXT) => {
                let len = u32_high_first(value, 0).unwrap_or(0);
                found.label = text_at(value, 4, len as usize);
            }
            (b"pool_guid", ZFS_NUMBER) => {
                found.uuid = u64_high_first(value, 0).map(|id| id.to_string());
            }
            _ => {}
        }
        let len = u32_high_first(rest, 0).unwrap_or(0);
        rest = rest.get(len as usize..).unwrap_or_default();
    }
    Some(found)
}

/// Name, kind and value of a pair: its length here and in memory, the name, the kind, how many.
fn zfs_pair(pair: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let name_len = u32_high_first(pair, 8)? as usize;
    let name = pair.get(12..)?.get(..name_len)?;
    let behind = pair.get(12 + name_len.next_multiple_of(4)..)?;
    Some((name, u32_high_first(behind, 0)?, behind.get(8..)?))
}
