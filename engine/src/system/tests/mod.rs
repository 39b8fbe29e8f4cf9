//! What the system says, read from a made-up one.

pub(crate) mod made;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::mounts::unescape;
use super::{FileId, Mount};
use made::{MadeSystem, id};

fn mounts_of(text: &str) -> Vec<Mount> {
    let made = MadeSystem::empty();
    made.file("proc/self/mountinfo", text);
    made.system().mounts().expect("mounts")
}

fn swaps_of(text: &str) -> Vec<PathBuf> {
    let made = MadeSystem::empty();
    made.file("proc/swaps", text);
    made.system().swaps().expect("swap areas")
}

#[test]
fn mounts_are_read_with_their_escapes_and_nonsense_is_passed_over() {
    let made = MadeSystem::new();
    let mounts = made.system().mounts().expect("mounts");
    assert_eq!(mounts.len(), 6);
    assert_eq!(mounts[1].point, Path::new("/mnt/a b"));
    assert!(
        mounts[1].is_writable,
        "the mount is read-only, the file system is not"
    );
    assert!(!mounts[3].is_writable);
    assert_eq!(mounts[4].upper.as_deref(), Some(Path::new("/var/u p")));
    assert_eq!((mounts[2].number, mounts[2].device), (23, id(0, 44)));
}

#[test]
fn mounts_are_read_with_optional_fields_and_escaped_paths() {
    let mounts = mounts_of(
        "22 1 8:2 / / rw,relatime shared:1 master:2 - ext4 /dev/sda2 rw\n\
         nonsense\n\
         31 22 0:45 /sub /mnt/a\\040b\\134 rw - btrfs /dev/sdb rw\n",
    );
    assert_eq!(mounts.len(), 2);
    assert_eq!(mounts[0].device, id(8, 2));
    assert_eq!(mounts[0].source, Path::new("/dev/sda2"));
    assert_eq!(mounts[1].number, 31);
    assert_eq!(mounts[1].point, Path::new("/mnt/a b\\"));
    assert_eq!(mounts[1].source, Path::new("/dev/sdb"));
}

#[test]
fn a_broken_line_is_passed_over_and_a_broken_escape_stands_as_it_is() {
    for text in ["1 2", "1 2 8:x / /m rw - a b c", "1 2 8:1 / /m rw no dash"] {
        assert!(mounts_of(text).is_empty(), "{text}");
    }
    assert_eq!(unescape(b"a\\04"), Path::new("a\\04"));
    assert_eq!(unescape(b"a\\999b"), Path::new("a\\999b"));
    assert_eq!(unescape(b"\\"), Path::new("\\"));
}

#[test]
fn on_a_disk_its_partitions_and_their_holders_are_built() {
    let made = MadeSystem::new();
    let system = made.system();
    let all = [id(8, 0), id(8, 1), id(8, 2), id(8, 3), id(253, 0)];
    assert_eq!(system.built_on(id(8, 0)), BTreeSet::from(all));
    assert_eq!(system.built_on(id(8, 2)), BTreeSet::from([id(8, 2)]));
}

#[test]
fn a_partition_lies_on_its_disk_and_a_mapped_device_on_what_it_maps() {
    let made = MadeSystem::new();
    let system = made.system();
    assert_eq!(system.below(id(253, 0)), BTreeSet::from([id(8, 1)]));
    assert_eq!(system.below(id(8, 1)), BTreeSet::from([id(8, 0)]));
    assert!(system.below(id(8, 0)).is_empty());
    assert_eq!(system.whole_disk(id(8, 0)), None);
}

#[test]
fn partitions_and_holders_have_names() {
    let made = MadeSystem::new();
    let system = made.system();
    let partitions = [1, 2, 3].map(|minor| (format!("p{minor}"), id(8, minor)));
    assert_eq!(system.partitions(id(8, 0)), partitions);
    assert_eq!(system.holders(id(8, 1)), [("dm-0".to_owned(), id(253, 0))]);
}

#[test]
fn values_of_a_partition_are_those_of_its_disk() {
    let made = MadeSystem::new();
    let system = made.system();
    let model = Some("Best Disk [1m 2000".to_owned());
    assert_eq!(system.value(id(8, 0), "device/model"), model);
    assert_eq!(system.value(id(8, 1), "device/model"), model);
    assert_eq!(system.own_value(id(8, 1), "device/model"), None);
    assert_eq!(
        system.value(id(8, 1), "queue/rotational").as_deref(),
        Some("1")
    );
    assert_eq!(system.value(id(253, 0), "device/model"), None);
    assert_eq!(
        system.udev(id(8, 1), "ID_FS_UUID").as_deref(),
        Some("12-ab")
    );
    assert_eq!(system.udev(id(8, 1), "ID_FS"), None);
}

#[test]
fn an_image_file_is_found_from_its_device_and_its_device_from_the_file() {
    let made = MadeSystem::empty();
    let image = made.file("an \n image", "");
    let other = made.file("other", "");
    let shown = format!("{}\n", image.display());
    made.file("sys/dev/block/7:3/loop/backing_file", &shown);
    made.file("sys/block/loop3/loop/backing_file", &shown);
    made.file("sys/block/sda/dev", "8:0\n");
    let system = made.system();
    assert_eq!(system.backing_file(id(7, 3)), Some(image.clone()));
    assert_eq!(system.backing_file(id(8, 0)), None);
    let attached = |path| system.attached_as(FileId::at(path).expect("a file"));
    assert_eq!(attached(&image).as_deref(), Some("/dev/loop3"));
    assert_eq!(attached(&other), None);
}

#[test]
fn swap_areas_are_read_with_their_escapes() {
    let made = MadeSystem::new();
    let swaps = made.system().swaps().expect("swaps");
    assert_eq!(swaps, ["/swap file", "/dev/sdz9"].map(PathBuf::from));
    let empty = MadeSystem::empty();
    let nothing = empty.system();
    assert!(nothing.swaps().expect("a kernel without swap").is_empty());
    assert!(
        nothing.mounts().is_err(),
        "not knowing the mounts is not having none"
    );
}

#[test]
fn swaps_are_the_first_column() {
    let text = "Filename\tType\tSize\n/dev/sda3   partition\t1\n/swap\\040file file\t2\n";
    let paths = [PathBuf::from("/dev/sda3"), PathBuf::from("/swap file")];
    assert_eq!(swaps_of(text), paths);
    assert!(swaps_of("").is_empty());
}
