//! What happens when something is in the place already.

use std::fs;

use super::Ground;
use super::at;
use super::kind_of;
use super::plain;
use crate::error::ErrorKind;
use crate::format::entry::Metadata;
use crate::format::entry::Node;
use crate::format::entry::Timestamp;
use crate::targets::folder::FolderTarget;
use crate::targets::folder::FolderTargetOptions;
use crate::targets::folder::OnConflict;
use crate::targets::folder::Placed;

fn beside<T>(item: T, name: &str, collision: bool) -> Placed<T> {
    Placed::Renamed {
        item,
        name: name.into(),
        collision,
    }
}

#[test]
fn by_default_a_folder_with_anything_in_it_is_refused_and_an_empty_one_is_taken() {
    let ground = Ground::new();
    drop(ground.open(OnConflict::Fail));
    drop(ground.open(OnConflict::Fail));
    let ground = ground.with("old", "old");
    let outcome = FolderTarget::open(&ground.target(), FolderTargetOptions::default());
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("is not empty; "), "{error}");
}

#[test]
fn overwrite_replaces_everything_but_folders_with_anything_in_them() {
    let ground = Ground::new()
        .with("full/child", "child")
        .with("f", "old")
        .with("n", "old");
    fs::create_dir(ground.path("empty")).unwrap();
    let target = ground.open(OnConflict::Overwrite);
    for name in ["f", "empty"] {
        let placed = target.write_file(&at(name), &plain(), b"new").unwrap();
        assert_eq!(placed, Placed::Replaced(vec![]));
        assert_eq!(ground.read(name), "new");
    }
    let full = target.write_file(&at("full"), &plain(), b"new");
    assert_eq!(kind_of(full), ErrorKind::AlreadyExists);
    assert_eq!(target.make_folder(&at("n")).unwrap(), Placed::Replaced(()));
    assert_eq!(target.make_folder(&at("full")).unwrap(), Placed::Merged(()));
    for name in ["f", "n"] {
        assert_eq!(
            target.make_symlink(&at(name), b"t", &plain()).unwrap(),
            Placed::Replaced(vec![])
        );
        let fifo = target
            .make_special(&at(name), &Node::Fifo, &plain())
            .unwrap();
        assert_eq!(fifo, Placed::Replaced(vec![]));
    }
    assert_eq!(
        ground.names(""),
        ["empty", "f", "full", "n"],
        "no temporary name is left"
    );
    assert_eq!(ground.read("full/child"), "child");
}

#[test]
fn a_file_that_is_given_up_leaves_the_old_one_and_its_link_is_refused() {
    let ground = Ground::new().with("f", "old");
    let target = ground.open(OnConflict::Overwrite);
    let file = target
        .create_file(&at("f"), &plain(), 10)
        .unwrap()
        .into_item()
        .unwrap();
    file.write_at(0, b"half").unwrap();
    drop(file);
    assert_eq!(ground.read("f"), "old");
    drop(target.create_file(&at("new"), &plain(), 10).unwrap());
    assert_eq!(ground.names(""), ["f"]);
    for leader in ["f", "new"] {
        let link = target.make_hard_link(&at("link"), &at(leader));
        assert_eq!(kind_of(link), ErrorKind::NotFound, "{leader}");
    }
}

#[test]
fn skip_leaves_what_is_there() {
    let ground = Ground::new()
        .with("f", "old")
        .with("l", "old link")
        .with("n", "old");
    let target = ground.open(OnConflict::Skip);
    let skipped = |placed: Placed<_>| matches!(placed, Placed::Skipped { .. });
    assert!(skipped(
        target.write_file(&at("f"), &plain(), b"new").unwrap()
    ));
    assert!(skipped(
        target.make_symlink(&at("f"), b"t", &plain()).unwrap()
    ));
    assert!(matches!(
        target.make_hard_link(&at("l"), &at("f")),
        Ok(Placed::Skipped { .. })
    ));
    assert!(matches!(
        target.make_folder(&at("n")),
        Ok(Placed::Skipped { .. })
    ));
    assert_eq!(
        kind_of(target.make_hard_link(&at("m"), &at("f"))),
        ErrorKind::NotFound
    );
    assert_eq!(
        (ground.read("f"), ground.read("l")),
        ("old".into(), "old link".into())
    );
}

