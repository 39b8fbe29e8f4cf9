//! What a mount of a snapshot with volume groups shows, and what damage and hostile names cost.

use std::sync::Arc;

use crate::error::{ErrorKind, Result};
use crate::format::entry::Timestamp;
use crate::format::snapshot::Snapshot;
use crate::limits::{LVM_VOLUMES_SHOWN_MAX, MIB};
use crate::serve::files::{Child, Files, ROOT};
use crate::serve::groups::Group;
use crate::serve::groups_tests::{DATA_AT, EXTENT_LEN, physical_of, snapshot};
use crate::serve::image::Viewers;
use crate::serve::library::Library;
use crate::serve::logical::{table, weight};
use crate::serve::names::{Named, Names};
use crate::serve::problems::Problems;
use crate::serve::shown::Showcase;
use crate::testing::tiny_volumes::{fat12, lvm_text, repair_lvm};

fn mounted(library: &Arc<Library>, snapshot: Snapshot) -> Arc<dyn Files> {
    let viewers = Viewers {
        owner: (7, 8),
        others: false,
    };
    let problems = Arc::new(Problems::default());
    let showcase = Showcase::new(library, 8 * MIB, viewers, &problems);
    showcase.snapshot(&Arc::new(snapshot)).unwrap()
}

/// The tree that a path leads to through others, and the number there.
fn at(files: &Arc<dyn Files>, path: &str) -> Result<(Arc<dyn Files>, u64)> {
    let (mut files, mut number) = (Arc::clone(files), ROOT);
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let found = files.child(number, name.as_bytes())?;
        number = found.unwrap_or_else(|| panic!("{name} of {path} is not there"));
        if let Some(tree) = files.mounted(number) {
            (files, number) = (tree.open()?, ROOT);
        }
    }
    Ok((files, number))
}

fn names(files: &Arc<dyn Files>, path: &str) -> Vec<String> {
    let (files, folder) = at(files, path).unwrap();
    let mut names = Vec::new();
    let mut each = |child: &Child<'_>| {
        names.push(String::from_utf8(child.name.to_vec()).unwrap());
        true
    };
    files.children(folder, 0, &mut each).unwrap();
    names.sort();
    names
}

fn bytes(files: &Arc<dyn Files>, path: &str) -> Vec<u8> {
    let (files, file) = at(files, path).unwrap();
    let view = files.content(file).unwrap();
    let mut bytes = Vec::new();
    crate::serve::view::copy(&*view, &mut bytes).unwrap();
    bytes
}

fn text(files: &Arc<dyn Files>, path: &str) -> String {
    String::from_utf8(bytes(files, path)).unwrap()
}

/// Both physical volumes of the group with this metadata; the logical volumes `root`, all on the first,
/// and `both` hold a FAT each.
fn with_files(text: &str) -> [Vec<u8>; 2] {
    let segments = [
        ("4 extent_count = 4", "4 extent_count = 6"),
        ("2 extent_count = 3", "2 extent_count = 8"),
    ];
    let longer = |text: String, (from, to)| {
        text.replacen(
            &format!("start_extent = {from}"),
            &format!("start_extent = {to}"),
            1,
        )
    };
    let text = segments.into_iter().fold(text.to_owned(), longer);
    let mut disks = [0, 1].map(|index| physical_of(index, &text));
    let root = (0..4).chain(20..26).map(|extent| (0, extent));
    let both = (30..32)
        .map(|extent| (0, extent))
        .chain((0..8).map(|extent| (1, extent)));
    let fat = fat12();
    for extents in [root.collect::<Vec<_>>(), both.collect()] {
        for ((disk, extent), piece) in extents.into_iter().zip(fat.chunks(EXTENT_LEN)) {
            let at = DATA_AT + extent * EXTENT_LEN;
            disks[disk][at..at + piece.len()].copy_from_slice(piece);
        }
    }
    disks
}

#[test]
fn logical_volumes_are_shown_as_bytes_and_files_and_of_the_rest_the_reason_why_not() {
    let [disk, _] = with_files(&lvm_text());
    let (library, snapshot) = snapshot(&[("disk0", 0, &disk)]);
    let files = mounted(&library, snapshot);
    assert_eq!(names(&files, ""), ["disk0", "disk0.raw"]);
    assert_eq!(names(&files, "disk0"), ["vg0"]);
    let expected = [
        "both.txt", "fast.txt", "root", "root.raw", "safe.txt", "thin.txt",
    ];
    assert_eq!(names(&files, "disk0/vg0"), expected);
    assert!(bytes(&files, "disk0/vg0/root.raw") == fat12());
    assert_eq!(names(&files, "disk0/vg0/root"), ["FILE", "FOLDER"]);
    assert_eq!(bytes(&files, "disk0/vg0/root/FOLDER/INNER/LAST").len(), 600);
    for (name, told) in [
        (
            "both",
            "disk0/vg0/both: lies on the physical volume pv1 (bbbbbb-",
        ),
        (
            "thin",
            "disk0/vg0/thin: is not readable here: thin volume; restore",
        ),
        (
            "fast",
            "disk0/vg0/fast: is not readable here: volume of 2 stripes",
        ),
    ] {
        let text = text(&files, &format!("disk0/vg0/{name}.txt"));
        assert!(text.starts_with(told) && text.ends_with('\n'), "{text}");
    }
    let (tree, raw) = at(&files, "disk0/vg0/root.raw").unwrap();
    assert_eq!(tree.path(raw), b"disk0/vg0/root.raw");
    assert_eq!(tree.path(ROOT), b"disk0");
}

