//! Entries of a snapshot, in order.

use crate::error::Result;
use crate::format::entry::{Entry, FolderPath, Node, TreePath};
use crate::format::snapshot::{Root, Snapshot};
use crate::format::tree::TreeItem;
use crate::observe::{Counter, Observer};
use crate::operations::select::{Selected, select};
use crate::operations::walk;
use crate::pipeline::budget::Budget;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::cursor::{LostPage, Step};

/// One entry as it is listed.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Absolute path of the source: name of the root, then the path in it; raw bytes.
    pub path: Vec<u8>,
    /// The entry.
    pub entry: &'a Entry,
}

/// What a listing came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListReport {
    /// Entries given.
    pub entries: u64,
    /// Pages that could not be read, each told to the observer.
    pub problems: u64,
}

/// Gives every entry of `path` (see `select`) to `each`: the entry and, of a folder, its children;
/// all below it if `recursive`. An empty path is the root, or all roots if there are several.
pub fn list(
    repository: &Repository,
    snapshot: &Snapshot,
    path: &[u8],
    recursive: bool,
    observer: &dyn Observer,
    each: &mut dyn FnMut(&Listed<'_>) -> Result<()>,
) -> Result<ListReport> {
    let reader = ChunkReader::new(repository, Budget::default().cache_len)?;
    let report = ListReport::default();
    let mut lister = Lister {
        reader: &reader,
        observer,
        each,
        report,
    };
    match select(&reader, snapshot, path)? {
        Selected::Everything => {
            // Of a single root a person means what lies in it.
            let extent = match (recursive, snapshot.roots.len()) {
                (true, _) => Extent::Subtree,
                (false, 1) => Extent::Run,
                (false, _) => Extent::Itself,
            };
            for root in &snapshot.roots {
                lister.run(root, &FolderPath::root(), extent)?;
            }
        }
        Selected::Entry { root, item } => {
            let root = &snapshot.roots[root];
            lister.give(root, &item)?;
            if matches!(item.entry.node, Node::Folder) {
                let extent = if recursive {
                    Extent::Below
                } else {
                    Extent::Children
                };
                lister.run(root, &item.path().as_folder(), extent)?;
            }
        }
    }
    Ok(lister.report)
}

/// How much of a folder is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Its own entry; the root's alone, which lies in its own run.
    Itself,
    /// Its own entry and what lies in it; of the root alone.
    Run,
    /// What lies in it.
    Children,
    /// What lies below it.
    Below,
    /// Itself and what lies below it; of the root alone.
    Subtree,
}

struct Lister<'l> {
    reader: &'l ChunkReader<'l>,
    observer: &'l dyn Observer,
    each: &'l mut dyn FnMut(&Listed<'_>) -> Result<()>,
    report: ListReport,
}

impl Lister<'_> {
    /// Lists one run of the tree of `root`: children are contiguous, and so is all below a folder.
    fn run(&mut self, root: &Root, folder: &FolderPath, extent: Extent) -> Result<()> {
        let start = TreePath::new(folder.clone(), Vec::new());
        let mut cursor = walk::cursor(self.reader, root, start.clone())?;
        while let Some(step) = cursor.next()? {
            walk::stop_if_cancelled(self.observer)?;
            match step {
                Step::Item(item) if !extent.holds(folder, &item.path()) => break,
                Step::Item(item) if item.entry.name.is_empty() && extent.is_without_folder() => {}
                Step::Item(item) => self.give(root, &item)?,
                // A page that begins before the run may hold some of it.
                Step::Lost(lost) if lost.first > start && !extent.holds(folder, &lost.first) => {
                    break;
                }
                Step::Lost(lost) => self.lose(root, &lost),
            }
        }
        Ok(())
    }

    fn give(&mut self, root: &Root, item: &TreeItem) -> Result<()> {
        let path = walk::absolute_path(root, &item.path());
        self.report.entries += 1;
        self.observer.count(Counter::Entries, 1);
        (self.each)(&Listed {
            path,
            entry: &item.entry,
        })
    }

    fn lose(&mut self, root: &Root, lost: &LostPage) {
        self.report.problems += 1;
        walk::tell_lost(self.observer, root, lost);
    }
}

