//! What differs between two snapshots.
//!
//! Two walks side by side. Where both come to a page of one id, all below it is equal and is
//! passed over unread: pages end where their content says, so walks that differ in one place meet
//! again behind it.

use std::cmp::Ordering;

use crate::error::Result;
use crate::format::entry::{Entry, TreePath};
use crate::format::snapshot::{Root, Snapshot};
use crate::format::tree::TreeItem;
use crate::observe::Observer;
use crate::operations::walk;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::Tree;
use crate::repository::manifest::cursor::{Ahead, Cursor};

/// One difference.
#[derive(Debug)]
pub struct Difference<'a> {
    /// Absolute path, raw bytes.
    pub path: Vec<u8>,
    /// The entry before, if there was one.
    pub before: Option<&'a Entry>,
    /// The entry after, if there is one.
    pub after: Option<&'a Entry>,
    /// The content, the kind, a link's target or a device's number differs.
    pub content: bool,
    /// Mode, owner, time or attributes differ.
    pub metadata: bool,
}

/// Sums over all differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// Entries only in the second.
    pub added: u64,
    /// Entries only in the first.
    pub removed: u64,
    /// Entries whose content differs.
    pub content_changed: u64,
    /// Entries of which only metadata differs.
    pub metadata_changed: u64,
    /// Pages that could not be read, each told to the observer.
    pub problems: u64,
}

/// Gives every difference to `each`, in order. Roots are matched by name; equal pages are passed
/// over unread. What lay in a page that cannot be read counts as neither equal nor different.
pub fn diff(
    repository: &Repository,
    before: &Snapshot,
    after: &Snapshot,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&Difference<'_>) -> Result<()>,
) -> Result<DiffReport> {
    let reader = ChunkReader::new(repository, Budget::default().cache_len)?;
    let mut report = DiffReport::default();
    let named = |snapshot: &'_ Snapshot, name: &[u8]| {
        let found = snapshot.roots.iter().find(|root| root.name == name);
        found.cloned()
    };
    let mut pairs: Vec<(Option<Root>, Option<Root>)> = Vec::new();
    for root in &before.roots {
        pairs.push((Some(root.clone()), named(after, &root.name)));
    }
    for root in &after.roots {
        if named(before, &root.name).is_none() {
            pairs.push((None, Some(root.clone())));
        }
    }
    for (before, after) in &pairs {
        let pair = Pair {
            before: Side::new(&reader, before.as_ref())?,
            after: Side::new(&reader, after.as_ref())?,
            observer,
            each,
            report: &mut report,
        };
        pair.run()?;
    }
    Ok(report)
}

/// One root in both snapshots, or in one of them.
struct Pair<'d> {
    before: Side<'d>,
    after: Side<'d>,
    observer: &'d dyn Observer,
    each: &'d mut dyn FnMut(&Difference<'_>) -> Result<()>,
    report: &'d mut DiffReport,
}

/// The walk over one root; over nothing if the snapshot lacks it.
struct Side<'d> {
    root: Option<&'d Root>,
    cursor: Option<Cursor<'d, Tree>>,
}

/// What the walks do next.
enum Move {
    SkipBoth,
    /// Open a page of the first, of the second, or of both.
    Open(bool, bool),
    Compare,
    Removed,
    Added,
    Done,
}

impl<'d> Side<'d> {
    fn new(reader: &'d ChunkReader<'d>, root: Option<&'d Root>) -> Result<Self> {
        let cursor = root.map(|root| walk::cursor(reader, root, TreePath::default()));
        let cursor = cursor.transpose()?;
        Ok(Self { root, cursor })
    }

    fn ahead(&mut self) -> Ahead<'_, TreeItem> {
        self.cursor.as_mut().map_or(Ahead::End, Cursor::ahead)
    }

    fn skip_page(&mut self) {
        if let Some(cursor) = &mut self.cursor {
            cursor.skip_page();
        }
    }

    fn take_item(&mut self) -> Option<TreeItem> {
        self.cursor.as_mut()?.take_item()
    }

    /// Where the walk goes on; nothing at its end.
    fn position(&mut self) -> Option<TreePath> {
        match self.ahead() {
            Ahead::Item(item) => Some(item.path()),
            Ahead::Page(page) => Some(page.first.clone()),
            Ahead::End => None,
        }
    }
}

