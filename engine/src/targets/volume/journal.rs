//! What an interrupted restore has done already.
//!
//! ```text
//! head    magic, root, range, target, how it began; checksum
//! span*   first byte, first byte behind; checksum over everything before it
//! ```
//! A span is appended after what it says was flushed, and is flushed itself. Checksums are a
//! chain: a record of another journal, and everything behind a torn one, does not count. The
//! journal is small and simple on purpose: it says which bytes need not be written again, and
//! `verify` is the judge of whether they are right.
//!
//! Deliberately absent: any say on ranges that were lost; they are not spans, so a resumed restore
//! tries them again.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::OFlags;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::format::id::ChunkId;
use crate::format::id::PageId;
use crate::limits::MIB;
use crate::targets::positioned;
use crate::targets::volume::TargetIdentity;
use crate::targets::volume::VolumeTarget;
use crate::targets::volume::open::flush_folder_of;
use crate::targets::volume::refused;

const MAGIC: [u8; 8] = *b"bsrest\x1a\x01";
const CHECKSUM_LEN: usize = 16;
/// Magic, page, level, length, range, device or file, number, inode or length, hardware, mode.
const HEAD_BODY_LEN: usize = 8 + 32 + 1 + 8 + 16 + 1 + 8 + 8 + 16 + 1;
const HEAD_LEN: usize = HEAD_BODY_LEN + CHECKSUM_LEN;
const SPAN_BODY_LEN: usize = 16;
const SPAN_LEN: usize = SPAN_BODY_LEN + CHECKSUM_LEN;
/// Longest journal that is read: two million spans, each of them followed by a lost chunk.
const JOURNAL_LEN_MAX: u64 = 64 * MIB as u64;
/// Stands behind the name of a file whose journal lies beside it.
const SUFFIX: &str = ".restore-journal";

type Checksum = [u8; CHECKSUM_LEN];

/// What a restore is of and onto: two with the same head do the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// Root page of the volume.
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

/// A journal that is open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    len: u64,
    checksum: Checksum,
}

impl Journal {
    /// Where the journal of a restore to `target` lies: in `state_folder`, or beside a file. A
    /// device without such a folder has none.
    pub fn place(target: &VolumeTarget, state_folder: Option<&Path>) -> Option<PathBuf> {
        let identity = target.identity();
        match state_folder {
            Some(folder) => {
                let kind = if identity.is_device { "device" } else { "file" };
                let (device, number) = (identity.device, identity.inode_or_len);
                Some(folder.join(format!("{kind}-{device:x}-{number:x}{SUFFIX}")))
            }
            None if identity.is_device => None,
            None => {
                let mut path = target.path().as_os_str().to_owned();
                path.push(SUFFIX);
                Some(PathBuf::from(path))
            }
        }
    }

    /// Begins a journal at `path`, in place of an older one.
    ///
    /// # Errors
    /// If something else is there, or it cannot be written.
    pub fn create(path: &Path, head: &JournalHead) -> Result<Self> {
        let file = open(path, true)?;
        let mut found = [0; MAGIC.len()];
        let len = length(path, &file)?;
        if len > 0 {
            let of_old = positioned::read_at(file.as_fd(), 0, &mut found);
            if of_old.is_err() || found != MAGIC {
                let detail = "is in the way of the journal of this restore and is none; move it";
                return Err(refused(ErrorKind::AlreadyExists, path, detail));
            }
        }
        let (bytes, checksum) = encode_head(head);
        let journal = Self {
            file,
            path: path.to_owned(),
            len: bytes.len() as u64,
            checksum,
        };
        journal.cut_to(0)?;
        journal.write(0, &bytes)?;
        flush_folder_of(path)?;
        Ok(journal)
    }

