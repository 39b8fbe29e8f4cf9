//! Files inside a volume become a snapshot of their own, as if their folder had been captured.
//!
//! One thread asks the image, workers hash and store. The chunks of a volume end where its files begin
//! and end, so most of what is found here is stored already. What `restore` would leave out or make a
//! hole is left out or a hole here. Deliberately absent: a scan, for nothing is skipped by it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::{Content, Entry, FolderPath, Metadata, Node, Owner, TreePath};
use crate::format::snapshot::{PageRoot, Root, Snapshot};
use crate::format::tree::{self, TreeLeafWriter};
use crate::limits::SNAPSHOT_PROBLEMS_MAX;
use crate::observe::{Counter, Observer, Problem, ProblemKind};
use crate::operations::restore::is_fatal;
use crate::operations::snapshot::made::{MadeTree, snapshot_made};
use crate::operations::snapshot::{ParentChoice, SnapshotOptions, SnapshotReport};
use crate::operations::walk::with_causes;
use crate::pipeline::ingest::Ingest;
use crate::pipeline::stream::Stream;
use crate::pipeline::{cancelled, is_zero};
use crate::repository::Repository;
use crate::repository::manifest::builder::{PageStore, TreeBuilder};
use crate::serve::image::cat::pieces;
use crate::serve::image::item::ImageEntry;
use crate::serve::image::open::Image;
use crate::serve::image::reader::ImageNode;
use crate::serve::image::restore::{HOLE_LEN, LINKED_FILES_MAX, owner_of_process};
use crate::serve::image::walk::{Visit, walk};
use crate::transform::chunk::Chunker;

/// Entries that wait for the workers at most.
const WINDOW: usize = 4 * 1024;

/// Commits a snapshot of the entry at `path` of `image`, which holds a file system in a volume of
/// `snapshot`, and of all below it. Its root is named as the image is, with a slash before it: so what
/// is imported of one disk again and again is one series; where it came from is its origin. Only its
/// consistency is taken over from `snapshot`; the host is that of `options`.
///
/// # Errors
/// If nothing was committed: there is no such entry, the repository cannot be read or written, or the
/// observer cancelled. What cannot be read of the image is a problem of the new snapshot.
pub fn import(
    repository: &Repository,
    snapshot: &Snapshot,
    image: &mut Image,
    path: &FolderPath,
    options: &SnapshotOptions,
    observer: &dyn Observer,
) -> Result<SnapshotReport> {
    let entry = image.entry(path)?;
    let chunker = repository.chunker()?;
    let options = SnapshotOptions {
        parent: ParentChoice::None,
        ..options.clone()
    };
    let place = image.name_of(path);
    let name = [b"/", &*place].concat();
    let origin = [snapshot.session.to_string().as_bytes(), b":", &place].concat();
    let make = |ingest: &Ingest<'_>, store: &mut PageStore<'_>| {
        let importer = Importer {
            ingest,
            store,
            chunker: &chunker,
            observer,
            top: path.clone(),
            owner: (!image.has_owners()).then(owner_of_process),
            tree: TreeBuilder::new(),
            waiting: VecDeque::new(),
            first_names: HashMap::new(),
            lost_folders: HashSet::new(),
            files: 0,
            folders: 0,
            problems: Vec::new(),
            problem_count: 0,
        };
        let mut made = importer.run(image, path, &entry)?;
        made.root.name.clone_from(&name);
        made.root.origin = Some(origin.clone());
        Ok(made)
    };
    snapshot_made(repository, snapshot.consistency, &options, observer, make)
}

/// Makes the tree.
struct Importer<'i, 's, 'p> {
    ingest: &'i Ingest<'s>,
    store: &'i mut PageStore<'p>,
    chunker: &'i Chunker,
    observer: &'i dyn Observer,
    /// The folder that is the root of the tree.
    top: FolderPath,
    /// Whose the files are, where the file system does not say.
    owner: Option<Arc<Owner>>,
    tree: TreeBuilder,
    /// Entries in order, files among them with their content on the way.
    waiting: VecDeque<Waiting<'i>>,
    /// The first of several names of a file.
    first_names: HashMap<u64, TreePath>,
    /// Folders that are not in the tree, so nothing below them can be.
    lost_folders: HashSet<FolderPath>,
    files: u64,
    folders: u64,
    problems: Vec<Problem>,
    problem_count: u64,
}

