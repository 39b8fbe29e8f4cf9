//! Small repositories for tests, made by the real session and pipeline from trees in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::error::{Error, Place, Result};
use crate::format::boot::{Boot, BootFirmware, BootOutcome};
use crate::format::entry::{
    Content, Entry, Extent, FolderPath, Metadata, Node, Timestamp, TreePath,
};
use crate::format::id::{PageId, SessionId};
use crate::format::name::{ObjectKind, ObjectName};
use crate::format::scan::Seen;
use crate::format::slot::Argon2Costs;
use crate::format::snapshot::{
    Consistency, PageRoot, Root, RootType, Snapshot, SnapshotKind, Totals, Tracking,
};
use crate::pipeline::ReadAt;
use crate::pipeline::budget::Budget;
use crate::pipeline::ingest::{self, Ingest, IngestOptions};
use crate::pipeline::{IngestError, Worker};
use crate::repository::chunks::ChunkReader;
use crate::repository::keys::UnlockSecret;
use crate::repository::manifest::Tree;
use crate::repository::manifest::builder::{PageStore, ScanBuilder, TreeBuilder};
use crate::repository::manifest::cursor::{Ahead, Cursor};
use crate::repository::manifest::extents::ContentBuilder;
use crate::repository::session::{Session, SessionOptions, Writer};
use crate::repository::{CreateOptions, Repository};
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::testing::random::Random;

const PASSWORD: &[u8] = b"sample";
/// When samples are made, seconds since 1970.
const CREATED: u64 = 1_790_000_000;

/// Makes a repository on an empty backend; its password costs nothing.
pub fn create(backend: Arc<dyn Backend>) -> Repository {
    let mut options = CreateOptions::new(CREATED);
    options.slot.costs = Argon2Costs {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    let secret = UnlockSecret::password(PASSWORD);
    Repository::create(backend, &secret, &options).expect("an empty backend takes a repository")
}

/// Opens what [`create`] made, with an index of its own.
pub fn open(backend: Arc<dyn Backend>) -> Repository {
    let secret = UnlockSecret::password(PASSWORD);
    Repository::open(backend, &secret).expect("the sample repository opens")
}

/// Packing that gives every chunk and page a frame of its own, and small packs: damage stays
/// small, and one read is one page.
pub fn small_frames() -> SessionOptions {
    SessionOptions {
        pack_len_target: 32 * 1024,
        index_every_packs: 4,
        frame_len_target: 1,
    }
}

/// A folder in memory.
#[derive(Clone, Debug)]
pub struct SampleTree {
    entries: BTreeMap<TreePath, (Metadata, SampleNode)>,
}

/// What an entry of a [`SampleTree`] is.
#[derive(Clone, Debug)]
pub enum SampleNode {
    /// A file of these bytes.
    File(Arc<Vec<u8>>),
    /// Anything else.
    Other(Node),
}

impl Default for SampleTree {
    fn default() -> Self {
        Self::new()
    }
}

impl SampleTree {
    /// An empty folder.
    pub fn new() -> Self {
        let mut tree = Self {
            entries: BTreeMap::new(),
        };
        tree.insert(TreePath::default(), SampleNode::Other(Node::Folder));
        tree
    }

    /// A single file.
    pub fn single_file(content: Vec<u8>) -> Self {
        let mut tree = Self::new();
        tree.insert(TreePath::default(), SampleNode::File(Arc::new(content)));
        tree
    }

    /// So many short files in folders of about 50, with names and contents of this seed.
    pub fn random(seed: u64, files: usize) -> Self {
        let (mut tree, mut random) = (Self::new(), Random::new(seed));
        for number in 0..files {
            let folder = random.below(files / 50 + 1);
            let len = 1 + random.below(40);
            let path = format!("d{}/e{}/f{number:05}", folder % 7, folder);
            tree.file(&path, random.bytes(len));
        }
        tree
    }

    /// Puts a file at a path with slashes, and the folders above it.
    pub fn file(&mut self, path: &str, content: Vec<u8>) -> &mut Self {
        self.put(path, SampleNode::File(Arc::new(content)))
    }

    /// Puts something else at a path with slashes, and the folders above it.
    pub fn node(&mut self, path: &str, node: Node) -> &mut Self {
        self.put(path, SampleNode::Other(node))
    }

    /// Puts an entry with metadata of its own where it is said, and nothing above it.
    pub fn entry(&mut self, path: TreePath, metadata: Metadata, node: SampleNode) -> &mut Self {
        self.entries.insert(path, (metadata, node));
        self
    }

    /// Removes one entry.
    pub fn remove(&mut self, path: &str) -> &mut Self {
        self.entries.remove(&tree_path(path));
        self
    }

    /// Changes the permission bits of one entry.
    pub fn set_mode(&mut self, path: &str, mode: u16) -> &mut Self {
        let (metadata, _) = self.entries.get_mut(&tree_path(path)).expect("it exists");
        metadata.mode = mode;
        self
    }

    /// All places, in order.
    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.entries.keys()
    }

    fn put(&mut self, path: &str, node: SampleNode) -> &mut Self {
        let path = tree_path(path);
        let mut folder = path.folder.clone();
        while !folder.0.is_empty() {
            let entry = folder.as_entry();
            if !self.entries.contains_key(&entry) {
                self.insert(entry.clone(), SampleNode::Other(Node::Folder));
            }
            folder = entry.folder;
        }
        self.insert(path, node);
        self
    }

    fn insert(&mut self, path: TreePath, node: SampleNode) {
        let mtime = Timestamp {
            seconds: CREATED as i64,
            nanoseconds: 5,
        };
        let metadata = Metadata {
            mode: 0o644,
            mtime,
            ..Metadata::default()
        };
        self.entries.insert(path, (metadata, node));
    }
}

