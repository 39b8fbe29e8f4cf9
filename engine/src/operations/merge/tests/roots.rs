//! Which roots a result has, and what lies in each.

use super::{World, keeping, replacing, tree};
use crate::format::entry::Node;
use crate::testing::sample_repository::SampleTree;

#[test]
fn a_newer_root_takes_the_place_of_the_older_one_deletions_included() {
    let (old, new) = (
        tree(&["gone", "same", "text=1"]),
        tree(&["new", "same", "text=2"]),
    );
    let world = World::new(&[&[("/r", &old)], &[("/r", &new)]]);
    world.assert_merged(&replacing(), &[("/r", &new)]);
    let report = world.merge(&replacing());
    assert_eq!((report.roots_taken_over, report.roots_built), (1, 0));
}

#[test]
fn roots_that_no_newer_root_covers_stay_where_they_are() {
    let (a, b, c, d) = (tree(&["a"]), tree(&["b"]), tree(&["c"]), tree(&["d"]));
    let world = World::new(&[&[("/a", &a), ("/b", &b)], &[("/c", &c), ("/a", &d)]]);
    let expected = [("/a", &d), ("/b", &b), ("/c", &c)];
    world.assert_merged(&replacing(), &expected);
    world.assert_merged(
        &keeping(),
        &[("/a", &tree(&["a", "d"])), ("/b", &b), ("/c", &c)],
    );
}

#[test]
fn a_newer_root_inside_an_older_one_takes_its_place_there() {
    let base = tree(&["ana.txt", "ana/gone/x", "ana/mail", "ana-b/y", "bob/z"]);
    let newer = tree(&["mail=2", "new/w"]);
    let world = World::new(&[&[("/home", &base)], &[("/home/ana", &newer)]]);
    let files = ["ana.txt", "ana-b/y", "ana/mail=2", "ana/new/w", "bob/z"];
    let content = |name: &&str| match *name {
        "ana/new/w" => "ana/new/w=new/w".to_owned(),
        name => name.to_owned(),
    };
    let files: Vec<_> = files.iter().map(content).collect();
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    world.assert_merged(&replacing(), &[("/home", &tree(&files))]);
    let kept = [files.as_slice(), &["ana/gone/x"]].concat();
    world.assert_merged(&keeping(), &[("/home", &tree(&kept))]);
}

#[test]
fn the_own_entry_of_a_newer_root_becomes_an_entry_of_its_folder() {
    let mut newer = tree(&["mail"]);
    newer.set_mode("", 0o700);
    let base = tree(&["ana/mail", "bob/x"]);
    let world = World::new(&[&[("/home", &base)], &[("/home/ana", &newer)]]);
    let mut expected = tree(&["ana/mail=mail", "bob/x"]);
    expected.set_mode("ana", 0o700);
    world.assert_merged(&replacing(), &[("/home", &expected)]);
    world.assert_merged(&keeping(), &[("/home", &expected)]);
}

#[test]
fn a_newer_root_around_an_older_one_covers_all_of_it() {
    let (base, other) = (tree(&["mail", "old"]), tree(&["x"]));
    let newer = tree(&["etc/hosts", "home/ana/mail=2"]);
    let world = World::new(&[&[("/home/ana", &base), ("/data", &other)], &[("/", &newer)]]);
    world.assert_merged(&replacing(), &[("/", &newer)]);
    // Kept: what lies in a folder of the newer one goes there. /data as a whole was deleted, and
    // the folder that it was in is there.
    let all = [
        "etc/hosts",
        "home/ana/mail=2",
        "home/ana/old=old",
        "data/x=x",
    ];
    world.assert_merged(&keeping(), &[("/", &tree(&all))]);
}

#[test]
fn a_kept_root_whose_folder_is_gone_stays_a_root_of_its_own() {
    let base = tree(&["mail"]);
    let newer = tree(&["etc/hosts"]);
    let world = World::new(&[&[("/home/ana", &base)], &[("/", &newer)]]);
    world.assert_merged(&keeping(), &[("/home/ana", &base), ("/", &newer)]);
    world.assert_merged(&replacing(), &[("/", &newer)]);
}

#[test]
fn a_kept_root_goes_where_a_newer_one_has_a_file_in_the_place_of_its_folder() {
    let base = tree(&["mail"]);
    for newer in [tree(&["home"]), tree(&["home/ana"])] {
        let world = World::new(&[&[("/home/ana", &base)], &[("/", &newer)]]);
        world.assert_merged(&keeping(), &[("/", &newer)]);
    }
}

