//! One store for both worlds: what is stored as files is not stored again as an image, nor the
//! other way round; and what rots is named, and healed by the next snapshot.
//!
//! Defends I2 (no operation on one snapshot endangers another) and I3 (what is damaged is told).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::rights::skipped;
use blockstore_tests::kit::workspace::Workspace;

/// Of the second way's own data, in percent, that may be new.
const NEW_PERCENT_MAX: u64 = 12;
const FILES: u64 = 600;

/// A folder of files and an image of a file system that holds them.
struct Scene {
    workspace: Workspace,
    files: PathBuf,
    image: PathBuf,
}

impl Scene {
    /// Sizes as on a system disk: half of the files below 32 KiB, a few of some hundred.
    fn new() -> Option<Self> {
        let workspace = Workspace::new();
        for number in 0..FILES {
            let spread = number * number * number % 1_000;
            let len = 500 + spread * spread * 400 / 1_000;
            let content = random_bytes(number, "file", len as usize);
            workspace.file(&format!("files/{}/{number}", number % 20), content);
        }
        let (files, image) = (workspace.join("files"), workspace.join("disk.img"));
        let file = File::create_new(&image).expect("an image");
        file.set_len(200 << 20).expect("room for it");
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-F", "-b", "4096", "-d"])
            .args([&files, &image])
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            skipped("files within an image", "mkfs.ext4 cannot make one");
            return None;
        }
        Some(Self {
            workspace,
            files,
            image,
        })
    }

    /// New bytes of the first and of the second, each in a repository that has them alone.
    fn new_bytes(&self, image_first: bool, more: &[&str]) -> (u64, u64) {
        let name = format!("repository-{image_first}-{}", more.len());
        let repository = TestRepository::init_at(&self.workspace.join(&name));
        let mut words: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--volume", &self.image];
        words.extend(more.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        let of_image = || repository.snapshot(&words).number("new_bytes");
        let of_files = || repository.snapshot(&[&self.files]).number("new_bytes");
        if image_first {
            let first = of_image();
            (first, of_files())
        } else {
            let first = of_files();
            (first, of_image())
        }
    }
}

#[test]
fn what_is_stored_as_files_is_not_stored_again_as_an_image_nor_the_other_way_round() {
    let Some(scene) = Scene::new() else { return };
    let (files, image_second) = scene.new_bytes(false, &[]);
    let (image, files_second) = scene.new_bytes(true, &[]);
    let percent = |part: u64, whole: u64| part * 100 / whole;
    assert!(
        percent(image_second, image) <= NEW_PERCENT_MAX,
        "{image_second} of {image} are new"
    );
    assert!(
        percent(files_second, files) <= NEW_PERCENT_MAX,
        "{files_second} of {files} are new"
    );
    let (_, without_hints) = scene.new_bytes(false, &["--no-hints"]);
    assert!(
        image_second < without_hints / 3,
        "{without_hints} without hints"
    );
}

#[test]
fn i3_a_byte_that_rots_is_named_and_the_next_snapshot_heals_it() {
    let Some(scene) = Scene::new() else { return };
    let repository = TestRepository::init(&scene.workspace);
    let folder = repository.snapshot(&[&scene.files]);
    let volume = repository.snapshot(&[&"--volume", &scene.image]);
    flip_byte_of_a_data_pack(&repository);
    let found = repository.run("check", &[&"--read-data"]).expect_code(4);
    for id in [&folder.id, &volume.id] {
        assert!(found.stdout.contains(id.as_str()), "{}", found.stdout);
    }
    let target = scene.workspace.join("damaged");
    repository.restore(&volume.id, &target).expect_code(3);
    let healed = repository.snapshot(&[&"--volume", &scene.image]);
    assert!(healed.number("new_chunks") > 0);
    assert_eq!(healed.root, volume.root);
    // What the image has otherwise than the files, as the ends of files.
    repository.snapshot(&[&scene.files]);
    let target = scene.workspace.join("disk");
    repository.restore(&volume.id, &target).expect_code(0);
    assert_same(&scene.image, &target);
    let target = scene.workspace.join("tree");
    repository.restore(&folder.id, &target).expect_code(0);
    let differ = Command::new("diff")
        .arg("-r")
        .arg(&scene.files)
        .arg(&target)
        .status();
    assert!(differ.is_ok_and(|status| status.success()));
}

#[test]
fn i3_an_unchanged_folder_is_healed_too_once_a_check_has_named_what_is_damaged() {
    let Some(scene) = Scene::new() else { return };
    let repository = TestRepository::init(&scene.workspace);
    let folder = repository.snapshot(&[&scene.files]);
    flip_byte_of_a_data_pack(&repository);
    repository.run("check", &[&"--read-data"]).expect_code(4);
    let healed = repository.snapshot(&[&scene.files]);
    assert_eq!(healed.root, folder.root);
    let (new, read) = (healed.number("new_chunks"), healed.number("read_bytes"));
    assert!(
        new > 0 && read < folder.number("read_bytes") / 4,
        "{read} read"
    );
    let target = scene.workspace.join("tree");
    repository.restore(&folder.id, &target).expect_code(0);
}

/// In the middle of the longest data pack, where frames are.
fn flip_byte_of_a_data_pack(repository: &TestRepository) {
    let packs = repository.packs().into_iter();
    let data = packs.filter(|(path, _)| path.extension().is_some_and(|kind| kind == "data"));
    let (path, len) = data.max_by_key(|(_, len)| *len).expect("a data pack");
    let file = File::options().read(true).write(true).open(path);
    let file = file.expect("the pack");
    let mut byte = [0];
    file.read_exact_at(&mut byte, len / 2).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], len / 2).expect("another");
}

fn assert_same(left: &Path, right: &Path) {
    let same = Command::new("cmp").arg(left).arg(right).status();
    assert!(same.is_ok_and(|status| status.success()), "they differ");
}
