//! Payloads of snapshots and intents: CBOR maps that may grow. §13.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::format::entry::Timestamp;
use crate::format::id::{ChunkId, PageId, SessionId};
use crate::format::volume::{VolumeBody, VolumeInfo};
use crate::format::{DecodeError, Decoded, cbor, ensure};
use crate::limits::{FILE_LEN_LIMIT, PAGE_LEVEL_LIMIT, PATH_LEN_LIMIT, SNAPSHOT_LEN_LIMIT};

/// A committed manifest, and what is known of how it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The session that made it: its id.
    pub session: SessionId,
    /// What was captured.
    pub kind: SnapshotKind,
    /// The roots, in the order they were given.
    pub roots: Vec<Root>,
    /// When reading began.
    pub begun: Timestamp,
    /// When all was stored.
    pub ended: Timestamp,
    /// Name of the machine.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// Words for finding it, ascending.
    pub tags: Vec<String>,
    /// Program and version.
    pub program: String,
    /// The snapshot that told what to skip; never needed to restore.
    pub parent: Option<SessionId>,
    /// How changes were found.
    pub tracking: Tracking,
    /// Why they were found that way.
    pub tracking_reason: String,
    /// How well the parts fit each other in time.
    pub consistency: Consistency,
    /// What went wrong, as far as it is listed.
    pub problems: Vec<SnapshotProblem>,
    /// How much went wrong, what is not listed included.
    pub problem_count: u64,
    /// Sums.
    pub totals: Totals,
    /// Number of the newest prune plan when the session began.
    pub base: u32,
    /// 1 more than the greatest sequence that the session saw when it began: the order of commits,
    /// whatever clocks said.
    pub sequence: u64,
}

/// One captured folder, file or volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Where it was: an absolute path; in a volume or a machine a label. Raw bytes.
    pub name: Vec<u8>,
    /// What its pages are.
    pub root_type: RootType,
    /// Root page.
    pub page: PageId,
    /// Level of the root page.
    pub level: u8,
    /// Entries of a tree, 1 for a volume.
    pub entries: u64,
    /// Lengths of all contents, bytes.
    pub bytes: u64,
    /// What tells changes next time, for a tree.
    pub scan: Option<PageRoot>,
    /// Path or URL it was captured from, raw bytes, where `name` is a label.
    pub origin: Option<Vec<u8>>,
    /// What is known of a volume.
    pub volume: Option<VolumeInfo>,
}

/// What the pages of a root are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RootType {
    /// A folder or single file.
    Tree = 1,
    /// A volume.
    Extents = 3,
}

/// Where pages that a root needs beside its own begin: those of a scan, or of cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRoot {
    /// Root page.
    pub page: PageId,
    /// Level of the root page.
    pub level: u8,
}

/// What was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SnapshotKind {
    /// Folders and files.
    Folders = 1,
    /// One volume.
    Volume = 2,
    /// Several volumes and files of one machine.
    Machine = 3,
}

/// How changes since the parent were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tracking {
    /// Everything was read.
    Full = 1,
    /// Length, times and inode against the parent.
    Metadata = 2,
    /// A list of ranges that changed since the parent.
    ChangedRanges = 3,
    /// Nothing was read: other snapshots were merged.
    Merged = 4,
}

/// How well the parts of a snapshot fit each other in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Consistency {
    /// Files as they were read, one after the other.
    Files = 1,
    /// One instant, as after a power cut.
    Crash = 2,
    /// A file system at rest.
    FileSystem = 3,
    /// Applications at rest.
    Application = 4,
    /// Several instants: what was captured was written meanwhile.
    Smeared = 5,
}

/// One thing that is missing from a snapshot, or doubtful in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotProblem {
    /// Number of `observe::ProblemKind`.
    pub kind: u8,
    /// The path concerned, raw bytes.
    pub subject: Vec<u8>,
    /// One sentence.
    pub detail: String,
}

/// Sums over a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Totals {
    /// Entries of all trees.
    #[n(0)]
    pub entries: u64,
    /// Regular files.
    #[n(1)]
    pub files: u64,
    /// Folders.
    #[n(2)]
    pub folders: u64,
    /// Lengths of all contents.
    #[n(3)]
    pub bytes: u64,
    /// Bytes read from the source.
    #[n(4)]
    pub read_bytes: u64,
    /// Chunks that were not yet in the repository.
    #[n(5)]
    pub new_chunks: u64,
    /// Their plaintext.
    #[n(6)]
    pub new_bytes: u64,
    /// Packs and index as stored.
    #[n(7)]
    pub stored_bytes: u64,
    /// Files taken over from the parent without reading.
    #[n(8)]
    pub unchanged_files: u64,
}

