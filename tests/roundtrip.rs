//! What goes in comes out: whole trees, parts of them, and again the same root id.
//!
//! Defends I1 (restores bit for bit), I4 (fast and full way agree) and I12 (the independent decoder
//! agrees).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::fs::FileTimes;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use blockstore_tests::kit::cli;
use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::generate::generate;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::PASSWORD;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::skipped;
use blockstore_tests::kit::workspace::Workspace;
use blockstore_tests::kit::workspace::let_times_pass;

fn generated(workspace: &Workspace, seed: u64) -> PathBuf {
    let source = workspace.folder("source");
    let missing = generate(&source, seed).expect("the workspace can be written");
    missing
        .iter()
        .for_each(|what| skipped("a part of the tree", what));
    let_times_pass();
    source
}

/// Where an absolute path lies below a target.
fn below(target: &Path, absolute: &Path) -> PathBuf {
    target.join(absolute.strip_prefix("/").expect("the path is absolute"))
}

#[test]
fn i1_every_kind_of_object_is_restored_exactly_and_has_the_same_root_id_again() {
    let workspace = Workspace::new();
    let source = generated(&workspace, 1);
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);

    let target = workspace.join("target");
    let restored = repository.run("restore", &[&taken.id, &"--target", &target, &"--verify"]);
    restored.expect_code(0);
    Comparer::default().assert_equal(&source, &target);
    let again = repository.snapshot(&[&target]);
    assert_eq!(
        again.root, taken.root,
        "the restored tree has the root id of its source"
    );
    repository.run("check", &[&"--read-data"]).expect_code(0);
}

#[test]
fn i4_an_unchanged_tree_is_not_read_again_and_nothing_is_stored_for_it() {
    let workspace = Workspace::new();
    let source = generated(&workspace, 2);
    // A time in the future proves nothing, so such files are read each time.
    std::fs::remove_dir_all(source.join("times")).unwrap();
    let_times_pass();
    let repository = TestRepository::init(&workspace);
    let first = repository.snapshot(&[&source]);
    let packs = repository.packs();

    let second = repository.snapshot(&[&source]);
    assert_eq!(second.number("read_bytes"), 0);
    assert_eq!(second.root, first.root);
    assert_eq!(repository.packs(), packs, "no pack is new");
    let full = repository.snapshot(&[&"--full", &source]);
    assert!(full.number("read_bytes") > 0);
    assert_eq!(
        full.root, first.root,
        "the full way finds what the fast way found"
    );
    assert_eq!(full.number("new_bytes"), 0);
}

#[test]
fn i4_a_change_that_keeps_length_and_mtime_is_not_overlooked() {
    let workspace = Workspace::new();
    let path = workspace.file("source/file", "before");
    let source = workspace.join("source");
    let repository = TestRepository::init(&workspace);
    let_times_pass();
    let first = repository.snapshot(&[&source]);

    let mtime = path.metadata().unwrap().modified().unwrap();
    std::fs::write(&path, "after!").unwrap();
    let times = FileTimes::new().set_modified(mtime);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_times(times)
        .unwrap();
    let second = repository.snapshot(&[&source]);
    assert_ne!(second.root, first.root);
    for (taken, content) in [(&first, "before"), (&second, "after!")] {
        let target = workspace.join(content);
        repository.restore(&taken.id, &target).expect_code(0);
        assert_eq!(
            std::fs::read_to_string(target.join("file")).unwrap(),
            content
        );
    }
}

#[test]
fn i4_a_write_right_after_a_snapshot_is_not_overlooked() {
    let workspace = Workspace::new();
    let path = workspace.file("source/file", "0");
    let source = workspace.join("source");
    let repository = TestRepository::init(&workspace);
    // No waiting: within one tick of the kernel's clock all times are equal.
    let mut last = repository.snapshot(&[&source]);
    for content in ["1", "2", "3"] {
        std::fs::write(&path, content).unwrap();
        let next = repository.snapshot(&[&source]);
        assert_ne!(next.root, last.root, "{content}");
        last = next;
    }
}

#[test]
fn i1_a_part_of_a_snapshot_is_restored_alone() {
    let workspace = Workspace::new();
    let source = generated(&workspace, 3);
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);
    let parts = [
        "hard links/below",
        "holes",
        "xattrs",
        "names/of folders",
        "empty folder",
    ];
    for (number, part) in parts.into_iter().enumerate() {
        let target = workspace.join(&format!("folder {number}"));
        repository
            .restore(&taken.below(part), &target)
            .expect_code(0);
        Comparer::default().assert_equal(&source.join(part), &target);
        let target = workspace.join(&format!("absolute {number}"));
        let location = taken.below(source.join(part));
        repository.restore(&location, &target).expect_code(0);
        Comparer::default().assert_equal(&source.join(part), &target);
    }
    for part in ["kinds/text", "symlinks/4095 bytes", "nodes/pipe"] {
        let target = workspace.folder("files");
        repository
            .restore(&taken.below(part), &target)
            .expect_code(0);
        let name = Path::new(part).file_name().unwrap();
        Comparer::default().assert_equal(&source.join(part), &target.join(name));
        std::fs::remove_dir_all(&target).unwrap();
    }
    let nothing = repository.restore(&taken.below("no such path"), &workspace.join("nothing"));
    nothing.expect_code(1).expect_text("no such path");
}

