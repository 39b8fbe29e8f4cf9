//! One writer's work: claim, append, checkpoint, commit. §14.
//!
//! A session announces itself, fills packs from any number of threads, makes them durable, then
//! the index runs that name them, then puts the one key that is the commit. Dropping it at any
//! moment leaves packs that nothing refers to, and index runs that let the next session use them.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::Timestamp;
use crate::format::envelope::SealedKind;
use crate::format::id::{ChunkId, SessionId};
use crate::format::index_run::IndexRun;
use crate::format::name::{ObjectKind, ObjectName, PackClass};
use crate::format::snapshot::{Intent, Root, Snapshot};
use crate::format::table::TableName;
use crate::limits::{
    FRAME_LEN_TARGET, INDEX_EVERY_PACKS, INDEX_RUN_ENTRIES_TARGET, PACK_LEN_TARGET,
};
use crate::mutants::{self, Mutant};
use crate::repository::index::{Index, LocalIndex, RunBuilder, Written};
use crate::repository::pack::{CodedFrame, EncodedPack, FullPack, PackAppender, SealedFrame};
use crate::repository::prunes::{self, Prunes};
use crate::repository::snapshots::{self, SnapshotList};
use crate::repository::{Repository, new_session_id, object};
use crate::transform::hash::IdKey;

/// Claims are spread over this many locks.
const CLAIM_SHARDS: usize = 64;

/// Who writes, for the intent and the snapshot.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    /// Name of the machine.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// Process number.
    pub process: u32,
    /// When the session began.
    pub started: Timestamp,
}

/// How a session packs; the defaults are right but for tests.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// A pack is finished at this length, bytes.
    pub pack_len_target: usize,
    /// An index run is stored after this many packs.
    pub index_every_packs: u32,
    /// A frame is closed once its plaintext reaches this, bytes.
    pub frame_len_target: usize,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            pack_len_target: PACK_LEN_TARGET,
            index_every_packs: INDEX_EVERY_PACKS,
            frame_len_target: FRAME_LEN_TARGET,
        }
    }
}

/// One writer's work.
pub struct Session<'r> {
    repository: &'r Repository,
    index: &'r Index,
    /// Packs that the index names and that are not there, or not whole, or condemned by a prune:
    /// their chunks count as absent, and are stored again.
    absent: HashSet<ObjectName>,
    /// Copies that a check found damaged: their chunks are stored again as well.
    damaged: HashSet<(ObjectName, ChunkId)>,
    id: SessionId,
    base: u32,
    /// What a snapshot may start from, once that is asked for: a session that only moves what is
    /// stored never does.
    snapshots: OnceLock<SnapshotList>,
    options: SessionOptions,
    /// What is being stored, and what is stored and not yet `written`.
    claims: Vec<Mutex<HashSet<ChunkId>>>,
    /// What the runs of this session speak of, as far as this machine keeps them.
    written: Written,
    data: PackAppender,
    meta: PackAppender,
    packs_begun: AtomicU32,
    /// Tables of packs that are stored and in no run yet.
    run: Mutex<RunBuilder>,
    runs_stored: AtomicU32,
    /// Names of the runs that this session stored.
    kept_runs: Mutex<Vec<TableName>>,
    stored_bytes: AtomicU64,
    /// Where full packs go, `None` last; without it they are stored by whoever filled them.
    queue: Option<Sender<Option<FullPack>>>,
}

impl<'r> Session<'r> {
    /// Announces a writer.
    pub fn begin(
        repository: &'r Repository,
        writer: &Writer,
        options: SessionOptions,
    ) -> Result<Self> {
        let announced = Announced::put(repository, writer)?;
        Self::start(repository, repository.index()?, announced, options)
    }

