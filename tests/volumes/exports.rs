//! Image formats: written, and read.

use std::ffi::OsStr;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::disk::DISK_LEN;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::disk::random_disk;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::installed;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::workspace::Workspace;
use serde_json::Value;

use crate::volumes::MIB;
use crate::volumes::snapshot;

#[test]
fn i1_every_exported_format_is_the_same_disk_to_another_program() {
    if installed("qemu-img").is_none() || installed("sfdisk").is_none() {
        return;
    }
    let workspace = Workspace::new();
    let image = random_disk(&workspace, "disk.raw", DISK_LEN, 24 << 20);
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    let formats = [
        ("raw", "raw"),
        ("qcow2", "qcow2"),
        ("vhd", "vpc"),
        ("vhd-dynamic", "vpc"),
        ("vhdx", "vhdx"),
        ("vmdk", "vmdk"),
    ];
    for (format, of_qemu) in formats {
        let file = workspace.join(&format!("exported.{format}"));
        let words: [&dyn AsRef<OsStr>; 5] = [&taken.id, &"--format", &format, &"--output", &file];
        repository.run("export", &words).expect_code(0);
        let words: [&dyn AsRef<OsStr>; 7] =
            [&"compare", &"-f", &"raw", &"-F", &of_qemu, &image, &file];
        let compared = output("qemu-img", &words);
        assert!(compared.contains("identical"), "{format}: {compared}");
        let words: [&dyn AsRef<OsStr>; 5] = [&"info", &"--output=json", &"-f", &of_qemu, &file];
        let info: Value = serde_json::from_str(&output("qemu-img", &words)).unwrap();
        assert_eq!(info["virtual-size"], 402_653_184, "{format}");
        let again = repository.run(
            "export",
            &[&taken.id, &"--format", &format, &"--output", &file],
        );
        again.expect_code(1).expect_text("exists");
    }
}

#[test]
fn i1_every_format_that_is_read_is_the_same_disk() {
    let programs = ["qemu-img", "qemu-nbd", "sfdisk"];
    if programs.iter().any(|program| installed(program).is_none()) {
        return;
    }
    let workspace = Workspace::new();
    let image = random_disk(&workspace, "disk.raw", 64 * MIB, 6 << 20);
    let repository = TestRepository::init(&workspace);
    let formats = [
        ("qcow2", "qcow2", ""),
        ("vhd", "vpc", "subformat=fixed,force_size=on"),
        ("vhd", "vpc", "subformat=dynamic,force_size=on"),
        ("vhdx", "vhdx", ""),
        ("vmdk", "vmdk", ""),
    ];
    for (number, (format, of_qemu, options)) in formats.into_iter().enumerate() {
        let file = workspace.join(&format!("{number}.{format}"));
        let mut words: Vec<&dyn AsRef<OsStr>> = vec![&"convert", &"-f", &"raw", &"-O", &of_qemu];
        if !options.is_empty() {
            words.extend([&"-o" as &dyn AsRef<OsStr>, &options]);
        }
        words.extend([&image as &dyn AsRef<OsStr>, &file]);
        output("qemu-img", &words);
        let taken = repository.snapshot(&[&"--volume", &file, &"--format", &format]);
        let target = workspace.join(&format!("{number}.restored"));
        repository.restore(&taken.id, &target).expect_code(0);
        assert_same_bytes(&image, &target);
    }
}

#[test]
fn a_format_that_needs_a_missing_program_says_what_to_install() {
    let workspace = Workspace::new();
    let image = workspace.file("disk.qcow2", "QFI");
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    let nothing = workspace.folder("nothing");
    let run = |verb: &str, words: &[&dyn AsRef<OsStr>]| {
        let mut command = repository.command(verb, words);
        let run = command.env("PATH", &nothing).output();
        Outcome::of(&run.unwrap())
    };
    let read = run("snapshot", &[&"--volume", &image, &"--format", &"qcow2"]);
    read.expect_code(1)
        .expect_text("qemu-nbd")
        .expect_text("install qemu-utils");
    let file = workspace.join("exported.qcow2");
    let written = run(
        "export",
        &[&taken.id, &"--format", &"qcow2", &"--output", &file],
    );
    written
        .expect_code(1)
        .expect_text("qemu-img")
        .expect_text("install qemu-utils");
    assert!(!file.exists());
}
