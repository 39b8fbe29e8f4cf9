//! Pages, and the entries, groups and extents that they are made of.

use crate::encode::bytes;
use crate::encode::varint;
use crate::encode::zigzag;

pub(crate) fn page(page_type: u8, level: u8, count: u64, body: &[Vec<u8>]) -> Vec<u8> {
    [vec![page_type, level], varint(count), body.concat()].concat()
}

pub(crate) fn owner(uid: u64, name: &str) -> Vec<u8> {
    [
        varint(uid),
        varint(uid),
        bytes(name.as_bytes()),
        bytes(name.as_bytes()),
    ]
    .concat()
}

/// Folder and the encoded entries in it.
pub(crate) fn group(folder: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    group_of(folder, entries.len() as u64, entries)
}

pub(crate) fn group_of(folder: &[u8], count: u64, entries: &[Vec<u8>]) -> Vec<u8> {
    [bytes(folder), varint(count), entries.concat()].concat()
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub name: Vec<u8>,
    pub kind: u8,
    pub mode: u64,
    pub owner: u64,
    pub mtime: (i64, u64),
    pub attributes: Vec<(u8, Vec<u8>)>,
}

impl Entry {
    pub(crate) fn new(name: &[u8], kind: u8) -> Entry {
        let mode = if kind == 2 { 0o755 } else { 0o644 };
        let mtime = (1_700_000_000, 123_456_789);
        Entry {
            name: name.to_vec(),
            kind,
            mode,
            owner: 0,
            mtime,
            attributes: vec![],
        }
    }

    pub(crate) fn with(mut self, tag: u8, value: Vec<u8>) -> Entry {
        self.attributes.push((tag, value));
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = bytes(&self.name);
        out.push(self.kind);
        out.extend([varint(self.mode), varint(self.owner)].concat());
        out.extend([zigzag(self.mtime.0), varint(self.mtime.1)].concat());
        out.extend(varint(self.attributes.len() as u64));
        for (tag, value) in &self.attributes {
            out.push(*tag);
            out.extend(bytes(value));
        }
        out
    }
}

pub(crate) fn root_entry() -> Entry {
    Entry::new(b"", 2)
}

pub(crate) fn xattr(name: &[u8], value: &[u8]) -> Vec<u8> {
    [bytes(name), value.to_vec()].concat()
}

pub(crate) fn place(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [bytes(folder), bytes(name)].concat()
}

pub(crate) fn chunk(len: u64, id: [u8; 32]) -> Vec<u8> {
    [varint(len << 2), id.to_vec()].concat()
}

pub(crate) fn hole(len: u64) -> Vec<u8> {
    varint(len << 2 | 1)
}

pub(crate) fn zero(len: u64) -> Vec<u8> {
    varint(len << 2 | 2)
}

pub(crate) fn unreadable(len: u64) -> Vec<u8> {
    varint(len << 2 | 3)
}

pub(crate) fn tree_leaf(owners: &[Vec<u8>], count: u64, groups: &[Vec<u8>]) -> Vec<u8> {
    let body = [
        vec![varint(owners.len() as u64)],
        owners.to_vec(),
        groups.to_vec(),
    ]
    .concat();
    page(1, 0, count, &body)
}

pub(crate) fn tree_child(
    folder: &[u8],
    name: &[u8],
    entries: u64,
    len: u64,
    id: [u8; 32],
) -> Vec<u8> {
    [
        place(folder, name),
        varint(entries),
        varint(len),
        id.to_vec(),
    ]
    .concat()
}

pub(crate) fn scan_entry(name: &[u8], ctime: (i64, u64), inode: u64, flags: u8) -> Vec<u8> {
    [
        bytes(name),
        zigzag(ctime.0),
        varint(ctime.1),
        varint(inode),
        vec![flags],
    ]
    .concat()
}

pub(crate) fn scan_child(folder: &[u8], name: &[u8], entries: u64, id: [u8; 32]) -> Vec<u8> {
    [place(folder, name), varint(entries), id.to_vec()].concat()
}

pub(crate) fn extents_child(len: u64, id: [u8; 32]) -> Vec<u8> {
    [varint(len << 1), id.to_vec()].concat()
}

/// A child with an unreadable extent below.
pub(crate) fn unreadable_child(len: u64, id: [u8; 32]) -> Vec<u8> {
    [varint(len << 1 | 1), id.to_vec()].concat()
}

pub(crate) fn cuts_leaf(steps: &[u64]) -> Vec<u8> {
    let steps: Vec<_> = steps.iter().map(|&step| varint(step)).collect();
    page(4, 0, steps.len() as u64, &steps)
}

pub(crate) fn cuts_child(first: u64, count: u64, id: [u8; 32]) -> Vec<u8> {
    [varint(first), varint(count), id.to_vec()].concat()
}