    /// Goes on after the announcement, by an index of the caller's: one that was read after it
    /// knows what a prune has copied.
    pub(crate) fn start(
        repository: &'r Repository,
        index: &'r Index,
        announced: Announced,
        options: SessionOptions,
    ) -> Result<Self> {
        let Announced { id, prunes } = announced;
        let mut absent = absent_packs(repository, index)?;
        if !mutants::is_on(Mutant::CondemnedCounts) {
            absent.extend(prunes.condemned());
        }
        Ok(Self {
            repository,
            snapshots: OnceLock::new(),
            index,
            kept_runs: Mutex::default(),
            damaged: damaged_copies(repository, index, &absent),
            absent,
            id,
            base: prunes.newest(),
            options,
            claims: (0..CLAIM_SHARDS).map(|_| Mutex::default()).collect(),
            written: Written::default(),
            data: PackAppender::new(PackClass::Data, options.pack_len_target),
            meta: PackAppender::new(PackClass::Meta, options.pack_len_target),
            packs_begun: AtomicU32::new(0),
            run: Mutex::default(),
            runs_stored: AtomicU32::new(0),
            stored_bytes: AtomicU64::new(0),
            queue: None,
        })
    }

    /// Its id, and that of the snapshot it will commit.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Number of the newest prune plan when it began.
    pub fn base(&self) -> u32 {
        self.base
    }

    /// The snapshots that it may start from, and take content over from: those that were there
    /// once it was announced, so that no prune can let go of them behind its back. The commit comes
    /// behind them, so whoever writes asks as soon as it begins.
    pub(crate) fn snapshots(&self) -> Result<&SnapshotList> {
        if let Some(found) = self.snapshots.get() {
            return Ok(found);
        }
        let found = snapshots::list(self.repository)?;
        Ok(self.snapshots.get_or_init(|| found))
    }

    /// The repository it writes to.
    pub fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// How it packs.
    pub(crate) fn options(&self) -> SessionOptions {
        self.options
    }

    /// Length of all packs and runs stored so far, bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    /// Sends full packs to `queue` from now on instead of storing them on the filling thread.
    pub(crate) fn set_queue(&mut self, queue: Option<Sender<Option<FullPack>>>) {
        self.queue = queue;
    }

    /// True if the index knows a copy of `id` in a pack that is there.
    pub(crate) fn is_stored(&self, id: &ChunkId) -> bool {
        if self.absent.is_empty() && self.damaged.is_empty() {
            return self.index.contains(id);
        }
        let is_there = |pack: &ObjectName| {
            !self.absent.contains(pack) && !self.damaged.contains(&(*pack, *id))
        };
        self.index
            .locate(id)
            .any(|copy| is_there(&copy.pack.name()))
    }

    /// True if it is known, without looking, that everything below `root` is stored.
    pub(crate) fn is_known_whole(&self, root: &Root) -> bool {
        !self.may_lack_chunks()
            && self.repository.local_index().is_some_and(|local| {
                let runs = self.index.runs().collect();
                local.is_stated_whole(&source_of(root), &root.page, &runs)
            })
    }

    /// True if packs are missing or damaged, or the index cannot be read whole: chunks that a
    /// snapshot names may not be there. False says nothing of packs that no index run names any more.
    pub(crate) fn may_lack_chunks(&self) -> bool {
        !self.absent.is_empty() || !self.damaged.is_empty() || !self.index.damaged_runs().is_empty()
    }

    /// True if the caller must store `id`: it is in no pack yet, and nobody else of this session
    /// is storing it.
    pub(crate) fn claim(&self, id: &ChunkId) -> Result<bool> {
        if self.is_stored(id) {
            return Ok(false);
        }
        let is_first = self.claims_like(id).lock().insert(*id);
        if !is_first || !self.written.contains(id) {
            return Ok(is_first);
        }
        // Asked after it was claimed: an id is in `written` before its claim is dropped.
        self.claims_like(id).lock().remove(id);
        Ok(false)
    }

    /// How many ids it remembers.
    #[cfg(test)]
    pub(crate) fn claim_count(&self) -> usize {
        self.claims.iter().map(|shard| shard.lock().len()).sum()
    }

    fn claims_like(&self, id: &ChunkId) -> &Mutex<HashSet<ChunkId>> {
        &self.claims[usize::from(id.0[31]) % CLAIM_SHARDS]
    }

    /// Drops the claims of what a run of this session speaks of, if it is found elsewhere.
    fn drop_claims(&self, local: &LocalIndex, run: &IndexRun) {
        if self.written.add(local, run) {
            for entry in &run.entries {
                self.claims_like(&entry.id).lock().remove(&entry.id);
            }
        }
    }

