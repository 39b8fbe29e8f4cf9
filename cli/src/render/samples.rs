//! Values for the tests of rendering.

use blockstore::format::entry::{
    Content, Entry, Extent, ExtentKind, Metadata, Node, Owner, Timestamp,
};
use blockstore::format::id::{ChunkId, SessionId};
use blockstore::format::snapshot::{
    Consistency, PageRoot, Root, Snapshot, SnapshotKind, Totals, Tracking,
};
use blockstore::observe::{Problem, ProblemKind};
use blockstore::operations::merge::MergeReport;

/// A snapshot with one root whose name is no text.
pub(crate) fn snapshot() -> Snapshot {
    let begun = Timestamp {
        seconds: 1_790_000_000,
        nanoseconds: 0,
    };
    let at = PageRoot {
        page: ChunkId([0xab; 32]),
        level: 1,
    };
    let root = Root::folder(b"/home/\xff".to_vec(), at, 120_000, 1_717_986_918);
    Snapshot {
        session: SessionId([0x3f; 16]),
        kind: SnapshotKind::Folders,
        roots: vec![root],
        begun,
        ended: Timestamp {
            seconds: begun.seconds + 2,
            nanoseconds: 300_000_000,
        },
        host: "laptop".into(),
        user: "ana".into(),
        tags: vec!["daily".into()],
        program: "blockstore 0.1.0".into(),
        parent: Some(SessionId([1; 16])),
        tracking: Tracking::Metadata,
        tracking_reason: "parent".into(),
        consistency: Consistency::Files,
        problems: Vec::new(),
        problem_count: 0,
        totals: Totals {
            entries: 120_000,
            files: 106_201,
            folders: 13_000,
            bytes: 1_717_986_918,
            read_bytes: 20 << 20,
            new_chunks: 200,
            new_bytes: 12_687_770,
            stored_bytes: 4 << 20,
            unchanged_files: 106_000,
        },
        base: 0,
    }
}

/// That snapshot, as if it had been merged of two.
pub(crate) fn merge() -> MergeReport {
    MergeReport {
        snapshot: snapshot(),
        merged: vec![SessionId([1; 16]), SessionId([2; 16])],
        roots_taken_over: 0,
        roots_built: 1,
    }
}

/// A file of 5 bytes.
pub(crate) fn entry() -> Entry {
    let extent = Extent {
        len: 5,
        kind: ExtentKind::Hole,
    };
    let owner = Owner {
        uid: 1000,
        gid: 100,
        user: b"ana".to_vec(),
        group: Vec::new(),
    };
    Entry {
        name: b"a".to_vec(),
        metadata: Metadata {
            mode: 0o4755,
            owner: owner.into(),
            ..Metadata::default()
        },
        node: Node::File(Content::Inline(vec![extent])),
    }
}

/// A problem with a name that would break a line.
pub(crate) fn problem() -> Problem {
    Problem {
        kind: ProblemKind::Unreadable,
        subject: b"/a\nb".to_vec(),
        detail: "permission denied".into(),
    }
}
