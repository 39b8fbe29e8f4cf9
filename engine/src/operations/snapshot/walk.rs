//! One root, folder by folder in tree order, each entry compared with the previous snapshot.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::{FolderPath, Metadata, Node, TreePath};
use crate::format::id::SessionId;
use crate::format::snapshot::{PageRoot, Root};
use crate::observe::{Counter, Observer, Problem};
use crate::operations::snapshot::SnapshotOptions;
use crate::operations::snapshot::assemble::{Assembler, What};
use crate::operations::snapshot::content::FileAt;
use crate::operations::snapshot::folders::{self, ListedFolder};
use crate::operations::snapshot::parents::Parent;
use crate::operations::snapshot::previous::{KnownEntry, Previous};
use crate::pipeline::ingest::Ingest;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::builder::PageStore;
use crate::sources::folder::{
    FileKind, FolderHandle, FolderSource, Found, Known, Stat, problem_of,
};

/// What the walks of all roots share.
pub(super) struct WalkContext<'c> {
    pub reader: &'c ChunkReader<'c>,
    pub options: &'c SnapshotOptions,
    pub observer: &'c dyn Observer,
}

/// Sums over one root.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RootTotals {
    pub entries: u64,
    pub files: u64,
    pub folders: u64,
    pub bytes: u64,
    pub unchanged_files: u64,
}

/// A root that is captured.
pub(super) struct Captured {
    pub root: Root,
    /// The snapshot it was compared with.
    pub parent: Option<SessionId>,
    pub totals: RootTotals,
    /// Bytes that were read beside those that the workers read.
    pub read_bytes: u64,
    pub problems: Vec<Problem>,
    pub problem_count: u64,
}

/// The walk of one root.
pub(super) struct RootWalk<'w, 's> {
    context: &'w WalkContext<'w>,
    ingest: &'w Ingest<'s>,
    name: Vec<u8>,
    source: Arc<FolderSource>,
    previous: Option<Parent<'w>>,
    known: Option<Previous<'w>>,
    assembler: Assembler<'w, 's>,
    segment_len: u64,
    /// First names of hard links, by device and inode.
    leaders: HashMap<(u64, u64), TreePath>,
}