    /// The key that makes ids of this class.
    pub(crate) fn id_key(&self, class: PackClass) -> &IdKey {
        match class {
            PackClass::Data => self.repository.keys().chunk_id(),
            PackClass::Meta => self.repository.keys().page_id(),
        }
    }

    /// Seals a frame into the open pack of its class, and passes the pack on if it is full.
    pub(crate) fn append_frame(
        &self,
        class: PackClass,
        frame: &CodedFrame<'_>,
        verify: impl FnOnce(&SealedFrame<'_>) -> Result<()>,
    ) -> Result<()> {
        let (keys, config) = (self.repository.keys(), self.repository.config());
        let new_name = || self.new_pack_name(class);
        let full = self
            .appender(class)
            .append(frame, keys, config, new_name, verify)?;
        match (full, &self.queue) {
            (None, _) => Ok(()),
            (Some(pack), None) => self.store_pack(pack).map(drop),
            (Some(pack), Some(queue)) => queue.send(Some(pack)).map_err(|_| writer_stopped()),
        }
    }

    /// Stores a full pack, and an index run if enough packs are waiting for one. Gives the length
    /// of what was stored, bytes.
    pub(crate) fn store_pack(&self, pack: FullPack) -> Result<u64> {
        let pack = pack.encode();
        let stored = self.store_encoded(&pack)?;
        if let ObjectName::Pack { class, .. } = pack.name {
            self.appender(class).recycle(pack.bytes);
        }
        Ok(stored)
    }

    /// The same of a pack that is bytes already.
    pub(crate) fn store_encoded(&self, pack: &EncodedPack) -> Result<u64> {
        self.repository.backend().put(&pack.name, &pack.bytes)?;
        let object_len = pack.bytes.len() as u64;
        self.stored_bytes.fetch_add(object_len, Ordering::Relaxed);
        let mut run = self.run.lock();
        run.add(&pack.name, object_len, &pack.table);
        let due = run.pack_count() >= self.options.index_every_packs as usize
            || run.len() >= INDEX_RUN_ENTRIES_TARGET;
        let run_len = match due {
            true => self.store_run(std::mem::take(&mut run))?,
            false => 0,
        };
        Ok(object_len + run_len)
    }

    fn store_run(&self, run: RunBuilder) -> Result<u64> {
        if run.pack_count() == 0 {
            return Ok(0);
        }
        self.put_run(run.finish(TableName::NONE))
            .map(|(_, run_len)| run_len)
    }

    /// Makes all packs durable, then stores a run that names them (W3), under the next name of
    /// this session. Gives the name, and the stored length, bytes.
    pub(crate) fn put_run(&self, mut run: IndexRun) -> Result<(ObjectName, u64)> {
        let backend = self.repository.backend();
        backend.sync()?;
        let number = self.runs_stored.fetch_add(1, Ordering::Relaxed);
        let name = ObjectName::Index {
            session: self.id,
            number,
        };
        run.name = TableName::of(&name);
        let bytes = self.encode(SealedKind::IndexRun, &name, &run.encode())?;
        backend.put(&name, &bytes)?;
        if let Some(local) = self.repository.local_index() {
            self.kept_runs.lock().push(run.name);
            self.drop_claims(local, &run);
        }
        let run_len = bytes.len() as u64;
        self.stored_bytes.fetch_add(run_len, Ordering::Relaxed);
        Ok((name, run_len))
    }

    /// Stores the packs that are still open, and the last index run; all durable afterwards. No
    /// thread may be appending.
    pub(crate) fn flush(&self) -> Result<()> {
        match mutants::is_on(Mutant::CommitBeforePacks) {
            true => Ok(()),
            false => self.store_open(),
        }
    }

    fn store_open(&self) -> Result<()> {
        self.store_open_packs()?;
        self.store_last_run()
    }

    fn store_open_packs(&self) -> Result<()> {
        for appender in [&self.data, &self.meta] {
            if let Some(pack) = appender.take_open() {
                self.store_pack(pack)?;
            }
        }
        Ok(())
    }

    /// All that was stored is durable afterwards.
    fn store_last_run(&self) -> Result<()> {
        let run = std::mem::take(&mut *self.run.lock());
        self.store_run(run)?;
        self.repository.backend().sync()
    }

    /// Commits: from here on the snapshot exists, or never will under this id. Its session, base
    /// and sequence become those of this session.
    pub(crate) fn commit(self, mut snapshot: Snapshot) -> Result<Commit> {
        self.flush()?;
        let backend = self.repository.backend();
        let name = ObjectName::Snapshot(self.id);
        snapshot.session = self.id;
        snapshot.base = self.base;
        snapshot.sequence = self.snapshots()?.next_sequence();
        let payload = snapshot.encode();
        // Names and counts come from outside: what no reader would take must not be committed.
        if let Err(error) = Snapshot::decode(&payload, self.id) {
            self.abandon();
            let detail = format!("would be more than a snapshot can hold: {error}");
            let place = Place::Object(name);
            return Err(Error::new(ErrorKind::LimitExceeded, place, detail));
        }
        let bytes = self.encode(SealedKind::Commit, &name, &payload)?;
        match backend.put(&name, &bytes) {
            // Our own put may have taken effect before an error made a layer below repeat it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                match backend.get(&name) {
                    Ok(found) if found == bytes => {}
                    // An ABORT, which a prune may have tidied away in between.
                    Ok(_) => return Ok(Commit::DecidedAgainst(snapshot)),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        return Ok(Commit::DecidedAgainst(snapshot));
                    }
                    Err(error) => return Err(error),
                }
            }
            other => other?,
        }
        backend.sync()?;
        if mutants::is_on(Mutant::CommitBeforePacks) {
            self.store_open()?;
        }
        // A prune that decided against this session may have tidied its ABORT away since: then the
        // commit came too late, and a seal says so.
        let is_late = !Prunes::read(self.repository)?.allow(&snapshot);
        if is_late && !mutants::is_on(Mutant::LateCommitStands) {
            return Ok(Commit::DecidedAgainst(snapshot));
        }
        // The commit stands; an intent that stays behind means nothing beside it, and of a missing
        // reserve a check tells.
        let _ = backend.delete(&ObjectName::Intent(self.id));
        let _ = backend.renew_reserve();
        self.keep_what_is_known(&snapshot);
        Ok(Commit::Stands(snapshot))
    }

    /// Every chunk of a committed snapshot was stored by this session or found in the index, so
    /// the next snapshot of the same sources need not look for them again.
    fn keep_what_is_known(self, snapshot: &Snapshot) {
        let Some(local) = self.repository.local_index() else {
            return;
        };
        let stored = std::mem::take(&mut *self.kept_runs.lock());
        let has_stored = !stored.is_empty();
        let runs: Vec<_> = self.index.runs().chain(stored).collect();
        for root in &snapshot.roots {
            if !self.may_lack_chunks() && !self.is_known_whole(root) {
                local.state_whole(&source_of(root), &root.page, &runs);
            }
        }
        if has_stored {
            local.tidy(runs.into_iter());
        }
    }

    /// Ends without a snapshot: everything is durable and indexed afterwards. The intent stays,
    /// for whoever knows when it is not needed any more; gives its name.
    pub(crate) fn finish_without_snapshot(self) -> Result<ObjectName> {
        self.flush()?;
        Ok(ObjectName::Intent(self.id))
    }

    /// Ends without a snapshot. What was stored stays usable for the next session, as far as the
    /// backend still works.
    pub(crate) fn abandon(self) {
        // Where the last packs find no room any more, the run of those before them still does.
        let _ = self.store_open_packs();
        if self.store_last_run().is_ok() {
            let _ = self
                .repository
                .backend()
                .delete(&ObjectName::Intent(self.id));
        }
    }

    fn encode(&self, kind: SealedKind, name: &ObjectName, payload: &[u8]) -> Result<Vec<u8>> {
        object::encode(
            self.repository.keys(),
            self.repository.config(),
            kind,
            name,
            payload,
        )
    }

    fn appender(&self, class: PackClass) -> &PackAppender {
        match class {
            PackClass::Data => &self.data,
            PackClass::Meta => &self.meta,
        }
    }

    /// The next name of a pack of this session.
    pub(crate) fn new_pack_name(&self, class: PackClass) -> Result<ObjectName> {
        let number = self.packs_begun.fetch_add(1, Ordering::Relaxed);
        if number == u32::MAX {
            let detail = "has used all its pack numbers";
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                Place::Repository,
                detail,
            ));
        }
        Ok(ObjectName::Pack {
            session: self.id,
            number,
            class,
        })
    }
}

