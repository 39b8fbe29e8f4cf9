//! Paths: what is found by them, and what is not.

use super::*;
use crate::limits::IMAGE_DEPTH_LIMIT;

#[test]
fn links_are_shown_and_never_followed() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let top = folder.path().join("files");
    std::fs::create_dir_all(top.join("real")).unwrap();
    std::fs::write(top.join("real/file"), "x").unwrap();
    std::os::unix::fs::symlink("real", top.join("link")).unwrap();
    std::os::unix::fs::symlink("real/file", top.join("direct")).unwrap();
    let image = blank(&folder, 8 << 20);
    run("mkfs.ext4", &["-q", "-F", "-d", &text(&top), &image]);
    let mut image = opened(std::fs::read(image).unwrap());
    for (at, told) in [
        ("link/file", "disk0/p1/link: is a symbolic link"),
        ("real/file/below", "disk0/p1/real/file: is not a folder"),
        ("none/file", "disk0/p1/none: is not there"),
    ] {
        let error = image.entry(&path(at)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{at}");
        assert!(error.to_string().starts_with(told), "{error}");
    }
    let error = content(&mut image, "direct").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(content(&mut image, "real/file").unwrap(), b"x");
    assert_eq!(image.entry(&path("link")).unwrap().name, b"link");
    let deep = vec!["a"; IMAGE_DEPTH_LIMIT + 1].join("/");
    let error = image.entry(&path(&deep)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn pages_of_a_folder_join_without_gaps() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut image = opened(made::ext(&folder, &[]));
    let many = path("many");
    let entry = image.entry(&many).unwrap();
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = image.page(&many, &entry, after.as_deref(), 33).unwrap();
        names.extend(page.entries.iter().map(|entry| entry.name.clone()));
        after = names.last().cloned();
        if page.is_last {
            break;
        }
        assert_eq!(page.entries.len(), 33);
    }
    assert_eq!(names.len(), 700);
    assert!(names.is_sorted());
}

/// A volume of 1 MiB with these marks in it.
fn marked(marks: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    for (at, mark) in marks {
        bytes[*at..*at + mark.len()].copy_from_slice(mark);
    }
    bytes
}

#[test]
fn what_has_no_reader_is_named_with_what_to_do() {
    let zfs = b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x24\0\0\0\x20\0\0\0\x07version\0";
    let exfat: [(usize, &[u8]); 3] = [
        (0, b"\xeb\x76\x90EXFAT   "),
        (0x6c, &[9, 3]),
        (510, b"\x55\xaa"),
    ];
    let restored = "restore the volume to a file or a device, or serve it as a disk, and";
    for (bytes, told) in [
        (marked(&[]), "no file system that is known".to_owned()),
        (marked(&[(4086, b"SWAPSPACE2")]), "swap space".to_owned()),
        (
            marked(&[(0, b"LUKS\xba\xbe\0\x01")]),
            format!(
                "holds luks1, which is encrypted and cannot be read without its key: {restored}"
            ),
        ),
        (
            marked(&[(0, b"LUKS\xba\xbe\0\x02")]),
            "holds luks2, which is encrypted".to_owned(),
        ),
        (
            marked(&[(0, b"\xeb\x58\x90-FVE-FS-"), (510, b"\x55\xaa")]),
            "holds bitlocker, which is encrypted".to_owned(),
        ),
        (
            marked(&[
                (512, b"LABELONE"),
                (512 + 20, &[32]),
                (512 + 24, b"LVM2 001"),
            ]),
            format!("a physical volume that is not looked into here: {restored} open it there"),
        ),
        (
            marked(&[(4096, &[0xfc, 0x4e, 0x2b, 0xa9, 1])]),
            format!(
                "linux_raid_member, which is one part of several that make a volume: {restored} put"
            ),
        ),
        (
            marked(&[(16 << 10, zfs)]),
            "zfs_member, which is one part".to_owned(),
        ),
        (
            marked(&exfat),
            format!("holds exfat, which has no reader yet: {restored} mount it there"),
        ),
        (
            marked(&[(0, b"hsqs"), (28, &[4])]),
            "holds squashfs, which has no reader".to_owned(),
        ),
        (
            marked(&[(1024, &[0xe2, 0xe1, 0xf5, 0xe0]), (1036, &[12])]),
            "holds erofs, which has no reader".to_owned(),
        ),
        (
            marked(&[(3, b"ReFS\0\0\0\0FSRS"), (510, b"\x55\xaa")]),
            "holds refs, which has no reader".to_owned(),
        ),
    ] {
        let error = Image::open(view(bytes), b"disk0/p1").err();
        let error = error.expect("it has no reader");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&told), "{told}: {error}");
    }
}

/// A view that fails from a place on, as a repository with a damaged pack does.
struct Failing(Arc<Memory>, u64);

impl View for Failing {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        if offset + out.len() as u64 > self.1 {
            let place = Place::Argument("pack");
            return Err(Error::new(ErrorKind::Damaged, place, "checksum differs"));
        }
        self.0.read_at(offset, out)
    }

    fn map(&self, range: Range<u64>, pieces_max: usize) -> Result<Vec<MappedRange>> {
        self.0.map(range, pieces_max)
    }
}

#[test]
fn what_the_repository_cannot_give_is_told_as_that_with_the_path() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let whole = view(made::ext(&folder, &["-O", "^has_journal"]));
    let failing = Arc::new(Failing(Arc::clone(&whole), 2 << 20));
    let mut image = Image::open(failing, b"disk0/p1").unwrap();
    let error = content(&mut image, "long").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let told = crate::operations::walk::with_causes(&error);
    assert_eq!(
        told,
        "disk0/p1/long: cannot be read: pack: checksum differs"
    );
}

#[test]
fn a_volume_whose_beginning_is_lost_is_damaged_and_not_one_that_is_unknown() {
    let failing = Arc::new(Failing(view(vec![0; 1 << 20]), 0));
    let error = Image::open(failing, b"disk0/p1").err();
    let error = error.expect("it cannot be read");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    let told = crate::operations::walk::with_causes(&error);
    let expected =
        "disk0/p1: cannot be read where it would say what it holds: pack: checksum differs";
    assert_eq!(told, expected);
}
