//! Each kind of difference is seen, alone, and nothing else with it.

use std::fs::FileTimes;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use std::time::SystemTime;

use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::XattrFlags;

use super::*;
use crate::kit::rights::is_root;
use crate::kit::rights::skipped;
use crate::kit::workspace::Workspace;

/// Two trees that `make` and `differ` made, the latter only on the right; all times are equal.
fn lines_of(make: impl Fn(&Path), differ: impl Fn(&Path)) -> Vec<String> {
    let workspace = Workspace::new();
    let (left, right) = (workspace.folder("left"), workspace.folder("right"));
    make(&left);
    make(&right);
    differ(&right);
    for root in [&left, &right] {
        set_times(root);
    }
    Comparer::default().differences(&left, &right).unwrap()
}

fn set_times(path: &Path) {
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in path.read_dir().unwrap() {
            set_times(&entry.unwrap().path());
        }
    }
    set_time(path, 1_000_000_000, 5);
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn file(root: &Path) {
    std::fs::write(root.join("file"), "content").unwrap();
}

fn nothing(_: &Path) {}

#[track_caller]
fn assert_one(lines: &[String], expected: &str) {
    assert_eq!(lines, [expected], "exactly this difference");
}

#[test]
fn equal_trees_have_no_differences() {
    assert!(lines_of(file, nothing).is_empty());
}

#[test]
fn an_entry_on_one_side_only_is_seen() {
    assert_one(&lines_of(nothing, file), "\"file\": only on the right");
    let remove = |root: &Path| std::fs::remove_file(root.join("file")).unwrap();
    assert_one(&lines_of(file, remove), "\"file\": only on the left");
}

#[test]
fn another_kind_is_seen() {
    let replace = |root: &Path| {
        std::fs::remove_file(root.join("pipe")).unwrap();
        node(root, "pipe", FileType::Socket, 0);
    };
    let lines = lines_of(|root| node(root, "pipe", FileType::Fifo, 0), replace);
    assert_one(&lines, "\"pipe\": kind is Fifo and Socket");
}

fn node(root: &Path, name: &str, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, root.join(name), kind, Mode::from(0o644), device).unwrap();
}

#[test]
fn another_mode_is_seen_in_files_and_in_the_root_itself() {
    let mode = |mode| {
        move |path: &Path| {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    };
    let lines = lines_of(file, |root| mode(0o4755)(&root.join("file")));
    assert_one(&lines, "\"file\": mode is 0644 and 4755");
    assert_one(&lines_of(file, mode(0o1755)), "\"\": mode is 0755 and 1755");
}

#[test]
fn another_owner_is_seen() {
    if !is_root() {
        return skipped("another owner", "only root can give files away");
    }
    let symlink = |root: &Path| std::os::unix::fs::symlink("x", root.join("link")).unwrap();
    let give = |root: &Path| {
        std::os::unix::fs::lchown(root.join("link"), Some(7), Some(8)).unwrap();
    };
    assert_one(
        &lines_of(symlink, give),
        "\"link\": owner is (0, 0) and (7, 8)",
    );
}

#[test]
fn another_time_is_seen_to_the_nanosecond_in_files_folders_and_links() {
    let workspace = Workspace::new();
    let roots = (workspace.folder("left"), workspace.folder("right"));
    for root in [&roots.0, &roots.1] {
        file(root);
        std::fs::create_dir(root.join("folder")).unwrap();
        std::os::unix::fs::symlink("x", root.join("link")).unwrap();
        set_times(root);
    }
    for name in ["file", "folder", "link"] {
        set_time(&roots.1.join(name), 1_000_000_000, 6);
    }
    let expected = ["file", "folder", "link"]
        .map(|name| format!("{name:?}: mtime is (1000000000, 5) and (1000000000, 6)"));
    let comparer = Comparer::default();
    assert_eq!(
        comparer.differences(&roots.0, &roots.1).unwrap(),
        expected.as_slice()
    );
}

#[test]
fn another_length_or_byte_is_seen() {
    let longer = |root: &Path| std::fs::write(root.join("file"), "contents").unwrap();
    assert_one(&lines_of(file, longer), "\"file\": length is 7 and 8");
    let other = |root: &Path| std::fs::write(root.join("file"), "contEnt").unwrap();
    assert_one(
        &lines_of(file, other),
        "\"file\": content differs from byte 4 on",
    );
    let long = |last: u8| {
        move |root: &Path| {
            let mut bytes = vec![1; (3 << 20) + 1];
            bytes[3 << 20] = last;
            std::fs::write(root.join("file"), bytes).unwrap();
        }
    };
    assert_one(
        &lines_of(long(1), long(2)),
        "\"file\": content differs from byte 3145728 on",
    );
}

#[test]
fn another_link_target_is_seen() {
    let link = |target: &'static str| {
        move |root: &Path| {
            let _ = std::fs::remove_file(root.join("link"));
            std::os::unix::fs::symlink(target, root.join("link")).unwrap();
        }
    };
    assert_one(
        &lines_of(link("a"), link("b")),
        "\"link\": target is Some(\"a\") and Some(\"b\")",
    );
}