#[test]
fn what_people_type_goes_before_what_is_made_up_behind_each_member() {
    let text = lvm_text().replacen("both {", "root.raw {", 1);
    let [first, second] = with_files(&text);
    let (library, snapshot) = snapshot(&[("disk0", 0, &first), ("disk1", 1, &second)]);
    let files = mounted(&library, snapshot);
    let expected = ["fast.txt", "root", "root.raw", "root.raw.raw", "root.raw~2"];
    for disk in ["disk0", "disk1"] {
        let names = names(&files, &format!("{disk}/vg0"));
        assert_eq!(names[..5], expected);
        for path in ["root", "root.raw"] {
            let file = format!("{disk}/vg0/{path}/FOLDER/INNER/LAST");
            assert_eq!(bytes(&files, &file).len(), 600, "{file}");
        }
        for path in ["root.raw~2", "root.raw.raw"] {
            assert!(
                bytes(&files, &format!("{disk}/vg0/{path}")) == fat12(),
                "{path}"
            );
        }
    }
}

#[test]
fn a_logical_volume_without_files_has_bytes_and_a_text() {
    let text = lvm_text();
    let disks = [0, 1].map(|index| physical_of(index, &text));
    let (library, snapshot) = snapshot(&[("disk0", 0, &disks[0]), ("disk1", 1, &disks[1])]);
    let files = mounted(&library, snapshot);
    assert_eq!(bytes(&files, "disk0/vg0/both.raw").len(), 5 * EXTENT_LEN);
    let told = self::text(&files, "disk0/vg0/both.txt");
    assert!(
        told.starts_with("disk0/vg0/both: holds no file system that is known"),
        "{told}"
    );
}

#[test]
fn damage_of_metadata_costs_its_own_folder_and_a_member_of_no_group_says_so() {
    let [whole, _] = with_files(&lvm_text());
    let mut damaged = physical_of(1, &lvm_text());
    damaged[5000] ^= 1;
    let (library, snapshot) = snapshot(&[("disk0", 0, &whole), ("disk1", 1, &damaged)]);
    let files = mounted(&library, snapshot);
    let error = at(&files, "disk1").err().expect("it is damaged");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error
            .to_string()
            .contains("disk1: is a physical volume of LVM2 that has")
    );
    assert_eq!(names(&files, "disk0/vg0/root"), ["FILE", "FOLDER"]);
    assert_eq!(
        names(&files, ""),
        ["disk0", "disk0.raw", "disk1", "disk1.raw"]
    );

    let mut silent = physical_of(1, &lvm_text());
    silent[4096 + 60] = 1;
    repair_lvm(&mut silent);
    let (library, snapshot) = self::snapshot(&[("disk0", 1, &silent)]);
    let files = mounted(&library, snapshot);
    assert_eq!(names(&files, "disk0"), ["none.txt"]);
    assert!(text(&files, "disk0/none.txt").contains("says of no volume group"));
}

#[test]
fn of_too_many_volumes_the_first_are_shown_and_the_others_counted() {
    let volume = |number| format!("v{number} {{ status = [\"VISIBLE\"] }}\n");
    let volumes: String = (0..=LVM_VOLUMES_SHOWN_MAX).map(volume).collect();
    let group = Group::of_metadata(
        "disk0",
        &format!(
            "g {{ id = \"x\" seqno = 1 extent_size = 4\nphysical_volumes {{ }}\n\
             logical_volumes {{ {volumes} }} }}"
        ),
    );
    let inside = |_, view| Named::Bytes(view);
    let table = table(&group, Timestamp::default(), &inside);
    let files: Arc<dyn Files> = Arc::new(Names::fixed(table, (0, 0)));
    assert_eq!(names(&files, ""), ["g", "g.txt"]);
    let shown = names(&files, "g");
    assert!(shown.contains(&"v0.txt".to_owned()) && !shown.contains(&"v4096".to_owned()));
    assert!(text(&files, "g.txt").starts_with("disk0/g: has 4097 logical volumes, of which 4096"));
    assert!(weight(&group) > LVM_VOLUMES_SHOWN_MAX);
}