#[test]
fn a_newer_root_in_a_folder_that_the_older_one_lacks_becomes_a_root_of_its_own() {
    let newer = tree(&["mail"]);
    for base in [tree(&["bob/x"]), tree(&["users"]), tree(&["users/ana"])] {
        let world = World::new(&[&[("/home", &base)], &[("/home/users/ana/deep", &newer)]]);
        let expected = [("/home", &base), ("/home/users/ana/deep", &newer)];
        world.assert_merged(&replacing(), &expected);
        world.assert_merged(&keeping(), &expected);
    }
}

#[test]
fn a_newer_root_that_is_new_in_a_folder_of_the_older_one_is_put_there() {
    let (base, newer) = (tree(&["bob/x", "z"]), tree(&["mail"]));
    let world = World::new(&[&[("/home", &base)], &[("/home/ana", &newer)]]);
    let expected = tree(&["ana/mail=mail", "bob/x", "z"]);
    world.assert_merged(&replacing(), &[("/home", &expected)]);
    world.assert_merged(&keeping(), &[("/home", &expected)]);
}

#[test]
fn roots_of_one_snapshot_that_lie_in_each_other_stay_apart() {
    let (outer, inner) = (tree(&["ana/1", "bob/2"]), tree(&["3"]));
    let (base, other) = (tree(&["ana/0"]), tree(&["4"]));
    let newer = [("/home/ana", &inner), ("/home", &outer)];
    let world = World::new(&[&[("/home", &base), ("/x", &other)], &newer]);
    let expected = [("/home", &outer), ("/x", &other), ("/home/ana", &inner)];
    world.assert_merged(&replacing(), &expected);
}

#[test]
fn single_files_are_roots_like_folders() {
    let (old, new) = (b"old".to_vec(), b"new".to_vec());
    let (old, new) = (SampleTree::single_file(old), SampleTree::single_file(new));
    let etc = tree(&["fstab", "hosts=old"]);
    let world = World::new(&[&[("/etc/hosts", &old)], &[("/etc/hosts", &new)]]);
    world.assert_merged(&replacing(), &[("/etc/hosts", &new)]);
    world.assert_merged(&keeping(), &[("/etc/hosts", &new)]);
    let world = World::new(&[&[("/etc", &etc)], &[("/etc/hosts", &new)]]);
    for options in [replacing(), keeping()] {
        world.assert_merged(&options, &[("/etc", &tree(&["fstab", "hosts=new"]))]);
    }
    let world = World::new(&[&[("/etc/hosts", &new)], &[("/etc", &etc)]]);
    for options in [replacing(), keeping()] {
        world.assert_merged(&options, &[("/etc", &etc)]);
    }
}

#[test]
fn what_lay_below_a_folder_that_is_a_file_now_goes_even_if_deletions_are_kept() {
    let mut base = tree(&["a-b", "a/b/c/d", "a/b/e", "a.b", "z/1"]);
    base.node("z/link", Node::Symlink(b"a".to_vec()));
    let mut newer = tree(&["a/b", "q"]);
    newer.node("z", Node::Fifo);
    let world = World::new(&[&[("/r", &base)], &[("/r", &newer)]]);
    let mut expected = tree(&["a-b", "a/b", "a.b", "q"]);
    expected.node("z", Node::Fifo);
    world.assert_merged(&keeping(), &[("/r", &expected)]);
}

#[test]
fn a_folder_in_the_place_of_a_file_wins_with_all_below_it() {
    let (base, newer) = (tree(&["a", "b"]), tree(&["a/x", "a/y"]));
    let world = World::new(&[&[("/r", &base)], &[("/r", &newer)]]);
    world.assert_merged(&keeping(), &[("/r", &tree(&["a/x", "a/y", "b"]))]);
}

#[test]
fn of_three_the_last_wins() {
    let trees = [
        tree(&["a=1", "b=1", "c=1"]),
        tree(&["a=2", "b=2"]),
        tree(&["a=3"]),
    ];
    let [one, two, three] = &trees;
    let world = World::new(&[&[("/r", one)], &[("/r", two)], &[("/r", three)]]);
    world.assert_merged(&replacing(), &[("/r", three)]);
    world.assert_merged(&keeping(), &[("/r", &tree(&["a=3", "b=2", "c=1"]))]);
}

#[test]
fn a_folder_with_another_beginning_of_the_same_name_is_elsewhere() {
    let (base, newer) = (tree(&["1"]), tree(&["2"]));
    let world = World::new(&[&[("/home/ana", &base)], &[("/home/an", &newer)]]);
    let expected = [("/home/ana", &base), ("/home/an", &newer)];
    world.assert_merged(&replacing(), &expected);
    world.assert_merged(&keeping(), &expected);
}
