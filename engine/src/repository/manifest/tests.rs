//! Builder and cursor against a sorted map, on a real repository in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::ErrorKind;
use crate::format::cuts::{self, CutsChild, CutsLeafWriter};
use crate::format::entry::{Content, Extent, ExtentKind, ExtentsRoot, TreePath};
use crate::format::extents::{self, ExtentsChild};
use crate::format::id::{ChunkId, PageId};
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};
use crate::repository::manifest::cursor::{Ahead, Cursor, Step};
use crate::repository::manifest::cuts::CutsCursor;
use crate::repository::manifest::extents::ContentBuilder;
use crate::repository::manifest::{Scan, Tree};
use crate::repository::session::SessionOptions;
use crate::storage::memory::MemoryBackend;
use crate::testing::sample_repository::{self, SampleTree, small_frames};

const CACHE: usize = 1 << 20;

/// What a walk gave: entries, and the losses.
fn walk(mut cursor: Cursor<'_, Tree>) -> (Vec<TreePath>, Vec<(TreePath, u64)>) {
    let (mut paths, mut lost) = (Vec::new(), Vec::new());
    while let Some(step) = cursor.next().expect("the backend works") {
        match step {
            Step::Item(item) => paths.push(item.path()),
            Step::Lost(page) => lost.push((page.first, page.entries)),
        }
    }
    (paths, lost)
}

fn repository() -> (Arc<MemoryBackend>, Repository) {
    let backend = Arc::new(MemoryBackend::new());
    let repository = sample_repository::create(backend.clone());
    (backend, repository)
}

#[test]
fn a_walk_gives_every_entry_in_order_from_any_start() {
    let (backend, repository) = repository();
    let tree = SampleTree::random(1, 4_000);
    let snapshot = sample_repository::commit(&repository, small_frames(), &[("/data", &tree)]);
    let repository = sample_repository::open(backend);
    let reader = ChunkReader::new(&repository, CACHE).unwrap();
    let root = &snapshot.roots[0];
    assert!(root.level >= 1, "too small a tree to test inner pages");
    let all: Vec<TreePath> = tree.paths().cloned().collect();
    assert_eq!(root.entries, all.len() as u64);
    for at in (0..all.len()).step_by(97).chain([all.len() - 1]) {
        for past in [false, true] {
            let mut start = all[at].clone();
            if past {
                start.name.push(0x01);
            }
            let (found, lost) = walk(Cursor::new(&reader, root.page, root.level, start));
            assert_eq!(found, all[at + usize::from(past)..], "from entry {at}");
            assert_eq!(lost, []);
        }
    }
    let scan = root.scan.unwrap();
    let mut cursor = Cursor::<Scan>::new(&reader, scan.page, scan.level, TreePath::default());
    let mut seen = Vec::new();
    while let Some(Step::Item(item)) = cursor.next().unwrap() {
        seen.push(TreePath::new((*item.folder).clone(), item.name));
    }
    assert_eq!(seen, all);
}

#[test]
fn equal_content_has_one_root_whatever_was_stored_before_and_however_it_was_packed() {
    let (_, repository) = repository();
    let tree = SampleTree::random(2, 2_000);
    let mut other = tree.clone();
    other.file("d3/new", b"new".to_vec()).remove("d1");
    let options = SessionOptions::default();
    let first = sample_repository::commit(&repository, options, &[("/a", &tree)]);
    let changed = sample_repository::commit(&repository, small_frames(), &[("/a", &other)]);
    let again = sample_repository::commit(&repository, small_frames(), &[("/b", &tree)]);
    assert_eq!(first.roots[0].page, again.roots[0].page);
    assert_eq!(first.roots[0].scan, again.roots[0].scan);
    assert_ne!(first.roots[0].page, changed.roots[0].page);
}

#[test]
fn a_content_of_any_number_of_extents_reads_back() {
    let (backend, repository) = repository();
    let mut written = Vec::new();
    for count in [0, 1, 16, 17, 10_000] {
        let extents: Vec<Extent> = (0..count).map(extent).collect();
        let content = sample_repository::with_pages(&repository, small_frames(), |store| {
            let mut builder = ContentBuilder::default();
            for extent in &extents {
                // In halves: holes and zeros must be joined again.
                let parts = match extent.kind {
                    ExtentKind::Chunk(_) => vec![extent.len],
                    _ => vec![extent.len - 1, 1],
                };
                for len in parts {
                    let kind = extent.kind;
                    builder.push(Extent { len, kind }, store)?;
                }
            }
            builder.finish(store)
        });
        assert_eq!(matches!(content, Content::Tree(_)), count > 16, "{count}");
        assert_eq!(content.len(), extents.iter().map(|extent| extent.len).sum());
        written.push((content, extents));
    }
    let repository = sample_repository::open(backend);
    let reader = ChunkReader::new(&repository, CACHE).unwrap();
    for (content, extents) in written {
        let mut cursor = ExtentCursor::new(&reader, &content);
        let mut found = Vec::new();
        while let Some(ExtentStep::Extent(extent)) = cursor.next().unwrap() {
            found.push(extent);
        }
        assert_eq!(found, extents);
    }
}

fn extent(number: u64) -> Extent {
    let kind = match number % 5 {
        3 => ExtentKind::Hole,
        4 => ExtentKind::Zero,
        _ => ExtentKind::Chunk(ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())),
    };
    Extent {
        len: 10 + number,
        kind,
    }
}