impl<'d> Pair<'d> {
    fn run(mut self) -> Result<()> {
        loop {
            walk::stop_if_cancelled(self.observer)?;
            match self.next_move() {
                Move::Done => return Ok(()),
                Move::SkipBoth => {
                    self.before.skip_page();
                    self.after.skip_page();
                }
                Move::Open(before, after) => self.open(before, after)?,
                Move::Compare => {
                    let (before, after) = (self.before.take_item(), self.after.take_item());
                    self.give(before, after)?;
                }
                Move::Removed => {
                    let before = self.before.take_item();
                    self.give(before, None)?;
                }
                Move::Added => {
                    let after = self.after.take_item();
                    self.give(None, after)?;
                }
            }
        }
    }

    fn next_move(&mut self) -> Move {
        match (self.before.ahead(), self.after.ahead()) {
            (Ahead::End, Ahead::End) => Move::Done,
            (Ahead::Page(before), Ahead::Page(after)) if before.id == after.id => Move::SkipBoth,
            (Ahead::Page(before), Ahead::Page(after)) => {
                // What begins first has no counterpart yet; of pages that begin together the
                // higher one may hold the other.
                let by_first = before.first.cmp(after.first);
                match by_first.then(after.level.cmp(&before.level)) {
                    Ordering::Less => Move::Open(true, false),
                    Ordering::Greater => Move::Open(false, true),
                    Ordering::Equal => Move::Open(true, true),
                }
            }
            (Ahead::Page(page), Ahead::Item(item)) if *page.first <= item.path() => {
                Move::Open(true, false)
            }
            (Ahead::Item(item), Ahead::Page(page)) if *page.first <= item.path() => {
                Move::Open(false, true)
            }
            (Ahead::Page(_), Ahead::End) => Move::Open(true, false),
            (Ahead::End, Ahead::Page(_)) => Move::Open(false, true),
            (Ahead::Item(_), Ahead::Page(_) | Ahead::End) => Move::Removed,
            (Ahead::Page(_) | Ahead::End, Ahead::Item(_)) => Move::Added,
            (Ahead::Item(before), Ahead::Item(after)) => {
                let place = (&*before.folder, &before.entry.name);
                match place.cmp(&(&*after.folder, &after.entry.name)) {
                    Ordering::Less => Move::Removed,
                    Ordering::Greater => Move::Added,
                    Ordering::Equal => Move::Compare,
                }
            }
        }
    }

    fn open(&mut self, before: bool, after: bool) -> Result<()> {
        let lost_before = before && self.open_side(true)?;
        let lost_after = after && self.open_side(false)?;
        if lost_before {
            let end = self.before.position();
            self.pass_over(false, end.as_ref())?;
        }
        if lost_after {
            let end = self.after.position();
            self.pass_over(true, end.as_ref())?;
        }
        Ok(())
    }

    /// Opens the page ahead of one side; true if it is lost, which is told.
    fn open_side(&mut self, before: bool) -> Result<bool> {
        let side = self.side(before);
        let (Some(root), Some(cursor)) = (side.root, &mut side.cursor) else {
            return Ok(false);
        };
        let Some(lost) = cursor.open_page()? else {
            return Ok(false);
        };
        self.report.problems += 1;
        walk::tell_lost(self.observer, root, &lost);
        Ok(true)
    }

    /// Passes over everything of one side that comes before `end`: the other side lost what it
    /// would be compared with.
    fn pass_over(&mut self, before: bool, end: Option<&TreePath>) -> Result<()> {
        while let Some(position) = self.side(before).position()
            && end.is_none_or(|end| position < *end)
        {
            match self.side(before).ahead() {
                // Only what lies wholly before the end may stay unread.
                Ahead::Page(_) if end.is_none() => self.side(before).skip_page(),
                Ahead::Page(_) => {
                    self.open_side(before)?;
                }
                Ahead::Item(_) | Ahead::End => {
                    self.side(before).take_item();
                }
            }
        }
        Ok(())
    }

