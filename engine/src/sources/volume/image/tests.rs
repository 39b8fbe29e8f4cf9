//! Images made by qemu-img, and what happens to the child.

use std::os::unix::fs::{FileExt, PermissionsExt};

use super::*;
use crate::sources::volume::Allocation;
use crate::sources::volume::tests::kit::{has, pattern, run, text, wait_until};

const LEN: usize = 8 << 20;

/// A raw disk with data at its begin, at 3 MiB and at its end.
fn disk(folder: &Path) -> (PathBuf, Vec<u8>) {
    let mut bytes = vec![0; LEN];
    let some = pattern(100 << 10);
    for at in [0, 3 << 20, LEN - some.len()] {
        bytes[at..at + some.len()].copy_from_slice(&some);
    }
    let path = folder.join("disk.raw");
    let file = File::create(&path).expect("a file");
    file.set_len(LEN as u64).expect("its length");
    file.write_all_at(&bytes[..4 << 20], 0).expect("data");
    file.write_all_at(&some, (LEN - some.len()) as u64)
        .expect("data");
    (path, bytes)
}

fn options(folder: &Path) -> ImageOptions {
    ImageOptions::new(folder)
}

fn is_empty(folder: &Path) -> bool {
    let mut entries = folder.read_dir().expect("a folder");
    entries.next().is_none()
}

