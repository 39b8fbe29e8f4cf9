//! What is the same for volumes of every kind.

pub(in crate::sources::volume) mod kit;

use super::*;
use kit::text;

#[test]
fn a_path_is_opened_as_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("disk.raw");
    std::fs::write(&path, vec![1; 3000]).expect("a file");
    let volume = open_path(&path).expect("a file");
    assert_eq!(
        (volume.identity().kind, volume.len()),
        (VolumeKind::File, 3000)
    );
    assert!(!volume.is_empty());
    let error = open_path(&folder.path().join("x")).err().expect("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    if let Some(disk) = kit::Loop::new(1 << 20, &[]) {
        let volume = open_path(&disk.device).expect("a device");
        assert_eq!(
            (volume.identity().kind, volume.len()),
            (VolumeKind::Device, 1 << 20)
        );
        let error = FileVolume::open(&disk.device).expect_err("not a file");
        assert!(error.to_string().starts_with(text(&disk.device)), "{error}");
    }
}

#[test]
fn a_length_that_changed_is_told_with_both_numbers() {
    let changed = |was, is| {
        let error = check_len(Path::new("/dev/x"), was, is).expect_err("changed");
        assert_eq!(error.kind(), ErrorKind::Busy);
        error.to_string()
    };
    assert_eq!(
        changed(9, 4),
        "/dev/x: shrank from 9 to 4 bytes while it was read"
    );
    assert_eq!(
        changed(4, 9),
        "/dev/x: grew from 4 to 9 bytes while it was read"
    );
    assert!(check_len(Path::new("/dev/x"), 4, 4).is_ok());
}