#[test]
fn i1_several_roots_of_one_snapshot_are_restored_under_their_paths() {
    let workspace = Workspace::new();
    workspace.file("one/file", "1");
    workspace.file("two/below/file", "2");
    let single = workspace.file("three", "3");
    let (one, two) = (workspace.join("one"), workspace.join("two"));
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&one, &two, &single]);
    assert_eq!(taken.json["roots"].as_array().map(Vec::len), Some(3));

    let target = workspace.join("target");
    repository.restore(&taken.id, &target).expect_code(0);
    for path in [&one, &two, &single] {
        Comparer::default().assert_equal(path, &below(&target, path));
    }
    let alone = workspace.join("alone");
    repository
        .restore(&taken.below(&two), &alone)
        .expect_code(0);
    Comparer::default().assert_equal(&two, &alone);
}

#[test]
fn i1_a_single_file_is_a_root_of_its_own() {
    let workspace = Workspace::new();
    let file = workspace.file("some file", random_bytes(4, "single", 700_000));
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&file]);
    let target = workspace.join("target");
    repository.restore(&taken.id, &target).expect_code(0);
    Comparer::default().assert_equal(&file, &target.join("some file"));
    let printed = repository
        .command("cat", &[&taken.below(&file)])
        .output()
        .unwrap();
    assert!(
        printed.stdout == std::fs::read(&file).unwrap(),
        "cat prints the same bytes"
    );
}

#[test]
fn i4_one_thread_and_four_find_the_same_root_in_trees_and_in_one_large_file() {
    let workspace = Workspace::new();
    let tree = generated(&workspace, 5);
    let large = workspace.file("large", random_bytes(5, "large", 64 << 20));
    let repository = TestRepository::init(&workspace);
    for source in [&tree, &large] {
        let one = repository.snapshot(&[&"--full", &"--threads", &"1", source]);
        let four = repository.snapshot(&[&"--full", &"--threads", &"4", source]);
        assert!(four.number("read_bytes") > 0, "it was read again");
        assert_eq!(one.root, four.root, "{source:?}");
        assert_eq!(four.number("new_bytes"), 0, "the same chunks were cut");
    }
}

#[test]
fn i1_a_file_that_was_inserted_into_restores_and_stores_little() {
    let workspace = Workspace::new();
    let mut bytes = random_bytes(6, "inserted into", 8 << 20);
    let file = workspace.file("source/file", &bytes);
    let source = workspace.join("source");
    let repository = TestRepository::init(&workspace);
    let first = repository.snapshot(&[&source]);
    bytes.splice(3_000_000..3_000_000, *b"inserted");
    std::fs::write(&file, &bytes).unwrap();

    let second = repository.snapshot(&[&source]);
    let new_bytes = second.number("new_bytes");
    assert!(
        new_bytes < 1 << 20,
        "{new_bytes} new bytes for 8 inserted ones"
    );
    let target = workspace.join("target");
    repository.restore(&second.id, &target).expect_code(0);
    Comparer::default().assert_equal(&source, &target);
    let before = workspace.join("before");
    repository.restore(&first.id, &before).expect_code(0);
    bytes.drain(3_000_000..3_000_008);
    assert_eq!(std::fs::read(before.join("file")).unwrap(), bytes);
}

#[test]
fn i12_the_independent_decoder_restores_the_same_tree() {
    let workspace = Workspace::new();
    let source = generated(&workspace, 7);
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);
    let target = workspace.join("decoded");
    let output = Command::new(cli::decoder())
        .args([
            repository.path().as_os_str(),
            taken.id.as_ref(),
            target.as_os_str(),
        ])
        .env("BLOCKSTORE_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    Outcome::of(&output).expect_code(0);
    Comparer::default()
        .without_hole_maps()
        .assert_equal(&source, &target);
}

#[test]
fn i10_names_that_are_not_text_are_listed_so_that_they_can_be_told_apart() {
    let workspace = Workspace::new();
    let source = workspace.folder("source");
    for name in [b"\xff", b"\xfe"] {
        std::fs::write(source.join(OsStr::from_bytes(name)), "x").unwrap();
    }
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&source]);
    let listed = repository
        .run("ls", &[&taken.id, &"--recursive"])
        .expect_code(0);
    let lines = listed
        .stdout
        .lines()
        .map(|line| line.parse::<Value>().unwrap());
    let exact = lines.filter_map(|line| line["path_hex"].as_str().map(str::to_owned));
    let endings = exact
        .map(|hex| hex[hex.len() - 2..].to_owned())
        .collect::<BTreeSet<_>>();
    assert_eq!(Vec::from_iter(endings), ["fe", "ff"], "{}", listed.stdout);
}
