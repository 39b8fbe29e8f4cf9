//! A volume in a repository, made by the real session and pipeline, and its bytes in memory.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::error::Result;
use crate::format::entry::Content;
use crate::format::entry::Extent;
use crate::format::entry::ExtentKind;
use crate::format::id::ChunkId;
use crate::format::snapshot::Consistency;
use crate::format::snapshot::PageRoot;
use crate::format::snapshot::Root;
use crate::format::snapshot::Snapshot;
use crate::limits::KIB;
use crate::limits::MIB;
use crate::observe::Counter;
use crate::observe::Observer;
use crate::observe::Problem;
use crate::operations::restore_volume::RestoreVolumeOptions;
use crate::operations::restore_volume::RestoreVolumeReport;
use crate::operations::restore_volume::restore_volume;
use crate::pipeline::ReadAt;
use crate::pipeline::budget::Budget;
use crate::pipeline::ingest;
use crate::pipeline::ingest::Ingest;
use crate::pipeline::ingest::IngestOptions;
use crate::pipeline::submit_run;
use crate::repository::Repository;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::ExtentCursor;
use crate::repository::manifest::content::ExtentStep;
use crate::repository::manifest::extents::ContentBuilder;
use crate::repository::session::Session;
use crate::repository::session::SessionOptions;
use crate::repository::session::Writer;
use crate::storage::Backend;
use crate::storage::memory::MemoryBackend;
use crate::targets::volume::Existing;
use crate::targets::volume::VolumeTargetOptions;
use crate::testing::random::Random;
use crate::testing::sample_repository;

/// A stretch of a volume.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Data(usize),
    Hole(usize),
    Zero(usize),
}

/// A repository of one volume.
pub(super) struct World<B: Backend + 'static = MemoryBackend> {
    pub backend: Arc<B>,
    pub repository: Repository,
    pub root: Root,
    pub bytes: Vec<u8>,
}

impl World {
    /// 24 MiB: data, holes and zeros of all lengths.
    pub(super) fn mixed() -> Self {
        Self::new(&mixed_parts(), SessionOptions::default())
    }

    pub(super) fn new(parts: &[Part], options: SessionOptions) -> Self {
        Self::on(Arc::default(), parts, options)
    }
}

impl<B: Backend + 'static> World<B> {
    pub(super) fn on(backend: Arc<B>, parts: &[Part], options: SessionOptions) -> Self {
        let repository = sample_repository::create(backend.clone());
        let mut random = Random::new(77);
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Part::Data(len) => bytes.extend(random.bytes(*len)),
                Part::Hole(len) | Part::Zero(len) => bytes.resize(bytes.len() + len, 0),
            }
        }
        let root = store(&repository, parts, &bytes, options);
        drop(repository);
        let repository = sample_repository::open(backend.clone());
        Self {
            backend,
            repository,
            root,
            bytes,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn restore(
        &self,
        target: &Path,
        options: &RestoreVolumeOptions,
    ) -> Result<RestoreVolumeReport> {
        restore_volume(&self.repository, &self.root, target, options, &())
    }

    /// The extents of the volume and where each begins.
    pub(super) fn extents(&self) -> Vec<(u64, Extent)> {
        let reader = ChunkReader::new(&self.repository, MIB).unwrap();
        let content = Content::Tree(crate::format::entry::ExtentsRoot {
            len: self.root.bytes,
            page: self.root.page,
            level: self.root.level,
        });
        let mut cursor = ExtentCursor::new(&reader, &content);
        let mut extents = Vec::new();
        while let Some(step) = cursor.next().unwrap() {
            let ExtentStep::Extent(extent) = step else {
                panic!("{step:?}");
            };
            extents.push((cursor.offset() - extent.len, extent));
        }
        extents
    }

    /// The chunks of the volume and where each begins.
    pub(super) fn chunks(&self) -> Vec<(u64, u64, ChunkId)> {
        let chunk = |(at, extent): (u64, Extent)| match extent.kind {
            ExtentKind::Chunk(id) => Some((at, extent.len, id)),
            _ => None,
        };
        self.extents().into_iter().filter_map(chunk).collect()
    }
}

