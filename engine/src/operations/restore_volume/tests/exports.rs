//! Images of other formats: the bytes are the same to whoever reads them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::loops::say_skipped;
use super::world::Watcher;
use super::world::World;
use super::world::assert_same;
use super::world::small_windows;
use crate::error::ErrorKind;
use crate::operations::restore_volume::ExportFormat;
use crate::operations::restore_volume::ExportVolumeOptions;
use crate::operations::restore_volume::RestoreVolumeReport;
use crate::operations::restore_volume::export_volume;
use crate::targets::volume::convert::ImageFormat;

fn options() -> ExportVolumeOptions {
    ExportVolumeOptions {
        budget: small_windows(),
        verify: true,
        ..ExportVolumeOptions::new(1_790_000_000)
    }
}

fn export(
    world: &World,
    output: &Path,
    format: ExportFormat,
    options: &ExportVolumeOptions,
) -> crate::error::Result<RestoreVolumeReport> {
    export_volume(&world.repository, &world.root, output, format, options, &())
}

fn has_qemu_img() -> bool {
    let found = Command::new("qemu-img").arg("--version").output().is_ok();
    found || say_skipped::<()>("no qemu-img here").is_some()
}

/// The size that `qemu-img` sees in the image.
fn compare(raw: &Path, image: &Path, format: &str) -> u64 {
    let compared = Command::new("qemu-img")
        .args(["compare", "-f", "raw", "-F", format])
        .args([raw, image])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&compared.stdout);
    assert!(
        words.contains("identical") && compared.status.success(),
        "{format}: {words}"
    );
    let facts = Command::new("qemu-img")
        .args(["info", "--output=json", "-f", format])
        .arg(image)
        .output()
        .unwrap();
    let text = String::from_utf8(facts.stdout).unwrap();
    // The size of the file behind the image comes before the size of the image.
    let size = text.rsplit("\"virtual-size\": ").next().unwrap();
    let digits: String = size.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn every_format_holds_the_same_bytes_and_the_exact_size() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.raw");
    let report = export(&world, &raw, ExportFormat::Raw, &options()).unwrap();
    assert!(report.verified.unwrap().is_right());
    assert_same(&fs::read(&raw).unwrap(), &world.bytes);
    let vhd = folder.path().join("fixed.vhd");
    export(&world, &vhd, ExportFormat::VhdFixed, &options()).unwrap();
    let bytes = fs::read(&vhd).unwrap();
    let (data, footer) = bytes.split_at(world.bytes.len());
    assert_same(data, &world.bytes);
    assert_eq!((footer.len(), &footer[..8]), (512, b"conectix".as_slice()));
    if !has_qemu_img() {
        return;
    }
    assert_eq!(compare(&raw, &vhd, "vpc"), world.len());
    for (format, name) in [
        (ImageFormat::Qcow2, "qcow2"),
        (ImageFormat::Vhdx, "vhdx"),
        (ImageFormat::Vmdk, "vmdk"),
        (ImageFormat::VhdDynamic, "vpc"),
    ] {
        let image = folder.path().join(name);
        export(&world, &image, ExportFormat::Image(format), &options()).unwrap();
        assert_eq!(compare(&raw, &image, name), world.len(), "{name}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        6,
        "nothing temporary"
    );
}

#[test]
fn a_part_that_ends_within_a_sector_is_filled_with_zeros() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let mut options = options();
    options.range = Some(1000..101_001);
    let part = &world.bytes[1000..101_001];
    let vhd = folder.path().join("part.vhd");
    export(&world, &vhd, ExportFormat::VhdFixed, &options).unwrap();
    let bytes = fs::read(&vhd).unwrap();
    assert_eq!(bytes.len(), 100_352 + 512);
    assert_same(&bytes[..part.len()], part);
    assert!(bytes[part.len()..100_352].iter().all(|&byte| byte == 0));
    if has_qemu_img() {
        let image = folder.path().join("part.qcow2");
        let format = ExportFormat::Image(ImageFormat::Qcow2);
        export(&world, &image, format, &options).unwrap();
        let raw = folder.path().join("raw");
        fs::write(&raw, &bytes[..100_352]).unwrap();
        assert_eq!(compare(&raw, &image, "qcow2"), 100_352);
    }
}

#[test]
fn an_export_that_fails_leaves_nothing_and_harms_nothing() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("disk.vhd");
    fs::write(&output, "old").unwrap();
    let error = export(&world, &output, ExportFormat::VhdFixed, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let mut options = options();
    options.overwrite = true;
    let watcher = Watcher {
        stop_after: Some(world.len() / 2),
        ..Watcher::default()
    };
    let (repository, root) = (&world.repository, &world.root);
    let format = ExportFormat::VhdFixed;
    let outcome = export_volume(repository, root, &output, format, &options, &watcher);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    let image = ExportFormat::Image(ImageFormat::Qcow2);
    options.qemu_img = PathBuf::from("/nowhere/qemu-img");
    let error = export(&world, &output, image, &options).unwrap_err();
    assert!(error.to_string().contains("install qemu-utils"), "{error}");
    // A program that answers when it is asked for its version and then fails.
    let script = folder.path().join("script");
    fs::write(
        &script,
        "#!/bin/sh\n[ \"$1\" = --version ] || { echo no room >&2; exit 1; }\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    options.qemu_img = script;
    let error = export(&world, &output, image, &options).unwrap_err();
    assert!(
        error.to_string().contains("could not convert: no room"),
        "{error}"
    );
    assert_eq!(fs::read(&output).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    export(&world, &output, ExportFormat::VhdFixed, &options).unwrap();
    assert_ne!(fs::read(&output).unwrap(), b"old");
}
