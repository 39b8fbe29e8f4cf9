//! What is shown of volumes is what they hold: maps, differences, bytes.
//!
//! Defends I3 (no read returns wrong bytes) and I4 (what `diff` prints is enough to take the next
//! snapshot by).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// 16 MiB: text in the second and the last, else a hole.
fn image(path: &Path) -> File {
    let file = File::create(path).unwrap();
    file.set_len(16 * MIB).unwrap();
    for at in [MIB, 15 * MIB] {
        let text: String = (0..MIB / 8).map(|n| format!("{:08x}", n * at)).collect();
        file.write_all_at(&text.as_bytes()[..MIB as usize], at)
            .unwrap();
    }
    file
}

fn array(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn i3_i4_what_is_shown_of_a_volume_is_what_it_holds_and_a_list_of_changes_is_enough() {
    let workspace = Workspace::new();
    let repository = TestRepository::init(&workspace);
    let path = workspace.join("disk.img");
    let file = image(&path);
    let first = repository.snapshot(&[&"--volume", &path]);
    file.write_all_at(b"changed", 15 * MIB + 70_000).unwrap();
    let second = repository.snapshot(&[&"--volume", &path, &"--full"]);

    let cat = repository
        .run("cat", &[&second.below("disk0")])
        .expect_code(0);
    assert!(cat.stdout.as_bytes() == std::fs::read(&path).unwrap());

    let map = array(&repository.run("map", &[&second.id]).expect_code(0).stdout);
    let mut at = 0;
    for entry in &map {
        assert_eq!(entry["start"].as_u64(), Some(at));
        at += entry["length"].as_u64().unwrap();
        let is_zero = entry["zero"].as_bool().unwrap();
        assert_ne!(entry["data"].as_bool().unwrap(), is_zero);
    }
    assert_eq!(at, 16 * MIB);
    assert!(map.len() >= 4, "{map:?}");

    let diff = repository
        .run("diff", &[&first.id, &second.id])
        .expect_code(0);
    let ranges = array(&diff.stdout);
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    let (start, len) = (&ranges[0]["offset"], &ranges[0]["length"]);
    let (start, len) = (start.as_u64().unwrap(), len.as_u64().unwrap());
    assert!((start..start + len).contains(&(15 * MIB + 70_000)) && len <= MIB);

    let list = workspace.join("list.json");
    std::fs::write(&list, &diff.stdout).unwrap();
    let words: [&dyn AsRef<std::ffi::OsStr>; 6] = [
        &"--volume",
        &path,
        &"--parent",
        &first.id,
        &"--changed-ranges",
        &list,
    ];
    assert_eq!(repository.snapshot(&words).root, second.root);

    let listed = repository.run("ls", &[&second.id]).expect_code(0);
    listed
        .expect_text(r#""path":"disk0""#)
        .expect_text("disk.img");
    repository
        .run("cat", &[&second.below("disk0/p1")])
        .expect_code(1)
        .expect_text("holds no file system");
    repository
        .run("map", &[&second.below("/etc")])
        .expect_code(2);
}