    /// Opens the journal of the interrupted restore that `head` describes; gives the spans that
    /// are done, ascending.
    ///
    /// # Errors
    /// If there is none, or it is of another restore.
    pub fn resume(path: &Path, head: &JournalHead) -> Result<(Self, Vec<Range<u64>>)> {
        let file = open(path, false).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let detail = "there is no journal to resume from; restore without resume";
                refused(ErrorKind::NotFound, path, detail)
            }
            _ => error,
        })?;
        let mut bytes = Vec::new();
        let read = (&file).take(JOURNAL_LEN_MAX).read_to_end(&mut bytes);
        read.map_err(|error| Error::io(Place::Path(path.to_owned()), "read", error))?;
        let Some((found, checksum)) = decode_head(&bytes) else {
            let detail = "is no whole journal of a restore; restore without resume";
            return Err(refused(ErrorKind::Damaged, path, detail));
        };
        if let Some(difference) = difference(&found, head) {
            let detail = format!("{difference}; restore without resume");
            return Err(refused(ErrorKind::InvalidInput, path, detail));
        }
        let (spans, len, checksum) = decode_spans(&bytes, checksum, &head.range);
        let journal = Self {
            file,
            path: path.to_owned(),
            len,
            checksum,
        };
        journal.cut_to(len)?;
        Ok((journal, joined(spans)))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records that `spans` were written and flushed.
    pub fn append(&mut self, spans: &[Range<u64>]) -> Result<()> {
        let mut bytes = Vec::with_capacity(spans.len() * SPAN_LEN);
        let mut checksum = self.checksum;
        for span in spans {
            checksum = encode_span(&mut bytes, span, &checksum);
        }
        self.write(self.len, &bytes)?;
        self.len += bytes.len() as u64;
        self.checksum = checksum;
        Ok(())
    }

    /// Removes it: there is nothing to resume.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path)
            .map_err(|error| Error::io(Place::Path(self.path.clone()), "remove", error))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        positioned::write_at(self.file.as_fd(), offset, bytes)
            .and_then(|()| rustix::fs::fdatasync(&self.file))
            .map_err(|errno| super::open::failed(&self.path, "write", errno))
    }

    fn cut_to(&self, len: u64) -> Result<()> {
        let outcome = rustix::fs::ftruncate(&self.file, len);
        outcome.map_err(|errno| super::open::failed(&self.path, "cut its end", errno))
    }
}

/// A symbolic link in its place is not followed.
fn open(path: &Path, create: bool) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).mode(0o600);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    let failed = |error| Error::io(Place::Path(path.to_owned()), "open the journal", error);
    options.open(path).map_err(failed)
}

fn length(path: &Path, file: &File) -> Result<u64> {
    let failed = |error| Error::io(Place::Path(path.to_owned()), "examine", error);
    file.metadata().map(|stat| stat.len()).map_err(failed)
}

fn checksum_of(before: &Checksum, body: &[u8]) -> Checksum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(body);
    let mut checksum = Checksum::default();
    checksum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM_LEN]);
    checksum
}

