//! A file system in memory that knows, of every byte and every name, whether it is durable.
//!
//! ```text
//! file     visible bytes | durable bytes | ranges written since the last flush
//! folder   visible names | durable names
//! log      changes of names since the last flush of their folder, in order
//! ```
//!
//! [`Image::after_crash`] makes from it what a real disk may hold after the power went: any mix
//! that the flushes do not forbid. It is meant to be nastier than every file system in use, for
//! example a rename is two changes, of which either may survive alone, and a flush of a file says
//! nothing about its name. Copies are cheap: contents and maps are shared until they change.
//!
//! Below: `crash`, what survives. Above: `sim_disk`, which adds faults and counts steps.

pub(super) mod crash;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

const ROOT: NodeId = 0;
/// The oldest change beyond becomes durable by itself, as a kernel writes back sooner or later.
const LOG_LEN_MAX: usize = 256;

/// What every name takes up beside the bytes of its file: a folder entry and an inode.
pub(super) const NAME_SPACE: u64 = 256;

pub(super) type NodeId = u64;

#[derive(Clone, Debug)]
pub(super) struct Image {
    nodes: Arc<BTreeMap<NodeId, Arc<Node>>>,
    log: Arc<Vec<Change>>,
    next_node: NodeId,
    next_step: u64,
}

#[derive(Clone, Debug)]
enum Node {
    File(File),
    Folder(Folder),
}

#[derive(Clone, Debug, Default)]
struct File {
    visible: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    dirty: Vec<Range<usize>>,
    modified: u64,
}

#[derive(Clone, Debug, Default)]
struct Folder {
    visible: Arc<BTreeMap<String, NodeId>>,
    durable: Arc<BTreeMap<String, NodeId>>,
}

/// `name` in `folder` came to stand for something else, or for nothing.
#[derive(Clone, Debug)]
struct Change {
    /// Both halves of a rename share it: a journal keeps them together.
    step: u64,
    folder: NodeId,
    name: Arc<str>,
    to: Option<NodeId>,
}

/// Using it.
impl Image {
    /// An empty root folder.
    pub(super) fn new() -> Self {
        let root = BTreeMap::from([(ROOT, Arc::new(Node::Folder(Folder::default())))]);
        Self {
            nodes: Arc::new(root),
            log: Arc::default(),
            next_node: ROOT + 1,
            next_step: 0,
        }
    }