/// A writer that announced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its session.
    pub session: SessionId,
    /// When it began.
    pub started: Timestamp,
    /// Name of the machine.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// Process number there.
    pub process: u32,
    /// Number of the newest prune plan when the session began.
    pub base: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct Time {
    #[n(0)]
    seconds: i64,
    #[n(1)]
    nanoseconds: u32,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct RootBody {
    #[n(0)]
    name: ByteVec,
    #[n(1)]
    root_type: u8,
    #[cbor(n(2), with = "minicbor::bytes")]
    page: [u8; 32],
    #[n(3)]
    level: u64,
    #[n(4)]
    entries: u64,
    #[n(5)]
    bytes: u64,
    #[cbor(n(6), with = "minicbor::bytes")]
    scan_page: Option<[u8; 32]>,
    #[n(7)]
    scan_level: Option<u64>,
    #[n(8)]
    origin: Option<ByteVec>,
    #[n(9)]
    volume: Option<VolumeBody>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct ProblemBody {
    #[n(0)]
    kind: u8,
    #[n(1)]
    subject: ByteVec,
    #[n(2)]
    detail: String,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct SnapshotBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    session: [u8; 16],
    #[n(1)]
    kind: u8,
    #[n(2)]
    roots: Vec<RootBody>,
    #[n(3)]
    begun: Time,
    #[n(4)]
    ended: Time,
    #[n(5)]
    host: String,
    #[n(6)]
    user: String,
    #[n(7)]
    tags: Vec<String>,
    #[n(8)]
    program: String,
    #[cbor(n(9), with = "minicbor::bytes")]
    parent: Option<[u8; 16]>,
    #[n(10)]
    tracking: u8,
    #[n(11)]
    tracking_reason: String,
    #[n(12)]
    consistency: u8,
    #[n(13)]
    problems: Vec<ProblemBody>,
    #[n(14)]
    problem_count: u64,
    #[n(15)]
    totals: Totals,
    #[n(16)]
    base: u32,
    #[n(17)]
    sequence: u64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct IntentBody {
    #[cbor(n(0), with = "minicbor::bytes")]
    session: [u8; 16],
    #[n(1)]
    started: Time,
    #[n(2)]
    host: String,
    #[n(3)]
    user: String,
    #[n(4)]
    process: u32,
    #[n(5)]
    base: u32,
}

impl Snapshot {
    /// Its place in the order of commits, whatever clocks said.
    pub fn order(&self) -> (u64, Timestamp, SessionId) {
        (self.sequence, self.ended, self.session)
    }

    /// Reads the payload of the snapshot named `session`.
    pub fn decode(bytes: &[u8], session: SessionId) -> Decoded<Self> {
        if bytes.len() > SNAPSHOT_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("payload of a snapshot"));
        }
        let body: SnapshotBody = cbor::decode(bytes, "payload of a snapshot")?;
        ensure(
            body.session == session.0,
            "snapshot lies under a name that is not its own",
        )?;
        ensure(!body.roots.is_empty(), "snapshot without a root")?;
        ensure(body.tags.is_sorted_by(|a, b| a < b), "tags do not ascend")?;
        Ok(Self {
            session,
            kind: SnapshotKind::from_byte(body.kind)?,
            roots: body
                .roots
                .into_iter()
                .map(Root::from_body)
                .collect::<Decoded<_>>()?,
            begun: body.begun.into_timestamp()?,
            ended: body.ended.into_timestamp()?,
            host: body.host,
            user: body.user,
            tags: body.tags,
            program: body.program,
            parent: body.parent.map(SessionId),
            tracking: Tracking::from_byte(body.tracking)?,
            tracking_reason: body.tracking_reason,
            consistency: Consistency::from_byte(body.consistency)?,
            problems: body
                .problems
                .into_iter()
                .map(SnapshotProblem::from_body)
                .collect(),
            problem_count: body.problem_count,
            totals: body.totals,
            base: body.base,
            sequence: body.sequence,
        })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let body = SnapshotBody {
            session: self.session.0,
            kind: self.kind as u8,
            roots: self.roots.iter().map(Root::to_body).collect(),
            begun: Time::of(self.begun),
            ended: Time::of(self.ended),
            host: self.host.clone(),
            user: self.user.clone(),
            tags: self.tags.clone(),
            program: self.program.clone(),
            parent: self.parent.map(|parent| parent.0),
            tracking: self.tracking as u8,
            tracking_reason: self.tracking_reason.clone(),
            consistency: self.consistency as u8,
            problems: self.problems.iter().map(SnapshotProblem::to_body).collect(),
            problem_count: self.problem_count,
            totals: self.totals,
            base: self.base,
            sequence: self.sequence,
        };
        minicbor::to_vec(body).expect("writing to memory cannot fail")
    }
}

impl Intent {
    /// Reads the payload of the intent named `session`.
    pub fn decode(bytes: &[u8], session: SessionId) -> Decoded<Self> {
        if bytes.len() > SNAPSHOT_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("payload of an intent"));
        }
        let body: IntentBody = cbor::decode(bytes, "payload of an intent")?;
        ensure(
            body.session == session.0,
            "intent lies under a name that is not its own",
        )?;
        let (started, host, user) = (body.started.into_timestamp()?, body.host, body.user);
        Ok(Self {
            session,
            started,
            host,
            user,
            process: body.process,
            base: body.base,
        })
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let body = IntentBody {
            session: self.session.0,
            started: Time::of(self.started),
            host: self.host.clone(),
            user: self.user.clone(),
            process: self.process,
            base: self.base,
        };
        minicbor::to_vec(body).expect("writing to memory cannot fail")
    }
}