impl<'w, 's> RootWalk<'w, 's> {
    pub(super) fn new(
        ingest: &'w Ingest<'s>,
        context: &'w WalkContext<'w>,
        (name, source): (Vec<u8>, Arc<FolderSource>),
        previous: Option<Parent<'w>>,
        store: &'w mut PageStore<'s>,
    ) -> Self {
        // The clock is read before the file systems are written back: see `begin_scan`.
        let scan_start = source.begin_scan((context.options.clock)());
        let observer = context.observer;
        let assembler = Assembler::new(ingest, store, observer, Arc::clone(&source), scan_start);
        Self {
            context,
            ingest,
            name,
            source,
            previous,
            known: None,
            assembler,
            segment_len: ingest.budget().segment_len as u64,
            leaders: HashMap::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<Captured> {
        if let Some(Parent { root, .. }) = self.previous {
            let is_whole = self.ingest.is_known_whole(root);
            self.known = Previous::open(self.context.reader, root, is_whole);
            self.context.observer.expect(Counter::Entries, root.entries);
            self.context.observer.expect(Counter::Bytes, root.bytes);
        }
        let root = self.source.root()?;
        let top = Arc::new(FolderPath::root());
        let is_folder = root.stat.kind == FileKind::Folder;
        self.refuse_repository(None, &root.stat, b"")?;
        self.visit(None, &top, root)?;
        if is_folder {
            let source = Arc::clone(&self.source);
            let threads = self.ingest.budget().threads;
            folders::in_order(&source, threads, |folder| self.visit_folder(folder))?;
        }
        self.finish()
    }

    fn finish(self) -> Result<Captured> {
        let assembled = self.assembler.finish()?;
        let (tree, scan) = (assembled.tree, assembled.scan);
        let at = PageRoot {
            page: tree.child.page,
            level: tree.level,
        };
        let scan = PageRoot {
            page: scan.child.page,
            level: scan.level,
        };
        let (entries, bytes) = (tree.child.entries, tree.child.bytes);
        let root = Root {
            scan: Some(scan),
            ..Root::folder(self.name, at, entries, bytes)
        };
        Ok(Captured {
            root,
            parent: self.previous.map(|parent| parent.session),
            totals: assembled.totals,
            read_bytes: 0,
            problems: assembled.problems,
            problem_count: assembled.problem_count,
        })
    }

    /// Visits the entries of a folder.
    fn visit_folder(&mut self, folder: ListedFolder) -> Result<()> {
        if self.context.observer.is_cancelled() {
            return Err(crate::pipeline::cancelled());
        }
        let (handle, listing) = match folder.listing {
            Ok(listed) => listed,
            Err(error) => {
                self.assembler.problem(problem_of(&error));
                return Ok(());
            }
        };
        listing
            .problems
            .iter()
            .for_each(|problem| self.assembler.problem(problem.clone()));
        let path = Arc::new(folder.path);
        for found in listing.entries() {
            if found.stat.kind == FileKind::Folder {
                self.refuse_repository(Some(&path), &found.stat, &found.name)?;
            }
            self.visit(Some(&handle), &path, found)?;
        }
        Ok(())
    }

    /// A repository that stored itself would grow with every snapshot.
    fn refuse_repository(
        &self,
        folder: Option<&FolderPath>,
        stat: &Stat,
        name: &[u8],
    ) -> Result<()> {
        if self.context.options.repository_folder != Some((stat.device, stat.inode)) {
            return Ok(());
        }
        let inside = folder.map(|folder| TreePath::new(folder.clone(), name).to_bytes());
        let inside = inside.unwrap_or_default();
        let path = self
            .source
            .path()
            .join(std::ffi::OsStr::from_bytes(&inside));
        let detail = "is the repository itself; exclude it, or snapshot another folder";
        Err(Error::new(
            ErrorKind::InvalidInput,
            Place::Path(path),
            detail,
        ))
    }

    fn visit(
        &mut self,
        parent: Option<&FolderHandle>,
        folder: &Arc<FolderPath>,
        found: Found,
    ) -> Result<()> {
        let Found { name, stat, .. } = found;
        let known = match &mut self.known {
            Some(previous) => previous.at(folder, &name)?,
            None => None,
        };
        let leader = self.leader_of(folder, &name, &stat);
        let what = match leader {
            Some(leader) => {
                let metadata = self.source.link_metadata(&stat);
                Ok(What::Ready(metadata, Node::HardLink(leader)))
            }
            None if stat.kind == FileKind::File => self.visit_file(parent, &name, &stat, known)?,
            None => self.visit_other(parent, &name, &stat, known.as_ref()),
        };
        match what {
            Ok(what) => self.assembler.push(folder, name, stat, what),
            Err(problem) => {
                self.assembler.lose_leader(&stat);
                self.assembler.problem(problem);
                Ok(())
            }
        }
    }

    /// The first name of a hard link, if this is a later one.
    fn leader_of(&mut self, folder: &FolderPath, name: &[u8], stat: &Stat) -> Option<TreePath> {
        if stat.link_count < 2 || stat.kind == FileKind::Folder {
            return None;
        }
        match self.leaders.entry((stat.device, stat.inode)) {
            std::collections::hash_map::Entry::Occupied(leader) => Some(leader.get().clone()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(TreePath::new(folder.clone(), name));
                None
            }
        }
    }

    fn visit_file(
        &mut self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
        known: Option<KnownEntry>,
    ) -> Result<Result<What, Problem>> {
        if let Some(known) = known
            && let Some(what) = self.take_over(parent, name, stat, known)?
        {
            return Ok(Ok(what));
        }
        let file = FileAt {
            parent: parent.cloned(),
            name: name.to_vec(),
        };
        if stat.len > self.segment_len {
            self.assembler.read_large(&file)
        } else {
            self.assembler.read_small(file, stat.len).map(Ok)
        }
    }

    /// The content of the previous snapshot, if the file is unchanged and all of it still stored.
    fn take_over(
        &mut self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
        known: KnownEntry,
    ) -> Result<Option<What>> {
        let Some(content) = known.content() else {
            return Ok(None);
        };
        let before = Known {
            len: content.len(),
            mtime: known.item.entry.metadata.mtime,
            ctime: known.seen.ctime,
            inode: known.seen.inode,
            racy: known.seen.racy,
        };
        if !self.context.options.change_test.is_unchanged(stat, &before) {
            return Ok(None);
        }
        match &self.known {
            Some(previous) if previous.is_whole(content, |id| self.ingest.is_stored(id))? => {}
            _ => return Ok(None),
        }
        let metadata = self.metadata(parent, name, stat, Some(&known));
        Ok(known
            .into_content()
            .map(|content| What::Unchanged(metadata, content)))
    }

    fn visit_other(
        &mut self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
        known: Option<&KnownEntry>,
    ) -> Result<What, Problem> {
        let node = match known.and_then(|known| known.link_target(stat)) {
            Some(target) => Node::Symlink(target.to_vec()),
            None => self
                .source
                .read_node(parent, name, stat)
                .map_err(|error| problem_of(&error))?,
        };
        Ok(What::Ready(self.metadata(parent, name, stat, known), node))
    }

    /// Metadata; extended attributes are taken over where ctime says that they did not change.
    fn metadata(
        &mut self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
        known: Option<&KnownEntry>,
    ) -> Metadata {
        if let Some(known) = known.filter(|known| known.is_same_inode(stat)) {
            let xattrs = known.item.entry.metadata.xattrs.clone();
            return Metadata {
                xattrs,
                ..self.source.link_metadata(stat)
            };
        }
        let (metadata, problems) = self.source.metadata(parent, name, stat);
        problems
            .into_iter()
            .for_each(|problem| self.assembler.problem(problem));
        metadata
    }
}
