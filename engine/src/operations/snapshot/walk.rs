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
use crate::operations::snapshot::parents::Parent;
use crate::operations::snapshot::previous::{KnownEntry, Previous};
use crate::pipeline::ingest::Ingest;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::builder::PageStore;
use crate::sources::folder::{
    FileKind, FolderHandle, FolderSource, Found, Known, Stat, problem_of,
};

/// Below this depth folders are reopened by their path instead of held open by their children.
const HELD_OPEN_DEPTH: usize = 256;

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
    folders: Vec<PendingFolder>,
}

/// A folder that was seen and not yet listed.
struct PendingFolder {
    /// `None` at the root, and where it would hold too many folders open.
    parent: Option<FolderHandle>,
    name: Vec<u8>,
    path: FolderPath,
    depth: usize,
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
            folders: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<Captured> {
        if let Some(Parent { root, .. }) = self.previous {
            let is_whole = self.ingest.is_known_whole(root);
            self.known = Previous::open(self.context.reader, root, is_whole)?;
            self.context.observer.expect(Counter::Entries, root.entries);
            self.context.observer.expect(Counter::Bytes, root.bytes);
        }
        let root = self.source.root()?;
        let top = Arc::new(FolderPath::root());
        let is_folder = root.stat.kind == FileKind::Folder;
        self.refuse_repository(None, &root.stat, b"")?;
        self.visit(None, &top, root)?;
        if is_folder {
            let (name, path) = (Vec::new(), FolderPath::root());
            self.folders.push(PendingFolder {
                parent: None,
                name,
                path,
                depth: 0,
            });
        }
        while let Some(folder) = self.folders.pop() {
            self.visit_folder(folder)?;
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

    /// Lists a folder, visits its entries, and leaves its subfolders to be visited next.
    fn visit_folder(&mut self, folder: PendingFolder) -> Result<()> {
        if self.context.observer.is_cancelled() {
            return Err(crate::pipeline::cancelled());
        }
        let opened = if folder.parent.is_none() && folder.depth > 0 {
            self.source.open_folder_at(&folder.path)
        } else {
            self.source
                .open_folder(folder.parent.as_ref(), &folder.name)
        };
        let listing =
            opened.and_then(|handle| self.source.list(&handle).map(|list| (handle, list)));
        let (handle, listing) = match listing {
            Ok(listed) => listed,
            Err(error) => {
                self.assembler.problem(problem_of(&error));
                return Ok(());
            }
        };
        listing
            .problems
            .into_iter()
            .for_each(|problem| self.assembler.problem(problem));
        let path = Arc::new(folder.path);
        let depth = folder.depth + 1;
        let first_subfolder = self.folders.len();
        for found in listing.entries {
            if found.stat.kind == FileKind::Folder {
                self.refuse_repository(Some(&path), &found.stat, &found.name)?;
                if !found.is_mount_point {
                    let parent = (depth < HELD_OPEN_DEPTH).then(|| handle.clone());
                    let (name, path) = (found.name.clone(), path.child(&found.name));
                    self.folders.push(PendingFolder {
                        parent,
                        name,
                        path,
                        depth,
                    });
                }
            }
            self.visit(Some(&handle), &path, found)?;
        }
        // The next to be listed is taken from the end.
        self.folders[first_subfolder..].reverse();
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
                let metadata = Box::new(self.source.link_metadata(&stat));
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
            && let Some(what) = self.take_over(parent, name, stat, &known)?
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
        known: &KnownEntry,
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
        let content = content.clone();
        let metadata = self.metadata(parent, name, stat, Some(known));
        Ok(Some(What::Unchanged(Box::new(metadata), content)))
    }

    fn visit_other(
        &mut self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
        known: Option<&KnownEntry>,
    ) -> Result<What, Problem> {
        let node = self
            .source
            .read_node(parent, name, stat)
            .map_err(|error| problem_of(&error))?;
        Ok(What::Ready(
            Box::new(self.metadata(parent, name, stat, known)),
            node,
        ))
    }

    /// Metadata; extended attributes are taken over where ctime says that they did not change.
    fn metadata(
        &mut self,
        parent: Option<&FolderHandle>,
        name: &[u8],
        stat: &Stat,
        known: Option<&KnownEntry>,
    ) -> Metadata {
        let same_inode = known.filter(|known| {
            !matches!(known.item.entry.node, Node::HardLink(_))
                && known.seen.ctime == stat.ctime
                && known.seen.inode == stat.inode
                && !known.seen.racy
        });
        if let Some(known) = same_inode {
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