impl Time {
    pub(super) fn of(timestamp: Timestamp) -> Self {
        Self {
            seconds: timestamp.seconds,
            nanoseconds: timestamp.nanoseconds,
        }
    }

    pub(super) fn into_timestamp(self) -> Decoded<Timestamp> {
        ensure(
            self.nanoseconds < 1_000_000_000,
            "nanoseconds of a whole second",
        )?;
        Ok(Timestamp {
            seconds: self.seconds,
            nanoseconds: self.nanoseconds,
        })
    }
}

pub(super) fn level_of(level: u64) -> Decoded<u8> {
    let level = u8::try_from(level).ok();
    level
        .filter(|level| *level <= PAGE_LEVEL_LIMIT)
        .ok_or(DecodeError::LimitExceeded("level of a page"))
}

impl Root {
    /// A folder or file captured at `name`.
    pub fn folder(name: Vec<u8>, at: PageRoot, entries: u64, bytes: u64) -> Self {
        Self {
            name,
            root_type: RootType::Tree,
            page: at.page,
            level: at.level,
            entries,
            bytes,
            scan: None,
            origin: None,
            volume: None,
        }
    }

    /// A volume of `bytes` bytes.
    pub fn volume(name: Vec<u8>, at: PageRoot, bytes: u64) -> Self {
        Self {
            root_type: RootType::Extents,
            ..Self::folder(name, at, 1, bytes)
        }
    }

    fn from_body(body: RootBody) -> Decoded<Self> {
        let root_type = match body.root_type {
            1 => RootType::Tree,
            3 => RootType::Extents,
            _ => return Err(DecodeError::Malformed("unknown type of root")),
        };
        let scan = match (body.scan_page, body.scan_level) {
            (Some(page), Some(level)) => Some(PageRoot {
                page: ChunkId(page),
                level: level_of(level)?,
            }),
            (None, None) => None,
            _ => return Err(DecodeError::Malformed("half a scan root")),
        };
        let origin_len = body.origin.as_ref().map_or(0, |origin| origin.len());
        if body.name.len().max(origin_len) > PATH_LEN_LIMIT || body.bytes > FILE_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("name or length of a root"));
        }
        ensure(
            body.volume.is_none() || root_type == RootType::Extents,
            "folder that is described as a volume",
        )?;
        let (name, page) = (body.name.into(), ChunkId(body.page));
        let (level, entries, bytes) = (level_of(body.level)?, body.entries, body.bytes);
        Ok(Self {
            name,
            root_type,
            page,
            level,
            entries,
            bytes,
            scan,
            origin: body.origin.map(Into::into),
            volume: body.volume.map(VolumeInfo::from_body).transpose()?,
        })
    }

    fn to_body(&self) -> RootBody {
        RootBody {
            name: self.name.clone().into(),
            root_type: self.root_type as u8,
            page: self.page.0,
            level: self.level.into(),
            entries: self.entries,
            bytes: self.bytes,
            scan_page: self.scan.map(|scan| scan.page.0),
            scan_level: self.scan.map(|scan| scan.level.into()),
            origin: self.origin.clone().map(Into::into),
            volume: self.volume.as_ref().map(VolumeInfo::to_body),
        }
    }
}

