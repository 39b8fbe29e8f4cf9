//! Volumes by lists of changes: whatever happened between, the result is that of a full scan.
//!
//! Defends I4 (the fast way and the full way give the same root) and I5 (no data pack is opened).

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::skipped;
use blockstore_tests::kit::workspace::Workspace;
use rustix::fs::FallocateFlags;
use rustix::fs::fallocate;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Rounds of changes; the seed of a round is its number.
const ROUNDS: u64 = 200;
/// Every so many rounds nothing changes.
const QUIET_ROUNDS: u64 = 16;

/// An image, what changed in it, and the repository that it goes to.
struct Scene {
    workspace: Workspace,
    repository: TestRepository,
    file: File,
    path: PathBuf,
}

/// Numbers that a seed determines.
struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(random_bytes(seed, "dice", 4096).into_iter())
    }

    fn below(&mut self, limit: u64) -> u64 {
        let number = (0..8).fold(0_u64, |number, _| {
            number << 8 | u64::from(self.0.next().expect("enough dice"))
        });
        number % limit.max(1)
    }
}

impl Scene {
    /// An image of 24 MiB, with a file system in it if it can be made.
    fn new() -> Self {
        let workspace = Workspace::new();
        let path = workspace.join("disk.img");
        let file = File::create_new(&path).expect("an image");
        file.set_len(24 * MIB).expect("room for it");
        for number in 0..40_u64 {
            let len = (number * number * 577) as usize;
            let content = random_bytes(number, "file", len);
            workspace.file(&format!("files/{number}"), content);
        }
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-F", "-b", "4096", "-d"])
            .arg(workspace.join("files"))
            .arg(&path)
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            skipped(
                "a file system within the image",
                "mkfs.ext4 cannot make one",
            );
            file.write_all_at(&random_bytes(1, "data", 9 << 20), MIB)
                .expect("data");
        }
        let repository = TestRepository::init(&workspace);
        let file = File::options().read(true).write(true).open(&path);
        Self {
            file: file.expect("the image"),
            workspace,
            repository,
            path,
        }
    }

    fn len(&self) -> u64 {
        self.file.metadata().expect("the image is there").len()
    }

    /// Does one thing to the image; gives where, in bytes.
    fn change(&self, dice: &mut Dice) -> Range<u64> {
        let len = self.len();
        let unit = [1, 512, 4 * KIB, 64 * KIB, 8 * MIB][dice.below(5) as usize];
        let start = dice.below(len) / unit * unit;
        let most = [4 * KIB, 300 * KIB, 2 * MIB][dice.below(3) as usize];
        let wanted = 1 + dice.below(most);
        let end = (start + wanted).min(len);
        let size = (end - start) as usize;
        let write = |bytes: &[u8]| self.file.write_all_at(bytes, start).expect("written");
        match dice.below(6) {
            0 => write(&random_bytes(dice.below(u64::MAX), "bytes", size)),
            1 => write(&vec![0; size]),
            2 => write(&vec![0xff; size]),
            3 => {
                let pattern = random_bytes(dice.below(9), "pattern", 4096);
                let bytes: Vec<_> = pattern.iter().copied().cycle().take(size).collect();
                write(&bytes);
            }
            4 => {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(&self.file, flags, start, end - start).expect("a hole");
            }
            _ => return self.resize(dice),
        }
        start..end
    }

    /// Makes the image longer or shorter, and writes at its new end at times.
    fn resize(&self, dice: &mut Dice) -> Range<u64> {
        let before = self.len();
        let after = (before + dice.below(4 * MIB)).saturating_sub(2 * MIB);
        let after = after.clamp(MIB, 40 * MIB) / 512 * 512;
        self.file.set_len(after).expect("another length");
        before.min(after)..after
    }

    /// The list as `nbdinfo --map=qemu:dirty-bitmap:NAME --json` writes it.
    fn list(&self, changes: &[Range<u64>]) -> PathBuf {
        let len = self.len();
        let entries = changes.iter().filter_map(|range| {
            let end = range.end.min(len);
            let length = end.checked_sub(range.start).filter(|&length| length > 0)?;
            Some(serde_json::json!({
                "offset": range.start, "length": length, "type": 1, "description": "dirty",
            }))
        });
        let list = serde_json::Value::from(entries.collect::<Vec<_>>());
        self.workspace.file("changes.json", list.to_string())
    }

    fn by_list(&self, changes: &[Range<u64>]) -> Taken {
        let list = self.list(changes);
        self.repository
            .snapshot(&[&"--volume", &self.path, &"--changed-ranges", &list])
    }

    fn in_full(&self) -> Taken {
        self.repository
            .snapshot(&[&"--volume", &self.path, &"--full"])
    }
}

