//! Logical volumes in disks, made by LVM itself and read without a device mapper.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use blockstore_tests::kit::disk::HELLO;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::loops::Loop;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::tool::can_make;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::workspace::Workspace;
use serde_json::Value;

use crate::volumes::MIB;
use crate::volumes::snapshot;

const EXTENT_LEN: u64 = 4 * MIB;
/// Where extents begin in a physical volume.
const DATA_AT: u64 = MIB;
/// Where the physical volume of the first disk lies.
const PART_AT: u64 = 9 * MIB;
/// The extents of the logical volume, in its order: of the first disk, then of the second.
const EXTENTS: [(usize, u64); 6] = [(0, 2), (0, 3), (0, 6), (1, 1), (1, 2), (0, 5)];

/// Two disks with a volume group over them, and what its logical volume `root` was made of.
struct Group {
    disks: [PathBuf; 2],
    root: PathBuf,
    files: PathBuf,
}

/// The group, with `root` in pieces of both disks and `fast` in stripes; nothing where it cannot be
/// made.
fn group(workspace: &Workspace) -> Option<Group> {
    if !can_make(&["pvcreate", "vgcreate", "lvcreate", "mkfs.ext4", "sfdisk"]) {
        return None;
    }
    let files = workspace.folder("files");
    workspace.file("files/hello", HELLO);
    workspace.file("files/etc/deep/fstab", "none\n");
    workspace.file("files/long", random_bytes(7, "long", 9_000_000));
    let root = image(workspace, "root", EXTENTS.len() as u64 * EXTENT_LEN);
    output("mkfs.ext4", &[&"-q", &"-d", &files, &root]);
    let disks = [
        image(workspace, "first", 48 * MIB),
        image(workspace, "second", 32 * MIB),
    ];
    let table = "label: gpt\nsize=8M,type=L\ntype=E6D6D379-F507-44C2-A23C-238F2A3DF928\n";
    let table = workspace.file("table", table);
    let words = "sfdisk --quiet --no-reread --no-tell-kernel \"$1\" < \"$2\"";
    output("sh", &[&"-c", &words, &"sh", &disks[0], &table]);
    {
        let first = Loop::part(&disks[0], &(PART_AT..47 * MIB))?;
        let second = Loop::attach(&disks[1])?;
        make(first.path(), second.path());
    }
    let bytes = std::fs::read(&root).unwrap();
    for ((disk, extent), piece) in EXTENTS.into_iter().zip(bytes.chunks(EXTENT_LEN as usize)) {
        let start = [PART_AT, 0][disk] + DATA_AT + extent * EXTENT_LEN;
        let file = File::options().write(true).open(&disks[disk]).unwrap();
        file.write_all_at(piece, start).unwrap();
    }
    Some(Group { disks, root, files })
}

fn image(workspace: &Workspace, name: &str, len: u64) -> PathBuf {
    let path = workspace.join(name);
    let file = File::create(&path).and_then(|file| file.set_len(len));
    file.expect("the workspace can be written");
    path
}

fn make(first: &Path, second: &Path) {
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    // Nothing is looked at but these two, and nothing is kept of them.
    let config = format!(
        "devices {{ filter = [ \"a|^{first}$|\", \"a|^{second}$|\", \"r|.*|\" ] }} \
         backup {{ backup = 0 archive = 0 }} activation {{ udev_sync = 0 }}"
    );
    let lvm = |program: &str, words: &[&str]| {
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"--config", &config, &"--quiet"];
        all.extend(words.iter().map(|word| word as &dyn AsRef<_>));
        output(program, &all);
    };
    lvm("pvcreate", &[first, second]);
    lvm("vgcreate", &["-s", "4M", "vg0", first, second]);
    // Whatever is not to be activated needs no device mapper.
    let asleep = ["--driverloaded", "n", "-an", "-Zn", "-Wn"];
    let volume = |words: &[&str]| lvm("lvcreate", &[&asleep, words].concat());
    let mut pieces = vec![format!("{first}:2-3:6-6"), format!("{second}:1-2")];
    pieces.push(format!("{first}:5-5"));
    let grow = |piece: &str, count: &str| {
        lvm(
            "lvextend",
            &["--driverloaded", "n", "-l", count, "vg0/root", piece],
        );
    };
    volume(&["-n", "root", "-l", "3", "vg0", &pieces[0]]);
    grow(&pieces[1], "+2");
    grow(&pieces[2], "+1");
    volume(&["-n", "fast", "-l", "2", "-i", "2", "vg0"]);
}

