//! What tells trees, scans, extents and cuts apart while their pages are built and walked.

use crate::format::Decoded;
use crate::format::cuts::{self, CutsChild};
use crate::format::entry::{FolderPath, TreePath};
use crate::format::extents::{self, ExtentsChild};
use crate::format::id::PageId;
use crate::format::scan::{self, ScanChild, ScanItem};
use crate::format::tree::{self, TreeChild, TreeItem};

/// A kind of manifest, as its inner pages see it.
pub trait Shape {
    /// What an inner page says of one child.
    type Child: Clone;

    /// Appends one child.
    fn encode_child(out: &mut Vec<u8>, child: &Self::Child);
    /// An inner page.
    fn encode_inner(level: u8, children: &[Self::Child]) -> Vec<u8>;
    /// Reads an inner page: its level and children.
    fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<Self::Child>)>;
    /// What the level above says of the page that holds `children`, of which there is at least one.
    fn join(children: &[Self::Child], page: PageId) -> Self::Child;
    /// The page that holds the child.
    fn page(child: &Self::Child) -> PageId;
}

/// A manifest that is a sorted map from place to entry.
pub trait MapShape: Shape {
    /// One entry.
    type Item;

    /// Reads a leaf.
    fn decode_leaf(page: &[u8]) -> Decoded<Vec<Self::Item>>;
    /// The first entry below a child.
    fn first(child: &Self::Child) -> &TreePath;
    /// Entries below a child.
    fn entries(child: &Self::Child) -> u64;
    /// Where an entry lies.
    fn key(item: &Self::Item) -> (&FolderPath, &[u8]);
}

/// Names and what they are.
#[derive(Debug)]
pub enum Tree {}

/// What tells a changed entry from an unchanged one.
#[derive(Debug)]
pub enum Scan {}

/// Runs of bytes.
#[derive(Debug)]
pub(crate) enum Extents {}

/// Forced ends of chunks.
#[derive(Debug)]
pub(crate) enum Cuts {}

impl Shape for Tree {
    type Child = TreeChild;

    fn encode_child(out: &mut Vec<u8>, child: &TreeChild) {
        tree::encode_child(out, child);
    }

    fn encode_inner(level: u8, children: &[TreeChild]) -> Vec<u8> {
        tree::encode_inner(level, children)
    }

    fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<TreeChild>)> {
        tree::decode_inner(page)
    }

    fn join(children: &[TreeChild], page: PageId) -> TreeChild {
        let sum = |of: fn(&TreeChild) -> u64| children.iter().map(of).fold(0, u64::saturating_add);
        let (entries, bytes) = (sum(|child| child.entries), sum(|child| child.bytes));
        TreeChild {
            first: children[0].first.clone(),
            entries,
            bytes,
            page,
        }
    }

    fn page(child: &TreeChild) -> PageId {
        child.page
    }
}

impl MapShape for Tree {
    type Item = TreeItem;

    fn decode_leaf(page: &[u8]) -> Decoded<Vec<TreeItem>> {
        tree::decode_leaf(page)
    }

    fn first(child: &TreeChild) -> &TreePath {
        &child.first
    }

    fn entries(child: &TreeChild) -> u64 {
        child.entries
    }

    fn key(item: &TreeItem) -> (&FolderPath, &[u8]) {
        (&item.folder, &item.entry.name)
    }
}

impl Shape for Scan {
    type Child = ScanChild;

    fn encode_child(out: &mut Vec<u8>, child: &ScanChild) {
        scan::encode_child(out, child);
    }

    fn encode_inner(level: u8, children: &[ScanChild]) -> Vec<u8> {
        scan::encode_inner(level, children)
    }

    fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<ScanChild>)> {
        scan::decode_inner(page)
    }

    fn join(children: &[ScanChild], page: PageId) -> ScanChild {
        let entries = children
            .iter()
            .map(|child| child.entries)
            .fold(0, u64::saturating_add);
        ScanChild {
            first: children[0].first.clone(),
            entries,
            page,
        }
    }

    fn page(child: &ScanChild) -> PageId {
        child.page
    }
}

impl MapShape for Scan {
    type Item = ScanItem;

    fn decode_leaf(page: &[u8]) -> Decoded<Vec<ScanItem>> {
        scan::decode_leaf(page)
    }

    fn first(child: &ScanChild) -> &TreePath {
        &child.first
    }

    fn entries(child: &ScanChild) -> u64 {
        child.entries
    }

    fn key(item: &ScanItem) -> (&FolderPath, &[u8]) {
        (&item.folder, &item.name)
    }
}

impl Shape for Extents {
    type Child = ExtentsChild;

    fn encode_child(out: &mut Vec<u8>, child: &ExtentsChild) {
        extents::encode_child(out, child);
    }

    fn encode_inner(level: u8, children: &[ExtentsChild]) -> Vec<u8> {
        extents::encode_inner(level, children)
    }

    fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<ExtentsChild>)> {
        extents::decode_inner(page)
    }

    fn join(children: &[ExtentsChild], page: PageId) -> ExtentsChild {
        let len = children
            .iter()
            .map(|child| child.len)
            .fold(0, u64::saturating_add);
        let unreadable = children.iter().any(|child| child.unreadable);
        ExtentsChild {
            len,
            unreadable,
            page,
        }
    }

    fn page(child: &ExtentsChild) -> PageId {
        child.page
    }
}

impl Shape for Cuts {
    type Child = CutsChild;

    fn encode_child(out: &mut Vec<u8>, child: &CutsChild) {
        cuts::encode_child(out, child);
    }

    fn encode_inner(level: u8, children: &[CutsChild]) -> Vec<u8> {
        cuts::encode_inner(level, children)
    }

    fn decode_inner(page: &[u8]) -> Decoded<(u8, Vec<CutsChild>)> {
        cuts::decode_inner(page)
    }

    fn join(children: &[CutsChild], page: PageId) -> CutsChild {
        let counts = children.iter().map(|child| child.count);
        CutsChild {
            first: children[0].first,
            count: counts.fold(0, u64::saturating_add),
            page,
        }
    }

    fn page(child: &CutsChild) -> PageId {
        child.page
    }
}
