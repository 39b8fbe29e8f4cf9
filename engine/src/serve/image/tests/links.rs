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

#[test]
fn what_has_no_reader_is_named_with_what_to_do() {
    let mut swap = vec![0; 1 << 20];
    swap[4086..4096].copy_from_slice(b"SWAPSPACE2");
    let mut xfs = vec![0; 1 << 20];
    xfs[..4].copy_from_slice(b"XFSB");
    let mut luks = vec![0; 1 << 20];
    luks[..8].copy_from_slice(b"LUKS\xba\xbe\0\x01");
    for (bytes, told) in [
        (vec![0; 1 << 20], "no file system that is known"),
        (swap, "no files"),
        (luks, "encrypted: restore the volume"),
    ] {
        let error = Image::open(view(bytes), b"disk0/p1")
            .err()
            .expect("it has no reader");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(told), "{error}");
    }
    assert!(Image::open(view(xfs), b"disk0/p1").is_err());
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