/// The thread that stores packs is gone; its own error says why.
fn writer_stopped() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        Place::Repository,
        "storing packs stopped early",
    )
}

/// What became of a commit.
#[derive(Debug)]
pub(crate) enum Commit {
    /// It exists, durably.
    Stands(Snapshot),
    /// A prune ended this session before: nothing was committed, and what was stored may go. The
    /// snapshot may be committed by another session that finds everything it names.
    DecidedAgainst(Snapshot),
}

/// A session that prunes know of, and that has not looked at the repository yet.
pub(crate) struct Announced {
    id: SessionId,
    /// What prunes had decided once the intent was durable.
    prunes: Prunes,
}

impl Commit {
    /// The snapshot that stands, for tests beside which no prune runs.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn expect_stands(self) -> Snapshot {
        match self {
            Self::Stands(snapshot) => snapshot,
            Self::DecidedAgainst(_) => panic!("a prune decided against this session"),
        }
    }
}

impl Announced {
    /// Puts an intent under a new id; begins again if a prune planned in between (W1, W2).
    pub(crate) fn put(repository: &Repository, writer: &Writer) -> Result<Self> {
        loop {
            let steps = prunes::list_steps(repository.backend())?;
            let mutant = mutants::is_on(Mutant::NoSecondLook);
            let early = mutant.then(|| Prunes::read(repository)).transpose()?;
            let id = put_intent(repository, writer, prunes::newest_plan(&steps))?;
            let prunes = early.map_or_else(|| Prunes::read(repository), Ok)?;
            if prunes.newest() == prunes::newest_plan(&steps) {
                prunes.ensure_known()?;
                return Ok(Self { id, prunes });
            }
            repository.backend().delete(&ObjectName::Intent(id))?;
        }
    }
}

