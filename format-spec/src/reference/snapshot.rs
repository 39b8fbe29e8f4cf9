//! Payloads of snapshots and intents (FORMAT.md section 13).

use crate::reference::bytes::Reader;
use crate::reference::cbor::Map;
use crate::reference::fault::Fault;
use crate::reference::fault::Result;
use crate::reference::name::Id;
use crate::reference::name::ObjectName;
use crate::reference::pages::LEVEL_MAX;
use crate::reference::volume::Volume;
use crate::reference::volume::decode_volume;

pub(crate) const NAME_MAX: u64 = 65_536;
pub(crate) const FILE_MAX: u64 = (1 << 62) - 1;

/// Greatest payload of a snapshot, intent, tombstone, protection or boot.
pub const PAYLOAD_MAX: u64 = 16 << 20;

/// Seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// May be negative.
    pub seconds: i64,
    /// Below 10^9.
    pub nanoseconds: u32,
}

/// Address of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The absolute path it was taken from.
    pub name: Vec<u8>,
    /// 1 tree, 3 extents.
    pub page_type: u8,
    /// Its root page.
    pub page: [u8; 32],
    /// Level of the root page.
    pub level: u8,
    /// Entries below.
    pub entries: u64,
    /// Lengths of contents below.
    pub bytes: u64,
    /// Root page and level of the scan.
    pub scan: Option<([u8; 32], u8)>,
    /// Where it was captured from, if the name is a label.
    pub origin: Option<Vec<u8>>,
    /// What is known of a volume.
    pub volume: Option<Volume>,
}

/// Something that could not be captured as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// 1 unreadable, 2 vanished, 3 changed while read.
    pub kind: u64,
    /// A path, usually.
    pub subject: Vec<u8>,
    /// For people.
    pub detail: String,
}

/// The payload of a COMMIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// As in the name.
    pub session: Id,
    /// 1 folders, 2 volume, 3 machine.
    pub kind: u64,
    /// One or several.
    pub roots: Vec<Root>,
    /// When the capture began.
    pub begun: Time,
    /// When it ended.
    pub ended: Time,
    /// Where.
    pub host: String,
    /// By whom.
    pub user: String,
    /// Ascending, each once.
    pub tags: Vec<String>,
    /// Program and version.
    pub program: String,
    /// Informs.
    pub parent: Option<Id>,
    /// How changes were found.
    pub change_detection: u64,
    /// Why that way.
    pub change_detection_reason: String,
    /// What was reached.
    pub consistency: u64,
    /// Those that are listed.
    pub problems: Vec<Problem>,
    /// All of them.
    pub problem_count: u64,
    /// In the order of section 13.
    pub totals: [u64; 9],
    /// Newest prune plan when the session began.
    pub base: u32,
    /// Greater than those of all snapshots that the session saw.
    pub sequence: u64,
}

/// Reads the payload of the snapshot `name`.
pub fn decode_snapshot(payload: &[u8], name: &ObjectName) -> Result<Commit> {
    check_len("snapshot", payload)?;
    let mut map = Map::decode("snapshot", payload)?;
    let session = own_session(&mut map, name)?;
    let kind = decode_choice(&mut map, 1, 3)?;
    let roots = map
        .maps(2)?
        .into_iter()
        .map(decode_root)
        .collect::<Result<Vec<_>>>()?;
    if roots.is_empty() {
        return Err(map.malformed(2, "no root"));
    }
    let tags = map.texts(7)?;
    if !tags.is_sorted_by(|before, after| before < after) {
        return Err(map.malformed(7, "tags do not ascend"));
    }
    Ok(Commit {
        session,
        kind,
        roots,
        begun: decode_time(map.map(3)?)?,
        ended: decode_time(map.map(4)?)?,
        host: map.text(5)?,
        user: map.text(6)?,
        tags,
        program: map.text(8)?,
        parent: if map.has(9) {
            Some(map.array(9)?)
        } else {
            None
        },
        change_detection: decode_choice(&mut map, 10, 4)?,
        change_detection_reason: map.text(11)?,
        consistency: decode_choice(&mut map, 12, 5)?,
        problems: map
            .maps(13)?
            .into_iter()
            .map(decode_problem)
            .collect::<Result<_>>()?,
        problem_count: map.uint(14)?,
        totals: decode_totals(map.map(15)?)?,
        base: map.u32(16)?,
        sequence: map.uint(17)?,
    })
}