#[test]
fn a_damaged_page_costs_its_own_entries_and_the_rest_is_walked() {
    let (backend, repository) = repository();
    let tree = SampleTree::random(3, 3_000);
    let snapshot = sample_repository::commit(&repository, small_frames(), &[("/data", &tree)]);
    let root = &snapshot.roots[0];
    let repository = sample_repository::open(backend.clone());
    let reader = ChunkReader::new(&repository, CACHE).unwrap();
    let mut cursor = Cursor::<Tree>::new(&reader, root.page, root.level, TreePath::default());
    let mut leaves = Vec::new();
    loop {
        match cursor.ahead() {
            Ahead::End => break,
            Ahead::Page(page) if page.level == 0 => {
                leaves.push((page.id, page.first.clone()));
                cursor.skip_page();
            }
            _ => assert!(cursor.open_page().unwrap().is_none()),
        }
    }
    assert!(leaves.len() > 10, "{} leaves", leaves.len());
    let (victim, first) = &leaves[leaves.len() / 2];
    let location = repository.index().unwrap().locate(victim).next().unwrap();
    sample_repository::flip_bit(&*backend, &location.pack.name(), location.frame.offset + 3);

    let repository = sample_repository::open(backend);
    let reader = ChunkReader::new(&repository, CACHE).unwrap();
    let cursor = Cursor::new(&reader, root.page, root.level, TreePath::default());
    let (found, lost) = walk(cursor);
    let next = &leaves[leaves.len() / 2 + 1].1;
    let expected = tree.paths().filter(|path| *path < first || *path >= next);
    assert!(found.iter().eq(expected));
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
    let missing = tree.paths().count() - found.len();
    assert_eq!(lost, [(first.clone(), missing as u64)]);
}

fn cuts_leaf(cuts: &[u64]) -> Vec<u8> {
    let mut writer = CutsLeafWriter::default();
    cuts.iter().for_each(|&cut| writer.push(cut));
    writer.finish()
}

#[test]
fn children_of_cuts_say_the_first_cut_and_how_many() {
    let (backend, repository) = repository();
    let leaves = [
        cuts_leaf(&[5, 9]),
        cuts_leaf(&[20, 21, 30]),
        cuts_leaf(&[8, 25]),
    ];
    let children = |of: &[(u64, u64, usize)], ids: &[PageId]| -> Vec<CutsChild> {
        let child = |&(first, count, leaf): &(u64, u64, usize)| CutsChild {
            first,
            count,
            page: ids[leaf],
        };
        of.iter().map(child).collect()
    };
    type Case = (&'static [(u64, u64, usize)], Option<&'static [u64]>);
    let cases: [Case; 5] = [
        (&[(5, 2, 0), (20, 3, 1)], Some(&[5, 9, 20, 21, 30])),
        (&[(4, 2, 0), (20, 3, 1)], None),
        (&[(5, 2, 0), (20, 4, 1)], None),
        (&[(5, 3, 0), (20, 3, 1)], None),
        (&[(8, 2, 2), (20, 3, 1)], None),
    ];
    for (of, expected) in cases {
        let root = sample_repository::with_pages(&repository, small_frames(), |store| {
            let ids: Vec<PageId> = leaves
                .iter()
                .map(|leaf| store.put(leaf))
                .collect::<crate::error::Result<_>>()?;
            store.put(&cuts::encode_inner(1, &children(of, &ids)))
        });
        let opened = sample_repository::open(backend.clone());
        let reader = ChunkReader::new(&opened, CACHE).unwrap();
        let mut cursor = CutsCursor::new(&reader, root, 1);
        let mut found = Vec::new();
        let outcome = loop {
            match cursor.next() {
                Ok(Some(cut)) => found.push(cut),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.kind()),
            }
        };
        match expected {
            Some(expected) => assert_eq!((outcome, found.as_slice()), (Ok(()), expected)),
            None => assert_eq!(outcome, Err(ErrorKind::Damaged), "{of:?}"),
        }
    }
}

#[test]
fn a_page_of_extents_that_does_not_hold_what_its_child_says_is_lost() {
    let (backend, repository) = repository();
    let lost = Extent {
        len: 512,
        kind: ExtentKind::Unreadable,
    };
    let leaf = extents::encode_leaf(&[extent(0), lost]);
    for (len, unreadable, is_lost) in [(522, true, false), (522, false, true), (521, true, true)] {
        let root = sample_repository::with_pages(&repository, small_frames(), |store| {
            let page = store.put(&leaf)?;
            let child = |len, unreadable| ExtentsChild {
                len,
                unreadable,
                page,
            };
            let children = [child(len, unreadable), child(522, true)];
            let page = store.put(&extents::encode_inner(1, &children))?;
            let len = len + 522;
            Ok(ExtentsRoot {
                len,
                page,
                level: 1,
            })
        });
        let opened = sample_repository::open(backend.clone());
        let reader = ChunkReader::new(&opened, CACHE).unwrap();
        let mut cursor = ExtentCursor::new(&reader, &Content::Tree(root));
        let first = cursor.next().unwrap().unwrap();
        assert_eq!(matches!(first, ExtentStep::Lost { .. }), is_lost);
        cursor.seek(len + 1).unwrap();
        assert_eq!(cursor.offset(), len);
    }
}