#[test]
fn newer_replaces_what_is_older() {
    let ground = Ground::new().with("older", "old").with("newer", "old");
    for (name, seconds) in [("older", -1), ("newer", 1)] {
        let mtime = Timestamp {
            seconds: plain().mtime.seconds + seconds,
            ..plain().mtime
        };
        let target = ground.open(OnConflict::Overwrite);
        target
            .write_file(&at(name), &Metadata { mtime, ..plain() }, b"old")
            .unwrap();
    }
    let target = ground.open(OnConflict::Newer);
    target.write_file(&at("older"), &plain(), b"new").unwrap();
    target.write_file(&at("newer"), &plain(), b"new").unwrap();
    assert_eq!(
        (ground.read("older"), ground.read("newer")),
        ("new".into(), "old".into())
    );
    let same = target.write_file(&at("older"), &plain(), b"again").unwrap();
    assert!(matches!(
        same,
        Placed::Skipped { .. } | Placed::Renamed { .. }
    ));
    assert_eq!(ground.read("older"), "new");
}

#[test]
fn copy_restores_beside_what_is_there_and_links_and_children_follow() {
    let ground = Ground::new()
        .with("f", "old")
        .with("f~1", "older")
        .with("n", "old");
    let target = ground.open(OnConflict::Copy);
    let placed = target.write_file(&at("f"), &plain(), b"new").unwrap();
    assert_eq!(placed, beside(vec![], "f~2", false));
    assert_eq!(
        target.make_hard_link(&at("link"), &at("f")).unwrap(),
        Placed::New(())
    );
    assert_eq!(
        target.make_folder(&at("n")).unwrap(),
        beside((), "n~1", false)
    );
    target
        .write_file(&at("n/child"), &plain(), b"child")
        .unwrap();
    assert_eq!(ground.read("f"), "old");
    assert_eq!(ground.read("link"), "new");
    assert_eq!(ground.read("n~1/child"), "child");
}

#[test]
fn a_name_taken_meanwhile_is_a_collision_and_both_are_kept() {
    // What a file system that folds case does to `A` and `a`, done by hand.
    for on_conflict in [OnConflict::Fail, OnConflict::Overwrite, OnConflict::Skip] {
        let ground = Ground::new();
        if on_conflict != OnConflict::Fail {
            fs::create_dir(ground.target()).unwrap();
            fs::write(ground.target().join("seen"), "").unwrap();
        }
        let target = ground.open(on_conflict);
        target.write_file(&at("seen"), &plain(), b"").unwrap();
        let ground = ground.with("A", "first").with("D/child", "first");
        let file = target.write_file(&at("A"), &plain(), b"second").unwrap();
        let folder = target.make_folder(&at("D")).unwrap();
        if on_conflict == OnConflict::Fail {
            assert_eq!(file, beside(vec![], "A~1", true));
        } else {
            // The first conflict listed the folder before `A` and `D` were in it.
            assert_eq!(file, beside(vec![], "A~1", true), "{on_conflict:?}");
        }
        assert_eq!(folder, beside((), "D~1", true));
        target
            .write_file(&at("D/child"), &plain(), b"second")
            .unwrap();
        target.make_folder(&at("D/sub")).unwrap();
        target.write_file(&at("D/sub/x"), &plain(), b"x").unwrap();
        assert_eq!(ground.read("D/child"), "first");
        assert_eq!(ground.read("D~1/child"), "second");
        assert_eq!(ground.read("D~1/sub/x"), "x");
    }
}

#[test]
fn hard_links_replace_links_of_the_same_file_and_leave_no_temporary_name() {
    let ground = Ground::new();
    let target = ground.open(OnConflict::Fail);
    target.write_file(&at("a"), &plain(), b"a").unwrap();
    target.make_hard_link(&at("b"), &at("a")).unwrap();
    // The tree says it twice: replaced by itself.
    let again = ground.open(OnConflict::Overwrite);
    assert_eq!(
        again.make_hard_link(&at("b"), &at("a")).unwrap(),
        Placed::Replaced(())
    );
    assert_eq!(ground.names(""), ["a", "b"]);
}