impl SnapshotProblem {
    fn from_body(body: ProblemBody) -> Self {
        Self {
            kind: body.kind,
            subject: body.subject.into(),
            detail: body.detail,
        }
    }

    fn to_body(&self) -> ProblemBody {
        let detail = self.detail.clone();
        ProblemBody {
            kind: self.kind,
            subject: self.subject.clone().into(),
            detail,
        }
    }
}

impl SnapshotKind {
    fn from_byte(byte: u8) -> Decoded<Self> {
        match byte {
            1 => Ok(Self::Folders),
            2 => Ok(Self::Volume),
            3 => Ok(Self::Machine),
            _ => Err(DecodeError::Malformed("unknown kind of snapshot")),
        }
    }
}

impl Tracking {
    pub(super) fn from_byte(byte: u8) -> Decoded<Self> {
        match byte {
            1 => Ok(Self::Full),
            2 => Ok(Self::Metadata),
            3 => Ok(Self::ChangedRanges),
            4 => Ok(Self::Merged),
            _ => Err(DecodeError::Malformed("unknown way of finding changes")),
        }
    }
}

impl Consistency {
    fn from_byte(byte: u8) -> Decoded<Self> {
        match byte {
            1 => Ok(Self::Files),
            2 => Ok(Self::Crash),
            3 => Ok(Self::FileSystem),
            4 => Ok(Self::Application),
            5 => Ok(Self::Smeared),
            _ => Err(DecodeError::Malformed("unknown level of consistency")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Snapshot {
        let time = Timestamp {
            seconds: 1_790_000_000,
            nanoseconds: 1,
        };
        let root = Root {
            name: b"/home/\xff".to_vec(),
            root_type: RootType::Tree,
            page: ChunkId([1; 32]),
            level: 2,
            entries: 10,
            bytes: 1 << 40,
            scan: Some(PageRoot {
                page: ChunkId([2; 32]),
                level: 1,
            }),
            origin: Some(b"/dev/\xfe".to_vec()),
            volume: None,
        };
        let detail = "permission denied".to_owned();
        Snapshot {
            session: SessionId([7; 16]),
            kind: SnapshotKind::Folders,
            roots: vec![root.clone(), Root { scan: None, ..root }],
            begun: time,
            ended: time,
            host: "h".into(),
            user: "u".into(),
            tags: vec!["a".into(), "b".into()],
            program: "blockstore 0.1.0".into(),
            parent: Some(SessionId([8; 16])),
            tracking: Tracking::Metadata,
            tracking_reason: "parent".into(),
            consistency: Consistency::Files,
            problems: vec![SnapshotProblem {
                kind: 1,
                subject: b"/x\xfe".to_vec(),
                detail,
            }],
            problem_count: 4,
            totals: Totals {
                entries: 10,
                files: 9,
                ..Totals::default()
            },
            base: 0,
            sequence: 3,
        }
    }

    #[test]
    fn a_snapshot_reads_back() {
        let snapshot = sample();
        assert_eq!(
            Snapshot::decode(&snapshot.encode(), snapshot.session),
            Ok(sample())
        );
        let first = Snapshot {
            parent: None,
            ..sample()
        };
        assert_eq!(Snapshot::decode(&first.encode(), first.session), Ok(first));
    }

    #[test]
    fn a_snapshot_under_another_name_or_cut_short_is_refused() {
        let bytes = sample().encode();
        assert!(Snapshot::decode(&bytes, SessionId([1; 16])).is_err());
        for len in 0..bytes.len() {
            assert!(
                Snapshot::decode(&bytes[..len], sample().session).is_err(),
                "length {len}"
            );
        }
    }

    #[test]
    fn an_intent_reads_back() {
        let started = Timestamp {
            seconds: 5,
            nanoseconds: 6,
        };
        let session = SessionId([7; 16]);
        let (host, user) = ("h".to_owned(), "u".to_owned());
        let intent = Intent {
            session,
            started,
            host,
            user,
            process: 9,
            base: 2,
        };
        assert_eq!(Intent::decode(&intent.encode(), session), Ok(intent));
    }
}