impl Extent {
    fn holds(self, folder: &FolderPath, path: &TreePath) -> bool {
        match self {
            Self::Itself => path.name.is_empty(),
            Self::Run | Self::Children => path.folder == *folder,
            Self::Below | Self::Subtree => folder.contains(&path.folder),
        }
    }

    /// True if the folder's own entry was given already, or is not asked for.
    fn is_without_folder(self) -> bool {
        matches!(self, Self::Children | Self::Below)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::observe::Problem;
    use crate::storage::memory::MemoryBackend;
    use crate::testing::sample_repository::{self, SampleTree, flip_bit, small_frames};

    #[derive(Default)]
    struct Problems(Mutex<Vec<Problem>>);

    impl Observer for Problems {
        fn problem(&self, problem: &Problem) {
            self.0.lock().push(problem.clone());
        }
    }

    fn tree() -> SampleTree {
        let mut tree = SampleTree::new();
        for path in ["a/b/c", "a/b.x", "a/z", "a.txt", "b"] {
            tree.file(path, path.as_bytes().to_vec());
        }
        tree
    }

    fn listed(path: &str, recursive: bool) -> Vec<String> {
        let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
        let (first, second) = (tree(), SampleTree::single_file(b"x".to_vec()));
        let roots = [("/r", &first), ("/one", &second)];
        let snapshot = sample_repository::commit(&repository, small_frames(), &roots);
        let mut paths = Vec::new();
        let report = list(
            &repository,
            &snapshot,
            path.as_bytes(),
            recursive,
            &(),
            &mut |item| {
                paths.push(String::from_utf8_lossy(&item.path).into_owned());
                Ok(())
            },
        );
        assert_eq!(report.unwrap().entries, paths.len() as u64);
        paths
    }

    #[test]
    fn a_listing_gives_the_entry_and_its_children_or_all_below_it() {
        assert_eq!(listed("", false), ["/r", "/one"]);
        assert_eq!(listed("/r", false), ["/r", "/r/a", "/r/a.txt", "/r/b"]);
        assert_eq!(
            listed("/r/a", false),
            ["/r/a", "/r/a/b", "/r/a/b.x", "/r/a/z"]
        );
        let below = ["/r/a", "/r/a/b", "/r/a/b.x", "/r/a/z", "/r/a/b/c"];
        assert_eq!(listed("/r/a", true), below);
        assert_eq!(listed("/one", true), ["/one"]);
        assert_eq!(listed("/r/a/z", true), ["/r/a/z"]);
        let all = [
            "/r", "/r/a", "/r/a.txt", "/r/b", "/r/a/b", "/r/a/b.x", "/r/a/z", "/r/a/b/c",
        ];
        assert_eq!(listed("", true), [&all[..], &["/one"]].concat());
    }

    #[test]
    fn a_lost_page_is_told_with_its_entries_and_the_rest_is_listed() {
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let tree = SampleTree::random(5, 2_000);
        let snapshot = sample_repository::commit(&repository, small_frames(), &[("/r", &tree)]);
        let repository = sample_repository::open(backend.clone());
        let victim = sample_repository::leaf_pages(&repository, &snapshot.roots[0])[3];
        let copy = repository.index().unwrap().locate(&victim).next().unwrap();
        flip_bit(&*backend, &copy.pack.name(), copy.frame.offset + 1);
        let problems = Problems::default();
        let repository = sample_repository::open(backend);
        let report = list(
            &repository,
            &snapshot,
            b"",
            true,
            &problems,
            &mut |_| Ok(()),
        );
        let report = report.unwrap();
        let lost = tree.paths().count() as u64 - report.entries;
        assert_eq!(report.problems, 1);
        assert!(lost > 0);
        let told = &problems.0.lock()[0];
        assert!(
            told.detail.starts_with(&format!("{lost} entries")),
            "{}",
            told.detail
        );
        assert!(told.subject.starts_with(b"/r/"));
    }
}
