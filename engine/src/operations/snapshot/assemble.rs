//! Finished entries, in order, into the tree and the scan.
//!
//! Workers finish in any order; entries wait here in the order of the walk until the oldest is
//! done. The window is bounded, so a slow file holds up the walk and not the memory.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::{Content, Entry, FolderPath, Metadata, Node, TreePath};
use crate::format::scan::ScanChild;
use crate::format::scan::Seen;
use crate::format::tree::TreeChild;
use crate::limits::{EXTENTS_INLINE_MAX, READ_ATTEMPTS, SNAPSHOT_PROBLEMS_MAX};
use crate::observe::{Counter, Observer, Problem, ProblemKind};
use crate::operations::snapshot::content::{
    FileAt, FileOutcome, LargeFile, ReadFile, held_still, read_batch,
};
use crate::operations::snapshot::walk::RootTotals;
use crate::pipeline::ingest::{Ingest, Ticket};
use crate::repository::manifest::builder::{BuiltRoot, PageStore, ScanBuilder, TreeBuilder};
use crate::repository::manifest::extents::ContentBuilder;
use crate::sources::folder::{FolderSource, ScanStart, Stat, problem_of};

/// Entries that wait for the oldest at most.
const WINDOW: usize = 8 * 1024;
/// A batch is queued when it holds this many files, or this many bytes.
const BATCH_FILES_MAX: usize = 64;
const BATCH_BYTES_MAX: u64 = 1024 * 1024;

/// Takes entries in order.
pub(super) struct Assembler<'w, 's> {
    ingest: &'w Ingest<'s>,
    store: &'w mut PageStore<'s>,
    observer: &'w dyn Observer,
    source: Arc<FolderSource>,
    scan_start: ScanStart,
    tree: TreeBuilder,
    scan: ScanBuilder,
    waiting: VecDeque<(Place, What)>,
    /// The batch that still takes files.
    batch: Rc<RefCell<Batch>>,
    /// Device and inode of hard link leaders that were not stored.
    lost_leaders: HashSet<(u64, u64)>,
    problems: Vec<Problem>,
    problem_count: u64,
    totals: RootTotals,
}

/// What an entry is waiting for.
pub(super) enum What {
    /// Nothing.
    Ready(Metadata, Node),
    /// A file taken over from the previous snapshot.
    Unchanged(Metadata, Content),
    /// A worker, for a small file.
    Small(InBatch),
    /// Workers, for a large one.
    Large(Box<LargeFile>),
}

/// A file of a batch.
pub(super) struct InBatch {
    batch: Rc<RefCell<Batch>>,
    index: usize,
}

#[derive(Default)]
struct Batch {
    files: Vec<FileAt>,
    bytes: u64,
    ticket: Option<Ticket<Vec<FileOutcome>>>,
    outcomes: Vec<Option<FileOutcome>>,
}

/// What an assembler ends with.
pub(super) struct Assembled {
    pub tree: BuiltRoot<TreeChild>,
    pub scan: BuiltRoot<ScanChild>,
    pub problems: Vec<Problem>,
    pub problem_count: u64,
    pub totals: RootTotals,
}

impl<'w, 's> Assembler<'w, 's> {
    pub(super) fn new(
        ingest: &'w Ingest<'s>,
        store: &'w mut PageStore<'s>,
        observer: &'w dyn Observer,
        source: Arc<FolderSource>,
        scan_start: ScanStart,
    ) -> Self {
        Self {
            ingest,
            store,
            observer,
            source,
            scan_start,
            tree: TreeBuilder::new(),
            scan: ScanBuilder::new(),
            waiting: VecDeque::new(),
            batch: Rc::default(),
            lost_leaders: HashSet::new(),
            problems: Vec::new(),
            problem_count: 0,
            totals: RootTotals::default(),
        }
    }

    /// Takes an entry, at once if none waits before it; waits for old ones while too many wait.
    pub(super) fn push(
        &mut self,
        folder: &Arc<FolderPath>,
        name: Vec<u8>,
        listed: Stat,
        what: What,
    ) -> Result<()> {
        let at = Place {
            folder: Arc::clone(folder),
            name,
            listed,
        };
        if self.waiting.is_empty() && what.is_done() {
            return self.settle(at, what);
        }
        self.waiting.push_back((at, what));
        while self.waiting.len() > WINDOW {
            self.settle_oldest()?;
        }
        Ok(())
    }

    /// Gives a small file to a batch.
    pub(super) fn read_small(&mut self, file: FileAt, len: u64) -> Result<What> {
        let batch = Rc::clone(&self.batch);
        let (index, full) = {
            let batch = &mut *batch.borrow_mut();
            batch.files.push(file);
            batch.bytes += len;
            let full = batch.files.len() >= BATCH_FILES_MAX || batch.bytes >= BATCH_BYTES_MAX;
            (batch.files.len() - 1, full)
        };
        if full {
            self.queue_batch()?;
        }
        Ok(What::Small(InBatch { batch, index }))
    }