#[test]
fn another_device_number_is_seen() {
    if !is_root() {
        return skipped("another device number", "only root can create devices");
    }
    let device = |minor| {
        move |root: &Path| {
            let _ = std::fs::remove_file(root.join("node"));
            let number = rustix::fs::makedev(1, minor);
            node(root, "node", FileType::CharacterDevice, number);
        }
    };
    assert_one(
        &lines_of(device(3), device(5)),
        "\"node\": device is 0x103 and 0x105",
    );
}

#[test]
fn another_attribute_is_seen_in_its_absence_and_its_value() {
    let set = |value: &'static str| {
        move |root: &Path| {
            let at = root.join("file");
            rustix::fs::lsetxattr(at, "user.a", value.as_bytes(), XattrFlags::empty()).unwrap();
        }
    };
    assert_one(
        &lines_of(file, set("")),
        "\"file\": xattr user.a is absent and \"\"",
    );
    let both = |root: &Path| {
        file(root);
        set("1")(root);
    };
    assert_one(
        &lines_of(both, set("2")),
        "\"file\": xattr user.a is \"1\" and \"2\"",
    );
}

#[test]
fn an_access_list_is_an_attribute_like_others() {
    let acl = crate::kit::generate::metadata::access_list(6);
    let set = |root: &Path| {
        let at = root.join("file");
        rustix::fs::lsetxattr(at, "system.posix_acl_access", &acl, XattrFlags::empty()).unwrap();
    };
    let lines = lines_of(file, set);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("system.posix_acl_access is absent and")),
        "{lines:?}"
    );
}

#[test]
fn hard_links_are_compared_as_groups_of_paths() {
    let three = |root: &Path| {
        for name in ["a", "b", "c"] {
            std::fs::write(root.join(name), "same").unwrap();
        }
    };
    let link = |of: &'static str, to: &'static str| {
        move |root: &Path| {
            std::fs::remove_file(root.join(of)).unwrap();
            std::fs::hard_link(root.join(to), root.join(of)).unwrap();
        }
    };
    assert_one(
        &lines_of(three, link("c", "a")),
        "\"c\": first hard link is None and Some(\"a\")",
    );
    let pair = |root: &Path| {
        three(root);
        link("c", "a")(root);
    };
    assert_one(
        &lines_of(pair, link("c", "b")),
        "\"c\": first hard link is Some(\"a\") and Some(\"b\")",
    );
}

#[test]
fn holes_are_told_from_stored_zeros_unless_told_not_to() {
    let workspace = Workspace::new();
    let roots = (workspace.folder("left"), workspace.folder("right"));
    let time = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9));
    for (root, zeros) in [(&roots.0, false), (&roots.1, true)] {
        let file = File::create(root.join("file")).unwrap();
        file.write_all_at(b"x", 1 << 20).unwrap();
        if zeros {
            file.write_all_at(&[0; 64 << 10], 0).unwrap();
        }
        file.set_times(time).unwrap();
        set_times(root);
    }
    let lines = Comparer::default().differences(&roots.0, &roots.1).unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("\"file\": data lies at "), "{lines:?}");
    Comparer::default()
        .without_hole_maps()
        .assert_equal(&roots.0, &roots.1);
}

#[test]
fn an_ignored_path_is_not_looked_at_nor_what_lies_below_it() {
    let workspace = Workspace::new();
    let roots = (workspace.folder("left"), workspace.folder("right"));
    workspace.file("right/ignored/below/file", "x");
    set_times(&roots.0);
    set_times(&roots.1);
    assert_eq!(
        Comparer::default()
            .differences(&roots.0, &roots.1)
            .unwrap()
            .len(),
        3
    );
    Comparer::default()
        .ignoring("ignored")
        .assert_equal(&roots.0, &roots.1);
}

#[test]
fn names_that_are_not_text_are_told_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let name = |name: &'static [u8]| {
        move |root: &Path| {
            std::fs::write(root.join(OsStr::from_bytes(name)), "").unwrap();
        }
    };
    let lines = lines_of(name(b"\xff"), name(b"\xfe"));
    assert_one(&lines, "\"\\xFE\": only on the right");
}