#[test]
fn images_of_every_format_read_as_the_disk_that_they_were_made_of() {
    if !has(&["qemu-nbd", "qemu-img"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tempfile::tempdir().expect("a folder");
    let (raw, bytes) = disk(folder.path());
    for (name, format) in ImageFormat::ALL {
        let image = folder.path().join(format!("disk.{name}"));
        if format != ImageFormat::Raw {
            let mut line = vec!["qemu-img", "convert", "-f", "raw", "-O", format.qemu_name()];
            if format == ImageFormat::Vhd {
                line.extend(["-o", "force_size=on"]); // or it rounds to cylinders
            }
            line.extend([text(&raw), text(&image)]);
            run(&line);
        }
        let volume = ImageVolume::open(&image, format, &options(runtime.path())).expect(name);
        assert_eq!(volume.len(), LEN as u64, "{name}");
        assert_eq!(volume.identity().kind, VolumeKind::Image);
        assert_eq!(volume.identity().location, image);
        let mut read = vec![1; LEN];
        assert_eq!(volume.read_at(0, &mut read).expect(name), LEN);
        assert!(read == bytes, "{name} reads as something else");
        for piece in volume.allocation(0..LEN as u64).expect(name) {
            let range = piece.range.start as usize..piece.range.end as usize;
            let is_zero = bytes[range].iter().all(|&byte| byte == 0);
            assert!(
                piece.kind == Allocation::Data || is_zero,
                "{name}: {piece:?}"
            );
        }
        volume.check_unchanged().expect(name);
        assert!(volume.warnings().is_empty());
        drop(volume);
        assert!(is_empty(runtime.path()), "{name} leaves something behind");
    }
}

#[test]
fn an_image_of_another_format_is_refused_in_the_words_of_qemu() {
    if !has(&["qemu-nbd"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tempfile::tempdir().expect("a folder");
    let (raw, _) = disk(folder.path());
    let error = ImageVolume::open(&raw, ImageFormat::Qcow2, &options(runtime.path()));
    let error = error.expect_err("not a qcow2");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let line = error.to_string();
    assert!(
        line.starts_with(text(&raw)) && line.contains("not in qcow2 format"),
        "{line}"
    );
    assert!(!line.contains('\n'), "{line}");
    assert!(is_empty(runtime.path()));
}

#[test]
fn a_raw_disk_that_looks_like_an_image_is_read_as_the_bytes_it_is() {
    if !has(&["qemu-nbd", "qemu-img"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("guest");
    run(&[
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        text(&image),
        "1G",
    ]);
    let volume = ImageVolume::open(&image, ImageFormat::Raw, &options(folder.path()));
    let volume = volume.expect("a raw disk");
    let mut magic = [0; 4];
    volume.read_at(0, &mut magic).expect("a read");
    assert_eq!(&magic, b"QFI\xfb");
    assert!(volume.len() < 1 << 30);
}

#[test]
fn a_missing_qemu_nbd_says_what_to_install() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tempfile::tempdir().expect("a folder");
    let (raw, _) = disk(folder.path());
    let mut options = options(runtime.path());
    options.program = "qemu-nbd-that-is-not-there".into();
    let error = ImageVolume::open(&raw, ImageFormat::Raw, &options).expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().ends_with("install qemu-utils"), "{error}");
    assert!(is_empty(runtime.path()));
}

#[test]
fn a_child_that_never_listens_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let (raw, _) = disk(folder.path());
    let runtime = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("stuck");
    let sign = folder.path().join("pid");
    let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", text(&sign));
    std::fs::write(&program, script).expect("a script");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("permissions");
    let mut options = options(runtime.path());
    options.program = program;
    options.nbd.timeout = Duration::from_millis(500);
    let error = ImageVolume::open(&raw, ImageFormat::Raw, &options).expect_err("stuck");
    assert!(
        error.to_string().contains("did not listen within 0.5 s"),
        "{error}"
    );
    let number = std::fs::read_to_string(&sign).unwrap_or_default();
    assert!(!Path::new("/proc").join(number.trim()).join("exe").exists() || number.is_empty());
    assert!(is_empty(runtime.path()));
}

#[test]
fn the_folder_of_the_socket_is_private_and_the_child_ends_with_the_volume() {
    if !has(&["qemu-nbd"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (raw, _) = disk(folder.path());
    let volume = ImageVolume::open(&raw, ImageFormat::Raw, &options(folder.path()));
    let volume = volume.expect("an image");
    let private = volume.server.folder.0.clone();
    let mode = private.metadata().expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let child = Path::new("/proc").join(volume.server.child.lock().id().to_string());
    assert!(child.exists());
    drop(volume);
    assert!(!child.exists() && !private.exists());
}

#[test]
fn a_child_that_is_killed_is_an_error_and_not_a_short_volume() {
    if !has(&["qemu-nbd"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (raw, _) = disk(folder.path());
    let volume = ImageVolume::open(&raw, ImageFormat::Raw, &options(folder.path()));
    let volume = volume.expect("an image");
    let mut child = volume.server.child.lock();
    child.kill().expect("killed");
    child.wait().expect("a child");
    drop(child);
    let error = volume.read_at(0, &mut [0; 4096]).expect_err("no server");
    assert!(
        error.to_string().contains("ended the connection"),
        "{error}"
    );
    let error = volume.check_unchanged().expect_err("no server");
    assert!(error.to_string().contains("qemu-nbd ended"), "{error}");
}

#[test]
fn an_image_without_a_child_that_follows_ends_with_its_last_connection() {
    if !has(&["qemu-nbd"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (raw, _) = disk(folder.path());
    let options = options(folder.path());
    let mut server = Server::start(&raw, ImageFormat::Raw, &options).expect("a child");
    let volume = server.connect(&raw, &options.nbd).expect("a volume");
    assert_eq!(server.ended(), None);
    drop(volume); // as the kernel does when we are killed
    wait_until("the child ends", || server.ended().is_some());
}

#[test]
fn a_dirty_bitmap_of_an_image_tells_what_was_written() {
    if !has(&["qemu-nbd", "qemu-img", "qemu-io"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("vm.qcow2");
    run(&[
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        text(&image),
        "64M",
    ]);
    run(&["qemu-io", "-c", "write -P 1 0 1M", text(&image)]);
    run(&["qemu-img", "bitmap", "--add", text(&image), "job-1"]);
    let writes = [
        "write -P 2 512k 64k",
        "write -z -u 2M 64k",
        "discard 4M 64k",
    ];
    for write in writes {
        run(&["qemu-io", "-c", write, text(&image)]);
    }
    let mut options = options(folder.path());
    options.nbd.dirty_bitmap = Some("job-1".to_owned());
    let volume = ImageVolume::open(&image, ImageFormat::Qcow2, &options).expect("an image");
    let at = |start: u64| start..start + (64 << 10);
    let expected = [512 << 10, 2 << 20, 4 << 20].map(at);
    assert_eq!(volume.dirty_ranges().expect("ranges"), expected);
    drop(volume);
    options.nbd.dirty_bitmap = Some("job-2".to_owned());
    let error = ImageVolume::open(&image, ImageFormat::Qcow2, &options);
    let error = error.expect_err("no such bitmap").to_string();
    assert!(error.contains("job-2"), "{error}");
}

#[test]
fn an_image_that_is_written_meanwhile_is_noticed() {
    if !has(&["qemu-nbd"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (raw, _) = disk(folder.path());
    let volume = ImageVolume::open(&raw, ImageFormat::Raw, &options(folder.path()));
    let volume = volume.expect("an image");
    let file = File::options().write(true).open(&raw).expect("the file");
    file.set_len(1000).expect("shorter");
    let error = volume.check_unchanged().expect_err("cut off").to_string();
    assert!(
        error.contains("shrank from 8388608 to 1000 bytes"),
        "{error}"
    );
    assert!(volume.was_written());
}