#[test]
fn i4_two_hundred_rounds_of_changes_have_the_root_of_a_full_scan() {
    let scene = Scene::new();
    scene.in_full();
    for round in 0..ROUNDS {
        let mut dice = Dice::new(round);
        let count = match round % QUIET_ROUNDS {
            0 => 0,
            _ => 1 + dice.below(6),
        };
        let changes: Vec<_> = (0..count).map(|_| scene.change(&mut dice)).collect();
        let fast = scene.by_list(&changes);
        assert_eq!(fast.json["tracking"], "changed_ranges", "round {round}");
        if count == 0 {
            assert_eq!(fast.number("read_bytes"), 0, "round {round}");
            assert_eq!(fast.number("new_chunks"), 0, "round {round}");
        }
        let slow = scene.in_full();
        assert_eq!(fast.root, slow.root, "round {round}: {changes:?}");
        assert_eq!(slow.number("new_chunks"), 0, "round {round}");
    }
    let target = scene.workspace.join("restored");
    scene.repository.restore(&"latest", &target).expect_code(0);
    assert_same(&scene.path, &target);
}

#[test]
fn i4_an_empty_list_keeps_no_cuts_that_a_full_scan_would_not_make() {
    let scene = Scene::new();
    let without: [&dyn AsRef<std::ffi::OsStr>; 4] =
        [&"--volume", &scene.path, &"--full", &"--no-hints"];
    let plain = scene.repository.snapshot(&without);
    let by_list = scene.by_list(&[]);
    let full = scene.in_full();
    assert_eq!(by_list.root, full.root);
    let list = scene.list(&[]);
    let back = scene.repository.snapshot(&[
        &"--volume",
        &scene.path,
        &"--no-hints",
        &"--changed-ranges",
        &list,
    ]);
    assert_eq!(back.root, plain.root);
}

#[test]
fn i5_changes_are_taken_in_while_the_contents_of_all_data_packs_are_away() {
    let scene = Scene::new();
    let first = scene.in_full();
    let away = hide_data_packs(&scene);
    let place = 5 * MIB..5 * MIB + 100;
    scene
        .file
        .write_all_at(&random_bytes(3, "new", 100), place.start)
        .expect("written");
    let fast = scene.by_list(std::slice::from_ref(&place));
    assert!(fast.number("read_bytes") < 2 * MIB, "{}", fast.json);
    let unchanged = scene.by_list(&[]);
    assert_eq!(unchanged.number("read_bytes"), 0);
    assert_eq!(unchanged.root, fast.root);
    assert_ne!(first.root, fast.root);
    for (path, bytes) in away {
        std::fs::write(path, bytes).expect("the pack is back");
    }
    assert_eq!(scene.in_full().root, fast.root);
    let target = scene.workspace.join("restored");
    scene.repository.restore(&fast.id, &target).expect_code(0);
    assert_same(&scene.path, &target);
    scene
        .repository
        .run("check", &[&"--read-data"])
        .expect_code(0);
}

#[test]
fn i1_what_data_packs_are_gone_for_good_is_stored_again_from_the_source() {
    let scene = Scene::new();
    let first = scene.in_full();
    for (path, _) in hide_data_packs(&scene) {
        std::fs::remove_file(path).expect("the pack is removed");
    }
    let healed = scene.by_list(&[]);
    assert_eq!(healed.root, first.root);
    assert!(healed.number("new_chunks") > 0);
    let target = scene.workspace.join("restored");
    scene.repository.restore(&first.id, &target).expect_code(0);
    assert_same(&scene.path, &target);
}

/// Puts a file of the same length without content in the place of every data pack; gives what was
/// in them.
fn hide_data_packs(scene: &Scene) -> Vec<(PathBuf, Vec<u8>)> {
    let packs = scene.repository.packs().into_keys();
    let data = packs.filter(|path| path.extension().is_some_and(|kind| kind == "data"));
    let away: Vec<_> = data
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a pack");
            std::fs::remove_file(&path).expect("the pack is removed");
            let empty = File::create_new(&path).expect("a file in its place");
            empty.set_len(bytes.len() as u64).expect("as long");
            (path, bytes)
        })
        .collect();
    assert!(!away.is_empty());
    away
}

fn assert_same(left: &Path, right: &Path) {
    let same = Command::new("cmp").arg(left).arg(right).status();
    assert!(same.is_ok_and(|status| status.success()), "they differ");
}