fn encode_head(head: &JournalHead) -> (Vec<u8>, Checksum) {
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

fn decode_head(bytes: &[u8]) -> Option<(JournalHead, Checksum)> {
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

fn encode_span(bytes: &mut Vec<u8>, span: &Range<u64>, before: &Checksum) -> Checksum {
    let start = bytes.len();
    bytes.extend_from_slice(&span.start.to_le_bytes());
    bytes.extend_from_slice(&span.end.to_le_bytes());
    let checksum = checksum_of(before, &bytes[start..]);
    bytes.extend_from_slice(&checksum);
    checksum
}

/// The spans that are whole and lie in `range`, where they end, and the checksum of the last.
fn decode_spans(
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
fn difference(found: &JournalHead, wanted: &JournalHead) -> Option<&'static str> {
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

/// The same bytes in ascending spans that do not touch.
pub fn joined(mut spans: Vec<Range<u64>>) -> Vec<Range<u64>> {
    spans.sort_unstable_by_key(|span| span.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

/// What is left of `range` without `done`, which ascends.
pub fn without(range: &Range<u64>, done: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut at = range.start;
    for span in done {
        if span.start > at {
            left.push(at..span.start.min(range.end));
        }
        at = at.max(span.end);
    }
    if at < range.end {
        left.push(at..range.end);
    }
    left.retain(|span| span.start < span.end);
    left
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "ranges are values here")]
mod tests {
    use super::*;

    fn head() -> JournalHead {
        JournalHead {
            page: ChunkId([3; 32]),
            level: 2,
            volume_len: 1 << 40,
            range: 512..1 << 30,
            target: TargetIdentity {
                is_device: true,
                device: 8,
                inode_or_len: 1 << 41,
                hardware: [5; 16],
            },
            in_place: false,
        }
    }

    fn spans() -> Vec<Range<u64>> {
        vec![512..4096, 8192..10_000, 10_000..1 << 20]
    }

    /// A journal of [`spans`], its folder and its path.
    fn sample() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::create(&path, &head()).unwrap();
        journal.append(&spans()[..1]).unwrap();
        journal.append(&spans()[1..]).unwrap();
        (folder, path)
    }

    #[test]
    fn a_journal_reads_back_joined_and_goes_on() {
        let (_folder, path) = sample();
        let (mut journal, done) = Journal::resume(&path, &head()).unwrap();
        assert_eq!(done, [512..4096, 8192..1 << 20]);
        journal.append(&[4096..8192]).unwrap();
        drop(journal);
        let (journal, done) = Journal::resume(&path, &head()).unwrap();
        assert_eq!(done, [512..1 << 20]);
        journal.remove().unwrap();
        let gone = Journal::resume(&path, &head()).map(drop).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert!(
            gone.to_string().contains("restore without resume"),
            "{gone}"
        );
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_what_is_whole_counts() {
        let (_folder, path) = sample();
        let whole = std::fs::read(&path).unwrap();
        for len in HEAD_LEN..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let (mut journal, done) = Journal::resume(&path, &head()).unwrap();
            let count = (len - HEAD_LEN) / SPAN_LEN;
            assert_eq!(done, joined(spans()[..count].to_vec()), "length {len}");
            let left = std::fs::metadata(&path).unwrap().len() as usize;
            assert_eq!(left, HEAD_LEN + count * SPAN_LEN, "length {len}");
            journal.append(&[2 << 20..3 << 20]).unwrap();
            let (_, done) = Journal::resume(&path, &head()).unwrap();
            assert_eq!(done.last(), Some(&(2 << 20..3 << 20)), "length {len}");
        }
    }

    #[test]
    fn no_flipped_bit_makes_a_span_longer_or_another_one() {
        let (_folder, path) = sample();
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &damaged).unwrap();
            match Journal::resume(&path, &head()) {
                Err(error) => {
                    assert!(bit / 8 < HEAD_LEN, "bit {bit}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Damaged, "bit {bit}");
                }
                Ok((_, done)) => {
                    let count = (bit / 8 - HEAD_LEN) / SPAN_LEN;
                    assert_eq!(done, joined(spans()[..count].to_vec()), "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn the_journal_of_another_restore_is_refused_in_words() {
        let (_folder, path) = sample();
        let other = |change: fn(&mut JournalHead)| {
            let mut head = head();
            change(&mut head);
            let error = Journal::resume(&path, &head).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            error.to_string()
        };
        assert!(other(|head| head.page = ChunkId([4; 32])).contains("another volume"));
        assert!(other(|head| head.range.end -= 1).contains("another part"));
        assert!(other(|head| head.target.inode_or_len = 1).contains("another target"));
        assert!(other(|head| head.target.hardware[0] = 1).contains("another target"));
        assert!(other(|head| head.in_place = true).contains("what the target held"));
    }

    #[test]
    fn a_span_of_another_journal_does_not_count() {
        let (_folder, path) = sample();
        let tail = std::fs::read(&path).unwrap()[HEAD_LEN..].to_vec();
        let mut other = head();
        other.level = 3;
        drop(Journal::create(&path, &other).unwrap());
        let mut mixed = std::fs::read(&path).unwrap();
        assert_eq!(mixed.len(), HEAD_LEN, "a new journal replaces the old one");
        mixed.extend(tail);
        std::fs::write(&path, mixed).unwrap();
        let (_, done) = Journal::resume(&path, &other).unwrap();
        assert!(done.is_empty(), "{done:?}");
    }

    #[test]
    fn what_is_no_journal_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        for content in ["short", "precious content of somebody"] {
            std::fs::write(&path, content).unwrap();
            let error = Journal::create(&path, &head()).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Journal::create(&link, &head()).is_err());
    }

    #[test]
    fn what_is_left_is_the_range_without_what_is_done() {
        let left = |done: &[Range<u64>]| without(&(10..20), done);
        assert_eq!(left(&[]), [10..20]);
        assert_eq!(left(&[10..20]), []);
        assert_eq!(left(&[12..14, 16..18]), [10..12, 14..16, 18..20]);
        assert_eq!(left(&[10..12, 18..20]), [12..18]);
        assert_eq!(without(&(5..5), &[]), []);
    }
}