struct Waiting<'c> {
    folder: FolderPath,
    entry: Entry,
    content: Option<Stream<'c>>,
}

impl Visit for Importer<'_, '_, '_> {
    fn entry(&mut self, image: &mut Image, folder: &FolderPath, entry: &ImageEntry) -> Result<()> {
        if self.observer.is_cancelled() {
            return Err(cancelled());
        }
        let below = self.top.below(folder).unwrap_or_default();
        self.add(image, TreePath::new(below, entry.name.clone()), entry)
    }

    fn lost(&mut self, error: &Error) -> Result<()> {
        self.tell(error);
        Ok(())
    }
}

impl<'i> Importer<'i, '_, '_> {
    fn run(mut self, image: &mut Image, path: &FolderPath, entry: &ImageEntry) -> Result<MadeTree> {
        self.add(image, TreePath::default(), entry)?;
        if self.waiting.is_empty() {
            // A tree has a root: what it lost is why there is none.
            let reason = self.problems.first().map(|problem| problem.detail.clone());
            let reason = reason.unwrap_or_default();
            return Err(image.error(path, ErrorKind::Damaged, reason));
        }
        if entry.is_folder() {
            walk(image, path, entry, true, &mut self)?;
        }
        while let Some(oldest) = self.waiting.pop_front() {
            self.settle(oldest)?;
        }
        let tree = self.tree.finish(self.store)?;
        let at = PageRoot {
            page: tree.child.page,
            level: tree.level,
        };
        Ok(MadeTree {
            root: Root::folder(Vec::new(), at, tree.child.entries, tree.child.bytes),
            files: self.files,
            folders: self.folders,
            problems: self.problems,
            problem_count: self.problem_count,
        })
    }

    /// Takes an entry that is to be at `at` in the tree.
    fn add(&mut self, image: &mut Image, at: TreePath, found: &ImageEntry) -> Result<()> {
        let mut entry = Entry {
            name: at.name.clone(),
            metadata: self.metadata_of(found),
            node: match found.node() {
                ImageNode::File { .. } => Node::File(Content::Inline(Vec::new())),
                _ => found.shown().node,
            },
        };
        let storable = match self.lost_folders.contains(&at.folder) {
            true => Err("lies in a folder that is left out".to_owned()),
            false => ensure_storable(&at.folder, &entry),
        };
        if let Err(reason) = storable {
            if found.is_folder() {
                self.lost_folders.insert(at.as_folder());
            }
            self.lose(image, &at, reason);
            return Ok(());
        }
        let is_file = matches!(found.node(), ImageNode::File { .. });
        let mut content = None;
        if is_file && !self.is_linked(found, &mut entry) {
            content = self.read(image, &at, found)?;
            if content.is_none() {
                return Ok(());
            }
        }
        if content.is_some() {
            self.remember(found, &at);
        }
        self.waiting.push_back(Waiting {
            folder: at.folder,
            entry,
            content,
        });
        while self.waiting.len() > WINDOW {
            if let Some(oldest) = self.waiting.pop_front() {
                self.settle(oldest)?;
            }
        }
        Ok(())
    }

    fn metadata_of(&self, found: &ImageEntry) -> Metadata {
        let mut metadata = found.metadata().clone();
        if let Some(owner) = &self.owner {
            metadata.owner = Arc::clone(owner);
        }
        metadata
    }

    /// Makes `entry` a link where another name of the file is in the tree.
    fn is_linked(&self, found: &ImageEntry, entry: &mut Entry) -> bool {
        let Some(first) = self.first_names.get(&found.found.id) else {
            return false;
        };
        entry.node = Node::HardLink(first.clone());
        entry.metadata.xattrs.clear();
        true
    }

    fn remember(&mut self, found: &ImageEntry, at: &TreePath) {
        let is_root = *at == TreePath::default();
        if found.found.links > 1 && !is_root && self.first_names.len() < LINKED_FILES_MAX {
            self.first_names
                .entry(found.found.id)
                .or_insert_with(|| at.clone());
        }
    }

