//! What holds across the pages of a manifest: each test breaks one rule between pages that are fine alone.

use crate::encode;
use crate::encode::pages;
use crate::encode::pages::Entry;
use blockstore_format_spec::reference::fault::Fault;
use blockstore_format_spec::reference::fault::Rejection;
use blockstore_format_spec::reference::pages::tree::FileContent;
use blockstore_format_spec::reference::walk;
use std::collections::HashMap;

type Id = [u8; 32];

/// Pages by id, and a walk's way to them.
#[derive(Default)]
struct Pages(HashMap<Id, Vec<u8>>);

impl Pages {
    fn add(&mut self, page: Vec<u8>) -> Id {
        let id = encode::hash(&page);
        self.0.insert(id, page);
        id
    }

    fn fetch(&self, id: &Id) -> Result<Vec<u8>, Rejection> {
        let absent = || Rejection::new(Fault::Missing, "page", "it is not there");
        self.0.get(id).cloned().ok_or_else(absent)
    }

    fn extents(&self, root: &Id, level: u8) -> Result<usize, Fault> {
        let walked = walk::walk_extents(root, level, &mut |id| self.fetch(id));
        walked
            .map(|extents| extents.len())
            .map_err(|rejection| rejection.fault)
    }

    fn tree(&self, root: &Id, level: u8) -> Result<usize, Fault> {
        let walked = walk::walk_tree(root, level, &mut |id| self.fetch(id));
        walked
            .map(|entries| entries.len())
            .map_err(|rejection| rejection.fault)
    }

    fn long(&self, len: u64, page: Id, level: u8) -> Result<usize, Fault> {
        let content = FileContent::Long { len, page, level };
        let walked = walk::file_extents(&content, &mut |id| self.fetch(id));
        walked
            .map(|extents| extents.len())
            .map_err(|rejection| rejection.fault)
    }

    fn cuts(&self, root: &Id, level: u8) -> Result<usize, Fault> {
        let walked = walk::walk_cuts(root, level, &mut |id| self.fetch(id));
        walked
            .map(|cuts| cuts.len())
            .map_err(|rejection| rejection.fault)
    }

    fn cuts_leaf(&mut self, steps: &[u64]) -> Id {
        self.add(pages::cuts_leaf(steps))
    }

    fn cuts_inner(&mut self, children: &[(u64, u64, Id)]) -> Id {
        let child = |(first, count, id): &(u64, u64, Id)| pages::cuts_child(*first, *count, *id);
        let encoded: Vec<_> = children.iter().map(child).collect();
        self.add(pages::page(4, 1, children.len() as u64, &encoded))
    }

    fn extents_leaf(&mut self, extents: &[Vec<u8>]) -> Id {
        self.add(pages::page(3, 0, extents.len() as u64, extents))
    }

    fn extents_inner(&mut self, level: u8, children: &[(u64, Id)]) -> Id {
        let encoded: Vec<_> = children
            .iter()
            .map(|(len, id)| pages::extents_child(*len, *id))
            .collect();
        self.add(pages::page(3, level, children.len() as u64, &encoded))
    }

    fn tree_leaf(&mut self, folder: &[u8], entries: &[Entry]) -> Id {
        let encoded: Vec<_> = entries.iter().map(Entry::encode).collect();
        let groups = [pages::group(folder, &encoded)];
        self.add(pages::tree_leaf(
            &[pages::owner(0, "")],
            entries.len() as u64,
            &groups,
        ))
    }

    fn tree_inner(&mut self, children: &[(&[u8], u64, u64, Id)]) -> Id {
        let child = |(name, entries, len, id): &(&[u8], u64, u64, Id)| {
            pages::tree_child(b"", name, *entries, *len, *id)
        };
        let encoded: Vec<_> = children.iter().map(child).collect();
        self.add(pages::page(1, 1, children.len() as u64, &encoded))
    }
}

fn chunks(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|n| pages::chunk(10, [n; 32])).collect()
}

#[test]
fn an_extents_manifest_of_two_levels_is_walked() {
    let mut pages = Pages::default();
    let leaf = pages.extents_leaf(&chunks(10));
    let inner = pages.extents_inner(1, &[(100, leaf), (100, leaf)]);
    assert_eq!(pages.extents(&inner, 1), Ok(20));
    let top = pages.extents_inner(2, &[(200, inner), (200, inner)]);
    assert_eq!(pages.extents(&top, 2), Ok(40));
}

#[test]
fn the_len_of_a_child_is_the_sum_of_all_below() {
    let mut pages = Pages::default();
    let leaf = pages.extents_leaf(&chunks(10));
    let inner = pages.extents_inner(1, &[(100, leaf), (101, leaf)]);
    assert_eq!(pages.extents(&inner, 1), Err(Fault::Malformed));
}

#[test]
fn a_page_is_of_the_level_that_its_address_says() {
    let mut pages = Pages::default();
    let leaf = pages.extents_leaf(&chunks(10));
    let inner = pages.extents_inner(2, &[(100, leaf), (100, leaf)]);
    assert_eq!(pages.extents(&inner, 2), Err(Fault::Malformed));
    assert_eq!(pages.extents(&leaf, 1), Err(Fault::Malformed));
    let inner = pages.extents_inner(1, &[(100, leaf), (100, leaf)]);
    assert_eq!(pages.extents(&inner, 0), Err(Fault::Malformed));
}

#[test]
fn a_root_is_not_wrapped_again() {
    let mut pages = Pages::default();
    let leaf = pages.extents_leaf(&chunks(10));
    let inner = pages.extents_inner(1, &[(100, leaf)]);
    assert_eq!(pages.extents(&inner, 1), Err(Fault::Malformed));
}