pub(crate) fn check_len(what: &str, payload: &[u8]) -> Result<()> {
    Reader::new(what, payload).limit(payload.len() as u64, PAYLOAD_MAX, "its length")
}

/// A number of a list that begins at 1.
pub(crate) fn decode_choice(map: &mut Map, key: u64, last: u64) -> Result<u64> {
    let value = map.uint(key)?;
    if (1..=last).contains(&value) {
        Ok(value)
    } else {
        Err(map.malformed(key, "a number that the list does not have"))
    }
}

/// The session under key 0, which is that of the name.
pub(crate) fn own_session(map: &mut Map, name: &ObjectName) -> Result<Id> {
    let session = map.array(0)?;
    if name.session().is_none_or(|(named, _)| named != session) {
        return Err(map.malformed(0, "of an object of another name"));
    }
    Ok(session)
}

fn decode_root(mut map: Map) -> Result<Root> {
    let name = decode_name(&mut map, 0)?;
    let page_type = match map.uint(1)? {
        1 => 1,
        3 => 3,
        _ => return Err(map.malformed(1, "a root is a tree or extents")),
    };
    let page = map.array(2)?;
    let level = decode_level(&mut map, 3)?;
    let [entries, bytes] = [map.uint(4)?, map.uint(5)?];
    if bytes > FILE_MAX {
        return Err(map.fault(Fault::LimitExceeded, 5, "more than 2^62 - 1 bytes"));
    }
    let scan = match (map.has(6), map.has(7)) {
        (false, false) => None,
        _ => Some((map.array(6)?, decode_level(&mut map, 7)?)),
    };
    let origin = match map.has(8) {
        true => Some(decode_name(&mut map, 8)?),
        false => None,
    };
    let volume = match map.has(9) {
        true if page_type == 1 => return Err(map.malformed(9, "a tree is no volume")),
        true => Some(decode_volume(map.map(9)?)?),
        false => None,
    };
    Ok(Root {
        name,
        page_type,
        page,
        level,
        entries,
        bytes,
        scan,
        origin,
        volume,
    })
}

fn decode_name(map: &mut Map, key: u64) -> Result<Vec<u8>> {
    let name = map.bytes(key)?;
    if name.len() as u64 > NAME_MAX {
        return Err(map.fault(Fault::LimitExceeded, key, "a name above 65,536 bytes"));
    }
    Ok(name)
}

pub(crate) fn decode_level(map: &mut Map, key: u64) -> Result<u8> {
    match u8::try_from(map.uint(key)?) {
        Ok(level) if level <= LEVEL_MAX => Ok(level),
        _ => Err(map.fault(Fault::LimitExceeded, key, "a level above 40")),
    }
}

pub(crate) fn decode_time(mut map: Map) -> Result<Time> {
    let seconds = map.int(0)?;
    let nanoseconds = map.u32(1)?;
    if nanoseconds >= 1_000_000_000 {
        return Err(map.malformed(1, "a whole second of nanoseconds"));
    }
    Ok(Time {
        seconds,
        nanoseconds,
    })
}

fn decode_problem(mut map: Map) -> Result<Problem> {
    let kind = map.uint(0)?;
    if kind > 255 {
        return Err(map.malformed(0, "a kind of problem above 255"));
    }
    Ok(Problem {
        kind,
        subject: map.bytes(1)?,
        detail: map.text(2)?,
    })
}

fn decode_totals(mut map: Map) -> Result<[u64; 9]> {
    let mut totals = [0; 9];
    for (key, total) in (0..).zip(&mut totals) {
        *total = map.uint(key)?;
    }
    Ok(totals)
}

/// The payload of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// As in the name.
    pub session: Id,
    /// When the session began.
    pub started: Time,
    /// Where.
    pub host: String,
    /// By whom.
    pub user: String,
    /// Of the writer.
    pub process: u32,
    /// Newest prune plan when the session began.
    pub base: u32,
}

/// Reads the payload of the intent `name`.
pub fn decode_intent(payload: &[u8], name: &ObjectName) -> Result<Intent> {
    check_len("intent", payload)?;
    let mut map = Map::decode("intent", payload)?;
    Ok(Intent {
        session: own_session(&mut map, name)?,
        started: decode_time(map.map(1)?)?,
        host: map.text(2)?,
        user: map.text(3)?,
        process: map.u32(4)?,
        base: map.u32(5)?,
    })
}