    pub(super) fn find(&self, path: &str) -> io::Result<NodeId> {
        let mut node = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let child = self.folder(node)?.visible.get(name);
            node = *child.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        }
        Ok(node)
    }

    pub(super) fn find_file(&self, path: &str) -> io::Result<NodeId> {
        let node = self.find(path)?;
        self.file(node)?;
        Ok(node)
    }

    pub(super) fn create_file(&mut self, path: &str, modified: u64) -> io::Result<NodeId> {
        self.add(
            path,
            Node::File(File {
                modified,
                ..File::default()
            }),
        )
    }

    pub(super) fn make_folder(&mut self, path: &str) -> io::Result<()> {
        self.add(path, Node::Folder(Folder::default())).map(|_| ())
    }

    pub(super) fn append(&mut self, file: NodeId, data: &[u8]) -> io::Result<()> {
        let file = self.file_mut(file)?;
        let start = file.visible.len();
        Arc::make_mut(&mut file.visible).extend_from_slice(data);
        file.dirty.push(start..start + data.len());
        Ok(())
    }

    pub(super) fn contents(&self, file: NodeId) -> io::Result<&[u8]> {
        Ok(&self.file(file)?.visible)
    }

    pub(super) fn modified(&self, file: NodeId) -> io::Result<u64> {
        Ok(self.file(file)?.modified)
    }

    pub(super) fn is_file(&self, node: NodeId) -> bool {
        self.file(node).is_ok()
    }

    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        Ok(self
            .folder(self.find(path)?)?
            .visible
            .keys()
            .cloned()
            .collect())
    }

    pub(super) fn rename_noreplace(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.find_file(from)?;
        self.check_free(to)?;
        self.next_step += 1;
        self.change(to, Some(file))?;
        self.change(from, None)
    }

    pub(super) fn unlink(&mut self, path: &str) -> io::Result<()> {
        self.find_file(path)?;
        self.next_step += 1;
        self.change(path, None)
    }

    pub(super) fn remove_folder(&mut self, path: &str) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.next_step += 1;
        self.change(path, None)
    }

    /// Bytes of all files that have a name, and of all names.
    pub(super) fn used(&self) -> u64 {
        let reachable = self.reachable();
        let files = reachable
            .iter()
            .filter_map(|node| self.contents(*node).ok());
        let bytes: u64 = files.map(|contents| contents.len() as u64).sum();
        bytes + NAME_SPACE * (reachable.len() as u64 - 1)
    }

    /// All files, by path.
    pub(super) fn files(&self) -> BTreeMap<String, NodeId> {
        let mut files = BTreeMap::new();
        let mut folders = vec![(String::new(), ROOT)];
        while let Some((prefix, folder)) = folders.pop() {
            let Ok(folder) = self.folder(folder) else {
                continue;
            };
            for (name, node) in folder.visible.iter() {
                let path = format!("{prefix}{name}");
                if self.is_file(*node) {
                    files.insert(path, *node);
                } else {
                    folders.push((path + "/", *node));
                }
            }
        }
        files
    }

    fn reachable(&self) -> BTreeSet<NodeId> {
        let mut reached = BTreeSet::from([ROOT]);
        let mut ahead = vec![ROOT];
        while let Some(node) = ahead.pop() {
            let Ok(folder) = self.folder(node) else {
                continue;
            };
            ahead.extend(
                folder
                    .visible
                    .values()
                    .filter(|child| reached.insert(**child)),
            );
        }
        reached
    }

    fn add(&mut self, path: &str, node: Node) -> io::Result<NodeId> {
        self.check_free(path)?;
        let id = self.next_node;
        self.next_node += 1;
        Arc::make_mut(&mut self.nodes).insert(id, Arc::new(node));
        self.next_step += 1;
        self.change(path, Some(id))?;
        Ok(id)
    }

    fn check_free(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        if self.folder(self.find(parent)?)?.visible.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }

    /// Changes what a name stands for, visibly now and durably later.
    fn change(&mut self, path: &str, to: Option<NodeId>) -> io::Result<()> {
        let (parent, name) = split(path);
        let folder = self.find(parent)?;
        set(&mut self.folder_mut(folder)?.visible, name, to);
        let change = Change {
            step: self.next_step,
            folder,
            name: name.into(),
            to,
        };
        let log = Arc::make_mut(&mut self.log);
        log.push(change);
        let oldest = log[0].step;
        if log.len() > LOG_LEN_MAX {
            for change in self.take_changes(|change| change.step == oldest) {
                self.make_durable(&change)?;
            }
        }
        Ok(())
    }

    fn file(&self, node: NodeId) -> io::Result<&File> {
        match self.nodes.get(&node).map(|node| &**node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn folder(&self, node: NodeId) -> io::Result<&Folder> {
        match self.nodes.get(&node).map(|node| &**node) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn node_mut(&mut self, node: NodeId) -> Option<&mut Node> {
        Arc::make_mut(&mut self.nodes)
            .get_mut(&node)
            .map(Arc::make_mut)
    }

    fn file_mut(&mut self, node: NodeId) -> io::Result<&mut File> {
        match self.node_mut(node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn folder_mut(&mut self, node: NodeId) -> io::Result<&mut Folder> {
        match self.node_mut(node) {
            Some(Node::Folder(folder)) => Ok(folder),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }
}

/// Flushing it.
impl Image {
    /// What was written since the last flush becomes durable; what an earlier flush lost does not.
    pub(super) fn flush_file(&mut self, file: NodeId) -> io::Result<()> {
        let file = self.file_mut(file)?;
        let durable = Arc::make_mut(&mut file.durable);
        durable.resize(file.visible.len(), 0);
        for range in file.dirty.drain(..) {
            durable[range.clone()].copy_from_slice(&file.visible[range]);
        }
        Ok(())
    }

    /// A flush that fails: the pages count as clean, are read back until the crash, and are never
    /// written.
    pub(super) fn fail_flush_file(&mut self, file: NodeId) {
        if let Ok(file) = self.file_mut(file) {
            file.dirty.clear();
        }
    }

    pub(super) fn flush_folder(&mut self, path: &str) -> io::Result<()> {
        let folder = self.find(path)?;
        self.folder(folder)?;
        for change in self.take_changes(|change| change.folder == folder) {
            set(
                &mut self.folder_mut(folder)?.durable,
                &change.name,
                change.to,
            );
        }
        Ok(())
    }

    /// As [`Image::fail_flush_file`], of names.
    pub(super) fn fail_flush_folder(&mut self, path: &str) {
        if let Ok(folder) = self.find(path) {
            self.take_changes(|change| change.folder == folder);
        }
    }

    fn make_durable(&mut self, change: &Change) -> io::Result<()> {
        let folder = self.folder_mut(change.folder)?;
        set(&mut folder.durable, &change.name, change.to);
        Ok(())
    }

    fn take_changes(&mut self, which: impl Fn(&Change) -> bool) -> Vec<Change> {
        let log = Arc::make_mut(&mut self.log);
        log.extract_if(.., |change| which(change)).collect()
    }

    /// A file whose name needs no flush, as no program can make it.
    pub(super) fn create_durable_file(&mut self, path: &str, modified: u64) -> io::Result<NodeId> {
        let file = self.create_file(path, modified)?;
        if let Some(change) = Arc::make_mut(&mut self.log).pop() {
            set(
                &mut self.folder_mut(change.folder)?.durable,
                &change.name,
                change.to,
            );
        }
        Ok(file)
    }

    /// Replaces the bytes of a file, visible and durable ones, as no program can.
    pub(super) fn tamper(&mut self, file: NodeId, edit: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
        let file = self.file_mut(file)?;
        edit(Arc::make_mut(&mut file.visible));
        file.durable = Arc::clone(&file.visible);
        file.dirty.clear();
        Ok(())
    }
}

fn set(names: &mut Arc<BTreeMap<String, NodeId>>, name: &str, to: Option<NodeId>) {
    let names = Arc::make_mut(names);
    match to {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