/// 24 MiB: data, holes and zeros of all lengths.
pub(super) fn mixed_parts() -> Vec<Part> {
    use Part::{Data, Hole, Zero};
    vec![
        Data(5 * MIB),
        Hole(64 * KIB),
        Data(64 * KIB),
        Zero(2 * MIB),
        Hole(4 * MIB),
        Data(9 * MIB + 512),
        Zero(64 * KIB - 512),
        Data(MIB),
        Hole(2 * MIB),
        Data(MIB - 64 * KIB),
    ]
}

/// A budget of small windows, so that a small volume has several.
pub(super) fn small_windows() -> Budget {
    Budget {
        cache_len: 2 * MIB,
        ..Budget::default()
    }
}

/// Options of small windows and a checkpoint after each.
pub(super) fn options(existing: Existing) -> RestoreVolumeOptions {
    RestoreVolumeOptions {
        budget: small_windows(),
        target: VolumeTargetOptions {
            existing,
            ..VolumeTargetOptions::default()
        },
        checkpoint_len: MIB as u64,
        ..RestoreVolumeOptions::default()
    }
}

fn store(repository: &Repository, parts: &[Part], bytes: &[u8], options: SessionOptions) -> Root {
    let mut session = Session::begin(repository, &Writer::default(), options).unwrap();
    let ingest_options = IngestOptions {
        budget: Budget::default(),
        level: 1,
        observer: &(),
    };
    let run = |ingest: &Ingest<'_>| store_volume(ingest, parts, bytes);
    let (root, _) = ingest::run(&mut session, &ingest_options, run).unwrap();
    let snapshot = Snapshot {
        consistency: Consistency::Crash,
        ..sample_repository::snapshot_of(session.id(), vec![root.clone()])
    };
    session.commit(snapshot).unwrap().expect_stands();
    root
}

fn store_volume(ingest: &Ingest<'_>, parts: &[Part], bytes: &[u8]) -> Result<Root> {
    let mut store = ingest.page_store();
    let mut builder = ContentBuilder::default();
    let reader: Arc<dyn ReadAt> = Arc::new(InMemory(bytes.to_vec()));
    let mut at = 0;
    for part in parts {
        let (len, kind) = match *part {
            Part::Data(len) => {
                let run = at..at + len as u64;
                at = run.end;
                let mut tickets = Vec::new();
                submit_run(ingest, &reader, run, |ticket| {
                    tickets.push(ticket);
                    Ok(())
                })?;
                for ticket in tickets {
                    for extent in ticket.wait()?.unwrap() {
                        builder.push(extent, &mut store)?;
                    }
                }
                continue;
            }
            Part::Hole(len) => (len as u64, ExtentKind::Hole),
            Part::Zero(len) => (len as u64, ExtentKind::Zero),
        };
        at += len;
        builder.push(Extent { len, kind }, &mut store)?;
    }
    let Content::Tree(tree) = builder.finish(&mut store)? else {
        panic!("a sample volume has more extents than a list takes");
    };
    store.finish()?;
    let at = PageRoot {
        page: tree.page,
        level: tree.level,
    };
    Ok(Root::volume(b"/dev/sample".to_vec(), at, tree.len))
}

struct InMemory(Vec<u8>);

impl ReadAt for InMemory {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// Stops an operation after so many bytes are done, if at all; keeps the problems it is told.
#[derive(Default)]
pub(super) struct Watcher {
    pub stop_after: Option<u64>,
    pub done: AtomicU64,
    pub stopped: AtomicBool,
    pub problems: Mutex<Vec<Problem>>,
}

impl Observer for Watcher {
    fn problem(&self, problem: &Problem) {
        self.problems.lock().push(problem.clone());
    }

    fn count(&self, counter: Counter, by: u64) {
        if counter == Counter::Bytes {
            let done = self.done.fetch_add(by, Ordering::Relaxed) + by;
            if self.stop_after.is_some_and(|after| done >= after) {
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
    }

    fn is_cancelled(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Fails with where two contents differ, not with all of them.
#[track_caller]
pub(super) fn assert_same(found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len(), "length");
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(differs, None, "first byte that differs");
}
