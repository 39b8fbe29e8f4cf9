//! Files in volumes, by the command line, compared with what the kernel's own mount shows.

use blockstore_tests::kit::compare::Comparer;
use blockstore_tests::kit::disk::EXT4;
use blockstore_tests::kit::disk::HELLO;
use blockstore_tests::kit::disk::disk;
use blockstore_tests::kit::disk::fill;
use blockstore_tests::kit::disk::fill_folder;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::mount::FileSystem;
use blockstore_tests::kit::mount::Mounted;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::can_make;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::workspace::Workspace;

use crate::volumes::MIB;
use crate::volumes::snapshot;

#[test]
fn i3_files_of_four_file_systems_are_read_found_and_restored_without_a_mount() {
    let workspace = Workspace::new();
    let Some(image) = disk(&workspace, "disk.raw") else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    for partition in ["p1", "p2", "p3", "p4"] {
        let hello = taken.below(format!("disk0/{partition}/hello"));
        let cat = repository.run("cat", &[&hello]).expect_code(0);
        assert_eq!(cat.stdout, HELLO, "{partition}");
    }
    let shared = random_bytes(1, "shared", 8 << 20);
    for partition in ["p2", "p3", "p4"] {
        let target = workspace.join(partition);
        let location = taken.below(format!("disk0/{partition}/shared"));
        repository.restore(&location, &target).expect_code(0);
        assert!(
            std::fs::read(target.join("shared")).unwrap() == shared,
            "{partition}"
        );
    }
    let listed = repository
        .run("ls", &[&taken.below("disk0/p2/")])
        .expect_code(0);
    for name in ["disk0/p2/hello", "disk0/p2/own", "disk0/p2/lost+found"] {
        assert!(listed.mentions(name), "{}", listed.stdout);
    }
    let found = repository.run("find", &[&"hello"]).expect_code(0);
    assert_eq!(
        found.stdout.lines().count(),
        5,
        "four and a summary: {}",
        found.stdout
    );
    let none = repository.run("cat", &[&taken.below("disk0/p2/none")]);
    none.expect_code(1)
        .expect_text("disk0/p2/none: is not there");
    let none = repository.run("cat", &[&taken.below("disk0/p9/none")]);
    none.expect_code(1).expect_text("p1, p2, p3, p4");
}

#[test]
fn i1_a_partition_restored_or_imported_is_what_a_mount_of_it_shows() {
    let workspace = Workspace::new();
    let Some(image) = disk(&workspace, "disk.raw") else {
        return;
    };
    fill(&workspace, &image);
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    let target = workspace.join("restored");
    repository
        .restore(&taken.below("disk0/p2/"), &target)
        .expect_code(0);
    let imported = repository.run("import", &[&taken.below("disk0/p2"), &"--tag", &"files"]);
    let imported = Taken::of(&imported.expect_code(0));
    assert_eq!(imported.json["roots"][0]["path"], "/disk0/p2");
    assert_eq!(imported.json["host"], taken.json["host"]);
    let (bytes, new) = (imported.number("bytes"), imported.number("new_bytes"));
    assert!(
        bytes > 8 * MIB && new < bytes / 20,
        "{new} of {bytes} bytes are new"
    );
    let of_import = workspace.join("imported");
    repository.restore(&imported.id, &of_import).expect_code(0);
    let Some(device) = Loop::part(&image, &EXT4) else {
        return;
    };
    let Some(mounted) = Mounted::device(&workspace, "mounted", device.path()) else {
        return;
    };
    // Where zeros are holes depends on who wrote them.
    let comparer = Comparer::default().without_hole_maps();
    comparer.assert_equal(mounted.path(), &target);
    comparer.assert_equal(mounted.path(), &of_import);
}

#[test]
fn i3_what_only_the_journal_has_is_read_from_there() {
    if !can_make(&["mkfs.ext4", "debugfs"]) {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.join("live.raw");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(64 * MIB).unwrap();
    output("mkfs.ext4", &[&"-q", &image]);
    let copy = workspace.join("copy.raw");
    {
        let Some(device) = Loop::attach(&image) else {
            return;
        };
        let Some(mounted) = Mounted::device(&workspace, "mounted", device.path()) else {
            return;
        };
        std::fs::create_dir(mounted.path().join("folder")).unwrap();
        let path = mounted.path().join("folder/flushed");
        std::fs::write(&path, random_bytes(4, "flushed", 200_000)).unwrap();
        std::fs::File::open(&path).unwrap().sync_all().unwrap();
        output("cp", &[&image, &copy]);
        mounted.unmount();
    }
    let features = output("debugfs", &[&"-R", &"features", &copy]);
    assert!(features.contains("needs_recovery"), "{features}");
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &copy);
    let target = workspace.join("restored");
    let location = taken.below("disk0/folder/flushed");
    repository.restore(&location, &target).expect_code(0);
    let restored = std::fs::read(target.join("flushed")).unwrap();
    assert!(restored == random_bytes(4, "flushed", 200_000));
}

#[test]
fn i3_what_only_the_log_of_an_xfs_has_is_read_from_there() {
    let workspace = Workspace::new();
    let Some(live) = Mounted::new(&workspace, "live", FileSystem::XFS) else {
        return;
    };
    fill_folder(live.path());
    output("sync", &[&"-f", &live.path()]);
    let copy = workspace.join("copy.raw");
    output("cp", &[&workspace.join("live.xfs"), &copy]);
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &copy);
    let target = workspace.join("restored");
    let restored = repository.restore(&taken.below("disk0/"), &target);
    restored.expect_code(0);
    let comparer = Comparer::default().without_hole_maps();
    comparer.assert_equal(live.path(), &target);
}

#[test]
fn i10_versions_of_a_path_are_its_contents_over_all_snapshots() {
    let workspace = Workspace::new();
    let repository = TestRepository::init(&workspace);
    let folder = workspace.folder("data");
    for content in ["one", "two", "two", "one"] {
        workspace.file("data/file.conf", content);
        repository.snapshot(&[&folder]);
    }
    let path = folder.join("file.conf");
    let versions = repository
        .run("versions", &[&path, &"--json"])
        .expect_code(0);
    let versions = versions.json()["versions"].clone();
    let counts = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["snapshots"].as_u64());
    assert!(counts.eq([Some(2), Some(2)]), "{versions}");
    let found = repository.run("find", &[&"*.conf"]).expect_code(0);
    assert_eq!(
        found.stdout.lines().count(),
        5,
        "four and a summary: {}",
        found.stdout
    );
    let found = repository
        .run("find", &[&"*.conf", &"latest"])
        .expect_code(0);
    assert!(found.mentions("data/file.conf\","), "{}", found.stdout);
    assert_eq!(found.stdout.lines().count(), 2, "{}", found.stdout);
}
