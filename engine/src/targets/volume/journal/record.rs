//! The bytes of a journal: a head, and spans that are chained to it by their checksums.

use std::ops::Range;

use crate::format::id::ChunkId;
use crate::format::id::PageId;
use crate::targets::volume::TargetIdentity;

pub(super) const MAGIC: [u8; 8] = *b"bsrest\x1a\x01";
const CHECKSUM_LEN: usize = 16;
/// Magic, page, level, length, range, device or file, number, inode or length, hardware, mode.
const HEAD_BODY_LEN: usize = 8 + 32 + 1 + 8 + 16 + 1 + 8 + 8 + 16 + 1;
pub(super) const HEAD_LEN: usize = HEAD_BODY_LEN + CHECKSUM_LEN;
const SPAN_BODY_LEN: usize = 16;
pub(super) const SPAN_LEN: usize = SPAN_BODY_LEN + CHECKSUM_LEN;
pub(super) type Checksum = [u8; CHECKSUM_LEN];

/// What a restore is of and onto: two with the same head do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// Root page of the volume; of one that lies in several, what stands for them.
    pub page: PageId,
    /// Level of the root page.
    pub level: u8,
    /// Length of the volume, bytes.
    pub volume_len: u64,
    /// The part of the volume that is restored.
    pub range: Range<u64>,
    /// What it is restored to.
    pub target: TargetIdentity,
    /// What was in the target counted.
    pub in_place: bool,
}

fn checksum_of(before: &Checksum, body: &[u8]) -> Checksum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(body);
    let mut checksum = Checksum::default();
    checksum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM_LEN]);
    checksum
}

pub(super) fn encode_head(head: &JournalHead) -> (Vec<u8>, Checksum) {
    let mut bytes = Vec::with_capacity(HEAD_LEN);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(head.page.as_bytes());
    bytes.push(head.level);
    for number in [head.volume_len, head.range.start, head.range.end] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.push(head.target.is_device.into());
    for number in [head.target.device, head.target.inode_or_len] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&head.target.hardware);
    bytes.push(head.in_place.into());
    let checksum = checksum_of(&Checksum::default(), &bytes);
    bytes.extend_from_slice(&checksum);
    (bytes, checksum)
}

/// Takes what stands before `rest` off it.
struct Reader<'b> {
    rest: &'b [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }
}

pub(super) fn decode_head(bytes: &[u8]) -> Option<(JournalHead, Checksum)> {
    let body = bytes.get(..HEAD_BODY_LEN)?;
    let checksum = checksum_of(&Checksum::default(), body);
    if bytes.get(HEAD_BODY_LEN..HEAD_LEN)? != checksum {
        return None;
    }
    let mut reader = Reader { rest: body };
    if reader.take()? != MAGIC {
        return None;
    }
    let head = JournalHead {
        page: ChunkId(reader.take()?),
        level: reader.u8()?,
        volume_len: reader.u64()?,
        range: reader.u64()?..reader.u64()?,
        target: TargetIdentity {
            is_device: reader.u8()? != 0,
            device: reader.u64()?,
            inode_or_len: reader.u64()?,
            hardware: reader.take()?,
        },
        in_place: reader.u8()? != 0,
    };
    Some((head, checksum))
}

pub(super) fn encode_span(bytes: &mut Vec<u8>, span: &Range<u64>, before: &Checksum) -> Checksum {
    let start = bytes.len();
    bytes.extend_from_slice(&span.start.to_le_bytes());
    bytes.extend_from_slice(&span.end.to_le_bytes());
    let checksum = checksum_of(before, &bytes[start..]);
    bytes.extend_from_slice(&checksum);
    checksum
}

/// The spans that are whole and lie in `range`, where they end, and the checksum of the last.
pub(super) fn decode_spans(
    bytes: &[u8],
    mut checksum: Checksum,
    range: &Range<u64>,
) -> (Vec<Range<u64>>, u64, Checksum) {
    let (mut spans, mut len) = (Vec::new(), HEAD_LEN as u64);
    for record in bytes
        .get(HEAD_LEN..)
        .unwrap_or_default()
        .chunks_exact(SPAN_LEN)
    {
        let (body, stored) = record.split_at(SPAN_BODY_LEN);
        let expected = checksum_of(&checksum, body);
        let mut reader = Reader { rest: body };
        let (Some(start), Some(end)) = (reader.u64(), reader.u64()) else {
            break;
        };
        if stored != expected || start >= end || start < range.start || end > range.end {
            break;
        }
        checksum = expected;
        len += SPAN_LEN as u64;
        spans.push(start..end);
    }
    (spans, len, checksum)
}

/// What tells the restore of a journal from the one that asks.
pub(super) fn difference(found: &JournalHead, wanted: &JournalHead) -> Option<&'static str> {
    let volume = |head: &JournalHead| (head.page, head.level, head.volume_len);
    if volume(found) != volume(wanted) {
        Some("was begun for another volume")
    } else if found.range != wanted.range {
        Some("was begun for another part of the volume")
    } else if found.target != wanted.target {
        Some("was begun for another target")
    } else if found.in_place != wanted.in_place {
        Some("was begun with another say on what the target held")
    } else {
        None
    }
}