/// Announces a writer that saw `base` as the newest plan. Durable afterwards.
fn put_intent(repository: &Repository, writer: &Writer, base: u32) -> Result<SessionId> {
    let session = new_session_id()?;
    let name = ObjectName::Intent(session);
    let (host, user) = (writer.host.clone(), writer.user.clone());
    let intent = Intent {
        session,
        started: writer.started,
        host,
        user,
        process: writer.process,
        base,
    };
    prunes::put_once(repository, SealedKind::Intent, &name, &intent.encode())?;
    Ok(session)
}

/// What a statement about a root is filed under: every volume that is captured alone has the same
/// label.
fn source_of(root: &Root) -> Vec<u8> {
    let mut source = root.name.clone();
    source.push(0);
    source.extend(root.origin.iter().flatten());
    source
}

/// Copies that must not be relied on, and of which there is no other: what was stored again is
/// healed.
fn damaged_copies(
    repository: &Repository,
    index: &Index,
    absent: &HashSet<ObjectName>,
) -> HashSet<(ObjectName, ChunkId)> {
    let local = repository.local_index();
    let mut damaged = local.map(LocalIndex::damaged_copies).unwrap_or_default();
    let all = damaged.clone();
    damaged.retain(|(_, id)| {
        let mut copies = index.locate(id).map(|copy| copy.pack.name());
        !copies.any(|pack| !absent.contains(&pack) && !all.contains(&(pack, *id)))
    });
    damaged
}

/// The packs that the index speaks of and that are not there in the length it says.
fn absent_packs(repository: &Repository, index: &Index) -> Result<HashSet<ObjectName>> {
    let listed = repository.backend().list(ObjectKind::Pack)?;
    let there: HashSet<_> = listed
        .into_iter()
        .map(|info| (info.name, info.len))
        .collect();
    let absent = index.packs();
    let is_torn_there = |name| {
        mutants::is_on(Mutant::TornPackCounts) && there.iter().any(|(found, _)| *found == name)
    };
    let absent = absent.filter(|pack| {
        !there.contains(&(pack.name(), pack.object_len)) && !is_torn_there(pack.name())
    });
    Ok(absent.map(|pack| pack.name()).collect())
}
