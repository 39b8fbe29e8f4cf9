//! Large sparse volumes: the cost is that of their data, whatever their length.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::process::peak_memory_kib;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::skipped;
use blockstore_tests::kit::workspace::Workspace;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
/// What `--memory` grants by default, and what the program itself takes.
const MEMORY_KIB_MAX: u64 = (256 + 24) * KIB;

/// A sparse file; nothing where the file system has no room for its length.
fn sparse(path: &Path, len: u64) -> Option<File> {
    let file = File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(path)
        .expect("the workspace can be written");
    match file.set_len(len) {
        Ok(()) => Some(file),
        Err(error) => {
            skipped("a sparse file", format!("{len} bytes: {error}"));
            None
        }
    }
}

/// Runs to its end; gives what came of it, and the most memory that it held, KiB.
fn watched(mut child: Child) -> (Outcome, u64) {
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        peak = peak_memory_kib(child.id()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("it ended");
    (Outcome::of(&output), peak)
}

#[test]
fn a_tebibyte_with_a_gibibyte_of_data_costs_a_gibibyte() {
    let workspace = Workspace::new();
    let path = workspace.join("disk.img");
    let Some(file) = sparse(&path, TIB) else {
        return;
    };
    // The same 32 MiB again and again: what is measured is reading, not storing.
    let block = random_bytes(1, "block", 32 << 20);
    for number in 0..32 {
        let at = number * 31 * GIB + number * 64 * KIB;
        file.write_all_at(&block, at).expect("written");
    }
    let repository = TestRepository::init(&workspace);
    let mut command = repository.command("snapshot", &[&"--volume", &path]);
    let (outcome, peak) = watched(command.spawn().expect("it runs"));
    let first = Taken::of(&outcome.expect_code(0));
    let read = first.number("read_bytes");
    assert!((GIB..GIB + GIB / 20).contains(&read), "{read} bytes read");
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB of memory");

    file.write_all_at(&random_bytes(2, "change", 4096), 500 * GIB)
        .expect("written");
    let entry = r#"[{"start": 536870912000, "length": 4096, "depth": 0, "present": true}]"#;
    let list = workspace.file("changes.json", entry);
    let words: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"--volume", &path, &"--changed-ranges", &list];
    let second = repository.snapshot(&words);
    assert!(second.number("read_bytes") < MIB, "{}", second.json);
    assert!(second.number("stored_bytes") < MIB, "{}", second.json);
    let full = repository.snapshot(&[&"--volume", &path, &"--full"]);
    assert_eq!(second.root, full.root);
}

#[test]
fn sixteen_tebibytes_of_holes_are_taken_and_opened_at_any_offset() {
    let workspace = Workspace::new();
    let path = workspace.join("disk.img");
    // The longest file of an ext4 with blocks of 4 KiB.
    let len = 16 * TIB - 4096;
    let Some(file) = sparse(&path, len) else {
        return;
    };
    for at in [0, 7 * TIB + 123, len - 4096] {
        file.write_all_at(&random_bytes(at, "data", 4096), at)
            .expect("written");
    }
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&"--volume", &path]);
    assert!(taken.number("read_bytes") < MIB, "{}", taken.json);
    assert_eq!(taken.number("bytes"), len);
    assert!(taken.number("stored_bytes") < MIB, "{}", taken.json);
    let target = workspace.join("restored");
    repository.restore(&taken.id, &target).expect_code(0);
    let restored = File::open(&target).expect("it is there");
    for at in [0, 7 * TIB + 123, len - 4096] {
        let mut bytes = vec![0; 4096];
        restored.read_exact_at(&mut bytes, at).expect("as long");
        assert_eq!(bytes, random_bytes(at, "data", 4096));
    }
}
