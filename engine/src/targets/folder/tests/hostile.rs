//! Nothing outside the target is touched, whatever the tree says and whoever works against it.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::Ground;
use super::at;
use super::kind_of;
use super::picture;
use super::plain;
use crate::error::ErrorKind;
use crate::format::entry::FolderPath;
use crate::format::entry::Node;
use crate::format::entry::TreePath;
use crate::targets::folder::FolderTarget;
use crate::targets::folder::OnConflict;
use crate::targets::folder::Placed;

/// Tries to make every kind of object at `path`; true if any of it worked.
fn make_all(target: &FolderTarget, path: &TreePath) -> bool {
    let outcomes = [
        target.make_folder(path).is_ok(),
        target.write_file(path, &plain(), b"evil").is_ok(),
        target.create_file(path, &plain(), 9).is_ok(),
        target.make_symlink(path, b"/etc", &plain()).is_ok(),
        target.make_special(path, &Node::Fifo, &plain()).is_ok(),
        target.make_hard_link(path, &at("seed")).is_ok(),
        target.make_hard_link(&at("link"), path).is_ok(),
    ];
    outcomes.contains(&true)
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    target.write_file(&at("seed"), &plain(), b"seed").unwrap();
    let before = (picture(&ground.target()), picture(&ground.outside()));
    let outside = ground.outside().into_os_string().into_encoded_bytes();
    for name in [
        &b""[..],
        b".",
        b"..",
        b"x/",
        b"/x",
        b"a/b",
        b"a\0b",
        &outside,
        &[b'x'; 256],
    ] {
        let direct = TreePath::new(FolderPath::root(), name);
        let as_folder = TreePath::new(FolderPath(name.to_vec()), *b"passwd");
        if !name.is_empty() {
            assert!(!make_all(&target, &direct), "{direct}");
        }
        // Empty is the root, and `a\0b` is a path of two names: both do no harm.
        if !name.is_empty() && !name.contains(&0) {
            assert!(!make_all(&target, &as_folder), "{as_folder}");
            assert!(
                target
                    .apply_folder_metadata(&as_folder.folder, &plain())
                    .is_err()
            );
        }
    }
    assert!(!make_all(
        &target,
        &TreePath::new(FolderPath(b"a\0\0b".to_vec()), *b"x")
    ));
    assert_eq!(
        before,
        (picture(&ground.target()), picture(&ground.outside()))
    );
}

#[test]
fn a_link_that_was_there_is_never_followed() {
    for on_conflict in [
        OnConflict::Overwrite,
        OnConflict::Skip,
        OnConflict::Newer,
        OnConflict::Copy,
    ] {
        for stepwise in [false, true] {
            let ground = Ground::new().with("seed", "seed");
            symlink(ground.outside(), ground.path("x")).unwrap();
            symlink(ground.outside().join("passwd"), ground.path("p")).unwrap();
            let before = picture(&ground.outside());
            let target = ground.open(on_conflict);
            if stepwise {
                target.run.folders.refuse_openat2();
            }
            assert_eq!(
                kind_of(target.make_folder(&at("x"))),
                ErrorKind::AlreadyExists
            );
            assert!(!make_all(&target, &at("x/passwd")));
            assert!(!make_all(&target, &at("x/s/new")));
            assert!(
                target
                    .apply_folder_metadata(&at("x").as_folder(), &plain())
                    .is_err()
            );
            // In the place of the link itself anything may be put, but never through it.
            target.write_file(&at("p"), &plain(), b"evil").unwrap();
            assert_eq!(
                before,
                picture(&ground.outside()),
                "{on_conflict:?} {stepwise}"
            );
        }
    }
}

#[test]
fn nothing_goes_through_a_link_that_was_restored() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    target.write_file(&at("seed"), &plain(), b"seed").unwrap();
    let outside = ground.outside().into_os_string().into_encoded_bytes();
    target
        .make_symlink(&at("evil"), &outside, &plain())
        .unwrap();
    let before = picture(&ground.outside());
    assert!(!make_all(&target, &at("evil/passwd")));
    assert_eq!(
        kind_of(target.make_folder(&at("evil"))),
        ErrorKind::AlreadyExists
    );
    assert_eq!(before, picture(&ground.outside()));
}

