//! A snapshot of files, taken on one thread: what `operations::snapshot` does without its pipeline.
//! And what else the engine does to snapshots.

use crate::error::Result;
use crate::format::entry::{
    Content, Entry, Extent, ExtentKind, FolderPath, Metadata, Node, Owner, Timestamp,
};
use crate::format::envelope::{HEADER_LEN, SealedKind};
use crate::format::id::SessionId;
use crate::format::name::{ObjectName, PackClass};
use crate::format::retention::Tombstone;
use crate::format::snapshot::{
    Consistency, PageRoot, Root, Snapshot, SnapshotKind, Totals, Tracking,
};
use crate::limits::SNAPSHOT_ATTEMPTS_MAX;
use crate::operations::commit::{self, ended_by_prunes};
use crate::operations::merge::{MergeOptions, merge};
use crate::repository::frame_writer::FrameWriter;
use crate::repository::index::Index;
use crate::repository::manifest::builder::{PageStore, TreeBuilder};
use crate::repository::session::{Announced, Session, SessionOptions, Writer};
use crate::repository::{Repository, prunes, snapshots};
use crate::testing::schedule::backend::clock;
use crate::testing::small_world::files::{CHUNK_LEN, chunk, files_of};

/// Two chunks fill a pack.
const PACK_LEN: usize = HEADER_LEN + 2 * CHUNK_LEN;
/// Tags begin with this; the files follow.
const TAG: &str = "files=";

/// Who works here. The host has no name: nobody can ask whether its processes live.
pub fn who() -> Writer {
    Writer {
        started: clock(),
        ..Writer::default()
    }
}

/// Tiny packs, one index run for each session.
pub fn session_options() -> SessionOptions {
    SessionOptions {
        pack_len_target: PACK_LEN,
        index_every_packs: u32::MAX,
        frame_len_target: 1,
    }
}

/// The files that `snapshot` must read back as.
pub fn expected_of(snapshot: &Snapshot) -> Option<&str> {
    let mut tags = snapshot.tags.iter();
    tags.find_map(|tag| tag.strip_prefix(TAG))
}

/// Captures files and commits them, whatever prunes do meanwhile.
///
/// # Errors
/// As [`operations::snapshot`](crate::operations::snapshot::snapshot).
pub fn write(repository: &Repository, files: &str) -> Result<Snapshot> {
    let (writer, options) = (who(), session_options());
    for _ in 0..SNAPSHOT_ATTEMPTS_MAX {
        let announced = Announced::put(repository, &writer)?;
        let index = Index::load(repository.backend(), repository.keys(), None)?;
        let session = Session::start(repository, &index, announced, options)?;
        let snapshot = match capture(&session, files) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                session.abandon();
                return Err(error);
            }
        };
        let committed = commit::commit(repository, session, snapshot, &writer, options)?;
        if let Some(snapshot) = committed {
            return Ok(snapshot);
        }
    }
    Err(ended_by_prunes())
}

/// Makes a snapshot of the two newest ones; pages and chunks are taken over unread. Nothing if
/// there are not two.
///
/// # Errors
/// As [`operations::merge`](crate::operations::merge::merge).
pub fn merge_newest(repository: &Repository) -> Result<Option<Snapshot>> {
    let found = snapshots::list(repository)?.snapshots;
    let [.., older, newer] = &found[..] else {
        return Ok(None);
    };
    let options = MergeOptions {
        writer: who(),
        // All are of one folder: the newer one covers all of it.
        tags: newer.tags.clone(),
        session: session_options(),
        ..MergeOptions::new(clock)
    };
    let report = merge(repository, &[older.clone(), newer.clone()], &options, &())?;
    Ok(Some(report.snapshot))
}

/// Forgets a snapshot: its tombstone is durable afterwards.
///
/// # Errors
/// As of the repository.
pub fn forget(repository: &Repository, session: SessionId) -> Result<()> {
    let who = who();
    let tombstone = Tombstone {
        session,
        forgotten: who.started,
        host: who.host,
        user: who.user,
    };
    let name = ObjectName::Forgotten(session);
    let payload = tombstone.encode();
    prunes::put_once(repository, SealedKind::Tombstone, &name, &payload).map(drop)
}

fn capture(session: &Session<'_>, files: &str) -> Result<Snapshot> {
    let mut data = FrameWriter::new(session, PackClass::Data, 1);
    let meta = FrameWriter::new(session, PackClass::Meta, 1);
    let mut pages = PageStore::new(meta, session.repository().keys());
    let (root, mut tree) = (FolderPath::root(), TreeBuilder::new());
    tree.push(&root, &entry("", Node::Folder), &mut pages)?;
    for (name, numbers) in files_of(files) {
        let mut extents = Vec::new();
        for number in numbers {
            let bytes = chunk(number);
            let id = data.id_key().id_of(&bytes);
            data.store(id, &bytes)?;
            extents.push(Extent {
                len: bytes.len() as u64,
                kind: ExtentKind::Chunk(id),
            });
        }
        let file = Node::File(Content::Inline(extents));
        tree.push(&root, &entry(&name, file), &mut pages)?;
    }
    let tree = tree.finish(&mut pages)?;
    data.flush()?;
    pages.finish()?;
    session.flush()?;
    let at = PageRoot {
        page: tree.child.page,
        level: tree.level,
    };
    let root = Root::folder(b"/data".to_vec(), at, tree.child.entries, tree.child.bytes);
    Ok(describe(session, root, files))
}

fn describe(session: &Session<'_>, root: Root, files: &str) -> Snapshot {
    Snapshot {
        session: session.id(),
        kind: SnapshotKind::Folders,
        roots: vec![root],
        begun: clock(),
        ended: clock(),
        host: String::new(),
        user: String::new(),
        tags: vec![format!("{TAG}{files}")],
        program: "small world".to_owned(),
        parent: None,
        tracking: Tracking::Full,
        tracking_reason: String::new(),
        consistency: Consistency::Files,
        problems: Vec::new(),
        problem_count: 0,
        totals: Totals::default(),
        base: session.base(),
        sequence: 0, // the commit knows
    }
}

fn entry(name: &str, node: Node) -> Entry {
    let metadata = Metadata {
        mode: 0o644,
        owner: Owner::default().into(),
        mtime: Timestamp {
            seconds: 1,
            nanoseconds: 0,
        },
        xattrs: Vec::new(),
    };
    Entry {
        name: name.into(),
        metadata,
        node,
    }
}