/// A snapshot of both disks.
fn machine(repository: &TestRepository, group: &Group) -> Taken {
    let [first, second] = &group.disks;
    let disk0 = format!("disk0={}", first.display());
    let disk1 = format!("disk1={}", second.display());
    repository.snapshot(&[&"--machine", &"web", &disk0, &disk1])
}

#[test]
fn i3_files_of_a_logical_volume_over_two_disks_are_read_found_and_restored() {
    let workspace = Workspace::new();
    let Some(group) = group(&workspace) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = machine(&repository, &group);
    for member in ["disk0/p2", "disk1"] {
        let at = |path: &str| taken.below(format!("{member}/vg0/root{path}"));
        let cat = repository.run("cat", &[&at("/hello")]).expect_code(0);
        assert_eq!(cat.stdout, HELLO, "{member}");
        let target = workspace.join(&member.replace('/', "-"));
        repository.restore(&at("/"), &target).expect_code(0);
        for name in ["hello", "long", "etc/deep/fstab"] {
            let [found, expected] = [&target, &group.files].map(|top| top.join(name));
            assert!(std::fs::read(found).unwrap() == std::fs::read(expected).unwrap());
        }
        let bytes = workspace.join("bytes");
        let mut cat = repository.command("cat", &[&at("")]);
        let status = cat.stdout(File::create(&bytes).unwrap()).status();
        assert!(status.unwrap().success());
        assert_same_bytes(&group.root, &bytes);
    }
    let found = repository.run("find", &[&"fstab"]).expect_code(0);
    assert_eq!(found.stdout.lines().count(), 2, "{}", found.stdout);
    assert!(found.mentions("disk0/p2/vg0/root/etc/deep/fstab"));
}

#[test]
fn logical_volumes_are_listed_with_their_disks_and_what_is_not_linear_is_named() {
    let workspace = Workspace::new();
    let Some(group) = group(&workspace) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let taken = machine(&repository, &group);
    let ls = |path: &str| repository.run("ls", &[&taken.below(path)]);
    for path in ["disk0", "disk0/p2", "disk0/p2/", "disk0/p2/vg0"] {
        let listed = ls(path).expect_code(0);
        assert!(listed.mentions("disk0/p2/vg0/root"), "{}", listed.stdout);
        assert!(listed.mentions("disk0/p2/vg0/fast"), "{}", listed.stdout);
    }
    let json = repository.run("ls", &[&taken.below("disk1/vg0/root"), &"--json"]);
    let json = json.expect_code(0).stdout;
    let line: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(line["path"], "disk1/vg0/root");
    assert_eq!(line["size"], EXTENTS.len() as u64 * EXTENT_LEN);
    assert_eq!(line["file_system"]["type"], "ext4");
    for (path, told) in [
        (
            "disk1/vg0/fast/",
            "is not readable here: volume of 2 stripes",
        ),
        (
            "disk1/vg0/none/",
            "is not there: there is vg0/root, vg0/fast",
        ),
        ("disk1/vg1/root/", "is not there: there is vg0/root"),
        ("disk1/vg1", "is not there: there is vg0/root"),
        (
            "disk0/p2/vg0/root/none",
            "disk0/p2/vg0/root/none: is not there",
        ),
    ] {
        ls(path).expect_code(1).expect_text(told);
    }
    let alone = snapshot(&repository, &group.disks[1]);
    let location = alone.below("disk0/vg0/root/hello");
    let missing = "lies on the physical volume pv0 (";
    let cat = repository.run("cat", &[&location]);
    cat.expect_code(1).expect_text(missing);
}