#[test]
fn a_hard_link_to_a_link_is_another_link() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    let passwd = ground
        .outside()
        .join("passwd")
        .into_os_string()
        .into_encoded_bytes();
    target.make_symlink(&at("evil"), &passwd, &plain()).unwrap();
    target.make_hard_link(&at("again"), &at("evil")).unwrap();
    assert!(
        fs::symlink_metadata(ground.path("again"))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn the_target_itself_may_be_named_by_a_link() {
    let ground = Ground::new();
    fs::create_dir(ground.folder.path().join("real")).unwrap();
    symlink("real", ground.target()).unwrap();
    let target = ground.open(OnConflict::Fail);
    target.write_file(&at("f"), &plain(), b"f").unwrap();
    assert_eq!(fs::read(ground.folder.path().join("real/f")).unwrap(), b"f");
}

#[test]
fn folders_swapped_for_links_meanwhile_lead_nowhere() {
    const ROUNDS: usize = 2000;
    let ground = Ground::new();
    fs::create_dir_all(ground.path("d/s")).unwrap();
    let before = picture(&ground.outside());
    let done = AtomicBool::new(false);
    let (mut worked, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| swap_until(&ground, &done));
        for round in 0..ROUNDS {
            // A new target each time, so that no handle is kept.
            let target = ground.open(OnConflict::Overwrite);
            if round % 2 == 0 {
                target.run.folders.refuse_openat2();
            }
            for path in ["d/s/passwd", "d/passwd", "d/s"] {
                let made = make_one(&target, &at(path), round);
                *(if made { &mut worked } else { &mut refused }) += 1;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(before, picture(&ground.outside()));
    assert!(
        worked > 0 && refused > 0,
        "{worked} worked, {refused} refused"
    );
}

fn make_one(target: &FolderTarget, path: &TreePath, round: usize) -> bool {
    match round % 5 {
        0 => target.write_file(path, &plain(), b"evil").is_ok(),
        1 => target.make_symlink(path, b"/nowhere", &plain()).is_ok(),
        2 => target.make_special(path, &Node::Fifo, &plain()).is_ok(),
        3 => target.make_folder(path).is_ok(),
        _ => target.apply_folder_metadata(&path.folder, &plain()).is_ok(),
    }
}

/// Swaps `d`, and what is in it, for links that lead outside, and back.
fn swap_until(ground: &Ground, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        for name in ["d/s", "d"] {
            let (here, away) = (ground.path(name), ground.path("away"));
            if fs::rename(&here, &away).is_ok() {
                symlink(ground.outside(), &here).ok();
                std::thread::yield_now();
                fs::remove_file(&here).ok();
                fs::rename(&away, &here).ok();
            }
        }
    }
}

#[test]
fn a_tree_as_deep_as_the_format_allows_is_restored() {
    for stepwise in [false, true] {
        let ground = Ground::new();
        let target = ground.open(OnConflict::Fail);
        if stepwise {
            target.run.folders.refuse_openat2();
        }
        let mut folders = vec![FolderPath::root()];
        for level in 0..crate::limits::PATH_DEPTH_LIMIT {
            let name = format!("level-{level}");
            let path = TreePath::new(folders[level].clone(), name);
            assert_eq!(target.make_folder(&path).unwrap(), Placed::New(()));
            folders.push(path.as_folder());
        }
        let deepest = TreePath::new(folders[folders.len() - 1].clone(), *b"file");
        target.write_file(&deepest, &plain(), b"deep").unwrap();
        for folder in folders.iter().rev().step_by(128) {
            assert_eq!(
                target
                    .apply_folder_metadata(folder, &plain_folder())
                    .unwrap(),
                []
            );
        }
        let shallow = FolderTarget::open(&ground.target(), super::overwrite()).unwrap();
        assert!(matches!(
            shallow.write_file(&deepest, &plain(), b"again"),
            Ok(Placed::Replaced(_))
        ));
        // The standard library would open every level at once.
        let status = std::process::Command::new("rm")
            .arg("-rf")
            .arg(ground.target())
            .status();
        assert!(status.unwrap().success());
    }
}

fn plain_folder() -> crate::format::entry::Metadata {
    crate::format::entry::Metadata {
        mode: 0o755,
        ..plain()
    }
}
