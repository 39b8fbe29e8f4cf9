//! Workers for one session: jobs go in, tickets come back, packs go out.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::id::ChunkId;
use crate::format::name::PackClass;
use crate::format::snapshot::Root;
use crate::observe::{Counter, Observer};
use crate::pipeline::budget::Budget;
use crate::pipeline::worker::Worker;
use crate::repository::frame_writer::FrameWriter;
use crate::repository::manifest::builder::PageStore;
use crate::repository::pack::FullPack;
use crate::repository::session::Session;

/// Jobs that wait, for each worker.
const QUEUE_PER_WORKER: usize = 4;

type Job<'s> = Box<dyn FnOnce(&mut Worker<'s>) + Send + 's>;

/// Takes jobs for the workers of one session.
pub struct Ingest<'s> {
    session: &'s Session<'s>,
    shared: &'s Shared,
    jobs: Sender<Job<'s>>,
    budget: Budget,
    level: i32,
    observer: &'s dyn Observer,
}

/// The result of a job, once it is done.
pub struct Ticket<T>(Receiver<T>);

/// What the threads of one ingest share.
#[derive(Default)]
pub(crate) struct Shared {
    failed: AtomicBool,
    failure: Mutex<Option<Error>>,
    sums: Sums,
}

/// What the workers did.
#[derive(Default)]
pub(crate) struct Sums {
    pub read_bytes: AtomicU64,
    pub new_chunks: AtomicU64,
    pub new_bytes: AtomicU64,
}

/// What the workers did, at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestTotals {
    /// Bytes read from the source.
    pub read_bytes: u64,
    /// Chunks that were stored.
    pub new_chunks: u64,
    /// Their plaintext, bytes.
    pub new_bytes: u64,
}

/// How contents are ingested.
pub struct IngestOptions<'o> {
    /// Threads and memory.
    pub budget: Budget,
    /// zstd level of frames.
    pub level: i32,
    /// Told of bytes that were read.
    pub observer: &'o dyn Observer,
}

/// Runs `body` with workers for `session`. When it returns, all chunks and pages are in packs that
/// were handed to the backend; none is durable yet.
///
/// # Errors
/// The first error of a worker or of storing, or else that of `body`.
pub fn run<'r, R>(
    session: &mut Session<'r>,
    options: &IngestOptions<'_>,
    body: impl FnOnce(&Ingest<'_>) -> Result<R>,
) -> Result<(R, IngestTotals)> {
    let (packs, full_packs) = bounded::<Option<FullPack>>(1);
    session.set_queue(Some(packs.clone()));
    let shared = Shared::default();
    let outcome = run_threads(session, options, &shared, (packs, full_packs), body);
    session.set_queue(None);
    let failure = shared.failure.lock().take();
    let result = failure.map_or(outcome, Err)?;
    Ok((result, shared.sums.totals()))
}

fn run_threads<R>(
    session: &Session<'_>,
    options: &IngestOptions<'_>,
    shared: &Shared,
    (packs, full_packs): (Sender<Option<FullPack>>, Receiver<Option<FullPack>>),
    body: impl FnOnce(&Ingest<'_>) -> Result<R>,
) -> Result<R> {
    let chunker = session.repository().chunker()?;
    let (chunker, budget, level) = (&chunker, options.budget, options.level);
    thread::scope(|scope| {
        let observer = options.observer;
        let storing = scope.spawn(move || store_packs(session, shared, &full_packs, observer));
        let (jobs, waiting) = bounded::<Job<'_>>(budget.threads * QUEUE_PER_WORKER);
        let workers: Vec<_> = (0..budget.threads)
            .map(|_| {
                let waiting = waiting.clone();
                scope.spawn(move || {
                    let frames = FrameWriter::new(session, PackClass::Data, level);
                    let worker = Worker::new(frames, chunker, budget, &shared.sums, observer);
                    work(worker, shared, &waiting);
                })
            })
            .collect();
        drop(waiting);
        let ingest = Ingest {
            session,
            shared,
            jobs,
            budget,
            level,
            observer,
        };
        // A panic of the body must not leave threads that wait for it.
        let result = catch_unwind(AssertUnwindSafe(|| body(&ingest)));
        drop(ingest);
        if !matches!(result, Ok(Ok(_))) {
            shared.stop();
        }
        let panicked = workers
            .into_iter()
            .map(|worker| worker.join())
            .filter(|end| end.is_err())
            .count()
            > 0;
        let _ = packs.send(None);
        let stored = storing.join();
        if panicked || stored.is_err() {
            shared.fail(stopped());
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn store_packs(
    session: &Session<'_>,
    shared: &Shared,
    full_packs: &Receiver<Option<FullPack>>,
    observer: &dyn Observer,
) {
    // After a failure packs are still taken, so that no worker waits for ever.
    while let Ok(Some(pack)) = full_packs.recv() {
        if shared.has_failed() {
            continue;
        }
        match session.store_pack(pack) {
            Ok(stored) => observer.count(Counter::BytesStored, stored),
            Err(error) => shared.fail(error),
        }
    }
}

fn work<'s>(mut worker: Worker<'s>, shared: &Shared, jobs: &Receiver<Job<'s>>) {
    while let Ok(job) = jobs.recv() {
        if !shared.has_failed() {
            job(&mut worker);
        }
    }
    if !shared.has_failed()
        && let Err(error) = worker.finish()
    {
        shared.fail(error);
    }
}

fn stopped() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        Place::Repository,
        "a worker stopped early",
    )
}

impl<'s> Ingest<'s> {
    /// Queues a job; waits while the queue is full. Fails once the observer wants to stop.
    pub fn submit<T: Send + 's>(
        &self,
        job: impl FnOnce(&mut Worker<'s>) -> Result<T> + Send + 's,
    ) -> Result<Ticket<T>> {
        if self.observer.is_cancelled() {
            return Err(crate::pipeline::cancelled());
        }
        let (done, ticket) = bounded(1);
        let shared = self.shared;
        let job: Job<'s> = Box::new(move |worker| match job(worker) {
            Ok(result) => drop(done.send(result)),
            Err(error) => shared.fail(error),
        });
        self.jobs.send(job).map_err(|_| stopped())?;
        Ok(Ticket(ticket))
    }

    /// A store for the pages of manifests; it works on the caller's thread.
    pub fn page_store(&self) -> PageStore<'s> {
        let frames = FrameWriter::new(self.session, PackClass::Meta, self.level);
        PageStore::new(frames, self.session.repository().keys())
    }

    /// True if `id` need not be stored.
    pub fn is_stored(&self, id: &ChunkId) -> bool {
        self.session.is_stored(id)
    }

    /// True if it is known, without looking, that everything below `root` is stored.
    pub fn is_known_whole(&self, root: &Root) -> bool {
        self.session.is_known_whole(root)
    }

    /// True if chunks that a snapshot names may be missing for a reason that is known: packs of
    /// the index that are not there, or parts of the index that cannot be read.
    pub fn may_lack_chunks(&self) -> bool {
        self.session.may_lack_chunks()
    }

    /// Tells the observer.
    pub fn count(&self, counter: Counter, by: u64) {
        self.observer.count(counter, by);
    }

    /// How memory is divided.
    pub fn budget(&self) -> Budget {
        self.budget
    }
}