/// The place that a path with slashes means.
pub fn tree_path(path: &str) -> TreePath {
    let names = path.split('/').filter(|name| !name.is_empty());
    let folder = names.fold(FolderPath::root(), |folder, name| {
        folder.child(name.as_bytes())
    });
    folder.as_entry()
}

/// Commits a snapshot of `roots`: their names, and what is in them.
pub fn commit(
    repository: &Repository,
    options: SessionOptions,
    roots: &[(&str, &SampleTree)],
) -> Snapshot {
    commit_with(repository, options, store_roots(roots))
}

/// Commits a snapshot of the roots that `store` makes.
pub fn commit_with(
    repository: &Repository,
    options: SessionOptions,
    store: impl FnOnce(&Ingest<'_>) -> Result<Vec<Root>>,
) -> Snapshot {
    let (session, snapshot) = ingest_roots(repository, options, store);
    let commit = session.commit(snapshot).expect("the backend works");
    commit.expect_stands()
}

/// Stores `roots` as a session of `writer`, which goes on: nothing is committed yet, and what is not
/// flushed is not stored.
#[cfg(test)]
pub(crate) fn stored_by<'r>(
    repository: &'r Repository,
    writer: &Writer,
    options: SessionOptions,
    roots: &[(&str, &SampleTree)],
) -> (Session<'r>, Snapshot) {
    let session = Session::begin(repository, writer, options).expect("a session begins");
    ingest_into(session, store_roots(roots))
}

/// Stores `roots` and ends without a snapshot, as an interrupted session does.
pub fn store_without_commit(
    repository: &Repository,
    options: SessionOptions,
    roots: &[(&str, &SampleTree)],
) -> SessionId {
    let (session, snapshot) = ingest_roots(repository, options, store_roots(roots));
    session.abandon();
    snapshot.session
}

/// Runs `body` with a store of pages; what it stored stays in packs of no snapshot.
pub fn with_pages<R>(
    repository: &Repository,
    options: SessionOptions,
    body: impl FnOnce(&mut PageStore<'_>) -> Result<R>,
) -> R {
    let mut session = begin(repository, options);
    let result = ingest::run(&mut session, &ingest_options(), |ingest| {
        let mut store = ingest.page_store();
        let result = body(&mut store)?;
        store.finish().map(|()| result)
    });
    session.abandon();
    result.expect("the backend works").0
}

fn begin<'r>(repository: &'r Repository, options: SessionOptions) -> Session<'r> {
    Session::begin(repository, &Writer::default(), options).expect("a session begins")
}