#[test]
fn holes_are_no_neighbours_across_pages() {
    let mut pages = Pages::default();
    let first = pages.extents_leaf(&[pages::chunk(10, [1; 32]), pages::hole(5)]);
    let second = pages.extents_leaf(&[pages::hole(6), pages::chunk(10, [2; 32])]);
    let inner = pages.extents_inner(1, &[(15, first), (16, second)]);
    assert_eq!(pages.extents(&inner, 1), Err(Fault::Malformed));
}

#[test]
fn only_a_root_may_be_empty() {
    let mut pages = Pages::default();
    let empty = pages.extents_leaf(&[]);
    assert_eq!(pages.extents(&empty, 0), Ok(0));
    let leaf = pages.extents_leaf(&chunks(10));
    let inner = pages.extents_inner(1, &[(100, leaf), (1, empty)]);
    assert_eq!(pages.extents(&inner, 1), Err(Fault::Malformed));
}

#[test]
fn long_content_has_more_than_16_extents_and_its_own_length() {
    let mut pages = Pages::default();
    let [short, long] = [
        pages.extents_leaf(&chunks(16)),
        pages.extents_leaf(&chunks(17)),
    ];
    assert_eq!(pages.long(170, long, 0), Ok(17));
    assert_eq!(pages.long(171, long, 0), Err(Fault::Malformed));
    assert_eq!(pages.long(160, short, 0), Err(Fault::Malformed));
}

#[test]
fn a_tree_of_two_leaves_is_walked_and_its_sums_are_checked() {
    let mut pages = Pages::default();
    let first = pages.tree_leaf(b"", &[pages::root_entry(), Entry::new(b"f", 4)]);
    let file = Entry::new(b"g", 1).with(2, pages::hole(70));
    let second = pages.tree_leaf(b"", &[file]);
    let children = |entries, len| [(&b""[..], 2, 0, first), (&b"g"[..], entries, len, second)];
    let mut walk = |children: &[(&[u8], u64, u64, Id)]| {
        let root = pages.tree_inner(children);
        pages.tree(&root, 1)
    };
    assert_eq!(walk(&children(1, 70)), Ok(3));
    assert_eq!(walk(&children(2, 70)), Err(Fault::Malformed));
    assert_eq!(walk(&children(1, 71)), Err(Fault::Malformed));
    assert_eq!(
        walk(&[(b"", 2, 0, first), (b"h", 1, 70, second)]),
        Err(Fault::Malformed)
    );
}

#[test]
fn entries_ascend_across_pages() {
    let mut pages = Pages::default();
    let first = pages.tree_leaf(b"", &[pages::root_entry(), Entry::new(b"m", 4)]);
    let second = pages.tree_leaf(b"", &[Entry::new(b"a", 4)]);
    let root = pages.tree_inner(&[(b"", 2, 0, first), (b"a", 1, 0, second)]);
    assert_eq!(pages.tree(&root, 1), Err(Fault::Malformed));
}

#[test]
fn a_page_that_is_missing_is_missing() {
    let pages = Pages::default();
    assert_eq!(pages.tree(&[0; 32], 0), Err(Fault::Missing));
}

#[test]
fn a_child_says_whether_an_unreadable_extent_lies_below() {
    let mut pages = Pages::default();
    let (fine, bad) = ([pages::chunk(9, [1; 32])], [pages::unreadable(9)]);
    let (fine, bad) = (pages.extents_leaf(&fine), pages.extents_leaf(&bad));
    let silent = pages.extents_inner(1, &[(9, fine), (9, bad)]);
    assert_eq!(pages.extents(&silent, 1), Err(Fault::Malformed));
    let mut told =
        |first: Vec<u8>, second: Vec<u8>| pages.add(pages::page(3, 1, 2, &[first, second]));
    let right = told(
        pages::extents_child(9, fine),
        pages::unreadable_child(9, bad),
    );
    let wrong = told(
        pages::unreadable_child(9, fine),
        pages::unreadable_child(9, bad),
    );
    assert_eq!(pages.extents(&right, 1), Ok(2));
    assert_eq!(pages.extents(&wrong, 1), Err(Fault::Malformed));
}

#[test]
fn cuts_ascend_across_pages_and_children_say_what_is_below() {
    let mut pages = Pages::default();
    let (a, b) = (pages.cuts_leaf(&[5, 5]), pages.cuts_leaf(&[20, 1, 1]));
    let good = pages.cuts_inner(&[(5, 2, a), (20, 3, b)]);
    assert_eq!(pages.cuts(&good, 1), Ok(5));
    assert_eq!(pages.cuts(&a, 0), Ok(2));
    assert_eq!(pages.cuts(&a, 1), Err(Fault::Malformed));
    for children in [
        [(5, 2, a), (19, 3, b)],
        [(5, 2, a), (20, 2, b)],
        [(4, 2, a), (20, 3, b)],
    ] {
        let wrong = pages.cuts_inner(&children);
        assert_eq!(pages.cuts(&wrong, 1), Err(Fault::Malformed));
    }
    let late = pages.cuts_leaf(&[5, 100]);
    let crossed = pages.cuts_inner(&[(5, 2, late), (20, 3, b)]);
    assert_eq!(pages.cuts(&crossed, 1), Err(Fault::Malformed));
    let single = pages.cuts_inner(&[(5, 2, a)]);
    assert_eq!(pages.cuts(&single, 1), Err(Fault::Malformed));
}