    fn side(&mut self, before: bool) -> &mut Side<'d> {
        if before {
            &mut self.before
        } else {
            &mut self.after
        }
    }

    fn give(&mut self, before: Option<TreeItem>, after: Option<TreeItem>) -> Result<()> {
        let (content, metadata) = match (&before, &after) {
            (Some(before), Some(after)) => (
                before.entry.node != after.entry.node,
                before.entry.metadata != after.entry.metadata,
            ),
            _ => (true, true),
        };
        match (&before, &after) {
            (None, _) => self.report.added += 1,
            (_, None) => self.report.removed += 1,
            _ if content => self.report.content_changed += 1,
            _ if metadata => self.report.metadata_changed += 1,
            _ => return Ok(()),
        }
        let root = self.before.root.or(self.after.root);
        let item = after.as_ref().or(before.as_ref());
        let (Some(root), Some(item)) = (root, item) else {
            return Ok(());
        };
        (self.each)(&Difference {
            path: walk::absolute_path(root, &item.path()),
            before: before.as_ref().map(|item| &item.entry),
            after: after.as_ref().map(|item| &item.entry),
            content,
            metadata,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;
    use crate::format::entry::Node;
    use crate::format::name::PackClass;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::recording_backend::{RecordingBackend, Subject, Verb};
    use crate::testing::sample_repository::{
        self, SampleTree, flip_bit, leaf_pages, pages, small_frames, tree_path,
    };

    type Backend = Arc<RecordingBackend<MemoryBackend>>;

    fn snapshots(roots: [&[(&str, &SampleTree)]; 2]) -> (Backend, Snapshot, Snapshot) {
        let backend = Arc::new(RecordingBackend::new(MemoryBackend::new()));
        let repository = sample_repository::create(backend.clone());
        let [before, after] =
            roots.map(|roots| sample_repository::commit(&repository, small_frames(), roots));
        (backend, before, after)
    }

    fn differences(
        backend: &Backend,
        before: &Snapshot,
        after: &Snapshot,
    ) -> (Vec<String>, DiffReport) {
        let repository = sample_repository::open(backend.clone());
        repository.index().unwrap();
        backend.reset();
        let mut lines = Vec::new();
        let report = diff(&repository, before, after, &(), &mut |found| {
            let sign = match (found.before, found.after, found.content) {
                (None, ..) => '+',
                (_, None, _) => '-',
                (.., true) => 'c',
                (.., false) => 'm',
            };
            lines.push(format!("{sign}{}", String::from_utf8_lossy(&found.path)));
            Ok(())
        });
        (lines, report.unwrap())
    }

    #[test]
    fn every_kind_of_difference_is_told_once_and_in_order() {
        let mut old = SampleTree::new();
        old.file("a/same", b"same".to_vec())
            .file("a/text", b"before".to_vec())
            .file("b", b"gone".to_vec())
            .file("kind", b"file".to_vec())
            .file("mode", b"mode".to_vec())
            .node("z/link", Node::HardLink(tree_path("a/same")));
        let mut new = old.clone();
        new.file("a/text", b"after".to_vec())
            .remove("b")
            .file("c/new", b"new".to_vec())
            .node("kind", Node::Symlink(b"x".to_vec()))
            .set_mode("mode", 0o600)
            .node("z/link", Node::HardLink(tree_path("a/text")));
        let (single, other) = (SampleTree::single_file(vec![1]), SampleTree::new());
        let (backend, before, after) = snapshots([
            &[("/r", &old), ("/only-old", &single)],
            &[("/only-new", &other), ("/r", &new)],
        ]);
        let (lines, report) = differences(&backend, &before, &after);
        let expected = [
            "-/r/b",
            "+/r/c",
            "c/r/kind",
            "m/r/mode",
            "c/r/a/text",
            "+/r/c/new",
            "c/r/z/link",
            "-/only-old",
            "+/only-new",
        ];
        assert_eq!(lines, expected);
        let sums = DiffReport {
            added: 3,
            removed: 2,
            content_changed: 3,
            metadata_changed: 1,
            problems: 0,
        };
        assert_eq!(report, sums);
    }

    #[test]
    fn random_changes_are_found_exactly() {
        let old = SampleTree::random(11, 3_000);
        let mut new = old.clone();
        let files: Vec<_> = old
            .paths()
            .filter(|path| path.name.starts_with(b"f"))
            .collect();
        let mut expected = Vec::new();
        for (number, path) in files.iter().enumerate().step_by(61) {
            let text = String::from_utf8(path.to_bytes()).unwrap();
            if number % 2 == 0 {
                new.remove(&text);
                expected.push(format!("-/r/{text}"));
            } else {
                new.file(&format!("{text}x"), vec![7; 9]);
                expected.push(format!("+/r/{text}x"));
            }
        }
        let (backend, before, after) = snapshots([&[("/r", &old)], &[("/r", &new)]]);
        let (mut lines, _) = differences(&backend, &before, &after);
        lines.sort();
        expected.sort();
        assert_eq!(lines, expected);
    }

    #[test]
    fn nearly_equal_snapshots_are_compared_by_reading_few_pages() {
        let old = SampleTree::random(12, 5_000);
        let some = old.paths().nth(2_600).unwrap().to_bytes();
        let mut new = old.clone();
        new.set_mode(&String::from_utf8(some).unwrap(), 0o640);
        let (backend, before, after) = snapshots([&[("/r", &old)], &[("/r", &new)]]);
        let (lines, _) = differences(&backend, &before, &after);
        assert_eq!(lines.len(), 1);
        let reads = backend.tally(Verb::GetRange, Subject::Pack(PackClass::Meta));
        let repository = sample_repository::open(backend.clone());
        let [old, new] = [&before, &after].map(|snapshot| {
            let pages = pages(&repository, &snapshot.roots[0]).into_iter();
            pages.map(|(_, page)| page).collect::<HashSet<_>>()
        });
        // The ids of pages end those above them: the one that changed may move an end.
        let differing = old.symmetric_difference(&new).count();
        assert!(reads.calls <= differing as u64, "{reads:?} of {differing}");
        assert!(differing < old.len() / 5, "{differing} of {}", old.len());

        let (lines, _) = differences(&backend, &before, &before);
        assert!(lines.is_empty());
        assert_eq!(backend.calls(Verb::GetRange), 0, "equal roots are not read");
    }

    #[test]
    fn what_a_lost_page_held_is_neither_added_nor_removed() {
        let old = SampleTree::random(13, 2_000);
        let mut new = old.clone();
        new.file("zz/last", b"last".to_vec());
        for path in old.paths().step_by(40) {
            let text = String::from_utf8(path.to_bytes()).unwrap();
            new.set_mode(&text, 0o600);
        }
        let (backend, before, after) = snapshots([&[("/r", &old)], &[("/r", &new)]]);
        let (all, _) = differences(&backend, &before, &after);
        let repository = sample_repository::open(backend.clone());
        for root in [&before.roots[0], &after.roots[0]] {
            let victim = leaf_pages(&repository, root)[5];
            let copy = repository.index().unwrap().locate(&victim).next().unwrap();
            let offset = copy.frame.offset + 1;
            flip_bit(backend.inner(), &copy.pack.name(), offset);
            let (lines, report) = differences(&backend, &before, &after);
            assert_eq!(report.problems, 1);
            assert!(lines.iter().all(|line| all.contains(line)), "{lines:?}");
            assert!(lines.len() < all.len());
            assert!(lines.contains(&"+/r/zz/last".to_owned()));
            flip_bit(backend.inner(), &copy.pack.name(), offset);
        }
    }
}