    /// Reads a file, and gives its bytes to the workers; nothing if not all of it is to be had.
    fn read(
        &mut self,
        image: &mut Image,
        at: &TreePath,
        found: &ImageEntry,
    ) -> Result<Option<Stream<'i>>> {
        let path = self.path_of(at);
        let (ingest, store, observer) = (self.ingest, &mut *self.store, self.observer);
        let mut bytes = Bytes {
            stream: Stream::new(self.chunker, ingest),
            hole: 0,
        };
        let mut failure = None;
        let read = pieces(image, &path, found, &mut |_, piece| {
            let taken = match observer.is_cancelled() {
                true => Err(cancelled()),
                false => bytes.take(piece, ingest, store),
            };
            taken.map_err(|error| failure.insert(error).repeated())
        });
        match (failure, read) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) if is_fatal(&error) => Err(error),
            (None, Err(error)) => {
                self.tell(&error);
                Ok(None)
            }
            (None, Ok(())) => bytes.end(ingest, store).map(Some),
        }
    }

    /// Where an entry of the tree is in the image.
    fn path_of(&self, at: &TreePath) -> FolderPath {
        let at = at.as_folder();
        let names = at.components();
        names.fold(self.top.clone(), |path, name| path.child(name))
    }

    fn settle(&mut self, waiting: Waiting<'i>) -> Result<()> {
        let Waiting {
            folder,
            mut entry,
            content,
        } = waiting;
        if let Some(content) = content {
            entry.node = Node::File(content.finish(self.store)?);
        }
        match &entry.node {
            Node::File(content) => {
                self.files += 1;
                self.observer.count(Counter::Bytes, content.len());
            }
            Node::Folder => self.folders += 1,
            _ => {}
        }
        self.observer.count(Counter::Entries, 1);
        self.tree.push(&folder, &entry, self.store)
    }

    fn lose(&mut self, image: &Image, at: &TreePath, reason: String) {
        let error = image.error(&self.path_of(at), ErrorKind::Unsupported, reason);
        self.tell(&error);
    }

    /// Reports what is left out, and remembers it for the snapshot.
    fn tell(&mut self, error: &Error) {
        let problem = Problem {
            kind: ProblemKind::Unreadable,
            subject: error.place().to_string().into_bytes(),
            detail: with_causes(error),
        };
        self.observer.problem(&problem);
        self.problem_count += 1;
        if self.problems.len() < SNAPSHOT_PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// The bytes of a file: blocks of zeros are holes, as a restore makes them.
struct Bytes<'c> {
    stream: Stream<'c>,
    /// Length of the hole at the end, bytes.
    hole: u64,
}

impl<'c> Bytes<'c> {
    /// Takes a piece, which begins at a multiple of the length of a block.
    fn take(&mut self, piece: &[u8], ingest: &Ingest<'_>, store: &mut PageStore<'_>) -> Result<()> {
        for block in piece.chunks(HOLE_LEN) {
            if is_zero(block) {
                self.hole += block.len() as u64;
                continue;
            }
            self.end_hole(ingest, store)?;
            self.stream.push(block, ingest, store)?;
        }
        Ok(())
    }

    fn end(mut self, ingest: &Ingest<'_>, store: &mut PageStore<'_>) -> Result<Stream<'c>> {
        self.end_hole(ingest, store)?;
        self.stream.end(ingest, store)?;
        Ok(self.stream)
    }

    fn end_hole(&mut self, ingest: &Ingest<'_>, store: &mut PageStore<'_>) -> Result<()> {
        match std::mem::take(&mut self.hole) {
            0 => Ok(()),
            len => self.stream.push_hole(len, ingest, store),
        }
    }
}

/// Names, attributes and targets are whatever an image says; what no reader of the snapshot would take
/// must not become a part of it.
fn ensure_storable(folder: &FolderPath, entry: &Entry) -> Result<(), String> {
    let mut leaf = TreeLeafWriter::default();
    leaf.push(folder, entry);
    match tree::decode_leaf(&leaf.finish()) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot be kept in a snapshot: {error}")),
    }
}