    /// Gives a large file to all workers.
    pub(super) fn read_large(&mut self, file: &FileAt) -> Result<Result<What, Problem>> {
        match self.source.open_file(file.parent.as_ref(), &file.name) {
            Ok(file) => {
                let large = LargeFile::submit(self.ingest, file, self.store)?;
                Ok(Ok(What::Large(Box::new(large))))
            }
            Err(error) => Ok(Err(problem_of(&error))),
        }
    }

    /// Reports a problem, and remembers it for the snapshot.
    pub(super) fn problem(&mut self, problem: Problem) {
        self.observer.problem(&problem);
        self.problem_count += 1;
        if self.problems.len() < SNAPSHOT_PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    /// A hard link leader that is not in the tree: its other names cannot refer to it.
    pub(super) fn lose_leader(&mut self, stat: &Stat) {
        if stat.link_count > 1 {
            self.lost_leaders.insert((stat.device, stat.inode));
        }
    }

    /// Settles everything and ends tree and scan.
    pub(super) fn finish(mut self) -> Result<Assembled> {
        self.queue_batch()?;
        while !self.waiting.is_empty() {
            self.settle_oldest()?;
        }
        Ok(Assembled {
            tree: self.tree.finish(self.store)?,
            scan: self.scan.finish(self.store)?,
            problems: self.problems,
            problem_count: self.problem_count,
            totals: self.totals,
        })
    }

    fn queue_batch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let files = std::mem::take(&mut batch.borrow_mut().files);
        if files.is_empty() {
            return Ok(());
        }
        let source = Arc::clone(&self.source);
        let len_max = self.ingest.budget().segment_len as u64;
        let ticket = self
            .ingest
            .submit(move |worker| read_batch(worker, &source, &files, len_max))?;
        batch.borrow_mut().ticket = Some(ticket);
        Ok(())
    }

    fn settle_oldest(&mut self) -> Result<()> {
        match self.waiting.pop_front() {
            Some((at, what)) => self.settle(at, what),
            None => Ok(()),
        }
    }

    fn settle(&mut self, at: Place, what: What) -> Result<()> {
        match what {
            What::Ready(metadata, node) => self.settle_ready(at, metadata, node),
            What::Unchanged(metadata, content) => {
                self.totals.unchanged_files += 1;
                let listed = at.listed;
                self.add(at, &listed, metadata, Node::File(content), false)
            }
            What::Small(file) => {
                if Rc::ptr_eq(&file.batch, &self.batch) {
                    self.queue_batch()?;
                }
                match file.take()? {
                    FileOutcome::Read(read) => self.settle_small(at, *read),
                    FileOutcome::Failed(problem) => {
                        self.leave_out(&at, problem);
                        Ok(())
                    }
                    FileOutcome::Grew => self.settle_grown(at),
                }
            }
            What::Large(large) => self.settle_large(at, *large, 1),
        }
    }

    fn settle_ready(&mut self, at: Place, metadata: Metadata, node: Node) -> Result<()> {
        let group = (at.listed.device, at.listed.inode);
        if matches!(node, Node::HardLink(_)) && self.lost_leaders.contains(&group) {
            let detail = "is another name of a file that was lost or replaced while it was read";
            let problem = self.problem_at(&at, ProblemKind::ChangedWhileRead, detail);
            self.problem(problem);
            return Ok(());
        }
        let listed = at.listed;
        self.add(at, &listed, metadata, node, false)
    }

    fn settle_small(&mut self, at: Place, read: ReadFile) -> Result<()> {
        let mut content = ContentBuilder::default();
        for extent in read.extents {
            content.push(extent, self.store)?;
        }
        let content = content.finish(self.store)?;
        self.settle_read(
            at,
            &read.stat,
            (read.metadata, read.problems),
            content,
            read.moved,
        )
    }

    fn settle_large(&mut self, at: Place, large: LargeFile, attempt: u32) -> Result<()> {
        self.observer.working_on(&self.display(&at));
        let file = Arc::clone(&large.file);
        let content = match large.finish(self.store)? {
            Ok(content) => content,
            Err(error) => {
                let error = self.source.file_error(&file, "reading", error);
                self.leave_out(&at, problem_of(&error));
                return Ok(());
            }
        };
        let still = held_still(&file, content.len());
        if !still && attempt < READ_ATTEMPTS {
            return self.settle_again(at, &file, attempt + 1);
        }
        let described = self.source.file_metadata(&file);
        self.settle_read(at, file.stat(), described, content, !still)
    }