impl<T> Ticket<T> {
    /// Waits for the result.
    pub fn wait(self) -> Result<T> {
        self.0.recv().map_err(|_| stopped())
    }
}

impl Shared {
    /// Remembers the first failure; all threads end soon.
    fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    /// Ends all threads soon, for an error that the caller keeps.
    fn stop(&self) {
        self.failed.store(true, Ordering::Release);
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

impl Sums {
    fn totals(&self) -> IngestTotals {
        let load = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        IngestTotals {
            read_bytes: load(&self.read_bytes),
            new_chunks: load(&self.new_chunks),
            new_bytes: load(&self.new_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::format::entry::{Extent, ExtentKind};
    use crate::limits::{FRAME_LEN_TARGET, LONG_FRAME_LEN_TARGET, MIB};
    use crate::pipeline::{ReadAt, submit_run};
    use crate::repository::session::{SessionOptions, Writer};
    use crate::storage::memory::MemoryBackend;
    use crate::testing::random::Random;
    use crate::testing::sample_repository::{self, InMemory, SampleTree, small_frames};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// The longest frame of what `store` stores.
    fn longest_frame(store: impl FnOnce(&Ingest<'_>) -> Result<Vec<Extent>>) -> usize {
        let backend = Arc::new(MemoryBackend::new());
        let repository = sample_repository::create(backend.clone());
        let mut extents = Vec::new();
        sample_repository::commit_with(&repository, SessionOptions::default(), |ingest| {
            extents = store(ingest)?;
            let root = SampleTree::single_file(Vec::new());
            Ok(vec![sample_repository::store_root(ingest, "root", &root)?])
        });
        let repository = sample_repository::open(backend);
        let index = repository.index().unwrap();
        let lens = extents.iter().map(|extent| match extent.kind {
            ExtentKind::Chunk(id) => index.locate(&id).next().unwrap().frame.plain_len,
            _ => 0,
        });
        lens.max().unwrap_or_default() as usize
    }

    #[test]
    fn a_content_that_is_too_long_to_be_read_at_once_is_kept_in_shorter_frames() {
        let bytes = Arc::new(Random::new(1).bytes(6 * MIB));
        let short = longest_frame(|ingest| sample_repository::store_bytes(ingest, &bytes));
        let long = longest_frame(|ingest| {
            let (mut extents, mut tickets) = (Vec::new(), Vec::new());
            let (reader, len) = (InMemory(Arc::clone(&bytes)), bytes.len() as u64);
            let reader: Arc<dyn ReadAt> = Arc::new(reader);
            submit_run(ingest, &reader, 0..len, |ticket| {
                tickets.push(ticket);
                Ok(())
            })?;
            for ticket in tickets {
                extents.extend(ticket.wait()?.unwrap());
            }
            Ok(extents)
        });
        assert!((LONG_FRAME_LEN_TARGET + 1..=FRAME_LEN_TARGET).contains(&short));
        assert!((LONG_FRAME_LEN_TARGET / 2..=LONG_FRAME_LEN_TARGET).contains(&long));
    }

    #[test]
    fn a_body_that_panics_leaves_no_thread_that_waits_for_it() {
        let (sender, ended) = bounded(1);
        thread::spawn(move || {
            let repository = sample_repository::create(Arc::new(MemoryBackend::new()));
            let mut session =
                Session::begin(&repository, &Writer::default(), small_frames()).unwrap();
            let options = IngestOptions {
                budget: Budget::default(),
                level: 1,
                observer: &(),
            };
            let body = |_: &Ingest<'_>| -> Result<()> { panic!("on purpose") };
            let ran = catch_unwind(AssertUnwindSafe(|| run(&mut session, &options, body)));
            sender.send(ran.is_err()).unwrap();
        });
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(true));
    }
}
