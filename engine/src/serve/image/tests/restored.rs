//! What is restored is what was there, and nothing outside of the target.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::operations::restore::{RestoreOptions, RestoreReport};
use crate::serve::image::restore;
use crate::targets::folder::FolderTargetOptions;

fn restored(image: &mut Image, at: &str, target: &Path) -> Result<RestoreReport> {
    let is_root = rustix::process::geteuid().is_root();
    let options = RestoreOptions {
        verify: true,
        target: FolderTargetOptions {
            privileged: is_root,
            ..FolderTargetOptions::default()
        },
        ..RestoreOptions::default()
    };
    restore(image, &path(at), target, &options, &())
}

#[test]
fn a_folder_of_ext_comes_back_with_links_holes_modes_and_times() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut image = opened(made::ext(&folder, &[]));
    let target = folder.path().join("restored");
    let report = restored(&mut image, "", &target).unwrap();
    assert_eq!((report.problems, report.skipped), (0, 0));
    assert_eq!(report.verified, report.files);
    let source = folder.path().join("files");
    for name in [
        "long",
        "holes",
        "etc/hosts",
        "odd näme",
        "etc/deep/er/last",
        "empty",
    ] {
        let same =
            std::fs::read(source.join(name)).unwrap() == std::fs::read(target.join(name)).unwrap();
        assert!(same, "{name}");
    }
    for name in ["long", "etc", "etc/deep", "etc/short", "many"] {
        let facts = |top: &Path| {
            let there = top.join(name).symlink_metadata().unwrap();
            (there.mode(), there.uid(), there.mtime())
        };
        assert_eq!(facts(&source), facts(&target), "{name}");
    }
    let number = |name| target.join(name).metadata().unwrap().ino();
    assert_eq!(number("etc/hosts"), number("etc/same"));
    assert_eq!(
        target.join("etc/short").read_link().unwrap(),
        Path::new("../etc/hosts")
    );
    assert!(target.join("holes").metadata().unwrap().blocks() * 512 < 300_000);
}

#[test]
fn one_file_lands_under_its_name_and_a_target_in_use_is_refused() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut image = opened(made::ext(&folder, &[]));
    let target = folder.path().join("restored");
    let report = restored(&mut image, "etc/hosts", &target).unwrap();
    assert_eq!((report.entries, report.files, report.bytes), (1, 1, 17));
    let names: Vec<_> = target
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["hosts"]);
    let error = restored(&mut image, "etc/hosts", &target).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = restored(&mut image, "etc/none", &folder.path().join("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!folder.path().join("x").exists());
}

#[test]
fn names_and_links_that_lead_outside_stay_inside_the_target() {
    if !has_tool("mkfs.ext4") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let top = folder.path().join("files");
    std::fs::create_dir_all(top.join("AAAAAAAA")).unwrap();
    std::fs::write(top.join("xxxxyyyyzzz"), "escaped").unwrap();
    std::fs::write(top.join("AAAAAAAA/inner"), "inner").unwrap();
    std::fs::write(top.join("plain"), "plain").unwrap();
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let link = top.join("BBBBBBBB");
    std::os::unix::fs::symlink(&outside, link).unwrap();
    let image = blank(&folder, 8 << 20);
    let options = [
        "-q",
        "-F",
        "-O",
        "^metadata_csum",
        "-d",
        &text(&top),
        &image,
    ];
    run("mkfs.ext4", &options);
    let mut bytes = std::fs::read(&image).unwrap();
    let mut rename = |from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|window| window == from);
        let at = at.expect("the name is there");
        bytes[at..at + to.len()].copy_from_slice(to);
    };
    rename(b"xxxxyyyyzzz", b"../../zzzzz");
    // Now a link and a folder with files have the same name.
    rename(b"BBBBBBBB", b"AAAAAAAA");
    let mut image = opened(bytes);
    let target = folder.path().join("in/restored");
    let report = restored(&mut image, "", &target).unwrap();
    assert!(report.problems >= 2, "{report:?}");
    assert_eq!(std::fs::read(target.join("plain")).unwrap(), b"plain");
    assert_eq!(outside.read_dir().unwrap().count(), 0);
    let inside = folder.path().join("in").read_dir().unwrap().count();
    assert_eq!(inside, 1, "only the target is there");
    assert!(!folder.path().join("zzzzz").exists());
}

#[test]
fn files_without_owners_are_those_of_who_restores_them() {
    if !has_tool("mkfs.vfat") || !has_tool("mcopy") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut image = opened(fat::fat(&folder, "16"));
    let target = folder.path().join("restored");
    let options = RestoreOptions::default();
    let report = restore(&mut image, &FolderPath::root(), &target, &options, &()).unwrap();
    assert_eq!((report.files, report.problems), (4, 0));
    let there = target.join("folder/below/SHORT.TXT").metadata().unwrap();
    assert_eq!(
        (there.uid(), there.len()),
        (rustix::process::geteuid().as_raw(), 1_500)
    );
}
