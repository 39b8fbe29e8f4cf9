//! Holes that are true, holes that are not, and files that change under the reader.

use super::*;
use Allocation::{Data, Hole};

const LEN: u64 = 1 << 20;

/// 64 KiB of ones at 256 KiB, in a file of 1 MiB that is a hole elsewhere.
fn image() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("disk.raw");
    let file = File::create(&path).expect("a file");
    file.set_len(LEN).expect("its length");
    file.write_all_at(&[1; 65536], LEN / 4).expect("its data");
    (folder, path)
}

#[test]
fn holes_of_a_trusted_file_system_are_not_data() {
    let (_folder, path) = image();
    let volume = FileVolume::open(&path).expect("an image");
    if volume.holes == Holes::Unknown {
        return; // the temporary folder lies on a file system that is not on the list
    }
    let kinds = |range| -> Vec<_> {
        let pieces = volume.allocation(range).expect("an answer");
        pieces.into_iter().map(|p| (p.range, p.kind)).collect()
    };
    let data = LEN / 4..LEN / 4 + 65536;
    let holes = [(0..data.start, Hole), (data.end..LEN, Hole)];
    let [before, after] = holes;
    assert_eq!(kinds(0..LEN), [before, (data.clone(), Data), after]);
    let inner = data.start + 100..data.end - 100;
    assert_eq!(kinds(inner.clone()), [(inner, Data)]);
    assert_eq!(kinds(7..7), []);
    assert!(volume.warnings().is_empty());
    assert!(volume.allocation(0..LEN + 1).is_err());
}

#[test]
fn a_file_system_that_lies_about_holes_is_not_believed_again() {
    let (_folder, path) = image();
    let volume = FileVolume::open(&path).expect("an image");
    let lie = 0..LEN / 4 + 1; // the last byte is not zero
    let answer = volume.allocation_from(&lie, std::iter::empty());
    let data = |range| vec![Allocated { range, kind: Data }];
    assert_eq!(answer.expect("an answer"), data(lie));
    assert_eq!(volume.allocation(0..LEN).expect("an answer"), data(0..LEN));
    assert_eq!(volume.warnings().len(), 1);
}

#[test]
fn samples_lie_within_their_hole_and_touch_both_ends() {
    for hole in [0..1, 5..4096, 0..4097, 4096..12288, 3..1 << 50] {
        let at: Vec<_> = samples(&hole).collect();
        assert!(at.iter().all(|at| hole.contains(at)), "{hole:?}: {at:?}");
        assert_eq!(at[0], hole.start);
        assert!(at[1] + SAMPLE_LEN >= hole.end);
        assert_eq!(at, samples(&hole).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_that_is_cut_off_while_it_is_read_is_an_error() {
    let (_folder, path) = image();
    let volume = FileVolume::open(&path).expect("an image");
    assert_eq!(volume.read_at(LEN - 3, &mut [0; 10]).expect("the end"), 3);
    assert_eq!(volume.read_at(LEN + 3, &mut [0; 10]).expect("behind"), 0);
    volume.check_unchanged().expect("unchanged");
    let file = File::options().write(true).open(&path).expect("the file");
    file.set_len(1000).expect("shorter");
    let error = volume.check_unchanged().expect_err("it shrank");
    let text = error.to_string();
    assert!(text.contains("shrank from 1048576 to 1000 bytes"), "{text}");
    let error = volume.read_at(0, &mut [0; 4096]).expect_err("cut off");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    file.set_len(LEN + 1).expect("longer");
    let text = volume.check_unchanged().expect_err("it grew").to_string();
    assert!(
        text.contains("grew from 1048576 to 1048577 bytes"),
        "{text}"
    );
    assert!(volume.was_written());
}

#[test]
fn another_file_in_its_place_is_an_error() {
    let (folder, path) = image();
    let volume = FileVolume::open(&path).expect("an image");
    let other = folder.path().join("other");
    std::fs::write(&other, b"another").expect("a file");
    std::fs::rename(&other, &path).expect("in its place");
    let error = volume.check_unchanged().expect_err("replaced");
    assert!(
        error.to_string().contains("another file of 7 bytes"),
        "{error}"
    );
}

#[test]
fn only_regular_files_are_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let kind = |path: &Path| FileVolume::open(path).expect_err("no image").kind();
    assert_eq!(kind(folder.path()), ErrorKind::InvalidInput);
    assert_eq!(kind(&folder.path().join("x")), ErrorKind::NotFound);
    assert_eq!(kind(Path::new("/dev/zero")), ErrorKind::InvalidInput);
}