fn ingest_options() -> IngestOptions<'static> {
    IngestOptions {
        budget: Budget::default(),
        level: 1,
        observer: &(),
    }
}

fn store_roots(roots: &[(&str, &SampleTree)]) -> impl FnOnce(&Ingest<'_>) -> Result<Vec<Root>> {
    move |ingest| {
        let store = |(name, tree): &(&str, &SampleTree)| store_root(ingest, name, tree);
        roots.iter().map(store).collect()
    }
}

fn ingest_roots<'r>(
    repository: &'r Repository,
    options: SessionOptions,
    store: impl FnOnce(&Ingest<'_>) -> Result<Vec<Root>>,
) -> (Session<'r>, Snapshot) {
    ingest_into(begin(repository, options), store)
}

fn ingest_into(
    mut session: Session<'_>,
    store: impl FnOnce(&Ingest<'_>) -> Result<Vec<Root>>,
) -> (Session<'_>, Snapshot) {
    session.snapshots().expect("the backend works");
    let (roots, _) =
        ingest::run(&mut session, &ingest_options(), store).expect("the backend works");
    let snapshot = snapshot_of(session.id(), roots);
    (session, snapshot)
}

/// A snapshot of `roots`, which need not be stored.
pub fn snapshot_of(session: SessionId, roots: Vec<Root>) -> Snapshot {
    let sum = |of: fn(&Root) -> u64| roots.iter().map(of).sum();
    let totals = Totals {
        entries: sum(|root| root.entries),
        bytes: sum(|root| root.bytes),
        ..Totals::default()
    };
    let is_volume = |root: &Root| root.root_type == RootType::Extents;
    let kind = match roots.as_slice() {
        [root] if is_volume(root) => SnapshotKind::Volume,
        roots if roots.iter().any(is_volume) => SnapshotKind::Machine,
        _ => SnapshotKind::Folders,
    };
    Snapshot {
        session,
        kind,
        roots,
        begun: Timestamp::default(),
        ended: Timestamp::default(),
        host: "sample".to_owned(),
        user: "nobody".to_owned(),
        tags: Vec::new(),
        program: "blockstore tests".to_owned(),
        parent: None,
        tracking: Tracking::Full,
        tracking_reason: "a sample".to_owned(),
        consistency: Consistency::Files,
        problems: Vec::new(),
        problem_count: 0,
        totals,
        base: 0,
        sequence: 1,
    }
}

/// Another storage with the same objects, so that something can be done to them again.
///
/// # Panics
/// If `stored` cannot be read.
pub fn copy_of(stored: &MemoryBackend) -> MemoryBackend {
    let copy = MemoryBackend::new();
    for kind in ObjectKind::ALL {
        for info in stored.list(kind).expect("memory can be listed") {
            let bytes = stored.get(&info.name).expect("memory can be read");
            copy.put(&info.name, &bytes).expect("memory can be written");
        }
    }
    copy
}

/// Stores one folder.
pub fn store_root(ingest: &Ingest<'_>, name: &str, tree: &SampleTree) -> Result<Root> {
    let mut store = ingest.page_store();
    let (mut entries, mut scan) = (TreeBuilder::new(), ScanBuilder::new());
    for (inode, (path, (metadata, node))) in tree.entries.iter().enumerate() {
        let node = match node {
            SampleNode::File(bytes) => Node::File(store_content(ingest, bytes, &mut store)?),
            SampleNode::Other(node) => node.clone(),
        };
        let entry = Entry {
            name: path.name.clone(),
            metadata: metadata.clone(),
            node,
        };
        entries.push(&path.folder, &entry, &mut store)?;
        let seen = Seen {
            ctime: metadata.mtime,
            inode: inode as u64,
            racy: false,
        };
        scan.push(&path.folder, &path.name, &seen, &mut store)?;
    }
    let (built, scan) = (entries.finish(&mut store)?, scan.finish(&mut store)?);
    store.finish()?;
    let page_root = |page, level| PageRoot { page, level };
    let at = page_root(built.child.page, built.level);
    let scan = page_root(scan.child.page, scan.level);
    let (entries, bytes) = (built.child.entries, built.child.bytes);
    Ok(Root {
        scan: Some(scan),
        ..Root::folder(name.as_bytes().to_vec(), at, entries, bytes)
    })
}

fn store_content(
    ingest: &Ingest<'_>,
    bytes: &Arc<Vec<u8>>,
    store: &mut PageStore<'_>,
) -> Result<Content> {
    let mut content = ContentBuilder::default();
    for extent in store_bytes(ingest, bytes)? {
        content.push(extent, store)?;
    }
    content.finish(store)
}

/// Stores bytes, cut by content.
pub fn store_bytes(ingest: &Ingest<'_>, bytes: &Arc<Vec<u8>>) -> Result<Vec<Extent>> {
    let reader = InMemory(Arc::clone(bytes));
    let ticket = ingest.submit(move |worker| ingest_bytes(worker, &reader))?;
    ticket.wait()
}

fn ingest_bytes(worker: &mut Worker<'_>, reader: &InMemory) -> Result<Vec<Extent>> {
    let len = reader.0.len() as u64;
    let runs = (len > 0).then_some(Ok(0..len));
    worker
        .ingest(reader, runs, len)
        .map_err(|error| match error {
            IngestError::Store(error) => error,
            IngestError::Source(error) => Error::io(Place::Repository, "sample content", error),
        })
}

/// A content that is there.
pub(crate) struct InMemory(pub(crate) Arc<Vec<u8>>);

impl ReadAt for InMemory {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// A machine that was started from a disk of `session` and said what it should.
pub fn sample_boot(session: SessionId) -> Boot {
    let time = |seconds| Timestamp {
        seconds,
        nanoseconds: 7,
    };
    Boot {
        session,
        begun: time(CREATED as i64),
        ended: time(CREATED as i64 + 12),
        outcome: BootOutcome::Appeared { after_ms: 11_500 },
        detail: String::new(),
        expected: "login:".to_owned(),
        timeout_ms: 120_000,
        firmware: BootFirmware::Uefi,
        accelerator: "kvm".to_owned(),
        bus: "virtio".to_owned(),
        memory: 1 << 30,
        machine: "a machine 1.0".to_owned(),
        disks: vec![b"disk0".to_vec(), b"\xff".to_vec()],
        serial: b"\x1b[2Jhost login:".to_vec(),
        said: 70_000,
        failed: 0,
        host: "host".to_owned(),
        user: "ana".to_owned(),
        program: "sample 1".to_owned(),
    }
}

/// Flips one bit of a stored object, as a failing medium does.
pub fn flip_bit(backend: &dyn Backend, name: &ObjectName, offset: u64) {
    change_object(backend, name, |bytes| bytes[offset as usize] ^= 0x40);
}

/// Replaces a stored object by what `change` makes of it.
pub fn change_object(backend: &dyn Backend, name: &ObjectName, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = backend.get(name).expect("the object is there");
    change(&mut bytes);
    backend.delete(name).expect("the backend works");
    backend.put(name, &bytes).expect("the backend works");
}

/// The leaf pages of the tree of `root`, in order.
pub fn leaf_pages(repository: &Repository, root: &Root) -> Vec<PageId> {
    let leaves = pages(repository, root).into_iter();
    let leaves = leaves.filter(|(level, _)| *level == 0);
    leaves.map(|(_, page)| page).collect()
}

/// All pages of the tree of `root` with their levels, each before those below it.
pub fn pages(repository: &Repository, root: &Root) -> Vec<(u8, PageId)> {
    let reader = ChunkReader::new(repository, 0).expect("the index loads");
    let mut cursor = Cursor::<Tree>::new(&reader, root.page, root.level, TreePath::default());
    let mut pages = Vec::new();
    loop {
        match cursor.ahead() {
            Ahead::Page(page) => {
                pages.push((page.level, page.id));
                if page.level == 0 {
                    cursor.skip_page();
                    continue;
                }
                let lost = cursor.open_page().expect("the backend works");
                assert!(lost.is_none(), "{lost:?}");
            }
            Ahead::Item(_) | Ahead::End => return pages,
        }
    }
}
