//! Reading files on the workers: small ones whole and in batches, large ones in segments.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;
use crate::format::entry::{Content, Extent, ExtentKind, Metadata};
use crate::limits::READ_ATTEMPTS;
use crate::observe::Problem;
use crate::pipeline::ingest::{Ingest, Ticket};
use crate::pipeline::{IngestError, ReadAt, SegmentResult, Worker, submit_run};
use crate::repository::manifest::builder::PageStore;
use crate::repository::manifest::extents::ContentBuilder;
use crate::sources::folder::{FolderHandle, FolderSource, SourceFile, Stat, problem_of};

/// Segment results that wait for a large file's builder before the oldest is waited for.
const SEGMENTS_WAITING_MAX: usize = 64;

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct FileAt {
    pub parent: Option<FolderHandle>,
    pub name: Vec<u8>,
}

/// What became of a file.
pub(super) enum FileOutcome {
    /// Read; `moved` if it changed under every attempt.
    Read(Box<ReadFile>),
    /// Not read, and why.
    Failed(Problem),
    /// Grew beyond a worker's buffer since it was listed: to be read in segments.
    Grew,
}

/// A file that was read.
pub(super) struct ReadFile {
    pub stat: Stat,
    pub metadata: Metadata,
    pub extents: Vec<Extent>,
    pub problems: Vec<Problem>,
    pub moved: bool,
}

/// Reads the files of a batch, one after the other.
pub(super) fn read_batch(
    worker: &mut Worker<'_>,
    source: &FolderSource,
    files: &[FileAt],
    len_max: u64,
) -> Result<Vec<FileOutcome>> {
    files
        .iter()
        .map(|file| read_file(worker, source, file, len_max))
        .collect()
}

/// Reads a file until it holds still, at most [`READ_ATTEMPTS`] times.
fn read_file(
    worker: &mut Worker<'_>,
    source: &FolderSource,
    at: &FileAt,
    len_max: u64,
) -> Result<FileOutcome> {
    let mut attempt = 1;
    loop {
        let file = match source.open_file(at.parent.as_ref(), &at.name) {
            Ok(file) => file,
            Err(error) => return Ok(FileOutcome::Failed(problem_of(&error))),
        };
        let stat = *file.stat();
        if stat.len > len_max {
            return Ok(FileOutcome::Grew);
        }
        let extents = match worker.ingest(&file, runs_of(&file), stat.len) {
            Ok(extents) => extents,
            Err(IngestError::Source(error)) => {
                let error = source.file_error(&file, "reading", error);
                return Ok(FileOutcome::Failed(problem_of(&error)));
            }
            Err(IngestError::Store(error)) => return Err(error),
        };
        let still = held_still(&file, len_of(&extents));
        if still || attempt == READ_ATTEMPTS {
            let (metadata, problems) = source.file_metadata(&file);
            return Ok(FileOutcome::Read(Box::new(ReadFile {
                stat,
                metadata,
                extents,
                problems,
                moved: !still,
            })));
        }
        attempt += 1;
    }
}

/// True if a file is still what it was when it was opened, and gave all its bytes.
pub(super) fn held_still(file: &SourceFile, len: u64) -> bool {
    let before = file.stat();
    file.stat_now().is_ok_and(|now| {
        (now.len, now.mtime, now.ctime) == (before.len, before.mtime, before.ctime)
            && len == before.len
    })
}

fn len_of(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.len).sum()
}

/// The runs of data of a file.
fn runs_of(file: &SourceFile) -> Box<dyn Iterator<Item = io::Result<Range<u64>>> + '_> {
    let len = file.stat().len;
    if file.stat().may_have_holes() {
        Box::new(file.data_runs(len))
    } else {
        Box::new((len > 0).then_some(Ok(0..len)).into_iter())
    }
}

/// A large file on its way through the workers.
pub(super) struct LargeFile {
    pub file: Arc<SourceFile>,
    builder: ContentBuilder,
    waiting: VecDeque<Part>,
    failure: Option<io::Error>,
}

/// A piece of a large file, in order.
enum Part {
    Segment(Ticket<SegmentResult>),
    Hole(u64),
}

impl LargeFile {
    /// Queues all segments of `file`.
    pub(super) fn submit(
        ingest: &Ingest<'_>,
        file: SourceFile,
        store: &mut PageStore<'_>,
    ) -> Result<Self> {
        let file = Arc::new(file);
        let reader: Arc<dyn ReadAt> = Arc::clone(&file) as _;
        let mut large = Self {
            file: Arc::clone(&file),
            builder: ContentBuilder::default(),
            waiting: VecDeque::new(),
            failure: None,
        };
        let mut at = 0;
        for run in runs_of(&file) {
            let run = match run {
                Ok(run) => run,
                Err(error) => {
                    large.failure = Some(error);
                    return Ok(large);
                }
            };
            large.waiting.push_back(Part::Hole(run.start - at));
            at = run.end;
            submit_run(ingest, &reader, run, |ticket| {
                large.waiting.push_back(Part::Segment(ticket));
                while large.waiting.len() > SEGMENTS_WAITING_MAX {
                    large.take_part(store)?;
                }
                Ok(())
            })?;
        }
        let len = file.stat().len;
        large.waiting.push_back(Part::Hole(len.saturating_sub(at)));
        Ok(large)
    }

    /// Waits for all segments and ends the content.
    pub(super) fn finish(mut self, store: &mut PageStore<'_>) -> Result<io::Result<Content>> {
        while !self.waiting.is_empty() {
            self.take_part(store)?;
        }
        match self.failure {
            Some(error) => Ok(Err(error)),
            None => self.builder.finish(store).map(Ok),
        }
    }

    fn take_part(&mut self, store: &mut PageStore<'_>) -> Result<()> {
        match self.waiting.pop_front() {
            None => Ok(()),
            Some(Part::Hole(len)) => {
                let kind = ExtentKind::Hole;
                self.builder.push(Extent { len, kind }, store)
            }
            Some(Part::Segment(ticket)) => match ticket.wait()? {
                Ok(extents) => {
                    let mut extents = extents.into_iter();
                    extents.try_for_each(|extent| self.builder.push(extent, store))
                }
                Err(error) => {
                    self.failure.get_or_insert(error);
                    Ok(())
                }
            },
        }
    }
}