    fn settle_again(
        &mut self,
        at: Place,
        file: &crate::sources::folder::SourceFile,
        attempt: u32,
    ) -> Result<()> {
        match self.source.open_file(file.parent(), file.name()) {
            Ok(file) => {
                let large = LargeFile::submit(self.ingest, file, self.store)?;
                self.settle_large(at, large, attempt)
            }
            Err(error) => {
                self.leave_out(&at, problem_of(&error));
                Ok(())
            }
        }
    }

    /// A file that was small when it was listed.
    fn settle_grown(&mut self, at: Place) -> Result<()> {
        let opened = if at.name.is_empty() {
            self.source.open_file(None, b"")
        } else {
            self.source
                .open_folder_at(&at.folder)
                .and_then(|parent| self.source.open_file(Some(&parent), &at.name))
        };
        match opened {
            Ok(file) => {
                let large = LargeFile::submit(self.ingest, file, self.store)?;
                self.settle_large(at, large, 1)
            }
            Err(error) => {
                self.leave_out(&at, problem_of(&error));
                Ok(())
            }
        }
    }

    fn settle_read(
        &mut self,
        at: Place,
        stat: &Stat,
        (metadata, problems): (Metadata, Vec<Problem>),
        content: Content,
        moved: bool,
    ) -> Result<()> {
        problems
            .into_iter()
            .for_each(|problem| self.problem(problem));
        if moved {
            let detail = "changed each time it was read; what is stored may mix its states";
            let problem = self.problem_at(&at, ProblemKind::ChangedWhileRead, detail);
            self.problem(problem);
        }
        if (stat.device, stat.inode) != (at.listed.device, at.listed.inode) {
            self.lose_leader(&at.listed);
        }
        debug_assert!(is_canonical(&content));
        self.add(at, stat, metadata, Node::File(content), moved)
    }

    fn add(
        &mut self,
        at: Place,
        stat: &Stat,
        metadata: Metadata,
        node: Node,
        moved: bool,
    ) -> Result<()> {
        self.totals.entries += 1;
        match &node {
            Node::File(content) => {
                self.totals.files += 1;
                self.totals.bytes += content.len();
                self.observer.count(Counter::Bytes, content.len());
            }
            Node::Folder => self.totals.folders += 1,
            _ => {}
        }
        self.observer.count(Counter::Entries, 1);
        let seen = Seen {
            ctime: stat.ctime,
            inode: stat.inode,
            racy: moved || self.scan_start.is_racy(stat),
        };
        self.scan.push(&at.folder, &at.name, &seen, self.store)?;
        let name = at.name;
        self.tree.push(
            &at.folder,
            &Entry {
                name,
                metadata,
                node,
            },
            self.store,
        )
    }

    fn leave_out(&mut self, at: &Place, problem: Problem) {
        self.lose_leader(&at.listed);
        self.problem(problem);
    }

    fn problem_at(&self, at: &Place, kind: ProblemKind, detail: &str) -> Problem {
        let subject = self.display(at).as_os_str().as_bytes().to_vec();
        let detail = detail.to_owned();
        Problem {
            kind,
            subject,
            detail,
        }
    }

    fn display(&self, at: &Place) -> std::path::PathBuf {
        let inside = TreePath::new((*at.folder).clone(), at.name.clone()).to_bytes();
        self.source
            .path()
            .join(std::ffi::OsStr::from_bytes(&inside))
    }
}

/// Where an entry lies, and what its listing said.
struct Place {
    folder: Arc<FolderPath>,
    name: Vec<u8>,
    listed: Stat,
}

impl What {
    /// True if no worker has anything to do for it.
    fn is_done(&self) -> bool {
        matches!(self, Self::Ready(..) | Self::Unchanged(..))
    }
}

impl InBatch {
    /// Waits for the batch if need be; each outcome can be taken once.
    fn take(self) -> Result<FileOutcome> {
        let batch = &mut *self.batch.borrow_mut();
        if let Some(ticket) = batch.ticket.take() {
            batch.outcomes = ticket.wait()?.into_iter().map(Some).collect();
        }
        let outcome = batch.outcomes.get_mut(self.index).and_then(Option::take);
        Ok(outcome.expect("a batch has an outcome for each of its files"))
    }
}

/// True if a content is short or long as the number of its extents says.
fn is_canonical(content: &Content) -> bool {
    match content {
        Content::Inline(extents) => {
            extents.len() <= EXTENTS_INLINE_MAX
                && extents
                    .windows(2)
                    .all(|pair| pair[0].kind != pair[1].kind || !pair[0].kind.merges())
        }
        Content::Tree(_) => true,
    }
}
