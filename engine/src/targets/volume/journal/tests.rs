//! Journals that are whole, torn, damaged, and somebody else's.
#![expect(clippy::single_range_in_vec_init, reason = "ranges are values here")]

use std::ops::Range;
use std::path::PathBuf;

use super::Journal;
use super::JournalHead;
use super::record::HEAD_LEN;
use super::record::SPAN_LEN;
use crate::error::ErrorKind;
use crate::format::id::ChunkId;
use crate::pipeline::ranges::joined;
use crate::targets::volume::TargetIdentity;

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
